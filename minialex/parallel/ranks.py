"""What many processes send to each other: sums and blocks of arrays, by MPI.

`mpiexec -n 4 python -m mpi4py PROGRAM` starts the same program four times, on one machine or on
many (`--hostfile`). Each of these processes is a *rank*, 0 to 3, with arrays of its own, and all of
them make the same calls in the same order. Open MPI starts at most one for each core, unless it
gets `mpiexec --oversubscribe`; give each its share of the cores with `backend.set_threads`. Ctrl-C
ends all at once, and the last checkpoint stays. Built in chapter 14.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from typing import Any

import numpy as np

from ..backend import Array, Device
from ..errors import InputError, MinialexError

__all__ = ["Communicator", "MpiCommunicator", "RankError", "connect", "devices_of_rank", "share",
           "started_by_mpi"]

PATIENCE = 40.0  # seconds that a rank waits for its own data, or for a sign of life of another
BEAT = 1.0  # seconds from one sign of life to the next

Wait = Callable[[], Any]  # waits until what was begun is done, and gives its result


class RankError(InputError):
    """What went wrong on one rank. It ends all of them."""


def share(n: int, rank: int, size: int) -> slice:
    """The part of n things that a rank has: all parts are nearly equal, some may be empty."""
    return slice(n * rank // size, n * (rank + 1) // size)


def devices_of_rank(names: Sequence[str], rank: int, size: int) -> tuple[str, str]:
    """The devices of the two columns of a rank, one of `size` on a machine with these devices.

    Each rank has its own GPUs, two if there are enough, and shares one if there are too few.
    Virtual devices belong to a process, so every rank can have the same names.
    """
    gpus = [name for name in names if name.startswith("gpu")] or list(names)
    if not gpus[0].startswith("gpu"):
        return gpus[0], gpus[-1]
    mine = gpus[share(len(gpus), rank, size)][:2] if len(gpus) >= size else [gpus[rank % len(gpus)]]
    return mine[0], mine[-1]


class Communicator:
    """A group of ranks. This one has one rank, which is alone.

    rank: 0 .. size - 1; local_rank, local_size: among the ranks on the same machine.
    sent: bytes that this rank has sent so far, by label; a sum counts as 2 (size - 1) / size
    of the array, the least that a sum on all ranks needs.
    """

    rank, size, local_rank, local_size = 0, 1, 0, 1

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()

    def start_sum(self, array: np.ndarray, result: np.ndarray, label: str) -> Wait:
        """Begin to add up all ranks' arrays; all get the same bits in `result`.

        Both lie on the host, are flat, and are left alone until the wait is over.
        """
        result[...] = array
        return lambda: result

    def start_exchange(self, blocks: Sequence[Array], shapes: Sequence[tuple[int, ...]],
                       device: Device, label: str) -> Wait:
        """Begin to send block r to rank r, for all r -> the blocks received, in order of ranks.

        blocks: arrays of one device; shapes: of the blocks to receive.
        """
        return lambda: list(blocks)

    def collect(self, value: Any) -> list[Any]:
        """The values of all ranks, on all ranks: a few Python objects."""
        return [value]

    def broadcast(self, value: Any) -> Any:
        """The value of rank 0, on all ranks."""
        return value

    def sum(self, *numbers: float) -> list[float]:
        """Each number, added up over all ranks in their order."""
        return [math.fsum(column) for column in zip(*self.collect(numbers), strict=True)]

    def any(self, *flags: Any) -> list[bool]:
        """For each flag, whether any rank has set it, so that all ranks do the same."""
        return [any(column) for column in zip(*self.collect([bool(flag) for flag in flags]),
                                              strict=True)]

    def compare(self, about: Mapping[str, Any]) -> None:
        """Check that all ranks have the same values. Raises InputError, naming one that differs."""
        first, *others = self.collect(dict(about))
        for rank, other in enumerate(others, 1):
            for name, value in first.items():
                if other.get(name) != value:
                    raise InputError(f"rank {rank} has {name} {other.get(name)}, but rank 0 has "
                                     f"{value}; all ranks need the same")

    def patient(self, feed: Iterable[Any]) -> Iterator[Any]:
        """The same items. If one does not arrive, all ranks end; they would wait for ever."""
        return iter(feed)

    def keep_moving(self) -> None:
        """Let what was begun make progress."""

    @contextmanager
    def together(self) -> Iterator[None]:
        """In here only rank 0 prints. Errors carry the number of their rank."""
        yield


class MpiCommunicator(Communicator):
    """All processes that one mpiexec has started. What they send goes through the host's memory."""

    def __init__(self) -> None:
        super().__init__()
        try:
            from mpi4py import MPI  # starts MPI
        except (ImportError, RuntimeError) as error:
            raise InputError(f"MPI cannot be used ({error}); install mpi4py and an MPI library, "
                             "as the extra 'mpi' of minialex does") from None
        self.mpi, self.world = MPI, MPI.COMM_WORLD
        self.rank, self.size = self.world.rank, self.world.size
        here = self.world.Split_type(MPI.COMM_TYPE_SHARED)
        self.local_rank, self.local_size = here.rank, here.size
        self.signs = self.world.Dup()  # of life; they do not mix with what the world sends
        self.reads_since: float | None = None  # when it began to wait for its own data

    def start_sum(self, array: np.ndarray, result: np.ndarray, label: str) -> Wait:
        self.sent[label] += 2 * (self.size - 1) * array.nbytes // self.size
        request = self.world.Iallreduce(array, result)

        def wait() -> np.ndarray:
            request.Wait()
            return result

        return wait

    def start_exchange(self, blocks: Sequence[Array], shapes: Sequence[tuple[int, ...]],
                       device: Device, label: str) -> Wait:
        out = [device.to_host(block) for block in blocks]
        came = [np.empty(shape, np.float32) for shape in shapes]
        others = [rank for rank in range(self.size) if rank != self.rank]
        came[self.rank] = out[self.rank]
        self.sent[label] += sum(out[rank].nbytes for rank in others)
        # With its memory, which MPI does not keep alive.
        begun = [(self.world.Irecv(came[rank], rank), came[rank]) for rank in others]
        begun += [(self.world.Isend(out[rank], rank), out[rank]) for rank in others]

        def wait() -> list[Array]:
            for request, _ in begun:
                request.Wait()
            return [device.asarray(block) for block in came]

        return wait

    def collect(self, value: Any) -> list[Any]:
        return self.world.allgather(value)

    def broadcast(self, value: Any) -> Any:
        return self.world.bcast(value)

    def patient(self, feed: Iterable[Any]) -> Iterator[Any]:
        feed = iter(feed)
        while True:
            self.reads_since = time.monotonic()
            try:
                item = next(feed, None)
            finally:
                self.reads_since = None
            if item is None:
                return
            yield item

    def keep_moving(self) -> None:
        self.world.Iprobe()  # MPI works only while it is called

    @contextmanager
    def together(self) -> Iterator[None]:
        ended = threading.Event()
        watch = threading.Thread(target=self._watch, args=(ended,), daemon=True)
        watch.start()
        try:
            with open(os.devnull, "w", encoding="utf-8") as nowhere, ExitStack() as stack:
                if self.rank:
                    stack.enter_context(redirect_stdout(nowhere))
                yield
            # An exit code ends all ranks, so none leaves while rank 0 is still writing.
            self.world.Barrier()
        except (MinialexError, ArithmeticError, OSError, MemoryError) as error:
            # The first rank that raises ends all. So of an error that all see, only one reports.
            time.sleep(min(2 * self.rank, 10))
            raise RankError(f"rank {self.rank} of {self.size}: {error}") from error
        finally:
            ended.set()
            watch.join()

    def _watch(self, ended: threading.Event) -> None:
        """Give the next rank signs of life, and wait for those of the rank before.

        A rank that is busy gives them too; one that is stopped, or whose machine is gone, does not.
        Its silence is counted in signs of this rank, so that all may be stopped at once (Ctrl-Z).
        """
        before, after = (self.rank - 1) % self.size, (self.rank + 1) % self.size
        silence = 0
        while not ended.wait(BEAT):
            self.signs.Isend(b"", after).Free()
            silence += 1
            while self.signs.Iprobe(before):
                self.signs.Recv(bytearray(), before)
                silence = 0
            if silence * BEAT > PATIENCE:
                self._end_all(f"rank {before} of {self.size}: no sign of life for {PATIENCE:.0f} "
                              "s; find out what has stopped it")
            if self.reads_since and time.monotonic() - self.reads_since > PATIENCE:
                self._end_all(f"rank {self.rank} of {self.size}: no data for {PATIENCE:.0f} s; "
                              "find out why reading hangs (disk, network)")

    def _end_all(self, why: str) -> None:
        print(f"minialex: {why}", file=sys.stderr, flush=True)
        self.world.Abort(2)


def started_by_mpi() -> int:
    """How many processes mpiexec has started, as far as can be seen without starting MPI."""
    names = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")  # of Open MPI; of MPICH and its kin
    return max(int(os.environ.get(name, 1)) for name in names)


def connect() -> Communicator:
    """The group of all processes that mpiexec has started.

    Raises ValueError if this process is alone, or if an error on one rank would not end the others.
    """
    group = MpiCommunicator()
    start = "start several as mpiexec -n 4 python -m mpi4py PROGRAM"
    if group.size == 1:
        raise InputError(f"this process is the only one that MPI knows of; {start}, with the "
                         "mpiexec of the MPI library in use "
                         f"({group.mpi.Get_library_version().split(',')[0]})")
    if "mpi4py.run" not in sys.modules:
        raise InputError("python was started without -m mpi4py, so that an error on one rank "
                         f"would leave the others waiting; {start}")
    return group
