"""The machine that is imitated: devices with memory and streams, and what happened before what.

Work is really done at once, in order, by NumPy. What a GPU could have mixed up is found by
bookkeeping: every stream has a vector clock, {stream: how much of its work is known to be done},
which events and waiting pass on. A block of memory remembers who wrote and who reads it. Work that
touches a block must know that the others have finished, or the two may run at the same time.

Stricter than CUDA: a copy between two null streams does not wait for both devices by itself, since
that holds for the legacy null stream only. Kinder than CUDA: a pool has no fragments.
"""

from __future__ import annotations

import gc
import itertools
import os
import threading
import weakref
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

__all__ = ["Block", "CUDARuntimeError", "Machine", "OutOfMemoryError", "RaceError", "Record",
           "StreamState", "Transfer", "WrongDeviceError", "machine"]

ROUNDING = 512  # bytes: the smallest piece of memory that CuPy's pool hands out

NO_DRIVER = ("cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime "
             "version")
NO_DEVICE = "cudaErrorInvalidDevice: invalid device ordinal"
WRONG_HANDLE = "cudaErrorInvalidResourceHandle: invalid resource handle"

Clock = dict[int, int]


class CUDARuntimeError(RuntimeError):
    """What CUDA says when a call fails."""

    __module__ = "cupy_backends.cuda.api.runtime"  # as in CuPy


class OutOfMemoryError(MemoryError):
    """The pool of a device has reached its limit; the wording is CuPy's."""

    __module__ = "cupy.cuda.memory"  # as in CuPy

    def __init__(self, size: int, total: int, limit: int = 0) -> None:
        limited = f", limit set to: {limit:,} bytes" if limit else ""
        super().__init__(f"Out of memory allocating {size:,} bytes "
                         f"(allocated so far: {total:,} bytes{limited}).")


class WrongDeviceError(ValueError):
    """An operand does not lie on the current device."""


class RaceError(RuntimeError):
    """Two pieces of work on one block of memory, and nothing says which comes first."""


class Transfer(NamedTuple):
    """One copy: kind is "H2D", "D2H" or "D2D"; the host is None."""

    kind: str
    source: int | None
    destination: int | None
    bytes: int
    shape: tuple[int, ...]
    dtype: str


class Record:
    """What was seen while `standin.record()` was open.

    launches: work given to a GPU, counted by name (views and `empty` give none).
    bytes: what these launches must read and write at least, counted likewise.
    transfers: copies. syncs: what made the host wait for a device, in order.
    """

    def __init__(self, label: Any) -> None:
        self.launches: Counter = Counter()
        self.bytes: Counter = Counter()
        self.transfers: list[Transfer] = []
        self.syncs: list[str] = []
        self._label = label

    def add_launch(self, name: str, nbytes: int) -> None:
        key = self._label(name) if self._label else name
        self.launches[key] += 1
        self.bytes[key] += nbytes


class Pool:
    """The memory of one device. CuPy keeps what is freed, and counts it as held until it must."""

    def __init__(self) -> None:
        self.used = self.free = self.peak = self.limit = 0

    def take(self, size: int) -> None:
        if size > self.free:
            if self.limit and self.used + self.free + size > self.limit:
                gc.collect()
                self.free = 0  # gives back to CUDA what it keeps
                if self.used + size > self.limit:
                    raise OutOfMemoryError(size, self.used, self.limit)
            self.free += size  # new memory from CUDA
        self.free -= size
        self.used += size
        self.peak = max(self.peak, self.used)

    def put_back(self, size: int) -> None:
        self.used -= size
        self.free += size


class StreamState:
    """A queue of work on one device."""

    numbers = itertools.count(1)

    def __init__(self, device: DeviceState, name: str, non_blocking: bool = False) -> None:
        self.device, self.name, self.non_blocking = device, name, non_blocking
        self.number = next(self.numbers)
        self.clock: Clock = {}
        device.streams.add(self)

    def __str__(self) -> str:
        return f"{self.name} of GPU {self.device.index}"

    def now(self) -> Clock:
        """The clock, after what the host has waited for and the rules of the null stream."""
        _merge(self.clock, machine.host)
        if self is self.device.null:
            for other in list(self.device.streams) if len(self.device.streams) > 1 else ():
                if not other.non_blocking:
                    _merge(self.clock, other.clock)
        elif not self.non_blocking:
            _merge(self.clock, self.device.null.clock)
        return self.clock

    def tick(self) -> int:
        self.clock[self.number] = self.clock.get(self.number, 0) + 1
        return self.clock[self.number]


class DeviceState:
    """One GPU."""

    def __init__(self, index: int) -> None:
        self.index, self.pool = index, Pool()
        self.streams: weakref.WeakSet[StreamState] = weakref.WeakSet()
        self.null = StreamState(self, "the null stream")


class Use(NamedTuple):
    """A piece of work that read or wrote a block."""

    stream: StreamState
    time: int
    what: str

    def finished(self, clock: Clock) -> bool:
        return clock.get(self.stream.number, 0) >= self.time

    def __str__(self) -> str:
        return f"{self.what} on {self.stream}"


