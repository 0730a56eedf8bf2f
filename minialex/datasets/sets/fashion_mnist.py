"""Fashion-MNIST: pictures of clothes, stored exactly like MNIST but harder.

A balanced subset of 10,000 training and 2,000 test images comes with minialex; it is described in
data/fashion-mnist/README.md. It is "fashion-mnist"; all 70,000 are "fashion-mnist-full".
"""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .embedded import embedded
from .facts import PublicSet
from .mnist import FILES, idx_downloads, mnist

__all__ = ["CLASSES", "FASHION_MNIST", "FASHION_MNIST_FULL", "fashion_mnist"]

CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker",
           "Bag", "Ankle boot")


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
    return mnist(split, embedded("fashion-mnist") if folder is None else folder)


FASHION_MNIST = PublicSet(
    name="fashion-mnist", images={"train": 10_000, "test": 2_000}, classes=10, pixels="28x28",
    licence="MIT",
    citation="H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST: a Novel Image Dataset for "
             "Benchmarking Machine Learning Algorithms, arXiv:1708.07747, 2017",
    home="https://github.com/zalandoresearch/fashion-mnist",
    holds=FILES, embedded=True, read=fashion_mnist, class_names=CLASSES)

FASHION_MNIST_FULL = replace(
    FASHION_MNIST, name="fashion-mnist-full", images={"train": 60_000, "test": 10_000},
    embedded=False,
    downloads=idx_downloads(
        ("https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/"
         "b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion/",
         "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"),
        {"train-images-idx3-ubyte.gz":
             (26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
         "train-labels-idx1-ubyte.gz":
             (29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
         "t10k-images-idx3-ubyte.gz":
             (4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
         "t10k-labels-idx1-ubyte.gz":
             (5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5")}))
