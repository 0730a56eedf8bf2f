"""Exercises of chapter 11: training. Then check("ch11") in the notebook."""

import numpy as np  # noqa: F401


def loss_of_guessing(counts):
    """The mean loss, in nats, of who says for every image how frequent each class is.

    counts: (classes,), how many images there are of each; some may be 0.
    """
    raise NotImplementedError


def leaves_plateau(losses, level, window=20):
    """The first step, counted from 1, at which the plateau is over; None if there is none.

    That is where the mean of the last `window` losses (all of them there) is below 0.9 * level.
    losses: of all steps, in order.
    """
    raise NotImplementedError


def falls_after(errors, patience, most=3):
    """A list of the epochs, counted from 1, after which the rate is divided by ten.

    It is divided when the error was not below the best one for `patience` epochs, then not for
    the next `patience` epochs, and at most `most` times.
    """
    raise NotImplementedError


def velocity_at_fall(v, old, new):
    """PyTorch's velocity v, changed so that with the new rate it goes on as the paper's would.

    PyTorch: v <- 0.9 v + gradient, w <- w - rate v. old, new: the rates before and after.
    """
    raise NotImplementedError


def snapshot(net, sgd):
    """All that the next step depends on, as one object that later steps do not change."""
    raise NotImplementedError


def restore(net, sgd, saved):
    """Bring another net and SGD, made the same way, to the state that `snapshot` kept."""
    raise NotImplementedError
