"""For tests: how many devices there are, what was seen, and counting without computing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from ._machine import RaceError, Record, Transfer, WrongDeviceError, machine

__all__ = ["RaceError", "Record", "Transfer", "WrongDeviceError", "check", "devices", "dry_run",
           "peak", "record"]


@contextlib.contextmanager
def devices(count: int) -> Iterator[None]:
    """A machine with so many GPUs, none of them used before; 0: without a driver.

    At the start there are two, or as many as MINIALEX_STANDIN_DEVICES says.
    """
    before = machine._devices, machine.host, machine.__dict__.get("_local")
    machine.set_devices(count)
    try:
        yield
    finally:
        machine._devices, machine.host, machine._local = before
        machine.hazards.clear()


@contextlib.contextmanager
def record(label: Callable[[str], object] | None = None) -> Iterator[Record]:
    """See launches, transfers and waits. label: from the name of a launch to what it counts as."""
    seen = Record(label)
    machine.records.append(seen)
    try:
        yield seen
    finally:
        machine.records.remove(seen)


@contextlib.contextmanager
def dry_run() -> Iterator[None]:
    """Launches, memory and transfers are counted as ever, but nothing is computed."""
    before, machine.dry = machine.dry, True
    try:
        yield
    finally:
        machine.dry = before


def check() -> None:
    """Raise RaceError if memory was freed too early since the last call of the library."""
    machine.raise_hazards()


def peak() -> list[int]:
    """The most bytes that each device ever had in use."""
    return [device.pool.peak for device in machine.devices]
