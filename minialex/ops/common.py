"""What several ops share: checks of their inputs, output sizes, and work in slices."""

import operator

from ..errors import InputError

__all__ = ["check_images", "each_item", "output_size", "padding", "whole"]


def check_images(op, x):
    """x must be a batch of at least one image, (N, H, W, C)."""
    if x.ndim != 4:
        raise InputError(f"{op}: x has shape {x.shape}; reshape it to (N, H, W, C), grey: C = 1")
    if x.shape[0] == 0:
        raise InputError(f"{op}: x has shape {x.shape}, an empty batch; give at least one image")


def whole(op, name, value, least=1, most=None):
    """An option that counts something, as an int; NumPy's integers will do."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or not least <= number <= (number if most is None else most):
        limit = "" if most is None else f" and at most {most}"
        raise InputError(f"{op}: {name} is {value!r}; it must be a whole number, at least {least}"
                         f"{limit}")
    return number


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
