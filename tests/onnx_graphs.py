"""Caffe's AlexNet as the ONNX model zoo keeps it, with random weights: what others would give us.

Built from ONNX's own package alone, so that nothing of minialex judges itself.
"""

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

# Outputs of the layers, groups of the convolutions.
OUTPUTS = {"conv1": 96, "conv2": 256, "conv3": 384, "conv4": 384, "conv5": 256, "fc6": 4096,
           "fc7": 4096}
CONVS = {"conv1": (11, 0, 1), "conv2": (5, 2, 2), "conv3": (3, 1, 1), "conv4": (3, 1, 2),
         "conv5": (3, 1, 2)}  # kernel, pad, groups


def random_weights(rng, share=0.125, classes=11, channels=3):
    """{"conv1_w_0": (O, C, KH, KW), "conv1_b_0": (O,), ..., "fc8_w_0": (classes, in), ...}."""
    weights, inputs = {}, channels
    for layer, outputs in {**OUTPUTS, "fc8": classes}.items():
        outputs = outputs if layer == "fc8" else round(outputs * share)
        kernel, _, groups = CONVS.get(layer, (0, 0, 1))
        inputs = 36 * inputs if layer == "fc6" else inputs
        shape = (outputs, inputs // groups) + 2 * (kernel,) * (kernel > 0)
        std = np.sqrt(2 / np.prod(shape[1:])) * (0.01 if layer == "fc8" else 1)
        weights[f"{layer}_w_0"] = (std * rng.standard_normal(shape)).astype(np.float32)
        weights[f"{layer}_b_0"] = rng.standard_normal(outputs, np.float32)
        inputs = outputs
    return weights


def zoo(weights, opset=9, side=227, batch=1):
    """The graph of bvlcalexnet, node by node; `test_zoo_is_the_real_graph` holds it to the file."""
    nodes, constants = [], dict(weights)

    def add(op, *inputs, outputs=1, **attributes):
        names = [f"r{sum(len(node.output) for node in nodes) + i}" for i in range(outputs)]
        nodes.append(helper.make_node(op, inputs, names, **attributes))
        return names[0]

    def dropout(x):
        if opset < 12:
            return add("Dropout", x, outputs=2, ratio=0.5)
        constants["ratio"] = np.float32(0.5)
        return add("Dropout", x, "ratio", outputs=2)

    x = "data_0"
    for layer, (kernel, pad, groups) in CONVS.items():
        grouped = {"group": groups} if groups > 1 else {}
        x = add("Conv", x, f"{layer}_w_0", f"{layer}_b_0", kernel_shape=2 * [kernel],
                strides=2 * [4 if layer == "conv1" else 1], pads=4 * [pad], **grouped)
        x = add("Relu", x)
        if layer in ("conv1", "conv2"):
            x = add("LRN", x, size=5, alpha=1e-4, beta=0.75, bias=1.0)
        if layer in ("conv1", "conv2", "conv5"):
            end = int(layer == "conv5")
            x = add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, end, end])
    constants["OC2_DUMMY_1"] = np.array([batch, weights["fc6_w_0"].shape[1]])
    x = add("Reshape", x, "OC2_DUMMY_1")
    for layer in ("fc6", "fc7", "fc8"):
        x = add("Gemm", x, f"{layer}_w_0", f"{layer}_b_0", transB=1)
        if layer != "fc8":
            x = dropout(add("Relu", x))
    nodes.append(helper.make_node("Softmax", [x], ["prob_1"]))

    channels, classes = weights["conv1_w_0"].shape[1], len(weights["fc8_b_0"])
    pixels = helper.make_tensor_value_info("data_0", 1, [batch, channels, side, side])
    stored = [numpy_helper.from_array(np.asarray(a), name) for name, a in constants.items()]
    others = [helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in stored]
    graph = helper.make_graph(
        nodes, "bvlc_alexnet", [pixels, *(others if opset < 12 else [])],  # in old files: all
        [helper.make_tensor_value_info("prob_1", 1, [batch, classes])], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=4)


def computed(model, pixels, everything=False):
    """What onnxruntime computes from pixels (N, C, H, W): the last result, or all by name."""
    if everything:
        model = onnx.ModelProto.FromString(model.SerializeToString())
        for node in model.graph.node[:-1]:
            model.graph.output.append(onnx.ValueInfoProto(name=node.output[0]))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options,
                                           providers=["CPUExecutionProvider"])
    (name,) = [value.name for value in session.get_inputs()]
    results = session.run(None, {name: np.ascontiguousarray(pixels)})
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, results, strict=True)) if everything else results[0]
