"""CIFAR-10: 60,000 colour photographs of 32 x 32 pixels, in the binary version.

A file is one record after the other, without a header:

    bytes  meaning
    1      label, 0 to 9
    1024   red, row by row
    1024   green
    1024   blue

Source: https://www.cs.toronto.edu/~kriz/cifar.html
"""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import DataError

__all__ = ["CLASSES", "cifar10"]

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

_FILES = {"train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
          "test": ("test_batch.bin",)}
_RECORD = 1 + 3 * 32 * 32  # bytes


def cifar10(
    split: str = "train", folder: str | os.PathLike[str] = "data/cifar10"
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read one split of CIFAR-10.

    split: "train" (five files, in their order) or "test".
    folder: holds data_batch_1.bin to data_batch_5.bin and test_batch.bin, as `minialex data get
    cifar10` puts them there.

    Returns images (N, 32, 32, 3), uint8, RGB, and labels (N,), int64, 0 to 9; CLASSES names them.

    Raises DataError for an unknown split and for a missing or damaged file.

    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """
    if split not in _FILES:
        raise DataError(f"split {split!r} came; need 'train' or 'test'; correct the name")
    if not Path(folder).is_dir():
        raise DataError(f"{folder}: no such folder; need the six .bin files of CIFAR-10; get them "
                        "with minialex data get cifar10, or pass folder=...")
    records = np.concatenate([_read(Path(folder, name)) for name in _FILES[split]])
    planes = records[:, 1:].reshape(-1, 3, 32, 32)
    images = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))  # (N, 32, 32, 3)
    return images, records[:, 0].astype(np.int64)


def _read(path: Path) -> NDArray[np.uint8]:
    """The records of one file, (N, 3073)."""
    try:
        data = np.fromfile(path, np.uint8)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; need the six .bin files of CIFAR-10; "
                        "get them with minialex data get cifar10") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); need a readable "
                        "file; check its permissions") from error
    if len(data) == 0 or len(data) % _RECORD:
        raise DataError(f"{path}: {len(data)} bytes came; need a multiple of {_RECORD}, one label "
                        "and 32 x 32 x 3 pixels for each image; get the file again")
    records = data.reshape(-1, _RECORD)
    if records[:, 0].max() >= len(CLASSES):
        raise DataError(f"{path}: label {records[:, 0].max()} came; need 0 to {len(CLASSES) - 1}; "
                        "get the file again")
    return records
