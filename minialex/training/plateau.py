"""The plateau: the network has learnt how frequent the classes are, or not even that."""

from __future__ import annotations

import numpy as np

from .. import checks

__all__ = ["entropy", "plateau"]

PATIENCE = 200  # steps
NEAR, ABOVE = 0.98, 1.1  # losses between these shares of the entropy are on the plateau

# What to try next, for each kind of first weights.
ADVICE = {
    "paper": "try init 'run145' (larger weights in conv3 to conv5 let 16 times more of the image "
             "through), or a larger rate; a smaller one, if the loss was far above this at first",
    "run145": "try init 'he' if the network is narrower than the paper's, else a larger rate (a "
              "smaller one, if the loss was far above this at first); with 1,000 classes, some "
              "thousand steps here are normal",
    "he": "try a smaller rate, a larger one, and check that the labels are right",
}


def entropy(labels: np.ndarray) -> float:
    """The loss, in nats, of guessing labels by their frequency; ln(classes) if all are equal."""
    checks.kinds("entropy", labels=(labels, np.ndarray))
    counts = np.bincount(labels)
    shares = counts[counts > 0] / len(labels)
    return -float((shares * np.log(shares)).sum())


def plateau(loss: float, steps: int, labels: np.ndarray, init: str) -> str:
    """What to try if a run sits on the plateau or above it; "" if not, or if it has just begun.

    loss: mean over the last epoch; labels: of all training images; init: the first weights.
    """
    level = entropy(labels)
    if steps < PATIENCE or loss <= NEAR * level or level == 0:
        return ""
    if loss > ABOVE * level:
        return (f"the loss is {loss:.2f} after {steps:,} steps: more than that of a network that "
                f"knows only how frequent the classes are ({level:.2f}). Start again with a "
                "smaller rate; or with a larger one, if the loss has hardly moved")
    return (f"the loss is {loss:.2f} after {steps:,} steps: that of a network that knows only how "
            f"frequent the classes are ({level:.2f}). If it stays there, {ADVICE[init]}")
