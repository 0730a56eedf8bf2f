"""`minialex bench`: how long a training step takes here, and where the time goes."""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import backend, nn, ops, optim
from ..errors import InputError
from ..tensor import Tensor, no_grad
from ..training import suggest
from .setup import build, choose_devices

__all__ = ["bench"]


class Layer(NamedTuple):
    """A layer, both columns together: work of a batch, and medians of its time."""

    name: str
    output: tuple[int, ...]  # of one column, without the batch
    gflop: float  # of the forward pass; 0: no matrix product
    megabytes: float  # of input, output and weights: the least that must be moved forward
    forward_ms: float
    backward_gflop: float
    backward_ms: float


def bench(options: argparse.Namespace) -> int:
    """Measure the machine, the layers one by one, and the whole step."""
    for name in ("batch", "steps"):
        if getattr(options, name) < 1:
            raise InputError(f"--{name} {getattr(options, name)}: give at least 1")
    if options.threads is not None:
        backend.set_threads(options.threads)
    devices, why = choose_devices(options.devices)
    devices = devices[:1] if options.model == "lenet5" else devices  # it has no columns
    recipe, _ = suggest(options.model, options.batch)
    classes, channels = (1000, 3) if options.model == "alexnet" else (10, 1)
    net = build(options.model, devices, classes, channels, recipe.width, recipe.init,
                recipe.image_size, 0)
    rng = np.random.default_rng(0)
    images = rng.standard_normal((options.batch, recipe.image_size, recipe.image_size, channels),
                                 np.float32)
    result: dict[str, Any] = {
        "model": options.model, "batch": options.batch, "devices": devices,
        "threads": backend.threads(), **_machine(devices[0])}
    steps = _steps(net, images, rng.integers(0, classes, options.batch), devices, options.steps)
    result |= steps | {"images_per_s": 1000 * options.batch / steps["step_ms"]}
    result["peak_mib"] = {name: backend.device(name).memory().peak / 2**20 for name in devices}
    result["layers"] = [layer._asdict() for layer in _layers(net, images, options.steps)]
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        why = f": {why}" if len(devices) > 1 else ""
        print(f"devices   {' and '.join(devices)}{why}; {backend.threads()} threads")
        print(_table(result))
    if options.plot:
        from .plots import roofline

        roofline(result, Path(options.plot))
    return 0


def _machine(device: str) -> dict[str, float]:
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

        product = _median(multiply, [device], 7)
        moved = _median(move, [device], 7)
    return {"product_gflops": 2 * n**3 / product / 1e6,
            "copy_gb_per_s": 2 * source.nbytes / moved / 1e6}


def _steps(net: nn.Module, images: np.ndarray, labels: np.ndarray, devices: Sequence[str],
           count: int) -> dict[str, float]:
    """Milliseconds of forward, backward, update and all; medians, after one step to warm up."""
    optimizer = optim.SGD(net.named_parameters(), 1e-4)
    times: dict[str, list[float]] = {}
    for _ in range(count + 1):
        marks = [_now(devices)]
        loss = ops.softmax_cross_entropy(net(images), labels)
        marks.append(_now(devices))
        loss.backward()
        marks.append(_now(devices))
        optimizer.step()
        optimizer.zero_grad()
        marks.append(_now(devices))
        parts = [*np.diff(marks), marks[-1] - marks[0]]
        for name, seconds in zip(("forward", "backward", "update", "step"), parts, strict=True):
            times.setdefault(f"{name}_ms", []).append(1000 * float(seconds))
    return {name: statistics.median(values[1:]) for name, values in times.items()}


