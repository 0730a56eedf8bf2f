"""First values of weights, drawn on the host so that every device starts from the same numbers."""

import math

import numpy as np

from .. import checks

__all__ = ["Rng", "generator", "he_std", "normal", "seed"]

Rng = np.random.Generator | int | None  # None: the next of those that `seed` has started

_shared = np.random.default_rng(0)


def seed(n: int) -> None:
    """Start the random numbers of layers that are made without `rng`.

    Each layer gets a generator of its own, so that no two are equal by accident. Every process
    starts with seed(0), so they are the same each time. If several threads make layers at once, the
    order of the generators is not fixed: give `rng` there, as all models do.
    """
    global _shared
    _shared = generator(n)


def generator(rng: Rng = None) -> np.random.Generator:
    """A NumPy generator: the given one, that of a seed, or (None) one that nobody else has."""
    return np.random.default_rng(_shared.integers(2**63) if checks.seed(rng) is None else rng)


def normal(rng: np.random.Generator, shape: tuple[int, ...], std: float) -> np.ndarray:
    """float32 numbers from N(0, std**2).  Paper: section 5 (std 0.01)."""
    weights = checks.drawn("init.normal", rng, shape, np.float32)
    weights *= np.float32(std)
    return weights


def he_std(shape: tuple[int, ...]) -> float:
    """sqrt(2 / fan-in): keeps the size of a signal through layers of ReLU (He et al. 2015)."""
    return math.sqrt(2 / math.prod(shape[:-1]))
