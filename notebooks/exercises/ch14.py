"""Exercises of chapter 14: many processes. Then check("ch14") in the notebook."""

import numpy as np  # noqa: F401


def rows_of(n, rank, size):
    """The slice of a batch of n images that a rank takes.

    Together the ranks 0 .. size - 1 take each image once; no rank takes over one more than another.
    """
    raise NotImplementedError


def joined_gradient(gradients, counts):
    """Of the mean loss over all images of all ranks.

    gradients: an array of each rank, of the mean loss over its own images; counts: how many it has.
    A rank without images has a mean of nothing: its array may hold anything, also NaN.
    """
    raise NotImplementedError


def sum_by_pairs(arrays):
    """One array from each of 1, 2, 4, 8, ... ranks -> (sums, sent, steps).

    sums: what each rank has at the end; sent: bytes that each rank has sent; steps: how many.
    The arrays stay as they are.
    """
    raise NotImplementedError


def break_even(fc_weights, pool5, units):
    """Largest number of images, of all workers together, for which hybrid sends no more.

    pool5: numbers of an image into fc6; units: out of fc6, and out of fc7. See the chapter's cell.
    """
    raise NotImplementedError


def efficiency(forward, backward, size, k, link, latency):
    """Work / time of a data parallel step; the sum goes on behind backward, as far as it fits.

    forward, backward: seconds of work; size: bytes of all gradients; k: workers; link: bytes per
    second out of each; latency: seconds for each step of the ring, beside its bytes.
    """
    raise NotImplementedError


def rate_at(step, rate, k, steps):
    """From `rate` at step 0 in a straight line to k times `rate` at step `steps`; then constant."""
    raise NotImplementedError
