"""Is a graph the one that we know? Each of its nodes is compared with the node that is needed."""

from __future__ import annotations

from typing import Any, NamedTuple

from .graph import INPUT, OUTPUT, Node
from .onnx_file import OnnxFile, shown

__all__ = ["Pair", "attributes", "check_attributes", "is_turned", "match"]

OPTIONAL = ("Dropout", "Softmax")  # they change no score when a network is used

# What an operation does if its attributes do not say. Left out are those that change nothing here:
# transB of Gemm, which `is_turned` reads; axis of Softmax, since only one fits (N, classes).
_WINDOWS = {"auto_pad": b"NOTSET", "dilations": [1, 1], "pads": [0, 0, 0, 0], "strides": [1, 1]}
DEFAULTS: dict[str, dict[str, Any]] = {
    "Conv": {**_WINDOWS, "group": 1},
    "MaxPool": {**_WINDOWS, "ceil_mode": 0, "storage_order": 0},
    "AveragePool": {**_WINDOWS, "ceil_mode": 0, "count_include_pad": 0},
    "LRN": {"alpha": 1e-4, "beta": 0.75, "bias": 1.0},
    "Gemm": {"alpha": 1.0, "beta": 1.0, "transA": 0},
    "Dropout": {"ratio": 0.5}, "Flatten": {"axis": 1}, "Split": {"axis": 0}}
IGNORED = {"Gemm": ("transB",), "Softmax": ("axis",), "Dropout": ("seed",)}


class Pair(NamedTuple):
    """What is needed, and the node of the file that is to be it."""

    want: Node
    number: int
    node: Any


def match(file: OnnxFile, needed: list[Node]) -> list[Pair]:
    """The nodes of the file with what each must be: the same operations, connected as needed."""
    names, pairs = {INPUT: file.input.name}, []
    coming: list[tuple[int, Any]] = list(file.nodes)
    for want in needed:
        node: Any = coming[0][1] if coming else None
        number, kind = (coming[0][0], node.op_type) if coming else (0, "nothing more")
        if kind != want.op and want.op in OPTIONAL:
            names[want.outputs[0]] = names[want.inputs[0]]
            continue
        if kind != want.op and (kind, want.op) != ("Reshape", "Flatten"):
            raise file.refusal(f"{shown(kind)} came; need {want.op} ({want.layer})", number, node)
        coming.pop(0)
        inputs = [names[name] for name in want.inputs]
        if list(node.input[: len(inputs)]) != inputs or len(node.output) < len(want.outputs):
            raise file.refusal(f"it works on {shown(', '.join(node.input))}; need what came before "
                               f"({shown(', '.join(inputs))})", number, node)
        if want.weights and len(node.input) != 3:
            raise file.refusal("it is without weights or biases; need both", number, node)
        names.update(zip(want.outputs, node.output, strict=False))
        pairs.append(Pair(want, number, node))
    if coming:
        raise file.refusal("it stands after the end; need nothing there", *coming[0])
    if file.output != names[OUTPUT]:
        raise file.refusal(f"its output is {shown(file.output)}; need {shown(names[OUTPUT])}, the "
                           "last result")
    return pairs


def attributes(file: OnnxFile, node: Any) -> dict[str, Any]:
    """What the attributes of a node say."""
    try:
        return {a.name: file.onnx.helper.get_attribute_value(a) for a in node.attribute}
    except ValueError:
        raise file.refusal("an attribute has no type; get the file again", 0, node) from None


def is_turned(node: Any) -> bool:
    """Whether the matrix of a Gemm is (in, out)."""
    return node.op_type == "Gemm" and not any(a.name == "transB" and a.i for a in node.attribute)


def check_attributes(file: OnnxFile, pairs: list[Pair], side: int) -> None:
    """Each attribute must have the value that is needed; side: of the images."""
    for index, (want, number, node) in enumerate(pairs):
        defaults = DEFAULTS.get(want.op, {})
        needed, met = defaults | want.attributes, defaults | attributes(file, node)
        if want.op == "Conv":
            met.setdefault("kernel_shape", needed["kernel_shape"])  # that of the weights
        if want.op == "MaxPool" and _rounds_nothing(met, needed, side):
            needed |= {name: met[name] for name in ("pads", "ceil_mode")}
        if want.op == "Dropout" and len(node.input) > 1 and node.input[1]:
            met["ratio"] = float(file.array(node.input[1], (), "ratio"))
        if want.op == "Split" and len(node.input) > 1:
            met["split"] = list(node.input[1:])
        if node.op_type == "Reshape":
            _check_reshape(file, number, node, pairs[index + 1])
            met["axis"] = 1
        for name in sorted(met.keys() | needed.keys()):
            if name not in IGNORED.get(want.op, ()) and not _same(met.get(name), needed.get(name)):
                raise file.refusal(f"{shown(name)} is {shown(str(met.get(name)))}; need "
                                   f"{needed.get(name)} ({want.layer})", number, node)
        if "kernel_shape" in needed:
            padding = sum(needed["pads"][::2]) if want.op == "Conv" else 0
            side = (side + padding - needed["kernel_shape"][0]) // needed["strides"][0] + 1


def _rounds_nothing(met: dict[str, Any], needed: dict[str, Any], side: int) -> bool:
    """Whether padding at the end and rounding up (as in Caffe) leave a pooling as it is.

    They do at 55, 27 and 13 rows: there the last window ends with the last row, and nobody looks at
    the padding that pool5 has in the zoo's file.
    """
    pads, stride, over = met["pads"], needed["strides"][0], side - needed["kernel_shape"][0]
    if not isinstance(pads, list) or len(pads) != 4 or pads[:2] != [0, 0] or min(pads) < 0 \
            or met["ceil_mode"] not in (0, 1):
        return False
    ends = {(over + end + met["ceil_mode"] * (stride - 1)) // stride for end in pads[2:]}
    return ends == {over // stride}


def _check_reshape(file: OnnxFile, number: int, node: Any, after: Pair) -> None:
    """In place of Flatten: what comes out must be (N, all the rest), for the layer after it."""
    sizes = file.array(node.input[1] if len(node.input) == 2 else "", (2,), "shape", "INT64")
    matrix = file.shape(after.node.input[1], after.want.weights[0])
    taken = matrix[0 if is_turned(after.node) else -1]
    if sizes[1] not in (-1, taken):
        raise file.refusal(f"its new shape is {sizes.tolist()}; need [N, {taken}]", number, node)


def _same(met: Any, needed: Any) -> bool:
    if isinstance(needed, float):  # in the file it was rounded to float32
        return isinstance(met, (int, float)) and abs(met - needed) <= 1e-6 * abs(needed)
    return bool(met == needed)
