"""What several ops share: output sizes, work in slices, sums, and masks."""

from .. import checks

__all__ = ["each_item", "output_size", "select", "sum_wide"]


def output_size(op, image, window, stride, pad=(0, 0, 0, 0)):
    """Rows and columns of window positions that fit into the padded image, counted in full."""
    h, w = image[0] + pad[0] + pad[1], image[1] + pad[2] + pad[3]
    checks.window(op, (h, w), window)
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
