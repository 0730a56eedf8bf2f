"""Element by element, with broadcasting; and sums.

The log of 0 and a number divided by 0 are infinite, and so is a result beyond the largest number of
its type. NumPy warns of all three; a GPU warns of none.
"""

import math

from .. import checks
from ..operation import op
from .common import sum_wide

__all__ = ["add", "div", "exp", "log", "mean", "mul", "neg", "power", "sub", "sum"]


def _fit(g, shape):
    """The gradient of an operand of `shape` that was broadcast to g's shape.

    An entry that was used many times gets the sum over its uses; a plain number (shape None) has
    no gradient.
    """
    if shape is None or g.shape == shape:
        return None if shape is None else g
    extra = g.ndim - len(shape)
    repeated = [extra + axis for axis, size in enumerate(shape) if size == 1]
    return sum_wide(g, (*range(extra), *repeated)).reshape(shape)


@op(numbers=True, operators=("__add__", "__radd__"))
def add(xp, a, b):
    """a + b, broadcast.  Keeps nothing.  Built in chapter 02."""
    shape_a, shape_b = checks.broadcast("add", a, b)
    return a + b, lambda gy: (_fit(gy, shape_a), _fit(gy, shape_b))


@op(numbers=True, operators=("__sub__", "__rsub__"))
def sub(xp, a, b):
    """a - b, broadcast.  Keeps nothing.  Built in chapter 02."""
    shape_a, shape_b = checks.broadcast("sub", a, b)
    return a - b, lambda gy: (_fit(gy, shape_a), _fit(-gy, shape_b))


@op(numbers=True, operators=("__mul__", "__rmul__"))
def mul(xp, a, b):
    """a * b, broadcast.  Keeps a, b.  Built in chapter 02."""
    shape_a, shape_b = checks.broadcast("mul", a, b)
    return a * b, lambda gy: (_fit(gy * b, shape_a), _fit(gy * a, shape_b))


@op(numbers=True, operators=("__truediv__", "__rtruediv__"))
def div(xp, a, b):
    """a / b, broadcast.  Keeps y, b.  Built in chapter 02."""
    shape_a, shape_b = checks.broadcast("div", a, b)
    y = a / b

    def backward(gy):
        # Not -gy a / b**2: the square leaves the range of float32 from 1e-23 down, from 1e19 up.
        # Nor may gy y / b on the way: so divide first where gy and b are both large or both small.
        first = (abs(gy) > 1) == (abs(b) > 1)
        gb = -gy / xp.where(first, b, 1) * y / xp.where(first, 1, b)
        return _fit(gy / b, shape_a), _fit(gb, shape_b)

    return y, backward


@op(operators=("__neg__",))
def neg(xp, a):
    """-a.  Keeps nothing.  Built in chapter 02."""
    return -a, lambda gy: -gy


@op(static=("exponent",), operators=("__pow__", "__rpow__"))
def power(xp, a, exponent):
    """a ** exponent for a number `exponent`.  Keeps a.  Built in chapter 02.

    For a tensor as exponent, a > 0: exp(exponent * log(a)).
    Between exponents 0 and 1 the slope at 0 is infinite; the gradient is 0 where gy is 0.
    """
    exponent = checks.number("power", "exponent", exponent)

    def backward(gy):
        if exponent == 0:
            return xp.zeros(gy.shape, gy.dtype)  # also where a or gy is infinite
        if exponent < 0:  # a ** (exponent - 1) may be infinite where the gradient is not
            return gy / a * a**exponent * exponent
        if exponent >= 1:
            return gy * a ** (exponent - 1) * exponent
        steep = a == 0
        slope = (a + steep) ** (exponent - 1) * exponent  # 1 in place of 0
        return xp.where(steep & (gy != 0), xp.copysign(math.inf, gy), gy * slope)

    return a**exponent, backward


@op
def exp(xp, x):
    """e ** x.  Keeps y.  Built in chapter 02."""
    y = xp.exp(x)
    return y, lambda gy: gy * y


@op
def log(xp, x):
    """Natural logarithm of x > 0.  Keeps x.  Built in chapter 02."""
    return xp.log(x), lambda gy: gy / x


@op(static=("axis", "keepdims"))
def sum(xp, x, axis=None, keepdims=False):
    """Sum over `axis` (an int, a tuple, or None for all).  Keeps nothing.  Built in chapter 02.

    Floats are added in float64, so that many numbers lose no digits, and large ones may cancel.
    """
    shape, axes = x.shape, checks.axes("sum", x, axis)
    total = sum_wide(x, axes)
    kept = total.shape  # broadcasts back to x's

    y = total if keepdims else total.squeeze(axes)
    return y, lambda gy: xp.broadcast_to(gy.reshape(kept), shape)


@op(static=("axis", "keepdims"))
def mean(xp, x, axis=None, keepdims=False):
    """Mean over `axis` (an int, a tuple, or None for all).  Keeps nothing.  Built in chapter 02."""
    checks.filled("mean", x)
    shape, axes = x.shape, checks.axes("mean", x, axis)
    total = x.sum(axis=axes, keepdims=True, dtype="float64")  # as in sum
    kept, count = total.shape, x.size / total.size

    y = (total / count).astype(x.dtype if x.dtype.kind == "f" else "float64")
    y = y if keepdims else y.squeeze(axes)
    return y, lambda gy: xp.broadcast_to(gy.reshape(kept) * (1 / count), shape)
