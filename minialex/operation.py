"""`@op`: lifts a function on arrays to tensors.

An op is one function `f(xp, *arrays, **options) -> (value, backward)`. `@op` checks the inputs,
makes their device current, calls the function, and lets the tape note whom the gradient goes to.
Built in chapter 02.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any, Concatenate, ParamSpec, Protocol, overload

import numpy as np

from .backend import DeviceError
from .errors import InputTypeError, UsageError
from .tensor import Tensor, record

__all__ = ["Op", "op"]

P = ParamSpec("P")


class Op(Protocol[P]):
    """A function on tensors. `on_arrays` is the function on arrays from which it was made."""

    __name__: str
    on_arrays: Callable[..., Any]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Tensor: ...


@overload
def op(function: Callable[Concatenate[Any, P], Any]) -> Op[P]: ...
@overload
def op(*, static: Sequence[str] = (), needs: bool = False, numbers: bool = False,
       operators: Sequence[str] = ()) -> Callable[[Callable[Concatenate[Any, P], Any]], Op[P]]: ...
def op(function: Any = None, *, static: Sequence[str] = (), needs: bool = False,
       numbers: bool = False, operators: Sequence[str] = ()) -> Any:
    """Lift `f(xp, *arrays, **options) -> (value, backward)` from arrays to tensors.

    `backward(gy)` returns one gradient for each array (a single one need not be a tuple), or None
    where there is none. Parameters after `*` are options, those before it are tensors, except
        static: the last of them, which are no tensors either, such as ("axis",).
    needs: it is `backward(gy, needs)`, and may leave out gradients whose `needs` is False.
    numbers: beside a tensor, a plain number will do.
    operators: those of Tensor that call this op; "__rsub__" and its like swap the operands.
    `f.on_arrays` is the function itself. Errors name the op and the argument.
    """
    if function is None:
        return functools.partial(op, static=static, needs=needs, numbers=numbers,
                                 operators=operators)
    name, signature = function.__name__, inspect.signature(function)
    parameters = list(signature.parameters.values())[1:]  # without xp
    signature = signature.replace(parameters=parameters)
    single = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    placed = [p.name for p in single if p.kind is not p.KEYWORD_ONLY]
    named = placed[: len(placed) - len(static)]  # the tensors
    if placed[len(named) :] != list(static):
        raise UsageError(f"@op {name}: static is {static!r}; it must be a tuple of the last names "
                         f"before `*` in {signature}, in their order")
    count = sys.maxsize if "VAR_POSITIONAL" in {p.kind.name for p in parameters} else len(named)
    required = sum(p.default is p.empty for p in single)
    least = sum(p.default is p.empty for p in single[: len(named)])

    @functools.wraps(function)
    def lifted(*inputs: Any, **options: Any) -> Tensor:
        if options or not required <= len(inputs) <= count:  # something else than tensors in a row
            inputs, options = _arrange(name, signature, named, inputs, options)
        tensors = inputs[:count]
        for first in tensors:
            if isinstance(first, Tensor):
                break
        else:
            raise _misfit(function, named, tensors or (None,), 0, None)
        device, dtype, arrays = first.device, first.data.dtype, []
        for index, x in enumerate(tensors):
            if isinstance(x, Tensor) and x.device is device and x.data.dtype in (dtype, bool):
                arrays.append(x.data)
            elif x is None and least <= index < len(named):
                arrays.append(None)
            elif numbers and isinstance(x, (int, float, np.number)):
                # A NumPy number would promote float32 to float64.
                arrays.append(x.item() if isinstance(x, np.number) else x)
            else:
                raise _misfit(function, named, tensors, index, first)
        with device:
            value, backward = function(device.xp, *arrays, *inputs[count:], **options)
        return record(name, device.own(value), device, backward, tensors, needs=needs)

    lifted.on_arrays = function  # type: ignore[attr-defined]
    lifted.__signature__ = signature  # type: ignore[attr-defined]
    for operator in operators:
        swapped = operator.startswith("__r")
        setattr(Tensor, operator, (lambda b, a: lifted(a, b)) if swapped else lifted)
    return lifted


def _arrange(op: str, signature: inspect.Signature, named: list[str], inputs: tuple,
             options: dict) -> tuple[tuple, dict]:
    """Tensors that came by name go to their places: linear(x, w, b=b). No option is a tensor."""
    try:
        bound = signature.bind(*inputs, **options)
    except TypeError as error:
        raise InputTypeError(f"{op}: {error}; call {op}{signature}") from None
    for name, value in bound.arguments.items():
        if isinstance(value, Tensor) and name not in named:
            raise InputTypeError(f"{op}: {name} is a Tensor, but no gradient flows to it; give its "
                                 f"value, {name}.item() or {name}.numpy(), or see help({op})")
    if not bound.kwargs.keys().isdisjoint(named):  # one before them was left out
        bound.apply_defaults()
    return bound.args, bound.kwargs


def _misfit(function: Callable, named: list[str], inputs: tuple, index: int,
            first: Any) -> Exception:
    """What to say about an input that is no tensor, or on another device, or of another type."""
    op, x = function.__name__, inputs[index]
    names = [*named, *(f"input {i}" for i in range(len(named), len(inputs)))]
    name = names[index]
    if not isinstance(x, Tensor):
        remedy = "wrap it: Tensor(array, device=...)"
        if isinstance(x, (list, tuple)) and any(isinstance(item, Tensor) for item in x):
            remedy = f"give tensors one by one: {op}(*list)"
        elif str(function.__module__).partition(".")[0] != __package__:  # perhaps the caller's own
            remedy += f"; if it is an option, declare @op(static=({name!r},))"
        return InputTypeError(f"{op}: {name} is a {type(x).__name__}, not a Tensor; {remedy}")
    tensors = [(y, other) for y, other in zip(inputs, names, strict=False) if isinstance(y, Tensor)]
    if x.device is not first.device:
        return DeviceError(f"{op}: {name} {x.shape} on {x.device} but {tensors[0][1]} {first.shape}"
                           f" on {first.device}; call transfer({name}, '{first.device}')")
    # Parameters keep their type, whatever comes to meet them; else floats, float32 before others.
    kept, other = max(tensors, key=lambda pair: (
        pair[0].requires_grad, pair[0].dtype.kind == "f", pair[0].dtype == np.float32))
    x, name = next(pair for pair in tensors if pair[0].dtype != kept.dtype)
    return InputTypeError(f"{op}: {name} is {x.dtype} but {other} is {kept.dtype}; nothing is "
                          f"converted silently; give {name} as array.astype('{kept.dtype}')")
