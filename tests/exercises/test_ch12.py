"""Tests of the exercises of chapter 12."""

import numpy as np
import pytest

from minialex.training import ranks

pytestmark = pytest.mark.ch12


def test_top5_error(answers):
    scores = np.array([[9, 8, 7, 6, 5, 4, 3, 2]] * 4)
    assert answers.top5_error(scores, np.array([0, 4, 5, 7])) == 0.5
    assert answers.top5_error(scores, np.array([4, 4, 4, 5])) == 0.25
    assert answers.top5_error(np.zeros((3, 10)), np.array([0, 5, 9])) == 1  # knows nothing


def test_top5_error_is_the_library_s(answers):
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 6, (200, 9)), rng.integers(0, 9, 200)
    assert answers.top5_error(scores, labels) == pytest.approx(np.mean(ranks(scores, labels) >= 5))


def test_nearest_by_angle(answers):
    a = np.array([[10.0, 1.0], [0.1, 2.0], [-1.0, -1.0]])
    b = np.array([[0.01, 0.0], [50.0, 50.0], [0.0, 1.0], [-3.0, -3.0]])
    np.testing.assert_array_equal(answers.nearest_by_angle(a, b), [0, 2, 3])


def test_nearest_by_angle_against_loops(answers):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((20, 5)), rng.standard_normal((30, 5)) * rng.uniform(0.1, 9, (30, 1))
    expected = [max(range(30), key=lambda j, x=x: x @ b[j] / np.linalg.norm(b[j])) for x in a]
    np.testing.assert_array_equal(answers.nearest_by_angle(a, b), expected)


def test_vote(answers):
    distances = np.array([[1.0, 2.0, 3.0, 9.0, 8.0], [9.0, 8.0, 2.0, 4.0, 3.0]])
    labels = np.array([2, 7, 7, 0, 2])
    np.testing.assert_array_equal(answers.vote(distances, labels, 1), [2, 7])
    np.testing.assert_array_equal(answers.vote(distances, labels, 3), [7, 0])  # 0, 2, 7: a tie
    np.testing.assert_array_equal(answers.vote(distances, labels, 5), [2, 2])  # a tie of two


@pytest.mark.parametrize(("layers", "place", "expected"), [
    ([], 5, (5, 5)),
    ([(11, 4, 0)], 0, (0, 10)),
    ([(11, 4, 0)], 54, (216, 226)),
    ([(11, 4, 0), (3, 2, 0)], 26, (208, 226)),
    ([(5, 1, 2)], 0, (-2, 2)),
    ([(11, 4, 0), (3, 2, 0), (5, 1, 2), (3, 2, 0)], 6, (80, 146)),  # AlexNet's pool2, the middle
    ([(3, 2, 1), (3, 1, 1)], 0, (-3, 3))])
def test_window(answers, layers, place, expected):
    assert tuple(answers.window(layers, place)) == expected


def test_most_exciting(answers):
    maps = np.zeros((4, 3, 3, 2))
    maps[2, 0, 1, 0], maps[1, 2, 2, 0], maps[3, 1, 1, 0] = 5, 3, 4
    maps[0, :, :, 1] = 1  # a large sum, but no large response
    maps[3, 0, 0, 1], maps[1, 2, 0, 1] = 2, 4
    np.testing.assert_array_equal(answers.most_exciting(maps, 2), [[2, 3], [1, 3]])
    assert np.shape(answers.most_exciting(maps, 3)) == (2, 3)


def test_cover(answers):
    weight = np.random.default_rng(0).standard_normal((4, 6, 1, 3))

    def probabilities(images):
        return np.tensordot(images, weight, axes=3)  # (N, 3), no probabilities, but easy to check

    image = np.arange(24.0).reshape(4, 6, 1)
    parts = (image * weight[..., 1]).reshape(2, 2, 3, 2)  # rows, in a square, columns, in a square
    np.testing.assert_allclose(answers.cover(probabilities, image, 1, 2), parts.sum(axis=(1, 3)))
    np.testing.assert_array_equal(image, np.arange(24.0).reshape(4, 6, 1))  # as it was
