"""Exercises of chapter 10: data as in 2012. Then check("ch10") in the notebook."""

import numpy as np  # noqa: F401


def places(side, size):
    """How many crops of size x size pixels an image of side x side has, with mirror images."""
    raise NotImplementedError


def central_square(height, width):
    """(top, left, side) of the largest square in the middle; halves are rounded down."""
    raise NotImplementedError


def mirror(images):
    """(N, H, W, C) -> the same, with left and right exchanged."""
    raise NotImplementedError


def colour_noise(covariance, normal):
    """Change of colour (3,) as it was run: covariance (3, 3), three numbers from N(0, 1).

    normal[k] belongs to the k-th smallest eigenvalue. Without the division by 1.1.
    """
    raise NotImplementedError


def ten_views_of(image, size):
    """(H, W, C) -> (10, size, size, C): corners (top left, top right, bottom left, bottom right),
    centre, then the mirror images of these five."""
    raise NotImplementedError


def average(logits):
    """(views, classes), numbers before the softmax -> (classes,), the mean of the probabilities."""
    raise NotImplementedError
