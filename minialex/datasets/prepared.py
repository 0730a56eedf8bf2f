"""Read what `minialex data prepare` has packed (see pack.py), as fast as JPEGs can be decoded."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .errors import DataError
from .images import ImageSet, Statistics

__all__ = ["about", "is_prepared", "prepared"]

ABOUT, MANIFEST = "prepared.json", "manifest.csv"
LISTS = ("classes.csv", "skipped.csv", "statistics.json", "mean.npy", "mean.png", MANIFEST)
_AGAIN = "run minialex data prepare with the same folders again: it makes what is missing"


def is_prepared(folder: str | os.PathLike[str]) -> bool:
    """Whether `folder` is a set that was prepared to the end."""
    return all(Path(folder, name).is_file() for name in (ABOUT, *LISTS))


def prepared(folder: str | os.PathLike[str], split: str = "train") -> ImageSet:
    """One split of a prepared set: (side, side, 3), with the statistics of its training images.

    split: "train", "val" or "test". An image is read from its place in the shard, compared with
    its checksum, and decoded.
    Raises DataError if the folder is no prepared set, lacks the split, or is damaged; `read` raises
    it, naming the shard, if that is missing or damaged.
    """
    from PIL import Image

    root = Path(folder)
    if not is_prepared(root):
        raise DataError(f"{root}: is no prepared set, or not finished; run minialex data prepare "
                        f"SOURCE --out {root}")
    side = about(root)["side"]
    paths, places = _places(root, split)

    def read(indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        images = np.empty((len(indices), side, side, 3), np.uint8)
        for image, (shard, offset, size, checksum, _) in zip(images, places[indices], strict=True):
            data = _read(paths[shard], offset, size)
            if _checksum(hashlib.sha256(data).hexdigest()) != checksum:
                raise DataError(f"{paths[shard]}: the image at byte {offset:,} is damaged; delete "
                                f"this file and {_AGAIN}")
            with Image.open(BytesIO(data), formats=("JPEG",)) as picture:
                image[...] = picture
        return images

    with _whole(root / "classes.csv") as path:
        classes = [row["name"] for row in _rows(path)]
    labels = np.ascontiguousarray(places["label"])  # in the table there are gaps between them
    return ImageSet(root.resolve().name, labels, classes, (side, side, 3), read,
                    _statistics(root, side))


def _places(root: Path, split: str) -> tuple[list[Path], NDArray[np.void]]:
    """The shards, and where in them each image is: a table with a row for each."""
    kinds = [("shard", np.int32), ("offset", np.int64), ("bytes", np.int64),
             ("checksum", np.uint64), ("label", np.int64)]
    numbers: dict[str, int] = {}
    with _whole(root / MANIFEST) as path:
        table = [(numbers.setdefault(row["shard"], len(numbers)), int(row["offset"]),
                  int(row["bytes"]), _checksum(row["sha256"]), int(row["label"]))
                 for row in _rows(path) if row["split"] == split]
    if not table:
        raise DataError(f"{root}: has no images for {split!r}; prepare a source with a folder "
                        f"{split}, or use another split")
    return [root / f"{name}.zip" for name in numbers], np.array(table, kinds)


def _checksum(sha256: str) -> int:
    """Its first 8 bytes are enough to notice damage."""
    return int(sha256[:16], 16)


def _read(path: Path, offset: int, size: int) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            file.seek(offset)
            return file.read(size)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); {_AGAIN}") from None


def about(folder: Path) -> dict[str, Any]:
    """What the set was made with."""
    try:
        found = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        return {**found, "side": int(found["side"])}
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise DataError(f"{folder / ABOUT}: damaged ({error}); delete the folder and prepare the "
                        "pictures again") from None


def _statistics(root: Path, side: int) -> Statistics:
    with _whole(root / "mean.npy") as path:
        mean = np.load(path, allow_pickle=False)
        if mean.shape != (side, side, 3) or mean.dtype != np.float32:
            raise InputError(f"{mean.dtype} of shape {mean.shape}")
    with _whole(root / "statistics.json") as path:
        covariance = json.loads(path.read_text(encoding="utf-8"))["covariance"]
        return Statistics(mean, np.array(covariance, np.float64).reshape(3, 3))


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Names the file in the error if it is missing or damaged."""
    try:
        yield path
    except (OSError, ValueError, TypeError, LookupError, EOFError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: damaged ({reason}); delete it and {_AGAIN}") from None
