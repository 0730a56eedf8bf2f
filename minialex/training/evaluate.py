"""How often the right class is the first guess, or among the first five."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from .. import checks, ops
from ..datasets import Batch
from ..errors import InputError
from ..nn import Module
from ..tensor import no_grad

__all__ = ["Evaluation", "evaluate", "first_guesses", "log_probabilities", "ranks"]


class Evaluation(NamedTuple):
    """Shares of images, in [0, 1], and the mean loss in nats."""

    top1_error: float
    top5_error: float | None  # None with five classes or fewer
    loss: float
    images: int


def evaluate(net: Module, batches: Iterable[Batch],
             confusion: np.ndarray | None = None) -> Evaluation:
    """Errors over all batches, of one view of each image or the average of several.

    confusion: (classes, classes) integers, to which every image is added: in the row of its right
    class and the column of the net's first guess.
    """
    checks.kinds("evaluate", net=(net, Module), batches=(batches, Iterable))
    found: list[np.ndarray] = []
    loss = 0.0
    for images, labels in batches:
        logs = log_probabilities(net, images, views=len(images) // len(labels))  # (n, classes)
        loss -= float(np.take_along_axis(logs, labels[:, None], axis=1).sum(dtype=float))
        found.append(ranks(logs, labels))
        if confusion is not None:
            np.add.at(confusion, (labels, first_guesses(logs, labels)), 1)
    if not found:
        raise InputError("evaluate: there are no batches; give at least one")
    rank = np.concatenate(found)
    # Of five classes or fewer, the right one is always among the first five.
    top5 = float((rank >= 5).mean()) if logs.shape[1] > 5 else None
    return Evaluation(float((rank >= 1).mean()), top5, loss / len(rank), len(rank))


def log_probabilities(net: Module, images: np.ndarray, views: int = 1) -> np.ndarray:
    """Natural logarithms of the probabilities of all classes: (n, classes). Without dropout.

    images: (n * views, H, W, C), the views of one image in a row: their probabilities are averaged
    (not their scores).  Paper: section 4.1. Leaves the net in the mode it had.
    """
    was_training = net.training
    net.eval()
    try:
        with no_grad():
            logs = ops.log_softmax(net(images)).numpy()
    finally:
        net.train(was_training)
    logs = logs.reshape(-1, views, logs.shape[1])  # (n, views, classes)
    return np.logaddexp.reduce(logs, axis=1) - np.log(np.float32(views))


def ranks(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many other classes score at least as high as the right one: 0 is the first guess.

    scores: (N, classes), labels: (N,) -> (N,) integers. Ties count against the network, or a
    network that says the same about everything would always be right; so do NaNs.
    """
    checks.kinds("ranks", scores=(scores, np.ndarray), labels=(labels, np.ndarray))
    right = np.take_along_axis(scores, labels[:, None], axis=1)
    return (~(scores < right)).sum(axis=1) - 1


def first_guesses(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The class with the highest score, as `ranks` counts: of ties, one that is not right.

    scores: (N, classes), labels: (N,) -> (N,) integers.
    """
    others = scores.copy()
    np.put_along_axis(others, labels[:, None], -np.inf, axis=1)
    return np.where(ranks(scores, labels) == 0, labels, others.argmax(axis=1))
