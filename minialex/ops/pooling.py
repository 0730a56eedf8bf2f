"""Pooling: one number for each window of the image."""

from __future__ import annotations

from ..tensor import op
from .common import check_images, output_size, positive

__all__ = ["avg_pool2d", "max_pool2d"]


def _windows(x, size, stride, oh, ow):
    """size * size shifted views (N, OH, OW, C) of x; view k holds number k of every window."""
    for i in range(size):
        for j in range(size):
            yield x[:, i : i + stride * oh : stride, j : j + stride * ow : stride]


def _prepare(op, x, size, stride):
    check_images(op, x)
    size, stride = positive(op, "size", size), positive(op, "stride", stride)
    oh, ow = output_size(op, x.shape[1:3], (size, size), stride)
    n, _, _, c = x.shape
    return (n, oh, ow, c), 2 * x.nbytes // n  # the part of x and of y, or their gradients


@op
def max_pool2d(xp, x, *, size, stride):
    """The largest number of each window; windows overlap if stride < size.

    x: (N, H, W, C) -> y: (N, OH, OW, C), OH = (H - size) // stride + 1.
    The gradient goes to the first of equal winners.  Keeps x, y.
    Paper: section 3.4 (size 3, stride 2).  Built in chapter 06.
    """
    shape, scratch_bytes = _prepare("max_pool2d", x, size, stride)
    _, oh, ow, _ = shape
    y = xp.empty(shape, x.dtype)

    def forward(part):
        first, *others = _windows(x[part], size, stride, oh, ow)
        best = y[part]
        best[...] = first
        for window in others:
            xp.maximum(best, window, out=best)

    xp.over_batch(forward, shape[0], scratch_bytes)

    def backward(gy):
        gx = xp.empty(x.shape, gy.dtype)

        def pull(part):
            gx[part] = 0
            best, left = y[part], xp.empty(y[part].shape, gy.dtype)
            left[...] = gy[part]  # what has not found its winner yet
            hit = xp.empty(left.shape, bool)
            taken = xp.empty(left.shape, gy.dtype)
            for window, gwindow in zip(_windows(x[part], size, stride, oh, ow),
                                       _windows(gx[part], size, stride, oh, ow), strict=True):
                xp.equal(window, best, out=hit)
                xp.multiply(left, hit, out=taken)
                xp.add(gwindow, taken, out=gwindow)
                xp.subtract(left, taken, out=left)

        xp.over_batch(pull, shape[0], scratch_bytes)
        return gx

    return y, backward


@op
def avg_pool2d(xp, x, *, size, stride):
    """The mean of each window.

    x: (N, H, W, C) -> y: (N, OH, OW, C), OH = (H - size) // stride + 1.  Keeps nothing.
    After LeCun et al. 1998 (size 2, stride 2), without its trained gain.  Built in chapter 07.
    """
    shape, scratch_bytes = _prepare("avg_pool2d", x, size, stride)
    _, oh, ow, _ = shape
    share = 1 / size**2
    y = xp.zeros(shape, x.dtype)

    def forward(part):
        total = y[part]
        for window in _windows(x[part], size, stride, oh, ow):
            xp.add(total, window, out=total)
        xp.multiply(total, share, out=total)

    xp.over_batch(forward, shape[0], scratch_bytes)
    image = x.shape[1:]

    def backward(gy):
        gx = xp.zeros((shape[0], *image), gy.dtype)

        def pull(part):
            each = gy[part] * share
            for gwindow in _windows(gx[part], size, stride, oh, ow):
                xp.add(gwindow, each, out=gwindow)

        xp.over_batch(pull, shape[0], scratch_bytes)
        return gx

    return y, backward
