"""Numbers, axes and shapes."""

import math
from numbers import Integral

from ..errors import DeviceMemoryError, InputError, InputTypeError, MinialexError

__all__ = ["axes", "broadcast", "concat", "converted", "filled", "flatten", "made", "number",
           "reshape", "shape", "shown", "take_channels", "too_large", "transpose", "whole"]


def shown(value):
    """A value as messages show it: itself, or its type and shape if it is too long for that."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    text, shape = repr(value), getattr(value, "shape", None)
    if len(text) <= 60 and "\n" not in text and " at 0x" not in text:
        return text
    return f"a {type(value).__name__}" + (f" of shape {shape}" if shape is not None else "")


def converted(convert, values):
    """What `convert`, a function of NumPy, makes of values that may not be an array."""
    try:
        return convert(values)
    except (TypeError, ValueError) as error:
        if isinstance(error, MinialexError):
            raise
        raise InputError(f"{shown(values)} is not an array; give numbers, and all rows of a list "
                         f"the same length ({error})") from None


def whole(op, name, value, least=1, most=math.inf):
    """An option that counts something, as an int; NumPy's integers will do."""
    if not isinstance(value, Integral) or isinstance(value, bool) or not least <= value <= most:
        limits = f"at least {least}" + (f" and at most {most}" if most < math.inf else "")
        raise InputError(f"{op}: {name} is {shown(value)}; it must be a whole number, {limits}")
    return int(value)


def shape(function, sizes):
    """Sizes that were given one by one."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        raise InputTypeError(f"{function}: the shape is {shown(sizes[0])}; give its sizes one by "
                             f"one, as in {function}(2, 3), or {function}(*shape)")
    return tuple(whole(function, "a size", size, least=0) for size in sizes)


def made(function, make, sizes, dtype, options=()):
    """A new array, by `make`, a function of NumPy; options: for the Tensor that it is for."""
    if unknown := set(options) - {"device", "requires_grad"}:
        raise InputTypeError(f"{function}: there is no option {min(unknown)!r}; use dtype, device "
                             "or requires_grad")
    sizes = shape(function, sizes)
    try:
        return make(sizes, dtype)
    except TypeError as error:
        raise InputTypeError(f"{function}: dtype is {shown(dtype)}; give 'float32' or 'float64' "
                             f"({error})") from None
    except (MemoryError, ValueError) as error:
        if isinstance(error, MinialexError):
            raise
        raise too_large(f"{function}: shape {shown(sizes)}", error) from None


def too_large(what, error):
    """For an error of NumPy, which has no memory or cannot count so far."""
    kind = DeviceMemoryError if isinstance(error, MemoryError) else InputError
    return kind(f"{what}: {error}; give smaller numbers")


def number(op, name, value):
    """A real number, as Python's int or float: one of NumPy's would promote float32."""
    remedy = "it must be a number"
    try:
        if hasattr(value, "requires_grad"):  # float(tensor) would lose its gradient
            remedy += f", and gets no gradient; give {name}.item()"
        elif not isinstance(value, (str, bytes)):  # float("2") would take it
            as_float = float(value)
            return value if isinstance(value, int) else as_float
    except OverflowError:
        remedy = "no float is so large; give a smaller one"
    except (TypeError, ValueError):
        pass
    raise InputTypeError(f"{op}: {name} is {shown(value)}; {remedy}")


def axes(op, x, axis):
    """`axis` (an int, a tuple, or None for all) as a tuple of numbers from 0 on."""
    if axis is None:
        return tuple(range(x.ndim))
    given = axis if isinstance(axis, tuple) else (axis,)
    found = {int(a) % x.ndim for a in given  # `int` is asked for first, because that is quick
             if isinstance(a, (int, Integral)) and -x.ndim <= a < x.ndim}
    if len(found) < len(given):
        remedy = f"name each axis once, {-x.ndim} .. {x.ndim - 1}" if x.ndim else "it has no axes"
        raise InputError(f"{op}: axis is {shown(axis)} but x has shape {x.shape}; {remedy}")
    return tuple(found)


def filled(op, x):
    if x.size == 0:
        raise InputError(f"{op}: x has shape {x.shape}; give it at least one number")


def broadcast(op, a, b):
    """The shapes of two operands, None for a plain number."""
    shape_a, shape_b = getattr(a, "shape", None), getattr(b, "shape", None)
    if shape_a != shape_b and None not in (shape_a, shape_b):
        ends = zip(reversed(shape_a), reversed(shape_b), strict=False)
        if any(m != n and 1 not in (m, n) for m, n in ends):
            raise InputError(f"{op}: a {shape_a} and b {shape_b} do not broadcast; counted from "
                             "the last axis, sizes must be equal, or one of them 1")
    return shape_a, shape_b


def reshape(x, shape):
    """Sizes that multiply to the number of entries; one may be -1, which stands for the rest."""
    sizes = tuple(shape) if hasattr(shape, "__iter__") else (shape,)
    fine = all(isinstance(size, Integral) and size >= -1 for size in sizes)
    if fine and sizes.count(-1) == 1:
        known = -math.prod(sizes)
        fine = known > 0 and x.size % known == 0
    elif fine:
        fine = math.prod(sizes) == x.size and -1 not in sizes
    if not fine:
        raise InputError(f"reshape: x {x.shape} holds {x.size} numbers, which do not fill the "
                         f"shape {shown(shape)}; its sizes must multiply to {x.size}")


def flatten(x):
    if x.ndim < 1 or x.shape[0] == 0:
        raise InputError(f"flatten: x has shape {x.shape}; it must be (N, ...) with N at least 1")


def transpose(x, axes):
    """The axes in their new order; None reverses them."""
    order = range(x.ndim)[::-1] if axes is None else axes
    known = isinstance(order, (range, tuple, list)) and len(order) == x.ndim
    if not known or any(list(order).count(axis) != 1 for axis in range(x.ndim)):
        raise InputError(f"transpose: axes is {shown(axes)} for x {x.shape}; name each axis once")
    return tuple(order)


def concat(arrays, axis):
    """The axis, counted from 0 on."""
    first = arrays[0]
    axis = whole("concat", "axis", axis, least=-first.ndim)
    if axis >= first.ndim:
        raise InputError(f"concat: axis is {axis} but input 0 is {first.shape}")
    axis %= first.ndim
    for index, a in enumerate(arrays):
        others = (a.shape[:axis], a.shape[axis + 1 :])
        if a.ndim != first.ndim or others != (first.shape[:axis], first.shape[axis + 1 :]):
            raise InputError(f"concat: input {index} is {a.shape} but input 0 is {first.shape}; "
                             f"all sizes but that of axis {axis} must be equal")
    return axis


def take_channels(x, start, stop):
    """start and stop, as ints."""
    channels = x.shape[-1] if x.ndim else 0
    for name, value in (("start", start), ("stop", stop)):
        if not isinstance(value, Integral):
            whole("take_channels", name, value, least=0)
    if not 0 <= start < stop <= channels:
        raise InputError(f"take_channels: start={start}, stop={stop} but x {x.shape} has channels "
                         f"0 .. {channels}; give 0 <= start < stop <= {channels}")
    return int(start), int(stop)
