"""Parameter and Module: what is learnt, and the layers that hold it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import backend
from ..backend import Device
from ..tensor import Tensor

__all__ = ["Module", "Parameter"]


class Parameter(Tensor):
    """A tensor that is learnt. `name` is its path in the module: "column0.conv1.weight"."""

    __slots__ = ("name",)

    def __init__(self, array: Any, device: str | Device | None = None, name: str = "") -> None:
        super().__init__(array, device, requires_grad=True)
        self.name = name


class _Finished(type):
    """Marks a module as finished once its __init__ has run, so that misspelt names are noticed."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        module = super().__call__(*args, **kwargs)
        object.__setattr__(module, "_finished", True)
        return module


class Module(metaclass=_Finished):
    """A layer, or a network of layers: assign parameters and modules to attributes in __init__.

    They are found in attributes, also inside lists, tuples and dicts. `training` says which of
    the two ways a layer such as Dropout works. Calling the module calls its `forward`.
    After __init__ only existing attributes can be set: a misspelt one is an error.
    """

    _finished = False
    training = True

    def forward(self, *inputs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward(); define it")

    def __call__(self, *inputs: Any) -> Any:
        return self.forward(*inputs)

    def __setattr__(self, name: str, value: Any) -> None:
        if self._finished and name not in dir(self):
            raise AttributeError(self._unknown(name) + "; new attributes are set in __init__ only")
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:  # called only for a name that was not found
        raise AttributeError(self._unknown(name))

    def _unknown(self, name: str) -> str:
        close = difflib.get_close_matches(name, dir(self), 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return f"{type(self).__name__} has no attribute {name!r}{hint}"

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it with their paths, in the order of assignment."""
        yield prefix, self
        for path, value in _leaves(vars(self), prefix):
            if isinstance(value, Module):
                yield from value.named_modules(path)

    def named_parameters(self) -> dict[str, Parameter]:
        """Every parameter by its path, in the order of assignment; shared ones once."""
        found: dict[int, Parameter] = {}
        for prefix, module in self.named_modules():
            for path, value in _leaves(vars(module), prefix):
                if isinstance(value, Parameter) and id(value) not in found:
                    value.name = path
                    found[id(value)] = value
        return {parameter.name: parameter for parameter in found.values()}

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

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Set all parameters; every name and shape must fit. Nothing is changed if one does not."""
        parameters = self.named_parameters()
        missing, unknown = parameters.keys() - state.keys(), state.keys() - parameters.keys()
        if missing or unknown:
            raise ValueError(f"load_state: the state does not fit {type(self).__name__}: missing "
                             f"{sorted(missing) or 'nothing'}, unknown {sorted(unknown) or 'nothing'}")
        for name, p in parameters.items():
            if state[name].shape != p.shape or state[name].dtype != p.dtype:
                raise ValueError(f"load_state: {name} is {state[name].dtype} {state[name].shape} "
                                 f"in the state but {p.dtype} {p.shape} in {type(self).__name__}; "
                                 "was it saved from a network of another size?")
        for name, p in parameters.items():
            p.data = p.device.asarray(state[name])


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Parameters and modules inside attributes, dicts, lists and tuples, with their paths."""
    if isinstance(value, (Parameter, Module)):
        yield path, value
    elif isinstance(value, (dict, list, tuple)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
