"""`cupy.ndarray`: a NumPy array that nobody outside gets hold of, and the block it lies in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cupy_table
import numpy as np

from . import _call
from ._machine import Block, machine

__all__ = ["asarray", "asnumpy", "ndarray"]


class ndarray:
    """An array on a device. Only what CuPy's arrays have; the rest are methods from the table."""

    __slots__ = ("__weakref__", "_block", "_values")
    __hash__ = None

    def __init__(self, shape: Any, dtype: Any = float) -> None:
        made = _call.allocate(shape, dtype)
        self._values, self._block = made._values, made._block

    @classmethod
    def _of(cls, values: np.ndarray, block: Block) -> ndarray:
        array = cls.__new__(cls)
        array._values, array._block = values, block
        return array

    def __getattr__(self, name: str) -> Any:
        if f"ndarray.{name}" in cupy_table.names():
            raise NotImplementedError(f"the stand-in does not imitate ndarray.{name}")
        raise AttributeError(f"'ndarray' object has no attribute {name!r}: "
                             f"{cupy_table.complaint(f'ndarray.{name}')}")

    # What is known without the device

    shape = property(lambda self: self._values.shape)
    strides = property(lambda self: self._values.strides)
    dtype = property(lambda self: self._values.dtype)
    ndim = property(lambda self: self._values.ndim)
    size = property(lambda self: self._values.size)
    nbytes = property(lambda self: self._values.nbytes)
    itemsize = property(lambda self: self._values.itemsize)
    T = property(lambda self: self._view(self._values.T))
    mT = property(lambda self: self._view(self._values.mT))
    real = property(lambda self: _call.call("real", np.real, (self,), {}))
    imag = property(lambda self: _call.call("imag", np.imag, (self,), {}))

    @property
    def flags(self) -> Any:
        flags = self._values.flags
        return SimpleNamespace(c_contiguous=flags.c_contiguous, f_contiguous=flags.f_contiguous,
                               owndata=flags.owndata)

    @property
    def device(self) -> Any:
        from .cuda import Device

        return Device(self._block.device.index)

    @property
    def data(self) -> Any:
        """The pointer, as far as a question about address and device goes."""
        return SimpleNamespace(ptr=self._values.__array_interface__["data"][0], mem=self._block,
                               device=self.device, device_id=self._block.device.index)

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def _view(self, values: np.ndarray) -> ndarray:
        return ndarray._of(values, self._block)

    # To the host: always by name, never by accident

    def get(self, stream: Any = None, order: str = "C", out: Any = None,
            blocking: bool = True) -> np.ndarray:
        """Copy to the host and wait. Follows the array to its device, except for the stream."""
        return self._fetch("get", stream, out, order)

    def _fetch(self, what: str, stream: Any = None, out: np.ndarray | None = None,
               order: str = "C") -> np.ndarray:
        if machine.dry:
            raise RuntimeError(f"{what}: a dry run computes nothing, so there is nothing to read")
        device, state = self._block.device, stream._state() if stream else machine.stream()
        if state is state.device.null:
            state = device.null
        machine.work(what, [self._block], [], state, count=False)
        machine.transfer("D2H", device.index, None, self.nbytes, self.shape, str(self.dtype))
        machine.wait(what, [state.now()])
        if out is None:
            return self._values.copy(order=order)
        out[...] = self._values
        return out

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()` "
                        "to construct a NumPy array explicitly.")

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        raise TypeError(f"numpy.{function.__name__} got an array on a device; use the function of "
                        "the same name in cupy, or copy the array to the host with .get()")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """`number * x`, where number is NumPy's: the only way in from NumPy."""
        host = any(isinstance(x, np.ndarray) and x.ndim for x in inputs)
        if method != "__call__" or host or not any(isinstance(x, np.generic) for x in inputs):
            raise TypeError(f"Unsupported type {np.ndarray}: numpy.{ufunc.__name__} got an array "
                            f"on a device; use cupy.{ufunc.__name__}, on arrays of the device only")
        return _call.Ufunc(ufunc.__name__)(*inputs, **kwargs)

    def item(self) -> Any:
        return self._fetch("item").item()

    def tolist(self) -> Any:
        return self._fetch("tolist").tolist()

    def tobytes(self, order: str = "C") -> bytes:
        return self._fetch("tobytes").tobytes(order)

    def __bool__(self) -> bool:
        return bool(self._fetch("bool()"))

    def __int__(self) -> int:
        return int(self._fetch("int()"))

    def __float__(self) -> float:
        return float(self._fetch("float()"))

    def __complex__(self) -> complex:
        return complex(self._fetch("complex()"))

    def __repr__(self) -> str:
        return repr(self._fetch("print"))

    def __str__(self) -> str:
        return str(self._fetch("print"))

    def __format__(self, spec: str) -> str:
        return format(self._fetch("print").item() if self.ndim == 0 else str(self), spec)

    def __iter__(self) -> Any:
        """Each element is an array of its own; who wants numbers must fetch them one by one."""
        length = len(self)
        machine.wait("iteration", [])
        return (self[index] for index in range(length))

    # In place, and copies

    def set(self, arr: np.ndarray, stream: Any = None) -> None:
        """Copy a NumPy array of the same type and shape into this one."""
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if (arr.dtype, arr.shape) != (self.dtype, self.shape):
            raise ValueError(f"Shape or dtype mismatch: {arr.dtype} {arr.shape} is to be set to "
                             f"{self.dtype} {self.shape}")
        self._values[...] = arr
        _sent(self)

    def copy(self, order: str = "C") -> ndarray:
        """A copy on the current device, whatever the device of this array."""
        return _copied("copy", self, None, order)

    def astype(self, dtype: Any, order: str = "K", **kwargs: Any) -> ndarray:
        _call.check_name("ndarray.astype", (dtype, order), kwargs)
        return _call.call("astype", np.ndarray.astype, (self, dtype, order), kwargs)

    def reshape(self, *shape: Any, **kwargs: Any) -> ndarray:
        _call.check_name("ndarray.reshape", shape, kwargs)
        return _call.call("reshape", np.ndarray.reshape, (self, *shape), kwargs)

    # Indices

    def __getitem__(self, key: Any) -> ndarray:
        key, arrays = _index(key)
        if not arrays:
            return self._view(self._values[key])
        if any(x.dtype == bool for x in arrays):
            machine.wait("boolean mask", [])
        # `take` needs all operands; the key itself is an argument like any other.
        return _call.call("getitem", lambda x, *_: x[key], (self, *arrays), {})

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(value, np.ndarray) and value.ndim:
            raise ValueError(f"a numpy.ndarray {value.shape} cannot be assigned to an array on a "
                             "device; copy it there first: cupy.array(x)")
        if isinstance(value, (list, tuple)):
            _call.refuse_host("assignment", value)
        if isinstance(value, np.ndarray):
            value = value.item()
        key, arrays = _index(key)
        if arrays:
            self._refuse_duplicates(key)
            if isinstance(value, ndarray) and any(x.dtype == bool for x in arrays):
                machine.wait("boolean mask", [])
            target = self
        else:
            target = self._view(self._values[key])

        def assign(values, new_values, *_):
            values[key if arrays else ...] = new_values

        name = "setitem" if isinstance(value, ndarray) else "fill"
        _call.call(name, assign, (target, value, *arrays), {}, in_place=True)

    def _refuse_duplicates(self, key: Any) -> None:
        places = np.arange(self.size).reshape(self.shape)[key].ravel()
        if np.unique(places).size < places.size:
            raise IndexError("assignment through an index array that names an element twice: which "
                             "value stays there depends on chance on a GPU")


def _index(key: Any) -> tuple[tuple, list[ndarray]]:
    """The key for the NumPy array inside, and the index arrays in it."""
    key = key if isinstance(key, tuple) else (key,)
    arrays = [k for k in key if isinstance(k, ndarray)]
    for k in key:
        if isinstance(k, (list, np.ndarray)):
            raise TypeError(f"an index is a {type(k).__name__} on the host: CuPy copies it to the "
                            "device without a word; do it openly: cupy.array(index)")
    inside = tuple(k._values if isinstance(k, ndarray) else k for k in key)
    if not arrays and Ellipsis not in inside:
        inside = (*inside, Ellipsis)  # x[0, 1] is an array without axes, not a number
    return inside, arrays


# Copies to the device and between devices


def asarray(name: str, obj: Any, dtype: Any = None, copy: bool | None = True,
            order: str | None = None) -> ndarray:
    """An array on the current device: obj itself if it may be, a copy otherwise.

    core.pyx of CuPy 14.2, array: `if order is None: order = 'K'`. Then, for what is on the host,
    _array_default: `if isinstance(obj, numpy.ndarray) and obj.flags.fnc: order = 'F'`, else 'C'.
    And _array_from_cupy_ndarray: `a = src._astype(dtype, order=order, copy=copy)` on the current
    device, `a = src.copy(order=order)._astype(dtype, copy=None)` from another one.
    """
    order = order or "K"
    if not isinstance(obj, ndarray):
        host = np.asarray(obj, dtype)
        if host.dtype.kind not in "fciub":
            raise ValueError(f"Unsupported dtype {host.dtype}")
        if order in "KA":
            order = "F" if isinstance(obj, np.ndarray) and obj.flags.fnc else "C"
        host = host.astype(host.dtype.newbyteorder("="), order, copy=not machine.dry)
        made = _call.new(host, f"{name} of a host array")
        _sent(made)
        return made
    here = obj._block.device is machine.current
    if here and not copy and dtype in (None, obj.dtype) and _has(obj, order):
        return obj
    return _copied(name, obj, dtype, order)


def _has(x: ndarray, order: str) -> bool:
    """Whether x lies in this order already; `_astype` of core.pyx asks the same."""
    flags = x._values.flags
    return {"K": True, "A": flags.forc, "C": flags.c_contiguous, "F": flags.f_contiguous}[order]


def _sent(array: ndarray) -> None:
    stream = machine.stream(array._block.device)
    machine.work("a copy from the host", [], [array._block], stream, count=False)
    machine.transfer("H2D", None, array._block.device.index, array.nbytes, array.shape,
                     str(array.dtype))


def _copied(name: str, x: ndarray, dtype: Any, order: str) -> ndarray:
    """core.pyx of CuPy 14.2, ndarray.copy: from another device, `x = self.astype(self.dtype,
    order=order, copy=False)` is made there, on its current stream. Then `if not x._c_contiguous and
    not x._f_contiguous: raise NotImplementedError`, and the copy has x's order.
    """
    source, here = x._block.device, machine.current
    if source is here:
        dtype = dtype or x.dtype
        return _call.call(name, lambda values: values.astype(dtype, order), (x,), {})
    machine.make_current(source.index)
    try:
        x = x.astype(x.dtype, order, copy=False)
    finally:
        machine.make_current(here.index)
    if not x._values.flags.forc:
        raise NotImplementedError(
            f"{name}: CuPy cannot copy non-contiguous array between devices: {x.shape} from GPU "
            f"{source.index} to GPU {here.index}; make it contiguous on GPU {source.index} first")
    values = x._values if machine.dry else x._values.copy("K")
    copied = _call.new(values, f"a copy from GPU {source.index}")
    machine.work(f"a copy from GPU {source.index} to GPU {here.index}", [x._block],
                 [copied._block], count=False)
    machine.transfer("D2D", source.index, here.index, x.nbytes, x.shape, str(x.dtype))
    return copied if dtype in (None, x.dtype) else copied.astype(dtype)


def asnumpy(a: Any, stream: Any = None, order: str = "C", out: Any = None, *,
            blocking: bool = True) -> np.ndarray:
    if isinstance(a, ndarray):
        return a._fetch("asnumpy", stream, out, order)
    return np.asarray(a, order=order)


# Methods and operators that are calls like any other

NOT_IMITATED = {"dump", "dumps", "mdspan", "ptp", "reduced_view", "scatter_add", "scatter_max",
                "scatter_min", "toDlpack", "tofile"}


def _method(name: str) -> Any:
    compute = getattr(np.ndarray, name)

    def method(self, *args: Any, **kwargs: Any) -> Any:
        _call.check_arguments(f"ndarray.{name}", args, kwargs)
        return _call.call(name, compute, (self, *args), kwargs, name in _call.IN_PLACE)

    method.__name__ = name
    return method


def _operator(ufunc: str, swapped: bool = False, in_place: bool = False) -> Any:
    def operate(self, other: Any) -> Any:
        operands = (other, self) if swapped else (self, other)
        for operand in operands:
            _call.refuse_host(ufunc, operand)
        if not isinstance(other, (ndarray, *_call.OPERANDS)):
            return NotImplemented
        return _call.Ufunc(ufunc)(*operands, **({"out": self} if in_place else {}))

    return operate


def _fill_class() -> None:
    for full, arguments in cupy_table.names().items():
        name = full.removeprefix("ndarray.")
        if name != full and arguments is not None and name not in {*vars(ndarray), *NOT_IMITATED}:
            setattr(ndarray, name, _method(name))
    binary = {"add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide",
              "floordiv": "floor_divide", "mod": "remainder", "pow": "power", "and": "bitwise_and",
              "or": "bitwise_or", "xor": "bitwise_xor", "lshift": "left_shift",
              "rshift": "right_shift"}
    for name, ufunc in binary.items():
        setattr(ndarray, f"__{name}__", _operator(ufunc))
        setattr(ndarray, f"__r{name}__", _operator(ufunc, swapped=True))
        setattr(ndarray, f"__i{name}__", _operator(ufunc, in_place=True))
    for name, ufunc in {"lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
                        "eq": "equal", "ne": "not_equal"}.items():
        setattr(ndarray, f"__{name}__", _operator(ufunc))
    for name, ufunc in {"neg": "negative", "pos": "positive", "abs": "absolute",
                        "invert": "invert"}.items():
        setattr(ndarray, f"__{name}__", lambda self, ufunc=ufunc: _call.Ufunc(ufunc)(self))
    ndarray.__matmul__ = lambda self, other: _call.function("matmul", np.matmul)(self, other)


_fill_class()
