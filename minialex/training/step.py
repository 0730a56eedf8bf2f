"""The training step, as a generator: the caller decides what to show, log and save."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from .. import nn, ops
from ..datasets import Batch
from ..errors import MinialexError
from ..optim import SGD
from ..tensor import Tensor, no_grad

__all__ = ["DivergedError", "Step", "compute_gradients", "diverged", "train_steps"]


class DivergedError(MinialexError, ArithmeticError):
    """The loss is no longer a finite number."""


class Step(NamedTuple):
    """What one training step gives: mean loss in nats, and the number of images."""

    loss: float
    images: int


def compute_gradients(net: nn.Module, images: np.ndarray, labels: np.ndarray) -> float:
    """Forward and backward: give every parameter its gradient -> the mean loss of the batch."""
    loss = ops.softmax_cross_entropy(net(images), labels)
    loss.backward()
    return loss.item()


def train_steps(net: nn.Module, optimizer: SGD, batches: Iterable[Batch],
                gradients: Callable[..., float] = compute_gradients) -> Iterator[Step]:
    """Forward, backward, update, for each batch.  Paper: section 5.

    gradients(net, images, labels): as `compute_gradients`; several processes share its work.
    Raises DivergedError before the update if the loss is NaN or infinite, and names the layer
    whose output went wrong first.
    """
    net.train()
    for images, labels in batches:
        loss = gradients(net, images, labels)
        if not math.isfinite(loss):
            optimizer.zero_grad()
            raise diverged(f"the loss is {loss}", net, images)
        optimizer.step()
        optimizer.zero_grad()
        yield Step(loss, len(labels))


def diverged(what: str, net: nn.Module, images: np.ndarray) -> DivergedError:
    """The error that says where the numbers stopped being finite, found on these images."""
    return DivergedError(f"{what}: {_first_bad(net, images)}; lower the rate, or check the data")


def _first_bad(net: nn.Module, images: np.ndarray) -> str:
    """What stopped being finite first: the images, a parameter, or the output of a layer."""
    if not np.isfinite(images).all():
        return "the images hold numbers that are not finite"
    for name, parameter in net.named_parameters().items():
        if not np.isfinite(parameter.numpy()).all():
            return f"{name} is no longer finite"
    bad: list[str] = []

    def look(path: str, layer: nn.Module, output: Tensor) -> None:
        if hasattr(layer, "weight") and not np.isfinite(output.numpy()).all():
            bad.append(path)

    with no_grad(), nn.watch(net, after=look):
        net(images)
    return f"the output of {bad[0]} is not finite" if bad else "all layers are finite, the loss not"
