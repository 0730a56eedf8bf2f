"""Tensor, Node, `@op` and the walk back: all of automatic differentiation.

An op is one function `f(xp, *arrays, **options) -> (value, backward)`. `@op` lifts it from arrays
to tensors: it checks the inputs, makes their device current, calls the function and notes on the
tape (a graph of `Node`s) whom the gradient goes to. `Tensor.backward` walks that graph once, from
the result to the leaves, and frees each node as it goes. Built in chapter 02.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from . import backend
from .backend import Array, Device, DeviceError

__all__ = ["HostArray", "Node", "Tensor", "no_grad", "op", "randn", "record", "zeros"]

HostArray = np.ndarray  # annotates an op's parameter that stays on the host, such as labels


class Tensor:
    """An array on a device, and, if it `requires_grad`, its place on the tape.

    array: nested lists or a NumPy array, which is copied to `device` (default: `backend.use`).
    Floats in lists become float32; NumPy arrays keep their type. Integers cannot require a
    gradient. `data` is the array itself, `grad` the gradient (a Tensor, or None).
    """

    __slots__ = ("__weakref__", "data", "device", "grad", "node", "requires_grad")
    __array_ufunc__ = None  # NumPy leaves `array * tensor` to us

    def __init__(
        self, array: Any, device: str | Device | None = None, requires_grad: bool = False
    ) -> None:
        if isinstance(array, Tensor):
            raise TypeError("Tensor: array is a Tensor already; use transfer(x, device) to copy "
                            "it to another device or x.detach() to leave the tape")
        if not hasattr(array, "dtype"):
            array = np.asarray(array)
            if array.dtype == np.float64:
                array = array.astype(np.float32)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"Tensor: array has dtype {array.dtype}; "
                            "it must hold floats, integers or booleans")
        if requires_grad and array.dtype.kind != "f":
            raise TypeError(f"Tensor: {array.dtype} values cannot require a gradient; "
                            "convert them first: array.astype('float32')")
        self.device = backend.default() if device is None else backend.device(device)
        self.data = self.device.asarray(array)
        self.grad: Tensor | None = None
        self.node: Node | None = None
        self.requires_grad = requires_grad

    @classmethod
    def _of(cls, data: Array, device: Device) -> Tensor:
        """Wrap an array that lies on `device` already, without a copy."""
        tensor = cls.__new__(cls)
        tensor.data, tensor.device = data, device
        tensor.grad = tensor.node = None
        tensor.requires_grad = False
        return tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def dtype(self) -> np.dtype:
        return self.data.dtype

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def size(self) -> int:
        return self.data.size

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        values = np.array2string(self.numpy(), precision=4, threshold=20, prefix="Tensor(")
        grad = ", requires_grad=True" if self.requires_grad else ""
        return f"Tensor({values}, shape={self.shape}, {self.dtype}, {self.device}{grad})"

    def numpy(self) -> np.ndarray:
        """The values as a NumPy array on the host: a copy; waits for the device."""
        return self.device.to_host(self.data)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.device.kind != "cpu":
            raise TypeError(f"a Tensor on {self.device} does not become a NumPy array by itself; "
                            "call x.numpy() to copy it to the host")
        return self.numpy() if dtype is None else self.numpy().astype(dtype)

    def item(self) -> float:
        """The value of a tensor with one element, as a Python number; waits for the device."""
        return self.numpy().item()

    __float__ = item

    def detach(self) -> Tensor:
        """The same values (not copied), off the tape."""
        return Tensor._of(self.data, self.device)

    def backward(self, gradient: Any = None) -> None:
        """Add d(self)/d(leaf) to the `grad` of every leaf that requires a gradient.

        gradient: d(final result)/d(self), of self's shape; may be left out for a single number.
        The tape is used up: the second call raises RuntimeError. Paper: none; chapter 02.
        """
        if not self.requires_grad:
            raise RuntimeError("backward: nothing was recorded for this tensor; it was made under "
                               "no_grad() or from tensors none of which has requires_grad=True")
        if gradient is None and self.size != 1:
            raise RuntimeError(f"backward: a tensor of shape {self.shape} is not a single number; "
                               "reduce it first, say with ops.sum(x), or pass the gradient of the "
                               "final result: x.backward(gradient)")
        gradient = self._seed(gradient)
        if gradient.shape != self.shape:
            raise ValueError(f"backward: the gradient has shape {gradient.shape}, "
                             f"the tensor {self.shape}; they must be equal")
        if self.node is None:
            _add_to_leaf(self, gradient)
        else:
            _walk_back(self.node, gradient)

    def _seed(self, gradient: Any) -> Array:
        if isinstance(gradient, Tensor):
            gradient = gradient.numpy()
        if gradient is not None:
            return self.device.asarray(gradient, self.dtype)
        with self.device:
            one = self.device.xp.empty(self.shape, self.dtype)
            one.fill(1)
        return one


class Node:
    """One recorded op: the function that pulls the gradient back, and whom it goes to.

    A parent is the node that made the input, or the leaf tensor itself, or None if that input
    needs no gradient. The input's value is not kept here: only `backward` knows what it needs.
    """

    __slots__ = ("backward", "device", "dtype", "name", "parents", "shape")

    def __init__(
        self, name: str, backward: Callable | None, parents: tuple[Node | Tensor | None, ...],
        result: Tensor, device: Device,
    ) -> None:
        self.name, self.backward, self.parents = name, backward, parents
        self.shape, self.dtype, self.device = result.shape, result.dtype, device

    def pull(self, gy: Array) -> Sequence[Array | None]:
        """The gradients of the inputs, from the gradient of the result; frees what they needed."""
        backward, self.backward = self.backward, None
        if backward is None:
            raise RuntimeError(f"backward: the tape below this {self.name} has been used and freed "
                               "by an earlier backward(); run the forward pass again")
        with self.device:
            if backward.__code__.co_argcount == 2:  # can leave out what nobody wants
                gradients = backward(gy, tuple(parent is not None for parent in self.parents))
            else:
                gradients = backward(gy)
        if not isinstance(gradients, tuple):
            gradients = (gradients,)
        if len(gradients) != len(self.parents):
            raise RuntimeError(f"{self.name}: backward returned {len(gradients)} gradients for "
                               f"{len(self.parents)} inputs; return one for each")
        return tuple(None if g is None else self.device.adopt(g) for g in gradients)


def _order(root: Node) -> Iterator[Node]:
    """Every node that `root` was made from, each after all the nodes that use it."""
    uses: dict[Node, int] = {}
    stack = [root]
    while stack:
        node = stack.pop()
        uses[node] = uses.get(node, 0) + 1
        if uses[node] == 1:
            stack.extend(parent for parent in node.parents if isinstance(parent, Node))
    ready = [root]
    while ready:
        node = ready.pop()
        parents = node.parents
        yield node
        for parent in parents:
            if isinstance(parent, Node):
                uses[parent] -= 1
                if uses[parent] == 0:
                    ready.append(parent)


def _walk_back(root: Node, gradient: Array) -> None:
    """Carry the gradient from `root` to the leaves, freeing the tape on the way."""
    pending = {root: gradient}
    for node in _order(root):
        gy = pending.pop(node)
        gradients = node.pull(gy)
        parents, node.parents = node.parents, ()
        for index, (parent, g) in enumerate(zip(parents, gradients, strict=True)):
            if parent is None:
                continue
            if g is None or g.shape != parent.shape or g.dtype != parent.dtype:
                got = "None" if g is None else f"{g.dtype} {g.shape}"
                raise RuntimeError(f"{node.name}: backward returned {got} for input {index}, "
                                   f"which is {parent.dtype} {parent.shape}")
            if isinstance(parent, Tensor):
                others = (gy, *gradients[:index])
                _add_to_leaf(parent, g, shared=any(_overlap(parent.device, g, o) for o in others))
            elif parent in pending:
                pending[parent] = _sum(parent.device, pending[parent], g)
            else:
                pending[parent] = g


def _sum(device: Device, a: Array, b: Array) -> Array:
    with device:
        return device.xp.add(a, b, out=device.xp.empty(a.shape, a.dtype))


def _overlap(device: Device, a: Array, b: Array | None) -> bool:
    """Whether two gradients may be the same memory; arrays of two libraries never are."""
    return type(a) is type(b) and bool(device.xp.may_share_memory(a, b))


def _add_to_leaf(leaf: Tensor, gradient: Array, shared: bool = False) -> None:
    """Give a leaf a gradient of its own: it is the user's, who may well write into it."""
    if leaf.grad is not None:
        gradient = _sum(leaf.device, leaf.grad.data, gradient)
    elif shared:
        with leaf.device:
            copy = leaf.device.xp.empty(gradient.shape, gradient.dtype)
            copy[...] = gradient
            gradient = copy
    leaf.grad = Tensor._of(gradient, leaf.device)


