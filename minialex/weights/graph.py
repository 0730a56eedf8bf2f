"""Our networks as nodes of ONNX, in one place: what is written, and what a file to read must hold.

AlexNet becomes one tower: where the columns do not talk, a convolution has two groups.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..checks import padding
from ..models import AlexNet, LeNet5
from ..nn import Conv2d

__all__ = ["INPUT", "OUTPUT", "Node", "nodes_of"]

INPUT, OUTPUT = "data", "prob"


class Node(NamedTuple):
    """One operation: of which layer, what goes in and out, and the value of each attribute."""

    op: str
    layer: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]

    @property
    def weights(self) -> list[str]:
        """What else goes in, by its name in `to_tower`."""
        learns = self.op in ("Conv", "Gemm")
        return [f"{self.layer}.weight", f"{self.layer}.bias"] if learns else []


class _Chain:
    """Nodes of which each takes what the one before gives."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.last = [INPUT]

    def add(self, op: str, layer: str, outputs: int = 1, **attributes: Any) -> None:
        names = [f"{layer}_{op.lower()}{i + 1 if outputs > 1 else ''}" for i in range(outputs)]
        self.nodes.append(Node(op, layer, self.last, names, attributes))
        self.last = names

    def add_to_each(self, op: str, layer: str, **attributes: Any) -> None:
        """The same for each of several results, such as two columns."""
        before, self.last = self.last, [f"{name}_{op.lower()}" for name in self.last]
        self.nodes += [Node(op, layer, [a], [b], attributes)
                       for a, b in zip(before, self.last, strict=True)]

    def conv(self, layer: str, conv: Conv2d, groups: int = 1) -> None:
        above, below, left, right = padding("conv2d", conv.pad)
        self.add("Conv", layer, kernel_shape=list(conv.weight.shape[:2]), strides=2 * [conv.stride],
                 pads=[above, left, below, right], group=groups)

    def pool(self, op: str, layer: str, size: int, stride: int) -> None:
        self.add(op, layer, kernel_shape=2 * [size], strides=2 * [stride])

    def linear(self, layer: str) -> None:
        self.add("Gemm", layer, transB=1)  # the matrix is (out, in)


def nodes_of(net: AlexNet | LeNet5) -> list[Node]:
    """The network as nodes, from INPUT (N, C, H, W) to OUTPUT, probabilities (N, classes)."""
    chain = _Chain()
    if isinstance(net, AlexNet):
        _alexnet(chain, net)
    else:
        _lenet(chain, net)
    return [*chain.nodes, Node("Softmax", OUTPUT, chain.last, [OUTPUT], {"axis": 1})]


def _alexnet(chain: _Chain, net: AlexNet) -> None:
    column = net.columns[0]
    for number in range(1, 6):
        layer = f"conv{number}"
        # The trap of groups: conv1 and conv3 see all there is, the others their column's maps.
        chain.conv(layer, getattr(column, layer), groups=1 if number in (1, 3) else 2)
        chain.add("Relu", layer)
        if number <= 2:
            _norm(chain, f"norm{number}", net)
        if number in (1, 2, 5):
            chain.pool("MaxPool", f"pool{number}", column.pool.size, column.pool.stride)
    chain.add("Flatten", "pool5", axis=1)
    for layer in ("fc6", "fc7"):
        chain.linear(layer)
        chain.add("Relu", layer)
        chain.add("Dropout", layer, ratio=column.drop6.p)
    chain.linear("fc8")


def _norm(chain: _Chain, layer: str, net: AlexNet) -> None:
    norm = net.columns[0].norm
    # The trap of alpha: ONNX divides it by the size of the window, as Caffe does; we do not.
    lrn: dict[str, Any] = {"size": norm.size, "alpha": norm.alpha * norm.size, "beta": norm.beta,
                           "bias": norm.k}
    if net.norm == "caffe":
        chain.add("LRN", layer, **lrn)  # one tower: its window sees over the columns' border
    else:  # each column by itself
        chain.add("Split", layer, outputs=2, axis=1)
        chain.add_to_each("LRN", layer, **lrn)
        chain.add("Concat", layer, axis=1)


def _lenet(chain: _Chain, net: LeNet5) -> None:
    for layer in ("c1", "c3"):
        chain.conv(layer, getattr(net, layer))
        chain.add("Tanh", layer)
        chain.pool("AveragePool", layer, size=2, stride=2)
    chain.add("Flatten", "c3", axis=1)
    for layer in ("c5", "f6"):
        chain.linear(layer)
        chain.add("Tanh", layer)
    chain.linear("output")
