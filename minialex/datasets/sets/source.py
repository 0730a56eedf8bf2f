"""The picture files of a data set, as its owner publishes them: their names and their bytes.

A file lies in a folder, or inside a tar that is never unpacked. Nothing is opened before it is
read, so listing is quick.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..formats.picture import MOST_BYTES, SUFFIXES, PictureError, to_square
from ..images import ImageSet

__all__ = ["File", "Source", "TarHeader", "content", "image_set", "printable", "unreadable"]

MOST_HEADER = 2**20  # bytes that a header of a tar may have besides its block


class File(NamedTuple):
    """`size` bytes from `offset` on of the file at `path`. name: within the source, for people.

    A size of -1 means that it is not a regular file.
    """

    name: str
    label: int
    path: str
    offset: int
    size: int


class Source(NamedTuple):
    """The files of each split. classes: by label; remarks: what the user should know about it."""

    classes: list[str]
    splits: dict[str, list[File]]
    remarks: list[str]

    def digest(self) -> str:
        """Changes if a class or a file is added or removed, or gets another name or size."""
        total = hashlib.sha256("\n".join(self.classes).encode())
        for split, files in self.splits.items():
            for file in files:
                total.update(f"{split}\n{self.classes[file.label]}\n{file.name}\n{file.size}\n"
                             .encode())
        return total.hexdigest()


class TarHeader(tarfile.TarInfo):
    """For `tarfile.open`, which reads long names at once: one of gigabytes would fill the memory.

    What follows a header of any kind that is no file must be short; a map of holes takes for ever.
    """

    @classmethod
    def frombuf(cls, buf: Any, encoding: str, errors: str) -> TarHeader:
        found = super().frombuf(buf, encoding, errors)
        if found.type not in tarfile.REGULAR_TYPES and not 0 <= found.size <= MOST_HEADER:
            raise tarfile.ReadError("a header that is too long")
        return found

    def _proc_gnusparse_10(self, *_: Any) -> Any:
        raise tarfile.ReadError("a file with holes")


def content(file: File) -> bytes:
    """The bytes of a file.

    Raises PictureError if this file is to be left out, and DataError if more is wrong than one
    file: a disk that was taken away, or a folder that may not be read.
    """
    if file.size < 0:
        raise PictureError("no file, or a link to nothing")
    if file.size > MOST_BYTES:
        raise PictureError(f"more than {MOST_BYTES:,} bytes")
    try:
        with open(file.path, "rb") as opened:
            opened.seek(file.offset)
            data = opened.read(file.size)
    except OSError as error:
        raise unreadable(Path(file.path), error) from None
    if len(data) < file.size:
        raise DataError(f"{file.path}: has become shorter while it was read; make sure that "
                        "nothing changes the pictures, then run the same command again")
    return data


def image_set(source: Source, split: str, side: int, name: str,
              squeeze: bool = False) -> ImageSet:
    """The pictures of one split as squares of `side` pixels, RGB, read when they are asked for.

    Preparing a set opens each file and leaves out what is not a picture. Here nothing is opened in
    advance, so only files with the ending of a picture count.
    Raises DataError if there are none, or none to learn a class from.
    """
    files = [file for file in source.splits[split] if file.name.lower().endswith(SUFFIXES)]
    labels = np.array([file.label for file in files], np.int64)
    counts = np.bincount(labels, minlength=len(source.classes))
    if not files or (split == "train" and not counts.all()):
        empty = f" of the class {source.classes[counts.argmin()]}" if files else ""
        raise DataError(f"{name}: no {split} pictures{empty}; they must lie in folders named by "
                        f"class and end in {', '.join(SUFFIXES)}; add some, or remove the folder")

    def read(indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        images = np.empty((len(indices), side, side, 3), np.uint8)
        for image, i in zip(images, indices, strict=True):
            try:
                image[...] = np.asarray(to_square(content(files[i]), side, squeeze)[0])
            except PictureError as error:
                place = files[i].path if files[i].offset == 0 else files[i].name  # in a tar
                raise DataError(f"{printable(place)}: not a readable picture ({error}); repair or "
                                "remove it") from None
        return images

    return ImageSet(name, labels, source.classes, (side, side, 3), read)


def printable(name: str) -> str:
    """The name in one line of UTF-8: other characters become \\n, \\x1f or \\udce9."""
    name = name.encode("utf-8", "backslashreplace").decode("utf-8")
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda found: repr(found[0])[1:-1], name)


def unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"{error.filename or path}: cannot be read ({error.strerror}); check the "
                     "disk and its permissions, then run the same command again")
