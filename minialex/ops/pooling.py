"""Pooling: one number for each window of the image."""

import math

from ..operation import op
from .common import check_images, output_size, whole

__all__ = ["avg_pool2d", "max_pool2d"]


def _prepare(op, x, size, stride, most=math.inf):
    check_images(op, x)
    size, stride = whole(op, "size", size, most=most), whole(op, "stride", stride)
    oh, ow = output_size(op, x.shape[1:3], (size, size), stride)
    n, _, _, c = x.shape
    return (n, oh, ow, c), 2 * x.nbytes // n  # the part of x and of y, or their gradients


def _shifts(a, axis, size, stride, positions):
    """`size` views of a; view k holds the k-th number of every window along one axis."""
    return [a[(slice(None),) * axis + (slice(k, k + stride * positions, stride),)]
            for k in range(size)]


def _largest(xp, views, out, which):
    """The largest of the views, and which of them it was: of equal ones, the first."""
    better = xp.empty(out.shape, bool)
    number = better.view(xp.uint8)  # the same memory, as 0 and 1
    out[...], which[...] = views[0], 0
    for k, view in enumerate(views[1:], 1):
        xp.greater(view, out, out=better)
        xp.maximum(out, view, out=out)
        xp.maximum(which, xp.multiply(number, k, out=number), out=which)


def _give_back(xp, gy, which, gviews):
    """Add gy to that one of the gviews which was the largest."""
    hit, given = xp.empty(gy.shape, bool), xp.empty(gy.shape, gy.dtype)
    for k, gview in enumerate(gviews):
        xp.multiply(gy, xp.equal(which, k, out=hit), out=given)
        xp.add(gview, given, out=gview)


@op
def max_pool2d(xp, x, *, size, stride):
    """The largest number of each window; windows overlap if stride < size.

    x: (N, H, W, C) -> y: (N, OH, OW, C), OH = (H - size) // stride + 1; size at most 255.
    First down the rows, then across the columns: 2 * size steps instead of size * size. Of equal
    winners the gradient goes to the leftmost, and in its column to the uppermost.
    Keeps which number won, a byte each: neither x nor y (a third less memory at full size).
    Paper: section 3.4 (size 3, stride 2).  Built in chapter 06.
    """
    (n, oh, ow, c), scratch_bytes = _prepare("max_pool2d", x, size, stride, most=255)
    image, y = x.shape, xp.empty((n, oh, ow, c), x.dtype)
    row, column = xp.empty((n, oh, x.shape[2], c), xp.uint8), xp.empty(y.shape, xp.uint8)

    def forward(part):
        best = xp.empty(row[part].shape, x.dtype)  # the largest down each column of a window
        _largest(xp, _shifts(x[part], 1, size, stride, oh), best, row[part])
        _largest(xp, _shifts(best, 2, size, stride, ow), y[part], column[part])

    xp.over_batch(forward, n, scratch_bytes)

    def backward(gy):
        gx = xp.empty(image, gy.dtype)

        def pull(part):
            gx[part] = 0
            gbest = xp.zeros(row[part].shape, gy.dtype)
            _give_back(xp, gy[part], column[part], _shifts(gbest, 2, size, stride, ow))
            _give_back(xp, gbest, row[part], _shifts(gx[part], 1, size, stride, oh))

        xp.over_batch(pull, n, scratch_bytes)
        return gx

    return y, backward


@op
def avg_pool2d(xp, x, *, size, stride):
    """The mean of each window.

    x: (N, H, W, C) -> y: (N, OH, OW, C), OH = (H - size) // stride + 1.  Keeps nothing.
    After LeCun et al. 1998 (size 2, stride 2), without its trained gain.  Built in chapter 07.
    """
    (n, oh, ow, c), _ = _prepare("avg_pool2d", x, size, stride)
    image, share = x.shape, 1 / size**2
    y = xp.zeros((n, oh, ow, c), x.dtype)

    def windows(a):
        """size * size views (N, OH, OW, C) of a; view k holds number k of every window."""
        return [view for rows in _shifts(a, 1, size, stride, oh)
                for view in _shifts(rows, 2, size, stride, ow)]

    for window in windows(x):
        xp.add(y, window, out=y)
    xp.multiply(y, share, out=y)

    def backward(gy):
        gx, each = xp.zeros(image, gy.dtype), gy * share
        for gwindow in windows(gx):
            xp.add(gwindow, each, out=gwindow)
        return gx

    return y, backward
