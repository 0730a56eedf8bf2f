"""Element by element, with broadcasting; and sums."""

from ..errors import InputError
from ..operation import op

__all__ = ["add", "div", "exp", "log", "mean", "mul", "neg", "power", "sub", "sum"]


def _shapes(op, a, b):
    """The shapes of two operands, None for a plain number; they must broadcast."""
    shape_a, shape_b = getattr(a, "shape", None), getattr(b, "shape", None)
    if shape_a != shape_b and None not in (shape_a, shape_b):
        ends = zip(reversed(shape_a), reversed(shape_b), strict=False)
        if any(m != n and 1 not in (m, n) for m, n in ends):
            raise InputError(f"{op}: a {shape_a} and b {shape_b} do not broadcast; counted from "
                             "the last axis, sizes must be equal, or one of them 1")
    return shape_a, shape_b


def _fit(g, shape):
    """The gradient of an operand of `shape` that was broadcast to g's shape.

    An entry that was used many times gets the sum over its uses; a plain number (shape None) has
    no gradient.
    """
    if shape is None or g.shape == shape:
        return None if shape is None else g
    extra = g.ndim - len(shape)
    repeated = [extra + axis for axis, size in enumerate(shape) if size == 1]
    return g.sum(axis=(*range(extra), *repeated), keepdims=True).reshape(shape)


@op(numbers=True, operators=("__add__", "__radd__"))
def add(xp, a, b):
    """a + b, broadcast.  Keeps nothing.  Built in chapter 02."""
    shape_a, shape_b = _shapes("add", a, b)
    return a + b, lambda gy: (_fit(gy, shape_a), _fit(gy, shape_b))


@op(numbers=True, operators=("__sub__", "__rsub__"))
def sub(xp, a, b):
    """a - b, broadcast.  Keeps nothing.  Built in chapter 02."""
    shape_a, shape_b = _shapes("sub", a, b)
    return a - b, lambda gy: (_fit(gy, shape_a), _fit(-gy, shape_b))


@op(numbers=True, operators=("__mul__", "__rmul__"))
def mul(xp, a, b):
    """a * b, broadcast.  Keeps a, b.  Built in chapter 02."""
    shape_a, shape_b = _shapes("mul", a, b)
    return a * b, lambda gy: (_fit(gy * b, shape_a), _fit(gy * a, shape_b))


@op(numbers=True, operators=("__truediv__", "__rtruediv__"))
def div(xp, a, b):
    """a / b, broadcast.  Keeps a, b.  Built in chapter 02."""
    shape_a, shape_b = _shapes("div", a, b)
    return a / b, lambda gy: (_fit(gy / b, shape_a), _fit(-gy * a / (b * b), shape_b))


@op(operators=("__neg__",))
def neg(xp, a):
    """-a.  Keeps nothing.  Built in chapter 02."""
    return -a, lambda gy: -gy


@op(static=("exponent",), operators=("__pow__", "__rpow__"))
def power(xp, a, exponent):
    """a ** exponent for a number `exponent`.  Keeps a.  Built in chapter 02.

    For a tensor as exponent, a > 0: exp(exponent * log(a)).
    """
    exponent = exponent if isinstance(exponent, int) else float(exponent)  # np.float64 promotes
    return a**exponent, lambda gy: gy * exponent * a ** (exponent - 1)


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
    """Sum over `axis` (an int, a tuple, or None for all).  Keeps nothing.  Built in chapter 02."""
    shape = x.shape
    total = x.sum(axis=axis, keepdims=True)
    kept = total.shape  # broadcasts back to x's

    y = total if keepdims else total.squeeze(axis)
    return y, lambda gy: xp.broadcast_to(gy.reshape(kept), shape)


@op(static=("axis", "keepdims"))
def mean(xp, x, axis=None, keepdims=False):
    """Mean over `axis` (an int, a tuple, or None for all).  Keeps nothing.  Built in chapter 02."""
    if x.size == 0:
        raise InputError(f"mean: x has shape {x.shape}; give it at least one number")
    total, sum_backward = sum.on_arrays(xp, x, axis=axis, keepdims=keepdims)
    share = total.size / x.size
    return total * share, lambda gy: sum_backward(gy * share)
