"""How pixels become what a network sees: crops, mirror images, mean, colour noise, ten views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ..images import Statistics

__all__ = ["ColourNoise", "Preparation", "Views"]

TEN = 10  # four corners and the centre, each with its mirror image


class ColourNoise(NamedTuple):
    """Make the light of an image a little brighter or darker, redder or bluer.  Paper: section 4.1.

    All pixels of an image move by the same amount: along each direction in which colours vary, by
    0.1 * N(0, 1) times the standard deviation in that direction. Then everything is divided by 1.1,
    as in the run of 2012.

    literal: as the paper prints it, with the variance (the eigenvalue) in place of the standard
    deviation, and without the 1.1. This is a trap: a variance is in squared grey levels, so the
    channels of a photograph move by hundreds of levels instead of about 7.
    """

    statistics: Statistics
    literal: bool = False

    @property
    def divisor(self) -> float:
        return 1.0 if self.literal else 1.1

    def draw(self, rng: np.random.Generator, n: int) -> NDArray[np.float32]:
        """One change of colour for each of n images: (n, C), in grey levels."""
        deviations = self.statistics.deviations
        strength = 0.1 * (deviations**2 if self.literal else deviations)
        draws = rng.standard_normal((n, len(strength))) * strength
        return (draws @ self.statistics.directions.T).astype(np.float32)  # (n, C)


class Views(NamedTuple):
    """Where images are cut, and how they are changed: one row for each view.

    The views of one image are consecutive rows.
    """

    corner: NDArray[np.int64]  # (v, 2): top, left
    mirrored: NDArray[np.bool_]  # (v,), left to right
    colour: NDArray[np.float32] | None = None  # (v, C) to add to every pixel, in grey levels

    def rows(self, some: slice) -> Views:
        """The views of these rows."""
        colour = None if self.colour is None else self.colour[some]
        return Views(self.corner[some], self.mirrored[some], colour)


class Preparation(NamedTuple):
    """How a network wants its pixels: (crop - mean + noise) / 1.1 * scale; without noise, no 1.1.

    size: rows and columns of a crop. mean: mean image (H, W, C) of the training set; its central
    crop is subtracted from every crop, as in 2012. scale: 1 keeps grey levels, as in 2012.
    noise: colour noise of training views. mirror: the chance that a training view is mirrored; 0 is
    for images that mean something else in a mirror, and keeps mirror images out of the ten views.
    squeeze: how `read_image` is to make pictures square.
    """

    size: int
    mean: NDArray[np.float32]
    scale: float = 1.0
    noise: ColourNoise | None = None
    mirror: float = 0.5
    squeeze: bool = False

    def random_views(self, rng: np.random.Generator, n: int, shape: Sequence[int]) -> Views:
        """One view of each of n images (H, W, C): at a random place, perhaps mirrored, with noise.

        Not 2012: there, 32 images in a row shared one draw of place and mirror; the paper does not
        mention it.
        """
        corner = rng.integers(0, self._room(shape) + 1, (n, 2))
        mirrored = rng.random(n) < self.mirror
        return Views(corner, mirrored, self.noise.draw(rng, n) if self.noise else None)

    def central_views(self, n: int, shape: Sequence[int]) -> Views:
        """The central crop of each of n images (H, W, C)."""
        return Views(np.tile(self._room(shape) // 2, (n, 1)), np.zeros(n, bool))

    def ten_views(self, n: int, shape: Sequence[int]) -> Views:
        """Four corners and centre, then their mirror images, of each of n images (H, W, C).

        If `mirror` is 0, each of the five comes twice.
        """
        five = np.array([(0, 0), (0, 2), (2, 0), (2, 2), (1, 1)]) * self._room(shape) // 2  # (5, 2)
        mirrored = np.repeat([False, self.mirror > 0], TEN // 2)
        return Views(np.tile(five, (2 * n, 1)), np.tile(mirrored, n))

    def apply(self, images: NDArray[np.uint8], views: Views,
              out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Images (n, H, W, C) -> views (v, size, size, C), in `out` if it is given."""
        size, channels = self.size, images.shape[3]
        if channels != self.mean.shape[2]:
            raise InputError(f"Preparation: the images have {channels} channels, the mean "
                             f"image {self.mean.shape[2]}; measure the mean of such images")
        if out is None:
            out = np.empty((len(views.corner), size, size, channels), np.float32)
        top, left = self._room(self.mean.shape) // 2
        mean = self.mean[top : top + size, left : left + size]
        divisor = self.noise.divisor if self.noise and views.colour is not None else 1.0
        scale = np.float32(self.scale / divisor)
        backwards = np.arange(size)[::-1]
        each = len(out) // len(images)  # views of an image

        # One view after the other, so that it stays in the cache from the first step to the last.
        for i, (view, (top, left)) in enumerate(zip(out, views.corner, strict=True)):
            crop = images[i // each, top : top + size, left : left + size]
            # Twice as fast as crop[:, ::-1], which NumPy copies three numbers at a time.
            view[...] = crop.take(backwards, axis=1) if views.mirrored[i] else crop
            view -= mean
            if views.colour is not None:
                view += np.tile(views.colour[i], (size, 1))  # a row at a time, for the same reason
            if scale != 1:
                view *= scale
        return out

    def _room(self, shape: Sequence[int]) -> NDArray[np.int64]:
        """By how many rows and columns an image is larger than a crop."""
        room = np.array(shape[:2]) - self.size
        if room.min() < 0:
            raise InputError(f"Preparation: crops of {self.size} pixels do not fit into images of "
                             f"{shape[0]}x{shape[1]}; use smaller crops or larger images")
        return room
