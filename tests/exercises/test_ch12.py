"""Tests of the exercises of chapter 12."""

import numpy as np
import pytest
from checking import same

from minialex.training import ranks

pytestmark = pytest.mark.ch12


def of_top5(answers, what, scores, labels):
    right = scores[np.arange(len(labels)), labels][:, None]
    better, as_good = np.sum(scores > right, axis=1), np.sum(scores >= right, axis=1)
    first = np.argsort(-scores, axis=1, kind="stable")[:, :5]  # a tie as the order has it
    lowest = np.argsort(scores, axis=1)[:, :5]
    listed, turned = (float(np.mean([label not in some for label, some in zip(
        labels, five, strict=True)])) for five in (first, lowest))
    expected = float(np.mean(as_good - 1 >= 5))
    same(f"top5_error of {what}", answers.top5_error(scores, labels), expected, [
        (float(np.mean(better >= 5)), "A class with the same score counts as a better guess."),
        (listed, "A class with the same score counts as a better guess, wherever sorting puts it."),
        (turned, "argsort begins with the lowest score; the five highest stand at its end."),
        (float(np.mean(as_good >= 5)), "The right class was counted as better than itself."),
        (float(np.mean(as_good >= 2)), "That is the top-1 error."),
        (1 - expected, "That is the share that is right."),
        (expected * len(labels), "That is a number of images, not a share.")])


@pytest.mark.parametrize("labels", [[0, 4, 5, 7], [4, 4, 4, 5]])
def test_top5_error(answers, labels):
    scores = np.array([[9, 8, 7, 6, 5, 4, 3, 2]] * 4)
    of_top5(answers, f"the scores 9, 8, ..., 2 and the labels {labels}", scores, np.array(labels))


def test_top5_error_of_a_network_that_knows_nothing(answers):
    of_top5(answers, "ten equal scores", np.zeros((3, 10)), np.array([0, 5, 9]))


def test_top5_error_is_the_library_s(answers):
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 6, (200, 9)), rng.integers(0, 9, 200)
    of_top5(answers, "200 images with many equal scores", scores, labels)
    same("top5_error, as training.ranks counts,", answers.top5_error(scores, labels),
         np.mean(ranks(scores, labels) >= 5))


def of_angle(answers, what, a, b):
    lengths = np.linalg.norm(b, axis=1)
    expected = [max(range(len(b)), key=lambda j, x=x: x @ b[j] / lengths[j]) for x in a]
    near = [min(range(len(b)), key=lambda j, x=x: np.sum((x - b[j]) ** 2)) for x in a]
    same(f"nearest_by_angle of {what}", answers.nearest_by_angle(a, b), np.array(expected), [
        ((a @ b.T).argmax(axis=1), "The rows of b must have the same length before you compare."),
        (np.array(near), "That is nearest by distance; here only the direction counts."),
        ((a @ (b / lengths[:, None]).T).argmin(axis=1), "Those point most away."),
        ((a @ (b / lengths[:, None]).T).argmax(axis=0), "That is a row of a for each row of b.")])


def test_nearest_by_angle(answers):
    a = np.array([[10.0, 1.0], [0.1, 2.0], [-1.0, -1.0]])
    of_angle(answers, "three vectors", a,
             np.array([[0.01, 0.0], [50.0, 50.0], [0.0, 1.0], [-3.0, -3.0]]))


def test_nearest_by_angle_among_many(answers):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((20, 5)), rng.standard_normal((30, 5)) * rng.uniform(0.1, 9, (30, 1))
    of_angle(answers, "20 vectors among 30", a, b)


@pytest.mark.parametrize(("count", "expected"), [
    (1, [2, 7]), (3, [7, 0]),  # 0, 2, 7: a tie
    (5, [2, 2])])  # a tie of two
