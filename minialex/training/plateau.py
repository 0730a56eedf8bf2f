"""The plateau: a network that has learnt how frequent the classes are, and nothing else."""

from __future__ import annotations

import numpy as np

__all__ = ["entropy", "plateau"]

PATIENCE = 200  # steps
NEAR = 0.98  # a loss above this share of the entropy is on the plateau

# What to try, by the first weights that were tried.
ADVICE = {
    "paper": "--init run145 (larger weights in conv3 to conv5 let 16 times more of the image "
             "through), or a higher --lr",
    "run145": "--init he if the network is narrow (--width), else a higher --lr; with 1,000 "
              "classes, some thousand steps here are normal",
    "he": "a lower --lr, a higher one, and look whether the labels are right",
}


def entropy(labels: np.ndarray) -> float:
    """The loss, in nats, of who knows only how frequent each label is: ln(classes) if equally."""
    counts = np.bincount(labels)
    shares = counts[counts > 0] / len(labels)
    return -float((shares * np.log(shares)).sum())


def plateau(loss: float, steps: int, labels: np.ndarray, init: str) -> str:
    """What to tell the user if a run sits on the plateau; "" if it does not, or has just begun.

    loss: mean over the last epoch; labels: of all training images; init: the first weights.
    """
    level = entropy(labels)
    if steps < PATIENCE or loss <= NEAR * level:
        return ""
    return (f"the loss is {loss:.2f} after {steps:,} steps: that of a network that knows only how "
            f"frequent the classes are ({level:.2f}). If it stays there, try {ADVICE[init]}")
