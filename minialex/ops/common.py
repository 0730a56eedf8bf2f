"""What several ops share: checks, output sizes, work in slices, sums, and masks."""

import math
from numbers import Integral

from ..errors import InputError

__all__ = ["check_axes", "check_images", "each_item", "output_size", "padding", "select",
           "sum_wide", "whole"]


def check_images(op, x):
    """x must be a batch of at least one image, (N, H, W, C)."""
    if x.ndim != 4:
        raise InputError(f"{op}: x has shape {x.shape}; reshape it to (N, H, W, C), grey: C = 1")
    if x.shape[0] == 0:
        raise InputError(f"{op}: x has shape {x.shape}, an empty batch; give at least one image")


def check_axes(op, x, axis):
    """`axis` (an int, a tuple, or None for all) as a tuple of numbers from 0 on."""
    given = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = {a % x.ndim for a in given if -x.ndim <= a < x.ndim}
    if len(axes) < len(given):
        raise InputError(f"{op}: axis is {axis} but x has shape {x.shape}; name each axis once, "
                         f"{-x.ndim} .. {x.ndim - 1}")
    return tuple(axes)


def whole(op, name, value, least=1, most=math.inf):
    """An option that counts something, as an int; NumPy's integers will do."""
    if not isinstance(value, Integral) or isinstance(value, bool) or not least <= value <= most:
        limits = f"at least {least}" + (f" and at most {most}" if most < math.inf else "")
        raise InputError(f"{op}: {name} is {value!r}; it must be a whole number, {limits}")
    return int(value)


def padding(op, pad):
    """`pad` on every side, or (above, below, left, right)."""
    sides = pad if isinstance(pad, tuple) else (pad,) * 4
    if len(sides) != 4:
        raise InputError(f"{op}: pad is {pad!r}; give one number or (above, below, left, right)")
    return tuple(whole(op, "pad", side, least=0) for side in sides)


def output_size(op, image, window, stride, pad=(0, 0, 0, 0)):
    """Rows and columns of window positions that fit into the padded image, counted in full."""
    h, w = image[0] + pad[0] + pad[1], image[1] + pad[2] + pad[3]
    if window[0] > h or window[1] > w:
        raise InputError(f"{op}: a window of {window[0]}x{window[1]} does not fit into an image of "
                         f"{h}x{w} (with padding); use a smaller window or more padding")
    return (h - window[0]) // stride + 1, (w - window[1]) // stride + 1


def each_item(xp, like, fn):
    """Call `fn(part)` for slices of the first axis of `like`, the threads sharing the work."""
    if like.ndim == 0 or like.nbytes < 2**13:  # not worth a thread, which costs 10 microseconds
        fn(...)
    else:
        xp.over_batch(fn, len(like), 2 * like.nbytes // max(len(like), 1))


def sum_wide(a, axes):
    """Sum over `axes`, which keep size 1. Floats are added in float64, and keep their type."""
    if a.dtype.kind != "f":
        return a.sum(axis=axes, keepdims=True)
    return a.sum(axis=axes, keepdims=True, dtype="float64").astype(a.dtype)


def select(xp, mask, a, out):
    """out = a where mask is True, 0 elsewhere, whatever a is there.

    0 times infinity is NaN, so a mask must not multiply numbers. It multiplies their bits, read as
    integers: then 0 times anything is 0. (`xp.where` takes 20 times as long on a CPU, measured.)
    """
    bits = f"i{a.itemsize}"
    xp.multiply(a.view(bits), mask, out=out.view(bits))
    return out
