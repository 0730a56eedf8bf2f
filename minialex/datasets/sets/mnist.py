"""MNIST: 60,000 + 10,000 handwritten digits, and the reader for everything stored like it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..formats.idx import read_idx
from .facts import Download, PublicSet

__all__ = ["CLASSES", "FILES", "MNIST", "idx_downloads", "mnist"]

CLASSES = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")

# The test set keeps the name that it was published under.
_PREFIXES = {"train": "train", "test": "t10k"}
FILES = tuple(f"{prefix}-{content}-ubyte.gz" for prefix in _PREFIXES.values()
              for content in ("images-idx3", "labels-idx1"))


def mnist(
    split: str = "train", folder: str | os.PathLike[str] = "data/mnist"
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read one split of MNIST, or of a set stored like it, from a folder of its idx files.

    split: "train" or "test".
    folder: holds train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and
    t10k-labels-idx1-ubyte, gzipped (.gz) or plain, as `get_set("mnist")` puts them there.

    Returns images (N, 28, 28, 1), uint8, 0 (background) to 255, and labels (N,), int64, 0 to 9.

    Raises DataError for an unknown split, a missing or damaged file, or images and labels that do
    not belong together.

    Source: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits", 1998.
    """
    if split not in _PREFIXES:
        raise DataError(f"split is {split!r}; it must be 'train' or 'test'")
    if not Path(folder).is_dir():
        raise DataError(f"{folder}: no such folder; put the four idx files of the set there, or "
                        "pass folder=...")
    image_path, images = _read(folder, f"{_PREFIXES[split]}-images-idx3-ubyte")
    label_path, labels = _read(folder, f"{_PREFIXES[split]}-labels-idx1-ubyte")
    for path, array, kind, rest in ((image_path, images, "images", (28, 28)),
                                    (label_path, labels, "labels", ())):
        if array.dtype != np.uint8 or array.ndim != 1 + len(rest) or array.shape[1:] != rest:
            shape = ", ".join(map(str, ("N", *rest))) + "," * (not rest)
            raise DataError(f"{path}: is {array.dtype} and has shape {array.shape}; {kind} must be "
                            f"uint8 of shape ({shape}); get the file again")
    if len(images) != len(labels) or len(labels) == 0:
        raise DataError(f"{label_path}: has {len(labels)} labels for {len(images)} images; there "
                        "must be one label for each, and at least one; get both files again")
    if labels.max() >= len(CLASSES):
        raise DataError(f"{label_path}: has the label {labels.max()}, not 0 to "
                        f"{len(CLASSES) - 1}; get the file again")
    return images[..., np.newaxis], labels.astype(np.int64)


def _read(folder: str | os.PathLike[str], name: str) -> tuple[Path, NDArray[Any]]:
    """One array of the set, and the path it came from: the gzipped file, else the plain one."""
    packed, plain = Path(folder, name + ".gz"), Path(folder, name)
    if not packed.exists() and not plain.exists():
        raise DataError(f"{packed}: no such file, with or without .gz; add it to the folder")
    path = packed if packed.exists() else plain
    return path, read_idx(path)


def idx_downloads(addresses: tuple[str, ...],
                  facts: Mapping[str, tuple[int, str]]) -> tuple[Download, ...]:
    """The four files, which lie at each of the addresses. facts: size and SHA-256 of each."""
    return tuple(Download(name, tuple(address + name for address in addresses), size,
                          f"sha256:{checksum}") for name, (size, checksum) in facts.items())


MNIST = PublicSet(
    name="mnist", images={"train": 60_000, "test": 10_000}, classes=10, pixels="28x28",
    mirrored=False,  # a digit in a mirror is another sign, or none
    licence="CC BY-SA 3.0",
    citation="Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST database of handwritten digits, 1998",
    home="http://yann.lecun.com/exdb/mnist/",
    folder="mnist", holds=FILES, read=mnist, class_names=CLASSES,
    downloads=idx_downloads(
        ("https://ossci-datasets.s3.amazonaws.com/mnist/",
         "https://storage.googleapis.com/cvdf-datasets/mnist/"),
        {"train-images-idx3-ubyte.gz":
             (9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
         "train-labels-idx1-ubyte.gz":
             (28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
         "t10k-images-idx3-ubyte.gz":
             (1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
         "t10k-labels-idx1-ubyte.gz":
             (4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6")}))