def test_vote(answers, count, expected):
    distances = np.array([[1.0, 2.0, 3.0, 9.0, 8.0], [9.0, 8.0, 2.0, 4.0, 3.0]])
    labels = np.array([2, 7, 7, 0, 2])
    order = distances.argsort(axis=1)
    far = [np.bincount(labels[row[::-1][:count]]).argmax() for row in order]
    same(f"vote(distances, labels, {count})", answers.vote(distances, labels, count),
         np.array(expected), [
             (labels[order[:, 0]], "That is the class of the nearest picture alone."),
             (order[:, 0], "Those are numbers of pictures; look up their classes."),
             (order[:, :count], "Those are numbers of pictures; look up their classes, and count."),
             (labels[order[:, :count]], "Those are the classes; which one occurs most often?"),
             (np.array(far), "Those are the farthest; argsort begins with the smallest."),
             (np.array([7 if count == 3 else expected[0], 7]), "Of a tie, the smaller number wins.")
         ])


@pytest.mark.parametrize(("layers", "place", "expected"), [
    ([], 5, (5, 5)),
    ([(11, 4, 0)], 0, (0, 10)),
    ([(11, 4, 0)], 54, (216, 226)),
    ([(11, 4, 0), (3, 2, 0)], 26, (208, 226)),
    ([(5, 1, 2)], 0, (-2, 2)),
    ([(11, 4, 0), (3, 2, 0), (5, 1, 2), (3, 2, 0)], 6, (80, 146)),  # AlexNet's pool2, the middle
    ([(3, 2, 1), (3, 1, 1)], 0, (-3, 3))])
def test_window(answers, layers, place, expected):
    def down(order, padded=True):
        first = last = place
        for size, stride, pad in order:
            pad *= padded
            first, last = first * stride - pad, last * stride - pad + size - 1
        return first, last

    same(f"window({layers}, {place})", answers.window(layers, place), expected, [
        (down(layers), "Go from the last layer down to the first."),
        (down(layers[::-1], padded=False), "A layer with padding begins `pad` places earlier."),
        ((max(expected[0], 0), expected[1]), "Padding has numbers: the first may be negative."),
        ((expected[0], expected[1] + 1), "The last pixel is meant, not the one after it.")])


@pytest.mark.parametrize("count", [2, 3])
def test_most_exciting(answers, count):
    maps = np.zeros((4, 3, 3, 2))
    maps[2, 0, 1, 0], maps[1, 2, 2, 0], maps[3, 1, 1, 0] = 5, 3, 4
    maps[0, :, :, 1] = 1  # a large sum, but no large response
    maps[3, 0, 0, 1], maps[1, 2, 0, 1] = 2, 4
    best = np.array([[2, 3, 1], [1, 3, 0]])[:, :count]
    sums = np.argsort(-maps.sum(axis=(1, 2)), axis=0)[:count].T
    worst = np.argsort(maps.max(axis=(1, 2)), axis=0)[:count].T
    same(f"most_exciting(maps, {count})", answers.most_exciting(maps, count), best, [
        (best.T, "There must be a row for each kernel, not for each place in the order."),
        (sums, "The largest response counts, wherever it is, not the sum of all."),
        (worst, "Those respond least; argsort begins with the smallest."),
        (best[:, ::-1], "The best image comes first.")])


def test_cover(answers):
    weight = np.random.default_rng(0).standard_normal((4, 6, 1, 3))

    def probabilities(images):
        return np.tensordot(images, weight, axes=3)  # (N, 3), no probabilities, but easy to check

    image = np.arange(24.0).reshape(4, 6, 1)
    parts = (image * weight[..., 1]).reshape(2, 2, 3, 2)  # rows, in a square, columns, in a square
    falls = parts.sum(axis=(1, 3))
    found = answers.cover(probabilities, image, 1, 2)
    if not np.array_equal(image, np.arange(24.0).reshape(4, 6, 1)):
        pytest.fail("cover(...) changed the image itself; cover a copy.", pytrace=False)
    one_by_one = np.cumsum(falls.ravel()).reshape(2, 3)
    same("cover(probabilities, image, 1, 2)", found, falls, [
        (-falls, "It is how much the probability falls: before, less after."),
        (falls.sum() - falls, "That is the probability with the square covered; how much has it "
         "fallen?"),
        (one_by_one, "Each square was covered in addition to the ones before; begin with a new "
         "copy for each."),
        (falls.T, "Rows of squares come first.")], rtol=1e-6, atol=1e-9)
