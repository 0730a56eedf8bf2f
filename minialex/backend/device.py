"""What a device is: a name, an array namespace, memory of its own, and copies in and out.

`_numpy.py` and `_cupy.py` fill it in; nothing else in minialex knows which of the two it has.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .. import checks

__all__ = ["Array", "Device", "Memory", "Opened", "TransferLog", "host_array",
           "record_transfers"]

Array = Any  # numpy.ndarray or cupy.ndarray


class Memory(NamedTuple):
    """Bytes in use now, the most that were ever in use, and the limit (None: no limit)."""

    used: int
    peak: int
    limit: int | None


def host_array(values: Any, dtype: Any = None) -> np.ndarray:
    """Values from the host as a NumPy array of numbers in the processor's own byte order."""
    array = np.asarray(values, dtype)
    checks.host_array(values, array)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


class Device:
    """Where arrays live and where the work on them is done. It equals its name, "cpu:0".

    Copy and pickle keep only its name, and give back the same device.
    Attributes: `name` ("cpu:0"), `kind` ("cpu"), `index`, `xp` (array module plus five verbs, see
    namespace.py). In a `with` block it is the current device, which CUDA requires.
    Each kind of device fills in `asarray`, `to_host`, `memory` and `set_memory_limit`, which have
    no body here, and overrides what it must do in another way.
    """

    def __init__(self, kind: str, index: int, xp: Any) -> None:
        self.kind, self.index, self.name, self.xp = kind, index, f"{kind}:{index}", xp

    def __repr__(self) -> str:
        return self.name

    def __eq__(self, other: object) -> bool:
        # Not also "cpu": what is equal has the same hash, and "cpu" has another than "cpu:0".
        return self is other or (isinstance(other, str) and other == self.name)

    def __hash__(self) -> int:
        return hash(self.name)

    def __reduce__(self) -> tuple:
        from . import device

        return device, (self.name,)

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def asarray(self, host: Any, dtype: Any = None) -> Array:
        """A copy of a host array, list or number in this device's memory, C-ordered and native.

        So an update can go into it in place. Raises InputTypeError for what holds no numbers.
        """

    def to_host(self, array: Array) -> np.ndarray:
        """A copy as a C-ordered, native NumPy array; waits until it has been computed."""

    def own(self, array: Array) -> Array:
        """The array, in this device's memory. CuPy's always are; NumPy puts `a * b` elsewhere."""
        return array

    def memory(self) -> Memory:
        """Bytes in use, their peak, and the limit."""

    def set_memory_limit(self, limit: int | None) -> None:
        """Refuse to hold more bytes (a GTX 580 had 3 * 2**30); None: no limit."""

    def synchronize(self) -> None:
        """Wait until all work given to this device is done. NumPy's is done when it returns."""

    def rng(self, seed: int) -> np.random.Generator:
        """Random numbers are drawn on the host, so that they are the same on every device."""
        return np.random.default_rng(seed)

    def receive(self, array: Array, source: Device, label: str = "") -> Array:
        """This device's copy of an array of another device; from the same device, the array itself.

        The only way from device to device, and therefore the place where transfers are counted.
        """
        if source is self:
            return array
        transfer = Transfer(source.name, self.name, array.nbytes, tuple(array.shape), label)
        for log in _logs.now:
            log.append(transfer)
        if source.kind == self.kind:
            return self._copy(array, source)
        return self.asarray(source.to_host(array))

    def _copy(self, array: Array, source: Device) -> Array:
        """A copy of an array of another device of the same kind."""
        return self.asarray(array)


class Transfer(NamedTuple):
    """One copy between two devices."""

    source: str
    destination: str
    bytes: int
    shape: tuple[int, ...]
    label: str


class TransferLog(list[Transfer]):
    """The copies between devices since the recording began."""

    @property
    def total_bytes(self) -> int:
        return sum(transfer.bytes for transfer in self)

    def table(self) -> str:
        """One line per copy (source, destination, bytes, shape, label), and the sum."""
        rows = [f"{t.source:6} {t.destination:6} {t.bytes:14,}  {t.shape!s:20} {t.label}".rstrip()
                for t in self]
        return "\n".join([f"{'from':6} {'to':6} {'bytes':>14}  {'shape':20} label", *rows,
                          f"{'sum':13} {self.total_bytes:14,}  {len(rows)} transfers"])


class Opened(threading.local):
    """What the `with` blocks of this thread have opened and not yet closed, the innermost first."""

    now: tuple[Any, ...] = ()

    @contextlib.contextmanager
    def hold(self, item: Any) -> Iterator[Any]:
        self.now = (item, *self.now)
        try:
            yield item
        finally:  # not simply as before: blocks in generators may end in another order
            self.now = tuple(other for other in self.now if other is not item)


_logs = Opened()


def record_transfers() -> contextlib.AbstractContextManager[TransferLog]:
    """`with record_transfers() as log:` lists every copy between two devices made inside.

    It sees the copies that this thread makes; other threads have logs of their own.
    """
    return _logs.hold(TransferLog())
