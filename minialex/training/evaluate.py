"""How often the right class is the first guess, or among the first five."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from .. import ops
from ..datasets import Batch
from ..nn import Module
from ..tensor import no_grad

__all__ = ["Evaluation", "evaluate", "ranks"]


class Evaluation(NamedTuple):
    """Shares of images, in [0, 1], and the mean loss in nats."""

    top1_error: float
    top5_error: float
    loss: float
    images: int


def evaluate(net: Module, batches: Iterable[Batch]) -> Evaluation:
    """Errors over all batches, without dropout. Leaves the net in the mode it had."""
    was_training = net.training
    net.eval()
    found: list[np.ndarray] = []
    loss = 0.0
    try:
        with no_grad():
            for images, labels in batches:
                logits = net(images)
                loss += ops.softmax_cross_entropy(logits, labels).item() * len(labels)
                found.append(ranks(logits.numpy(), labels))
    finally:
        net.train(was_training)
    if not found:
        raise ValueError("evaluate: no batches came; give at least one")
    rank = np.concatenate(found)
    return Evaluation(float((rank >= 1).mean()), float((rank >= 5).mean()), loss / len(rank),
                      len(rank))


def ranks(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many other classes score at least as high as the right one: 0 is the first guess.

    scores: (N, classes), labels: (N,) -> (N,) integers. Ties count against the network, or a
    network that says the same about everything would always be right; so do NaNs.
    """
    right = np.take_along_axis(scores, labels[:, None], axis=1)
    return (~(scores < right)).sum(axis=1) - 1
