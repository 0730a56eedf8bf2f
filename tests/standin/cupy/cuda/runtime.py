"""`cupy.cuda.runtime`: the few calls of CUDA's own interface that a report may ask for."""

from __future__ import annotations

from typing import Any

import cupy_table

from .._machine import CUDARuntimeError, machine

__all__ = ["CUDARuntimeError", "deviceCanAccessPeer", "deviceSynchronize", "driverGetVersion",
           "getDevice", "getDeviceCount", "getDeviceProperties", "memGetInfo",
           "runtimeGetVersion", "setDevice"]

MEMORY = 2**40  # bytes: what memory a GPU really has is not imitated, only limits are


def __getattr__(name: str) -> Any:
    raise cupy_table.missing(f"cuda.runtime.{name}")


def getDeviceCount() -> int:
    machine.device(0)
    return len(machine.devices)


def getDevice() -> int:
    return machine.current.index


def setDevice(device: int) -> None:
    machine.make_current(device)


def deviceSynchronize() -> None:
    machine.wait("deviceSynchronize", [s.now() for s in list(machine.current.streams)])


def deviceCanAccessPeer(device: int, peerDevice: int) -> int:
    """No: a program must not depend on it."""
    machine.device(device), machine.device(peerDevice)
    return 0


def memGetInfo() -> tuple[int, int]:
    pool = machine.current.pool
    return MEMORY - pool.used - pool.free, MEMORY


def getDeviceProperties(device: int) -> dict[str, Any]:
    machine.device(device)
    return {"name": b"stand-in: no GPU", "totalGlobalMem": MEMORY, "major": 0, "minor": 0}


def driverGetVersion() -> int:
    return 12090 if machine.devices else 0


def runtimeGetVersion() -> int:
    return 12090
