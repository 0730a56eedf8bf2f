"""AlexNet (2012): two columns on two devices, which talk into conv3 and into fc6, fc7, fc8."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import nn, ops
from ..backend import Device
from ..checks import number, padding, shown, text, whole
from ..errors import InputError, InputTypeError
from ..ops.common import output_size
from ..tensor import Tensor

__all__ = ["AlexNet", "Column", "LayerCount", "exchange", "normalize_across"]

# Kernels of one column at width 1, and units of one column in fc6 and fc7.  Paper: section 3.5.
CONV1, CONV2, CONV3, CONV4, CONV5, FC = 48, 128, 192, 192, 128, 2048

# Biases of 1 give the ReLUs positive inputs at the start.  Paper: section 5.
POSITIVE_BIASES = ("conv2", "conv4", "conv5", "fc6", "fc7")

# k and alpha of response normalization.  Caffe divides alpha by the size of the window, 5.
NORMS = {"paper": (2.0, 1e-4), "caffe": (1.0, 1e-4 / 5)}


def exchange(a: Tensor, b: Tensor, label: str = "") -> tuple[Tensor, Tensor]:
    """Give both columns all maps: two (N, H, W, C) on two devices -> two (N, H, W, 2C)."""
    return (ops.concat(a, ops.transfer(b, a.device, label=label)),
            ops.concat(ops.transfer(a, b.device, label=label), b))


def normalize_across(norm: nn.LocalResponseNorm, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Normalize two columns as one tower: at the border, a window reaches into the other column.

    Not 2012: there, each column saw its own maps only. Caffe's network has one tower.
    """
    c = a.shape[-1]
    reach = min(norm.size // 2, c)
    last_of_a = ops.transfer(ops.take_channels(a, c - reach, c), b.device, label="over the border")
    first_of_b = ops.transfer(ops.take_channels(b, 0, reach), a.device, label="over the border")
    return (ops.take_channels(norm(ops.concat(a, first_of_b)), 0, c),
            ops.take_channels(norm(ops.concat(last_of_a, b)), reach, reach + c))


def _start(init: str, layer: str) -> dict[str, Any]:
    """Standard deviation of the first weights, and first value of the biases, of a layer."""
    if init == "he":  # Not 2012: reduced widths do not leave the plateau with the values below.
        return {"std": None, "bias": 0.0}
    bias = 1.0 if layer in POSITIVE_BIASES else 0.0
    if init == "run145" and layer in ("conv3", "conv4", "conv5"):
        return {"std": 0.03, "bias": bias}  # as the authors ran it; the paper says 0.01
    return {"std": 0.01, "bias": bias}


def _convolved(layer: nn.Conv2d, side: int) -> int:
    """Rows that a convolution makes of `side` rows."""
    kernel, pad = layer.weight.shape[:2], padding("conv2d", layer.pad)
    return output_size("conv2d", (side, side), kernel, layer.stride, pad)[0]


def _pooled(side: int) -> int:
    """Rows after max-pooling with size 3, stride 2."""
    return output_size("max_pool2d", (side, side), (3, 3), 2)[0]


class Column(nn.Module):
    """Half of the kernels of every layer up to fc7, on one device."""

    def __init__(
        self, device: str | Device, image_size: int, channels: int, width: float, init: str,
        rng: np.random.Generator, norm: str = "paper",
    ) -> None:
        c1, c2, c3, c4, c5, fc = (
            max(1, round(n * width)) for n in (CONV1, CONV2, CONV3, CONV4, CONV5, FC))

        def conv(layer: str, inputs: int, kernels: int, size: int, **options: Any) -> nn.Conv2d:
            return nn.Conv2d(inputs, kernels, size, **options, **_start(init, layer), rng=rng,
                             device=device)

        def linear(layer: str, *sizes: int) -> nn.Linear:
            return nn.Linear(*sizes, **_start(init, layer), rng=rng, device=device)

        if image_size >= 67:
            # The output size was rounded up in 2012: 224 gets 3 zero rows and columns at the end,
            # 227 none, and both give 55 x 55.
            end = -(image_size - 11) % 4
            self.conv1 = conv("conv1", channels, c1, 11, stride=4, pad=(0, end, 0, end))
            self.conv2 = conv("conv2", c1, c2, 5, pad=2)
        else:  # Not 2012: smaller kernels, and no stride, so that three poolings fit.
            self.conv1 = conv("conv1", channels, c1, 5)
            self.conv2 = conv("conv2", c1, c2, 3, pad=1)
        self.conv3 = conv("conv3", 2 * c2, c3, 3, pad=1)
        self.conv4 = conv("conv4", c3, c4, 3, pad=1)
        self.conv5 = conv("conv5", c4, c5, 3, pad=1)
        k, alpha = NORMS[norm]
        self.norm = nn.LocalResponseNorm(size=5, k=k, alpha=alpha, beta=0.75)  # section 3.3
        self.pool = nn.MaxPool2d(size=3, stride=2)  # section 3.4
        last = _pooled(_pooled(_pooled(_convolved(self.conv1, image_size))))
        self.fc6 = linear("fc6", 2 * last * last * c5, fc)
        self.fc7 = linear("fc7", 2 * fc, fc)
        self.drop6, self.drop7 = (nn.Dropout(0.5, rng=child) for child in rng.spawn(2))

    @property
    def device(self) -> Device:
        return self.conv1.weight.device

    def see(self, x: Tensor) -> Tensor:
        """Image -> pool2 (N, 13, 13, 128): what each column does alone."""
        x = self.pool(self.norm(ops.relu(self.conv1(x))))  # (N, 27, 27, 48)
        return self.pool(self.norm(ops.relu(self.conv2(x))))  # (N, 13, 13, 128)

    def combine(self, x: Tensor) -> Tensor:
        """All pool2 maps (N, 13, 13, 256) -> pool5 (N, 6, 6, 128)."""
        x = ops.relu(self.conv3(x))  # (N, 13, 13, 192)
        x = ops.relu(self.conv4(x))
        return self.pool(ops.relu(self.conv5(x)))

    def judge(self, x: Tensor, layer: nn.Linear, drop: nn.Dropout) -> Tensor:
        """All units of the layer before -> this column's half of fc6 or fc7; masked once, here."""
        return drop(ops.relu(layer(ops.flatten(x))))


class AlexNet(nn.Module):
    """Krizhevsky, Sutskever, Hinton 2012: images -> class scores.  Paper: figure 2, section 3.5.

    devices: one for each column; both may be the same, and one may be a GPU and one the CPU.
    image_size: 227 real pixels, or 224 and 3 zero rows and columns at the bottom and on the right
        (as in 2012); from 67 on the kernels are the paper's. From 19 to 66 conv1 has 5x5 kernels
        and stride 1, conv2 3x3 kernels.
    width: share of the paper's kernels and units.
    init: "run145" (what the authors ran: std 0.03 in conv3 to conv5), "paper" (0.01 everywhere),
        or "he", for reduced widths.  seed: of the weights and the dropout masks.
    norm: "paper", or "caffe" for weights from Caffe: other constants, over both columns.

    images: (N, image_size, image_size, channels), float32 pixels with the mean taken off, as a host
    array (each device gets its copy from the host, as in 2012) or a Tensor.
    Returns (N, classes) on the first device, which owns fc8. Built in chapter 09.
    """

    def __init__(
        self, devices: Sequence[str | Device] = ("gpu:0", "gpu:1"), classes: int = 1000,
        image_size: int = 227, channels: int = 3, width: float = 1.0, init: str = "run145",
        seed: int = 0, norm: str = "paper",
    ) -> None:
        if not isinstance(devices, (list, tuple)) or len(devices) != 2:
            raise InputError(f"AlexNet: devices is {shown(devices)}; name one for each of the two "
                             "columns: ('gpu:0', 'gpu:1'), or the same one twice")
        if whole("AlexNet", "image_size", image_size) < 19:
            raise InputError(f"AlexNet: image_size is {image_size}; three poolings need 19 or more")
        if text("AlexNet", "init", init) not in ("run145", "paper", "he"):
            raise InputError(f"AlexNet: init is {init!r}; use 'run145', 'paper' or 'he'")
        if text("AlexNet", "norm", norm) not in NORMS:
            raise InputError(f"AlexNet: norm is {norm!r}; use 'paper' or 'caffe'")
        if not 0 < number("AlexNet", "width", width) < math.inf:
            raise InputError(f"AlexNet: width is {width}; it must be more than 0, and finite")
        rng = nn.init.generator(seed)
        self.image_size, self.channels = image_size, channels
        self.width, self.norm = width, norm
        self.columns = [Column(device, image_size, channels, width, init, rng, norm)
                        for device in devices]
        units = self.columns[0].fc7.weight.shape[1]
        self.fc8 = nn.Linear(2 * units, classes, **_start(init, "fc8"), rng=rng, device=devices[0])

    def forward(self, images: np.ndarray | Tensor) -> Tensor:
        xa, xb = self.convolve(images)
        xa, xb = exchange(xa, xb, "into fc6")  # two times (N, 6, 6, 256)
        return self.classify(xa, xb)

    def convolve(self, images: np.ndarray | Tensor) -> tuple[Tensor, Tensor]:
        """Images -> pool5 of each column, two times (N, 6, 6, 128): all convolutions."""
        a, b = self.columns
        xa, xb = self.see(self._from_host(images, a.device), self._from_host(images, b.device))
        xa, xb = exchange(xa, xb, "into conv3")  # two times (N, 13, 13, 256)
        return a.combine(xa), b.combine(xb)

    def classify(self, xa: Tensor, xb: Tensor) -> Tensor:
        """All pool5 maps, once on each device, (N, 6, 6, 256) -> scores (N, classes)."""
        a, b = self.columns
        xa, xb = a.judge(xa, a.fc6, a.drop6), b.judge(xb, b.fc6, b.drop6)
        xa, xb = exchange(xa, xb, "into fc7")  # two times (N, 4096)
        xa, xb = a.judge(xa, a.fc7, a.drop7), b.judge(xb, b.fc7, b.drop7)
        xb = ops.transfer(xb, a.device, label="into fc8")
        return self.fc8(ops.concat(xa, xb))  # (N, 4096) -> (N, classes)

    def see(self, xa: Tensor, xb: Tensor) -> tuple[Tensor, Tensor]:
        """The images, on both devices -> pool2 of each column, two times (N, 13, 13, 128)."""
        a, b = self.columns
        if self.norm == "paper":
            return a.see(xa), b.see(xb)
        for layer in ("conv1", "conv2"):
            xa, xb = ops.relu(getattr(a, layer)(xa)), ops.relu(getattr(b, layer)(xb))
            xa, xb = normalize_across(a.norm, xa, xb)
            xa, xb = a.pool(xa), b.pool(xb)
        return xa, xb

    def _from_host(self, images: np.ndarray | Tensor, device: Device) -> Tensor:
        expected = (self.image_size, self.image_size, self.channels)
        if not hasattr(images, "dtype"):
            raise InputTypeError(f"AlexNet: images is a {type(images).__name__}; give an array or "
                                 "a Tensor")
        if images.ndim != 4 or images.shape[1:] != expected or not images.shape[0]:
            raise InputError(f"AlexNet: images has shape {tuple(images.shape)}; it must be "
                             f"(N, {', '.join(map(str, expected))}) with N at least 1")
        if not isinstance(images, Tensor):
            return Tensor(images, device)
        if images.device is device or images.requires_grad:
            return ops.transfer(images, device, label="images")
        return Tensor(images.numpy(), device)

    def count(self) -> list[LayerCount]:
        """Outputs, parameters and multiply-accumulates of each layer, both columns together."""
        a, side, rows = self.columns[0], self.image_size, []
        for name in ("conv1", "conv2", "conv3", "conv4", "conv5"):
            layer = getattr(a, name)
            side = _convolved(layer, side)
            rows.append(LayerCount(name, (side, side, 2 * layer.weight.shape[3]),
                                   *_size(2 * [layer], positions=side * side)))
            if name in ("conv1", "conv2", "conv5"):
                side = _pooled(side)
        for name in ("fc6", "fc7"):
            layers = [getattr(column, name) for column in self.columns]
            rows.append(LayerCount(name, (2 * layers[0].weight.shape[1],), *_size(layers)))
        rows.append(LayerCount("fc8", self.fc8.weight.shape[1:], *_size([self.fc8])))
        return rows


class LayerCount(NamedTuple):
    """One row of `AlexNet.count`: a layer, both columns together, for one image."""

    name: str
    output: tuple[int, ...]
    parameters: int
    multiply_accumulates: int


def _size(layers: Sequence[Any], positions: int = 1) -> tuple[int, int]:
    """Parameters, and multiply-accumulates if each kernel is applied at so many positions."""
    weights = sum(layer.weight.size for layer in layers)
    return weights + sum(layer.bias.size for layer in layers), weights * positions
