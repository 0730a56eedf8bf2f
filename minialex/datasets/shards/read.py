"""Read pictures that were packed for training (see write.py), as fast as JPEGs can be decoded."""

from __future__ import annotations

import csv
import hashlib
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import checks
from ...errors import InputError
from ...files import is_no_file, read_json, text_lines
from ..errors import DataError
from ..formats.picture import MOST_BYTES
from ..images import ImageSet, Statistics

__all__ = ["ABOUT", "LISTS", "MANIFEST", "MOST_SIDE", "about", "is_prepared", "prepared", "whole"]

ABOUT, MANIFEST = "prepared.json", "manifest.csv"
LISTS = ("classes.csv", "skipped.csv", "statistics.json", "mean.npy", "mean.png", MANIFEST)
MOST_SIDE = 4096  # rows and columns of an image
MOST_CLASSES = 2**16  # three times as many as all of ImageNet has
_AGAIN = "prepare the same source into this folder again: what is missing is made"


def is_prepared(folder: str | os.PathLike[str]) -> bool:
    """Whether `folder` is a set that was prepared to the end."""
    folder = checks.path("is_prepared", "folder", folder)
    return all((folder / name).is_file() for name in (ABOUT, *LISTS))


def prepared(folder: str | os.PathLike[str]) -> Mapping[str, ImageSet]:
    """The splits of a prepared set: (side, side, 3), with the statistics of its training images.

    An image is read from its place in the shard, compared with its checksum, and decoded.
    Raises DataError if the folder is no prepared set, or is damaged; `read` raises it, naming the
    shard, if that is missing or damaged.
    """
    root = checks.path("prepared", "folder", folder)
    if not is_prepared(root):
        raise DataError(f"{root}: is no prepared set, or not finished; prepare its source into "
                        "this folder again, or name another")
    side = about(root)["side"]
    statistics = _statistics(root, side)
    with whole(root / "classes.csv") as path:
        classes = [row["name"] for row in csv.DictReader(text_lines(path))]
        if len(classes) > MOST_CLASSES:
            raise InputError(f"more than {MOST_CLASSES:,} classes")
    name = root.resolve().name
    return {split: _image_set(name, [root / f"{shard}.zip" for shard in shards], places, classes,
                              side, statistics)
            for split, (shards, places) in _places(root, len(classes)).items()}


def _image_set(name: str, shards: list[Path], places: NDArray[np.void], classes: list[str],
               side: int, statistics: Statistics) -> ImageSet:
    def read(indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        images = np.empty((len(indices), side, side, 3), np.uint8)
        for image, (shard, offset, size, checksum, _) in zip(images, places[indices], strict=True):
            _decode(shards[shard], offset, size, checksum, image)
        return images

    labels = np.ascontiguousarray(places["label"])  # in the table there are gaps between them
    return ImageSet(name, labels, classes, (side, side, 3), read, statistics,
                    checksum=zlib.crc32(places["checksum"].tobytes()))


def _decode(path: Path, offset: int, size: int, checksum: int, out: NDArray[np.uint8]) -> None:
    """The JPEG of `size` bytes in the shard at `path`, into `out`."""
    from PIL.JpegImagePlugin import JpegImageFile

    try:
        if is_no_file(path):
            raise DataError(f"{path}: is no file; delete it and {_AGAIN}")
        with open(path, "rb", buffering=0) as file:
            file.seek(offset)
            data = file.read(size)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); {_AGAIN}") from None
    damaged = DataError(f"{path}: the image at byte {offset:,} is damaged; delete this file and "
                        f"{_AGAIN}")
    if _checksum(hashlib.sha256(data).hexdigest()) != checksum:
        raise damaged
    try:
        with JpegImageFile(BytesIO(data)) as picture:  # unlike Image.open, it asks no other decoder
            if (*picture.size, picture.mode) != (*out.shape[:2], "RGB"):
                raise damaged
            out[...] = np.asarray(picture)
    except (OSError, SyntaxError, ValueError, LookupError):
        raise damaged from None


def _places(root: Path, classes: int) -> dict[str, tuple[list[str], NDArray[np.void]]]:
    """Of each split the names of its shards, and where in them each image is: a row for each."""
    kinds = [("shard", np.int32), ("offset", np.int64), ("bytes", np.int64),
             ("checksum", np.uint64), ("label", np.int64)]
    found: dict[str, tuple[dict[str, int], list[tuple]]] = {}
    with whole(root / MANIFEST) as path:
        for row in csv.DictReader(text_lines(path)):
            numbers, table = found.setdefault(row["split"], ({}, []))
            size, label = int(row["bytes"]), int(row["label"])
            if not (0 <= size <= MOST_BYTES and 0 <= label < classes):
                raise InputError(f"an image of {size:,} bytes, with label {label}")
            number = numbers.setdefault(row["shard"], len(numbers))
            table.append((number, int(row["offset"]), size, _checksum(row["sha256"]), label))
        return {split: (list(numbers), np.array(table, kinds))
                for split, (numbers, table) in found.items()}


def _checksum(sha256: str) -> int:
    """Its first 8 bytes are enough to notice damage."""
    return int(sha256[:16], 16)


def about(folder: Path) -> dict[str, Any]:
    """What the set was made with."""
    with whole(folder / ABOUT, "delete the folder and prepare the pictures again") as path:
        found = read_json(path)
        side = found["side"]
        if type(side) is not int or not 1 <= side <= MOST_SIDE:
            raise InputError(f"the side of its images is {side!r:.40}")
        return found


def _statistics(root: Path, side: int) -> Statistics:
    with whole(root / "mean.npy") as path:
        mean = np.load(path, "r", allow_pickle=False)  # not into memory before its shape is known
        if mean.shape != (side, side, 3) or mean.dtype != np.float32:
            raise InputError(f"{mean.dtype} of shape {mean.shape}")
    with whole(root / "statistics.json") as path:
        covariance = np.array(read_json(path)["covariance"], np.float64).reshape(3, 3)
        if not np.isfinite(covariance).all():
            raise InputError("a covariance that is not finite")
        return Statistics(np.array(mean), covariance)


@contextmanager
def whole(path: Path, remedy: str = f"delete it and {_AGAIN}") -> Iterator[Path]:
    """Names the file in the error, and the remedy, if it is missing or damaged."""
    try:
        yield path
    except Exception as error:  # of a damaged file csv, zipfile and NumPy let all kinds through
        reason = error if isinstance(error, InputError) else getattr(error, "strerror", None)
        raise DataError(f"{path}: damaged{f' ({reason})' if reason else ''}; {remedy}") from None
