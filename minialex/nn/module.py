"""Parameter and Module: what is learnt, and the layers that hold it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .. import backend, checks
from ..backend import Device
from ..backend.device import Opened
from ..tensor import Tensor, load

__all__ = ["Module", "Parameter"]


class Parameter(Tensor):
    """A tensor that is learnt. `name` is its path in the module: "column0.conv1.weight"."""

    __slots__ = ("name",)

    def __init__(self, array: Any, device: str | Device | None = None, name: str = "") -> None:
        super().__init__(array, device, requires_grad=True)
        self.name = name


watches = Opened()  # what `nn.watch` has put around the layers that this thread calls


class Module:
    """A layer, or a network of layers: assign parameters and modules to attributes in __init__.

    They are found in attributes, also inside lists, tuples and dicts. `training` says whether
    a layer such as Dropout works as in training. Calling the module calls its `forward`.
    After __init__ only existing attributes can be set: a misspelt one is an error.
    Printing a module shows a line for each layer: path, kind and options (unless they are the usual
    ones), shapes of its parameters, how many numbers are in them, and devices.
    """

    _finished = False
    training = True

    def __init_subclass__(cls) -> None:
        """Let __init__ refuse unknown arguments, and allow no new attributes after it."""
        init = cls.__init__

        @functools.wraps(init)
        def finish(self: Module, *args: Any, **options: Any) -> None:
            checks.call(cls.__name__, inspect.signature(cls), args, options)
            init(self, *args, **options)
            if type(self) is cls:  # else it is a part of the __init__ of a class made from this one
                self.__dict__["_finished"] = True

        cls.__init__ = finish

    def __init__(self) -> None:
        pass

    def forward(self, *inputs: Any, **options: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward(); define it")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        forward = self.forward
        for around in watches.now:
            forward = around(self, forward)
        return forward(*inputs, **options)

    def __setattr__(self, name: str, value: Any) -> None:
        if self._finished and name not in dir(self):
            raise checks.unknown_name(self, name, "; new attributes are set in __init__ only")
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:  # called only for a name that was not found
        raise checks.unknown_name(self, name)

    def __repr__(self) -> str:
        rows = []
        for path, module in self.named_modules():
            usual, own = inspect.signature(type(module)).parameters, vars(module)
            options = [f" {name}={value}" for name, value in own.items() if name in usual
                       and isinstance(value, (int, float, str, tuple))
                       and value != usual[name].default]
            shapes = [str(value.shape) for value in own.values() if isinstance(value, Parameter)]
            inside = [p for _, p in _walk(module, "", set()) if isinstance(p, Parameter)]
            rows.append(((path and f"{path}: ") + type(module).__name__ + "".join(options),
                         " ".join(shapes), f"{sum(p.size for p in inside):,}" if inside else "",
                         ", ".join(dict.fromkeys(p.device.name for p in inside))))
        a, b, c, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
        return "\n".join(f"{kind:{a}}  {shapes:{b}}  {size:>{c}}  {devices}".rstrip()
                         for kind, shapes, size, devices in rows)

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """This module and all below it with their paths, in the order of assignment, each once."""
        return ((path, module) for path, module in _walk(self, "", set())
                if isinstance(module, Module))

    def named_parameters(self) -> dict[str, Parameter]:
        """Every parameter by its path, in the order of assignment; a shared one once."""
        named = {path: p for path, p in _walk(self, "", set()) if isinstance(p, Parameter)}
        for path, parameter in named.items():
            parameter.name = path
        return named

    def parameters(self) -> list[Parameter]:
        return list(self.named_parameters().values())

    def train(self, mode: bool = True) -> Module:
        """Switch this module and all below it to training, or (False) to evaluation."""
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        return self.train(False)

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    def to(self, device: str | Device) -> Module:
        """Move every parameter to one device."""
        device = backend.device(device)
        for parameter in self.parameters():
            parameter.data = device.receive(parameter.data, parameter.device, "to")
            parameter.device, parameter.grad = device, None
        return self

    def state(self) -> dict[str, np.ndarray]:
        """All parameters by path, as NumPy arrays: what a checkpoint stores."""
        return {name: p.numpy() for name, p in self.named_parameters().items()}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Set all parameters; every name and shape must fit. Nothing is changed if one does not."""
        load(self.named_parameters(), state, type(self).__name__)


def _walk(value: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Every module and parameter in `value`, itself included, with its path; each once."""
    checks.found(path, value, Tensor, Parameter)
    if not isinstance(value, (Module, Parameter, dict, list, tuple)) or id(value) in seen:
        return
    seen.add(id(value))  # a module may be shared, or know the one that it is in
    if isinstance(value, (Module, Parameter)):
        yield path, value
    inside = () if isinstance(value, Parameter) else getattr(value, "__dict__", value)
    for key, item in inside.items() if isinstance(inside, dict) else enumerate(inside):
        yield from _walk(item, f"{path}.{key}" if path else str(key), seen)
