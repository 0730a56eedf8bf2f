"""Tests of the exercises of chapter 09."""

import numpy as np
import pytest

from minialex import models
from minialex.models.alexnet import LayerCount

pytestmark = pytest.mark.ch09
CONV1 = LayerCount("conv1", (55, 55, 96), 34_944, 105_415_200)
FC6 = LayerCount("fc6", (4096,), 37_752_832, 37_748_736)


@pytest.mark.parametrize(("size", "kernel", "stride", "expected"), [
    (224, 11, 4, (55, 3)), (227, 11, 4, (55, 0)), (228, 11, 4, (56, 3)), (55, 3, 2, (27, 0)),
    (28, 3, 2, (14, 1))])
def test_windows_2012(answers, size, kernel, stride, expected):
    assert tuple(answers.windows_2012(size, kernel, stride)) == expected


@pytest.mark.parametrize(("layers", "expected"), [
    ([(11, 4)], 11), ([(11, 4), (3, 2)], 19), ([(3, 1), (3, 1)], 5),
    ([(11, 4), (3, 2), (5, 1), (3, 2), (3, 1), (3, 1), (3, 1), (3, 2)], 195)])
def test_field(answers, layers, expected):
    assert answers.field(layers) == expected


@pytest.mark.parametrize(("groups", "expected"), [
    (2, (60_965_224, 724_406_816)), (1, (62_378_344, 1_135_256_096))])
def test_totals(answers, groups, expected):
    assert tuple(answers.totals(groups)) == expected


@pytest.mark.parametrize(("rows", "batch", "expected"), [
    ([CONV1, FC6], 1, 4 * 105_415_200 + 6 * 37_748_736), ([FC6], 128, 4 * 128 * 37_748_736)])
def test_operations(answers, rows, batch, expected):
    assert answers.operations(rows, batch) == expected


@pytest.mark.parametrize(("row", "per_byte", "expected"), [
    (CONV1, 10, 1), (FC6, 10, 21), (FC6, 64, 129), (LayerCount("fc", (10,), 100, 100), 5, 10)])
def test_smallest_batch(answers, row, per_byte, expected):
    assert answers.smallest_batch(row, per_byte) == expected


def test_repair(answers):
    def narrow(init):
        return models.AlexNet(("cpu:0", "cpu:1"), classes=10, image_size=67, width=1 / 16,
                              init=init, seed=4)

    repaired, expected = answers.repair(narrow("paper")).state(), narrow("run145").state()
    for name, value in expected.items():
        np.testing.assert_allclose(repaired[name], value, rtol=1e-5, err_msg=name)
