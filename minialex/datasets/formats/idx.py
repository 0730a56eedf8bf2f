"""Read and write idx, the file format of MNIST and of its relatives.

An idx file is a short header followed by the plain numbers, everything big-endian:

    offset  bytes  meaning
    0       2      zero
    2       1      type of the numbers (0x08 is uint8; all six stand in `_DTYPES`)
    3       1      R, the number of dimensions
    4       4 * R  the dimensions, 32 bits each; the last one varies fastest
    4+4*R          the numbers

Source: the description of the format at the end of Yann LeCun's page on MNIST.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ... import checks
from ...files import replacing
from ..errors import DataError

__all__ = ["read_idx", "write_idx"]

_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CODES = {np.dtype(text).newbyteorder("="): code for code, text in _DTYPES.items()}
_MAX_RANK = 32  # NumPy 1.26 has no more dimensions
_MOST_BYTES = 2**30  # of an array: five times as much as any set stored like MNIST
_CHUNK = 2**20
_GET_AGAIN = "get the file again"


def read_idx(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read a whole idx file, gzipped or plain (the content decides, not the name).

    Returns a new, writable array in the machine's own byte order. Its shape and dtype are those of
    the header: uint8, int8, int16, int32, float32 or float64.

    Raises DataError if the file is missing, unreadable or anything but exactly one idx array of at
    most 1 GiB. The header is checked before any memory is taken for the array.
    """
    path = checks.path("read_idx", "path", path)
    if path.is_dir():
        raise DataError(f"{path}: is a folder, not an idx file; name a file inside it")
    if not path.is_file():  # a pipe would keep us waiting
        raise DataError(f"{path}: no such file; check the path")
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            return _read(path, gzip.GzipFile(fileobj=file) if packed else file)
    except EOFError:
        raise DataError(f"{path}: the gzip stream ends too early; {_GET_AGAIN}") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: damaged gzip stream ({error}); {_GET_AGAIN}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its "
                        "permissions") from error


def _read(path: Path, file: IO[bytes] | gzip.GzipFile) -> NDArray[Any]:
    start = file.read(4)
    if len(start) < 4:
        raise DataError(f"{path}: has {len(start)} bytes; an idx header has 4 or more; "
                        f"{_GET_AGAIN}")
    if start[:2] != b"\0\0":
        raise DataError(f"{path}: the file starts with bytes {start.hex(' ')}; an idx file starts "
                        f"with 00 00; check the path or {_GET_AGAIN}")
    code, rank = start[2], start[3]
    if code not in _DTYPES:
        known = ", ".join(f"0x{known:02x} ({dtype})" for dtype, known in _CODES.items())
        raise DataError(f"{path}: type code 0x{code:02x} is not one of {known}; {_GET_AGAIN}")
    if not 1 <= rank <= _MAX_RANK:
        raise DataError(f"{path}: has {rank} dimensions, not 1 to {_MAX_RANK}; {_GET_AGAIN}")
    sizes = file.read(4 * rank)
    if len(sizes) < 4 * rank:
        raise DataError(f"{path}: the header ends after {4 + len(sizes)} bytes; {rank} dimensions "
                        f"need {4 + 4 * rank}; the file was cut off; {_GET_AGAIN}")
    shape = struct.unpack(f">{rank}I", sizes)
    stored = np.dtype(_DTYPES[code])
    # An empty array has no bytes, but NumPy counts as if each dimension of 0 were 1.
    if math.prod(max(size, 1) for size in shape) * stored.itemsize > _MOST_BYTES:
        raise DataError(f"{path}: shape {shape} of {stored.name} takes more than "
                        f"{_MOST_BYTES:,} bytes; {_GET_AGAIN}")
    need = math.prod(shape) * stored.itemsize
    data = bytearray()
    while len(data) <= need and (more := file.read(min(_CHUNK, need + 1 - len(data)))):
        data += more
    if len(data) < need:
        raise DataError(f"{path}: has {len(data)} bytes of data; shape {shape} of {stored.name} "
                        f"needs {need}; the file was cut off; {_GET_AGAIN}")
    if len(data) > need:
        raise DataError(f"{path}: has more than the {need} bytes that shape {shape} "
                        f"of {stored.name} needs; {_GET_AGAIN}")
    # astype copies: what was read is big-endian.
    return np.ndarray(shape, stored, data).astype(stored.newbyteorder("="))


def write_idx(path: str | os.PathLike[str], array: NDArray[Any]) -> None:
    """Write `array` as an idx file, gzipped if the name ends in ".gz".

    array: any shape with at least one dimension, each below 2**32; uint8, int8, int16, int32,
    float32 or float64. The same array gives the same bytes at any time, under any name. The file
    appears whole or not at all.

    Raises DataError if idx cannot hold the array, and FileError if the file cannot be written.
    """
    path = checks.path("write_idx", "path", path)
    array = checks.converted(np.asarray, array)
    code = _CODES.get(array.dtype.newbyteorder("="))
    if code is None:
        known = ", ".join(map(str, _CODES))
        raise DataError(f"{path}: idx cannot hold {array.dtype}; convert the array to {known}")
    if not 1 <= array.ndim <= _MAX_RANK:
        raise DataError(f"{path}: the array has {array.ndim} dimensions, not 1 to "
                        f"{_MAX_RANK}; reshape it")
    header = struct.pack(f">4B{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    data = header + array.astype(_DTYPES[code]).tobytes()

    with replacing(path) as file:
        if path.suffix == ".gz":
            # No name and no time in the gzip header: they would make equal data differ.
            # Level 9 takes eight times as long for images, and saves 1 % of their size.
            with gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as packed:
                packed.write(data)
        else:
            file.write(data)
