"""Pooling: one number for each window of the image."""

from .. import checks
from ..operation import op
from .common import in_parts, output_size, select

__all__ = ["avg_pool2d", "max_pool2d"]


def _shifts(a, axis, size, stride, positions):
    """`size` views of a; view k holds the k-th number of every window along one axis."""
    return [a[(slice(None),) * axis + (slice(k, k + stride * positions, stride),)]
            for k in range(size)]


def _largest(xp, a, windows, out, which):
    """The largest number of each window, and which of them it was: of equal ones, the first.

    A NaN is larger than all numbers, infinity too.
    """
    views, nans = _shifts(a, *windows), _shifts(xp.isnan(a), *windows)
    largest = views[0]
    for view in views[1:] or views:
        largest = xp.maximum(largest, view, out=out)
    # Which it was: as many as come before it, each another number (all are, beside a NaN).
    smaller = which.view(bool)
    xp.greater(xp.not_equal(views[0], out, out=smaller), nans[0], out=smaller)
    for view, nan in list(zip(views, nans, strict=True))[1:-1]:
        too = xp.not_equal(view, out, out=xp.empty(out.shape, bool))
        smaller = xp.logical_and(smaller, xp.greater(too, nan, out=too), out=too)
        xp.add(which, smaller, out=which)


def _give_back(xp, gy, which, gx, windows):
    """Give gy to that number of each window that was the largest, and 0 to all others."""
    axis, size, stride, positions = windows
    # The first `stride` views write to all that lies before this, unless windows leave gaps.
    gx[(slice(None),) * axis + (slice(stride * positions if stride <= size else 0, None),)] = 0
    hit, given = xp.empty(gy.shape, bool), xp.empty(gy.shape, gy.dtype)
    for k, gview in enumerate(_shifts(gx, *windows)):
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
    winners the gradient goes to the leftmost, and in its column to the uppermost; a NaN wins.
    Keeps which number won, a byte each: neither x nor y (a third less memory at full size).
    Paper: section 3.4 (size 3, stride 2).  Built in chapter 06.
    """
    size, stride = checks.pool2d("max_pool2d", x, size, stride, most=255)
    n, h, w, c = x.shape
    oh, ow = output_size("max_pool2d", (h, w), (size, size), stride)
    row, column = xp.empty((n, oh, w, c), xp.uint8), xp.empty((n, oh, ow, c), xp.uint8)
    down, across = (1, size, stride, oh), (2, size, stride, ow)  # what _shifts is given
    scratch_bytes = 4 * x.nbytes // n  # with what is read and written: it stays in the cache

    def forward(part, out):
        best = xp.empty(row[part].shape, x.dtype)  # the largest down each column of a window
        _largest(xp, x[part], down, best, row[part])
        _largest(xp, best, across, out, column[part])

    def backward(gy):
        def pull(part, gx):
            gbest = xp.empty(row[part].shape, gy.dtype)
            _give_back(xp, gy[part], column[part], gbest, across)
            _give_back(xp, gbest, row[part], gx, down)

        return in_parts(xp, (n, h, w, c), gy.dtype, pull, scratch_bytes)

    return in_parts(xp, (n, oh, ow, c), x.dtype, forward, scratch_bytes), backward


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
    down, across = (1, size, stride, oh), (2, size, stride, ow)
    shares = xp.multiply(x, share, out=xp.empty(x.shape, x.dtype))
    column, y = xp.empty((n, oh, w, c), x.dtype), xp.empty((n, oh, ow, c), x.dtype)
    for a, windows, out in ((shares, down, column), (column, across, y)):
        total, *others = _shifts(a, *windows)
        for view in others or [0]:
            total = xp.add(total, view, out=out)

    def backward(gy):
        each = xp.multiply(gy, share, out=xp.empty(gy.shape, gy.dtype))
        gcolumn, gx = xp.zeros((n, oh, w, c), gy.dtype), xp.zeros((n, h, w, c), gy.dtype)
        for g, windows, out in ((each, across, gcolumn), (gcolumn, down, gx)):
            for k, gview in enumerate(_shifts(out, *windows)):
                # Before the first `stride` views have written, there are zeros: a copy will do.
                xp.copyto(gview, g) if k < stride else xp.add(gview, g, out=gview)
        return gx

    return y, backward
