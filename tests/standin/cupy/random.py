"""`cupy.random`, as far as a generator of the current device goes.

The numbers are not CuPy's: no program may depend on them, since they differ between GPUs as well.
"""

from typing import Any

import cupy_table
import numpy as np

from . import _call
from ._machine import machine

__all__ = ["Generator", "default_rng"]


def __getattr__(name: str) -> Any:
    raise cupy_table.missing(f"random.{name}", ": draw on the host")


class Generator:
    """Belongs to the device on which it was made."""

    def __init__(self, seed: Any) -> None:
        self._device, self._host = machine.current, np.random.default_rng(seed)

    def _draw(self, name: str, args: tuple, kwargs: dict) -> Any:
        _call.check_name(f"random.Generator.{name}", args, kwargs)
        if machine.current is not self._device:
            raise RuntimeError("This Generator state is allocated in a different device")
        dtype = kwargs.pop("dtype", None)
        drawn = np.asarray(getattr(self._host, name)(*args, **kwargs))
        return _call.call(f"random.{name}", lambda: drawn.astype(dtype or drawn.dtype), (), {})

    def __getattr__(self, name: str) -> Any:
        if complaint := cupy_table.complaint(f"random.Generator.{name}"):
            raise AttributeError(complaint)
        return lambda *args, **kwargs: self._draw(name, args, kwargs)


def default_rng(seed: Any = None) -> Generator:
    return Generator(seed)
