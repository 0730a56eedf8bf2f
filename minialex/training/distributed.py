"""What many processes say to each other: sums and blocks of arrays, on MPI.

`mpiexec -n 4 python -m mpi4py -m minialex ...` starts the same program four times, on one machine
or on many (`--hostfile`). Each of these processes is a *rank*, 0 to 3, with arrays of its own, and
all of them come to the same calls in the same order. Open MPI starts at most one for each core,
unless it is told to with `mpiexec --oversubscribe`; give each its share of the cores with
`minialex train --threads`. Ctrl-C ends all at once: the last checkpoint stays. Built in chapter 14.
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
from ..errors import InputError

__all__ = ["Communicator", "CudaCommunicator", "MpiCommunicator", "NcclCommunicator", "RankError",
           "connect", "share", "started_by_mpi"]

START = "mpiexec -n 4 python -m mpi4py -m minialex train ... --parallel data"
PATIENCE = 40.0  # seconds that a rank waits for its own data

Wait = Callable[[], Any]  # waits until what was begun is done, and gives its result


class RankError(InputError):
    """What went wrong on one rank, and ends all of them."""


def share(n: int, rank: int, size: int) -> slice:
    """The part of n things that a rank has: all parts are nearly equal, some may be empty."""
    return slice(n * rank // size, n * (rank + 1) // size)


class Communicator:
    """A group of ranks. This one has one rank, which is alone.

    rank: 0 .. size - 1. sent: bytes that this rank has sent so far, by label; those of a sum are
    counted as 2 (size - 1) / size of the array, which is the least that a sum on all ranks needs.
    """

    rank, size = 0, 1

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()

    def buffer(self, device: Device, n: int) -> Array:
        """Memory for n float32 numbers of a device that are to be sent or received."""
        with device:
            return device.xp.empty((n,), np.float32)

    def start_sum(self, array: Array, result: Array, label: str) -> Wait:
        """Begin to add up all ranks' arrays; all get the same bits in `result`.

        Both are flat, and left alone until the wait is over.
        """
        result[...] = array
        return lambda: result

    def start_exchange(self, blocks: Sequence[Array], shapes: Sequence[tuple[int, ...]],
                       device: Device, label: str) -> Wait:
        """Begin to send block r to rank r, for all r -> the blocks that came, in order of ranks.

        blocks: arrays of one device; shapes: of the blocks that will come.
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
        """Of each flag, whether some rank has set it: so that all ranks do the same."""
        return [any(column) for column in zip(*self.collect([bool(flag) for flag in flags]),
                                              strict=True)]

    def compare(self, about: Mapping[str, Any]) -> None:
        """See that all ranks say the same about everything. Raises ValueError, naming who not."""
        first, *others = self.collect(dict(about))
        for rank, other in enumerate(others, 1):
            for name, value in first.items():
                if other.get(name) != value:
                    raise InputError(f"rank {rank} has {name} {other.get(name)}, but rank 0 has "
                                     f"{value}; all ranks need the same")

    def patient(self, feed: Iterable[Any]) -> Iterator[Any]:
        """The same items of data; if one does not come, all ranks end: they would wait for ever."""
        return iter(feed)

    def poke(self) -> None:
        """Give what was begun a chance to go on."""

    @contextmanager
    def together(self) -> Iterator[None]:
        """In here only rank 0 prints. What goes wrong is said with the number of its rank."""
        yield


