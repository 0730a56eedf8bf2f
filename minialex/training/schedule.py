"""When the rate falls: functions of past errors only, so there is no state to save."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .. import checks
from ..optim import SGD
from .recipe import Recipe

__all__ = ["plateau_falls", "set_rates", "step_falls"]


def step_falls(epoch: int, ends: Iterable[int]) -> int:
    """How many times the rate has fallen before `epoch` (1 is the first): it does after `ends`."""
    checks.kinds("step_falls", ends=(ends, Iterable))
    return sum(epoch > end for end in ends)


def plateau_falls(errors: Sequence[float], patience: int, most: int = 3) -> int:
    """How many times the rate has fallen after epochs with these validation errors.

    It falls when the error has not improved for `patience` epochs. Then it waits at least as long
    again.  Paper: section 5 (by ten, when the error stopped improving, three times).
    """
    checks.kinds("plateau_falls", errors=(errors, Sequence))
    falls, waited, best = 0, 0, float("inf")
    for error in errors:
        waited = 0 if error < best else waited + 1
        best = min(best, error)
        if waited == patience and falls < most:
            falls, waited = falls + 1, 0
    return falls


def set_rates(optimizer: SGD, recipe: Recipe, epoch: int, falls: int) -> None:
    """Rates for one epoch (1 is the first), after `falls` divisions by ten."""
    checks.kinds("set_rates", optimizer=(optimizer, SGD), recipe=(recipe, Recipe))
    optimizer.lr = recipe.lr / 10**falls
    last = next(reversed(optimizer.rules)).rpartition(".")[0]
    for name, rule in optimizer.rules.items():
        if name.endswith("bias"):  # relative to weights, whose rate may have fallen more often
            rule["lr"] = recipe.bias_lr * 10 ** (falls - min(falls, recipe.bias_falls))
        else:
            rule["lr"] = 1.0
        if name.rpartition(".")[0] == last:
            rule["lr"] *= recipe.last_lr
        if "conv1" in name:
            if epoch > recipe.noise_until and not name.endswith("bias"):
                rule["lr"] *= 0.1
            if epoch > recipe.conv1_until:
                rule["lr"] = 0.0
