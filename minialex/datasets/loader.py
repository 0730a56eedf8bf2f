"""From images to batches: order, crops, mirror images and mean, prepared one batch ahead."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .images import ImageSet

__all__ = ["Batch", "Preparation", "batches"]


class Batch(NamedTuple):
    """Pixels float32 (n, size, size, C), with the mean taken off, and labels int64 (n,)."""

    images: NDArray[np.float32]
    labels: NDArray[np.int64]


class Preparation(NamedTuple):
    """How pixels become the numbers that a network sees: (crop - mean) * scale.

    size: rows and columns of a crop; mean: mean image (H, W, C) of the training set, of which the
    central crop is taken off every crop, as in 2012; scale: 1 keeps grey levels, as in 2012.
    """

    size: int
    mean: NDArray[np.float32]
    scale: float = 1.0

    def apply(self, images: NDArray[np.uint8], corners: NDArray[np.int64],
              mirrored: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Cut (n, size, size, C) at corners (n, 2), turn some left to right, take the mean off."""
        n, size = len(images), self.size
        out = np.empty((n, size, size, images.shape[3]), np.float32)
        for i, (top, left) in enumerate(corners):
            crop = images[i, top : top + size, left : left + size]
            out[i] = crop[:, ::-1] if mirrored[i] else crop
        out -= self._crop(self.mean)
        out *= np.float32(self.scale)
        return out

    def _crop(self, image: NDArray) -> NDArray:
        top, left = ((side - self.size) // 2 for side in image.shape[:2])
        return image[top : top + self.size, left : left + self.size]


def batches(data: ImageSet, preparation: Preparation, batch: int, *, seed: int | None = None,
            epoch: int = 0, first: int = 0) -> Iterator[Batch]:
    """The batches of one epoch, from number `first` on; the last one may be smaller.

    seed: shuffle, crop and mirror at random; everything is a function of seed, epoch and number of
    the batch. None: in order, central crops (for evaluation).  Paper: section 4.1.
    """
    n, room = len(data), np.array(data.shape[:2]) - preparation.size
    if room.min() < 0:
        raise ValueError(f"batches: crops of {preparation.size} pixels do not fit into images of "
                         f"{data.shape[0]}x{data.shape[1]}; use smaller crops or larger images")
    order = np.arange(n) if seed is None else np.random.default_rng([seed, epoch]).permutation(n)

    def prepare(number: int) -> Batch:
        chosen = order[number * batch : (number + 1) * batch]
        if seed is None:
            corners = np.tile(room // 2, (len(chosen), 1))
            mirrored = np.zeros(len(chosen), bool)
        else:
            rng = np.random.default_rng([seed, epoch, number])
            corners = rng.integers(0, room + 1, (len(chosen), 2))
            mirrored = rng.random(len(chosen)) < 0.5
        return Batch(preparation.apply(data.read(chosen), corners, mirrored), data.labels[chosen])

    numbers = range(first, -(-n // batch))
    with ThreadPoolExecutor(1, thread_name_prefix="minialex-loader") as pool:
        waiting = [pool.submit(prepare, number) for number in numbers[:1]]
        for number in numbers:
            if number + 1 in numbers:
                waiting.append(pool.submit(prepare, number + 1))
            yield waiting.pop(0).result()
