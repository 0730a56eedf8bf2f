"""Any data set by its name or its folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from .download.fetch import find_set
from .errors import DataError, MissingSetError
from .images import ImageSet
from .sets import SETS
from .sets.facts import PublicSet
from .sets.folder import SPLITS, folder_source
from .sets.imagenet import imagenet_source, is_imagenet
from .sets.source import Source, image_set
from .shards.read import ABOUT, prepared

__all__ = ["Data", "image_folder", "open"]


class Data(NamedTuple):
    """The three splits; without val or test, one of them serves as both."""

    train: ImageSet
    val: ImageSet
    test: ImageSet
    val_name: str  # "val", or "test" if the test images are all there are

    @property
    def test_name(self) -> str:
        return "test" if self.test is not self.val else self.val_name

    def __str__(self) -> str:
        counts = [f"{len(images):,} {name}" for images, name in (
            (self.train, "training"), (self.val, "validation"), (self.test, "test"))]
        if self.test is self.val:
            counts = [counts[0], counts[1 if self.val_name == "val" else 2]]
        return (f"{self.train.name}: {', '.join(counts[:-1])} and {counts[-1]} images, "
                f"{len(self.train.classes)} classes")


def open(name: str | os.PathLike[str], side: int = 256,
         folder: str | os.PathLike[str] | None = None, squeeze: bool = False) -> Data:
    """Training, validation and test images of a public set, or of a folder.

    name: one of `SETS`, or a folder: prepared, of train/CLASS/*.jpg, or ImageNet's; a path that
    begins with "./" is always a folder. side: rows and columns of pictures that lie in files;
    prepared sets, and those of arrays, have their own. squeeze: such pictures are squeezed into
    squares, not cut. folder: where public sets lie (default: as `find_set` looks for them).
    Raises MissingSetError if a public set is not on this machine, and DataError if anything else
    cannot be read.
    """
    known = SETS.get(name) if isinstance(name, str) else None
    splits = (_public(known, side, folder, squeeze) if known else
              _in_folder(Path(name), side, squeeze))
    others = [split for split in ("val", "test") if split in splits]
    if not others:
        raise DataError(f"{name}: there is no folder val or test with folders of classes beside "
                        "train; put some pictures of each class there, to measure what is learnt"
                        "")
    return Data(splits["train"], splits[others[0]], splits[others[-1]], others[0])


def image_folder(folder: str | os.PathLike[str], split: str = "train",
                 side: int = 256) -> ImageSet:
    """The pictures of FOLDER/train/CLASS, or val or test beside train, as squares of `side` pixels.

    split: "train", "val" or "test"; the folder of val may also be called validation or valid. A
    class may have folders inside; hidden files, and files without the ending of a picture, are left
    out.
    Raises DataError if the folder has no such split, no classes or no pictures, if there is nothing
    to learn a class from, or if val or test has a class that train lacks.
    """
    if split not in SPLITS:
        raise DataError(f"split is {split!r}; it must be 'train', 'val' or 'test'")
    source = _source(Path(folder))
    if split not in source.splits:
        raise DataError(f"{Path(folder) / split}: no such folder, or none of classes in it; "
                        f"pictures must lie in {Path(folder) / split}/CLASS/*.jpg")
    return image_set(source, split, side, Path(folder).resolve().name)


def _public(known: PublicSet, side: int, place: str | os.PathLike[str] | None,
            squeeze: bool) -> Mapping[str, ImageSet]:
    folder = find_set(known.name, place)
    if folder is None:
        raise MissingSetError(known.name)
    if known.read is not None:
        splits = {split: ImageSet.of_arrays(known.name, *known.read(split, folder),
                                            known.class_names) for split in known.images}
    else:
        splits = dict(_in_folder(folder, side, squeeze))
    return {split: replace(images, name=known.name, mirrored=known.mirrored)
            for split, images in splits.items()}


def _in_folder(root: Path, side: int, squeeze: bool) -> Mapping[str, ImageSet]:
    """The splits of a prepared folder, or of one of pictures."""
    if not root.is_dir():
        raise DataError(f"{root}: no data set of minialex, and no folder; use one of "
                        f"{', '.join(SETS)}, or a folder of train/CLASS/*.jpg")
    if (root / ABOUT).is_file():
        return prepared(root)
    source = _source(root)
    return {split: image_set(source, split, side, root.resolve().name, squeeze)
            for split in source.splits}


def _source(root: Path) -> Source:
    if is_imagenet(root):
        return imagenet_source(root)
    if not (root / "train").is_dir():
        raise DataError(f"{root}: there is no folder train; pictures must lie in "
                        f"{root / 'train'}/CLASS/*.jpg, and in val and test beside train")
    return folder_source(root)
