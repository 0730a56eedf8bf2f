"""The same numbers in another arrangement."""

import itertools

from ..errors import InputError
from ..operation import op
from .common import whole

__all__ = ["concat", "flatten", "reshape", "take_channels", "transpose"]


@op(static=("shape",))
def reshape(xp, x, shape):
    """The same numbers, in order, in another shape; one -1 is worked out.  Keeps nothing."""
    before = x.shape
    try:
        y = x.reshape(shape)
    except (TypeError, ValueError):
        raise InputError(f"reshape: x {before} holds {x.size} numbers, which do not fill the shape "
                         f"{shape}; its sizes must multiply to {x.size}") from None
    return y, lambda gy: gy.reshape(before)


@op
def flatten(xp, x):
    """One row per image: (N, ...) -> (N, the rest), in the order (H, W, C).  Keeps nothing."""
    if x.ndim < 1 or x.shape[0] == 0:
        raise InputError(f"flatten: x has shape {x.shape}; it must be (N, ...) with N at least 1")
    return reshape.on_arrays(xp, x, (x.shape[0], -1))


@op(static=("axes",))
def transpose(xp, x, axes=None):
    """Permute the axes; None reverses them.  Keeps nothing."""
    order = tuple(range(x.ndim))[::-1] if axes is None else axes
    if not isinstance(order, (tuple, list)) or sorted(order) != list(range(x.ndim)):
        raise InputError(f"transpose: axes is {axes!r} for x {x.shape}; name each axis once")
    inverse = tuple(order.index(axis) for axis in range(x.ndim))
    return x.transpose(order), lambda gy: gy.transpose(inverse)


@op
def concat(xp, *arrays, axis=-1):
    """Join arrays along an axis, by default the channels.  Keeps nothing.  Built in chapter 08.

    All other sizes must be equal.  Gives (N, H, W, 2C) for two columns of (N, H, W, C).
    """
    first = arrays[0]
    axis = whole("concat", "axis", axis, least=-first.ndim)
    if axis >= first.ndim:
        raise InputError(f"concat: axis is {axis} but input 0 is {first.shape}")
    axis %= first.ndim
    for index, a in enumerate(arrays):
        if (a.shape[:axis], a.shape[axis + 1 :]) != (first.shape[:axis], first.shape[axis + 1 :]):
            raise InputError(f"concat: input {index} is {a.shape} but input 0 is {first.shape}; "
                             f"all sizes but that of axis {axis} must be equal")
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
    if not 0 <= start < stop <= x.shape[-1]:
        raise InputError(f"take_channels: start={start}, stop={stop} but x {x.shape} has channels "
                         f"0 .. {x.shape[-1]}; give 0 <= start < stop <= {x.shape[-1]}")
    start = whole("take_channels", "start", start, least=0)
    stop = whole("take_channels", "stop", stop)
    shape = x.shape

    def backward(gy):
        gx = xp.zeros(shape, gy.dtype)
        gx[..., start:stop] = gy
        return gx

    return x[..., start:stop], backward
