"""A folder of pictures: FOLDER/train/CLASS/*.jpg, and val or test beside train."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import DataError
from .images import ImageSet
from .picture import read_image

__all__ = ["image_folder"]

SPLITS = ("train", "val", "test")
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


def image_folder(folder: str | os.PathLike[str], split: str = "train",
                 side: int = 256) -> ImageSet:
    """The pictures of one split as squares of `side` pixels, RGB; classes in sorted order.

    split: "train", "val" or "test", the folder of that name.
    Raises DataError if the folder has no such split, no classes or no pictures.
    """
    if split not in SPLITS:
        raise DataError(f"split {split!r} came; need 'train', 'val' or 'test'; correct the name")
    root = Path(folder)
    train, part = root / "train", root / split
    for needed in (train, part):
        if not needed.is_dir():
            raise DataError(f"{root}: there is no folder {needed.name}; pictures must lie in "
                            f"{train}/CLASS/*.jpg, and in val and test beside train")
    classes = sorted(entry.name for entry in train.iterdir()
                     if entry.is_dir() and not entry.name.startswith("."))
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        members = sorted(part.joinpath(name).glob("*"))
        members = [path for path in members if path.suffix.lower() in SUFFIXES]
        paths += members
        labels += [label] * len(members)
    if not paths:
        raise DataError(f"{part}: no pictures; they must lie in {part}/CLASS/ and end in "
                        f"{', '.join(SUFFIXES)}")

    def read(indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        return np.stack([read_image(paths[i], side) for i in indices])

    return ImageSet(root.resolve().name, np.array(labels, np.int64), classes, (side, side, 3), read)
