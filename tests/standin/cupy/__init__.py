"""A stand-in for CuPy 14.2 on NumPy: stricter than CuPy, on machines without a GPU.

Nothing here runs on a GPU, and nothing says that a GPU would give the same numbers, or how fast.
It holds the *rules* by which code for two GPUs goes wrong: which device is current, what is on the
host, which names and keywords exist, how much memory is used, and in which order streams work.

    _machine.py   devices, memory, streams and clocks
    _array.py     cupy.ndarray
    _call.py      what happens in every call
    _dry.py       counting without computing
    standin.py    for tests: number of devices, records, dry runs

What is here and not in CuPy: `cupy.standin`. It is how to tell the two apart.
"""

import functools
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import cupy_table
import numpy as np

from . import _call, cuda, lib, linalg, random, standin
from ._array import asarray as _asarray
from ._array import asnumpy, ndarray

__version__ = cupy_table.VERSION
__all__ = ["asnumpy", "cuda", "lib", "linalg", "ndarray", "random", "standin"]

ufunc = _call.Ufunc


def __getattr__(name: str) -> Any:
    complaint = cupy_table.complaint(name)
    if complaint.startswith("CuPy"):
        raise AttributeError(f"module 'cupy' has no attribute {name!r}: {complaint}")
    kind, host = cupy_table.names()[name], getattr(np, name, None)
    if host is None or isinstance(host, ModuleType):
        raise NotImplementedError(f"the stand-in does not imitate cupy.{name}")
    if kind == "ufunc" and isinstance(host, np.ufunc):
        found = _call.Ufunc(name)
    elif kind is None:
        found = host
    else:
        found = _call.function(name, host)
    globals()[name] = found
    return found


# What is made on the device, or comes from the host


def _checked(function: Callable) -> Callable:
    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        _call.check_name(function.__name__, args, kwargs)
        return function(*args, **kwargs)

    return called


@_checked
def array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0, *, blocking=False):
    made = _asarray("array", obj, dtype, copy, order)
    return made if made.ndim >= ndmin else made.reshape((1,) * (ndmin - made.ndim) + made.shape)


@_checked
def asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    return _asarray("asarray", a, dtype, copy, order)


@_checked
def ascontiguousarray(a, dtype=None):
    """core.pyx of CuPy 14.2: `if zero_dim: return _manipulation._ndarray_ravel(a, 'C')`, or
    `shape = (1,) if zero_dim else a.shape` where a is copied: never without axes, as in NumPy.
    """
    return _call.call("ascontiguousarray", np.ascontiguousarray, (a, dtype), {})


@_checked
def empty(shape, dtype=float, order="C"):
    return _call.allocate(shape, dtype, order)


@_checked
def empty_like(prototype, dtype=None, order="K", subok=None, shape=None):
    like = np.empty_like(prototype._values, dtype, order, shape=shape)
    return _call.new(_call.garbage(like), "empty_like")


@_checked
def copy(a, order="K"):
    return a.copy(order)


# Memory and modules


def get_array_module(*args: Any) -> Any:
    return sys.modules[__name__] if any(isinstance(x, ndarray) for x in args) else np


def get_default_memory_pool() -> Any:
    return cuda.MemoryPool()


