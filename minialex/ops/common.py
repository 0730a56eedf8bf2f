"""What several ops share: output sizes, work in slices, sums, and masks."""

from .. import checks

__all__ = ["in_parts", "output_size", "select", "sum_wide"]


def output_size(op, image, window, stride, pad=(0, 0, 0, 0)):
    """Rows and columns of window positions that fit into the padded image, counted in full."""
    h, w = image[0] + pad[0] + pad[1], image[1] + pad[2] + pad[3]
    checks.window(op, (h, w), window)
    return (h - window[0]) // stride + 1, (w - window[1]) // stride + 1


def in_parts(xp, shape, dtype, fn, scratch_bytes=None):
    """A new array: fn(part, out) fills a slice of the first axis, the threads sharing the work.

    scratch_bytes: what fn needs for one item, as in `xp.over_batch`; by default twice the result.
    """
    y = xp.empty(shape, dtype)
    if scratch_bytes is None and (y.ndim == 0 or y.nbytes < 2**13):  # not worth a thread
        fn(..., y)
    else:
        each = 2 * y.nbytes // max(len(y), 1) if scratch_bytes is None else scratch_bytes
        xp.over_batch(lambda part: fn(part, y[part]), len(y), each)
    return y


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
