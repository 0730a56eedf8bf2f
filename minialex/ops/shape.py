"""The same numbers in another arrangement."""

import itertools

from .. import checks
from ..operation import op

__all__ = ["concat", "flatten", "reshape", "take_channels", "transpose"]


@op(static=("shape",))
def reshape(xp, x, shape):
    """The same numbers, in order, in another shape; one -1 is worked out.  Keeps nothing."""
    checks.reshape(x, shape)
    before = x.shape
    return x.reshape(shape), lambda gy: gy.reshape(before)


@op
def flatten(xp, x):
    """One row per image: (N, ...) -> (N, the rest), in the order (H, W, C).  Keeps nothing."""
    checks.flatten(x)
    return reshape.on_arrays(xp, x, (x.shape[0], -1))


@op(static=("axes",))
def transpose(xp, x, axes=None):
    """Permute the axes; None reverses them.  Keeps nothing."""
    order = checks.transpose(x, axes)
    inverse = tuple(order.index(axis) for axis in range(x.ndim))
    return x.transpose(order), lambda gy: gy.transpose(inverse)


@op
def concat(xp, *arrays, axis=-1):
    """Join arrays along an axis, by default the channels.  Keeps nothing.  Built in chapter 08.

    All other sizes must be equal.  Gives (N, H, W, 2C) for two columns of (N, H, W, C).
    """
    axis = checks.concat(arrays, axis)
    first = arrays[0]
    ends = list(itertools.accumulate(a.shape[axis] for a in arrays))
    y = xp.empty((*first.shape[:axis], ends[-1], *first.shape[axis + 1 :]), first.dtype)
    xp.concatenate(arrays, axis=axis, out=y)

    def backward(gy):
        before = (slice(None),) * axis
        return tuple(gy[(*before, slice(start, end))]
                     for start, end in zip([0, *ends], ends, strict=False))

    return y, backward


@op(static=("start", "stop"))
def take_channels(xp, x, start, stop):
    """Channels start .. stop - 1 of (..., C).  Keeps nothing.  Built in chapter 08."""
    start, stop = checks.take_channels(x, start, stop)
    shape = x.shape

    def backward(gy):
        gx = xp.zeros(shape, gy.dtype)
        gx[..., start:stop] = gy
        return gx

    return x[..., start:stop], backward
