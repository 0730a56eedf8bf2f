"""What a device is: a name, an array namespace, memory of its own, and copies in and out.

`_numpy.py` and `_cupy.py` fill this class in; nothing else in minialex knows which of the two it has.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = [
    "Array", "Device", "DeviceError", "DeviceMemoryError", "Memory", "Transfer", "TransferLog",
    "record_transfers",
]

Array = Any  # numpy.ndarray or cupy.ndarray


class DeviceError(ValueError):
    """A device that does not exist, cannot be used, or does not hold what it should."""


class DeviceMemoryError(MemoryError):
    """A virtual device has reached its memory limit."""


@dataclass(frozen=True)
class Memory:
    """Bytes in use now, the most that were ever in use, and the limit (None: no limit)."""

    used: int
    peak: int
    limit: int | None


class Device:
    """Where arrays live and where the work on them is done.

    Public: `name` ("cpu:0"), `xp` (array module plus five verbs, see namespace.py), `asarray`,
    `to_host`, `receive`, `synchronize`, `memory`, `set_memory_limit`, `rng`. As a context manager
    (`with device:`) it becomes the current device, which only CUDA asks for.
    A device equals its name: `x.device == "cpu:1"`.
    """

    kind = ""

    def __init__(self, index: int, xp: Any) -> None:
        self.index = index
        self.name = f"{self.kind}:{index}"
        self.xp = xp

    def __repr__(self) -> str:
        return self.name

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, str) and other in (self.name, self._short_name))

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def _short_name(self) -> str:
        return self.name if self.index else self.kind

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def asarray(self, host: Any, dtype: Any = None) -> Array:
        """A copy of a host array, list or number in this device's memory."""
        raise NotImplementedError

    def to_host(self, array: Array) -> np.ndarray:
        """A copy of this device's array as a NumPy array; waits until it has been computed."""
        raise NotImplementedError

    def adopt(self, array: Array) -> Array:
        """Count an array that an op has just made, if the array library does not do so itself."""
        raise NotImplementedError

    def memory(self) -> Memory:
        raise NotImplementedError

    def set_memory_limit(self, limit: int | None) -> None:
        """Refuse to hold more than `limit` bytes (a GTX 580 had `3 * 2**30`); None: no limit."""
        raise NotImplementedError

    def synchronize(self) -> None:
        """Wait until all work given to this device is done."""

    def receive(self, array: Array, source: Device, label: str = "") -> Array:
        """This device's copy of an array of another device; from the same device, the array itself.

        The only way from device to device, and therefore the place where transfers are counted.
        """
        if source is self:
            return array
        for log in _logs:
            log.entries.append(
                Transfer(source.name, self.name, array.nbytes, tuple(array.shape), label))
        if source.kind == self.kind:
            return self._copy(array, source)
        return self.asarray(source.to_host(array))

    def _copy(self, array: Array, source: Device) -> Array:
        """A copy of an array of another device of the same kind."""
        raise NotImplementedError

    def rng(self, seed: int) -> Random:
        """Random arrays on this device; the same seed gives the same numbers on every device."""
        return Random(self, seed)


class Random:
    """Numbers drawn on the host by NumPy, then copied: CuPy's own generator never repeats NumPy's."""

    def __init__(self, device: Device, seed: int) -> None:
        self.device = device
        self.generator = np.random.default_rng(seed)

    def standard_normal(self, shape: tuple[int, ...], dtype: Any = np.float32) -> Array:
        return self.device.asarray(self.generator.standard_normal(shape, dtype))

    def random(self, shape: tuple[int, ...], dtype: Any = np.float32) -> Array:
        """Uniform in [0, 1)."""
        return self.device.asarray(self.generator.random(shape, dtype))


@dataclass(frozen=True)
class Transfer:
    """One copy between two devices."""

    source: str
    destination: str
    bytes: int
    shape: tuple[int, ...]
    label: str


@dataclass
class TransferLog:
    """The copies between devices since the recording began."""

    entries: list[Transfer] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def total_bytes(self) -> int:
        return sum(entry.bytes for entry in self.entries)

    def table(self) -> str:
        """One line per copy (source, destination, bytes, shape, label), and the sum."""
        lines = [f"{'from':6} {'to':6} {'bytes':>14}  {'shape':20} label"]
        lines += [f"{e.source:6} {e.destination:6} {e.bytes:14,}  {e.shape!s:20} {e.label}".rstrip()
                  for e in self.entries]
        lines.append(f"{'sum':13} {self.total_bytes:14,}  {len(self.entries)} transfers")
        return "\n".join(lines)


_logs: list[TransferLog] = []


@contextlib.contextmanager
def record_transfers() -> Iterator[TransferLog]:
    """`with record_transfers() as log:` lists every copy between two devices made inside."""
    log = TransferLog()
    _logs.append(log)
    try:
        yield log
    finally:
        _logs[:] = [other for other in _logs if other is not log]
