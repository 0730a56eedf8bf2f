"""One call of the array library: check the arguments, let NumPy compute, keep the books."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import cupy_table
import numpy as np

from . import _array, _dry
from ._machine import WrongDeviceError, machine

__all__ = ["IN_PLACE", "OPERANDS", "Ufunc", "allocate", "as_strided", "call", "check_arguments",
           "check_name", "function", "garbage", "new", "refuse_host"]

# No work for a GPU: questions about shapes, types and addresses, answered on the host.
HOST = {"broadcast_shapes", "can_cast", "common_type", "iscomplexobj", "isrealobj", "isscalar",
        "issubdtype", "may_share_memory", "min_scalar_type", "ndim", "promote_types", "result_type",
        "shape", "shares_memory", "size"}

# May give a view of their argument, and then are no work either.
VIEWS = {"array_split", "ascontiguousarray", "atleast_1d", "atleast_2d", "atleast_3d",
         "broadcast_arrays", "broadcast_to", "diagonal", "dsplit", "expand_dims", "flip", "fliplr",
         "flipud", "hsplit", "imag", "lib.stride_tricks.sliding_window_view", "matrix_transpose",
         "moveaxis", "permute_dims", "ravel", "real", "reshape", "rollaxis", "rot90", "split",
         "squeeze", "swapaxes", "transpose", "view", "vsplit"}

# The size of the result depends on the values: the host waits until it knows them.
SYNCS = {"argwhere", "array2string", "array_repr", "array_str", "bincount", "compress", "extract",
         "flatnonzero", "histogram", "nonzero", "repeat", "save", "savez", "setdiff1d", "unique",
         "unique_all", "unique_counts", "unique_inverse", "unique_values"}

OPERANDS = (bool, int, float, complex, np.generic)  # besides arrays of the device

IN_PLACE = {"fill", "partition", "put", "sort"}  # methods only; the functions make a copy

# Parameters that must be arrays on the device: a list would be a hidden copy to it.
LISTS_OF_ARRAYS = {"arrays", "tup"}
ARRAYS = {"a", "a1", "a2", "arr", "array", "ary", "b", "condition", "indices", "m", "v", "values",
          "x", "x1", "x2", "y"}

NAMES_OF_UFUNCS = {"true_divide": "divide", "abs": "absolute", "mod": "remainder"}


def check_name(name: str, args: tuple = (), kwargs: dict | None = None) -> None:
    """Raise what CuPy would raise about a name, a keyword or the number of arguments."""
    complaint = cupy_table.complaint(name, len(args), kwargs or ())
    if complaint:
        raise TypeError(complaint)


def refuse_host(name: str, value: Any) -> None:
    """NumPy arrays and lists are no operands: CuPy raises, or copies them without a word."""
    if isinstance(value, (np.ndarray, list, tuple)):
        kind = "a NumPy array" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
        raise TypeError(f"Unsupported type {type(value)}: {name} got {kind}, which is on the host; "
                        "copy it to the device first: cupy.array(x)")


def check_arguments(name: str, args: tuple, kwargs: dict) -> None:
    """As check_name; and what should be an array on the device is one."""
    check_name(name, args, kwargs)
    words = cupy_table.names()[name].split(", ")
    named = [(word.strip("="), value) for word, value in zip(words, args, strict=False)]
    for word, value in [*named, *kwargs.items()]:
        if word in ARRAYS and name not in HOST:
            refuse_host(name, value)
        elif word in LISTS_OF_ARRAYS and isinstance(value, (list, tuple)):
            for item in value:
                refuse_host(name, item)


def function(name: str, compute: Callable) -> Callable:
    """A function of CuPy, computed by a function of NumPy."""
    def called(*args: Any, **kwargs: Any) -> Any:
        check_arguments(name, args, kwargs)
        return call(name, compute, args, kwargs)

    called.__name__ = name
    return called


def call(name: str, compute: Callable, args: tuple, kwargs: dict, in_place: bool = False) -> Any:
    """Compute on the NumPy arrays inside of the operands, and wrap what comes out."""
    out = kwargs.get("out")
    reads = list(_operands((args, [value for key, value in kwargs.items() if key != "out"])))
    writes = [*_operands((out,)), *(args[:1] if in_place else ())]
    inside = [_unwrap(name, value) for value in args]
    options = {key: _unwrap(name, value) for key, value in kwargs.items()}
    if name in HOST:
        return compute(*inside, **options)
    if name in VIEWS:
        result = compute(*inside, **options)
        parts = result if isinstance(result, (list, tuple)) else [result]
        if all(any(np.may_share_memory(part, x._values) for x in reads) for part in parts):
            return _wrap(name, result, reads)
    _check_devices(name, [*reads, *writes])
    for target in writes:
        _check_target(name, target)
    if machine.dry:
        compute = _dry.shape_only(name, compute)
    with np.errstate(all="ignore"):  # a GPU does not warn
        result = _wrap(name, compute(*inside, **options), [*reads, *writes])
    made = writes or [x for x in _operands(result) if not any(x is r for r in reads)]
    if not made:
        return result  # an operand as it was: ascontiguousarray of what is contiguous
    read = reads[1:] if name in ("fill", "setitem") else reads  # these overwrite the first
    machine.work(name, {x._block for x in reads}, {x._block for x in made},
                 nbytes=sum(map(_touched, [*read, *made])))
    if name in SYNCS:
        machine.wait(name, [machine.stream().now()])
    return result


def _operands(value: Any) -> Iterator[Any]:
    """Every array on a device in these arguments, also inside lists and tuples."""
    if isinstance(value, _array.ndarray):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _operands(item)


def _unwrap(name: str, value: Any) -> Any:
    if isinstance(value, _array.ndarray):
        return value._values
    if isinstance(value, np.ndarray):
        refuse_host(name, value)
    if isinstance(value, (list, tuple)):
        return type(value)(_unwrap(name, item) for item in value)
    return value


def _wrap(name: str, value: Any, operands: list) -> Any:
    """Arrays of the device; whatever shares the memory of an operand is a view of it."""
    if isinstance(value, (list, tuple)):
        items = [_wrap(name, item, operands) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if not isinstance(value, (np.ndarray, np.generic, bool, int, float)):
        return value
    if isinstance(value, np.ndarray):
        for x in operands:
            if value is x._values:
                return x
            if value.size and np.may_share_memory(value, x._values):
                return _array.ndarray._of(value, x._block)
    return new(np.asarray(value), name)


def new(values: np.ndarray, what: str) -> Any:
    """An array with memory of its own on the current device, holding these values."""
    what = f"the {values.dtype} {values.shape} made by {what}"
    block = machine.allocate(values.nbytes, _bounds(values), what)
    return _array.ndarray._of(values, block)


def allocate(shape: Any, dtype: Any, order: str = "C") -> Any:
    return new(garbage(np.empty(shape, dtype, order)), "empty")


def garbage(values: np.ndarray) -> np.ndarray:
    """Used memory holds anything but zeros, so make mistakes visible."""
    if values.dtype.kind not in "fciub":
        raise ValueError(f"Unsupported dtype {values.dtype}")
    if not machine.dry:
        kind = values.dtype.kind
        values.fill(np.nan if kind in "fc" else kind == "b" or np.iinfo(values.dtype).max)
    return values


def _touched(x: Any) -> int:
    """Bytes of the distinct numbers in an array: an overlapping view is read from memory once."""
    distinct = math.prod(n for n, step in zip(x.shape, x._values.strides, strict=True) if step)
    return min(distinct * x.itemsize, x._block.size)


def _bounds(values: np.ndarray) -> tuple[int, int]:
    return np.lib.array_utils.byte_bounds(values) if values.size else (0, 0)


def _check_devices(name: str, operands: list) -> None:
    current = machine.current.index
    for index, x in enumerate(operands):
        there = x._block.device.index
        if there != current:
            raise WrongDeviceError(
                f"{name}: operand {index} {x.shape} is on GPU {there} but the current device is "
                f"GPU {current}: \"The device where the array resides ({there}) is different from "
                f"the current device ({current}).\" Copy it, or work under `with Device({there}):`")


def _check_target(name: str, x: Any) -> None:
    """Threads write in any order: no number of a result may have two places in it."""
    values = x._values
    if values.flags.c_contiguous or not values.size:
        return
    reach = 0
    for stride, size in sorted((abs(s), n) for s, n in zip(values.strides, values.shape,
                                                            strict=True) if n > 1):
        if stride <= reach:
            raise ValueError(f"{name}: writes into a view {x.shape} that overlaps itself; on a GPU "
                             "the result would depend on chance")
        reach += stride * (size - 1)


def as_strided(x: Any, shape: Any = None, strides: Any = None) -> Any:
    """A view by strides, which must stay in the memory of x."""
    view = np.lib.stride_tricks.as_strided(x._values, shape, strides)
    low, high = _bounds(view)
    if view.size and not (x._block.bounds[0] <= low and high <= x._block.bounds[1]):
        raise ValueError(f"as_strided: the view {view.shape} reaches outside of {x._block}; on a "
                         "GPU this is an illegal access")
    return _array.ndarray._of(view, x._block)


class Ufunc:
    """A universal function with the operands, keywords and methods that CuPy's have."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._compute = getattr(np, name)
        self.__name__ = f"cupy_{name}"
        self._counted = NAMES_OF_UFUNCS.get(name, name)

    def __repr__(self) -> str:
        return f"<ufunc '{self.__name__}'>"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._compute, name)  # nin, nout, types, ...

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if complaint := cupy_table.complaint(self.name, len(args), kwargs):
            raise TypeError(f"Wrong arguments {kwargs}: {complaint}")
        out = kwargs.get("out")
        for value in (*args, *(out if isinstance(out, tuple) else [out])):
            refuse_host(self.name, value)
            if not isinstance(value, (*OPERANDS, _array.ndarray, type(None))):
                raise TypeError(f"Unsupported type {type(value)}: an operand of {self.name}")
        return call(self._counted, self._compute, args, kwargs)

    def reduce(self, array, axis=0, dtype=None, out=None, keepdims=False):
        return self._method("reduce", array, axis=axis, dtype=dtype, out=out, keepdims=keepdims)

    def accumulate(self, array, axis=0, dtype=None, out=None):
        return self._method("accumulate", array, axis=axis, dtype=dtype, out=out)

    def reduceat(self, array, indices, axis=0, dtype=None, out=None):
        return self._method("reduceat", array, indices, axis=axis, dtype=dtype, out=out)

    def at(self, a, indices, b=None):
        return self._method("at", a, indices, b, in_place=True)

    def outer(self, A, B, **kwargs):
        return call(f"{self.name}.outer", self._compute.outer, (A, B), kwargs)

    def _method(self, method: str, *args: Any, in_place: bool = False, **kwargs: Any) -> Any:
        name = f"{self.name}.{method}"
        if complaint := cupy_table.complaint(name):
            raise NotImplementedError(complaint)
        return call(name, getattr(self._compute, method), args, kwargs, in_place)
