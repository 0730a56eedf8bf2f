"""A set of labelled images, whether it lies in memory or in files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ImageSet"]


@dataclass(frozen=True)
class ImageSet:
    """Images that are read when they are asked for.

    labels: (N,) int64; classes: their names; shape: (H, W, C) of every image;
    read(indices): (n,) integers -> uint8 (n, H, W, C).
    """

    name: str
    labels: NDArray[np.int64]
    classes: Sequence[str]
    shape: tuple[int, int, int]
    read: Callable[[NDArray[np.int64]], NDArray[np.uint8]]

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def of_arrays(cls, name: str, images: NDArray[np.uint8], labels: NDArray[np.int64],
                  classes: Sequence[str]) -> ImageSet:
        """A set whose images (N, H, W, C) lie in memory."""
        return cls(name, labels, classes, images.shape[1:], images.__getitem__)

    def mean_image(self, most: int = 2000) -> NDArray[np.float32]:
        """Mean of each pixel, (H, W, C) in grey levels, over `most` evenly spread images."""
        chosen = np.linspace(0, len(self) - 1, min(most, len(self))).astype(np.int64)
        total = np.zeros(self.shape)
        for start in range(0, len(chosen), 256):
            total += self.read(chosen[start : start + 256]).sum(axis=0, dtype=np.float64)
        return (total / len(chosen)).astype(np.float32)
