"""The table of all ops: inputs, options, and for each option another value that must be visible.

A case is called in two ways, with the op and with the slow loops of `reference.py`, which have the
same arguments. The sizes of an array all differ, so that no exchange of two axes goes unnoticed.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import reference

from minialex import Tensor, ops

__all__ = ["CASES", "INVISIBLE", "LIFTED", "Case", "names_of_options", "parametrize"]

Maker = Callable[[np.random.Generator], np.ndarray]

OTHER_DEVICE = object()  # stands for the second device of the run

# Options that change no value, or cannot be changed alone; test_ops.py has a test for each.
INVISIBLE = {("conv2d", "groups"), ("transfer", "device"), ("transfer", "label")}


@dataclass(frozen=True)
class Case:
    """An op with some inputs and options.

    inputs: makers of float64 arrays, each to be differentiated by; or plain numbers.
    other: for some of the options, or for an optional input, another value.
    """

    op: str
    inputs: tuple[Maker | float, ...]
    options: dict[str, Any] = field(default_factory=dict)
    other: dict[str, Any] = field(default_factory=dict)
    note: str = ""

    @property
    def id(self) -> str:
        options = (f"{k}={'...' if isinstance(v, np.ndarray) else v}"
                   for k, v in self.options.items() if v is not OTHER_DEVICE)
        return "-".join(filter(None, (self.op, self.note, *options))).replace(" ", "")

    @property
    def function(self) -> Callable:
        return getattr(ops, self.op)

    def make(self, rng: np.random.Generator, dtype: Any = np.float64) -> list:
        """The inputs: arrays, or numbers as they are."""
        return [make(rng).astype(dtype) if callable(make) else make for make in self.inputs]

    def tensors(self, inputs: list, device: Any, requires_grad: bool = True) -> list:
        return [Tensor(x, device, requires_grad) if isinstance(x, np.ndarray) else x
                for x in inputs]

    def call(self, inputs: list, devices: tuple[str, str], **changes: Any) -> Tensor:
        """The op, on tensors."""
        return self._apply(self.function, inputs, changes, lambda value: (
            devices[1] if value is OTHER_DEVICE
            else Tensor(value, devices[0]) if _is_mask(value) else value))

    def call_on_arrays(self, inputs: list, device: Any) -> tuple[Any, Callable]:
        """The op as a plain function: its value and its backward, which takes gy only."""
        with device:
            value, backward = self._apply(
                lambda *args, **options: self.function.on_arrays(device.xp, *args, **options),
                inputs, {}, lambda value: device.asarray(value) if _is_mask(value) else value)
        if len(inspect.signature(backward).parameters) == 1:
            return value, backward
        return value, lambda gy: backward(gy, (True,) * len(inputs))

    def expected(self, inputs: list, **changes: Any) -> np.ndarray:
        """What the slow loops say."""
        return self._apply(getattr(reference, self.op), inputs, changes, lambda value: value)

    def _apply(self, function: Callable, inputs: list, changes: dict, convert: Callable) -> Any:
        bound = _signature(self.op).bind(*inputs, **self.options)
        bound.arguments.update(changes)
        values = {name: convert(value) for name, value in bound.arguments.items()}
        bound.arguments.update(values)
        return function(*bound.args, **bound.kwargs)


def _is_mask(value: Any) -> bool:
    """Masks go to the device, as the images do; labels stay on the host."""
    return isinstance(value, np.ndarray) and value.dtype == bool


def _signature(op: str) -> inspect.Signature:
    """How a user calls the op: without xp."""
    signature = inspect.signature(getattr(ops, op))
    return signature.replace(
        parameters=[p for p in signature.parameters.values() if p.name != "xp"])


def names_of_options(op: str) -> set[str]:
    """Every argument but the arrays that the op cannot do without."""
    arrays = inspect.Parameter.empty, Tensor, "Tensor"  # annotations may be strings
    return {p.name for p in _signature(op).parameters.values()
            if p.default is not p.empty or p.kind is p.KEYWORD_ONLY or p.annotation not in arrays}


def parametrize(cases: list[Case]) -> pytest.MarkDecorator:
    """One test for each case, marked with the chapter that the op's docstring names."""
    def marks(case):
        chapter = re.search(r"[Cc]hapter (\d\d)", case.function.__doc__)
        return [getattr(pytest.mark, f"ch{chapter[1]}")] if chapter else []

    return pytest.mark.parametrize(
        "case", [pytest.param(case, id=case.id, marks=marks(case)) for case in cases])


