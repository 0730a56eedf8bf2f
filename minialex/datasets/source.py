"""The picture files of a data set as its owner has them: which there are, and their bytes.

A file lies in a folder, or inside a tar that is never unpacked. Nothing is opened before it is
read, so listing is quick.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .errors import DataError
from .picture import PictureError

__all__ = ["File", "Source", "class_files", "class_folders", "content", "folder_source", "listed",
           "printable", "split_folders", "unreadable"]

# Of each split, the names that its folder may have.
SPLITS = {"train": ("train",), "val": ("val", "validation", "valid"), "test": ("test",)}
MOST_BYTES = 2**29


class File(NamedTuple):
    """`size` bytes from `offset` on of the file at `path`. name: within the source, for people.

    A size of -1 stands for what is no regular file.
    """

    name: str
    label: int
    path: str
    offset: int
    size: int


class Source(NamedTuple):
    """The files of each split. classes: by label; remarks: what the user should know of it."""

    classes: list[str]
    splits: dict[str, list[File]]
    remarks: list[str]

    def digest(self) -> str:
        """Another one if a class or a file is added or removed, or has another name or size."""
        total = hashlib.sha256("\n".join(self.classes).encode())
        for split, files in self.splits.items():
            for file in files:
                total.update(f"{split}\n{self.classes[file.label]}\n{file.name}\n{file.size}\n"
                             .encode())
        return total.hexdigest()


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
        raise DataError(f"{file.path}: has become shorter; let nothing change the source, and run "
                        "the same command again")
    return data


def folder_source(root: Path, shares: Sequence[int] | None = None) -> Source:
    """The files of root/train/CLASS, and of val (or validation, or valid) and test beside train.

    Without a folder train, those of root/CLASS are all for training, or divided at random into
    train, val and test by `shares` in per cent, within each class. A class may have folders inside;
    hidden files and links to folders inside are left out.
    Raises DataError if there are no classes, or val or test has one that train lacks.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; need one of train/CLASS/*.jpg, or of CLASS/*.jpg")
    if not (root / "train").is_dir():
        return _plain_source(root, shares)
    if shares is not None:
        raise DataError(f"{root}: has a folder train already; leave --split out")
    classes, parts = split_folders(root)
    splits = {split: class_files(part, classes) for split, part in parts.items()}
    unused = sorted(set(class_folders(root)) - {part.name for part in parts.values()})
    remarks = [f"{printable(name)} is left out; need train, val or test, with folders of classes"
               for name in unused]
    remarks += [line for part in parts.values() for line in _beside_classes(part)]
    return _checked(root / "train", Source([printable(name) for name in classes], splits, remarks))


def split_folders(root: Path) -> tuple[list[str], dict[str, Path]]:
    """The classes of root/train, and of each split the folder, if it holds folders of classes.

    Raises DataError if val or test has a class that train lacks.
    """
    classes, parts = class_folders(root / "train"), {}
    for split, names in SPLITS.items():
        part = next((root / name for name in names
                     if (root / name).is_dir() and class_folders(root / name)), None)
        if part:
            strange = set(class_folders(part)) - set(classes)
            if strange:
                raise DataError(f"{part}: has the class {min(strange)}, for which there is no "
                                f"folder in {root / 'train'}; add or remove it")
            parts[split] = part
    return classes, parts


def _plain_source(root: Path, shares: Sequence[int] | None) -> Source:
    reserved = {"training", "testing"}.union(*SPLITS.values())
    classes = class_folders(root)
    strays = [name for name in classes if name.lower() in reserved]
    if strays:
        raise DataError(f"{root}: there is a folder {strays[0]}, but no folder train; pictures to "
                        f"learn from must lie in {root / 'train'}/CLASS/")
    files, remarks = class_files(root, classes), _beside_classes(root)
    splits = {"train": files}
    if shares is None:
        remarks.append("no folder train: all pictures are for training; to set some aside, give "
                       "--split 80,10,10")
    else:
        parts = _divide([file.label for file in files], shares)
        splits = {split: [files[i] for i in part] for split, part in zip(SPLITS, parts, strict=True)
                  if len(part)}
    return _checked(root, Source([printable(name) for name in classes], splits, remarks))


def _divide(labels: Sequence[int], shares: Sequence[int]) -> list[np.ndarray]:
    """Indices of the parts, each in order; always the same ones for the same labels."""
    rng = np.random.default_rng(0)
    parts: list[list[np.ndarray]] = [[] for _ in shares]
    for label in range(max(labels, default=-1) + 1):
        members = rng.permutation(np.flatnonzero(np.array(labels) == label))
        ends = np.round(np.cumsum(shares) * len(members) / 100).astype(int)
        for part, chosen in zip(parts, np.split(members, ends[:-1]), strict=True):
            part.append(chosen)
    return [np.sort(np.concatenate(part)) for part in parts]


def _beside_classes(folder: Path) -> list[str]:
    """A remark, if there are files where only folders of classes count."""
    count = sum(not entry.is_dir() and not entry.name.startswith(".") for entry in folder.iterdir())
    place = printable(str(folder))
    remark = f"files beside the folders of classes are left out: {count:,} in {place}"
    return [remark] if count else []


def _checked(place: Path, source: Source) -> Source:
    files = source.splits.get("train")
    if not files:
        hint = ("; unpack the tars in it, or use ILSVRC2012_img_train.tar as it is"
                if any(place.glob("*.tar")) else "")
        raise DataError(f"{place}: no pictures; they must lie in {place}/CLASS/{hint}")
    labels = {file.label for file in files}
    empty = [name for label, name in enumerate(source.classes) if label not in labels]
    if empty:
        source.remarks.append(f"no training files in {', '.join(empty)}: remove these folders, or "
                              "each becomes a class")
    return source


def class_folders(folder: Path) -> list[str]:
    """The names of the folders inside, sorted; hidden ones do not count."""
    try:
        return sorted(entry.name for entry in folder.iterdir()
                      if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise unreadable(folder, error) from None


def class_files(folder: Path, classes: Sequence[str]) -> list[File]:
    """All files of folder/CLASS, if there is one: by class, and in the order of their names."""
    return [listed(folder / name / inside, f"{folder.name}/{name}/{inside}", label)
            for label, name in enumerate(classes) if (folder / name).is_dir()
            for inside in sorted(_walk(folder / name))]


def _walk(folder: Path) -> Iterator[str]:
    """Paths of the files below, from `folder` on, with "/"."""
    def fail(error: OSError) -> None:
        raise unreadable(folder, error)

    for place, folders, names in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = Path(place).relative_to(folder)
        yield from ((inside / name).as_posix() for name in names if not name.startswith("."))


def listed(path: Path, name: str, label: int = 0) -> File:
    """A file on the disk."""
    try:
        found = path.stat()
        size = found.st_size if stat.S_ISREG(found.st_mode) else -1  # reading a pipe never ends
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ELOOP):
            raise unreadable(path, error) from None
        size = -1  # a link to nothing, or to itself
    return File(printable(name), label, str(path), 0, size)


def printable(name: str) -> str:
    """The name in one line of UTF-8: whatever else is in it becomes \\n, \\x1f or \\udce9."""
    name = name.encode("utf-8", "backslashreplace").decode("utf-8")
    return re.sub(r"[\x00-\x1f\x7f]", lambda found: repr(found[0])[1:-1], name)


def unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"{error.filename or path}: cannot be read ({error.strerror}); see to it, and "
                     "run the same command again")