class Block:
    """The memory of an array and of all its views; goes back to the pool with the last of them."""

    size = 0

    def __init__(self, stream: StreamState, nbytes: int, bounds: tuple[int, int], what: str):
        self.stream, self.device, self.bounds, self.what = stream, stream.device, bounds, what
        self.writer: Use | None = None
        self.readers: dict[int, Use] = {}
        size = -(-nbytes // ROUNDING) * ROUNDING
        self.device.pool.take(size)
        self.size = size  # set last: __del__ runs even if the line above has raised

    def __str__(self) -> str:
        return f"{self.what} on GPU {self.device.index}"

    def __del__(self) -> None:
        self.device.pool.put_back(self.size)
        if not self.size or self.device not in machine.devices:  # of another test's machine
            return
        clock = self.stream.now()
        for use in filter(None, [self.writer, *self.readers.values()]):
            if not use.finished(clock):
                machine.hazards.append(
                    f"freed too early: the memory of {self} may be used again on {self.stream} "
                    f"while {use} is still at work on it; let {self.stream} wait for an event that "
                    "is recorded after that work")


class Machine:
    """All devices, the clock of the host, and what is being recorded."""

    def __init__(self) -> None:
        self.dry = False  # whether work is only counted, see standin.dry_run
        self.host: Clock = {}
        self.hazards: list[str] = []
        self.records: list[Record] = []
        self._devices: list[DeviceState] | None = None

    def set_devices(self, count: int) -> None:
        """Start anew with so many GPUs; 0 is a machine without a driver."""
        self._devices = [DeviceState(index) for index in range(count)]
        self.host = {}
        self.hazards.clear()
        self._local = threading.local()  # CUDA's current device and streams are the thread's own

    @property
    def devices(self) -> list[DeviceState]:
        if self._devices is None:
            self.set_devices(int(os.environ.get("MINIALEX_STANDIN_DEVICES", 2)))
        return self._devices

    def device(self, index: int) -> DeviceState:
        if not self.devices:
            raise CUDARuntimeError(NO_DRIVER)
        if not 0 <= index < len(self.devices):
            raise CUDARuntimeError(NO_DEVICE)
        return self.devices[index]

    @property
    def current(self) -> DeviceState:
        return self.device(getattr(self._local, "index", 0) if self.devices else 0)

    @property
    def entered(self) -> list[int]:
        """The devices to go back to, at the end of each open `with Device(i):`."""
        return self._local.__dict__.setdefault("entered", [])

    def make_current(self, index: int) -> None:
        self._local.index = self.device(index).index

    def streams(self, device: DeviceState) -> list[StreamState]:
        """The streams made current on a device, innermost last."""
        stacks = self._local.__dict__.setdefault("streams", {})
        return stacks.setdefault(device.index, [device.null])

    def stream(self, device: DeviceState | None = None) -> StreamState:
        """The current stream of a device, by default of the current one."""
        return self.streams(device or self.current)[-1]

    def allocate(self, nbytes: int, bounds: tuple[int, int], what: str) -> Block:
        return Block(self.stream(), nbytes, bounds, what)

    def work(self, name: str, reads: Iterable[Block], writes: Iterable[Block],
             stream: StreamState | None = None, count: bool = True, nbytes: int = 0) -> None:
        """Note that work was given to a stream; raise RaceError if it may come too early."""
        self.raise_hazards()
        stream = stream or self.stream()
        clock = stream.now()
        for block in reads:
            self._expect(block, [block.writer], clock, f"{name} on {stream} reads", "writing")
        for block in writes:
            self._expect(block, [block.writer], clock, f"{name} on {stream} overwrites", "writing")
            self._expect(block, block.readers.values(), clock, f"{name} on {stream} overwrites",
                         "reading")
        use = Use(stream, stream.tick(), name)
        for block in reads:
            block.readers[stream.number] = use
        for block in writes:
            block.writer, block.readers = use, {}
        if count:
            for record in self.records:
                record.add_launch(name, nbytes)

    def _expect(self, block, uses, clock, what, doing):
        for use in filter(None, uses):
            if not use.finished(clock):
                raise RaceError(
                    f"race: {what} {block} while {use} may still be {doing} it; record an event "
                    "after that work, and let the later stream wait: stream.wait_event(event)")

    def raise_hazards(self) -> None:
        if self.hazards:
            message = "\n".join(self.hazards)
            self.hazards.clear()
            raise RaceError(message)

    def wait(self, what: str, clocks: list[Clock]) -> None:
        """The host waits until the work behind these clocks is done."""
        for clock in clocks:
            _merge(self.host, clock)
        for record in self.records:
            record.syncs.append(what)

    def transfer(self, *args: Any) -> None:
        for record in self.records:
            record.transfers.append(Transfer(*args))


def _merge(clock: Clock, other: Clock) -> None:
    for number, time in other.items():
        if time > clock.get(number, 0):
            clock[number] = time


machine = Machine()
