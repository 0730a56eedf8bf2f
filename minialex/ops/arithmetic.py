"""Element by element, with broadcasting; and sums.

The log of 0 and a number divided by 0 are infinite, and so is a result beyond the largest number of
its type. NumPy warns of all three, a GPU of none.
"""

import math

from ..errors import InputError
from ..tensor import op
from .common import check_axes, sum_over

__all__ = ["add", "div", "exp", "log", "mean", "mul", "neg", "power", "sub", "sum"]

Axis = int | tuple[int, ...] | None


def _fit(xp, g, shape):
    """The gradient of an operand of `shape` that was broadcast to g's shape.

    An entry that was used many times gets the sum over its uses; a plain number (shape None) has
    no gradient.
    """
    if shape is None or g.shape == shape:
        return None if shape is None else g
    extra = g.ndim - len(shape)
    repeated = [extra + axis for axis, size in enumerate(shape) if size == 1]
    return sum_over(xp, g, [*range(extra), *repeated], "float64").astype(g.dtype).reshape(shape)


@op(methods=["__add__", "__radd__"])
def add(xp, a, b):
    """a + b, broadcast.  Keeps nothing.  Built in chapter 02."""
    shape_a, shape_b = getattr(a, "shape", None), getattr(b, "shape", None)
    return a + b, lambda gy: (_fit(xp, gy, shape_a), _fit(xp, gy, shape_b))


@op(methods=["__sub__", "__rsub__"])
def sub(xp, a, b):
    """a - b, broadcast.  Keeps nothing.  Built in chapter 02."""
    shape_a, shape_b = getattr(a, "shape", None), getattr(b, "shape", None)
    return a - b, lambda gy: (_fit(xp, gy, shape_a), _fit(xp, -gy, shape_b))


@op(methods=["__mul__", "__rmul__"])
def mul(xp, a, b):
    """a * b, broadcast.  Keeps a, b.  Built in chapter 02."""
    shape_a, shape_b = getattr(a, "shape", None), getattr(b, "shape", None)
    return a * b, lambda gy: (_fit(xp, gy * b, shape_a), _fit(xp, gy * a, shape_b))


@op(methods=["__truediv__", "__rtruediv__"])
def div(xp, a, b):
    """a / b, broadcast.  Keeps y, b.  Built in chapter 02."""
    shape_a, shape_b = getattr(a, "shape", None), getattr(b, "shape", None)
    y = a / b
    # Not -gy a / b**2: the square leaves the range of float32 from 1e-23 down, from 1e19 up.
    return y, lambda gy: (_fit(xp, gy / b, shape_a), _fit(xp, gy * y / -b, shape_b))


@op(methods=["__neg__"])
def neg(xp, a):
    """-a.  Keeps nothing.  Built in chapter 02."""
    return -a, lambda gy: -gy


@op(methods=["__pow__"])
def power(xp, a, exponent: float):
    """a ** exponent for a number `exponent`.  Keeps a.  Built in chapter 02.

    Between exponents 0 and 1 the slope at 0 is infinite; the gradient is 0 where gy is 0.
    """
    exponent = exponent if isinstance(exponent, int) else float(exponent)  # np.float64 promotes

    def backward(gy):
        if exponent == 0:
            return xp.zeros(gy.shape, gy.dtype)  # also where a or gy is infinite
        if not 0 < exponent < 1:
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


@op
def sum(xp, x, axis: Axis = None, keepdims: bool = False):
    """Sum over `axis` (an int, a tuple, or None for all).  Keeps nothing.  Built in chapter 02.

    Floats are added in float64, so that many numbers lose no digits, and large ones may cancel.
    """
    shape, axes = x.shape, check_axes("sum", x, axis)
    wide = "float64" if x.dtype.kind == "f" else None
    total = sum_over(xp, x, axes, wide)
    kept = total.shape  # broadcasts back to x's

    y = (total if keepdims else total.squeeze(tuple(axes))).astype(x.dtype if wide else total.dtype)
    return y, lambda gy: xp.broadcast_to(gy.reshape(kept), shape)


@op
def mean(xp, x, axis: Axis = None, keepdims: bool = False):
    """Mean over `axis` (an int, a tuple, or None for all).  Keeps nothing.  Built in chapter 02."""
    if x.size == 0:
        raise InputError(f"mean: x has shape {x.shape}; give it at least one number")
    # Smaller by a power of two, which is exact: the sum of the largest numbers stays in range.
    axes, scale = tuple(check_axes("mean", x, axis)), 0.5 ** x.size.bit_length()
    scaled = xp.multiply(x, scale, dtype="float64")
    total, sum_backward = sum.on_arrays(xp, scaled, axis=axes, keepdims=keepdims)
    share = total.size / x.size
    y = (total * (share / scale)).astype(x.dtype if x.dtype.kind == "f" else "float64")
    return y, lambda gy: sum_backward(gy * share)
