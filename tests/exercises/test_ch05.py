"""Tests of the exercises of chapter 05."""

import numpy as np
import pytest

from minialex import Tensor, ops

pytestmark = pytest.mark.ch05


@pytest.mark.parametrize(("size", "kernel", "stride", "pad", "expected"), [
    (5, 3, 1, 0, 3), (5, 3, 1, 1, 5), (227, 11, 4, 0, 55), (224, 11, 4, 0, 54), (27, 5, 1, 2, 27)])
def test_output_size(answers, size, kernel, stride, pad, expected):
    assert answers.output_size(size, kernel, stride, pad) == expected


@pytest.mark.parametrize(("layer", "expected"), [
    ((11, 11, 3, 96, 55, 55), (34_848, 105_415_200)),
    ((5, 5, 96, 256, 27, 27, 2), (307_200, 223_948_800))])
def test_count(answers, layer, expected):
    assert tuple(answers.count(*layer)) == expected


def test_blur(answers):
    image = np.arange(20.0).reshape(4, 5) ** 2
    blurred = answers.blur(image, 2)
    expected = (image[:-1, :-1] + image[1:, :-1] + image[:-1, 1:] + image[1:, 1:]) / 4
    np.testing.assert_allclose(blurred, expected, rtol=1e-5)


def test_patches_of(answers):
    x = np.random.default_rng(0).standard_normal((2, 6, 5, 3))
    patches = answers.patches_of(x, 3, 2)
    assert patches.shape == (2, 4, 4, 18)
    for n, i, j in np.ndindex(2, 4, 4):
        np.testing.assert_array_equal(patches[n, i, j], x[n, i : i + 3, j : j + 2].ravel())


def test_gradient_of_kernels(answers):
    rng = np.random.default_rng(0)
    x, gy = rng.standard_normal((2, 6, 5, 3)), rng.standard_normal((2, 4, 4, 7))
    w = Tensor(np.zeros((3, 2, 3, 7)), requires_grad=True)
    ops.conv2d(Tensor(x), w).backward(gy)
    np.testing.assert_allclose(answers.gradient_of_kernels(x, gy, 3, 2), w.grad.numpy())
