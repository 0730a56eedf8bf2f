"""`@op`: lifts a function on arrays to tensors.

An op is one function `f(xp, *arrays, **options) -> (value, backward)`. `@op` checks the inputs,
makes their device current, calls the function, and notes on the tape which inputs receive the
gradient. Built in chapter 02.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Concatenate, ParamSpec, Protocol, overload

import numpy as np

from . import checks
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
    needs: called as `backward(gy, needs)`, it may leave out gradients whose `needs` is False.
    numbers: next to a tensor, a plain number is accepted.
    operators: those of Tensor that call this op; "__rsub__" and its like swap the operands.
    `f.on_arrays` is the function itself. Errors name the op and the argument.
    """
    if function is None:
        return functools.partial(op, static=static, needs=needs, numbers=numbers,
                                 operators=operators)
    name, signature = checks.op_name(function), inspect.signature(function)
    parameters = list(signature.parameters.values())[1:]  # without xp
    signature = signature.replace(parameters=parameters)
    placed = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    named = [p.name for p in placed[: len(placed) - len(static)]]  # the tensors
    checks.static(name, static, [p.name for p in placed[len(named) :]], signature)
    required = sum(p.default is p.empty for p in placed[: len(named)])
    any_number = any(p.kind is p.VAR_POSITIONAL for p in parameters)

    @functools.wraps(function)
    def lifted(*inputs: Any, **options: Any) -> Tensor:
        if options and not options.keys().isdisjoint(named):  # linear(x, w, b=b)
            bound = checks.call(name, signature, inputs, options)
            if not bound.kwargs.keys().isdisjoint(named):  # a tensor before them was left out
                bound.apply_defaults()
            inputs, options = bound.args, bound.kwargs
        tensors = inputs if any_number else inputs[: len(named)]
        rest = inputs[len(tensors) :]
        for value in (*rest, *options.values()) if rest or options else ():
            if isinstance(value, Tensor):
                checks.option(name, value, checks.call(name, signature, inputs, options))
        for first in tensors:
            if isinstance(first, Tensor):
                break
        else:
            checks.call(name, signature, inputs, options)
            checks.misfit(function, Tensor, named, tensors[:1] or (None,))
        device, dtype, arrays = first.device, first.data.dtype, []
        for index, x in enumerate(tensors):
            if isinstance(x, Tensor) and x.device is device and x.data.dtype in (dtype, bool):
                arrays.append(x.data)
            elif x is None and required <= index < len(named):
                arrays.append(None)
            elif numbers and isinstance(x, (int, float, np.number)):
                # A NumPy number would promote float32 to float64.
                arrays.append(x.item() if isinstance(x, np.number) else x)
            else:
                checks.misfit(function, Tensor, named, tensors[: index + 1])
        try:
            with device:
                value, backward = function(device.xp, *arrays, *rest, **options)
        except (ArithmeticError, MemoryError, TypeError, ValueError) as error:
            checks.failed(function, error, signature, inputs, options)  # was it called wrongly?
            raise
        return record(name, device.own(value), device, backward, tensors, needs=needs)

    lifted.on_arrays = function  # type: ignore[attr-defined]
    lifted.__signature__ = signature  # type: ignore[attr-defined]
    for operator in operators:
        swapped = operator.startswith("__r")
        setattr(Tensor, operator, (lambda b, a: lifted(a, b)) if swapped else lifted)
    return lifted
