"""Pooling: one number for each window of the image."""

import math

from .. import checks
from ..operation import op
from .common import output_size, select

__all__ = ["avg_pool2d", "max_pool2d"]


def _shifts(a, axis, size, stride, positions):
    """`size` views of a; view k holds the k-th number of every window along one axis."""
    return [a[(slice(None),) * axis + (slice(k, k + stride * positions, stride),)]
            for k in range(size)]


def _largest(xp, views, out, which):
    """The largest of the views, and which of them it was: of equal ones, the first.

    NaN counts as infinity when it comes to which, and makes the largest NaN.
    """
    largest = views[0]
    for view in views[1:] or views:
        largest = xp.maximum(largest, view, out=out)
    # Which it was: as many as come before it, all of them smaller.
    top = xp.fmin(out, math.inf, out=xp.empty(out.shape, out.dtype))
    smaller = xp.less(views[0], top, out=which.view(bool))
    for view in views[1:-1]:
        too = xp.less(view, top, out=xp.empty(out.shape, bool))
        smaller = xp.logical_and(smaller, too, out=too)
        xp.add(which, smaller, out=which)


def _give_back(xp, gy, which, gviews, stride):
    """Give gy to that one of the gviews, which hold zeros, that was the largest."""
    hit, given = xp.empty(gy.shape, bool), xp.empty(gy.shape, gy.dtype)
    for k, gview in enumerate(gviews):
        xp.equal(which, k, out=hit)
        if k < stride:  # no view before it has written there
            select(xp, hit, gy, out=gview)
        else:
            xp.add(gview, select(xp, hit, gy, out=given), out=gview)


@op
def max_pool2d(xp, x, *, size, stride):
    """The largest number of each window; windows overlap if stride < size.

    x: (N, H, W, C) -> y: (N, OH, OW, C), OH = (H - size) // stride + 1; size at most 255.
    First down the rows, then across the columns: 2 * size steps instead of size * size. Of equal
    winners the gradient goes to the leftmost, and in its column to the uppermost.
    Keeps which number won, a byte each: neither x nor y (a third less memory at full size).
    Paper: section 3.4 (size 3, stride 2).  Built in chapter 06.
    """
    size, stride = checks.pool2d("max_pool2d", x, size, stride, most=255)
    n, h, w, c = x.shape
    oh, ow = output_size("max_pool2d", (h, w), (size, size), stride)
    y = xp.empty((n, oh, ow, c), x.dtype)
    row, column = xp.empty((n, oh, w, c), xp.uint8), xp.empty((n, oh, ow, c), xp.uint8)
    scratch_bytes = 2 * x.nbytes // n

    def forward(part):
        best = xp.empty(row[part].shape, x.dtype)  # the largest down each column of a window
        _largest(xp, _shifts(x[part], 1, size, stride, oh), best, row[part])
        _largest(xp, _shifts(best, 2, size, stride, ow), y[part], column[part])

    xp.over_batch(forward, n, scratch_bytes)

    def backward(gy):
        gx = xp.empty((n, h, w, c), gy.dtype)

        def pull(part):
            gx[part] = 0
            gbest = xp.zeros(row[part].shape, gy.dtype)
            _give_back(xp, gy[part], column[part], _shifts(gbest, 2, size, stride, ow), stride)
            _give_back(xp, gbest, row[part], _shifts(gx[part], 1, size, stride, oh), stride)

        xp.over_batch(pull, n, scratch_bytes)
        return gx

    return y, backward


@op
def avg_pool2d(xp, x, *, size, stride):
    """The mean of each window.

    x: (N, H, W, C) -> y: (N, OH, OW, C), OH = (H - size) // stride + 1.  Keeps nothing.
    After LeCun et al. 1998 (size 2, stride 2), without its trained gain.  Built in chapter 07.
    """
    size, stride = checks.pool2d("avg_pool2d", x, size, stride)
    (n, h, w, c), share = x.shape, 1 / size**2
    oh, ow = output_size("avg_pool2d", (h, w), (size, size), stride)
    y, part = xp.zeros((n, oh, ow, c), x.dtype), xp.empty((n, oh, ow, c), x.dtype)

    def windows(a):
        """size * size views (N, OH, OW, C) of a; view k holds number k of every window."""
        return [view for rows in _shifts(a, 1, size, stride, oh)
                for view in _shifts(rows, 2, size, stride, ow)]

    for window in windows(x):
        xp.add(y, xp.multiply(window, share, out=part), out=y)

    def backward(gy):
        gx, each = xp.zeros((n, h, w, c), gy.dtype), gy * share
        for gwindow in windows(gx):
            xp.add(gwindow, each, out=gwindow)
        return gx

    return y, backward
