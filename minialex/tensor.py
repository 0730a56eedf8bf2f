"""Tensor, Node and the walk back: the tape of automatic differentiation.

`record` notes on the tape (a graph of `Node`s) which inputs receive the gradient of an op's result;
`@op` (operation.py) calls it. `Tensor.backward` walks that graph once, from the result to the
leaves, and frees each node as it goes. Built in chapter 02.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import operator
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import backend, checks
from .backend import Array, Device

__all__ = ["Node", "Tensor", "load", "mark_changed", "no_grad", "randn", "record", "zeros"]


def _operator(*operands: Any) -> Tensor:
    """A placeholder for an operator, until the op that declares it replaces it."""
    raise NotImplementedError


class Tensor:
    """An array on a device, and, if it `requires_grad`, its place on the tape.

    array: nested lists, or an array, which is copied to `device` (default: `backend.use`).
    Floats in lists become float32; arrays keep their type. Integers cannot require a gradient.
    `data` is the array itself. Do not write into it between forward and backward: the tape keeps
    it without a copy. `grad` is the gradient (a Tensor, or None).
    `x.numpy()`, `x.item()`, `float(x)` and `x.detach()` give values, through which no gradient
    flows. NumPy's functions on a tensor that requires a gradient are refused.
    """

    __slots__ = ("__weakref__", "_grad", "changed", "data", "device", "node", "requires_grad")
    __array_priority__ = 1000.0  # NumPy leaves `array * tensor` to us
    __neg__ = __add__ = __sub__ = __mul__ = __truediv__ = __matmul__ = __pow__ = _operator
    __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rmatmul__ = __rpow__ = _operator
    __getitem__ = __lt__ = __le__ = __gt__ = __ge__ = checks.no_operator
    __getattr__ = checks.no_attribute  # called only for a name that was not found

    def __init__(self, array: Any, device: str | Device | None = None,
                 requires_grad: bool = False) -> None:
        checks.not_yet_tensor(array, Tensor)
        listed, array = not hasattr(array, "dtype"), checks.converted(np.asanyarray, array)
        if listed and array.dtype == np.float64:
            array = array.astype(np.float32)
        checks.array(array, requires_grad)
        self.device = backend.default() if device is None else backend.device(device)
        self.data = self.device.asarray(array)
        self._grad: Tensor | None = None
        self.node: Node | None = None
        self.requires_grad = requires_grad
        self.changed = 0  # when `data` was last written in place, by the clock of the tape

    @classmethod
    def _of(cls, data: Array, device: Device) -> Tensor:
        """Wrap an array that lies on `device` already, without a copy."""
        tensor = cls.__new__(cls)
        tensor.data, tensor.device, tensor.requires_grad, tensor.changed = data, device, False, 0
        tensor._grad = tensor.node = None
        return tensor

    @property
    def grad(self) -> Tensor | None:
        return self._grad

    @grad.setter
    def grad(self, gradient: Tensor | None) -> None:
        checks.gradient(self, gradient)
        self._grad = gradient

    shape = property(operator.attrgetter("data.shape"))
    dtype = property(operator.attrgetter("data.dtype"))
    ndim = property(operator.attrgetter("data.ndim"))
    size = property(operator.attrgetter("data.size"))

    def __repr__(self) -> str:
        values = np.array2string(self.numpy(), precision=4, threshold=20, prefix="Tensor(")
        grad = ", requires_grad=True" if self.requires_grad else ""
        return f"Tensor({values}, shape={self.shape}, {self.dtype}, {self.device}{grad})"

    def numpy(self) -> np.ndarray:
        """The values as a NumPy array on the host: a copy; waits for the device."""
        return self.device.to_host(self.data)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        checks.handed_to_numpy(self, self.requires_grad and not _thread.silent)
        return self.numpy() if dtype is None else self.numpy().astype(dtype)

    def item(self) -> Any:
        """The value of a tensor with one element, as a Python number; waits for the device."""
        return checks.single(self).numpy().item()

    def __float__(self) -> float:
        return float(self.item())

    def __format__(self, spec: str) -> str:  # f"{loss:.3f}"
        return format(self.item() if spec else str(self), spec)

    def __bool__(self) -> bool:
        return bool(self.item())

    def __getstate__(self) -> dict[str, Any]:
        """What copy and pickle keep: the values on the host, and the device by its name."""
        checks.copied(self)
        own = getattr(self, "__dict__", ())  # where a class made from this one has no slots
        names = {name for cls in type(self).__mro__ for name in getattr(cls, "__slots__", own)}
        state = {name: getattr(self, name) for name in names - {"__weakref__"}}
        return {**state, "data": self.numpy(), "device": self.device.name, "changed": 0}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        self.device = backend.device(state["device"])
        self.data = self.device.asarray(state["data"])

    def detach(self) -> Tensor:
        """The same values, off the tape: not copied, so an optimizer's step changes both."""
        return Tensor._of(self.data, self.device)

    def backward(self, gradient: Any = None) -> None:
        """Add d(self)/d(leaf) to the `grad` of every leaf that requires a gradient.

        gradient: d(final result)/d(self), of self's shape; may be left out for a single number.
        The tape is used up: the second call raises RuntimeError. Built in chapter 02.
        """
        checks.backward(self, gradient)
        seed = np.ones(self.shape) if gradient is None else gradient
        seed = seed.numpy() if isinstance(seed, Tensor) else checks.converted(np.asarray, seed)
        gradient = self.device.asarray(checks.upstream(self, seed), self.dtype)
        if self.node is None:
            _add_to_leaf(self, gradient)
        else:
            _walk_back(self.node, gradient)


