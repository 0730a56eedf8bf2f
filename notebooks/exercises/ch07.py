"""Exercises of chapter 07: LeNet learns. Then check("ch07") in the notebook."""

import numpy as np  # noqa: F401


def parameters_of_c3(seen, kernel=5):
    """Weights and biases of a convolution whose map k sees seen[k] maps of the layer before."""
    raise NotImplementedError


def uncertainty(error, n):
    """Standard deviation of an error (a share) that was measured on n images."""
    raise NotImplementedError


def receptive_field(layers):
    """Pixels across that one output of these layers depends on; layers: (size, stride), in order.

    A convolution and a pooling count alike. The receptive field of no layers is 1.
    """
    raise NotImplementedError


def best_epoch(errors, patience):
    """The epoch, counted from 0, whose weights to keep if training stops as soon as the error was
    not below the best one for `patience` epochs in a row. errors: of all epochs, in order.
    """
    raise NotImplementedError


def error_rate(net, images, labels, batch):
    """Share of images guessed wrong, `batch` at a time, in evaluation; the net's mode is kept."""
    raise NotImplementedError
