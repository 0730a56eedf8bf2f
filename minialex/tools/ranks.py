"""`minialex train --parallel`: which processes there are, and whether all train the same."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import asdict
from functools import partial

import numpy as np

from .. import __version__
from ..errors import InputError
from ..parallel import Communicator, DataParallel, Hybrid, connect
from ..parallel.ranks import started_by_mpi
from ..training import Run, Worker
from .text import command, count

__all__ = ["compare", "connected", "worker"]

WORKERS: dict[str, type[DataParallel]] = {"data": DataParallel, "hybrid": Hybrid}


def connected(parallel: str | None) -> Communicator:
    """This process, and the others if they share the work."""
    if not parallel:
        if started_by_mpi() > 1:
            raise InputError(f"{started_by_mpi()} processes were started, which would all write to "
                             "one folder; let them share the work: --parallel data")
        return Communicator()
    try:
        return connect()
    except InputError as error:
        example = command("train", "--parallel", parallel, processes=4)
        raise InputError(f"--parallel {parallel}: {error}; as in: {example}") from None


def worker(parallel: str | None, group: Communicator) -> Callable[..., Worker]:
    """What makes the Worker of this process, from a network and its optimizer."""
    return partial(WORKERS[parallel], group=group) if parallel else Worker


def compare(group: Communicator, parallel: str, run: Run) -> None:
    """Check that all ranks will train the same network on the same images."""
    data = run.data
    group.compare({
        "minialex": __version__, "NumPy": np.__version__, "--parallel": parallel,
        "--model": run.config["model"], "--seed": run.seed, "--steps": run.steps,
        **asdict(run.recipe), "images": len(data.train), "shape of images": data.train.shape,
        "labels, as checksum,": [zlib.crc32(images.labels) for images in data[:3]],
        # Those of a prepared set, by its manifest. Mean and covariance depend on every pixel of
        # every image.
        "pictures, as checksum,": [*(images.checksum for images in data[:3]),
                                   *(zlib.crc32(array) for measured in (
                                       run.statistics, data.val.measure(), data.test.measure())
                                     for array in measured)]})
    if run.recipe.batch < group.size:
        raise InputError(f"a batch of {count(run.recipe.batch, 'image')} is too small for "
                         f"{group.size} ranks; give each at least one, or start fewer")
