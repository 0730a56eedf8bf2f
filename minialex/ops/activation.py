"""Nonlinearities, one number at a time."""

from ..operation import op
from .common import each_item, select

__all__ = ["relu", "sigmoid", "tanh"]


@op
def relu(xp, x):
    """max(x, 0); the gradient at 0 is 0, at NaN it passes.  Keeps y.

    Paper: section 3.1.  Built in chapter 06.
    """
    y = xp.empty(x.shape, x.dtype)
    each_item(xp, x, lambda part: xp.maximum(x[part], 0, out=y[part]))

    def backward(gy):
        gx = xp.empty(y.shape, gy.dtype)
        each_item(xp, y, lambda part: select(xp, y[part] != 0, gy[part], gx[part]))
        return gx

    return y, backward


@op
def tanh(xp, x):
    """Hyperbolic tangent, in (-1, 1).  Keeps y.  Paper: section 3.1.  Built in chapter 06."""
    y = xp.empty(x.shape, x.dtype)
    each_item(xp, x, lambda part: xp.tanh(x[part], out=y[part]))
    return y, lambda gy: gy * (1 - y * y)


@op
def sigmoid(xp, x):
    """1 / (1 + exp(-x)), in (0, 1).  Keeps exp(-|x|).  Paper: section 3.1.  Chapter 06."""
    # For x < 0 the same as exp(x) / (1 + exp(x)): no exponential overflows. And the slope is
    # y (1 - y), but that difference has no digits left where y is close to 1.
    small = xp.exp(-abs(x))
    return xp.exp(xp.minimum(x, 0)) / (1 + small), lambda gy: gy * (small / (1 + small) ** 2)
