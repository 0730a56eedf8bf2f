"""How fast the loader makes training batches, and where its time goes.

    python benchmarks/loader.py [FOLDER] [--threads 1,2] [--batch 128]

FOLDER: what `minialex data prepare` made, or train/CLASS/*.jpg. Counted is the processor time of
the whole process, for each image: it says what one core can do, also while others work on the same
machine (they still slow it down a little, through the memory that all share). The parts are timed
in turn, A B C A B C ..., with the same images, which lie in the file cache from the first round on.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL
from PIL import Image, features

from minialex import datasets
from minialex.datasets import ColourNoise, ImageSet, Preparation, batches
from minialex.datasets.feed.batches import CHUNK

SEED = 0


class Times(NamedTuple):
    """Seconds for each image, one number for each round."""

    processor: list[float]
    clock: list[float]

    @property
    def cost(self) -> float:
        return statistics.median(self.processor)


def jpegs(folder: Path, chosen: np.ndarray) -> list[bytes]:
    """The same images as files, before any work of minialex."""
    shards = [zipfile.ZipFile(path) for path in sorted(folder.glob("train-*.zip"))]
    members = [(shard, info) for shard in shards for info in shard.infolist()
               if info.filename.endswith(".jpg")]
    if members:
        return [members[i][0].read(members[i][1]) for i in chosen]
    paths = sorted(folder.glob("train/*/*.jpg"))
    return [paths[i].read_bytes() for i in chosen]


def jobs(data: ImageSet, files: list[bytes], size: int, batch: int,
         threads: list[int]) -> dict[str, Callable[[], object]]:
    """What is timed: each job goes over all images once."""
    known = data.measure()
    plain, noisy = Preparation(size, known.mean), Preparation(size, known.mean,
                                                              noise=ColourNoise(known))
    chunks = [np.arange(i, min(i + CHUNK, len(data))) for i in range(0, len(data), CHUNK)]
    pixels = [data.read(chunk) for chunk in chunks]
    rng = np.random.default_rng(SEED)
    views = [noisy.random_views(rng, len(chunk), data.shape) for chunk in chunks]
    out = np.zeros((CHUNK, size, size, data.shape[2]), np.float32)  # zeros: its memory is there

    def decode() -> None:
        for file in files:
            Image.open(BytesIO(file)).load()

    def read() -> None:
        for chunk in chunks:
            data.read(chunk)

    def crop() -> None:
        for images, view in zip(pixels, views, strict=True):
            plain.apply(images, view._replace(colour=None), out[: len(images)])

    def crop_and_noise() -> None:
        for images, view in zip(pixels, views, strict=True):
            noisy.apply(images, view, out[: len(images)])

    def load(count: int) -> Callable[[], None]:
        def run() -> None:
            for _ in batches(data, noisy, batch, seed=SEED, threads=count):
                pass
        return run

    return {"decode": decode, "read": read, "crop": crop, "crop and noise": crop_and_noise,
            **{f"load {count}": load(count) for count in threads}}


def measure(tasks: dict[str, Callable[[], object]], images: int, rounds: int) -> dict[str, Times]:
    times = {name: Times([], []) for name in tasks}
    for number in range(rounds + 1):
        for name, task in tasks.items():
            processor, clock = time.process_time(), time.perf_counter()
            task()
            if number:  # the round before the first warms up
                times[name].processor.append((time.process_time() - processor) / images)
                times[name].clock.append((time.perf_counter() - clock) / images)
    return times


def report(times: dict[str, Times], threads: list[int]) -> None:
    total = times[f"load {threads[0]}"].cost
    decode, read, crop, noisy = (times[name].cost
                                 for name in ("decode", "read", "crop", "crop and noise"))
    parts = {
        "JPEG to pixels: Pillow alone": decode,
        "the rest of reading: file, checks, array": read - decode,
        "crop, mirror image, mean": crop,
        "colour noise and division": noisy - crop,
        "the rest: new memory, order, threads": total - read - noisy,
        f"together, {threads[0]} thread{'s' * (threads[0] > 1)}": total}
    print(f"\n{'part':42} {'CPU ms/image':>12} {'share':>6}")
    for name, seconds in parts.items():
        print(f"{name:42} {1e3 * seconds:12.2f} {seconds / total:6.0%}")
    print(f"\n{'threads':>7} {'CPU ms/image':>13} {'images/s per core':>18} {'best round':>11} "
          f"{'images/s by the clock':>22}")
    for count in threads:
        found = times[f"load {count}"]
        print(f"{count:7} {1e3 * found.cost:13.2f} {1 / found.cost:18.0f} "
              f"{1 / min(found.processor):11.0f} {1 / statistics.median(found.clock):22.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("data/clothing"))
    parser.add_argument("--threads", default="1,2", help="numbers of threads (default: 1,2)")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--size", type=int, default=227, help="of a crop, in pixels")
    parser.add_argument("--images", type=int, default=2048, help="how many of them (default: 2048)")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    threads = [int(count) for count in options.threads.split(",")]
    packed = any(options.folder.glob("train-*.zip"))
    whole = datasets.open(options.folder).train

    chosen = np.random.default_rng(SEED).permutation(len(whole))[: options.images]
    data = replace(whole, labels=whole.labels[chosen], read=lambda some: whole.read(chosen[some]))
    files = jpegs(options.folder, chosen)
    print(f"{'prepared set' if packed else 'folder'} {whole.name}: {len(data)} images of "
          f"{len(whole)}, {sum(map(len, files)) / len(files) / 1e3:.1f} kB each, to crops of "
          f"{options.size}x{options.size}, batch {options.batch}, {options.rounds} rounds, medians")
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
          f"NumPy {np.__version__}, Pillow {PIL.__version__}, "
          f"libjpeg-turbo {features.version('libjpeg_turbo')}", flush=True)
    tasks = jobs(data, files, options.size, options.batch, threads)
    report(measure(tasks, len(data), options.rounds), threads)


if __name__ == "__main__":
    main()
