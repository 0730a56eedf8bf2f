"""Tests of the exercises of chapter 10."""

import numpy as np
import pytest

from minialex.datasets import Preparation

pytestmark = pytest.mark.ch10


@pytest.mark.parametrize(("side", "size", "expected"), [
    (256, 227, 1800), (256, 224, 2178), (5, 5, 2)])
def test_places(answers, side, size, expected):
    assert answers.places(side, size) == expected


@pytest.mark.parametrize(("height", "width", "expected"), [
    (256, 256, (0, 0, 256)), (300, 200, (50, 0, 200)), (11, 16, (0, 2, 11))])
def test_central_square(answers, height, width, expected):
    assert tuple(answers.central_square(height, width)) == expected


def test_mirror(answers):
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 3))
    mirrored = answers.mirror(images)
    for n, i, j in np.ndindex(2, 3, 4):
        np.testing.assert_array_equal(mirrored[n, i, j], images[n, i, 3 - j])


def test_colour_noise(answers):
    rng = np.random.default_rng(0)
    mixed = rng.standard_normal((3, 3))
    covariance = 100 * mixed @ mixed.T
    eigenvalues, eigenvectors = np.linalg.eigh(covariance)
    for k in range(3):
        change = answers.colour_noise(covariance, np.eye(3)[k])
        expected = 0.1 * np.sqrt(eigenvalues[k])
        along = np.abs(eigenvectors.T @ np.asarray(change, float))
        np.testing.assert_allclose(along, expected * np.eye(3)[k], atol=1e-9)


def test_ten_views_of(answers):
    image = np.random.default_rng(0).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    preparation = Preparation(6, np.zeros(image.shape, np.float32))
    expected = preparation.apply(image[None], preparation.ten_views(1, image.shape))
    np.testing.assert_array_equal(answers.ten_views_of(image, 6), expected)


def test_average(answers):
    logits = np.array([[9.0, 0, 0], [0, 1, 0], [0, 1, 0]])
    powers = np.exp(logits)
    expected = (powers / powers.sum(axis=1, keepdims=True)).mean(axis=0)
    np.testing.assert_allclose(answers.average(logits), expected)
    large = np.asarray(answers.average(np.array([[1000.0, 0]])), float)
    np.testing.assert_allclose(large, [1, 0], err_msg="exp of large numbers overflows")
