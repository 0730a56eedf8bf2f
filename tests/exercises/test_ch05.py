"""Tests of the exercises of chapter 05."""

import numpy as np
import pytest
from checking import same

from minialex import Tensor, ops

pytestmark = pytest.mark.ch05


@pytest.mark.parametrize(("size", "kernel", "stride", "pad", "expected"), [
    (5, 3, 1, 0, 3), (7, 3, 1, 2, 9), (227, 11, 4, 0, 55), (224, 11, 4, 0, 54), (27, 5, 1, 2, 27)])
def test_output_size(answers, size, kernel, stride, pad, expected):
    rest = size + 2 * pad - kernel
    same(f"output_size({size}, {kernel}, {stride}, {pad})",
         answers.output_size(size, kernel, stride, pad), expected, [
             (expected - 1, "The first window counts as well: add 1."),
             (rest / stride + 1, "A part of a step makes no window: round down, with //."),
             (-(-rest // stride) + 1, "That is rounded up; the last window would hang over."),
             ((rest - pad) // stride + 1, "The zeros are on both sides."),
             ((rest - 2 * pad) // stride + 1, "The zeros are missing: `pad` on each side."),
             ((rest + 1) // stride, "The 1 is the first window; do not divide it by the stride.")])


@pytest.mark.parametrize(("layer", "expected"), [
    ((11, 11, 3, 96, 55, 55), (34_848, 105_415_200)),
    ((5, 5, 96, 256, 27, 27, 2), (307_200, 223_948_800))])
def test_count(answers, layer, expected):
    weights, products = expected
    kernels, groups = layer[3], (*layer, 1)[6]
    same(f"count{layer}", answers.count(*layer), expected, [
        ((weights + kernels, products), "The biases are not asked for."),
        ((weights * groups, products * groups),
         "With groups a kernel sees only c // groups channels."),
        ((weights // groups, products // groups),
         "That divides the kernels, too; there are still o of them."),
        ((weights, 2 * products), "A product and its addition are one multiply-accumulate."),
        ((weights, weights), "Each weight is used at every position: oh * ow times."),
        (expected[::-1], "The weights come first.")])


def test_blur(answers):
    image = np.arange(20.0).reshape(4, 5) ** 2
    total = image[:-1, :-1] + image[1:, :-1] + image[:-1, 1:] + image[1:, 1:]
    same("blur(image, 2)", answers.blur(image, 2), total / 4, [
        (total, "That is the sum of each window; a mean has the weights 1 / size**2."),
        (total / 2, "A window has size * size pixels; each weight is 1 / size**2."),
        ((total / 4)[None, :, :, None], "Take the axes for N and C away again: [0, :, :, 0].")],
        rtol=1e-5)


def test_patches_of(answers):
    x = np.random.default_rng(0).standard_normal((2, 6, 5, 3))
    right = np.empty((2, 4, 4, 3, 2, 3))
    for n, i, j in np.ndindex(2, 4, 4):
        right[n, i, j] = x[n, i : i + 3, j : j + 2]
    flat = right.reshape(2, 4, 4, 18)
    same("patches_of(x, 3, 2)", answers.patches_of(x, 3, 2), flat, [
        (right, "The values are right; reshape them to (N, OH, OW, KH * KW * C)."),
        (flat.reshape(-1, 18), "The values are right; keep the axes N, OH and OW."),
        (right.transpose(0, 1, 2, 5, 3, 4).reshape(flat.shape),
         "The channels must be last within a row: KH, KW, C."),
        (right.transpose(0, 1, 2, 4, 3, 5).reshape(flat.shape),
         "Rows and columns of the kernel are exchanged.")], rtol=0)


def test_gradient_of_kernels(answers):
    rng = np.random.default_rng(0)
    x, gy = rng.standard_normal((2, 6, 5, 3)), rng.standard_normal((2, 4, 4, 7))
    w = Tensor(np.zeros((3, 2, 3, 7)), requires_grad=True)
    ops.conv2d(Tensor(x), w).backward(gy)
    right = w.grad.numpy()
    same("gradient_of_kernels(x, gy, 3, 2)", answers.gradient_of_kernels(x, gy, 3, 2), right, [
        (right / len(x), "The images add up: it is a sum over the batch, not a mean."),
        (right / gy[..., 0].size, "It is a sum over images and positions, not a mean."),
        (right.transpose(0, 1, 3, 2), "The channels come before the kernels: (KH, KW, C, O)."),
        (right[::-1, ::-1], "The window at (u, v) starts at row u and column v, not at the end."),
        (right.reshape(-1, 7), "The values are right; give them the shape (KH, KW, C, O).")])
