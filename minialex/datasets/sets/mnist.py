"""MNIST: 60,000 + 10,000 handwritten digits, and the reader for everything stored like it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ... import checks
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
    if checks.text("mnist", "split", split) not in _PREFIXES:
        raise DataError(f"split is {split!r}; it must be 'train' or 'test'")
    folder = checks.path("mnist", "folder", folder)
    image_path = _file(folder / f"{_PREFIXES[split]}-images-idx3-ubyte.gz")
    label_path = _file(folder / f"{_PREFIXES[split]}-labels-idx1-ubyte.gz")
    images, labels = read_idx(image_path), read_idx(label_path)
    if images.dtype != np.uint8 or images.shape[1:] != (28, 28) or not len(images):
        raise DataError(f"{image_path}: is {images.dtype} of shape {images.shape}; images must be "
                        "uint8 of shape (N, 28, 28), and at least one; get the file again")
    if (labels.dtype != np.uint8 or labels.shape != images.shape[:1]
            or labels.max() >= len(CLASSES)):
        raise DataError(f"{label_path}: is {labels.dtype} of shape {labels.shape}, up to "
                        f"{labels.max(initial=0)}; labels must be uint8 of shape ({len(images)},), "
                        f"up to {len(CLASSES) - 1}; get both files again")
    return images[..., np.newaxis], labels.astype(np.int64)


def _file(packed: Path) -> Path:
    """The gzipped file, else the plain one."""
    for path in (packed, packed.with_suffix("")):
        if path.exists():
            return path
    raise DataError(f"{packed}: no such file, with or without .gz; put the four idx files of the "
                    "set there, or pass folder=...")


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
    holds=FILES, read=mnist, class_names=CLASSES,
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