def _layers(net: nn.Module, images: np.ndarray, count: int) -> list[Layer]:
    """Every layer by itself, on random numbers of the shapes that it gets in the network."""
    calls: list[tuple[str, nn.Module, tuple[int, ...], str]] = []

    def noted(path: str, layer: nn.Module, forward: Callable) -> Callable:
        def call(x: Tensor) -> Tensor:
            calls.append((path, layer, x.shape, x.device.name))
            return forward(x)
        return call

    leaves = [(path, layer) for path, layer in net.named_modules()
              if path and not any(below for below, _ in layer.named_modules())]
    for path, layer in leaves:
        layer.forward = noted(path, layer, layer.forward)
    try:
        with no_grad():
            net(images)
    finally:
        for _, layer in leaves:
            del layer.forward
    total, seen = Counter(path for path, *_ in calls), Counter[str]()
    found: dict[str, Layer] = {}
    for path, layer, shape, device in calls:
        seen[path] += 1
        name = path.rpartition(".")[2]
        if total[path] > 1:  # a column has one pool, and uses it three times
            name += f".{seen[path]}"
        one = _time_layer(name, layer, shape, device, count, first=shape == images.shape)
        found[name] = _sum(found[name], one) if name in found else one
    return list(found.values())


def _time_layer(name: str, layer: nn.Module, shape: tuple[int, ...], device: str, count: int,
                first: bool) -> Layer:
    rng = np.random.default_rng(0)
    x = Tensor(rng.standard_normal(shape, np.float32), device, requires_grad=not first)
    y = layer(x)
    gy = Tensor(rng.standard_normal(y.shape, np.float32), device)
    forward, backward = [], []
    for _ in range(count + 1):
        began = _now([device])
        y = layer(x)
        middle = _now([device])
        if y.requires_grad:
            y.backward(gy)
        forward.append(middle - began)
        backward.append(_now([device]) - middle)
        for tensor in (x, *layer.parameters()):
            tensor.grad = None
    weight = getattr(layer, "weight", None)
    gflop = 0.0
    if weight is not None:  # every kernel at every position
        gflop = 2e-9 * weight.size * math.prod(y.shape[:-1])
    megabytes = 4e-6 * (x.size + y.size + (weight.size if weight is not None else 0))
    return Layer(name, y.shape[1:], gflop, megabytes, 1000 * statistics.median(forward[1:]),
                 gflop if first else 2 * gflop, 1000 * statistics.median(backward[1:]))


def _sum(a: Layer, b: Layer) -> Layer:
    """Two columns' halves of a layer."""
    return Layer(a.name, a.output, *(p + q for p, q in zip(a[2:], b[2:], strict=True)))


def _table(result: dict[str, Any]) -> str:
    peak, copy = result["product_gflops"], result["copy_gb_per_s"]
    lines = [f"machine   matrix product {peak:.0f} GFLOP/s, copy {copy:.1f} GB/s",
             "",
             "layer     output          forward  GFLOP/s  share   backward  GFLOP/s  share"]
    for layer in result["layers"]:
        line = f"{layer['name']:9} {'x'.join(map(str, layer['output'])):13}"
        for way, gflop in (("forward", layer["gflop"]), ("backward", layer["backward_gflop"])):
            ms = layer[f"{way}_ms"]
            line += f"{ms:8.1f} ms"
            line += f" {1000 * gflop / ms:7.0f} {100 * gflop / ms * 1000 / peak:5.0f} %" \
                if gflop else " " * 16
        lines.append(line.rstrip())
    floor = sum(la["gflop"] + la["backward_gflop"] for la in result["layers"])
    for name in ("forward", "backward", "update", "step"):
        lines.append(f"{name:9} {result[f'{name}_ms']:21.1f} ms")
    lines.append(f"floor     {1000 * floor / peak:21.1f} ms: {floor:.1f} GFLOP at that speed; the "
                 f"step takes {result['step_ms'] * peak / floor / 1000:.2f} times as long")
    lines.append(f"images/s  {result['images_per_s']:21.1f}")
    lines += [f"peak      {mib:21.1f} MiB on {name}" for name, mib in result["peak_mib"].items()]
    return "\n".join(lines)


def _median(action: Callable[[], None], devices: Sequence[str], count: int) -> float:
    """Milliseconds, after one call to warm up."""
    seconds = []
    for _ in range(count + 1):
        began = _now(devices)
        action()
        seconds.append(_now(devices) - began)
    return 1000 * statistics.median(seconds[1:])


def _now(devices: Sequence[str]) -> float:
    for name in devices:
        backend.device(name).synchronize()
    return time.perf_counter()
