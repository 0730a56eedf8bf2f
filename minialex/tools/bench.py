"""`minialex bench`: how long a training step takes here, and where the time goes."""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from .. import backend, ops, optim
from ..training import suggest
from .setup import SIZES, build, choose_devices

__all__ = ["bench"]


def bench(options: argparse.Namespace) -> int:
    """Print a table of medians."""
    for name in ("batch", "steps"):
        if getattr(options, name) < 1:
            raise ValueError(f"--{name} {getattr(options, name)}: give at least 1")
    if options.threads is not None:
        backend.set_threads(options.threads)
    devices, why = choose_devices(options.devices)
    print(f"devices   {devices[0]} and {devices[1]}: {why}; {backend.threads()} threads")
    classes, channels = (1000, 3) if options.model == "alexnet" else (10, 1)
    recipe = suggest(options.model, options.batch)
    net = build(options.model, devices, classes, channels, recipe.width, recipe.init, 0)
    optimizer = optim.SGD(net.named_parameters(), 1e-4)
    rng, size = np.random.default_rng(0), SIZES[options.model]
    images = rng.standard_normal((options.batch, size, size, channels), np.float32)
    labels = rng.integers(0, 10, options.batch)
    times: dict[str, list[float]] = {"forward": [], "backward": [], "update": [], "step": []}
    for _ in range(options.steps + 1):
        marks = [_now(devices)]
        loss = ops.softmax_cross_entropy(net(images), labels)
        marks.append(_now(devices))
        loss.backward()
        marks.append(_now(devices))
        optimizer.step()
        optimizer.zero_grad()
        marks.append(_now(devices))
        for name, seconds in zip(times, np.diff(marks), strict=False):
            times[name].append(float(seconds))
        times["step"].append(marks[-1] - marks[0])
    for name, seconds in times.items():
        print(f"{name:9} {1000 * statistics.median(seconds[1:]):9.1f} ms")
    print(f"images/s  {options.batch / statistics.median(times['step'][1:]):9.1f}")
    for name in dict.fromkeys(devices):
        print(f"peak      {backend.device(name).memory().peak / 2**20:9.1f} MiB on {name}")
    return 0


def _now(devices: tuple[str, str]) -> float:
    for name in devices:
        backend.device(name).synchronize()
    return time.perf_counter()
