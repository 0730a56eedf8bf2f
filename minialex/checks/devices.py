"""Names, memory and drivers of devices; arrays that enter them."""

import re

from ..errors import DeviceError, DeviceMemoryError, InputTypeError
from .shapes import shown, whole

__all__ = ["cuda_error", "device_name", "gpu", "host_array", "in_one_line", "memory",
           "memory_limit", "virtual_device", "why_no_gpu"]


def device_name(name):
    """What "gpu:1" consists of: its kind and its number; "gpu" is the first one."""
    match = re.fullmatch(r"(cpu|gpu)(?::([0-9]{1,9}))?", name) if isinstance(name, str) else None
    if not match:
        raise DeviceError(f"unknown device {shown(name)}; use 'cpu:0', 'cpu:1', 'gpu:0', 'gpu:1', "
                          "...")
    return match[1], int(match[2] or 0)


def virtual_device(index, count):
    if index >= count:
        raise DeviceError(f"device 'cpu:{index}' does not exist: the virtual CPU devices are "
                          f"cpu:0 to cpu:{count - 1}")


def gpu(index, count, why_none):
    if why_none:
        raise DeviceError(f"device 'gpu:{index}': {why_none}; or use 'cpu:{index}'")
    if index >= count:
        raise DeviceError(f"device 'gpu:{index}' does not exist: this machine has {count} GPU(s); "
                          "use one of them twice (gpu:0,gpu:0) or with the CPU (gpu:0,cpu:0)")


def why_no_gpu(said, driver, made_for):
    """What is wrong with the driver, and the remedy. Versions: 12090 is CUDA 12.9; 0: no driver."""
    remedy = "check nvidia-smi, and the variable CUDA_VISIBLE_DEVICES"
    if driver == 0:
        said, remedy = "there is no CUDA driver", "install one, and see nvidia-smi"
    elif driver // 1000 < made_for // 1000:  # it serves all minor versions of its CUDA
        said = (f"the driver is too old: it is for CUDA {driver // 1000}, CuPy for CUDA "
                f"{made_for // 1000}")
        remedy = "update the driver, or install CuPy for the CUDA of the driver, from 12 on"
    return f"({said}): {remedy}"


def in_one_line(error):
    """What an error says. CuPy frames some with lines of =, and says the cause last."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" =")]
    return lines[-1 if "Original error:" in lines else 0] if lines else type(error).__name__


def cuda_error(device, error, install, package, modules):
    """Raise an error of CUDA again as what it means for the user; let every other error be.

    package: what uses CUDA, and `modules` define its errors. If it cannot be imported, the error
    names a file of it, or nothing; an error of the system names another file.
    """
    where = type(error).__module__
    if isinstance(error, ImportError):
        where = modules[0] if package in (error.path or error.name or package) else ""
    if not where.startswith(modules):
        return
    said = f"{type(error).__name__}: {in_one_line(error).rstrip('.')}"
    helps = {
        "ImportError|DynamicLibNotFound|Compile|NVRTC":
            f"update the driver, and install CuPy with the libraries of CUDA: {install}",
        "out of memory|ALLOC_FAILED":
            "use a smaller batch, set_memory_limit(more), or end other programs on this GPU",
        "": "start the program again, and see nvidia-smi; after a fork CUDA fails: spawn processes",
    }
    pattern = next(pattern for pattern in helps if re.search(pattern, said, re.IGNORECASE))
    kind = DeviceMemoryError if "memory" in pattern else DeviceError
    raise kind(f"{device}: {said}; {helps[pattern]}") from error


def memory(device, nbytes, used, limit):
    """`nbytes` more must fit within the limit of a device, if it has one."""
    if limit is not None and used + nbytes > limit:
        raise DeviceMemoryError(
            f"{device}: out of memory allocating {nbytes:,} bytes (in use {used:,}, limit "
            f"{limit:,}); use a smaller batch, or set_memory_limit(more)")


def memory_limit(limit):
    """Bytes as an int, or None for no limit."""
    return limit if limit is None else whole("set_memory_limit", "limit", limit)


def host_array(values, array):
    """`values` from the host, of which `array` has been made, must be numbers at every place."""
    if hasattr(values, "mask") and hasattr(values, "filled"):  # loading np.ma takes time
        raise InputTypeError("a masked array has no number at some places; give array.filled(0)")
    if array.dtype.kind not in "fciub":
        raise InputTypeError(f"an array of {array.dtype} cannot go to a device; give numbers")
