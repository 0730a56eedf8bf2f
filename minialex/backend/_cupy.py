"""The GPU, through CuPy: the only file that names it.

Three things differ from NumPy. Work and memory belong to the *current* CUDA device, not to the
device of the operands, so a device is made current before its arrays are touched. Calls return
before the work is done, so a copy between devices must order the two. And each device has a pool
of memory that belongs to CuPy. See the CuPy user guide, "Current device" and "Memory management".
"""

from __future__ import annotations

import shlex
import sys
from typing import Any

import numpy as np

from .. import checks
from .device import Device, Memory, host_array
from .namespace import Namespace

__all__ = ["INSTALL", "PACKAGES", "TF32", "CupyDevice", "count", "runtime", "why_unavailable"]

version = import_error = ""  # of CuPy; and why, though installed, it cannot be imported
try:
    import cupy

    version = cupy.__version__
except Exception as error:  # much can be wrong with it, and without it all else works
    cupy = None
    if getattr(error, "name", None) != "cupy":
        import_error = f"cannot be imported ({checks.in_one_line(error)})"

PACKAGES = r"cupy([-_](cuda|rocm).*)?"  # names of packages of CuPy; two in one place conflict
INSTALL = (f'{shlex.quote(sys.executable)} -m pip install "cupy-cuda12x[ctk]>=14" for CUDA 12, '
           '"cupy-cuda13x[ctk]>=14" for CUDA 13')
CUDA = ("cupy", ("cuda.", "cupy.cuda", "cupy_backends"))  # the package, and whose errors are CUDA's
TF32 = "CUPY_TF32"  # with this variable, float32 products keep 10 bits after the point, not 23


def why_unavailable() -> str:
    """Why no GPU can be used, and the remedy; empty if one can.

    CuPy imports without a driver as well, so "is it installed" and "does it work" are two
    questions.
    """
    if not version:
        return f"CuPy {import_error or 'is not installed'}: {INSTALL}"
    try:
        if runtime().getDeviceCount():
            return ""
        said = "it counts none"
    except Exception as error:
        said = checks.in_one_line(error)
    driver, made_for = runtime().driverGetVersion(), runtime().runtimeGetVersion()
    return f"CuPy {version} finds no GPU {checks.why_no_gpu(said, driver, made_for)}"


def runtime() -> Any:
    """CUDA's own interface, from which a report gets versions, names and memory."""
    return cupy.cuda.runtime


def count() -> int:
    """Number of GPUs that can be used."""
    return 0 if why_unavailable() else runtime().getDeviceCount()


class CupyDevice(Device):
    """One CUDA device."""

    def __init__(self, index: int) -> None:
        checks.gpu(index, count(), why_unavailable())
        super().__init__("gpu", index, Namespace(cupy))
        self._cuda = cupy.cuda.Device(index)

    def __enter__(self) -> Device:
        try:
            self._cuda.__enter__()
        except Exception as error:
            checks.cuda_error(self.name, error, INSTALL, *CUDA)
            raise
        return self

    def __exit__(self, *error: Any) -> None:
        self._cuda.__exit__(*error)
        checks.cuda_error(self.name, error[1], INSTALL, *CUDA)

    def asarray(self, host: Any, dtype: Any = None) -> Any:
        with self:
            return cupy.array(host_array(host, dtype), order="C")  # the default keeps Fortran's

    def to_host(self, array: Any) -> np.ndarray:
        with self:
            return cupy.asnumpy(array)

    def synchronize(self) -> None:
        with self:
            self._cuda.synchronize()

    def memory(self) -> Memory:
        """CuPy's pool. It keeps no peak of its use, so `peak` is what it has taken from CUDA."""
        with self:
            pool = cupy.get_default_memory_pool()
            return Memory(pool.used_bytes(), pool.total_bytes(), pool.get_limit() or None)

    def set_memory_limit(self, limit: int | None) -> None:
        with self:
            pool = cupy.get_default_memory_pool()
            pool.free_all_blocks()  # free ones would be handed out without asking the limit
            pool.set_limit(size=checks.memory_limit(limit) or 0)

    def _copy(self, array: Any, source: Device) -> Any:
        """Copy from another GPU, ordered on both sides by events.

        Without the first event the copy may read what is not yet written; without the second the
        source's memory may be reused while it is still being read.
        """
        with source:
            # Not ascontiguousarray, which gives an array without axes one.
            array = array.astype(array.dtype, order="C", copy=False)
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
