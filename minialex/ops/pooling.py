"""Pooling: one number for each window of the image."""

from ..tensor import op
from .common import check_images, output_size, whole

__all__ = ["avg_pool2d", "max_pool2d"]


def _prepare(op, x, size, stride):
    check_images(op, x)
    size, stride = whole(op, "size", size), whole(op, "stride", stride)
    oh, ow = output_size(op, x.shape[1:3], (size, size), stride)
    n, _, _, c = x.shape
    return (n, oh, ow, c), 2 * x.nbytes // n  # the part of x and of y, or their gradients


def _shifts(a, axis, size, stride, positions):
    """`size` views of a; view k holds the k-th number of every window along one axis."""
    return [a[(slice(None),) * axis + (slice(k, k + stride * positions, stride),)]
            for k in range(size)]


def _largest(xp, views, out):
    xp.maximum(views[0], views[-1], out=out)
    for view in views[1:-1]:
        xp.maximum(out, view, out=out)
    return out


def _give_to_first(xp, gy, best, views, gviews):
    """Add gy to the first of the gviews whose view equals `best`; uses gy up."""
    hit, taken = xp.empty(gy.shape, bool), xp.empty(gy.shape, gy.dtype)
    for view, gview in zip(views, gviews, strict=True):
        xp.equal(view, best, out=hit)
        xp.multiply(gy, hit, out=taken)
        xp.add(gview, taken, out=gview)
        xp.subtract(gy, taken, out=gy)


@op
def max_pool2d(xp, x, *, size, stride):
    """The largest number of each window; windows overlap if stride < size.

    x: (N, H, W, C) -> y: (N, OH, OW, C), OH = (H - size) // stride + 1.
    First down the rows, then across the columns: 2 * size steps instead of size * size. Of equal
    winners the gradient goes to the leftmost, and in its column to the uppermost.  Keeps x, y.
    Paper: section 3.4 (size 3, stride 2).  Built in chapter 06.
    """
    (n, oh, ow, c), scratch_bytes = _prepare("max_pool2d", x, size, stride)
    y = xp.empty((n, oh, ow, c), x.dtype)

    def down(part):
        """The largest number of each window's column: (n, OH, W, C)."""
        xs = x[part]
        best = xp.empty((len(xs), oh, *xs.shape[2:]), x.dtype)
        return _largest(xp, _shifts(xs, 1, size, stride, oh), best)

    def forward(part):
        _largest(xp, _shifts(down(part), 2, size, stride, ow), y[part])

    xp.over_batch(forward, n, scratch_bytes)

    def backward(gy):
        gx = xp.empty(x.shape, gy.dtype)

        def pull(part):
            gx[part] = 0
            best = down(part)
            left, gbest = xp.empty(gy[part].shape, gy.dtype), xp.zeros(best.shape, gy.dtype)
            left[...] = gy[part]
            _give_to_first(xp, left, y[part], _shifts(best, 2, size, stride, ow),
                           _shifts(gbest, 2, size, stride, ow))
            _give_to_first(xp, gbest, best, _shifts(x[part], 1, size, stride, oh),
                           _shifts(gx[part], 1, size, stride, oh))

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