@dataclass(eq=False, slots=True)
class Node:
    """One recorded op: the function that pulls the gradient back, and which inputs receive it.

    A parent is the node that made the input, or the leaf tensor itself, or None if that input
    needs no gradient. The input's value is not kept here: only `backward` knows what it needs.
    """

    name: str
    backward: Callable | None
    parents: tuple[Node | Tensor | None, ...]
    shape: tuple[int, ...]
    dtype: np.dtype
    device: Device  # where backward works
    made: int  # when, by the clock of the tape

    def pull(self, gy: Array) -> Sequence[Array]:
        """The gradients of the inputs, from the gradient of the result; frees what they needed."""
        backward, self.backward = checks.unused(self.name, self.backward), None
        with self.device:
            gradients = backward(gy)
        return checks.gradients(self.name, gradients, self.parents)


def _walk_back(root: Node, gradient: Array) -> None:
    """Carry the gradient from `root` to the leaves, freeing the tape on the way.

    The newest node goes first, so each node comes after all nodes that used its result.
    """
    pending, waiting = {root: gradient}, [(-root.made, root)]
    while waiting:
        _, node = heapq.heappop(waiting)
        gy = pending.pop(node)
        gradients = node.pull(gy)
        parents, node.parents = node.parents, ()
        for index, (parent, g) in enumerate(zip(parents, gradients, strict=True)):
            if isinstance(parent, Tensor):
                checks.unchanged(node.name, index, parent, node.made, node.device)
                _add_to_leaf(parent, g, (gy, *gradients[:index]))
            elif parent in pending:
                pending[parent] = _sum(node.device, pending[parent], g)
            elif parent is not None:
                pending[parent] = g
                heapq.heappush(waiting, (-parent.made, parent))


def _sum(device: Device, a: Array, b: Array) -> Array:
    with device:
        return device.xp.add(a, b, out=device.xp.empty(a.shape, a.dtype))


def _add_to_leaf(leaf: Tensor, gradient: Array, others: Sequence[Array] = ()) -> None:
    """Add to the gradient of a leaf, in memory of its own: the user may write into it.

    others: arrays in use elsewhere, with which the gradient may share its memory.
    """
    with backend.lock, leaf.device:  # another thread may add to the same leaf
        if leaf.grad is not None:
            gradient = _sum(leaf.device, leaf.grad.data, gradient)
        # One number for many entries has a stride of 0, or no strides if they are one.
        elif 0 in (gradient.strides or (0,)) or any(
                leaf.device.xp.may_share_memory(gradient, other)
                for other in others if type(other) is type(gradient)):
            gradient = gradient.copy()
        leaf._grad = Tensor._of(leaf.device.own(gradient), leaf.device)


class _Thread(threading.local):
    silent = 0  # how many `no_grad` blocks of this thread are open


_thread = _Thread()
_clock = itertools.count(1)  # numbers what happens to the tape, in order


@contextlib.contextmanager
def no_grad() -> Iterator[None]:
    """`with no_grad():` computes values only: nothing is recorded, nothing kept for backward.

    It applies to this thread. In a generator it also applies between two values, to the code that
    takes them. `@no_grad()` does the same for a function, but not for a generator.
    """
    mine = vars(_thread)  # also if another thread closes what this one has opened
    mine["silent"] = _thread.silent + 1
    try:
        yield
    finally:
        mine["silent"] -= 1  # counted, so that two generators may end in any order


def mark_changed(tensor: Tensor) -> None:
    """Say that `tensor.data` has been written to: tapes from before that are then refused."""
    tensor.changed = next(_clock)


def record(name: str, value: Array, device: Device, backward: Callable, inputs: Sequence[Any],
           backward_device: Device | None = None, needs: bool = False) -> Tensor:
    """The result of an op as a Tensor, noted on the tape if one of the inputs requires a gradient.

    backward: gy -> gradients; or (gy, needs) -> gradients, where `needs` says which are wanted.
    """
    result = Tensor._of(value, device)
    parents = tuple([
        (x.node or x) if isinstance(x, Tensor) and x.requires_grad else None for x in inputs])
    if parents.count(None) < len(parents) and not _thread.silent:
        result.requires_grad = True
        pull = backward if not needs else (
            lambda gy: backward(gy, tuple([parent is not None for parent in parents])))
        result.node = Node(name, pull, parents, value.shape, value.dtype,
                           backward_device or device, next(_clock))
    return result


def load(tensors: Mapping[str, Tensor], arrays: Mapping[str, np.ndarray], what: str) -> None:
    """Set tensors to stored arrays. Names, shapes and types must fit; else nothing is changed."""
    arrays = {name: np.asarray(array) for name, array in checks.by_name(what, arrays).items()}
    checks.stored(tensors, arrays, what)
    for name, tensor in tensors.items():
        tensor.data = tensor.device.asarray(arrays[name])
        mark_changed(tensor)


def zeros(*shape: int, dtype: Any = np.float32, **options: Any) -> Tensor:
    """A tensor of zeros; options: `device`, `requires_grad`."""
    return Tensor(checks.made("zeros", np.zeros, shape, dtype, options), **options)


def randn(*shape: int, rng: np.random.Generator, dtype: Any = np.float32, **options: Any) -> Tensor:
    """Standard normal numbers from a NumPy generator; options: `device`, `requires_grad`."""
    return Tensor(checks.drawn("randn", rng, shape, dtype, options), **options)
