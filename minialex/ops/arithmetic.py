"""Element by element, with broadcasting; and sums."""

from __future__ import annotations

from typing import Any

from ..tensor import op

__all__ = ["add", "div", "exp", "log", "mean", "mul", "neg", "power", "sub", "sum"]

Axis = int | tuple[int, ...] | None


def _shape(operand: Any) -> tuple[int, ...] | None:
    """None for a plain number, which has no gradient."""
    return operand.shape if hasattr(operand, "shape") else None


def _fit(g: Any, shape: tuple[int, ...] | None) -> Any:
    """The gradient of an operand of `shape` that was broadcast to g's shape.

    An entry that was used many times gets the sum over its uses.
    """
    if shape is None or g.shape == shape:
        return None if shape is None else g
    extra = g.ndim - len(shape)
    repeated = [extra + axis for axis, size in enumerate(shape) if size == 1]
    return g.sum(axis=(*range(extra), *repeated), keepdims=True).reshape(shape)


@op(methods=["__add__", "__radd__"])
def add(xp, a, b):
    """a + b, broadcast.  Keeps nothing.  Built in chapter 02."""
    shape_a, shape_b = _shape(a), _shape(b)

    def backward(gy):
        return _fit(gy, shape_a), _fit(gy, shape_b)

    return a + b, backward


@op(methods=["__sub__", "__rsub__"])
def sub(xp, a, b):
    """a - b, broadcast.  Keeps nothing.  Built in chapter 02."""
    shape_a, shape_b = _shape(a), _shape(b)

    def backward(gy):
        return _fit(gy, shape_a), _fit(-gy, shape_b)

    return a - b, backward


@op(methods=["__mul__", "__rmul__"])
def mul(xp, a, b):
    """a * b, broadcast.  Keeps a, b.  Built in chapter 02."""

    def backward(gy):
        return _fit(gy * b, _shape(a)), _fit(gy * a, _shape(b))

    return a * b, backward


@op(methods=["__truediv__", "__rtruediv__"])
def div(xp, a, b):
    """a / b, broadcast.  Keeps a, b.  Built in chapter 02."""

    def backward(gy):
        return _fit(gy / b, _shape(a)), _fit(-gy * a / (b * b), _shape(b))

    return a / b, backward


@op(methods=["__neg__"])
def neg(xp, a):
    """-a.  Keeps nothing.  Built in chapter 02."""

    def backward(gy):
        return -gy

    return -a, backward


@op(methods=["__pow__"])
def power(xp, a, exponent: float):
    """a ** exponent for a number `exponent`.  Keeps a.  Built in chapter 02."""
    if not isinstance(exponent, (int, float)):
        raise TypeError(f"power: exponent is a {type(exponent).__name__}; it must be a number "
                        "(for a tensor of exponents b, use exp(b * log(a)))")

    def backward(gy):
        return gy * exponent * a ** (exponent - 1)

    return a**exponent, backward


@op
def exp(xp, x):
    """e ** x.  Keeps y.  Built in chapter 02."""
    y = xp.exp(x)

    def backward(gy):
        return gy * y

    return y, backward


@op
def log(xp, x):
    """Natural logarithm of x > 0.  Keeps x.  Built in chapter 02."""

    def backward(gy):
        return gy / x

    return xp.log(x), backward


@op
def sum(xp, x, axis: Axis = None, keepdims: bool = False):
    """Sum over `axis` (an int, a tuple, or None for all).  Keeps nothing.  Built in chapter 02."""
    shape = x.shape
    kept = x.sum(axis=axis, keepdims=True)  # its shape broadcasts back to x's

    def backward(gy):
        return xp.broadcast_to(gy.reshape(kept.shape), shape)

    return kept if keepdims else x.sum(axis=axis), backward


@op
def mean(xp, x, axis: Axis = None, keepdims: bool = False):
    """Mean over `axis` (an int, a tuple, or None for all).  Keeps nothing.  Built in chapter 02."""
    if x.size == 0:
        raise ValueError(f"mean: x has shape {x.shape} and holds no numbers; "
                         "give at least one element")
    total, sum_backward = sum.on_arrays(xp, x, axis=axis, keepdims=keepdims)
    share = total.size / x.size

    def backward(gy):
        return sum_backward(gy * share)

    return total * share, backward
