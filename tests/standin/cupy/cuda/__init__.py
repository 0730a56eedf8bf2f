"""`cupy.cuda`: devices, streams, events, memory pools."""

from __future__ import annotations

from typing import Any

import cupy_table

from .._machine import WRONG_HANDLE, CUDARuntimeError, DeviceState, StreamState, machine
from . import memory, runtime
from .memory import MemoryPool

__all__ = ["Device", "Event", "MemoryPool", "Stream", "alloc_pinned_memory", "get_current_stream",
           "get_device_id", "is_available", "memory", "runtime"]


def __getattr__(name: str) -> Any:
    raise cupy_table.missing(f"cuda.{name}")


def is_available() -> bool:
    return bool(machine.devices)


def alloc_pinned_memory(size: int) -> memoryview:
    """Memory of the host that a GPU copies by itself; here it is like any other."""
    return memoryview(bytearray(size))


def get_device_id() -> int:
    return machine.current.index


class Device:
    """One GPU; as a context manager, or by use(), it becomes the current device of the thread."""

    def __init__(self, device: int | Device | None = None) -> None:
        self.id = machine.current.index if device is None else int(device)

    def __int__(self) -> int:
        return self.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"

    def __enter__(self) -> Device:
        before = machine.current.index
        machine.make_current(self.id)
        machine.entered.append(before)
        return self

    def __exit__(self, *error: object) -> None:
        machine.make_current(machine.entered.pop())

    def use(self) -> None:
        machine.make_current(self.id)

    def synchronize(self) -> None:
        streams = machine.device(self.id).streams
        machine.wait("Device.synchronize", [stream.now() for stream in list(streams)])

    @property
    def mem_info(self) -> tuple[int, int]:
        """Free and total bytes."""
        with self:
            return runtime.memGetInfo()

    compute_capability = "00"
    pci_bus_id = "stand-in"


class Stream:
    """A queue of work on the device that was current when it was made.

    `Stream.null` is the null stream of whichever device is current when it is used.
    """

    null: Stream

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False,
                 priority: int | None = None) -> None:
        self._own = None
        if not null:
            name = "a non-blocking stream" if non_blocking else "a stream"
            self._own = StreamState(machine.current, name, non_blocking)

    @classmethod
    def _of(cls, state: StreamState) -> Stream:
        stream = cls(null=True)
        stream._own = None if state is state.device.null else state
        return stream

    def _state(self) -> StreamState:
        return self._own or machine.current.null

    @property
    def device_id(self) -> int:
        return self._own.device.index if self._own else -1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and self._own is other._own

    def __hash__(self) -> int:
        return hash(self._own)

    def __repr__(self) -> str:
        return f"<Stream {self._own.number if self._own else 0} (device {self.device_id})>"

    def _here(self) -> list[StreamState]:
        """The streams of the current device, which must be this stream's own."""
        state, current = self._state(), machine.current
        if state.device is not current:
            raise RuntimeError(f"The device that the stream is created on ({state.device.index}) "
                               f"does not match with the current device ({current.index})")
        return machine.streams(current)

    def __enter__(self) -> Stream:
        self._here().append(self._state())
        return self

    def __exit__(self, *error: object) -> None:
        machine.streams(self._state().device).pop()

    def use(self) -> Stream:
        self._here()[-1] = self._state()
        return self

    def record(self, event: Event | None = None) -> Event:
        event = event or Event()  # on the current device, as in CuPy
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Later work on this stream comes after what the event has seen; on any device."""
        state = self._state()
        clock = state.now()
        for number, time in event._clock.items():
            clock[number] = max(time, clock.get(number, 0))

    def synchronize(self) -> None:
        machine.wait("Stream.synchronize", [self._state().now()])

    @property
    def done(self) -> bool:
        return True


Stream.null = Stream(null=True)


def get_current_stream(device_id: int = -1) -> Stream:
    return Stream._of(machine.stream(machine.device(device_id) if device_id >= 0 else None))


class Event:
    """A mark in a stream: what was given to the stream before it."""

    def __init__(self, block: bool = False, disable_timing: bool = False,
                 interprocess: bool = False) -> None:
        self._device: DeviceState = machine.current
        self._clock: dict[int, int] = {}

    def record(self, stream: Stream | None = None) -> None:
        state = stream._state() if stream else machine.stream()
        if state.device is not self._device:
            raise CUDARuntimeError(
                f"{WRONG_HANDLE}: an event of GPU {self._device.index} is recorded on {state}; "
                "make it with the device of the stream current")
        self._clock = dict(state.now())

    def synchronize(self) -> None:
        machine.wait("Event.synchronize", [self._clock])

    @property
    def done(self) -> bool:
        return True
