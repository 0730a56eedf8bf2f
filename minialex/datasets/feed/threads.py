"""Threads that work for one caller, and end with it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["in_order", "pool"]

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def pool(count: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """So many threads. When the caller leaves, what was begun is finished, and nothing more."""
    threads = ThreadPoolExecutor(count, thread_name_prefix=name)
    try:
        yield threads
    finally:
        threads.shutdown(cancel_futures=True)


def in_order(threads: ThreadPoolExecutor, function: Callable[[Item], Result],
             items: Iterable[Item], ahead: int) -> Iterator[Result]:
    """The results in the order of the items, of which at most `ahead` are worked on in advance."""
    waiting: deque[Future[Result]] = deque()
    for item in items:
        waiting.append(threads.submit(function, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
