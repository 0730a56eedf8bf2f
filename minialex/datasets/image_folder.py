"""A folder of pictures: FOLDER/train/CLASS/*.jpg, and val or test beside train."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import DataError
from .images import ImageSet
from .picture import read_image
from .source import SPLITS, class_files, printable, split_folders

__all__ = ["image_folder"]

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".jp2", ".ppm",
            ".pgm", ".jfif")


def image_folder(folder: str | os.PathLike[str], split: str = "train",
                 side: int = 256) -> ImageSet:
    """The pictures of one split as squares of `side` pixels, RGB; classes in sorted order.

    split: "train", "val" or "test", the folder of that name; val may also be called validation or
    valid. A class may have folders inside; hidden files, and those that do not end like a picture,
    are left out.
    Raises DataError if the folder has no such split, no classes or no pictures, if there is nothing
    to learn a class from, or if val or test has a class that train lacks.
    """
    if split not in SPLITS:
        raise DataError(f"split {split!r} came; need 'train', 'val' or 'test'; correct the name")
    root = Path(folder)
    train = root / "train"
    classes, parts = split_folders(root) if train.is_dir() else ([], {})
    part = parts.get(split, root / split)
    for needed in (train, part):
        if not needed.is_dir():
            raise DataError(f"{root}: there is no folder {needed.name}; pictures must lie in "
                            f"{train}/CLASS/*.jpg, and in val and test beside train")
    files = [file for file in class_files(part, classes) if file.path.lower().endswith(SUFFIXES)]
    for file in files:
        if file.size < 0:  # reading a pipe would never end
            raise DataError(f"{file.path}: no file, or a link to nothing; remove it")
    labels = np.array([file.label for file in files], np.int64)
    counts = np.bincount(labels, minlength=len(classes))
    if not files or (split == "train" and not counts.all()):
        empty = part / classes[counts.argmin()] if files else part
        raise DataError(f"{empty}: no pictures; they must lie in {part}/CLASS/ and end in "
                        f"{', '.join(SUFFIXES)}; add some, or remove the folder")

    def read(indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        return np.stack([read_image(files[i].path, side) for i in indices])

    return ImageSet(root.resolve().name, labels, [printable(name) for name in classes],
                    (side, side, 3), read)
