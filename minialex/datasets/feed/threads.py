"""Threads that work for one caller, and end with it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias, TypeVar

__all__ = ["in_order", "pool"]

Item = TypeVar("Item")
Result = TypeVar("Result")
Work: TypeAlias = tuple[Future, Callable[[], Any]]


class _Workers(ThreadPoolExecutor):
    """Threads. Where no more can be started, as in a browser, the caller does the work itself."""

    def submit(self, function: Callable[..., Result], /, *arguments: Any,
               **options: Any) -> Future[Result]:
        future: Future[Result] = Future()
        # It is in the queue even if no thread could be started: then a thread that is there
        # already may still come to it. Whoever takes it out of the list does it.
        work: list[Work] = [(future, partial(function, *arguments, **options))]
        try:
            super().submit(_do, work)
        except RuntimeError:
            _do(work)
        return future


def _do(work: list[Work]) -> None:
    try:
        future, function = work.pop()
    except IndexError:  # somebody else was faster
        return
    try:
        future.set_result(function())
    except BaseException as error:
        future.set_exception(error)
        del future, function  # the error refers to this frame, and would keep them


@contextmanager
def pool(count: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """So many threads. When the caller leaves, what was begun is finished, and nothing more."""
    threads = _Workers(count, thread_name_prefix=name)
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
