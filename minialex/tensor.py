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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import backend
from .backend import Array, Device, DeviceError
from .errors import InputError, InputTypeError, UsageError

__all__ = ["HostArray", "Node", "Tensor", "load", "no_grad", "op", "randn", "record", "zeros"]

HostArray = np.ndarray  # annotates an op's parameter that stays on the host, such as labels


class Tensor:
    """An array on a device, and, if it `requires_grad`, its place on the tape.

    array: nested lists or a NumPy array, which is copied to `device` (default: `backend.use`).
    Floats in lists become float32; NumPy arrays keep their type. Integers cannot require a
    gradient. `data` is the array itself, `grad` the gradient (a Tensor, or None).
    """

    __slots__ = ("__weakref__", "data", "device", "grad", "node", "requires_grad")
    __array_ufunc__ = None  # NumPy leaves `array * tensor` to us

    def __init__(self, array: Any, device: str | Device | None = None,
                 requires_grad: bool = False) -> None:
        if isinstance(array, Tensor):
            raise InputTypeError("Tensor: array is a Tensor; use transfer(x, device) or x.detach()")
        if not hasattr(array, "dtype"):
            array = np.asarray(array)
            if array.dtype == np.float64:
                array = array.astype(np.float32)
        if array.dtype.kind not in "fiub":
            raise InputTypeError(f"Tensor: array is {array.dtype}; give floats, integers or "
                                 "booleans")
        if requires_grad and array.dtype.kind != "f":
            raise InputTypeError(f"Tensor: {array.dtype} has no gradient; "
                                 "use array.astype('float32')")
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

    def __repr__(self) -> str:
        values = np.array2string(self.numpy(), precision=4, threshold=20, prefix="Tensor(")
        grad = ", requires_grad=True" if self.requires_grad else ""
        return f"Tensor({values}, shape={self.shape}, {self.dtype}, {self.device}{grad})"

    def numpy(self) -> np.ndarray:
        """The values as a NumPy array on the host: a copy; waits for the device."""
        return self.device.to_host(self.data)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.device.kind != "cpu":
            raise InputTypeError(f"Tensor on {self.device}: call x.numpy() to copy it to the host")
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
        The tape is used up: the second call raises RuntimeError. Built in chapter 02.
        """
        if not self.requires_grad:
            raise UsageError("backward: nothing was recorded for this tensor; it was made under "
                             "no_grad() or from tensors none of which has requires_grad=True")
        if gradient is None and self.size != 1:
            raise UsageError(f"backward: a tensor of shape {self.shape} is not a single number; "
                             "reduce it first, say with ops.sum(x), or call x.backward(gradient)")
        seed = np.ones(self.shape) if gradient is None else gradient
        seed = seed.numpy() if isinstance(seed, Tensor) else np.asarray(seed)
        if seed.shape != self.shape:
            raise InputError(f"backward: gradient is {seed.shape}, not {self.shape} as the tensor")
        gradient = self.device.asarray(seed, self.dtype)
        if self.node is None:
            _add_to_leaf(self, gradient)
        else:
            _walk_back(self.node, gradient)


@dataclass(eq=False, slots=True)
class Node:
    """One recorded op: the function that pulls the gradient back, and whom it goes to.

    A parent is the node that made the input, or the leaf tensor itself, or None if that input
    needs no gradient. The input's value is not kept here: only `backward` knows what it needs.
    """

    name: str
    backward: Callable | None
    parents: tuple[Node | Tensor | None, ...]
    shape: tuple[int, ...]
    dtype: np.dtype
    device: Device  # where backward works

    def pull(self, gy: Array) -> Sequence[Array | None]:
        """The gradients of the inputs, from the gradient of the result; frees what they needed."""
        backward, self.backward = self.backward, None
        if backward is None:
            raise UsageError(f"backward: the tape below this {self.name} has been used and freed "
                             "by an earlier backward(); run the forward pass again")
        with self.device:
            if backward.__code__.co_argcount == 2:  # can leave out what nobody wants
                gradients = backward(gy, tuple(parent is not None for parent in self.parents))
            else:
                gradients = backward(gy)
        if not isinstance(gradients, tuple):
            gradients = (gradients,)
        if len(gradients) != len(self.parents):
            raise UsageError(f"{self.name}: backward must return {len(self.parents)} gradients, "
                             f"one for each input, but returned {len(gradients)}")
        return gradients


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
                raise UsageError(f"{node.name}: backward returned {got} for input {index}, "
                                 f"which is {parent.dtype} {parent.shape}")
            if isinstance(parent, Tensor):
                others = [o for o in (gy, *gradients[:index]) if type(o) is type(g)]
                shared = any(parent.device.xp.may_share_memory(g, other) for other in others)
                _add_to_leaf(parent, g, shared or 0 in g.strides)  # 0: one number for many entries
            elif parent in pending:
                pending[parent] = _sum(node.device, pending[parent], g)
            else:
                pending[parent] = g


def _sum(device: Device, a: Array, b: Array) -> Array:
    with device:
        return device.xp.add(a, b, out=device.xp.empty(a.shape, a.dtype))


def _add_to_leaf(leaf: Tensor, gradient: Array, shared: bool = False) -> None:
    """Give a leaf a gradient of its own: it is the user's, who may well write into it."""
    if leaf.grad is not None:
        gradient = _sum(leaf.device, leaf.grad.data, gradient)
    elif shared:
        with leaf.device:
            gradient = gradient.copy()
    leaf.grad = Tensor._of(leaf.device.own(gradient), leaf.device)


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


