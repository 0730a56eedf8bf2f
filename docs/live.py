"""The network of the live page: the file that `minialex weights export` wrote, to be looked into.

The export is one tower: what the columns exchange is in the weights, where a kernel of one column
sees maps of the other. So a mask over these weights cuts the exchange.
"""

import base64
import copy
import html
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from minialex import datasets, models
from minialex.files import read_json
from minialex.training import Classifier

# What crosses into conv3 is pool2, and so on; fc7 crosses into fc8, which one column owns.
MAPS = [f"conv{number}_relu" for number in range(1, 6)]
CROSS = {"conv3": "pool2_maxpool", "fc6": "pool5_maxpool", "fc7": "fc6_relu", "fc8": "fc7_relu"}
PICTURES = 2  # of each class


def open_up(model: onnx.ModelProto) -> onnx.ModelProto:
    """Add to an exported AlexNet what the live page needs, for one image at a time.

    exchange: a new input, one number: 1 as it was trained; 0: each column sees zeros in place of
    the other's maps. New outputs: MAPS, what crosses (CROSS), and `alone`, (2, classes): what each
    column believes if fc8 sees this column only.
    """
    graph = model.graph
    weights = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    nodes = {node.output[0]: node for node in graph.node}
    new = []
    for layer in ("conv3", "fc6", "fc7"):
        outputs, inputs, *kernel = weights[f"{layer}.weight"]  # the first halves are column 0
        for side, shape in (("to", (outputs, 1)), ("from", (1, inputs))):
            columns = np.repeat(np.float32([0, 1]), max(shape) // 2)
            columns = columns.reshape(*shape, *(1 for _ in kernel))
            graph.initializer.append(numpy_helper.from_array(columns, f"{layer}.{side}"))
        new += [helper.make_node("Equal", [f"{layer}.to", f"{layer}.from"], [f"{layer}.same"]),
                helper.make_node("Cast", [f"{layer}.same"], [f"{layer}.own"], to=TensorProto.FLOAT),
                helper.make_node("Max", [f"{layer}.own", "exchange"], [f"{layer}.mask"]),
                helper.make_node("Mul", [f"{layer}.weight", f"{layer}.mask"], [f"{layer}.used"])]
        kind = "conv" if layer.startswith("conv") else "gemm"
        nodes[f"{layer}_{kind}"].input[1] = f"{layer}.used"
    units = weights["fc8.weight"][1]
    halves = np.kron(np.eye(2), np.ones(units // 2)).astype(np.float32)  # (2, units)
    graph.initializer.append(numpy_helper.from_array(halves, "fc8.halves"))
    fc8 = nodes["fc8_gemm"]
    last = [helper.make_node("Mul", [fc8.input[0], "fc8.halves"], ["fc8.one_each"]),
            helper.make_node("Gemm", ["fc8.one_each", *fc8.input[1:]], ["fc8.alone"], transB=1),
            helper.make_node("Softmax", ["fc8.alone"], ["alone"], axis=1)]
    trained = list(graph.node)
    del graph.node[:]
    graph.node.extend([*new, *trained, *last])
    graph.input.append(helper.make_tensor_value_info("exchange", TensorProto.FLOAT, []))
    for name in [*MAPS, *CROSS.values(), "alone"]:
        sizes = [None] * (2 if name[:2] in ("fc", "al") else 4)  # the program works them out
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes))
    onnx.checker.check_model(model)
    return model


def facts(run: Path) -> dict[str, Any]:
    """What the page must know besides the network: classes, how pixels are prepared, pictures."""
    classifier = Classifier.load(run)
    prepared = classifier.preparation
    images, chosen = some_pictures(run)
    return {"classes": list(classifier.classes), "size": prepared.size, "scale": prepared.scale,
            "mean": prepared.mean.reshape(-1).tolist(),  # each the same float32 when read again
            "labels": images.labels[chosen].tolist(),
            "pictures": base64.b64encode(images.read(chosen).tobytes()).decode()}


def some_pictures(run: Path) -> tuple[datasets.ImageSet, np.ndarray]:
    """The test images of a run, and the numbers of the first ones of each class."""
    images = datasets.open(read_json(run / "config.json")["data"]).test
    return images, np.concatenate([np.flatnonzero(images.labels == label)[:PICTURES]
                                   for label in range(len(images.classes))])


def write_pictures(run: Path, folder: Path) -> str:
    """A PNG for each of these pictures; returns links to the live page that show them, as HTML."""
    images, chosen = some_pictures(run)
    links = []
    for i, (pixels, label) in enumerate(zip(images.read(chosen), images.labels[chosen],
                                            strict=True)):
        name = f"picture-{i}.png"
        Image.fromarray(pixels[..., 0]).save(folder / name)
        alt = f"{html.escape(images.classes[label])} {i % PICTURES + 1}"
        links.append(f'<a href="live.html#picture-{i}"><img src="_static/live/{name}" '
                     f'width="56" height="56" alt="{alt}"></a>')
    return f'<p class="pictures">{"".join(links)}</p>'


def column_alone(net: models.AlexNet, column: int) -> models.AlexNet:
    """A copy of a network in which one column answers without the other: it sees zeros there."""
    net = copy.deepcopy(net)
    for i, part in enumerate(net.columns):
        maps = {"conv3": part.conv2, "fc6": part.conv5, "fc7": part.fc6}
        for layer, below in maps.items():
            _forget(getattr(part, layer), 1 - i, below.weight.shape[-1])
    _forget(net.fc8, 1 - column, net.columns[column].fc7.weight.shape[-1])
    return net


def _forget(layer: Any, column: int, maps: int) -> None:
    """Set to zero what a layer has learnt about one column, which gives it so many maps."""
    outputs = layer.weight.shape[-1]  # the inputs are maps of column 0, then of column 1
    layer.weight.data.reshape(-1, 2, maps, outputs)[:, column] = 0


def story(run: Path) -> str:
    """What was trained, and how badly it errs, as Markdown."""
    config, summary, evaluation = (read_json(run / f"{name}.json")
                                   for name in ("config", "summary", "evaluation"))
    epochs, width = config["recipe"]["epochs"], config["recipe"]["width"]
    centre, (worst, *_, best) = evaluation["centre"], evaluation["classes"]
    data, classifier = datasets.open(config["data"]), Classifier.load(run)
    test = data.test.read(np.arange(len(data.test)))
    alone = []
    for column in (0, 1):
        answers = replace(classifier, net=column_alone(classifier.net, column)).predict(test)
        alone.append((answers.argmax(axis=1) != data.test.labels).mean())
    return (
        f"The network is `{config['model']}`: the two columns of 2012 with {100 * width:g} % of "
        "their kernels and units, for grey pictures of 28x28 pixels. It has "
        f"{summary['parameters']:,} parameters in place of 60,965,224. It has learnt "
        f"{len(data.train):,} pictures of {config['data']}, {epochs} times each, in "
        f"{summary['seconds']:.0f} seconds on a processor. It knows {len(classifier.classes)} "
        "classes of clothes and nothing else.\n\n"
        f"Of {len(test):,} pictures that it has not learnt, it takes "
        f"{100 * centre['top1_error']:.1f} % for something else. Hardest is {worst['class']}: "
        f"{100 * worst['top1_error']:.0f} % are wrong, most often taken for {worst['taken_for']}. "
        f"Easiest is {best['class']}, with {100 * best['top1_error']:.0f} % wrong. It was never "
        "trained with the exchange cut. Then column 0 alone is wrong about "
        f"{100 * alone[0]:.0f} % of these pictures, and column 1 alone about "
        f"{100 * alone[1]:.0f} %.\n\n"
        "All these pictures show one piece of clothing, bright on black, which fills the frame. "
        "Your photograph or drawing is unlike them, so expect more errors there. For things that "
        "are no clothes it has no answer: it gives the name of some piece of clothing, sometimes "
        "with much confidence.\n\n"
        "In the browser, [onnxruntime-web](https://onnxruntime.ai) runs it (MIT licence). A test "
        "compares every number of every layer with minialex's own.")


def write(exported: Path, run: Path, folder: Path) -> None:
    """Write what the live page fetches: network.onnx and live.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "network.onnx").write_bytes(
        open_up(onnx.load(exported)).SerializeToString(deterministic=True))
    (folder / "live.json").write_text(json.dumps(facts(run)), encoding="utf-8")
