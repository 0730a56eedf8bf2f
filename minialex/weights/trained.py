"""A network in an ONNX file, with what the file does not say: its classes, and its pixels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend import Device
from ..datasets import Preparation
from ..datasets.sets.imagenet import class_names, wnids
from ..models import AlexNet
from ..training import Classifier
from .errors import UnknownPixelsError, WeightsError
from .onnx_reader import read_onnx

__all__ = ["read_classifier"]

CAFFE_SIDE = 256  # of the squares to which Caffe's networks have all pictures squeezed
CAFFE_MEAN = (123.0, 117.0, 104.0)  # red, green, blue: of ImageNet


def read_classifier(path: str | os.PathLike[str], like: Classifier | None = None,
                    classes: Sequence[str] | None = None,
                    devices: Sequence[str | Device] = ("cpu:0", "cpu:1")) -> Classifier:
    """The network in an ONNX file, ready to look at pictures.

    like: a network of the same kind and size, whose classes and preparation it takes over; None:
    the file is from Caffe, and so are both. classes: their names, in the order of the outputs.
    Raises WeightsError as `read_onnx` does, or if something does not fit.
    """
    net = read_onnx(path, devices)
    outputs = list(net.parameters())[-1].size
    if like:
        ours, theirs = ({name: p.shape for name, p in one.named_parameters().items()}
                        for one in (net, like.net))
        if ours != theirs or getattr(net, "norm", "") != getattr(like.net, "norm", ""):
            raise WeightsError(f"{path}: the network is not of the kind and size of the one that "
                               "it is to be like; name a run of such a network")
        preparation, config = like.preparation, dict(like.config)
        classes = like.classes if classes is None else classes
    else:
        if not (isinstance(net, AlexNet) and net.norm == "caffe" and net.channels == 3):
            raise UnknownPixelsError(f"{path}: the network is not from Caffe, and the file does "
                                     "not tell how its pixels are to be prepared; name a run that "
                                     "it is like")
        preparation, config = _of_caffe(net)
        classes = _class_names(outputs) if classes is None else classes
    if len(classes) != outputs:
        raise WeightsError(f"{path}: the network has {outputs:,} outputs, and {len(classes):,} "
                           "names of classes came; give one for each")
    config["imported"] = os.path.basename(path)
    return Classifier(net, list(classes), preparation, config)


def _of_caffe(net: AlexNet) -> tuple[Preparation, dict[str, Any]]:
    """How Caffe prepares pixels, and what config.json tells of it.

    The trap of the mean: a colour is taken off, where we have a mean image; so the image is of one
    colour. The trap of squares: all of the picture is squeezed, where we cut off its ends.
    """
    side = max(CAFFE_SIDE, net.image_size)
    mean = np.empty((side, side, 3), np.float32)
    mean[:] = CAFFE_MEAN
    preparation = Preparation(net.image_size, mean, squeeze=True)
    return preparation, {"model": "alexnet", "recipe": {
        "width": net.width, "image_size": net.image_size, "norm": net.norm,
        "scale": preparation.scale, "mirror": preparation.mirror, "squeeze": preparation.squeeze}}


def _class_names(outputs: int) -> list[str]:
    """The trap of their order: those of ImageNet come by wnid, not by ILSVRC2012_ID."""
    if outputs == len(wnids()):
        return class_names(sorted(wnids()))
    return [f"class {number}" for number in range(outputs)]
