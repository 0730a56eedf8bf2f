"""CIFAR-10: 60,000 colour photographs of 32 x 32 pixels, in the binary version."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from ... import checks
from ..errors import DataError
from ..formats.cifar10 import read_cifar10
from .facts import Download, PublicSet

__all__ = ["CIFAR10", "CLASSES", "cifar10"]

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

_FILES = {"train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
          "test": ("test_batch.bin",)}


def cifar10(
    split: str = "train", folder: str | os.PathLike[str] = "data/cifar10"
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read one split of CIFAR-10.

    split: "train" (five files, in their order) or "test".
    folder: holds data_batch_1.bin to data_batch_5.bin and test_batch.bin, as `get_set("cifar10")`
    puts them there.

    Returns images (N, 32, 32, 3), uint8, RGB, and labels (N,), int64, 0 to 9; CLASSES names them.

    Raises DataError for an unknown split and for a missing or damaged file.

    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """
    if checks.text("cifar10", "split", split) not in _FILES:
        raise DataError(f"split is {split!r}; it must be 'train' or 'test'")
    folder = checks.path("cifar10", "folder", folder)
    images, labels = zip(*(read_cifar10(folder / name) for name in _FILES[split]), strict=True)
    return np.concatenate(images), np.concatenate(labels)


CIFAR10 = PublicSet(
    name="cifar10", images={"train": 50_000, "test": 10_000}, classes=10, pixels="32x32",
    licence="not stated",
    citation="A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, technical "
             "report, University of Toronto, 2009",
    home="https://www.cs.toronto.edu/~kriz/cifar.html",
    root="cifar-10-batches-bin",
    holds=tuple(name for names in _FILES.values() for name in names),
    read=cifar10, class_names=CLASSES,
    downloads=(Download(
        "cifar-10-binary.tar.gz",
        ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
         "https://cave.cs.toronto.edu/kriz/cifar-10-binary.tar.gz"),
        170_052_171, "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),))
