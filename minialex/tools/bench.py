"""`minialex bench`: how long a training step takes here, and where the time goes."""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import backend, models, nn, optim
from ..datasets import Batch
from ..tensor import Tensor, no_grad
from ..training import train_steps
from .arguments import add_devices, picture_file, whole
from .devices import choose_devices
from .text import count, say, say_json, table

__all__ = ["DESCRIPTION", "SUMMARY", "add_arguments", "run"]

SUMMARY = "measure the time of a training step on this machine"
DESCRIPTION = ("Measure the time of a training step, as a whole and layer by layer, and compare it "
               "with the speed of this machine's matrix products and copies.")


class Layer(NamedTuple):
    """A layer, both columns together: work of a batch, and medians of its time."""

    name: str
    output: tuple[int, ...]  # without the batch
    gflop: float  # of the forward pass; 0: no matrix product
    megabytes: float  # of input, output and weights: the least that must be moved forward
    forward_ms: float
    backward_gflop: float
    backward_ms: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    full = next(info.name for info in models.MODELS.values() if info.photographs)
    parser.add_argument("--model", choices=list(models.MODELS), default=full, metavar="NAME",
                        help=f"one of {', '.join(models.MODELS)} (default: %(default)s)")
    parser.add_argument("--batch", type=whole(1), default=128, metavar="N",
                        help="number of images in a step (default: %(default)s)")
    parser.add_argument("--steps", type=whole(1), default=5, metavar="N",
                        help="number of steps to time, after one to warm up (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    parser.add_argument("--plot", type=picture_file, metavar="FILE.png",
                        help="draw the speed of each layer, and the limits of this machine")
    add_devices(parser)


def run(options: argparse.Namespace) -> int:
    """Measure the whole step, the machine, and the layers one by one."""
    names, why = choose_devices(options.devices, options.threads)
    info = models.model_info(options.model)
    names = names[: info.columns]
    net = models.build(info.name, names)
    rng = np.random.default_rng(0)
    shape = (options.batch, info.image_size, info.image_size, info.channels[0])
    batch = Batch(rng.standard_normal(shape, np.float32), rng.integers(0, info.classes, shape[0]))
    steps = _time_steps(net, batch, names, options.steps)
    # Before anything else is measured: what that needs is no memory of the step.
    peak = {name: backend.device(name).memory().peak / 2**20 for name in names}
    result: dict[str, Any] = {
        "model": info.name, "batch": options.batch, "devices": names,
        "threads": backend.threads(), **_time_machine(names[0]), **steps,
        "images_per_s": 1000 * options.batch / steps["step_ms"], "peak_mib": peak}
    result["layers"] = [layer._asdict() for layer in _time_layers(net, batch.images, options.steps)]
    if options.json:
        say_json(result)
    else:
        reason = f": {why}" if len(names) > 1 else ""
        say(f"devices   {' and '.join(names)}{reason}; {count(backend.threads(), 'thread')}")
        say(*_as_text(result).split("\n"))
    if options.plot:
        from .plots import roofline  # Matplotlib is slow to import

        roofline(result, options.plot)
    return 0


def _time_steps(net: nn.Module, batch: Batch, names: Sequence[str],
                count: int) -> dict[str, float]:
    """Milliseconds of forward, backward, update and all."""
    marks = []  # when the first step begins; then when forward, backward and update of each end

    class ClockedSGD(optim.SGD):
        def step(self) -> None:
            marks.append(_now(names))
            super().step()

    def look(path: str, layer: nn.Module, output: Tensor) -> None:
        if not path:  # the whole net
            marks.append(_now(names))

    with nn.watch(net, after=look):
        marks.append(_now(names))
        for _ in train_steps(net, ClockedSGD(net.named_parameters(), 1e-4),
                             itertools.repeat(batch, count + 1)):
            marks.append(_now(names))
    parts = np.diff(marks).reshape(-1, 3)
    times = _medians([(*step, sum(step)) for step in parts])
    return dict(zip(("forward_ms", "backward_ms", "update_ms", "step_ms"), times, strict=True))


