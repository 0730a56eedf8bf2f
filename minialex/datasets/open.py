"""Any data set by its name or its folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from .. import checks
from .download.fetch import find_set
from .errors import DataError, MissingSetError
from .images import ImageSet
from .sets import SETS
from .sets.facts import PublicSet
from .sets.folder import folder_source
from .sets.imagenet import imagenet_source, is_imagenet
from .sets.source import image_set
from .shards.read import ABOUT, prepared

__all__ = ["Data", "open"]


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
        splits = {"training": self.train, self.val_name: self.val, self.test_name: self.test}
        *most, last = (f"{len(images):,} {'validation' if name == 'val' else name}"
                       for name, images in splits.items())
        return (f"{self.train.name}: {', '.join(most)} and {last} images, "
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
              _in_folder(checks.path("open", "name", name), side, squeeze))
    others = [split for split in ("val", "test") if split in splits]
    if not others:
        raise DataError(f"{name}: there is no folder val or test with folders of classes beside "
                        "train; put some pictures of each class there, to measure what is "
                        "learnt")
    return Data(splits["train"], splits[others[0]], splits[others[-1]], others[0])


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
    official = is_imagenet(root)
    if not official and not (root / "train").is_dir():
        raise DataError(f"{root}: there is no folder train; pictures must lie in "
                        f"{root / 'train'}/CLASS/*.jpg, and in val and test beside train")
    source = imagenet_source(root) if official else folder_source(root)
    return {split: image_set(source, split, side, root.resolve().name, squeeze)
            for split in source.splits}