_recording = True


@contextlib.contextmanager
def no_grad() -> Iterator[None]:
    """`with no_grad():` computes values only: nothing is recorded, nothing kept for backward."""
    global _recording
    before, _recording = _recording, False
    try:
        yield
    finally:
        _recording = before


def record(
    name: str, value: Array, device: Device, backward: Callable, inputs: Sequence[Any],
    backward_device: Device | None = None,
) -> Tensor:
    """The result of an op as a Tensor, noted on the tape if one of the inputs wants a gradient."""
    result = Tensor._of(value, device)
    if _recording:
        parents = tuple(
            (x.node or x) if isinstance(x, Tensor) and x.requires_grad else None for x in inputs)
        if any(parent is not None for parent in parents):
            result.requires_grad = True
            result.node = Node(name, backward, parents, result, backward_device or device)
    return result


def op(function: Callable | None = None, *, methods: Sequence[str] = ()) -> Callable:
    """Lift `f(xp, *arrays, **options) -> (value, backward)` from arrays to tensors.

    `backward(gy)` returns one gradient for each array (a single one need not be a tuple), or None
    where there is none; `backward(gy, needs)` may also leave out those whose `needs` is False.
    A parameter with an annotation is no tensor (`axis: int`, `labels: HostArray`) and has none.
    methods: the operators of Tensor that call this op; "__rsub__" and its like swap the operands.
    `f.on_arrays` is the function itself. Errors name the op and the argument.
    """
    if function is None:
        return functools.partial(op, methods=methods)
    name = function.__name__
    positional = list(inspect.signature(function).parameters.values())[1:]
    named = [p.name for p in positional
             if p.kind is p.POSITIONAL_OR_KEYWORD and p.annotation is p.empty]
    any_number = any(p.kind is p.VAR_POSITIONAL for p in positional)

    @functools.wraps(function)
    def lifted(*inputs: Any, **options: Any) -> Tensor:
        if options and not options.keys().isdisjoint(named):
            inputs = _by_position(name, named, inputs, options)
        values: tuple = ()
        if len(inputs) > len(named) and not any_number:
            inputs, values = inputs[: len(named)], inputs[len(named) :]
        first = None
        arrays = []
        for index, x in enumerate(inputs):
            if isinstance(x, Tensor):
                if first is None:
                    first, first_index = x, index
                elif x.device is not first.device:
                    raise DeviceError(_mixed_devices(name, named, first_index, index, inputs))
                elif x.dtype != first.dtype and x.dtype.kind != "b":
                    raise TypeError(_mixed_types(name, named, first_index, index, inputs))
                arrays.append(x.data)
            elif x is None or type(x) in (int, float):
                arrays.append(x)
            elif isinstance(x, np.number):
                arrays.append(x.item())  # a NumPy scalar would promote float32 to float64
            else:
                raise TypeError(f"{name}: {_argument(named, index)} is a {type(x).__name__}, "
                                "not a Tensor; wrap it: Tensor(array, device=...)")
        if first is None:
            raise TypeError(f"{name}: no input is a Tensor; wrap the array: Tensor(array)")
        device = first.device
        with device:
            value, backward = function(device.xp, *arrays, *values, **options)
        return record(name, device.adopt(value), device, backward, inputs)

    lifted.on_arrays = function
    for method in methods:
        setattr(Tensor, method, _swapped(lifted) if method.startswith("__r") else lifted)
    return lifted


