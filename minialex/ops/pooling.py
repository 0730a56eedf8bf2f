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


def _largest(xp, views, out, after):
    """The largest of the views, and how many come after it: of equal ones, the first is it.

    A NaN is larger than all numbers, infinity too.
    """
    largest, top = views[0], xp.empty(out.shape, out.dtype)
    for k, view in enumerate(views[1:]):
        xp.fmin(largest, math.inf, out=top)  # so a NaN is beaten by another NaN only
        beaten = xp.less_equal(view, top, out=xp.empty(out.shape, bool) if k else after.view(bool))
        if k:
            xp.multiply(xp.add(after, 1, out=after), beaten, out=after)
        largest = xp.maximum(largest, view, out=out)
    if len(views) == 1:
        out[...], after[...] = largest, 0


def _give_back(xp, gy, after, gviews, stride):
    """Give gy to that one of the gviews, which hold zeros, after which so many come."""
    hit, given = xp.empty(gy.shape, bool), xp.empty(gy.shape, gy.dtype)
    for k, gview in enumerate(gviews):
        xp.equal(after, len(gviews) - 1 - k, out=hit)
        if k < stride:  # no view before it has written there
            select(xp, hit, gy, out=gview)
        else:
            xp.add(gview, select(xp, hit, gy, out=given), out=gview)


@op
def max_pool2d(xp, x, *, size, stride):
    """The largest number of each window; windows overlap if stride < size.

    x: (N, H, W, C) -> y: (N, OH, OW, C), OH = (H - size) // stride + 1; size at most 255.
    First down the rows, then across the columns: 2 * size steps instead of size * size. Of equal
    winners the gradient goes to the leftmost, and in its column to the uppermost; a NaN wins.
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
    First down the rows, then across the columns, as in max_pool2d.
    After LeCun et al. 1998 (size 2, stride 2), without its trained gain.  Built in chapter 07.
    """
    size, stride = checks.pool2d("avg_pool2d", x, size, stride)
    (n, h, w, c), share = x.shape, 1 / size**2
    oh, ow = output_size("avg_pool2d", (h, w), (size, size), stride)
    column, part = xp.zeros((n, oh, w, c), x.dtype), xp.empty((n, oh, w, c), x.dtype)
    y = xp.zeros((n, oh, ow, c), x.dtype)
    for view in _shifts(x, 1, size, stride, oh):
        xp.add(column, xp.multiply(view, share, out=part), out=column)
    for view in _shifts(column, 2, size, stride, ow):
        xp.add(y, view, out=y)

    def backward(gy):
        each, gcolumn = gy * share, xp.zeros((n, oh, w, c), gy.dtype)
        for gview in _shifts(gcolumn, 2, size, stride, ow):
            xp.add(gview, each, out=gview)
        gx = xp.zeros((n, h, w, c), gy.dtype)
        for gview in _shifts(gx, 1, size, stride, oh):
            xp.add(gview, gcolumn, out=gview)
        return gx

    return y, backward
