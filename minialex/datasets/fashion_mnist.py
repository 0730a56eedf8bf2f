"""Fashion-MNIST: pictures of clothes, stored exactly like MNIST but harder.

The repository carries a balanced subset of 10,000 training and 2,000 test images; its story stands
in data/fashion-mnist/README.md. The full set works the same: pass the folder of its four files.
"""

import os
import sysconfig
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import DataError
from .mnist import mnist

__all__ = ["CLASSES", "fashion_mnist"]

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

# Where the embedded subset may lie: beside the package in a clone, else where a wheel puts it.
_FOLDERS = (
    Path(__file__).resolve().parents[2] / "data" / "fashion-mnist",
    Path(sysconfig.get_path("data"), "share", "minialex", "fashion-mnist"),
)


def fashion_mnist(
    split: str = "train", folder: str | os.PathLike[str] | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read one split of Fashion-MNIST: the embedded subset, or the files in `folder`.

    split: "train" or "test".
    folder: four idx files, named as MNIST names them; None is the embedded subset, with 1,000
    training and 200 test images of each class in the order of the original.

    Returns images (N, 28, 28, 1), uint8, 0 (background) to 255, and labels (N,), int64, 0 to 9;
    CLASSES names the labels.

    Raises DataError for an unknown split and for missing or damaged files.

    Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking
    Machine Learning Algorithms", arXiv:1708.07747. MIT licence.
    """
    return mnist(split, _embedded() if folder is None else folder)


def _embedded() -> Path:
    for folder in _FOLDERS:
        if folder.is_dir():
            return folder
    raise DataError(
        f"Fashion-MNIST: no folder {' or '.join(map(str, _FOLDERS))}; need the embedded subset; "
        "run from a clone of the repository, or pass folder=..."
    )