def _swapped(lifted: Callable) -> Callable:
    return lambda self, other: lifted(other, self)


def _by_position(name: str, named: list[str], inputs: tuple, options: dict) -> tuple:
    """`linear(x, w, b=b)` is `linear(x, w, b)`: arrays given by name take their places."""
    values = list(inputs)
    for position, argument in enumerate(named):
        if argument in options:
            if position < len(values):
                raise TypeError(f"{name}: {argument} is given twice")
            values.extend([None] * (position - len(values)))
            values.append(options.pop(argument))
    return tuple(values)


def _argument(named: list[str], index: int) -> str:
    return named[index] if index < len(named) else f"input {index}"


def _mixed_devices(name: str, named: list[str], a: int, b: int, inputs: tuple) -> str:
    x, y = inputs[a], inputs[b]
    a, b = _argument(named, a), _argument(named, b)
    return (f"{name}: {b} {y.shape} on {y.device} but {a} {x.shape} on {x.device}; "
            f"call transfer({b}, '{x.device}')")


def _mixed_types(name: str, named: list[str], a: int, b: int, inputs: tuple) -> str:
    x, y = inputs[a], inputs[b]
    a, b = _argument(named, a), _argument(named, b)
    return (f"{name}: {b} is {y.dtype} but {a} is {x.dtype}; nothing is converted silently: make "
            f"both the same when they are created, say array.astype('{x.dtype}')")


def zeros(
    *shape: int, device: str | Device | None = None, dtype: Any = np.float32,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of zeros."""
    return Tensor(np.zeros(shape, dtype), device, requires_grad)


def randn(
    *shape: int, rng: np.random.Generator, device: str | Device | None = None,
    dtype: Any = np.float32, requires_grad: bool = False,
) -> Tensor:
    """Standard normal numbers from a NumPy generator: the same on every device."""
    return Tensor(rng.standard_normal(shape, dtype), device, requires_grad)
