"""Stochastic gradient descent by the paper's rule, and when to lower the rate."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .tensor import Tensor

__all__ = ["SGD", "PlateauSchedule", "StepSchedule"]

# Not in the paper, but what its authors ran: biases learn twice as fast and do not decay.
RULES_2012 = {"*bias": {"lr": 2.0, "weight_decay": 0.0}}


class SGD:
    """Momentum and weight decay as in 2012.  Paper: section 5.

        v <- momentum * v - weight_decay * lr * w - lr * gradient
        w <- w + v

    The rate is inside the velocity: when it falls, the old velocity lives on for some steps.
    (PyTorch keeps it outside; the two differ only when the rate changes.)

    parameters: tensors, or a dict of them by name (`net.named_parameters()`).
    rules: {name pattern: multipliers of "lr" and "weight_decay"}; the first that fits counts. A
    rate of 0 freezes a parameter. Names are those of `nn.Parameter`; a plain tensor has none.
    """

    def __init__(
        self, parameters: Iterable[Tensor] | Mapping[str, Tensor], lr: float = 0.01,
        momentum: float = 0.9, weight_decay: float = 5e-4,
        rules: Mapping[str, Mapping[str, float]] = RULES_2012,
    ) -> None:
        for name, value in (("lr", lr), ("momentum", momentum), ("weight_decay", weight_decay)):
            if not value >= 0:
                raise ValueError(f"SGD: {name} is {value}; it must be 0 or more")
        if isinstance(parameters, Mapping):
            named = list(parameters.items())
        else:
            named = [(getattr(p, "name", ""), p) for p in parameters]
        if not named:
            raise ValueError("SGD: there are no parameters; pass net.parameters()")
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self.names = [name for name, _ in named]
        self.parameters = [p for _, p in named]
        self._multipliers = [_multipliers(name, rules) for name in self.names]
        self.velocities = [Tensor(np.zeros(p.shape, p.dtype), p.device) for p in self.parameters]

    def step(self) -> None:
        """One update, from the gradients that the parameters hold now.

        A parameter without a gradient, or with a rate of 0, is left alone.
        """
        for p, v, (lr, decay) in zip(
                self.parameters, self.velocities, self._multipliers, strict=True):
            if p.grad is None or lr == 0:
                continue
            with p.device:
                self._update(p.device.xp, p.data, v.data, p.grad.data,
                             self.lr * lr, self.weight_decay * decay)

    def _update(self, xp: Any, w: Any, v: Any, g: Any, lr: float, decay: float) -> None:
        """In place, a few thousand numbers at a time so that each is fetched from memory once."""
        w, v, g = w.reshape(-1), v.reshape(-1), g.reshape(-1)

        def update(part: slice) -> None:
            change = xp.multiply(g[part], -lr, out=xp.empty(g[part].shape, g.dtype))
            xp.multiply(v[part], self.momentum, out=v[part])
            xp.add(v[part], change, out=v[part])
            if decay:
                xp.multiply(w[part], -lr * decay, out=change)
                xp.add(v[part], change, out=v[part])
            xp.add(w[part], v[part], out=w[part])

        xp.over_batch(update, w.size, 8 * w.itemsize)

    def zero_grad(self) -> None:
        """Drop all gradients; the next backward() starts from none."""
        for p in self.parameters:
            p.grad = None

    def state(self) -> dict[str, np.ndarray]:
        """The velocities by the parameters' names: what a checkpoint stores."""
        return {name: v.numpy() for name, v in zip(self.names, self.velocities, strict=True)}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        for name, v in zip(self.names, self.velocities, strict=True):
            if name not in state or state[name].shape != v.shape:
                raise ValueError(f"SGD: no velocity of shape {v.shape} for {name!r} in the state; "
                                 "was it saved from another network?")
            v.data = v.device.asarray(state[name], v.dtype)


def _multipliers(name: str, rules: Mapping[str, Mapping[str, float]]) -> tuple[float, float]:
    for pattern, rule in rules.items():
        if fnmatch.fnmatchcase(name, pattern):
            return rule.get("lr", 1.0), rule.get("weight_decay", 1.0)
    return 1.0, 1.0


class StepSchedule:
    """Multiply the rate by `factor` after each of these epochs (counted from 1)."""

    def __init__(self, optimizer: SGD, epochs: Iterable[int], factor: float = 0.1) -> None:
        self.optimizer, self.epochs, self.factor = optimizer, sorted(epochs), factor
        self._first = optimizer.lr

    def epoch_done(self, epoch: int, error: float | None = None) -> None:
        """Set the rate for the epoch after `epoch`; depends on nothing that went before."""
        falls = sum(epoch >= end for end in self.epochs)
        self.optimizer.lr = self._first * self.factor**falls


class PlateauSchedule:
    """Multiply the rate by `factor` when the error has not improved for `patience` epochs.

    Paper: section 5 (by ten, when the validation error stopped improving, three times).
    """

    def __init__(self, optimizer: SGD, patience: int = 3, factor: float = 0.1,
                 falls: int = 3) -> None:
        self.optimizer, self.patience, self.factor, self.falls = optimizer, patience, factor, falls
        self.best, self.waited = float("inf"), 0

    def epoch_done(self, epoch: int, error: float | None = None) -> None:
        if error is None:
            raise ValueError("PlateauSchedule: epoch_done needs the error of the epoch")
        if error < self.best:
            self.best, self.waited = error, 0
            return
        self.waited += 1
        if self.waited >= self.patience and self.falls > 0:
            self.optimizer.lr *= self.factor
            self.waited, self.falls = 0, self.falls - 1
