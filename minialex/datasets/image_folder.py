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

SPLITS = {"train": ("train",), "test": ("test", "val")}  # folders; the first that exists counts
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


def image_folder(folder: str | os.PathLike[str], split: str = "train", side: int = 256,
                 threads: int = 2) -> ImageSet:
    """The pictures of one split as squares of `side` pixels, RGB; classes in sorted order.

    split: "train", or "test", which is the folder `test` or else `val`.
    Raises DataError if the folder has no such split, no classes or no pictures.
    """
    if split not in SPLITS:
        raise DataError(f"split {split!r} came; need 'train' or 'test'; correct the name")
    root = Path(folder)
    train, part = _split_folder(root, "train"), _split_folder(root, split)
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
        with ThreadPoolExecutor(threads) as pool:
            return np.stack(list(pool.map(lambda i: read_image(paths[i], side), indices)))

    return ImageSet(root.resolve().name, np.array(labels, np.int64), classes, (side, side, 3), read)


def _split_folder(root: Path, split: str) -> Path:
    found = [root / name for name in SPLITS[split] if (root / name).is_dir()]
    if not found:
        raise DataError(f"{root}: there is no folder {' or '.join(SPLITS[split])}; pictures must "
                        f"lie in {root / 'train'}/CLASS/*.jpg, and in test or val beside train")
    return found[0]


def read_image(path: str | os.PathLike[str], side: int = 256) -> NDArray[np.uint8]:
    """Shorter side to `side`, then the central square: uint8 (side, side, 3).  Paper: section 2.

    Raises DataError, naming the file, if it is no picture or damaged.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as opened:
            opened.draft("RGB", (side, side))  # lets the JPEG decoder leave out what is not needed
            picture = ImageOps.exif_transpose(opened)
            if picture.mode.startswith("I"):  # 16 bits a pixel: Pillow would cut off, not scale
                picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
            if "transparency" in picture.info:  # of a palette; Pillow warns if left out in one go
                picture = picture.convert("RGBA")
            picture = picture.convert("RGB")
            return np.asarray(ImageOps.fit(picture, (side, side), Image.Resampling.BICUBIC))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not a readable picture ({error}); repair or remove it") from None
