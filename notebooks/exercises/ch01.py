"""Exercises of chapter 01: arrays and devices. In a cell of the chapter: check("ch01")"""

import numpy as np  # noqa: F401

from minialex import Tensor, ops  # noqa: F401


def size_in_bytes(shape, itemsize=4):
    """Bytes of an array of this shape, a tuple, whose numbers take `itemsize` bytes each."""
    raise NotImplementedError


def loudness(xp, x):
    """(N, D) -> (N,): the square root of the mean square of each row; `xp` is x's library."""
    raise NotImplementedError


def halves(batch, first, second):
    """A NumPy array (N, ...), N even, and two devices -> two tensors (N / 2, ...), one on each."""
    raise NotImplementedError


def add_cheaply(a, b):
    """The tensor a + b, on the device of the one with more bytes; only the other one is moved.

    Their shapes may differ, as long as one can be broadcast to the other. If both lie on the same
    device, nothing is moved.
    """
    raise NotImplementedError


def fits(function, device, room):
    """True if function() needs at most `room` bytes more than `device` has in use now, else False.

    The device's memory limit is afterwards what it was before.
    """
    raise NotImplementedError
