"""The same weights in two arrangements: ours, and that of Caffe, ONNX and PyTorch.

                 here                             there
    images       (N, H, W, C)                     (N, C, H, W)
    kernels      (KH, KW, C, O), by column        (O, C, KH, KW), one tower
    matrices     (in, out), by column             (out, in), one tower
    after pool5  flattened as (H, W, C)           flattened as (C, H, W)
    dropout      the result is halved when used   the result is doubled in training
    colours      RGB                              BGR in Caffe, whose pictures OpenCV reads

The columns stand side by side in the tower: the first half of the outputs of every layer is made by
the first column. It has groups of 2 where the columns do not talk. Numbers are only moved,
doubled and halved, so nothing is rounded: there and back gives the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from .. import checks
from ..models import AlexNet, LeNet5
from ..nn import Module

__all__ = ["from_tower", "is_bgr", "to_tower"]

# Whose inputs have passed a dropout: there they arrive at their full size, here at half of it.
AFTER_DROPOUT = ("fc7.weight", "fc8.weight")
FLATTENED = ("fc6.weight", "c5.weight")  # whose inputs are maps: of AlexNet, of LeNet-5


def to_tower(net: AlexNet | LeNet5) -> dict[str, np.ndarray]:
    """The parameters in the arrangement of one tower: {"conv1.weight": (O, C, KH, KW), ...}."""
    tower = {}
    for name, parts in _by_layer(net).items():
        # Each column makes its half of the outputs, and those are always our last axis.
        ours = np.concatenate([part.numpy() for part in parts], axis=-1)
        tower[name] = np.ascontiguousarray(_outwards(ours, name, net))
    return tower


def from_tower(net: AlexNet | LeNet5, tower: Mapping[str, np.ndarray]) -> None:
    """Set the parameters to those of a tower, the reverse of `to_tower`; its shapes must fit."""
    state = {}
    for name, parts in _by_layer(net).items():
        ours = _inwards(tower[name], name, net)
        for part, half in zip(parts, np.split(ours, len(parts), axis=-1), strict=True):
            state[part.name] = half
    net.load_state(state)


def is_bgr(net: Module) -> bool:
    """Whether the tower takes blue, green, red: Caffe's nets do, ours and PyTorch's take RGB."""
    checks.kinds("is_bgr", net=(net, Module))
    return isinstance(net, AlexNet) and net.norm == "caffe" and net.channels == 3


def _by_layer(net: AlexNet | LeNet5) -> dict[str, list]:
    """The parameters of each layer, by the layer's name: two where there are two columns."""
    layers: dict[str, list] = {}
    for name, parameter in net.named_parameters().items():
        layers.setdefault(".".join(name.split(".")[-2:]), []).append(parameter)
    return layers


def _outwards(ours: np.ndarray, name: str, net: AlexNet | LeNet5) -> np.ndarray:
    if ours.ndim == 1:
        return ours
    if name in FLATTENED:  # (H * W * C, O) -> (H, W, C, O) -> (O, C, H, W) -> (O, C * H * W)
        side, channels = _maps(net, len(ours))
        maps = ours.reshape(side, side, channels, -1)
        return maps.transpose(3, 2, 0, 1).reshape(ours.shape[::-1])
    if ours.ndim == 2:  # (in, out) -> (out, in)
        return ours.T * np.float32(0.5 if name in AFTER_DROPOUT else 1)
    theirs = ours.transpose(3, 2, 0, 1)  # (KH, KW, C, O) -> (O, C, KH, KW)
    return theirs[:, ::-1] if name == "conv1.weight" and is_bgr(net) else theirs


def _inwards(theirs: np.ndarray, name: str, net: AlexNet | LeNet5) -> np.ndarray:
    if theirs.ndim == 1:
        return theirs
    if name in FLATTENED:  # (O, C * H * W) -> (O, C, H, W) -> (H, W, C, O) -> (H * W * C, O)
        side, channels = _maps(net, theirs.shape[1])
        maps = theirs.reshape(-1, channels, side, side)
        return maps.transpose(2, 3, 1, 0).reshape(theirs.shape[::-1])
    if theirs.ndim == 2:  # (out, in) -> (in, out)
        return theirs.T * np.float32(2 if name in AFTER_DROPOUT else 1)
    if name == "conv1.weight" and is_bgr(net):
        theirs = theirs[:, ::-1]
    return theirs.transpose(2, 3, 1, 0)  # (O, C, KH, KW) -> (KH, KW, C, O)


def _maps(net: AlexNet | LeNet5, inputs: int) -> tuple[int, int]:
    """Side and number, over both columns, of the maps that the first full connection takes."""
    channels = (2 * net.columns[0].conv5.weight.shape[3] if isinstance(net, AlexNet)
                else net.c3.weight.shape[3])
    return math.isqrt(inputs // channels), channels
