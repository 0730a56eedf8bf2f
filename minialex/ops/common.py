"""What several ops share: checks of their inputs, output sizes, and work in slices."""

import math
from numbers import Integral

from ..errors import InputError

__all__ = ["check_images", "each_item", "output_size", "padding", "whole"]


def check_images(op, x):
    """x must be a batch of at least one image, (N, H, W, C)."""
    if x.ndim != 4:
        raise InputError(f"{op}: x has shape {x.shape}; reshape it to (N, H, W, C), grey: C = 1")
    if x.shape[0] == 0:
        raise InputError(f"{op}: x has shape {x.shape}, an empty batch; give at least one image")


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
