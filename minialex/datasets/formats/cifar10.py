"""The binary format of CIFAR-10: one record after the other, without a header.

    bytes  meaning
    1      label, 0 to 9
    1024   red, row by row
    1024   green
    1024   blue

Source: https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

__all__ = ["read_cifar10"]

_RECORD = 1 + 3 * 32 * 32  # bytes
_LABELS = 10
_MOST_BYTES = 2**28  # nine times as much as a file of the set


def read_cifar10(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (N, 32, 32, 3), uint8, RGB, and labels (N,), int64, 0 to 9, of one file.

    Raises DataError if it is missing or damaged.
    """
    if not path.is_file():  # a pipe would keep us waiting
        raise DataError(f"{path}: no such file; the set has six .bin files; get it again")
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{path}: has more than {_MOST_BYTES:,} bytes; get the file again")
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); check its "
                        "permissions") from error
    if len(data) == 0 or len(data) % _RECORD:
        raise DataError(f"{path}: has {len(data)} bytes, which is not a multiple of {_RECORD} (one "
                        "label and 32 x 32 x 3 pixels for each image); get the file again")
    records = data.reshape(-1, _RECORD)
    labels = records[:, 0].astype(np.int64)
    if labels.max() >= _LABELS:
        raise DataError(f"{path}: has the label {labels.max()}, not 0 to {_LABELS - 1}; get the "
                        "file again")
    planes = records[:, 1:].reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels  # (N, 32, 32, 3)
