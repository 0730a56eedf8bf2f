"""Exercises of chapter 04: a linear classifier. Then check("ch04") in the notebook."""

import numpy as np  # noqa: F401


def loss_at_start(classes):
    """Cross-entropy of a classifier that gives all classes the same probability: a number."""
    raise NotImplementedError


def log_softmax(scores):
    """(N, classes) -> (N, classes), the logarithms of the probabilities; never infinite nor nan."""
    raise NotImplementedError


def gradients(x, w, b, labels):
    """x (N, in), w (in, classes), b (classes,), labels (N,) -> (gw, gb), for the mean loss."""
    raise NotImplementedError


def most_confused(scores, labels):
    """scores (N, classes), labels (N,) -> (right class, guess) of the most frequent mistake."""
    raise NotImplementedError


def coasting(v, momentum):
    """Sum of all steps that follow the velocity v if there are no gradients and no weight decay."""
    raise NotImplementedError


def steps_down(rate, momentum, most=10_000):
    """Steps by the paper's rule, without decay, down the valley 50 a**2 + b**2 / 2 from (1, 1).

    Returns how many it took until both |a| and |b| were below 0.001, or None if `most` did not do.
    """
    raise NotImplementedError
