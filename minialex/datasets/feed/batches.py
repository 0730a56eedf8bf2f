"""From images to batches: their order, and threads that prepare one batch ahead."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ... import checks
from ...errors import InputError
from ..images import ImageSet
from .threads import pool
from .views import TEN, Preparation, Views

__all__ = ["Batch", "batches"]

CHUNK = 8  # images that a thread prepares in one go


class Batch(NamedTuple):
    """Pixels float32 (v * n, size, size, C): v views of each image in a row; labels int64 (n,)."""

    images: NDArray[np.float32]
    labels: NDArray[np.int64]


def batches(data: ImageSet, preparation: Preparation, batch: int, *, seed: int | None = None,
            epoch: int = 0, first: int = 0, ten_views: bool = False,
            threads: int = 1, rows_of: Callable[[int], slice] = slice) -> Iterator[Batch]:
    """The batches of one epoch, from number `first` on; the last one may be smaller.

    seed: shuffle, and draw crops, mirror images and colours at random; the result depends on seed,
    epoch and number of the batch alone. None: the images in order, with the central view of each,
    or its ten views (for evaluation).  Paper: section 4.1.
    threads: how many prepare the next batch while the caller works on this one; any number gives
    the same bits. rows_of(n): which of the n images of a batch to prepare, if other processes
    do the rest (`slice`: all). The labels are always those of all n.

    Raises ValueError if an argument does not fit; an error in reading is raised at its batch.
    """
    checks.kinds("batches", data=(data, ImageSet), preparation=(preparation, Preparation))
    n = len(data)
    _check(data, batch, seed, epoch, first, ten_views, threads)
    order = np.arange(n) if seed is None else np.random.default_rng([seed, epoch]).permutation(n)
    each = TEN if ten_views else 1  # views of an image
    shape = (each * min(batch, n), preparation.size, preparation.size, data.shape[2])
    free: list[memoryview] = []

    def views_of(number: int, n: int) -> Views:
        if seed is not None:
            # Not from 0 on: to NumPy [seed, epoch, 0] is the [seed, epoch] of the order.
            rng = np.random.default_rng([seed, epoch, 1 + number])
            return preparation.random_views(rng, n, data.shape)
        if ten_views:
            return preparation.ten_views(n, data.shape)
        return preparation.central_views(n, data.shape)

    def start(workers: ThreadPoolExecutor, number: int) -> tuple[Batch, list[Future]]:
        """The batch, and the tasks that fill it."""
        chosen = order[number * batch : (number + 1) * batch]
        labels, rows = data.labels[chosen], range(len(chosen))[rows_of(len(chosen))]
        views = views_of(number, len(chosen)).rows(slice(each * rows.start, each * rows.stop))
        chosen = chosen[rows.start : rows.stop]
        pixels = _empty(shape, free)[: len(views.corner)]  # fewer in the last batch

        def fill(first: int) -> None:
            mine = slice(first * each, (first + CHUNK) * each)
            images = data.read(chosen[first : first + CHUNK])
            preparation.apply(images, views.rows(mine), pixels[mine])

        tasks = [workers.submit(fill, i) for i in range(0, len(chosen), CHUNK)]
        return Batch(pixels, labels), tasks

    return _one_ahead(start, range(first, -(-n // batch)), threads)


def _check(data: ImageSet, batch: int, seed: int | None, epoch: int, first: int, ten_views: bool,
           threads: int) -> None:
    if not len(data):
        raise InputError(f"batches: {data.name} holds no images; give at least one")
    for name, number, least in (("batch", batch, 1), ("threads", threads, 1), ("first", first, 0),
                                ("seed", 0 if seed is None else seed, 0), ("epoch", epoch, 0)):
        checks.whole("batches", name, number, least)
    count = -(-len(data) // batch)
    if first > count:
        raise InputError(f"batches: first is {first}, but {len(data)} images in batches of "
                         f"{batch} make {count}; give 0 to {count}")
    if ten_views and seed is not None:
        raise InputError(f"batches: ten_views and seed={seed} exclude each other: a seed asks for "
                         "one random view of each image; leave one of them out")


def _empty(shape: tuple[int, ...], free: list[memoryview]) -> NDArray[np.float32]:
    """An array; when no longer used, its memory goes back to `free` for a later batch.

    Fresh memory must be cleared by the operating system: 0.1 to 1.4 ms an image were measured,
    on a quiet and on a busy machine, where all other work takes 1.2.
    """
    memory = free.pop() if free else memoryview(np.empty(shape, np.float32))
    pixels = np.asarray(memory)
    # Every view of `pixels` holds it, so it dies after the last of them.
    weakref.finalize(pixels, free.append, memory)
    return pixels


def _one_ahead(start: Callable[[ThreadPoolExecutor, int], tuple[Batch, list[Future]]],
               numbers: range, threads: int) -> Iterator[Batch]:
    """Start each batch while the caller works on the one before."""
    with pool(threads, "minialex-loader") as workers:  # the caller may stop early
        started = (start(workers, number) for number in numbers)
        coming = next(started, None)
        while coming is not None:
            batch, tasks = coming
            coming = next(started, None)
            for task in tasks:
                task.result()
            yield batch
