"""What several commands need: devices, data and network for the options that were given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..datasets import (
    ImageSet,
    cifar10,
    fashion_mnist,
    find_set,
    image_folder,
    mnist,
    prepared,
)
from ..datasets.catalogue import CATALOGUE
from ..datasets.cifar10 import CLASSES as THINGS
from ..datasets.fashion_mnist import CLASSES as CLOTHES
from ..datasets.mnist import CLASSES as DIGITS
from ..datasets.prepared import ABOUT
from ..datasets.source import SPLITS, split_folders
from ..errors import InputError
from ..training.classifier import build
from .devices import choose_devices

__all__ = ["Data", "build", "choose_devices", "data_of_run", "load_data"]

MODELS = ("alexnet-small", "alexnet", "lenet5")
EMBEDDED = "fashion-mnist"  # 12,000 of its images come with minialex

# Sets that lie in memory: how they are read, and their classes.
ARRAYS: dict[str, tuple[Callable[..., tuple[np.ndarray, np.ndarray]], Sequence[str]]] = {
    EMBEDDED: (fashion_mnist, CLOTHES), f"{EMBEDDED}-full": (fashion_mnist, CLOTHES),
    "mnist": (mnist, DIGITS), "cifar10": (cifar10, THINGS)}


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


def data_of_run(name: str, model: str, data_dir: str | None = None) -> Data:
    """`load_data` for a run that has been; its data may have gone somewhere else."""
    try:
        return load_data(name, model, data_dir)
    except ValueError as error:
        raise InputError(f"{error}. That is the data of the run, seen from the folder in which it "
                         "was started; if it lies elsewhere, give --data") from None


def load_data(name: str, model: str, data_dir: str | None = None) -> Data:
    """Training, validation and test images, which the model must be able to see.

    name: of a public set, or a folder, prepared or of train/CLASS/*.jpg; data_dir: where
    `minialex data get` puts public sets (default: as `find_set` looks for them).
    """
    if name in ARRAYS:
        splits = _arrays(name, data_dir)
    else:
        splits = _pictures(_downloaded(name, data_dir) if name in CATALOGUE else Path(name),
                           side=256 if model == "alexnet" else 32)
    train = splits["train"]
    _check_sizes(name, model, *train.shape[1:])
    others = [split for split in ("val", "test") if split in splits]
    if not others:
        raise InputError(f"--data {name}: there is neither val nor test, with folders of classes, "
                         "beside train; put some pictures of each class there, to see how well the "
                         "others are learnt")
    return Data(train, splits[others[0]], splits[others[-1]], others[0])


def _arrays(name: str, data_dir: str | None) -> dict[str, ImageSet]:
    read, classes = ARRAYS[name]
    folder = None if name == EMBEDDED else _downloaded(name, data_dir)
    return {split: ImageSet.of_arrays(name, *read(split, folder), classes)
            for split in ("train", "test")}


def _downloaded(name: str, data_dir: str | None) -> Path:
    known = name.removesuffix("-full")  # what the catalogue calls fashion-mnist
    folder = find_set(known, data_dir)
    if folder is None:
        place = f" --data-dir {data_dir}" if data_dir else ""
        raise InputError(f"--data {name}: this set is not here yet; bring it with: "
                         f"minialex data get {known}{place}")
    return folder


def _pictures(root: Path, side: int) -> dict[str, ImageSet]:
    """The splits of a prepared folder, or of one of pictures, which are read with `side` pixels."""
    if not root.is_dir():
        raise InputError(f"--data {root}: no data set of minialex, and no folder; use one of "
                         f"{', '.join({**ARRAYS, **CATALOGUE})}, or a folder of train/CLASS/*.jpg")
    if (root / ABOUT).is_file():
        return {split: prepared(root, split) for split in SPLITS
                if split == "train" or any(root.glob(f"{split}-*.zip"))}
    splits = {"train", *(split_folders(root)[1] if (root / "train").is_dir() else ())}
    return {split: image_folder(root, split, side) for split in splits}


def _check_sizes(name: str, model: str, side: int, channels: int) -> None:
    if model == "alexnet" and side < 224:
        raise InputError("--model alexnet needs photographs of at least 227 pixels, and the "
                         f"images of {name} have {side}: train --model alexnet-small, or give "
                         "--data FOLDER")
    if model == "lenet5" and channels != 1:
        raise InputError(f"--model lenet5 sees grey images only, and those of {name} are in "
                         "colour: use --data fashion-mnist")
    if model != "alexnet" and side > 2 * 28:
        raise InputError(f"--model {model} sees 28x28 pixels, and the images of {name} have "
                         f"{side}: train --model alexnet, or make them smaller: minialex data "
                         "prepare --side 32")