def _time_machine(device: str) -> dict[str, float]:
    """Speed of matrix products and of copies, spread over the threads as the ops do it."""
    target = backend.device(device)
    xp = target.xp
    with target:
        n, many = 1536, 2**24  # 9.4 MB, and 67 MB: more than a cache holds
        a, b, c = (xp.zeros((n, n), np.float32) for _ in range(3))
        source, copy = (xp.zeros((many,), np.float32) for _ in range(2))

        def multiply() -> None:
            xp.over_batch(lambda part: xp.matmul(a[part], b, out=c[part]), n, xp.workspace * 8 // n)

        def move() -> None:
            xp.over_batch(lambda part: xp.copyto(copy[part], source[part]), many,
                          max(1, xp.workspace * 8 // many))

        marks = []
        for _ in range(8):
            marks.append([_now([device])])
            for action in multiply, move:
                action()
                marks[-1].append(_now([device]))
    product, moved = _medians(np.diff(marks))
    return {"product_gflops": 2 * n**3 / product / 1e6,
            "copy_gb_per_s": 2 * source.nbytes / moved / 1e6}


def _time_layers(net: nn.Module, images: np.ndarray, count: int) -> list[Layer]:
    """Every layer by itself, on random numbers of the shapes that it gets in the network."""
    calls: list[tuple[str, nn.Module, tuple[int, ...], str]] = []

    def look(path: str, layer: nn.Module, x: Tensor) -> None:
        if not any(below for below, _ in layer.named_modules()):
            calls.append((path, layer, x.shape, x.device.name))

    with no_grad(), nn.watch(net, before=look):
        net(images)
    total, seen = Counter(path for path, *_ in calls), Counter[str]()
    found: dict[str, Layer] = {}
    for path, layer, shape, device in calls:
        seen[path] += 1
        name = path.rpartition(".")[2]
        if total[path] > 1:  # a column has one pool, and uses it three times
            name += f".{seen[path]}"
        one = _time_layer(name, layer, shape, device, count, first=shape == images.shape)
        found[name] = _both(found[name], one) if name in found else one
    return list(found.values())


def _time_layer(name: str, layer: nn.Module, shape: tuple[int, ...], device: str, count: int,
                first: bool) -> Layer:
    rng = np.random.default_rng(0)
    x = Tensor(rng.standard_normal(shape, np.float32), device, requires_grad=not first)
    y = layer(x)
    gy = Tensor(rng.standard_normal(y.shape, np.float32), device)
    marks = []
    for _ in range(count + 1):
        marks.append([_now([device])])
        y = layer(x)
        marks[-1].append(_now([device]))
        if y.requires_grad:
            y.backward(gy)
        marks[-1].append(_now([device]))
        for tensor in (x, *layer.parameters()):
            tensor.grad = None
    forward, backward = _medians(np.diff(marks))
    weight = getattr(layer, "weight", None)
    gflop = 0.0
    if weight is not None:  # every kernel at every position
        gflop = 2e-9 * weight.size * math.prod(y.shape[:-1])
    megabytes = 4e-6 * (x.size + y.size + (weight.size if weight is not None else 0))
    return Layer(name, y.shape[1:], gflop, megabytes, forward,
                 gflop if first else 2 * gflop, backward)


def _both(a: Layer, b: Layer) -> Layer:
    """Two columns' halves of a layer."""
    output = (*a.output[:-1], a.output[-1] + b.output[-1])
    return Layer(a.name, output, *(p + q for p, q in zip(a[2:], b[2:], strict=True)))


def _as_text(result: dict[str, Any]) -> str:
    peak = result["product_gflops"]
    rows = [["layer", "output", "forward", "GFLOP/s", "share", "backward", "GFLOP/s", "share"]]
    for layer in result["layers"]:
        row = [layer["name"], "x".join(map(str, layer["output"]))]
        for way, gflop in (("forward", layer["gflop"]), ("backward", layer["backward_gflop"])):
            ms = layer[f"{way}_ms"]
            speed = 1000 * gflop / ms
            row.append(f"{ms:.1f} ms")
            row += [f"{speed:.0f}", f"{speed / peak:.0%}"] if gflop else ["", ""]
        rows.append(row)
    floor = sum(layer["gflop"] + layer["backward_gflop"] for layer in result["layers"])
    lines = [f"machine   matrix product {peak:.0f} GFLOP/s, copy "
             f"{result['copy_gb_per_s']:.1f} GB/s", "", table(rows, left=(0, 1)), ""]
    lines += [f"{part:9} {result[f'{part}_ms']:9.1f} ms"
              for part in ("forward", "backward", "update", "step")]
    lines.append(f"floor     {1000 * floor / peak:9.1f} ms: {floor:.1f} GFLOP at that speed; the "
                 f"step takes {result['step_ms'] * peak / floor / 1000:.2f} times as long")
    lines.append(f"images/s  {result['images_per_s']:9.1f}")
    lines += [f"peak      {mib:9.1f} MiB on {name}" for name, mib in result["peak_mib"].items()]
    return "\n".join(lines)


def _medians(seconds: Any) -> list[float]:
    """(rounds, parts) -> milliseconds of each part; the first round only warms up."""
    return (1000 * np.median(seconds[1:], axis=0)).tolist()


def _now(names: Sequence[str]) -> float:
    """The time when these devices have done their work."""
    for name in names:
        backend.device(name).synchronize()
    return time.perf_counter()
