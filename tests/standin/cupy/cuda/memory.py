"""`cupy.cuda.memory`: the pool, always that of the current device."""

from typing import Any

from .._machine import OutOfMemoryError, machine

__all__ = ["MemoryPool", "OutOfMemoryError"]


class MemoryPool:
    def used_bytes(self) -> int:
        return machine.current.pool.used

    def free_bytes(self) -> int:
        return machine.current.pool.free

    def total_bytes(self) -> int:
        return self.used_bytes() + self.free_bytes()

    def n_free_blocks(self) -> int:
        return int(self.free_bytes() > 0)

    def get_limit(self) -> int:
        return machine.current.pool.limit

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        if (size is None) == (fraction is None):
            raise ValueError("Specify size or fraction, and not both")
        if fraction is not None:
            raise NotImplementedError("the stand-in imitates no total memory; give a size")
        machine.current.pool.limit = size

    def free_all_blocks(self, stream: Any = None) -> None:
        machine.current.pool.free = 0
