"""An ONNX file on the disk: read without trusting it; nothing in it is run."""

from __future__ import annotations

import math
import os
from types import ModuleType
from typing import Any

import numpy as np

from .. import checks
from ..errors import UsageError
from .errors import WeightsError

__all__ = ["OnnxFile", "import_onnx", "shown"]

MOST_BYTES = 2**30  # AlexNet's weights are 244 MB
OPSETS = range(7, 23)  # the operations that AlexNet needs mean the same in all of them
ROUNDED = ("Quantize", "Dequantize", "QLinear", "Integer")  # in the names of operations on integers


def import_onnx(caller: str) -> ModuleType:
    """The package onnx, which only this part of minialex needs."""
    try:
        import onnx
    except ImportError:
        raise UsageError(f"{caller}: the package onnx is not installed; run: "
                         "pip install 'minialex[onnx]'") from None
    return onnx


class OnnxFile:
    """nodes: (number, node) but for constants; input: of pixels; tensors: by name.

    Raises WeightsError if it is no ONNX file, too large, or uses what AlexNet does not need.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.onnx = import_onnx("read_onnx")
        self.path = checks.path("read_onnx", "path", path)
        model = self._parse()
        graph = model.graph
        opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), None)
        if opset not in OPSETS:
            raise self.refusal(f"opset {opset} came; need {OPSETS[0]} to {OPSETS[-1]}; convert it "
                               "with onnx.version_converter")
        numbered = list(enumerate(graph.node, 1))
        names = [part.name for part in (*graph.input, *graph.output, *graph.initializer)]
        for node in graph.node:
            names += [node.op_type, node.domain, *node.input, *node.output]
            names += [attribute.name for attribute in node.attribute]
        if not all(isinstance(name, str) for name in names):  # bytes: not UTF-8
            raise self.refusal("damaged: a name in it is no text; get it again")
        for number, node in numbered:
            if not node.output:
                raise self.refusal(f"node {number} has no result; get the file again")
            if any(word in node.op_type for word in ROUNDED):
                raise self.refusal("its weights are rounded to integers (quantized); need the file "
                                   "with float32 weights", number, node)
            if node.domain not in ("", "ai.onnx") or model.functions:
                raise self.refusal("operations of its own came, of "
                                   f"{shown(node.domain or 'functions')}; need ONNX's only",
                                   number, node)
        self.tensors = {tensor.name: tensor for tensor in graph.initializer}
        for _, node in numbered:
            if node.op_type == "Constant" and len(node.attribute) == len(node.output) == 1:
                self.tensors[node.output[0]] = node.attribute[0].t
        self.nodes = [(number, node) for number, node in numbered if node.op_type != "Constant"]
        # Old files name every weight as an input, too.
        inputs = [value for value in graph.input if value.name not in self.tensors]
        if len(inputs) != 1 or len(graph.output) != 1:
            raise self.refusal(f"{len(inputs)} inputs and {len(graph.output)} outputs came; need "
                               "one of each: pixels and probabilities")
        self.input, self.output = inputs[0], graph.output[0].name

    def _parse(self) -> Any:
        from google.protobuf.message import DecodeError  # onnx is made of it, and lets it through

        if not self.path.is_file():
            raise self.refusal("there is no such file; correct the name")
        if self.path.stat().st_size > MOST_BYTES:
            raise self.refusal(f"{self.path.stat().st_size:,} bytes came; need at most "
                               f"{MOST_BYTES:,}: AlexNet is smaller, so this is another network")
        try:
            model = self.onnx.ModelProto.FromString(self.path.read_bytes())
        except OSError as error:
            raise self.refusal(f"cannot be read ({error.strerror or error})") from None
        except DecodeError:
            raise self.refusal("no ONNX file, or damaged or cut off; get it again") from None
        if not model.graph.node:
            raise self.refusal("no ONNX file: there is no graph in it; get it again")
        return model

    def refusal(self, text: str, number: int = 0, node: Any = None) -> WeightsError:
        """What to raise, about a node or about the whole."""
        where = "" if node is None else (f"node {number} ({shown(node.op_type)} to "
                                         f"{shown(node.output[0])}): ")
        return WeightsError(f"{self.path}: {where}{text}")

    def shape(self, name: str, what: str) -> tuple[int, ...]:
        """The shape of what is stored as `name`."""
        if name not in self.tensors:
            raise self.refusal(f"{what} ({shown(name)}) is computed or missing; need its numbers "
                               "in the file")
        return tuple(self.tensors[name].dims)

    def array(self, name: str, shape: tuple[int, ...], what: str,
              kind: str = "FLOAT") -> np.ndarray:
        """The numbers stored as `name`: finite, of this shape and kind."""
        met, tensor = self.shape(name, what), self.tensors[name]
        kinds = {code: kind for kind, code in self.onnx.TensorProto.DataType.items()}
        met_kind = kinds.get(tensor.data_type, "of an unknown type")
        if (met_kind, met) != (kind, shape):
            raise self.refusal(f"{what} is {met_kind} {met}; need {kind} {shape}")
        number, numbers = (("<f4", tensor.float_data) if kind == "FLOAT" else
                           ("<i8", tensor.int64_data))
        size = math.prod(shape) * np.dtype(number).itemsize
        if tensor.data_location == tensor.EXTERNAL:
            data = self._external(tensor, size, what)
        else:
            data = tensor.raw_data or np.array(numbers, number).tobytes()
        if len(data) != size:
            raise self.refusal(f"{what} has {len(data):,} bytes; need {size:,}; get the file again")
        array = np.frombuffer(data, number).reshape(shape)
        if not np.isfinite(array).all():
            raise self.refusal(f"{what} holds numbers that are not finite; get the file again")
        return array

    def _external(self, tensor: Any, size: int, what: str) -> bytes:
        """So many bytes of a tensor that lies in another file, beside this one."""
        facts = {entry.key: entry.value for entry in tensor.external_data}
        name, folder = facts.get("location", ""), self.path.parent.resolve()
        try:
            # Resolved: neither "..", nor an absolute path, nor a link may lead out of the folder.
            path, start = (folder / name).resolve(), int(facts.get("offset", 0))
            if not path.is_relative_to(folder):
                raise self.refusal(f"{what} is said to lie in {shown(name)}; need a file in the "
                                   "same folder; do not trust this one")
            if not path.is_file():
                raise self.refusal(f"{what} lies in {shown(name)}, which is missing; put it beside "
                                   "the file")
            if start < 0 or path.stat().st_size < start + size:
                raise self.refusal(f"{what} is not whole in {shown(name)}; need {size:,} bytes "
                                   f"from {start:,} on; get it again")
            with open(path, "rb") as file:
                file.seek(start)
                return file.read(size)
        except WeightsError:
            raise
        except (OSError, TypeError, ValueError) as error:  # of a name or a number that is none
            raise self.refusal(f"{what} cannot be read from {shown(name)} ({error})") from None


def shown(name: str) -> str:
    """A name from the file, fit for a line on the screen whatever is in it."""
    return repr(name if len(name) <= 60 else f"{name[:57]}...")
