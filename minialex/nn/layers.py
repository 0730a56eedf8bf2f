"""Layers: an op together with its parameters, its options, or its randomness."""

from __future__ import annotations

import numpy as np

from .. import checks, ops
from ..backend import Device
from ..tensor import Tensor
from . import init
from .init import Rng
from .module import Module, Parameter

__all__ = ["AvgPool2d", "Conv2d", "Dropout", "Flatten", "Linear", "LocalResponseNorm",
           "MaxPool2d", "ReLU", "Sequential", "Tanh"]


Place = str | Device | None  # None: see `backend.use`


class _Weighted(Module):
    """weight ~ N(0, std**2), and a constant bias unless that is None."""

    def __init__(self, shape: tuple[int, ...], std: float | None, bias: float | None,
                 rng: Rng, device: Place) -> None:
        checks.weighted(type(self).__name__, shape, std, bias)
        std = init.he_std(shape) if std is None else std
        self.weight = Parameter(init.normal(init.generator(rng), shape, std), device)
        self.bias = None if bias is None else Parameter(
            np.full(shape[-1], bias, np.float32), device)


class Conv2d(_Weighted):
    """(N, H, W, in_channels) -> (N, OH, OW, out_channels); options as in `ops.conv2d`.

    std: standard deviation of the first weights; None: by He et al. 2015.
    bias: first value of the biases; None: no biases.
    rng: generator, or seed, from which the weights are drawn; None: see `init.seed`.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1,
                 pad: int | tuple[int, int, int, int] = 0, groups: int = 1,
                 std: float | None = None, bias: float | None = 0.0, rng: Rng = None,
                 device: Place = None) -> None:
        checks.convolution("Conv2d", in_channels, out_channels, pad, groups)
        self.stride, self.pad, self.groups = checks.whole("Conv2d", "stride", stride), pad, groups
        shape = (kernel_size, kernel_size, in_channels // groups, out_channels)
        super().__init__(shape, std, bias, rng, device)

    def forward(self, x: Tensor) -> Tensor:
        return ops.conv2d(x, self.weight, self.bias,
                          stride=self.stride, pad=self.pad, groups=self.groups)


class Linear(_Weighted):
    """(N, in_features) -> (N, out_features); std, bias, rng and device as in Conv2d."""

    def __init__(self, in_features: int, out_features: int, *, std: float | None = None,
                 bias: float | None = 0.0, rng: Rng = None, device: Place = None) -> None:
        super().__init__((in_features, out_features), std, bias, rng, device)

    def forward(self, x: Tensor) -> Tensor:
        return ops.linear(x, self.weight, self.bias)


class _Pool(Module):
    """A window of `size` rows and columns that moves by `stride`."""

    def __init__(self, size: int, stride: int) -> None:
        self.size = checks.whole(type(self).__name__, "size", size)
        self.stride = checks.whole(type(self).__name__, "stride", stride)


class MaxPool2d(_Pool):
    """The largest number of each window.  Paper: section 3.4 (size 3, stride 2)."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.max_pool2d(x, size=self.size, stride=self.stride)


class AvgPool2d(_Pool):
    """The mean of each window."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.avg_pool2d(x, size=self.size, stride=self.stride)


class LocalResponseNorm(Module):
    """Neighbouring channels compete; options as in `ops.local_response_norm`."""

    def __init__(self, size: int = 5, k: float = 2.0, alpha: float = 1e-4,
                 beta: float = 0.75) -> None:
        self.size, self.k, self.alpha, self.beta = checks.normalization(size, k, alpha, beta)

    def forward(self, x: Tensor) -> Tensor:
        return ops.local_response_norm(x, size=self.size, k=self.k, alpha=self.alpha,
                                       beta=self.beta)


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.relu(x)


class Tanh(Module):
    """Hyperbolic tangent."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.tanh(x)


class Flatten(Module):
    """(N, ...) -> (N, the rest)."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.flatten(x)


class Dropout(Module):
    """Drop each number with probability p in training, scale by 1 - p in evaluation (2012 rule).

    The masks are drawn on the host from `rng` (None: see `init.seed`), so that they are the same
    on every device.  Paper: section 4.2.
    """

    def __init__(self, p: float = 0.5, *, rng: Rng = None) -> None:
        self.p, self.rng = checks.probability("Dropout", "p", p), init.generator(rng)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return ops.mul(x, 1 - self.p)
        keep = self.rng.random(checks.tensor("Dropout", x, Tensor).shape, np.float32) >= self.p
        return ops.dropout(x, Tensor(keep, x.device))


class Sequential(Module):
    """One module after the other."""

    def __init__(self, *modules: Module) -> None:
        self.modules = checks.modules(modules)

    def forward(self, x: Tensor) -> Tensor:
        for module in self.modules:
            x = module(x)
        return x
