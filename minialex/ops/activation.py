"""Nonlinearities, one number at a time."""

from __future__ import annotations

from ..tensor import op
from .common import each_item

__all__ = ["relu", "sigmoid", "tanh"]


@op
def relu(xp, x):
    """max(x, 0); the gradient at 0 is 0.  Keeps y.  Paper: section 3.1.  Built in chapter 06."""
    y = xp.empty(x.shape, x.dtype)
    each_item(xp, x, lambda part: xp.maximum(x[part], 0, out=y[part]))

    def backward(gy):
        gx = xp.empty(y.shape, gy.dtype)
        each_item(xp, y, lambda part: xp.multiply(gy[part], y[part] > 0, out=gx[part]))
        return gx

    return y, backward


@op
def tanh(xp, x):
    """Hyperbolic tangent, in (-1, 1).  Keeps y.  Paper: section 3.1.  Built in chapter 06."""
    y = xp.empty(x.shape, x.dtype)
    each_item(xp, x, lambda part: xp.tanh(x[part], out=y[part]))

    def backward(gy):
        return gy * (1 - y * y)

    return y, backward


@op
def sigmoid(xp, x):
    """1 / (1 + exp(-x)), in (0, 1).  Keeps y.  Paper: section 3.1.  Built in chapter 06."""
    y = xp.empty(x.shape, x.dtype)

    def forward(part):
        # (1 + tanh(x / 2)) / 2 is the same function and cannot overflow.
        out = xp.tanh(x[part] * 0.5, out=y[part])
        xp.add(out, 1, out=out)
        xp.multiply(out, 0.5, out=out)

    each_item(xp, x, forward)

    def backward(gy):
        return gy * y * (1 - y)

    return y, backward
