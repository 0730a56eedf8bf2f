"""Exercises of chapter 09: AlexNet. Then check("ch09") in the notebook."""

import math  # noqa: F401


def windows_2012(size, kernel, stride):
    """(windows, zeros): their number when rounded up, and the rows of zeros that they need."""
    raise NotImplementedError


def field(layers):
    """How many pixels in a row one number depends on, after several layers.

    layers: (kernel, stride) of each convolution and pooling, the first one first.
    """
    raise NotImplementedError


def totals(groups):
    """(parameters, multiply-accumulates) of AlexNet with 1 or 2 groups in conv2, conv4, conv5."""
    raise NotImplementedError


def operations(rows, batch):
    """Operations in a training step: `rows` as `net.count()` gives them, for any network."""
    raise NotImplementedError


def smallest_batch(row, per_byte):
    """Smallest batch with at least `per_byte` operations, forward, for each byte of parameters.

    row: of `net.count()`; float32.
    """
    raise NotImplementedError


def repair(net):
    """Give the weights of an AlexNet made with init="paper" the values of init="run145".

    Both draw the same random numbers. Changes `net` (see `net.state`), returns it.
    """
    raise NotImplementedError
