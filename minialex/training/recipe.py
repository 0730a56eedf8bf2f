"""The settings of a run: the paper's where they fit, and where not, what fits and why."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Recipe", "suggest"]


@dataclass(frozen=True)
class Recipe:
    """All numbers of a training run; the comments say where each comes from."""

    epochs: int
    lr: float
    falls: tuple[int, ...]  # epochs after which the rate is divided by ten
    batch: int = 128  # paper: section 5
    momentum: float = 0.9  # paper: section 5
    weight_decay: float = 5e-4  # paper: section 5
    init: str = "run145"  # std 0.01, and 0.03 in conv3 to conv5, as the authors ran it
    width: float = 1.0  # share of the paper's kernels
    scale: float = 1.0  # grey levels, as in 2012


def suggest(model: str, images: int) -> Recipe:
    """Settings for a model ("alexnet", "alexnet-small", "lenet5") and a number of images."""
    if model == "alexnet":
        # Not 2012: with few images an epoch is few steps, and 0.01 diverges before the biases
        # have settled; 90 epochs and 0.01 are the paper's for 1.2 million images.
        small = images < 100_000
        return Recipe(epochs=30 if small else 90, lr=0.002 if small else 0.01,
                      falls=(20, 27) if small else (25, 51, 79))
    if model == "lenet5":
        return Recipe(epochs=15, lr=0.05, falls=(9, 13), init="he", scale=1 / 64)
    # Not 2012: at a quarter of the width the signal of "run145" is lost, so the weights start by
    # He et al. 2015, and these expect numbers of about unit size: grey levels vary by about 64.
    # A small network on easy images bears, and with few steps needs, five times the paper's rate.
    return Recipe(epochs=10, lr=0.05, falls=(7, 9), init="he", width=0.25, scale=1 / 64)
