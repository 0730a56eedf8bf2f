"""What several ops share: checks, output sizes, work in slices, sums, and masks."""

import math

from ..errors import InputError

__all__ = ["check_axes", "check_images", "each_item", "output_size", "padding", "select",
           "sum_over", "whole"]

LONG = 512  # so many additions one after another lose no more than a digit or two of float32


def check_images(op, x):
    """x must be a batch of at least one image, (N, H, W, C)."""
    if x.ndim != 4:
        raise InputError(f"{op}: x has shape {x.shape}; reshape it to (N, H, W, C), grey: C = 1")
    if x.shape[0] == 0:
        raise InputError(f"{op}: x has shape {x.shape}, an empty batch; give at least one image")


def check_axes(op, x, axis):
    """`axis` (an int, a tuple, or None for all) as a list of numbers from 0 on."""
    given = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = sorted({a % x.ndim for a in given if -x.ndim <= a < x.ndim})
    if len(axes) < len(given):
        raise InputError(f"{op}: axis is {axis} but x has shape {x.shape}; name each axis once, "
                         f"{-x.ndim} .. {x.ndim - 1}")
    return axes


def whole(op, name, value, least=1):
    """An option that counts something."""
    if not isinstance(value, int) or value < least:
        raise InputError(f"{op}: {name} is {value!r}; it must be a whole number, at least {least}")
    return value


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


def sum_over(xp, a, axes, dtype=None):
    """Sum over `axes`, which keep size 1; dtype: what to add in, if not in a's type.

    Each addition to a long sum rounds it: 2 million equal rows of float32, added one after another,
    are 1.5 % off. So one axis is summed at a time, and a long one in about sqrt(n) pieces; and on a
    GPU many thread blocks have a piece to add, where one sum over all rows would keep a few busy.
    """
    if len(axes) == a.ndim > 1 and a.flags.c_contiguous:
        return sum_over(xp, a.reshape(-1), [0], dtype).reshape((1,) * a.ndim)
    for axis in reversed(axes):  # the last first: its numbers lie closest together
        n, size = a.shape[axis], math.isqrt(a.shape[axis])
        if n > LONG:
            rows = xp.moveaxis(a, axis, 0)
            rest, whole = rows[: n % size], rows[n % size :]
            pieces = whole.reshape(n // size, size, *rows.shape[1:]).sum(axis=1, dtype=dtype)
            a = xp.expand_dims(pieces.sum(axis=0) + rest.sum(axis=0, dtype=dtype), axis)
        else:
            a = a.sum(axis=axis, dtype=dtype, keepdims=True)
    return a


def select(xp, mask, a, out):
    """out = a where mask is True, 0 elsewhere, whatever a is there.

    0 times infinity is NaN, so a mask must not multiply numbers. It multiplies their bits, read as
    integers: then 0 times anything is 0. (`xp.where` is ten times slower on a CPU, measured.)
    """
    bits = f"i{a.itemsize}"
    xp.multiply(a.view(bits), mask, out=out.view(bits))
    return out
