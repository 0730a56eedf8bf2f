"""Exercises of chapter 12: looking inside. Then check("ch12") in the notebook."""

import numpy as np  # noqa: F401


def top5_error(scores, labels):
    """Share of images whose right class is not among the first five guesses.

    scores: (N, classes), labels: (N,). Another class with the same score as the right one counts
    as a better guess.
    """
    raise NotImplementedError


def nearest_by_angle(a, b):
    """For each row of a, the row of b whose direction is most like its own.

    a: (N, D), b: (M, D) -> (N,) indices into b. Lengths do not count; no loop.
    """
    raise NotImplementedError


def vote(distances, labels, count):
    """For each image, the class that most of its `count` nearest training images have.

    distances: (N, M), labels: (M,), from 0 on -> (N,) classes; of a tie, the smaller number.
    """
    raise NotImplementedError


def window(layers, place):
    """(first, last): the pixels of a row that unit number `place` of the last layer depends on.

    layers: (size, stride, pad) of each convolution and pooling, the first one first. Pixels and
    units count from 0; padding has numbers too, so that the first may be negative.
    """
    raise NotImplementedError


def most_exciting(maps, count):
    """For each kernel the images, best first, with its largest response, wherever that is.

    maps: (N, H, W, C) -> (C, count) indices of images.
    """
    raise NotImplementedError


def cover(probabilities, image, label, size):
    """How much the probability of class `label` falls when one square of the image is zero.

    probabilities: a function, images (N, H, W, C) -> (N, classes). image: (H, W, C), with sides
    that `size` divides -> (H // size, W // size), one number for each square.
    """
    raise NotImplementedError
