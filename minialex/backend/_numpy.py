"""The CPU: virtual devices with memory of their own, reused blocks, and threads over the batch."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from ..errors import InputError
from .device import Device, DeviceMemoryError, Memory
from .namespace import Namespace, Work

__all__ = ["NumpyDevice", "set_threads", "threads"]

# NumPy keeps small arrays in a cache of its own that is faster than ours; they are not counted.
SMALL = 1024
ALIGNMENT = 64  # bytes: one cache line, one AVX-512 register
# A free block may be so many times too large: a full-size step then takes 1.9 GB instead of 2.0.
FIT = 4
SPARE = 2**26  # bytes of free blocks that are always kept: small networks never wait for memory


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
        _heap.put_back(self)


class Heap:
    """Free blocks, by size, of all virtual devices: what one has given back serves the next.

    So a full-size step takes 1.9 GB; with blocks for each device alone it would be 2.2.

    Reuse is what makes plain NumPy fast here: the first touch of fresh memory costs the operating
    system a page fault per 4 KiB (0.2 to 2 GB/s measured, where a copy runs at 8 to 30 GB/s).
    """

    def __init__(self) -> None:
        self._free: dict[int, list[np.ndarray]] = {}
        self._free_bytes = self._used = self._peak = 0

    def take(self, nbytes: int) -> np.ndarray:
        # To the next eighth of a power of two, so that arrays of similar size share blocks.
        step = max(ALIGNMENT, 1 << max(nbytes.bit_length() - 4, 0))
        size = -(-nbytes // step) * step
        with _lock:
            self._used += nbytes
            self._peak = max(self._peak, self._used)
            for fitting in [size] if self._free.get(size) else sorted(self._free):
                if size <= fitting <= FIT * size and self._free[fitting]:
                    self._free_bytes -= fitting
                    return self._free[fitting].pop()  # the one used last
            # A new block is needed. Of the free ones, keep as much as a quarter of the highest use.
            while self._free_bytes > 1.25 * self._peak + SPARE - self._used:
                old = next(blocks for blocks in self._free.values() if blocks)
                self._free_bytes -= old.pop().size
        memory = np.empty(size + ALIGNMENT, np.uint8)
        return memory[-memory.ctypes.data % ALIGNMENT :][:size]

    def put_back(self, block: Block) -> None:
        with _lock:
            block.pool.used -= block.nbytes
            self._used -= block.nbytes
            self._free.setdefault(block.memory.size, []).append(block.memory)
            self._free_bytes += block.memory.size


_heap = Heap()
_lock = threading.RLock()  # a block may die inside this very thread's allocation


class Pool:
    """The memory of one virtual device: an account, and a limit."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.used = self.peak = 0
        self.limit: int | None = None

    def empty(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        dtype = np.dtype(dtype)
        nbytes = math.prod(shape) * dtype.itemsize
        if nbytes < SMALL:
            return np.empty(shape, dtype)
        with _lock:
            if self.limit is not None and self.used + nbytes > self.limit:
                raise DeviceMemoryError(
                    f"{self.name}: out of memory allocating {nbytes:,} bytes (in use {self.used:,},"
                    f" limit {self.limit:,}); use a smaller batch, or set_memory_limit(more)")
            self.used += nbytes
            self.peak = max(self.peak, self.used)
        return np.asarray(Block(self, _heap.take(nbytes), shape, dtype))


class NumpyNamespace(Namespace):
    """NumPy with pooled memory, and with a batch spread over threads."""

    workspace = 12 * 2**20  # full-size step on 2 cores: 4.5 s; with 6 MiB 5.1 s, with 3 MiB 5.6 s
    pieces = 2  # more, smaller ones would make the threads wait for Python's lock (measured)

    def __init__(self, pool: Pool) -> None:
        super().__init__(np)
        self.empty = pool.empty

    def _each(self, fn: Work, slices: list[slice]) -> Iterator[Any]:
        """As in Namespace, but threads share out the slices, each taking the next when it is free.

        The slices do not depend on the number of threads, and sums are made in slice order: so
        over_batch gives the same bits with any number of threads.
        """
        with _one_blas_thread():
            parallel = threads() > 1 and len(slices) > 1
            yield from (_executor(threads()).map if parallel else map)(fn, slices)

    def _apart(self, oh: int, ow: int, kh: int, kw: int) -> Iterator[tuple]:
        """One row of the kernel in one column of patches: runs of KW * C numbers, not of C.

        Measured beside the plain way: 3.4 instead of 4.8 ms for conv2, 5.4 instead of 21 for conv1.
        """
        return ((slice(None), slice(None), x, i) for x in range(ow) for i in range(kh))


_threads = 0  # 0: as many as there are cores


def threads() -> int:
    """Number of threads that share the work on a batch: the cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux; knows about containers
    return _threads or (len(affinity(0)) if affinity else os.cpu_count() or 1)


def set_threads(n: int) -> None:
    """Share the work on a batch among `n` threads."""
    global _threads
    if not isinstance(n, int) or n < 1:
        raise InputError(f"set_threads: n is {n!r}; give a whole number of at least 1")
    _threads = n


@functools.cache
def _executor(n: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n, thread_name_prefix="minialex")


@functools.cache
def _blas() -> list[tuple[Any, int]]:
    """The BLAS libraries, and how many threads each had at the first call."""
    libraries = ThreadpoolController().select(user_api="blas").lib_controllers
    return [(library, library.num_threads) for library in libraries]


@contextlib.contextmanager
def _one_blas_thread() -> Iterator[None]:
    """BLAS's own threads would fight with ours for the cores, and wait for each other spinning."""
    for library, _ in _blas():
        library.set_num_threads(1)
    try:
        yield
    finally:
        for library, before in _blas():
            library.set_num_threads(before)


class NumpyDevice(Device):
    """A virtual device on the CPU: all rules of a real one, so two columns run on any laptop."""

    COUNT = 16  # virtual devices are free; more would be a typing error

    def __init__(self, index: int) -> None:
        self._pool = Pool(f"cpu:{index}")
        super().__init__("cpu", index, NumpyNamespace(self._pool))

    def asarray(self, host: Any, dtype: Any = None) -> np.ndarray:
        host = np.asarray(host, dtype)
        array = self._pool.empty(host.shape, host.dtype)
        array[...] = host
        return array

    def to_host(self, array: np.ndarray) -> np.ndarray:
        return np.array(array)

    def own(self, array: Any) -> np.ndarray:
        memory = array = np.asarray(array)  # a reduction gives a NumPy scalar
        if array.nbytes < SMALL:
            return array
        while isinstance(memory, np.ndarray):
            memory = memory.base  # type: ignore[assignment]
        return array if isinstance(memory, Block) else self.asarray(array)

    def memory(self) -> Memory:
        return Memory(self._pool.used, self._pool.peak, self._pool.limit)

    def set_memory_limit(self, limit: int | None) -> None:
        self._pool.limit = limit
