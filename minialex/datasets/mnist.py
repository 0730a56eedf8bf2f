"""MNIST: 60,000 + 10,000 handwritten digits, and the reader for everything stored like it."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import DataError
from .idx import read_idx

__all__ = ["CLASSES", "mnist"]

CLASSES = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")

# The test set keeps the name that it was published under.
_PREFIXES = {"train": "train", "test": "t10k"}


def mnist(
    split: str = "train", folder: str | os.PathLike[str] = "data/mnist"
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read one split of MNIST, or of a set stored like it, from a folder of its idx files.

    split: "train" or "test".
    folder: holds train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and
    t10k-labels-idx1-ubyte, gzipped (.gz) or plain. minialex ships no MNIST: you provide the files.

    Returns images (N, 28, 28, 1), uint8, 0 (background) to 255, and labels (N,), int64, 0 to 9.

    Raises DataError for an unknown split, a missing or damaged file, or images and labels that do
    not belong together.

    Source: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits", 1998.
    """
    if split not in _PREFIXES:
        raise DataError(f"split {split!r} came; need 'train' or 'test'; correct the name")
    if not Path(folder).is_dir():
        raise DataError(
            f"{folder}: no such folder; need the four idx files of the set; "
            "put them there, or pass folder=..."
        )
    image_path, images = _read(folder, f"{_PREFIXES[split]}-images-idx3-ubyte")
    label_path, labels = _read(folder, f"{_PREFIXES[split]}-labels-idx1-ubyte")

    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (28, 28):
        raise DataError(
            f"{image_path}: {images.dtype} of shape {images.shape} came; need uint8 images of "
            "shape (N, 28, 28); get the file again"
        )
    if labels.dtype != np.uint8 or labels.ndim != 1:
        raise DataError(
            f"{label_path}: {labels.dtype} of shape {labels.shape} came; need uint8 labels of "
            "shape (N,); get the file again"
        )
    if len(images) != len(labels) or len(labels) == 0:
        raise DataError(
            f"{label_path}: {len(labels)} labels came for {len(images)} images; need one label "
            "for each image, and at least one; get both files again"
        )
    if labels.max() >= len(CLASSES):
        raise DataError(
            f"{label_path}: label {labels.max()} came; need 0 to {len(CLASSES) - 1}; "
            "get the file again"
        )
    return images[..., np.newaxis], labels.astype(np.int64)


def _read(folder: str | os.PathLike[str], name: str) -> tuple[Path, NDArray[Any]]:
    """One array of the set, and the path it came from: the gzipped file, else the plain one."""
    packed, plain = Path(folder, name + ".gz"), Path(folder, name)
    if not packed.exists() and not plain.exists():
        raise DataError(
            f"{packed}: no such file, nor without .gz; need the four idx files of the set; "
            "add it to the folder"
        )
    path = packed if packed.exists() else plain
    return path, read_idx(path)
