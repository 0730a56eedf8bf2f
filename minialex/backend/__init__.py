"""Where arrays live: the only code that knows NumPy from CuPy, threads and memory.

    backend.use("gpu:0")                 # new tensors go there; as `with backend.use(...):` too
    backend.device("cpu:1").memory()     # bytes: used, peak, limit
    with backend.record_transfers() as log: ...

Devices are named "cpu:0", "cpu:1", ... (virtual devices: one processor, separate memories) and
"gpu:0", "gpu:1", ... (CUDA, through CuPy); "cpu" and "gpu" mean the first one.
"""

from __future__ import annotations

import functools
import threading
from types import ModuleType

from .. import checks
from ..errors import DeviceError, DeviceMemoryError
from ._numpy import NumpyDevice, lock, set_threads, threads
from .device import Array, Device, record_transfers

__all__ = ["Array", "Device", "DeviceError", "DeviceMemoryError", "available", "cuda", "default",
           "device", "lock", "record_transfers", "set_threads", "threads", "use", "why_no_gpu"]


def device(name: str | Device) -> Device:
    """The device of that name; always the same object. Raises DeviceError if there is none."""
    return name if isinstance(name, Device) else _open(*checks.device_name(name))


@functools.cache
def _open(kind: str, index: int) -> Device:
    return cuda().CupyDevice(index) if kind == "gpu" else NumpyDevice(index)


def available() -> list[str]:
    """Names of the devices to choose from: every GPU, and two virtual CPU devices."""
    return [f"gpu:{index}" for index in range(cuda().count())] + ["cpu:0", "cpu:1"]


def why_no_gpu() -> str:
    """Why no GPU can be used, and the remedy; empty if one can."""
    return cuda().why_unavailable()


def cuda() -> ModuleType:
    """The module that knows the GPUs, for a report. Loaded on demand: CuPy takes half a second."""
    from . import _cupy

    return _cupy


_thread = threading.local()


def default() -> Device:
    """Where new tensors go."""
    return device(getattr(_thread, "default", "cpu:0"))


class use:
    """Send new tensors to this device, from now on or for the length of a `with` block.

    It applies to the calling thread; in a new thread they go to cpu:0. No op reads this: an
    op works where its inputs are.
    """

    def __init__(self, name: str | Device) -> None:
        self.device = device(name)
        self._before, _thread.default = default().name, self.device.name

    def __enter__(self) -> Device:
        if default() is not self.device:  # it was made long before, or in another thread
            self._before, _thread.default = default().name, self.device.name
        return self.device

    def __repr__(self) -> str:  # what a notebook shows where this is the last line of a cell
        return f"new tensors go to {self.device}"

    def __exit__(self, *error: object) -> None:
        _thread.default = self._before
