"""The CPU: virtual devices with memory of their own, reused blocks, and threads over the batch."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from .. import checks
from .device import Device, Memory, host_array
from .namespace import Namespace, Work

__all__ = ["NumpyDevice", "lock", "set_threads", "threads"]

# NumPy keeps small arrays in a cache of its own that is faster than ours; they are not counted.
SMALL = 1024
ALIGNMENT = 64  # bytes: one cache line, one AVX-512 register
# A free block may be so many times too large: a full-size step then takes 1.9 GB instead of 2.0.
FIT = 4
SPARE = 2**26  # bytes of free blocks that are always kept: small networks never wait for memory


class Block:
    """A piece of a device's memory that is free again when the last array that uses it dies.

    NumPy asks for `__array_interface__` and then keeps the block as the array's base.
    """

    __slots__ = ("__array_interface__", "device", "memory", "nbytes")

    def __init__(self, device: NumpyDevice, memory: np.ndarray, nbytes: int,
                 shape: tuple[int, ...], dtype: str) -> None:
        self.device, self.memory, self.nbytes = device, memory, nbytes
        self.__array_interface__ = {
            "shape": shape, "typestr": dtype, "data": (memory.ctypes.data, False), "version": 3}

    def __del__(self) -> None:
        if _heap is not None:  # as it is while Python shuts down
            _heap.put_back(self)


class Heap:
    """Free blocks, by size, of all virtual devices: one may use what another has given back.

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
        with lock:
            fitting = size if self._free.get(size) else min(
                (free for free, blocks in self._free.items()
                 if blocks and size < free <= FIT * size), default=0)
            if fitting:
                memory = self._free[fitting].pop()  # the one used last
                self._free_bytes -= fitting
            else:  # a new block. Of the free ones, keep as much as a quarter of the highest use
                used = self._used + nbytes
                while self._free_bytes > 1.25 * max(self._peak, used) + SPARE - used:
                    old = next(blocks for blocks in [*self._free.values()] if blocks)
                    self._free_bytes -= old.pop().size
                memory = np.empty(size + ALIGNMENT, np.uint8)
                memory = memory[-memory.ctypes.data % ALIGNMENT :][:size]
            self._used += nbytes  # only now: there may have been no memory
            self._peak = max(self._peak, self._used)
        return memory

    def put_back(self, block: Block) -> None:
        with lock:
            block.device.used -= block.nbytes
            self._used -= block.nbytes
            self._free.setdefault(block.memory.size, []).append(block.memory)
            self._free_bytes += block.memory.size


_heap = Heap()
# Guards what threads share: the accounts, and gradients. A block may die while this thread holds
# it, and asks for it again.
lock = threading.RLock()


class NumpyNamespace(Namespace):
    """NumPy with pooled memory, and with a batch spread over threads."""

    workspace = 12 * 2**20  # full-size step on 2 cores: 4.5 s; with 6 MiB 5.1 s, with 3 MiB 5.6 s
    pieces = 2  # more, smaller ones would make the threads wait for Python's lock (measured)

    def __init__(self, empty: Callable[..., np.ndarray]) -> None:
        super().__init__(np)
        self.empty = empty

    def _each(self, fn: Work, slices: list[slice]) -> Iterator[Any]:
        """As in Namespace, but threads share out the slices, each taking the next when it is free.

        The caller is one of them: to wake another takes as long as a small slice, and some machines
        cannot start any. The slices do not depend on the number of threads, and sums are made in
        slice order: so over_batch gives the same bits with any number of threads.
        """
        _count_blas_users(+1)
        try:
            yield from map(fn, slices) if len(slices) == 1 else _shared(fn, slices)
        finally:
            _count_blas_users(-1)

    def power(self, a: Any, exponent: Any, out: Any = None) -> Any:
        """a ** exponent. Square roots are fast, and make a ** 0.75: sqrt(a) * sqrt(sqrt(a))."""
        if not isinstance(exponent, float) or exponent != 0.75:
            return np.power(a, exponent, out=out)
        root = np.sqrt(a, out=self.empty(a.shape, a.dtype))
        return np.multiply(root, np.sqrt(root, out=out), out=out)

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
    _threads = checks.whole("set_threads", "n", n)


@functools.cache
def _executor(n: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n, "minialex pool")


