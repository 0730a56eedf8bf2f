"""Tests of the exercises of chapter 10."""

import numpy as np
import pytest
from checking import same

from minialex.datasets import Preparation

pytestmark = pytest.mark.ch10


@pytest.mark.parametrize(("side", "size", "expected"), [
    (256, 227, 1800), (256, 224, 2178), (5, 5, 2)])
def test_places(answers, side, size, expected):
    room = side - size
    same(f"places({side}, {size})", answers.places(side, size), expected, [
        (2 * room**2, "The corner can lie in row 0 and in the last possible row: count both ends."),
        (expected // 2, "Each crop has a mirror image, too."),
        (2 * (room + 1), "Rows and columns are chosen independently."),
        (side**2 - size**2, "Count where the corner can lie, not the pixels that are left over.")])


@pytest.mark.parametrize(("height", "width", "expected"), [
    (256, 256, (0, 0, 256)), (300, 200, (50, 0, 200)), (11, 16, (0, 2, 11))])
def test_central_square(answers, height, width, expected):
    top, left, side = expected
    same(f"central_square({height}, {width})", answers.central_square(height, width), expected, [
        ((left, top, side), "The top comes first, then the left."),
        ((0, 0, side), "That is the square at the top left; half of what is left over lies before "
         "it."),
        ((height - side, width - side, side), "That is the square at the end; only half of what is "
         "left over lies before it."),
        (((height - side) / 2, (width - side) / 2, side), "Pixels are whole: round halves down."),
        ((height // 2, width // 2, side), "That is the centre of the picture, not the corner of "
         "the square.")])


def test_mirror(answers):
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 3))
    expected = np.zeros_like(images)
    for n, i, j in np.ndindex(2, 3, 4):
        expected[n, i, j] = images[n, i, 3 - j]
    same("mirror(images) of shape (2, 3, 4, 3)", answers.mirror(images), expected, [
        (images, "They are unchanged."),
        (images[:, ::-1], "That is upside down: axis 1 are the rows."),
        (images[::-1], "That is another order of the images: axis 2 are the columns."),
        (images[..., ::-1], "That exchanges red and blue: axis 2 are the columns."),
        (images[:, ::-1, ::-1], "That is turned by half a circle: only the columns change."),
        (images.swapaxes(1, 2), "Rows and columns are exchanged.")])


@pytest.mark.parametrize("k", range(3))
def test_colour_noise(answers, k):
    rng = np.random.default_rng(0)
    mixed = rng.standard_normal((3, 3))
    covariance = 100 * mixed @ mixed.T
    eigenvalues, eigenvectors = np.linalg.eigh(covariance)
    normal = np.eye(3)[k]
    change = np.asarray(answers.colour_noise(covariance, normal), float)
    # Which way an eigenvector points is not defined: take the sign that fits best.
    sign = 1 if change.shape != (3,) or change @ eigenvectors[:, k] >= 0 else -1
    right = sign * 0.1 * np.sqrt(eigenvalues[k]) * eigenvectors[:, k]
    wrong = 0.1 * np.sqrt(eigenvalues) * normal
    same(f"colour_noise(covariance, {normal.astype(int)})", change, right, [
        (right * np.sqrt(eigenvalues[k]), "That has the eigenvalue, as the paper prints it; its "
         "square root was meant."),
        (10 * right, "A tenth of the deviation is enough."),
        (right / 1.1, "That is divided by 1.1, which comes later."),
        (wrong, "These are lengths along the eigenvectors, not yet red, green and blue."),
        *((s * eigenvectors.T @ wrong, "The eigenvectors are the columns of the matrix, and here "
           "its rows were taken.") for s in (1, -1))])


def test_ten_views_of(answers):
    image = np.random.default_rng(0).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    preparation = Preparation(6, np.zeros(image.shape, np.float32))
    right = preparation.apply(image[None], preparation.ten_views(1, image.shape)).astype(np.uint8)
    five = right[:5]
    pairs = np.stack([five, five[:, :, ::-1]], axis=1).reshape(right.shape)
    same("ten_views_of(image, 6) of an image (9, 11, 3)", answers.ten_views_of(image, 6), right, [
        (np.concatenate([five, five]), "The second five are not mirrored."),
        (np.concatenate([five, five[:, ::-1]]), "The second five are upside down."),
        (pairs, "First all five, then the mirror images of all five."),
        (five, "The mirror images are missing."),
        (right[[4, 0, 1, 2, 3, 9, 5, 6, 7, 8]], "The corners come before the centre."),
        (right[[0, 2, 1, 3, 4, 5, 7, 6, 8, 9]], "Top right comes before bottom left.")])


def test_average(answers):
    logits = np.array([[9.0, 0, 0], [0, 1, 0], [0, 1, 0], [0, 1, 0]])

    def softmax(z):
        return np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)

    same("average(logits) of four views", answers.average(logits), softmax(logits).mean(axis=0), [
        (softmax(logits.mean(axis=0)), "That averages the scores; take the softmax of each view "
         "first."),
        (logits.mean(axis=0), "That averages the scores; where is the softmax?"),
        (softmax(logits), "Those are the probabilities of each view; their mean is missing."),
        (softmax(logits).sum(axis=0), "That is the sum over the views, not the mean."),
        (softmax(logits).mean(axis=1), "The mean goes over the views, axis 0."),
        (softmax(logits.T).T.mean(axis=0), "The softmax goes over the classes, axis 1.")])
    with np.errstate(all="ignore"):  # the sentence says it
        large = answers.average(np.array([[1000.0, 0]]))
    same("average([[1000, 0]])", large, np.array([1.0, 0]), [
        (np.array([np.nan, 0]), "exp(1000) overflows; subtract the largest score of each view "
         "first.")])
