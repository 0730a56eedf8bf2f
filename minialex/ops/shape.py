"""The same numbers in another arrangement."""

from __future__ import annotations

import itertools
import math

from ..tensor import op

__all__ = ["concat", "flatten", "reshape", "take_channels", "transpose"]


@op
def reshape(xp, x, shape: tuple):
    """The same numbers, in order, in another shape; one -1 is worked out.  Keeps nothing."""
    before = x.shape
    known = math.prod(size for size in shape if size != -1)
    if shape.count(-1) > 1 or (x.size % max(known, 1) if -1 in shape else x.size != known):
        raise ValueError(f"reshape: x {x.shape} holds {x.size} numbers, which do not fill the "
                         f"shape {shape}; the sizes must multiply to {x.size}")

    def backward(gy):
        return gy.reshape(before)

    return x.reshape(shape), backward


@op
def flatten(xp, x):
    """One row per image: (N, ...) -> (N, the rest), in the order (H, W, C).  Keeps nothing."""
    if x.ndim < 1 or x.shape[0] == 0:
        raise ValueError(f"flatten: x has shape {x.shape}; it must be (N, ...) with N at least 1")
    before = x.shape

    def backward(gy):
        return gy.reshape(before)

    return x.reshape(x.shape[0], -1), backward


@op
def transpose(xp, x, axes: tuple | None = None):
    """Permute the axes; None reverses them.  Keeps nothing."""
    order = tuple(range(x.ndim))[::-1] if axes is None else tuple(axes)
    if sorted(order) != list(range(x.ndim)):
        raise ValueError(f"transpose: axes is {axes!r} but x {x.shape} has {x.ndim} axes; "
                         "name each of them once")
    inverse = tuple(order.index(axis) for axis in range(x.ndim))

    def backward(gy):
        return gy.transpose(inverse)

    return x.transpose(order), backward


@op
def concat(xp, *arrays, axis=-1):
    """Join arrays along an axis, by default the channels.  Keeps nothing.  Built in chapter 08.

    All other sizes must be equal.  Gives (N, H, W, 2C) for two columns of (N, H, W, C).
    """
    first = arrays[0]
    if not -first.ndim <= axis < first.ndim:
        raise ValueError(f"concat: axis is {axis} but input 0 {first.shape} has {first.ndim} axes")
    axis %= first.ndim
    for index, a in enumerate(arrays):
        if (a.shape[:axis], a.shape[axis + 1 :]) != (first.shape[:axis], first.shape[axis + 1 :]):
            raise ValueError(f"concat: input {index} is {a.shape} but input 0 is {first.shape}; "
                             f"all sizes but that of axis {axis} must be equal")
    ends = list(itertools.accumulate(a.shape[axis] for a in arrays))
    y = xp.empty((*first.shape[:axis], ends[-1], *first.shape[axis + 1 :]), first.dtype)
    xp.concatenate(arrays, axis=axis, out=y)

    def backward(gy):
        before = (slice(None),) * axis
        return tuple(gy[(*before, slice(start, end))]
                     for start, end in zip([0, *ends], ends, strict=False))

    return y, backward


@op
def take_channels(xp, x, start: int, stop: int):
    """Channels start .. stop - 1 of (..., C).  Keeps nothing.  Built in chapter 08."""
    if not 0 <= start < stop <= x.shape[-1]:
        raise ValueError(f"take_channels: start={start}, stop={stop} but x {x.shape} has channels "
                         f"0 .. {x.shape[-1]}; give 0 <= start < stop <= {x.shape[-1]}")
    shape = x.shape

    def backward(gy):
        gx = xp.zeros(shape, gy.dtype)
        gx[..., start:stop] = gy
        return gx

    return x[..., start:stop], backward
