"""Tests of the exercises of chapter 07."""

import numpy as np
import pytest

from minialex import Tensor, nn

pytestmark = pytest.mark.ch07


@pytest.mark.parametrize(("seen", "expected"), [
    ([6] * 16, 2_416), ([3] * 6 + [4] * 9 + [6], 1_516)])
def test_parameters_of_c3(answers, seen, expected):
    assert answers.parameters_of_c3(seen) == expected


def test_parameters_of_c3_of_another_size(answers):
    assert answers.parameters_of_c3([1, 2], kernel=3) == 9 + 1 + 18 + 1


def test_uncertainty(answers):
    rng = np.random.default_rng(0)
    measured = (rng.random((5000, 400)) < 0.1).mean(axis=1)  # 5,000 tests of 400 images
    assert answers.uncertainty(0.1, 400) == pytest.approx(measured.std(), rel=0.05)
    assert answers.uncertainty(0.12, 2000) == pytest.approx(0.00727, abs=1e-5)


@pytest.mark.parametrize(("layers", "expected"), [
    ([], 1), ([(5, 1)], 5), ([(5, 1), (2, 2)], 6), ([(5, 1), (2, 2), (5, 1), (2, 2)], 16),
    ([(11, 4), (3, 2), (5, 1), (3, 2), (3, 1), (3, 1), (3, 1), (3, 2)], 195)])
def test_receptive_field(answers, layers, expected):
    assert answers.receptive_field(layers) == expected


@pytest.mark.parametrize(("errors", "patience", "expected"), [
    ([5, 4, 3, 2], 2, 3),  # never stops
    ([5, 3, 4, 4, 1], 2, 1),  # stops before the 1
    ([5, 3, 4, 2, 6, 6, 6], 2, 3),  # a single worse epoch does not stop it
    ([5, 3, 3, 3, 1], 2, 1),  # as good as the best is not below it
    ([5, 3, 6, 4, 7, 7], 4, 1)])  # better than the one before is not below it
def test_best_epoch(answers, errors, patience, expected):
    assert answers.best_epoch(errors, patience) == expected


class Scores(nn.Module):
    """Scores that are the images themselves, if it is in evaluation."""

    def __init__(self):
        self.sizes = []

    def forward(self, images):
        images = images.numpy() if isinstance(images, Tensor) else np.asarray(images)
        self.sizes.append(len(images))
        return Tensor(-images if self.training else images)


@pytest.mark.parametrize("training", [True, False])
def test_error_rate(answers, training):
    net, labels = Scores().train(training), np.array([0, 1, 2, 0, 1, 2, 0])
    guesses = np.array([0, 1, 2, 0, 1, 0, 1])  # the last two are wrong
    images = np.eye(3, dtype=np.float32)[guesses]
    assert answers.error_rate(net, images, labels, 3) == pytest.approx(2 / 7)
    assert net.training == training
    assert sorted(net.sizes) == [1, 3, 3]
