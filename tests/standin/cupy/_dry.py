"""Results without values: what a call would give, of the right shape and type, uncomputed.

So a full-size step can be counted, in launches and in memory, in the time of a small one: memory
that nobody touches costs nothing.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["shape_only"]

COPIES = {"array", "asarray", "ascontiguousarray", "astype", "copy"}
CREATE = {"arange", "eye", "full", "ones", "zeros"}
IN_PLACE = {"fill", "setitem"}
REDUCTIONS = {"all", "any", "max", "mean", "min", "prod", "sum"}


def shape_only(name: str, compute: Callable) -> Callable:
    """A function with the arguments of `compute` that returns arrays of garbage."""
    def uncomputed(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("out") is not None:
            return kwargs["out"]
        if name in IN_PLACE:
            return None
        if name in CREATE:
            return compute(*args, **kwargs)
        if name in COPIES:
            dtype = (args[1] if len(args) > 1 else kwargs.get("dtype")) or args[0].dtype
            if (kwargs.get("copy") is False and args[0].flags.c_contiguous
                    and args[0].dtype == dtype):
                return args[0]
            return np.empty(args[0].shape, dtype)
        if name == "reshape":
            return compute(np.empty(args[0].shape, args[0].dtype), *args[1:], **kwargs)
        if name == "matmul" and args[0].ndim == 1:
            return np.empty((*args[1].shape[:-2], args[1].shape[-1]), args[1].dtype)
        if name in REDUCTIONS:
            return _reduced(compute, *args, **kwargs)
        if isinstance(compute, np.ufunc) and compute.signature is None:
            kinds = [getattr(x, "dtype", type(x)) for x in args]
            dtype = compute.resolve_dtypes((*kinds, None))[-1]
            return np.empty(np.broadcast_shapes(*(np.shape(x) for x in args)), dtype)
        raise NotImplementedError(f"a dry run cannot tell the shape that {name} gives")

    return uncomputed


def _reduced(compute, a, axis=None, dtype=None, out=None, keepdims=False):
    axes = range(a.ndim) if axis is None else np.atleast_1d(axis) % a.ndim
    shape = [1 if i in axes else n for i, n in enumerate(a.shape) if keepdims or i not in axes]
    return np.empty(shape, dtype or compute(np.ones(1, a.dtype)).dtype)
