"""Nonlinearities, one number at a time."""

from ..operation import op
from .common import in_parts, select

__all__ = ["relu", "sigmoid", "tanh"]


@op
def relu(xp, x):
    """max(x, 0); the gradient at 0 is 0, at NaN it passes.  Keeps y.

    Paper: section 3.1.  Built in chapter 06.
    """
    y = in_parts(xp, x.shape, x.dtype, lambda part, out: xp.maximum(x[part], 0, out=out))
    return y, lambda gy: in_parts(
        xp, y.shape, gy.dtype, lambda part, out: select(xp, y[part] != 0, gy[part], out))


@op
def tanh(xp, x):
    """Hyperbolic tangent, in (-1, 1).  Keeps y.  Paper: section 3.1.  Built in chapter 06."""
    y = in_parts(xp, x.shape, x.dtype, lambda part, out: xp.tanh(x[part], out=out))
    return y, lambda gy: in_parts(xp, y.shape, gy.dtype, lambda part, out: xp.multiply(
        gy[part], xp.subtract(1, xp.square(y[part], out=out), out=out), out=out))


@op
def sigmoid(xp, x):
    """1 / (1 + exp(-x)), in (0, 1).  Keeps exp(-|x|).  Paper: section 3.1.  Chapter 06."""
    # For x < 0 the same as exp(x) / (1 + exp(x)): no exponential overflows. And the slope is
    # y (1 - y), but that difference has no digits left where y is close to 1.
    small = xp.exp(-abs(x))
    return xp.exp(xp.minimum(x, 0)) / (1 + small), lambda gy: gy * (small / (1 + small) ** 2)