def _shared(fn: Work, slices: list[slice]) -> Iterator[Any]:
    """What `fn` returns for each slice, in order; the caller and the pool's threads share them."""
    results: list[Future] = [Future() for _ in slices]
    # With `fn` in it, so that a thread of the pool that comes too late keeps no array in use.
    todo = deque((fn, *pair) for pair in zip(slices, results, strict=True))
    helpers: list[Future] = []
    try:
        try:
            for _ in range(min(threads(), len(slices)) - 1):
                helpers.append(_executor(threads()).submit(_work_off, todo))
        except RuntimeError:  # Python is ending, or the system gives no thread
            _executor.cache_clear()  # what it has queued would stay for ever
        _work_off(todo)
        while results:
            yield results.pop(0).result()  # what has been summed is freed
    finally:  # after an error, nobody works on in arrays that the caller gives up
        todo.clear()
        wait([helper for helper in helpers if not helper.cancel()])
        results.clear()  # an error refers to this frame, and one of these to the error


def _work_off(todo: deque) -> None:
    """Do the tasks that no thread has begun. After an error, drop those that are left."""
    with contextlib.suppress(IndexError):  # nothing is left
        while True:
            fn, part, result = todo.popleft()
            try:
                result.set_result(fn(part))
            except BaseException as error:
                todo.clear()
                result.set_exception(error)
                del result  # or it keeps the error, which keeps this frame, which keeps it


@functools.cache
def _blas() -> list[tuple[Callable[[int], None], int]]:
    """For every BLAS library: what sets its number of threads, and the number at the first call."""
    # The plain method of threadpoolctl 3.8 obeys only the first thread of Python that calls it.
    return [(getattr(library, "_real_set_num_threads", library.set_num_threads),
             library.num_threads)
            for library in ThreadpoolController().select(user_api="blas").lib_controllers]


_users = 0  # threads that are inside of over_batch


def _count_blas_users(change: int) -> None:
    """Keep BLAS to one thread: more would compete with ours for the cores, and wait spinning.

    The number holds for the whole process: the first user sets it to 1, the last one resets it.
    """
    global _users
    with lock:
        before, _users = _users, max(_users + change, 0)  # it is 0 in a fork made inside
        if (before > 0) != (_users > 0):
            for set_number, usual in _blas():
                set_number(1 if _users else usual)


def _after_fork() -> None:
    """In the child process no other thread exists: none of the pools, no user of BLAS."""
    lock.release()
    _executor.cache_clear()
    _count_blas_users(-_users)


# With the lock held, no account is half written when the child gets its copy. Windows has no fork.
getattr(os, "register_at_fork", dict)(
    before=lock.acquire, after_in_parent=lock.release, after_in_child=_after_fork)


class NumpyDevice(Device):
    """A virtual device on the CPU, with all rules of a real one: two columns run on any laptop."""

    COUNT = 16  # virtual devices are free; more would be a typing error

    def __init__(self, index: int) -> None:
        checks.virtual_device(index, self.COUNT)
        super().__init__("cpu", index, NumpyNamespace(self._empty))
        self.used = self._peak = 0
        self._limit: int | None = None

    def _empty(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """An array of this device, with whatever numbers its memory holds."""
        dtype = np.dtype(dtype)
        nbytes = math.prod(shape) * dtype.itemsize
        if nbytes < SMALL:
            return np.empty(shape, dtype)
        with lock:
            checks.memory(self.name, nbytes, self.used, self._limit)
            memory = _heap.take(nbytes)
            self.used += nbytes
            self._peak = max(self._peak, self.used)
        return np.asarray(Block(self, memory, nbytes, shape, dtype.str))

    def asarray(self, host: Any, dtype: Any = None) -> np.ndarray:
        return self._store(host_array(host, dtype))

    def _store(self, host: np.ndarray) -> np.ndarray:
        array = self._empty(host.shape, host.dtype)
        array[...] = host
        return array

    def to_host(self, array: np.ndarray) -> np.ndarray:
        return np.array(array, array.dtype.newbyteorder("="), order="C")

    def own(self, array: Any) -> np.ndarray:
        memory = array = np.asarray(array)  # a reduction gives a NumPy scalar
        if array.nbytes < SMALL:
            return array
        while isinstance(memory, np.ndarray):
            memory = memory.base  # type: ignore[assignment]
        return array if isinstance(memory, Block) else self._store(array)

    def memory(self) -> Memory:
        return Memory(self.used, self._peak, self._limit)

    def set_memory_limit(self, limit: int | None) -> None:
        self._limit = checks.memory_limit(limit)