def record(name: str, value: Array, device: Device, backward: Callable, inputs: Sequence[Any],
           backward_device: Device | None = None) -> Tensor:
    """The result of an op as a Tensor, noted on the tape if one of the inputs wants a gradient."""
    result = Tensor._of(value, device)
    parents = tuple([
        (x.node or x) if isinstance(x, Tensor) and x.requires_grad else None for x in inputs])
    if _recording and any(parents):
        result.requires_grad = True
        result.node = Node(name, backward, parents, result.shape, result.dtype,
                           backward_device or device)
    return result


def op(function: Callable | None = None, *, methods: Sequence[str] = ()) -> Any:
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
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())[1:]
    named = [p.name for p in parameters
             if p.kind is p.POSITIONAL_OR_KEYWORD and p.annotation is p.empty]
    required = sum(p.default is p.empty for p in parameters[: len(named)])
    any_number = any(p.kind is p.VAR_POSITIONAL for p in parameters)

    @functools.wraps(function)
    def lifted(*inputs: Any, **options: Any) -> Tensor:
        if options and not options.keys().isdisjoint(named):  # linear(x, w, b=b)
            bound = signature.bind(None, *inputs, **options)
            inputs, options = bound.args[1:], bound.kwargs
        tensors = inputs if any_number else inputs[: len(named)]
        for first in tensors:
            if isinstance(first, Tensor):
                break
        else:
            raise _misfit(name, named, tensors or (None,), 0, None)
        device, dtype, arrays = first.device, first.data.dtype, []
        for index, x in enumerate(tensors):
            if isinstance(x, Tensor) and x.device is device and x.data.dtype in (dtype, bool):
                arrays.append(x.data)
            elif x is None and index >= required:
                arrays.append(None)
            elif methods and isinstance(x, (int, float, np.number)):
                # A NumPy number would promote float32 to float64.
                arrays.append(x.item() if isinstance(x, np.number) else x)
            else:
                raise _misfit(name, named, tensors, index, first)
        with device:
            value, backward = function(device.xp, *arrays, *inputs[len(tensors) :], **options)
        return record(name, device.own(value), device, backward, tensors)

    lifted.on_arrays = function  # type: ignore[attr-defined]
    for method in methods:
        swapped = method.startswith("__r")
        setattr(Tensor, method, (lambda b, a: lifted(a, b)) if swapped else lifted)
    return lifted


def _misfit(op: str, named: list[str], inputs: tuple, index: int, first: Any) -> Exception:
    """What to say about an input that is no tensor, or on another device, or of another type."""
    x, names = inputs[index], named or [f"input {i}" for i in range(len(inputs))]
    name = names[index]
    if not isinstance(x, Tensor):
        return InputTypeError(f"{op}: {name} is a {type(x).__name__}, not a Tensor; wrap it: "
                              "Tensor(array, device=...)")
    other = names[inputs.index(first)]
    if x.device is not first.device:
        return DeviceError(f"{op}: {name} {x.shape} on {x.device} but {other} {first.shape} on "
                           f"{first.device}; call transfer({name}, '{first.device}')")
    return InputTypeError(f"{op}: {name} is {x.dtype} but {other} is {first.dtype}; nothing is "
                          f"converted silently: make both the same, array.astype('{first.dtype}')")


def load(tensors: Mapping[str, Tensor], arrays: Mapping[str, np.ndarray], what: str) -> None:
    """Set tensors to stored arrays. Names, shapes and types must fit; else nothing is changed."""
    for name in sorted(tensors.keys() | arrays.keys()):
        stored, here = (f"{d[name].dtype} {d[name].shape}" if name in d else "missing"
                        for d in (arrays, tensors))
        if stored != here:
            raise InputError(f"{what}: {name} is {stored} among the stored arrays but {here} here; "
                             "were they stored from another network?")
    for name, tensor in tensors.items():
        tensor.data = tensor.device.asarray(arrays[name])


def zeros(*shape: int, dtype: Any = np.float32, **options: Any) -> Tensor:
    """A tensor of zeros; options: `device`, `requires_grad`."""
    return Tensor(np.zeros(shape, dtype), **options)


def randn(*shape: int, rng: np.random.Generator, dtype: Any = np.float32, **options: Any) -> Tensor:
    """Standard normal numbers from a NumPy generator; options: `device`, `requires_grad`."""
    return Tensor(rng.standard_normal(shape, dtype), **options)
