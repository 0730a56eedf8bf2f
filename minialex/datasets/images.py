"""A set of labelled images, whether it lies in memory or in files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import checks
from ..errors import InputError

__all__ = ["ImageSet", "Statistics", "Sums"]

AT_ONCE = 64  # images in memory while they are measured


class Statistics(NamedTuple):
    """What the training images have in common.

    mean: (H, W, C), the mean of each pixel, in grey levels (0 to 255).
    covariance: (C, C), of the colours of all pixels of all images around their mean colour, in
    grey levels squared.
    """

    mean: NDArray[np.float32]
    covariance: NDArray[np.float64]

    @property
    def deviations(self) -> NDArray[np.float64]:
        """(C,), the square roots of the eigenvalues of the covariance, ascending: grey levels."""
        return np.sqrt(np.linalg.eigvalsh(self.covariance).clip(0))

    @property
    def directions(self) -> NDArray[np.float64]:
        """(C, C), the eigenvectors of the covariance as columns, in the order of `deviations`."""
        return np.linalg.eigh(self.covariance).eigenvectors


class Sums:
    """Sums over images of (H, W, C), of which the statistics are made.

    They are whole numbers and so exact: the order of the images does not matter.
    total: (H, W, C) of the pixels; products: (C, C) of their colours.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.images = 0
        self.total = np.zeros(shape, np.int64)
        self.products = np.zeros((shape[2], shape[2]), np.int64)

    def add(self, images: NDArray[np.uint8]) -> None:
        """Count these (n, H, W, C) too."""
        self.images += len(images)
        self.total += images.sum(axis=0, dtype=np.int64)
        for image in images:
            colours = image.reshape(-1, image.shape[-1]).astype(np.float64)  # (H * W, C)
            # Below 2**53 a float64 holds whole numbers exactly.
            self.products += (colours.T @ colours).astype(np.int64)

    def merge(self, other: Sums) -> None:
        """Count those of the other too."""
        self.images += other.images
        self.total += other.total
        self.products += other.products

    def statistics(self) -> Statistics:
        pixels = self.images * self.total[..., 0].size
        colour = [int(number) for number in self.total.sum(axis=(0, 1))]
        # The small difference of two large products is exact, too: Python's integers are of any
        # length.
        covariance = [[(pixels * int(product) - a * b) / pixels**2
                       for b, product in zip(colour, row, strict=True)]
                      for a, row in zip(colour, self.products, strict=True)]
        return Statistics((self.total / self.images).astype(np.float32), np.array(covariance))


@dataclass(frozen=True)
class ImageSet:
    """Images that are read when they are asked for.

    labels: (N,) int64; classes: their names; shape: (H, W, C) of every image;
    read(indices): (n,) integers -> uint8 (n, H, W, C); several threads may call it at once.
    statistics: once they are measured.
    mirrored: whether an image and its mirror image show the same thing, unlike those of letters.
    checksum: of all its images, where it is known without reading them.
    """

    name: str
    labels: NDArray[np.int64]
    classes: Sequence[str]
    shape: tuple[int, int, int]
    read: Callable[[NDArray[np.int64]], NDArray[np.uint8]]
    statistics: Statistics | None = None
    mirrored: bool = True
    checksum: int | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def of_arrays(cls, name: str, images: NDArray[np.uint8], labels: NDArray[np.int64],
                  classes: Sequence[str]) -> ImageSet:
        """A set whose images (N, H, W, C) lie in memory. Raises ValueError for other shapes."""
        checks.kinds("of_arrays", images=(images, np.ndarray), labels=(labels, np.ndarray))
        if images.ndim != 4 or labels.shape != images.shape[:1]:
            raise InputError(f"of_arrays: {name} has images {images.shape} and labels "
                             f"{labels.shape}; they must be (N, H, W, C) and (N,)")
        _, h, w, c = images.shape
        return cls(name, labels, classes, (h, w, c), images.__getitem__)

    def measure(self) -> Statistics:
        """Mean and covariance: those that came with the set, else measured over all its images.

        Raises ValueError if there are none.
        """
        if self.statistics is not None:
            return self.statistics
        if not len(self):
            raise InputError(f"measure: {self.name} holds no images; give at least one")
        sums = Sums(self.shape)
        for start in range(0, len(self), AT_ONCE):
            sums.add(self.read(np.arange(start, min(start + AT_ONCE, len(self)))))
        found = sums.statistics()
        object.__setattr__(self, "statistics", found)  # to read them all again would take long
        return found
