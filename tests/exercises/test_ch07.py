"""Tests of the exercises of chapter 07."""

import math

import numpy as np
import pytest
from checking import same

from minialex import Tensor, nn

pytestmark = pytest.mark.ch07


@pytest.mark.parametrize(("seen", "kernel", "expected"), [
    ([6] * 16, 5, 2_416), ([3] * 6 + [4] * 9 + [6], 5, 1_516), ([1, 2], 3, 9 + 1 + 18 + 1)])
def test_parameters_of_c3(answers, seen, kernel, expected):
    maps = len(seen)
    same(f"parameters_of_c3({seen}, kernel={kernel})",
         answers.parameters_of_c3(seen, kernel=kernel), expected, [
             (expected - maps, "The biases are missing: one for each map."),
             (expected - maps + 1, "Each of the maps has a bias of its own."),
             (expected - maps + sum(seen), "A map has one bias, however many maps it sees."),
             (sum(seen) * kernel + maps, "A kernel has kernel * kernel weights."),
             (maps * 6 * kernel**2 + maps, "That is for maps that see all six."),
             (sum(25 * n + 1 for n in seen), "The kernel may have another size than 5.")])


@pytest.mark.parametrize(("error", "n", "expected"), [(0.1, 400, 0.015), (0.12, 2000, 0.00726636)])
def test_uncertainty(answers, error, n, expected):
    variance = error * (1 - error) / n
    same(f"uncertainty({error}, {n})", answers.uncertainty(error, n), expected, [
        (variance, "That is the variance; its square root is the standard deviation."),
        (expected * n**0.5, "That is for one image; divide by n under the root."),
        (expected * n, "That is for the number of wrong images; their share is asked for."),
        ((error * (1 - error)) ** 0.5 / n, "n stands under the root."),
        ((error / n) ** 0.5, "The factor 1 - e is missing."),
        (100 * expected, "Give a share, not a percentage.")], rtol=1e-4)


@pytest.mark.parametrize(("layers", "expected"), [
    ([], 1), ([(5, 1)], 5), ([(5, 1), (2, 2)], 6), ([(5, 1), (2, 2), (5, 1), (2, 2)], 16),
    ([(11, 4), (3, 2), (5, 1), (3, 2), (3, 1), (3, 1), (3, 1), (3, 2)], 195)])
def test_receptive_field(answers, layers, expected):
    wrong_way = 1
    for size, stride in layers:
        wrong_way = (wrong_way - 1) * stride + size
    same(f"receptive_field({layers})", answers.receptive_field(layers), expected, [
        (wrong_way, "Begin with the last layer, or the strides multiply the wrong fields."),
        (1 + sum(size - 1 for size, _ in layers), "Strides count: two neighbours of an upper layer "
         "lie further apart in the image than one pixel."),
        (1 + sum((size - 1) * stride for size, stride in layers),
         "A layer's own stride moves the layers above it, not its own window."),
        (math.prod(size for size, _ in layers), "Windows overlap, so their sizes do not multiply."),
        (0, "No layers see one pixel: begin with 1."),
        (expected**2, "That is the number of pixels; only the width is asked for.")])


@pytest.mark.parametrize(("errors", "patience", "expected", "mistakes"), [
    ([5, 4, 3, 2], 2, 3, []),  # never stops
    ([5, 3, 4, 4, 1], 2, 1, [
        (4, "Training had stopped before the last epoch; it never took place."),
        (3, "That is where training stops; the weights to keep are those of the best epoch.")]),
    ([5, 3, 4, 2, 6, 6, 6], 2, 3, [
        (1, "One worse epoch is fewer than the patience; training goes on."),
        (5, "That is where training stops; the weights to keep are those of the best epoch."),
        (4, "Epochs are counted from 0.")]),
    ([5, 3, 3, 3, 1], 2, 1, [
        (3, "An epoch that is as good as the best is not below it."),
        (4, "An epoch that is as good as the best is not below it, so it does not start the "
         "patience anew.")]),
    ([5, 3, 6, 4, 7, 7], 4, 1, [
        (3, "Better than the epoch before is not better than the best.")])])
def test_best_epoch(answers, errors, patience, expected, mistakes):
    same(f"best_epoch({errors}, {patience})", answers.best_epoch(errors, patience), expected,
         [*mistakes, (min(errors), "Give the number of the epoch, not its error."),
          (expected + 1, "Epochs are counted from 0.")])


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
    call = "error_rate(net, images, labels, 3) of 7 images"
    same(call, answers.error_rate(net, images, labels, 3), 2 / 7, [
        (np.mean((-images).argmax(axis=1) != labels), "The network was still in training; call "
         "net.eval() first."),
        (2, "That is their number; give the share."),
        (5 / 7, "That is the share of right guesses."),
        (1 / 6, "The last batch is missing: it is smaller than the others."),
        (1 / 7, "The last batch is missing: it is smaller than the others."),
        ((0 + 1 / 3 + 1) / 3, "Each image counts the same; a mean over batches counts those of the "
         "small last batch more.")])
    if net.training != training:
        mode = {True: "training", False: "evaluation"}
        pytest.fail(f"{call}: the net was in {mode[training]} before and is in "
                    f"{mode[net.training]} now; give it its mode back.", pytrace=False)
    same("the sizes of the batches that the net was given, sorted", sorted(net.sizes), [1, 3, 3], [
        ([7], "Show it `batch` images at a time, not all at once."),
        ([1] * 7, "Show it `batch` images at a time, not each alone.")])
