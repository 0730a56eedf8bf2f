"""Public weights: where each has its home, and how its pictures are to be prepared."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from ..backend import Device
from ..datasets import Preparation, data_folder
from ..datasets.download.fetch import fetch
from ..datasets.sets.facts import Download
from ..datasets.sets.imagenet import class_names, wnids
from ..files import locked
from ..models import AlexNet
from ..training import Classifier
from .errors import WeightsError
from .onnx_reader import read_onnx

__all__ = ["CATALOGUE", "PublicWeights", "load"]

FOLDER = "weights"  # in the data folder


@dataclass(frozen=True)
class PublicWeights:
    """Weights that minialex knows by name.

    errors: top-1 and top-5 with the centre crop, in percent, as their authors measured.
    picture_size: to which pictures are brought, by squeezing or by cropping; mean: the colour that
    is taken off, in RGB.
    """

    name: str
    download: Download
    licence: str
    citation: str
    home: str
    errors: tuple[float, float]
    picture_size: int
    squeeze: bool
    mean: tuple[float, float, float]

    def classes(self) -> list[str]:
        """The names of the classes. The trap of their order: by wnid, not by ILSVRC2012_ID."""
        return class_names(sorted(wnids()))

    def preparation(self, size: int) -> Preparation:
        """How pictures become pixels.

        The trap of the mean: a colour is taken off, where we have a mean image; so the image is of
        one colour. The trap of squares: all of the picture is squeezed, where we cut off its ends.
        """
        image = np.empty((self.picture_size, self.picture_size, 3), np.float32)
        image[:] = self.mean
        return Preparation(size, image, squeeze=self.squeeze)


_ZOO = "validated/vision/classification/alexnet/model/bvlcalexnet-12.onnx"
_BVLC = PublicWeights(
    name="bvlc-alexnet",
    # GitHub gives out the zoo's large files no more, since July 2025. Size and checksum are those
    # that it wrote down in place of the file (Git LFS).
    download=Download(
        "bvlcalexnet-12.onnx",
        (f"https://huggingface.co/onnxmodelzoo/legacy_models/resolve/main/{_ZOO}",
         f"https://media.githubusercontent.com/media/onnx/models/main/{_ZOO}"),
        243_863_787, "sha256:6b0da9510f27f234ee96a85dc3809dd210150fdefad87f6850f9788513216945"),
    licence="unrestricted (BVLC); the file: BSD-3-Clause",
    citation="E. Shelhamer, BVLC AlexNet, in: Y. Jia et al., Caffe: Convolutional Architecture for "
             "Fast Feature Embedding, arXiv:1408.5093, 2014; from Caffe's weights, ONNX Model Zoo",
    home="https://github.com/BVLC/caffe/tree/master/models/bvlc_alexnet",
    errors=(42.9, 19.8), picture_size=256, squeeze=True, mean=(123.0, 117.0, 104.0))

CATALOGUE: Mapping[str, PublicWeights] = MappingProxyType({_BVLC.name: _BVLC})

# What is asked for and cannot be had, with the reason.
REFUSED = {
    "caffenet": "pools before it normalizes, so it is another network",
    "torchvision": "has one tower without groups and normalization, so it is another network (of "
                   "2014)",
}


def load(name: str, devices: Sequence[str | Device] = ("cpu:0", "cpu:1"),
         folder: str | os.PathLike[str] | None = None,
         say: Callable[[str], None] = lambda line: None) -> Classifier:
    """Public weights as a classifier: the network, its classes, how it wants its pixels.

    They are fetched if they are not there (244 MB), and checked each time. devices: one for each
    column. folder: where data lies (default: as `data_folder` says); say: told what goes wrong on
    the way.
    Raises WeightsError for an unknown name, DataError if they cannot be had or are others.
    """
    if name not in CATALOGUE:
        reasons = [f"{known} {why}" for known, why in REFUSED.items()
                   if known in name.lower().replace("_", "").replace("-", "")]
        raise WeightsError(f"weights {name!r} came; need one of {', '.join(CATALOGUE)}" +
                           "".join(f"; {reason}" for reason in reasons))
    known = CATALOGUE[name]
    place = Path(data_folder(folder)) / FOLDER
    with locked(place / f".{known.download.name}.lock", "make room, or choose another folder"):
        path = fetch(known.download, place, say=say)
    net = read_onnx(path, devices)
    assert isinstance(net, AlexNet), "by its checksum"
    return Classifier(net, known.classes(), known.preparation(net.image_size))
