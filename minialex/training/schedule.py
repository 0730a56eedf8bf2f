"""When to lower the rate."""

from __future__ import annotations

from collections.abc import Iterable

from ..optim import SGD

__all__ = ["PlateauSchedule", "StepSchedule"]


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

    def epoch_done(self, epoch: int, error: float) -> None:
        """Take note of the validation error of an epoch, and lower the rate if it is time."""
        self.waited = 0 if error < self.best else self.waited + 1
        self.best = min(self.best, error)
        if self.waited == self.patience and self.falls > 0:
            self.optimizer.lr *= self.factor
            self.waited, self.falls = 0, self.falls - 1
