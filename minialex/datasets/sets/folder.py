"""A folder of pictures: train/CLASS/*.jpg, with val and test beside train; or CLASS/*.jpg alone.

This is the only walk over such folders, whether the pictures are trained on as they are, prepared,
or looked at.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from ... import checks
from ..errors import DataError
from ..formats.picture import SUFFIXES
from .source import File, Source, printable, unreadable

__all__ = ["folder_source", "listed", "pictures_in"]

# Of each split, the names that its folder may have.
_SPLITS = {"train": ("train",), "val": ("val", "validation", "valid"), "test": ("test",)}
# What file managers, disk stations and archivers leave behind. Hidden files are left out, too.
_BY_PRODUCTS = ("@eadir", "__macosx", "thumbs.db", "desktop.ini", "$recycle.bin")


def folder_source(root: Path, shares: Sequence[int] | None = None) -> Source:
    """The files of root/train/CLASS, and of val (or validation, or valid) and test beside train.

    Without a folder train, those of root/CLASS are all for training, or divided at random into
    train, val and test by `shares` in per cent, within each class. A class may have folders inside;
    hidden files, by-products of other programs, and links to folders inside a class are left out.
    Raises DataError if there are no pictures, or val or test has a class that train lacks.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; name one of train/CLASS/*.jpg, or of CLASS/*.jpg")
    has_train = (root / "train").is_dir()
    parts = _split_folders(root) if has_train else {"train": _undivided(root)}
    classes = _class_folders(parts["train"])
    splits = {split: _class_files(part, classes) for split, part in parts.items()}
    remarks = []
    for part in parts.values():
        count = sum(not entry.is_dir() and _counts(entry.name) for entry in part.iterdir())
        if count:
            remarks.append(f"files beside the folders of classes are left out: {count:,} in {part}")
    if has_train:
        unused = sorted(set(_class_folders(root)) - {part.name for part in parts.values()})
        remarks += [f"{name} is left out; only train, val and test with classes in them count"
                    for name in unused]
    elif shares is None:
        remarks.append("no folder train: all pictures are for training")
    else:
        splits = _divided(splits["train"], shares)
    if not splits.get("train"):
        hint = ("; unpack the tars in it, or use ILSVRC2012_img_train.tar as it is"
                if any(parts["train"].glob("*.tar")) else "")
        raise DataError(f"{parts['train']}: no pictures; they must lie in "
                        f"{parts['train']}/CLASS/{hint}")
    return Source([printable(name) for name in classes], splits, remarks)


def pictures_in(folder: str | os.PathLike[str]) -> list[Path]:
    """The files below a folder that have the ending of a picture, sorted by name."""
    folder = checks.path("pictures_in", "folder", folder)
    return [folder / name for name in sorted(_walk(folder))
            if name.lower().endswith(SUFFIXES)]


def _class_folders(folder: Path, known: Collection[str] = ()) -> list[str]:
    """The names of the folders inside, sorted; hidden ones and by-products do not count.

    Raises DataError if two of them, and of the classes that are `known`, look the same.
    """
    try:
        names = sorted(entry.name for entry in folder.iterdir()
                       if entry.is_dir() and _counts(entry.name))
    except OSError as error:
        raise unreadable(folder, error) from None
    # An umlaut is one letter, or two, as on a Mac.
    looks = sorted((unicodedata.normalize("NFC", name), name) for name in {*names, *known})
    for (look, one), (next_look, other) in pairwise(looks):
        if look == next_look:
            raise DataError(f"{folder}: two classes are called {look}; they look the same, but "
                            f"their letters are encoded in two ways ({one!a} and {other!a}); give "
                            "their folders one name")
    return names


def _class_files(folder: Path, classes: Sequence[str]) -> list[File]:
    """All files of folder/CLASS, if there is one: by class, and in the order of their names."""
    return [listed(folder / name / inside, f"{folder.name}/{name}/{inside}", label)
            for label, name in enumerate(classes) if (folder / name).is_dir()
            for inside in sorted(_walk(folder / name))]


def listed(path: Path, name: str, label: int = 0) -> File:
    """A file on the disk."""
    try:
        size = path.stat().st_size if path.is_file() else -1  # reading a pipe never ends
    except OSError as error:
        raise unreadable(path, error) from None
    return File(printable(name), label, str(path), 0, size)


def _counts(name: str) -> bool:
    """Whether a file or folder of this name is the user's own."""
    return not name.startswith(".") and name.lower() not in _BY_PRODUCTS


def _walk(folder: Path) -> Iterator[str]:
    """Paths of the files below, from `folder` on, with "/"."""
    def fail(error: OSError) -> None:
        raise unreadable(folder, error)

    for place, folders, names in os.walk(folder, onerror=fail):
        folders[:] = filter(_counts, folders)
        inside = Path(place).relative_to(folder)
        yield from ((inside / name).as_posix() for name in names if _counts(name))


def _split_folders(root: Path) -> dict[str, Path]:
    """Of each split the folder, if it holds folders of classes."""
    classes, parts = _class_folders(root / "train"), {"train": root / "train"}
    for split in ("val", "test"):
        part = next((root / name for name in _SPLITS[split]
                     if (root / name).is_dir() and _class_folders(root / name)), None)
        if part:
            strange = min(set(_class_folders(part, classes)) - set(classes), default=None)
            if strange:
                raise DataError(f"{part}: has the class {strange}, for which there is no folder in "
                                f"{root / 'train'}; add or remove it")
            parts[split] = part
    return parts


def _undivided(root: Path) -> Path:
    """The folder itself. Raises DataError if its folders look like splits, not like classes."""
    reserved = {"training", "testing"}.union(*_SPLITS.values())
    strays = [name for name in _class_folders(root) if name.lower() in reserved]
    if strays:
        raise DataError(f"{root}: there is a folder {strays[0]}, but no folder train; pictures to "
                        f"learn from must lie in {root / 'train'}/CLASS/")
    return root


def _divided(files: Sequence[File], shares: Sequence[int]) -> dict[str, list[File]]:
    """The files of each split that gets any, in order; always the same for the same labels."""
    rng, labels = np.random.default_rng(0), np.array([file.label for file in files])
    parts: list[list[int]] = [[] for _ in shares]
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        ends = np.round(np.cumsum(shares) * len(members) / 100).astype(int)
        for part, chosen in zip(parts, np.split(members, ends[:-1]), strict=True):
            part.extend(chosen)
    return {split: [files[i] for i in sorted(part)]
            for split, part in zip(_SPLITS, parts, strict=True) if part}
