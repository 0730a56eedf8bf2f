"""The training step, as a generator: the caller decides what to show, log and save."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from .. import ops
from ..datasets import Batch
from ..errors import MinialexError
from ..nn import Module
from ..optim import SGD
from ..tensor import Tensor, no_grad

__all__ = ["DivergedError", "Step", "first_bad_layer", "train_steps"]


class DivergedError(MinialexError, ArithmeticError):
    """The loss is no longer a finite number."""


class Step(NamedTuple):
    """What one training step gives: mean loss in nats, and the number of images."""

    loss: float
    images: int


def train_steps(net: Module, optimizer: SGD, batches: Iterable[Batch]) -> Iterator[Step]:
    """Forward, backward, update, for each batch.  Paper: section 5.

    Raises DivergedError before the update if the loss is NaN or infinite, and names the layer
    whose output went wrong first.
    """
    net.train()
    for images, labels in batches:
        loss = ops.softmax_cross_entropy(net(images), labels)
        value = loss.item()
        if not math.isfinite(value):
            raise DivergedError(f"the loss is {value}: {first_bad_layer(net, images)}; "
                                "lower the rate, or check the data")
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        yield Step(value, len(labels))


def first_bad_layer(net: Module, images: np.ndarray) -> str:
    """Which numbers stopped being finite first: the images, a parameter, or a layer's output."""
    if not np.isfinite(images).all():
        return "the images hold numbers that are not finite"
    for name, parameter in net.named_parameters().items():
        if not np.isfinite(parameter.numpy()).all():
            return f"{name} is no longer finite"
    bad: list[str] = []
    layers = [(name, module) for name, module in net.named_modules() if hasattr(module, "weight")]

    def watched(name: str, forward):
        def call(*inputs: Tensor) -> Tensor:
            output = forward(*inputs)
            if not np.isfinite(output.numpy()).all():
                bad.append(name)
            return output
        return call

    for name, layer in layers:
        layer.forward = watched(name, layer.forward)
    try:
        with no_grad():
            net(images)
    finally:
        for _, layer in layers:
            del layer.forward
    return f"the output of {bad[0]} is not finite" if bad else "all layers are finite, the loss not"
