"""Tests of the exercises of chapter 09."""

import math

import pytest
from checking import same

from minialex import models
from minialex.models.alexnet import LayerCount

pytestmark = pytest.mark.ch09
CONV1 = LayerCount("conv1", (55, 55, 96), 34_944, 105_415_200)
FC6 = LayerCount("fc6", (4096,), 37_752_832, 37_748_736)


@pytest.mark.parametrize(("size", "kernel", "stride", "expected"), [
    (224, 11, 4, (55, 3)), (227, 11, 4, (55, 0)), (228, 11, 4, (56, 3)), (55, 3, 2, (27, 0)),
    (28, 3, 2, (14, 1))])
def test_windows_2012(answers, size, kernel, stride, expected):
    down = 1 + (size - kernel) // stride
    same(f"windows_2012({size}, {kernel}, {stride})", answers.windows_2012(size, kernel, stride),
         expected, [
             ((down, 0), "That is rounded down; the program of 2012 rounded up."),
             ((down, (size - kernel) % stride), "That is rounded down, with the pixels left over; "
              "the program of 2012 rounded up."),
             (expected[::-1], "The windows come first, then the zeros."),
             ((expected[0] - 1, expected[1]), "The first window counts as well.")])


@pytest.mark.parametrize(("layers", "expected"), [
    ([(11, 4)], 11), ([(11, 4), (3, 2)], 19), ([(3, 1), (3, 1)], 5),
    ([(11, 4), (3, 2), (5, 1), (3, 2), (3, 1), (3, 1), (3, 1), (3, 2)], 195)])
def test_field(answers, layers, expected):
    kernels = [kernel for kernel, _ in layers]
    own = 1 + sum((kernel - 1) * stride for kernel, stride in layers)
    same(f"field({layers})", answers.field(layers), expected, [
        (1 + sum(kernels) - len(kernels), "Two neighbours of an upper layer lie further apart in "
         "the image than one pixel: the strides below multiply."),
        (own, "A layer's own stride moves the layers above it, not its own kernel."),
        (math.prod(kernels), "Windows overlap, so their sizes do not multiply.")])


@pytest.mark.parametrize(("groups", "expected"), [
    (2, (60_965_224, 724_406_816)), (1, (62_378_344, 1_135_256_096))])
def test_totals(answers, groups, expected):
    both = {2: (62_378_344, 1_135_256_096), 1: (60_965_224, 724_406_816)}
    biases = 96 + 256 + 384 + 384 + 256 + 4096 + 4096 + 1000
    same(f"totals({groups})", answers.totals(groups), expected, [
        (both[groups], f"Those are the numbers with {3 - groups} group{'s' * (groups == 1)}."),
        ((expected[0] - biases, expected[1]), "Each kernel has a bias, too."),
        (expected[::-1], "The parameters come first.")])


@pytest.mark.parametrize(("rows", "batch"), [([CONV1, FC6], 1), ([FC6], 128)])
def test_operations(answers, rows, batch):
    products = sum(row.multiply_accumulates for row in rows)
    first = rows[0].multiply_accumulates
    same(f"operations({[row.name for row in rows]}, {batch})", answers.operations(rows, batch),
         2 * batch * (3 * products - first), [
             (2 * batch * 3 * products, "The first layer needs no gradient of the images."),
             (batch * (3 * products - first), "A multiply-accumulate is two operations."),
             (2 * (3 * products - first), "That is for one image."),
             (2 * batch * products, "That is the forward pass alone.")])


@pytest.mark.parametrize(("row", "per_byte", "expected"), [
    (CONV1, 10, 1), (FC6, 10, 21), (FC6, 64, 129), (LayerCount("fc", (10,), 100, 100), 5, 10)])
def test_smallest_batch(answers, row, per_byte, expected):
    exact = per_byte * 4 * row.parameters / (2 * row.multiply_accumulates)
    same(f"smallest_batch({row.name}, {per_byte})", answers.smallest_batch(row, per_byte),
         expected, [
             (exact, "A batch is a whole number: round up."),
             (math.floor(exact), "Round up: with this batch it is a little too few."),
             (math.ceil(exact / 4), "A float32 has four bytes."),
             (math.ceil(2 * exact), "A multiply-accumulate is two operations.")])


def test_repair(answers):
    def narrow(init):
        return models.AlexNet(("cpu:0", "cpu:1"), classes=10, image_size=67, width=1 / 16,
                              init=init, seed=4)

    repaired = answers.repair(narrow("paper"))
    if repaired is None:
        pytest.fail("repair(net) gives None; return the network.", pytrace=False)
    printed, expected = narrow("paper").state(), narrow("run145").state()
    for name, value in repaired.state().items():
        same(f"{name} after repair(net)", value, expected[name], [
            (printed[name], "It is as the paper has it; the run had 0.03 here."),
            (3 * printed[name], "This one has the same value in the paper and in the run.")],
            rtol=1e-5)
