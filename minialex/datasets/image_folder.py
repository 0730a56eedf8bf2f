"""A folder of pictures: FOLDER/train/CLASS/*.jpg, and val or test beside train."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import DataError
from .images import ImageSet

__all__ = ["image_folder", "read_image"]

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


def image_folder(folder: str | os.PathLike[str], split: str = "train", side: int = 256,
                 threads: int = 2) -> ImageSet:
    """The pictures of one split as squares of `side` pixels, RGB; classes in sorted order.

    split: "train", or "test", which is the folder `test` or else `val`.
    Raises DataError if the folder has no such split, no classes or no pictures.
    """
    root = Path(folder)
    names = ["train"] if split == "train" else ["test", "val"]
    found = [root / name for name in names if (root / name).is_dir()]
    if not found:
        raise DataError(f"{root}: there is no folder {' or '.join(names)}; pictures must lie in "
                        f"{root / 'train'}/CLASS/*.jpg, and in test or val beside train")
    classes = sorted(entry.name for entry in (root / "train").iterdir() if entry.is_dir())
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        members = sorted(found[0].joinpath(name).glob("*"))
        members = [path for path in members if path.suffix.lower() in SUFFIXES]
        paths += members
        labels += [label] * len(members)
    if not paths:
        raise DataError(f"{found[0]}: no pictures; they must lie in {found[0]}/CLASS/ and end in "
                        f"{', '.join(SUFFIXES)}")

    def read(indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        with ThreadPoolExecutor(threads) as pool:
            return np.stack(list(pool.map(lambda i: read_image(paths[i], side), indices)))

    return ImageSet(root.resolve().name, np.array(labels, np.int64), classes, (side, side, 3), read)


def read_image(path: str | os.PathLike[str], side: int = 256) -> NDArray[np.uint8]:
    """Shorter side to `side`, then the central square: uint8 (side, side, 3).  Paper: section 2.

    Raises DataError, naming the file, if it is no picture or damaged.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as opened:
            opened.draft("RGB", (side, side))  # lets the JPEG decoder leave out what is not needed
            picture = ImageOps.exif_transpose(opened).convert("RGB")
            return np.asarray(ImageOps.fit(picture, (side, side), Image.Resampling.BICUBIC))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not a readable picture ({error}); repair or remove it") from None