# Makers of inputs


def normal(*shape: int, scale: float = 1.0) -> Maker:
    return lambda rng: np.asarray(scale * rng.standard_normal(shape))


def positive(*shape: int) -> Maker:
    """For logarithms and divisors."""
    return lambda rng: np.asarray(rng.uniform(0.5, 2, shape))


def off_zero(*shape: int) -> Maker:
    """Both signs, away from the kink of relu."""
    return lambda rng: rng.uniform(0.1, 2, shape) * rng.choice([-1, 1], shape)


def distinct(*shape: int) -> Maker:
    """No two numbers closer than 0.01, so that no maximum is a tie."""
    return lambda rng: 0.01 * (rng.permutation(np.prod(shape)) - np.prod(shape) / 2).reshape(shape)


MASK = np.arange(2 * 3 * 4).reshape(2, 3, 4) % 3 > 0
IMAGES = normal(3, 6, 5, 4)  # N, H, W, C
KERNELS = (normal(3, 2, 4, 5), normal(5))  # KH, KW, C, O, and their biases
LRN_IMAGES = normal(2, 3, 4, 7, scale=50)  # alpha = 1e-4 is seen only where x**2 is some thousands


CASES = [
    *(Case(name, inputs, note=note) for name in ("add", "sub", "mul", "div") for note, inputs in {
        "same": (off_zero(2, 3, 4), positive(2, 3, 4)),
        "bias": (off_zero(2, 3, 4), positive(4)),
        "column": (off_zero(4, 1), positive(2, 4, 3)),
        "outer": (off_zero(3, 1), positive(1, 4)),
        "one": (off_zero(2, 3), positive()),
        "number": (off_zero(2, 3), 2.5),
        "number_first": (2.5, positive(2, 3)),
        "integer_first": (3, positive(2, 3)),
    }.items()),
    Case("neg", (normal(2, 3),)),
    Case("power", (positive(2, 3),), dict(exponent=-1.5), dict(exponent=2)),
    Case("power", (off_zero(2, 3),), dict(exponent=3), dict(exponent=2)),
    Case("exp", (normal(2, 3),)),
    Case("log", (positive(2, 3),)),
    Case("sum", (normal(2, 3, 4),), {}, dict(axis=0, keepdims=True)),
    Case("sum", (normal(2, 3, 4),), dict(axis=1), dict(axis=-1)),
    Case("sum", (normal(2, 3, 4),), dict(axis=(-1, 0), keepdims=True), dict(keepdims=False)),
    Case("mean", (normal(2, 3, 4),), {}, dict(axis=0, keepdims=True)),
    Case("mean", (normal(2, 3, 4),), dict(axis=-2), dict(axis=0)),
    Case("mean", (normal(2, 3, 4),), dict(axis=(0, 2), keepdims=True), dict(keepdims=False)),
    Case("matmul", (normal(2, 3), normal(3, 4))),
    Case("linear", (normal(2, 3), normal(3, 4))),
    Case("linear", (normal(2, 3), normal(3, 4), normal(4)), {}, dict(b=None), note="bias"),

    Case("reshape", (normal(2, 3, 4),), dict(shape=(4, 6)), dict(shape=(6, 4))),
    Case("reshape", (normal(2, 3, 4),), dict(shape=(3, -1, 2)), dict(shape=-1)),
    Case("flatten", (normal(2, 3, 4, 5),)),
    Case("flatten", (normal(3),), note="vector"),
    Case("transpose", (normal(2, 3, 4),), {}, dict(axes=(0, 2, 1))),
    Case("transpose", (normal(2, 3, 4, 5),), dict(axes=(3, 0, 2, 1)), dict(axes=(1, 0, 2, 3))),
    Case("concat", (normal(2, 3, 4), normal(2, 3, 5), normal(2, 3, 1)), note="three"),
    Case("concat", (normal(2, 3, 4), normal(2, 3, 4)), dict(axis=1), dict(axis=0)),
    Case("take_channels", (normal(2, 3, 5),), dict(start=1, stop=4), dict(start=0, stop=3)),
    Case("take_channels", (normal(4, 3),), dict(start=2, stop=3)),
    Case("transfer", (normal(2, 3, 4),), dict(device=OTHER_DEVICE), note="other"),

    Case("relu", (off_zero(2, 3, 4),)),
    Case("tanh", (normal(2, 3, 4),)),
    Case("sigmoid", (normal(2, 3, 4),)),
    *(Case(name, (normal(),), note="one_number") for name in ("relu", "tanh", "sigmoid", "exp")),
    Case("dropout", (normal(2, 3, 4),), dict(mask=MASK), dict(mask=~MASK)),
    Case("softmax", (normal(2, 3, 4),), {}, dict(axis=1)),
    Case("softmax", (normal(3, 4),), dict(axis=0)),
    Case("log_softmax", (normal(2, 3, 4),), {}, dict(axis=1)),
    Case("log_softmax", (normal(3, 4),), dict(axis=0)),
    Case("softmax_cross_entropy", (normal(4, 3),), dict(labels=np.array([2, 0, 1, 2])),
         dict(labels=np.array([0, 0, 1, 2], np.uint8))),

    Case("conv2d", (IMAGES, KERNELS[0])),
    Case("conv2d", (IMAGES, *KERNELS), dict(stride=2), dict(stride=3, b=None, pad=1)),
    Case("conv2d", (IMAGES, *KERNELS), dict(stride=2, pad=(0, 3, 1, 2)), dict(pad=(3, 0, 2, 1))),
    Case("conv2d", (IMAGES, normal(3, 2, 1, 8), normal(8)), dict(groups=4)),
    Case("conv2d", (normal(2, 7, 5, 4), normal(3, 5, 2, 6), normal(6)),
         dict(stride=2, pad=1, groups=2), dict(pad=2)),
    Case("conv2d", (normal(2, 3, 4, 5), normal(3, 4, 5, 2)), note="one_position"),
    Case("conv2d", (normal(2, 6, 5, 8), normal(4, 2, 8, 3), normal(3)),
         dict(pad=1), dict(pad=(0, 2, 1, 0))),
    Case("conv2d", (normal(2, 6, 5, 8), normal(4, 2, 8, 3), normal(3)), dict(pad=(3, 0, 0, 2))),
    Case("max_pool2d", (distinct(2, 7, 5, 3),), dict(size=3, stride=2), dict(size=2, stride=1)),
    Case("max_pool2d", (distinct(2, 8, 6, 3),), dict(size=2, stride=3)),
    Case("avg_pool2d", (normal(2, 7, 5, 3),), dict(size=3, stride=2), dict(size=2, stride=1)),
    Case("avg_pool2d", (normal(2, 8, 6, 3),), dict(size=2, stride=3)),
    Case("local_response_norm", (LRN_IMAGES,), {}, dict(size=3, k=1.0, alpha=5e-4, beta=0.5)),
    Case("local_response_norm", (normal(3, 2, 5, 4),), dict(size=9, k=1.5, alpha=0.3, beta=0.6),
         dict(size=1)),
]

LIFTED = [case for case in CASES if hasattr(case.function, "on_arrays")]  # all but transfer
