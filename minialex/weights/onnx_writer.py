"""Networks out: as ONNX, which most other programs read."""

from __future__ import annotations

import os

import numpy as np

from .. import checks
from ..errors import InputTypeError
from ..files import replacing
from ..models import AlexNet, LeNet5
from ..nn import Module
from .graph import INPUT, OUTPUT, nodes_of
from .layout import is_bgr, to_tower
from .onnx_file import import_onnx

__all__ = ["write_onnx"]

OPSET, IR_VERSION = 17, 8  # of 2022, so that programs of some age read it, too


def write_onnx(net: Module, path: str | os.PathLike[str]) -> None:
    """Write a network as one ONNX file, whole or not at all; two columns become one tower.

    data: (N, C, H, W) float32, any N: pixels prepared as for `net`, in the order red, green, blue;
    but blue, green, red if `net` came from Caffe, as in the file that it came from.
    prob: (N, classes), the probabilities. How to prepare pixels, and the names of the classes, are
    no part of a network and so not in the file.
    Raises InputTypeError for other networks, FileError if the file cannot be written.
    """
    if not isinstance(net, (AlexNet, LeNet5)):
        raise InputTypeError(f"write_onnx: net is a {type(net).__name__}; it must be an AlexNet or "
                             "a LeNet5")
    path = checks.path("write_onnx", "path", path)
    onnx = import_onnx("write_onnx")
    helper, tower, nodes = onnx.helper, to_tower(net), []
    classes = len(list(tower.values())[-1])  # the biases of the last layer
    for node in nodes_of(net):
        attributes, others = dict(node.attributes), node.weights
        if node.op == "Dropout":  # whose ratio is an input since opset 12
            others = [f"{node.layer}.ratio"]
            tower[others[0]] = np.array(attributes.pop("ratio"), np.float32)
        nodes.append(helper.make_node(node.op, node.inputs + others, node.outputs,
                                      name=node.outputs[0], **attributes))
    channels, side = (net.channels, net.image_size) if isinstance(net, AlexNet) else (1, 28)
    pixels = helper.make_tensor_value_info(INPUT, 1, ["N", channels, side, side],
                                           "blue, green, red" if is_bgr(net) else "")
    answer = helper.make_tensor_value_info(OUTPUT, 1, ["N", classes])
    graph = helper.make_graph(nodes, type(net).__name__, [pixels], [answer])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)],
                              ir_version=IR_VERSION, producer_name="minialex")
    for name in list(tower):  # put in last and one by one, or all would be copied again and again
        array = tower.pop(name)
        model.graph.initializer.add(name=name, data_type=1, dims=array.shape,
                                    raw_data=array.astype("<f4").tobytes())
    with replacing(path) as file:
        file.write(model.SerializeToString(deterministic=True))
