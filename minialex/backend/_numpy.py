"""The CPU: virtual devices with memory of their own, reused blocks, and threads over the batch."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from .device import Device, DeviceMemoryError, Memory
from .namespace import Namespace

__all__ = ["NumpyDevice", "set_threads", "threads"]

# NumPy keeps small arrays in a cache of its own that is faster than ours; they are not counted.
SMALL = 1024
ALIGNMENT = 64  # bytes: one cache line, one AVX-512 register


class Block:
    """A piece of memory that goes back to its pool when the last array that uses it dies.

    NumPy asks for `__array_interface__` and then keeps the block as the array's base.
    """

    __slots__ = ("__array_interface__", "memory", "nbytes", "pool")

    def __init__(self, pool: Pool, memory: np.ndarray, shape: tuple[int, ...], dtype: np.dtype):
        self.pool, self.memory = pool, memory
        self.nbytes = math.prod(shape) * dtype.itemsize
        self.__array_interface__ = {
            "shape": shape, "typestr": dtype.str, "data": (memory.ctypes.data, False),
            "version": 3}

    def __del__(self) -> None:
        self.pool.put_back(self)


class Pool:
    """The memory of one virtual device: blocks to reuse, an account, and a limit.

    Reuse is what makes plain NumPy fast here: the first touch of fresh memory costs the operating
    system a page fault per 4 KiB (0.2 to 2 GB/s measured, where a copy runs at 8 to 30 GB/s).
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.used = self.peak = 0
        self.limit: int | None = None
        self._free: dict[int, list[np.ndarray]] = {}  # by size; least recently used size first
        self._free_bytes = 0
        self._adopted: set[int] = set()
        self._lock = threading.RLock()  # a block may die inside this very thread's allocation

    def empty(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        dtype = np.dtype(dtype)
        if not isinstance(shape, tuple):
            shape = (shape,)
        nbytes = math.prod(shape) * dtype.itemsize
        if nbytes < SMALL:
            return np.empty(shape, dtype)
        size = _round_up(nbytes)
        with self._lock:
            self._count(nbytes)
            memory = self._take(size)
        if memory is None:
            memory = np.empty(size + ALIGNMENT, np.uint8)
            memory = memory[-memory.ctypes.data % ALIGNMENT :][:size]
        return np.asarray(Block(self, memory, shape, dtype))

    def put_back(self, block: Block) -> None:
        size = block.memory.size
        with self._lock:
            self.used -= block.nbytes
            blocks = self._free.pop(size, [])
            blocks.append(block.memory)
            self._free[size] = blocks
            self._free_bytes += size

    def adopt(self, array: np.ndarray) -> None:
        """Count an array that NumPy allocated itself (the result of `a * b`) until it dies."""
        owner = array
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        if owner.base is not None or owner.nbytes < SMALL or id(owner) in self._adopted:
            return  # a block of ours (or memory of somebody else), small, or counted before
        with self._lock:
            self._count(owner.nbytes)
            self._adopted.add(id(owner))
        weakref.finalize(owner, self._forget, id(owner), owner.nbytes)

    def _forget(self, key: int, nbytes: int) -> None:
        with self._lock:
            self.used -= nbytes
            self._adopted.discard(key)

    def _count(self, nbytes: int) -> None:
        if self.limit is not None and self.used + nbytes > self.limit:
            raise DeviceMemoryError(
                f"{self.name}: out of memory allocating {nbytes:,} bytes (in use {self.used:,}, "
                f"limit {self.limit:,}); use a smaller batch or raise the limit with "
                f"backend.device({self.name!r}).set_memory_limit(bytes)")
        self.used += nbytes
        self.peak = max(self.peak, self.used)

    def _take(self, size: int) -> np.ndarray | None:
        """A free block of this size, the one used last; None if there is none."""
        blocks = self._free.get(size)
        if blocks:
            self._free_bytes -= size
            return blocks.pop()
        # A new block is needed. Keep at most a quarter more than was ever in use at once.
        excess = self.used + self._free_bytes - 1.25 * self.peak
        for old, blocks in self._free.items():
            while blocks and excess > 0:
                blocks.pop()
                self._free_bytes -= old
                excess -= old
        return None


def _round_up(nbytes: int) -> int:
    """To the next eighth of a power of two, so that arrays of similar size share blocks."""
    step = max(ALIGNMENT, 1 << max(nbytes.bit_length() - 4, 0))
    return -(-nbytes // step) * step


class NumpyNamespace(Namespace):
    """NumPy with pooled memory, and with a batch spread over threads."""

    # A slice's scratch memory should stay in the caches of one core.
    workspace = 6 * 2**20

    def __init__(self, pool: Pool) -> None:
        super().__init__(np)
        self.empty = pool.empty  # one call less in a very hot place

    def over_batch(
        self, fn: Callable[[slice], tuple | None], n: int, scratch_bytes: int
    ) -> tuple | None:
        """As in Namespace, the slices being shared out among the threads as these get free.

        The slices do not depend on the number of threads, and sums are made in slice order: so
        the result has the same bits with any number of threads. BLAS is held to one thread inside.
        """
        slices = list(self._slices(n, scratch_bytes))
        helpers = min(threads(), len(slices)) - 1
        if helpers < 1:
            return super().over_batch(fn, n, scratch_bytes)
        work = _SharedWork(self, fn, slices)
        with one_blas_thread():
            futures = [_executor(threads()).submit(work.run) for _ in range(helpers)]
            try:
                work.run()
            finally:
                for future in futures:
                    future.result()
        return work.total


class _SharedWork:
    """Slices of a batch for several threads, with the results added in the order of the slices."""

    def __init__(self, xp: Namespace, fn: Callable, slices: list[slice]) -> None:
        self.xp, self.fn, self.slices = xp, fn, slices
        self.todo = iter(range(len(slices)))
        self.results: dict[int, tuple | None] = {}  # done, but an earlier one is still missing
        self.summed = 0
        self.total: tuple | None = None
        self.failed = False
        self.lock = threading.Lock()

    def run(self) -> None:
        try:
            while not self.failed:
                with self.lock:
                    index = next(self.todo, None)
                if index is None:
                    return
                result = self.fn(self.slices[index])
                with self.lock:
                    self.results[index] = result
                    while self.summed in self.results:
                        self.total = self.xp._sum(self.total, self.results.pop(self.summed))
                        self.summed += 1
        except BaseException:
            self.failed = True  # the other threads stop at their next slice
            raise


_threads: int | None = None


def threads() -> int:
    """Number of threads that share the work on a batch: the cores this process may use."""
    global _threads
    if _threads is None:
        available = getattr(os, "sched_getaffinity", None)
        _threads = len(available(0)) if available else os.cpu_count() or 1
    return _threads


def set_threads(n: int) -> None:
    """Use `n` threads, for slices of a batch as well as inside BLAS."""
    global _threads
    if not isinstance(n, int) or n < 1:
        raise ValueError(f"set_threads: n is {n!r}; give a whole number of at least 1")
    _threads = n
    _blas().limit(limits=n, user_api="blas")


@functools.cache
def _executor(n: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n, thread_name_prefix="minialex")


@functools.cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """The threads of over_batch each call BLAS; more threads inside would fight for the cores."""
    with _blas().limit(limits=1, user_api="blas"):
        yield


class NumpyDevice(Device):
    """A virtual device on the CPU: all rules of a real one, so two columns run on any laptop."""

    kind = "cpu"
    COUNT = 16  # virtual devices are free; more would be a typing error

    def __init__(self, index: int) -> None:
        self._pool = Pool(f"{self.kind}:{index}")
        super().__init__(index, NumpyNamespace(self._pool))

    def asarray(self, host: Any, dtype: Any = None) -> np.ndarray:
        host = np.asarray(host, dtype)
        array = self._pool.empty(host.shape, host.dtype)
        array[...] = host
        return array

    def to_host(self, array: np.ndarray) -> np.ndarray:
        return np.array(array)

    def adopt(self, array: Any) -> np.ndarray:
        array = np.asarray(array)  # a reduction gives a NumPy scalar
        if array.nbytes >= SMALL:
            self._pool.adopt(array)
        return array

    def memory(self) -> Memory:
        return Memory(self._pool.used, self._pool.peak, self._pool.limit)

    def set_memory_limit(self, limit: int | None) -> None:
        self._pool.limit = limit

    def _copy(self, array: np.ndarray, source: Device) -> np.ndarray:
        return self.asarray(array)
