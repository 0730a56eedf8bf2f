"""The GPU, through CuPy: the only file that imports it.

Three things differ from NumPy. Work and memory belong to the *current* CUDA device, not to the
device of the operands, so a device is made current before its arrays are touched. Calls return
before the work is done, so a copy between devices must order the two. And each device has a pool
of memory that belongs to CuPy. See the CuPy user guide, "Current device" and "Memory management".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .device import Device, DeviceError, Memory
from .namespace import Namespace

try:
    import cupy
except ImportError:
    cupy = None

__all__ = ["CupyDevice", "count", "why_unavailable"]


def why_unavailable() -> str:
    """Why no GPU can be used, and the remedy; empty if one can.

    CuPy imports without a driver as well, so "is it installed" and "does it work" are two
    questions.
    """
    if cupy is None:
        return ("CuPy is not installed: pip install 'minialex[gpu12]' for CUDA 12 or "
                "'minialex[gpu13]' for CUDA 13")
    if cupy.cuda.is_available():
        return ""
    return (f"CuPy {cupy.__version__} is installed but no CUDA driver or GPU answers: "
            "check the driver with nvidia-smi")


def count() -> int:
    """Number of GPUs that can be used."""
    return 0 if why_unavailable() else cupy.cuda.runtime.getDeviceCount()


class CupyDevice(Device):
    """One CUDA device."""

    def __init__(self, index: int) -> None:
        name, reason = f"gpu:{index}", why_unavailable()
        if reason:
            raise DeviceError(f"device {name!r}: {reason}; or use 'cpu:{index}'")
        if index >= count():
            raise DeviceError(f"device {name!r} does not exist: this machine has {count()} GPU(s); "
                              "use one of them twice (gpu:0,gpu:0) or with the CPU (gpu:0,cpu:0)")
        super().__init__("gpu", index, Namespace(cupy))
        self._cuda = cupy.cuda.Device(index)

    def __enter__(self) -> Device:
        self._cuda.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._cuda.__exit__(*error)

    def asarray(self, host: Any, dtype: Any = None) -> Any:
        with self:
            return cupy.array(np.asarray(host, dtype))

    def to_host(self, array: Any) -> np.ndarray:
        with self:
            return cupy.asnumpy(array)

    def synchronize(self) -> None:
        with self:
            self._cuda.synchronize()

    def memory(self) -> Memory:
        """Of CuPy's pool. It keeps no peak of use, so `peak` is what it has taken from CUDA."""
        with self:
            pool = cupy.get_default_memory_pool()
            return Memory(pool.used_bytes(), pool.total_bytes(), pool.get_limit() or None)

    def set_memory_limit(self, limit: int | None) -> None:
        with self:
            pool = cupy.get_default_memory_pool()
            pool.free_all_blocks()  # free ones would be handed out without asking the limit
            pool.set_limit(size=limit or 0)

    def _copy(self, array: Any, source: Device) -> Any:
        """Copy from another GPU, ordered on both sides by events.

        Without the first event the copy may read what is not yet written; without the second the
        source's memory may be reused while it is still being read.
        """
        with source:
            array = cupy.ascontiguousarray(array)
            source_stream = cupy.cuda.get_current_stream()
            written = source_stream.record()
        with self:
            stream = cupy.cuda.get_current_stream()
            stream.wait_event(written)
            copy = cupy.array(array, copy=True)
            read = stream.record()
        with source:
            source_stream.wait_event(read)
        return copy
