"""The GPU, through CuPy: the only file that names it.

Three things differ from NumPy. Work and memory belong to the *current* CUDA device, not to the
device of the operands, so a device is made current before its arrays are touched. Calls return
before the work is done, so a copy between devices must order the two. And each device has a pool
of memory that belongs to CuPy. See the CuPy user guide, "Current device" and "Memory management".
"""

from __future__ import annotations

import re
import sys
from importlib import metadata
from typing import Any

import numpy as np

from .device import Device, DeviceError, DeviceMemoryError, Memory, host_array
from .namespace import Namespace

__all__ = ["INSTALL", "TF32", "CupyDevice", "count", "facts", "import_error", "installed",
           "reaches", "version", "versions", "why_unavailable"]


def _said(error: Exception) -> str:
    """An error in one line. CuPy frames some with lines of =, and says the cause last."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" =")]
    return lines[-1 if "Original error:" in lines else 0] if lines else type(error).__name__


version = import_error = ""  # of CuPy; and why, though installed, it cannot be imported
try:
    import cupy

    version = cupy.__version__
except Exception as error:  # much can be wrong with it, and without it all else works
    if getattr(error, "name", None) != "cupy":
        import_error = f"cannot be imported ({_said(error)})"

INSTALL = (f'{sys.executable} -m pip install "cupy-cuda12x[ctk]>=14" for CUDA 12, '
           '"cupy-cuda13x[ctk]>=14" for CUDA 13')
TF32 = "CUPY_TF32"  # with this variable, float32 products keep 10 bits after the point, not 23

# In the first line of an error of CuPy or CUDA: what helps.
REMEDIES = {
    "ImportError|DynamicLibNotFound": f"install CuPy with the libraries of CUDA: {INSTALL}",
    "out of memory|ALLOC_FAILED": "use a smaller batch, set_memory_limit(more), or end other "
                                  "programs on this GPU",
    "Compile|NVRTC": f"update the driver, or install libraries that know this GPU: {INSTALL}",
    "": "start the program again, and check the GPU with nvidia-smi; a process made by fork cannot "
        "use it, one made by spawn can",
}


def _explained(name: str, error: Any) -> Exception | None:
    """What an error of CuPy or CUDA means to who uses a device; None for any other error."""
    where = type(error).__module__
    if isinstance(error, ImportError):
        where = error.name or "cuda."  # CuPy names no module where a library is missing
    if not where.startswith(("cuda.", "cupy.cuda", "cupy_backends")):
        return None
    said = f"{type(error).__name__}: {_said(error).rstrip('.')}"
    pattern = next(pattern for pattern in REMEDIES if re.search(pattern, said, re.IGNORECASE))
    kind = DeviceMemoryError if "memory" in pattern else DeviceError
    return kind(f"{name}: {said}; {REMEDIES[pattern]}")


def why_unavailable() -> str:
    """Why no GPU can be used, and the remedy; empty if one can.

    CuPy imports without a driver as well, so "is it installed" and "does it work" are two
    questions.
    """
    if not version:
        return f"CuPy {import_error or 'is not installed'}: {INSTALL}"
    try:
        if cupy.cuda.runtime.getDeviceCount():
            return ""
        said = "it counts none"
    except Exception as error:
        said = _said(error)
    driver, made_for = versions()
    remedy = "check nvidia-smi, and the variable CUDA_VISIBLE_DEVICES"
    if driver == (0, 0):
        said, remedy = "there is no CUDA driver", "install one, and see nvidia-smi"
    elif driver[0] < made_for[0]:
        said = (f"the driver knows CUDA {driver[0]}.{driver[1]}, CuPy is made for CUDA "
                f"{made_for[0]}.{made_for[1]}")
        remedy = "update the driver, or install CuPy for the CUDA of the driver, from 12 on"
    return f"CuPy {version} finds no GPU ({said}): {remedy}"


def installed() -> dict[str, str]:
    """Packages of CuPy and their versions; there should be one, since they share files."""
    return {d.name: d.version for d in metadata.distributions()
            if re.fullmatch(r"cupy([-_](cuda|rocm).*)?", d.name or "")}


def versions() -> list[tuple[int, int]]:
    """The CUDA that the driver knows, (0, 0) without a driver, and the one CuPy is made for."""
    runtime = cupy.cuda.runtime
    return [divmod(version // 10, 100)
            for version in (runtime.driverGetVersion(), runtime.runtimeGetVersion())]


def count() -> int:
    """Number of GPUs that can be used."""
    return 0 if why_unavailable() else cupy.cuda.runtime.getDeviceCount()


def facts(index: int) -> tuple[str, int, int]:
    """What a GPU is called, and its free and total memory in bytes."""
    name = cupy.cuda.runtime.getDeviceProperties(index)["name"].decode()
    return name, *cupy.cuda.Device(index).mem_info


def reaches(a: int, b: int) -> bool:
    """Whether GPU `a` reaches the memory of GPU `b` directly."""
    return bool(cupy.cuda.runtime.deviceCanAccessPeer(a, b))


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
        try:
            self._cuda.__enter__()
        except Exception as error:
            raise _explained(self.name, error) or error from error
        return self

    def __exit__(self, *error: Any) -> None:
        self._cuda.__exit__(*error)
        if explained := _explained(self.name, error[1]):
            raise explained from error[1]

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
