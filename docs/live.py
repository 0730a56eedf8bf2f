"""The network of the live page: the file that `minialex weights export` wrote, to be looked into.

The export is one tower: what the columns exchange is in the weights, where a kernel of one column
sees maps of the other. So a mask over these weights cuts the exchange.
"""

import base64
import html
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from PIL import Image
from onnx import TensorProto, helper, numpy_helper

from minialex import datasets
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
        shape = weights[f"{layer}.weight"]  # (O, C, KH, KW) or (out, in): the first half is column 0
        own = np.kron(np.eye(2), np.ones((shape[0] // 2, shape[1] // 2))).astype(np.float32)
        own = own.reshape(own.shape + (1,) * (len(shape) - 2))
        graph.initializer.append(numpy_helper.from_array(own, f"{layer}.own"))
        new += [helper.make_node("Max", [f"{layer}.own", "exchange"], [f"{layer}.mask"]),
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
    """One PNG for each of these pictures; returns links to the live page that show them, as HTML."""
    images, chosen = some_pictures(run)
    links = []
    for i, (pixels, label) in enumerate(zip(images.read(chosen), images.labels[chosen],
                                            strict=True)):
        name = f"picture-{i}.png"
        Image.fromarray(pixels[..., 0]).save(folder / name)
        links.append(f'<a href="live.html#picture-{i}"><img src="_static/live/{name}" width="56" '
                     f'height="56" alt="{html.escape(images.classes[label])} {i % PICTURES + 1}"></a>')
    return f'<p class="pictures">{"".join(links)}</p>'


def story(run: Path) -> str:
    """What was trained, and how badly it errs, as Markdown."""
    config, summary, evaluation = (read_json(run / f"{name}.json")
                                   for name in ("config", "summary", "evaluation"))
    epochs, width = config["recipe"]["epochs"], config["recipe"]["width"]
    centre, (worst, *_, best) = evaluation["centre"], evaluation["classes"]
    images = len(datasets.open(config["data"]).train)
    return (
        f"The network is `{config['model']}`: the two columns of 2012 with {width:g} of their "
        f"kernels and units, for grey pictures of 28x28 pixels; {summary['parameters']:,} parameters "
        f"in place of 60,965,224. It has learnt {images:,} pictures of {config['data']}, {epochs} "
        f"times each, in {summary['seconds']:.0f} seconds on a processor. It knows "
        f"{len(evaluation['classes'])} classes of clothes and nothing else.\n\n"
        f"Of {evaluation['images']:,} pictures that it has not learnt, it takes "
        f"{centre['top1_error']:.1%} for something else. Hardest is {worst['class']}: "
        f"{worst['top1_error']:.0%} are wrong, most often taken for {worst['taken_for']}. Easiest is "
        f"{best['class']}, with {best['top1_error']:.0%} wrong. All these pictures show one piece of "
        "clothing, bright on black, which fills the frame. Your photograph or drawing is unlike "
        "them, so expect more errors there. And it has no answer for things that are no clothes: it "
        "then gives the name of some piece of clothing, sometimes with much confidence. It was "
        "never trained with the exchange cut. What a column alone believes is a guess of half a "
        "network that has lost its other half.")


def write(exported: Path, run: Path, folder: Path) -> None:
    """Write what the live page fetches: network.onnx and live.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "network.onnx").write_bytes(
        open_up(onnx.load(exported)).SerializeToString(deterministic=True))
    (folder / "live.json").write_text(json.dumps(facts(run)), encoding="utf-8")