class MpiCommunicator(Communicator):
    """All processes that one mpiexec has started. Arrays of a GPU go through the host's memory."""

    def __init__(self) -> None:
        super().__init__()
        try:
            from mpi4py import MPI  # starts MPI
        except (ImportError, RuntimeError) as error:
            raise InputError(f"MPI cannot be used ({error}); "
                             "pip install 'minialex[mpi]'") from None
        self.mpi, self.world = MPI, MPI.COMM_WORLD
        self.rank, self.size = self.world.rank, self.world.size

    def buffer(self, device: Device, n: int) -> Array:
        return self._room((n,), device)

    def start_sum(self, array: Array, result: Array, label: str) -> Wait:
        self.sent[label] += 2 * (self.size - 1) * array.nbytes // self.size
        request = self.world.Iallreduce(array, result)

        def wait() -> Array:
            request.Wait()
            return result

        return wait

    def start_exchange(self, blocks: Sequence[Array], shapes: Sequence[tuple[int, ...]],
                       device: Device, label: str) -> Wait:
        out = [self._ready(block, device) for block in blocks]
        came = [self._room(shape, device) for shape in shapes]
        others = [rank for rank in range(self.size) if rank != self.rank]
        came[self.rank] = out[self.rank]
        self.sent[label] += sum(out[rank].nbytes for rank in others)
        # With its memory, which MPI does not keep alive.
        begun = [(self.world.Irecv(came[rank], rank), came[rank]) for rank in others]
        begun += [(self.world.Isend(out[rank], rank), out[rank]) for rank in others]

        def wait() -> list[Array]:
            for request, _ in begun:
                request.Wait()
            return [device.asarray(block) if isinstance(block, np.ndarray) else block
                    for block in came]

        return wait

    def _ready(self, block: Array, device: Device) -> Array:
        """A block as it can be sent: in one piece, and on the host."""
        with device:
            block = device.xp.ascontiguousarray(block)
        if device.kind == "cpu":
            return block
        host = self._room(block.shape, device)
        block.get(out=host)
        return host

    def _room(self, shape: tuple[int, ...], device: Device) -> Array:
        """Memory for a block: for a GPU such as stays in its place, so that the GPU can copy it."""
        if device.kind == "cpu":
            return np.empty(shape, np.float32)
        n = math.prod(shape)
        with device:
            memory = device.xp.cuda.alloc_pinned_memory(max(4 * n, 4))
        return np.frombuffer(memory, np.float32, n).reshape(shape)

    def collect(self, value: Any) -> list[Any]:
        return self.world.allgather(value)

    def broadcast(self, value: Any) -> Any:
        return self.world.bcast(value)

    def patient(self, feed: Iterable[Any]) -> Iterator[Any]:
        feed = iter(feed)
        while True:
            clock = threading.Timer(PATIENCE, self._give_up)
            clock.daemon = True
            clock.start()
            try:
                item = next(feed, None)
            finally:
                clock.cancel()
            if item is None:
                return
            yield item

    def poke(self) -> None:
        self.world.Iprobe()  # MPI works only while it is called

    @contextmanager
    def together(self) -> Iterator[None]:
        try:
            with open(os.devnull, "w") as nowhere, ExitStack() as stack:
                if self.rank:
                    stack.enter_context(redirect_stdout(nowhere))
                yield
            # An exit code ends all ranks, so nobody leaves while rank 0 is still writing.
            self.world.Barrier()
        except (ValueError, TypeError, ArithmeticError, OSError, MemoryError) as error:
            # The first rank that speaks ends all: of what all ranks see, one tells.
            time.sleep(min(2 * self.rank, 10))
            raise RankError(f"rank {self.rank} of {self.size}: {error}") from error

    def _give_up(self) -> None:
        print(f"minialex: rank {self.rank} of {self.size}: no data for {PATIENCE:.0f} s; see why "
              "reading hangs (disk, network)", file=sys.stderr, flush=True)
        self.world.Abort(2)


class CudaCommunicator(MpiCommunicator):
    """With an MPI library that takes arrays of a GPU as they are. Not yet tried on such a machine.

    The wheel of Open MPI does not, and another may crash: nobody can find out by trying.
    """

    def start_sum(self, array: Array, result: Array, label: str) -> Wait:
        if not isinstance(array, np.ndarray):
            array.device.synchronize()  # MPI knows nothing of CuPy's streams
        return super().start_sum(array, result, label)

    def _ready(self, block: Array, device: Device) -> Array:
        with device:
            block = device.xp.ascontiguousarray(block)
        device.synchronize()
        return block

    def _room(self, shape: tuple[int, ...], device: Device) -> Array:
        with device:
            return device.xp.empty(shape, np.float32)


class NcclCommunicator(MpiCommunicator):
    """Sums by NCCL, from GPU to GPU, each rank having one; all else by MPI.

    Not yet tried on a machine with several GPUs.
    """

    def __init__(self) -> None:
        super().__init__()
        from cupyx.distributed import NCCLBackend

        self.nccl = NCCLBackend(self.size, self.rank, use_mpi=True)

    def buffer(self, device: Device, n: int) -> Array:
        return Communicator.buffer(self, device, n)

    def start_sum(self, array: Array, result: Array, label: str) -> Wait:
        if isinstance(array, np.ndarray):
            return super().start_sum(array, result, label)
        self.sent[label] += 2 * (self.size - 1) * array.nbytes // self.size
        with array.device:
            self.nccl.all_reduce(array, result)  # in the order of the stream: nothing to wait for
        return lambda: result


WIRES = {"mpi": MpiCommunicator, "cuda": CudaCommunicator, "nccl": NcclCommunicator}


def started_by_mpi() -> int:
    """How many processes mpiexec has started, as far as can be seen without starting MPI."""
    names = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")  # of Open MPI; of MPICH and its kin
    return max(int(os.environ.get(name, 1)) for name in names)


def connect(wire: str = "mpi") -> Communicator:
    """The group of all processes that mpiexec has started.

    wire: how arrays of a GPU travel: "mpi" through the host, "cuda" as they are, by an MPI library
    that can, "nccl" by NVIDIA's own. Raises ValueError if this process is alone.
    """
    group = WIRES[wire]()
    if group.size == 1:
        raise InputError("--parallel came, but this process is the only one that MPI knows of; "
                         f"start it as {START}, with the mpiexec of the MPI library in use "
                         f"({group.mpi.Get_library_version().split(',')[0]})")
    if "mpi4py.run" not in sys.modules:
        raise InputError("--parallel came without -m mpi4py, so that an error on one rank would "
                         f"leave the others waiting; start it as {START}")
    return group
