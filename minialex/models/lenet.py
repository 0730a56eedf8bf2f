"""LeNet-5, in its common modern form."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import nn, ops
from ..backend import Device
from ..tensor import Tensor

__all__ = ["LeNet5"]


class LeNet5(nn.Module):
    """LeCun, Bottou, Bengio, Haffner 1998: 28x28 grey images -> class scores; 61,706 parameters.

    Common form: C3 sees all six maps, pooling has no parameters, the output layer is linear (the
    original, with a table of connections and radial basis units, has exactly 60,000).
    images: (N, 28, 28, 1) of about unit size, a host array or a Tensor -> (N, classes).
    Built in chapter 07.
    """

    def __init__(self, classes: int = 10, seed: int = 0,
                 device: str | Device | None = None) -> None:
        rng = nn.init.generator(seed)
        new: dict[str, Any] = {"rng": rng, "device": device}
        self.c1 = nn.Conv2d(1, 6, 5, pad=2, **new)  # (N, 28, 28, 6): 28 + 2 x 2 is the 32 of 1998
        self.c3 = nn.Conv2d(6, 16, 5, **new)  # (N, 10, 10, 16)
        self.c5 = nn.Linear(5 * 5 * 16, 120, **new)
        self.f6 = nn.Linear(120, 84, **new)
        self.output = nn.Linear(84, classes, **new)

    def forward(self, images: np.ndarray | Tensor) -> Tensor:
        if not isinstance(images, Tensor):
            images = Tensor(images, self.c1.weight.device)
        x = ops.avg_pool2d(ops.tanh(self.c1(images)), size=2, stride=2)  # (N, 14, 14, 6)
        x = ops.avg_pool2d(ops.tanh(self.c3(x)), size=2, stride=2)  # (N, 5, 5, 16)
        x = ops.tanh(self.c5(ops.flatten(x)))  # (N, 120)
        return self.output(ops.tanh(self.f6(x)))
