"""Public weights: where they are published, and how to bring them to this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from .. import checks
from ..backend import Device
from ..datasets.download.fetch import data_places, fetch
from ..datasets.download.transfer import Progress
from ..datasets.sets.facts import Download
from ..files import locked
from ..training import Classifier
from ..training.folder import MODEL
from .errors import WeightsError
from .onnx_file import import_onnx
from .trained import read_classifier

__all__ = ["CATALOGUE", "PublicWeights", "find", "get", "load", "look_up"]

FOLDER = "weights"  # in the data folder


@dataclass(frozen=True)
class PublicWeights:
    """Weights that minialex knows by name, of a network of Caffe's.

    errors: top-1 and top-5 with the centre crop, in percent, as their authors measured; classes:
    how many.
    """

    name: str
    download: Download
    licence: str
    citation: str
    home: str
    errors: tuple[float, float]
    classes: int


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
    errors=(42.9, 19.8), classes=1000)

CATALOGUE: Mapping[str, PublicWeights] = MappingProxyType({_BVLC.name: _BVLC})

# What is asked for and cannot be had, with the reason.
REFUSED = {
    "caffenet": "pools before it normalizes, so it is another network",
    "torchvision": "has one tower without groups and normalization, so it is another network (of "
                   "2014)",
}


def look_up(name: str) -> PublicWeights:
    """The weights of this name. Raises WeightsError if there are none, with the reason if known."""
    if checks.text("weights", "name", name) in CATALOGUE:
        return CATALOGUE[name]
    plain = name.lower().replace("_", "").replace("-", "")
    reasons = [f"{other} {why}" for other, why in REFUSED.items() if other in plain]
    raise WeightsError("; ".join([f"weights {name!r} came; need one of {', '.join(CATALOGUE)}",
                                  *reasons]))


def find(name: str, folder: str | os.PathLike[str] | None = None) -> Path | None:
    """The folder in which `get` has left these weights, or None. Takes no time.

    folder: where data lies (default: ./data, or else the user's cache).
    Raises WeightsError for an unknown name.
    """
    look_up(name)
    found = [place / FOLDER / name for place in data_places(folder)]
    return next((path for path in found if (path / MODEL).is_file()), None)


def get(name: str, folder: str | os.PathLike[str] | None = None, *,
        say: Callable[[str], None] = lambda line: None,
        progress: Progress = lambda name, done, total: None) -> Path:
    """The folder of these weights, which are fetched, checked and read if they are not there.

    It is that of a finished run. What was fetched is then thrown away; a file that somebody put
    there stays. say: called with what takes time or goes wrong; progress: as in `get_set`.
    Raises WeightsError for an unknown name, DataError if they cannot be fetched or are wrong, and
    UsageError if the package onnx is missing, before anything is fetched.
    """
    known, found = look_up(name), find(name, folder)
    if found:
        return found
    import_onnx("weights")
    place = data_places(folder)[0] / FOLDER
    with locked(place / f".{name}.lock", "make room, or choose another folder"):
        put_there = (place / known.download.name).exists()
        path = fetch(known.download, place, say=say, progress=progress)
        say(f"reading {path}")
        classifier = read_classifier(path)
        about = {"citation": known.citation, "licence": known.licence, "home": known.home,
                 "checksum": known.download.checksum}
        replace(classifier, config={**classifier.config, **about}).save(place / name)
        if not put_there:
            path.unlink()
    return place / name


def load(name: str, devices: Sequence[str | Device] = ("cpu:0", "cpu:1"),
         folder: str | os.PathLike[str] | None = None,
         say: Callable[[str], None] = lambda line: None) -> Classifier:
    """Public weights as a classifier: the network, its classes, how it wants its pixels.

    They are fetched if they are not there (244 MB); see `get`. devices: one for each column.
    """
    return Classifier.load(get(name, folder, say=say), devices)
