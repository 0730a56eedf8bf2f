"""First values of weights, drawn on the host so that every device starts from the same numbers."""

import math

import numpy as np

__all__ = ["generator", "he_std", "normal"]


def generator(rng: np.random.Generator | int) -> np.random.Generator:
    """A NumPy generator, or the one that a seed makes."""
    return rng if isinstance(rng, np.random.Generator) else np.random.default_rng(rng)


def normal(rng: np.random.Generator, shape: tuple[int, ...], std: float) -> np.ndarray:
    """float32 numbers from N(0, std**2).  Paper: section 5 (std 0.01)."""
    weights = rng.standard_normal(shape, np.float32)
    weights *= np.float32(std)
    return weights


def he_std(shape: tuple[int, ...]) -> float:
    """sqrt(2 / fan-in): keeps the size of a signal through layers of ReLU (He et al. 2015)."""
    return math.sqrt(2 / math.prod(shape[:-1]))
