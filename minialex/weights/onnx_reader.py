"""Networks in: Caffe's AlexNet, one tower with groups, becomes our two columns."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend import Device
from ..models import AlexNet, LeNet5
from ..models.alexnet import CONV1, CONV2, CONV3, CONV4, CONV5, FC
from .graph import nodes_of
from .layout import from_tower, to_tower
from .onnx_file import OnnxFile, shown
from .onnx_match import attributes, check_attributes, is_turned, match

__all__ = ["read_onnx"]

PAPER = np.array([CONV1, CONV2, CONV3, CONV4, CONV5, FC, FC])  # outputs of a column's layers
SIDES = range(19, 1025)  # of images

Shapes = dict[str, tuple[int, ...]]


def read_onnx(path: str | os.PathLike[str],
              devices: Sequence[str | Device] = ("cpu:0", "cpu:1")) -> AlexNet | LeNet5:
    """The network in an ONNX file, ready for use (`eval`). Nothing in the file is run.

    It is AlexNet as Caffe has it and the ONNX model zoo keeps it (bvlcalexnet; opsets 7 to 22), of
    any width and number of classes; or what `write_onnx` writes.
    devices: one for each column. A LeNet-5 is on the first.

    A network from Caffe gets norm "caffe". It takes RGB, as all ours do: conv1 is reversed.
    The zoo's file says 224x224, but its weights learnt from 227x227: that is `image_size` here.
    Raises WeightsError, naming the node, if it is anything else, or damaged.
    """
    file = OnnxFile(path)
    channels, side = _image(file)
    smallest = _guess(file, side)
    side = smallest.image_size if isinstance(smallest, AlexNet) else side
    pairs = match(file, nodes_of(smallest))
    check_attributes(file, pairs, side)
    layers = {want.layer: node for want, _, node in pairs if want.weights}
    shapes = _shapes(file, layers, channels, smallest)
    outputs = [shape[0] for name, shape in shapes.items() if name.endswith("bias")]
    width = _width(file, outputs) if isinstance(smallest, AlexNet) else 1.0
    # All that the file claims is read before a network of that size is made.
    tower = {}
    for layer, node in layers.items():
        for name, stored in zip((f"{layer}.weight", f"{layer}.bias"), node.input[1:], strict=True):
            # The trap of matrices: an attribute of Gemm says whether they are (out, in).
            turned = name.endswith("weight") and is_turned(node)
            array = file.array(stored, shapes[name][::-1] if turned else shapes[name], name)
            tower[name] = array.T if turned else array
    net = (AlexNet(devices, outputs[-1], side, channels, width, norm=smallest.norm)
           if isinstance(smallest, AlexNet) else LeNet5(outputs[-1], device=devices[0]))
    from_tower(net, tower)
    net.eval()
    return net


def _image(file: OnnxFile) -> tuple[int, int]:
    """Channels and side of the images that the graph takes."""
    kind = file.input.type.tensor_type
    sizes = [size.dim_value for size in kind.shape.dim][1:]  # 0 where it is not said
    fits = len(sizes) == 3 and sizes[0] > 0 and sizes[1] == sizes[2] and sizes[1] in SIDES
    if not fits or kind.elem_type != file.onnx.TensorProto.FLOAT:
        raise file.refusal(f"its input {shown(file.input.name)} has {sizes} behind the batch; need "
                           f"float32 [C, side, side], with a side from {SIDES[0]} to {SIDES[-1]}")
    return sizes[0], sizes[1]


def _guess(file: OnnxFile, side: int) -> AlexNet | LeNet5:
    """The smallest network that has the nodes that this file should have."""
    kinds = [node.op_type for _, node in file.nodes]
    if "AveragePool" in kinds:
        return LeNet5(1, device="cpu:0")
    _, first = next((pair for pair in file.nodes if pair[1].op_type == "Conv"), (0, None))
    if first is not None and len(first.input) > 1:
        kernels = file.shape(first.input[1], "conv1.weight")[:1]
        if "LRN" not in kinds and kernels == (64,):
            raise file.refusal("torchvision's AlexNet came, another network (of 2014: one tower of "
                               "64, 192, 384, 256, 256 kernels without groups or normalization); "
                               "need that of 2012, such as the model zoo's bvlcalexnet-12.onnx")
        given = attributes(file, first)
        if given.get("strides") == [4, 4] and given.get("pads", [0] * 4) == [0] * 4:
            # The trap of 224 and 227: on the 224 of the zoo's file conv1 drops the last row, and
            # maps of 26 and 12 rows follow, shifted. The same nodes on 227 are what was trained.
            side += -(side - 11) % 4
    if kinds[:4] == ["Conv", "Relu", "MaxPool", "LRN"]:
        raise file.refusal("CaffeNet came, which pools before it normalizes; need the order of the "
                           "paper, such as in the model zoo's bvlcalexnet-12.onnx")
    return AlexNet(("cpu:0", "cpu:0"), 1, side, 1, width=0.01,
                   norm="paper" if "Split" in kinds else "caffe")


def _shapes(file: OnnxFile, layers: dict[str, Any], channels: int,
            smallest: AlexNet | LeNet5) -> Shapes:
    """What each weight must be, by the outputs of each layer and how they are connected."""
    shapes: Shapes = {}
    before, before_there = channels, 1
    small = {name: array.shape for name, array in to_tower(smallest).items()}
    for layer, node in layers.items():
        name = f"{layer}.weight"
        there, found = small[name], file.shape(node.input[1], name)
        if len(found) != len(there) or min(found) < 1:
            raise file.refusal(f"{name} is {found}; need {len(there)} sizes, none of them 0")
        outputs = found[-1 if is_turned(node) else 0]
        # Half of the maps before in a layer with groups, all of their pixels in the first matrix.
        shapes[name] = (outputs, before * there[1] // before_there, *there[2:])
        shapes[f"{layer}.bias"] = (outputs,)
        before, before_there = outputs, there[0]
    return shapes


def _width(file: OnnxFile, outputs: Sequence[int]) -> float:
    """The share of the paper's kernels and units, each rounded, that gives these outputs."""
    halves = np.array(outputs[:-1]) / 2  # of each column
    least = np.where(halves == 1, 0, (halves - 0.5) / PAPER).max()
    most = ((halves + 0.5) / PAPER).min()
    if (halves % 1).any() or least >= most:
        raise file.refusal(f"its layers have {outputs[:-1]} outputs; need {(2 * PAPER).tolist()}, "
                           "or one share of all of these")
    # The plainest number of all that would do: 1, 0.25, ...
    middle = float(least + most) / 2
    return next((share for digits in range(9) if least < (share := round(middle, digits)) < most),
                middle)
