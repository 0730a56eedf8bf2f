"""One training step in minialex and in PyTorch, side by side: AlexNet of 2012, small, or LeNet-5.

    python benchmarks/against_pytorch.py [--model alexnet] [--batch 128] [--rounds 5] [--json FILE]

Both train the same network (AlexNet: 227x227, 1000 classes, LRN within each column, dropout;
alexnet-small: a quarter of the width, 28x28, as in `minialex train --model alexnet-small`) with
momentum and weight decay, from the same weights on the same images. First losses and gradients are
compared, without dropout. Then steps are timed in turn, A B C A B C ..., each in a process of its
own that sleeps between its turns, because a shared machine is never equally fast for long; what
counts are the medians and their ratios. Run it with a Python that has minialex; name one that has
PyTorch with --torch-python (default: this one).
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

VARIANTS = ("minialex", "eager", "channels_last", "compiled")
SEED = 0
SHAPES = {"alexnet": (227, 227, 3), "alexnet-small": (28, 28, 1), "lenet5": (28, 28, 1)}
CLASSES = {"alexnet": 1000, "alexnet-small": 10, "lenet5": 10}
TURN = 0.3  # seconds that a turn lasts at least: small networks make many steps in it
CHECKED = 2  # images for the comparison: few, or rounding turns over some ReLU near 0


def images_and_labels(model: str, batch: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(SEED)
    images = rng.standard_normal((batch, *SHAPES[model]), np.float32)
    return ((70 * images if model == "alexnet" else images),  # pixels less their mean; or scaled
            rng.integers(0, CLASSES[model], batch))


# minialex


def minialex_network(model: str, dropout: bool) -> Any:
    from minialex import models

    net = models.build(model, ("cpu:0", "cpu:1")[: models.model_info(model).columns])
    if not dropout and model != "lenet5":
        for column in net.columns:
            column.drop6.p = column.drop7.p = 0.0
    return net


class Minialex:
    def __init__(self, model: str, batch: int, threads: int, dropout: bool = True) -> None:
        from minialex import backend, optim

        backend.set_threads(threads)
        self.net = minialex_network(model, dropout)
        self.optimizer = optim.SGD(self.net.named_parameters(), lr=1e-4)
        self.images, self.labels = images_and_labels(model, batch)

    def describe(self) -> str:
        from threadpoolctl import threadpool_info

        from minialex import backend

        blas = [f"{library['internal_api']} {library['version']} with kernels for "
                f"{library['architecture']}" for library in threadpool_info()
                if library["user_api"] == "blas"]
        return f"{backend.threads()} threads, {', '.join(blas)}"

    def forward(self) -> float:
        from minialex import no_grad, ops

        with no_grad():
            return ops.softmax_cross_entropy(self.net(self.images), self.labels).item()

    def loss(self) -> Any:
        from minialex import ops

        return ops.softmax_cross_entropy(self.net(self.images), self.labels)

    def step(self) -> float:
        loss = self.loss()
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.item()

    def gradients(self) -> dict[str, np.ndarray]:
        self.loss().backward()
        return {name: p.grad.numpy() for name, p in self.net.named_parameters().items()}


# PyTorch


def torch_network(model: str, weights: Mapping[str, np.ndarray], dropout: bool) -> Any:
    """The same network in PyTorch, with minialex's weights."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    class Norm(nn.Module):
        """LRN within each column: a column is half of the channels. PyTorch divides alpha by 5."""

        def forward(self, x):
            n, c, h, w = x.shape
            y = F.local_response_norm(x.reshape(2 * n, c // 2, h, w), 5, alpha=5e-4, beta=0.75, k=2)
            return y.reshape(n, c, h, w)

    def conv(layer: str, groups: int = 1, **options: int) -> nn.Module:
        kh, _, channels, kernels = weights[f"columns.0.{layer}.weight"].shape
        return nn.Conv2d(groups * channels, 2 * kernels, kh, groups=groups, **options)

    def linear(layer: str) -> nn.Module:
        inputs, units = weights[f"columns.0.{layer}.weight"].shape
        return nn.Linear(inputs, 2 * units)

    p = 0.5 if dropout else 0.0
    small = model == "alexnet-small"
    net = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    ) if model == "lenet5" else nn.Sequential(
        conv("conv1", stride=1 if small else 4), nn.ReLU(), Norm(), nn.MaxPool2d(3, 2),
        conv("conv2", 2, padding=1 if small else 2), nn.ReLU(), Norm(), nn.MaxPool2d(3, 2),
        conv("conv3", padding=1), nn.ReLU(), conv("conv4", 2, padding=1), nn.ReLU(),
        conv("conv5", 2, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Flatten(),
        linear("fc6"), nn.ReLU(), nn.Dropout(p), linear("fc7"), nn.ReLU(), nn.Dropout(p),
        nn.Linear(*weights["fc8.weight"].shape))
    layers = [layer for layer in net if isinstance(layer, (nn.Conv2d, nn.Linear))]
    with torch.no_grad():
        for layer, (weight, bias) in zip(layers, in_torch_order(model, weights), strict=True):
            layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight)))
            layer.bias.copy_(torch.from_numpy(bias))
    return net


def in_torch_order(model: str, arrays: Mapping[str, np.ndarray],
                   ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(weight, bias) of each layer, both columns joined, in PyTorch's layout."""
    if model == "lenet5":
        for layer in ("c1", "c3"):
            yield arrays[f"{layer}.weight"].transpose(3, 2, 0, 1), arrays[f"{layer}.bias"]
        c5 = arrays["c5.weight"].reshape(5, 5, 16, -1).transpose(2, 0, 1, 3).reshape(400, -1)
        yield c5.T, arrays["c5.bias"]
        for layer in ("f6", "output"):
            yield arrays[f"{layer}.weight"].T, arrays[f"{layer}.bias"]
        return

    def joined(layer: str, kind: str) -> np.ndarray:
        return np.concatenate([arrays[f"columns.{i}.{layer}.{kind}"] for i in (0, 1)], axis=-1)

    for layer in ("conv1", "conv2", "conv3", "conv4", "conv5"):
        yield joined(layer, "weight").transpose(3, 2, 0, 1), joined(layer, "bias")
    # fc6 sees (H, W, C) in minialex and (C, H, W) in PyTorch.
    fc6, channels = joined("fc6", "weight"), len(joined("conv5", "bias"))
    side = math.isqrt(len(fc6) // channels)
    seen = fc6.reshape(side, side, channels, -1).transpose(2, 0, 1, 3).reshape(len(fc6), -1)
    yield seen.T, joined("fc6", "bias")
    yield joined("fc7", "weight").T, joined("fc7", "bias")
    yield arrays["fc8.weight"].T, arrays["fc8.bias"]


class Torch:
    def __init__(self, variant: str, model: str, batch: int, threads: int, weights: str,
                 dropout: bool = True) -> None:
        import torch

        torch.set_num_threads(threads)
        # Weights are read one by one, because memory is measured.
        self.net = torch_network(model, np.load(weights), dropout)
        images, labels = images_and_labels(model, batch)
        self.images = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
        self.labels = torch.from_numpy(labels)
        if variant in ("channels_last", "compiled"):
            self.net = self.net.to(memory_format=torch.channels_last)
            self.images = self.images.contiguous(memory_format=torch.channels_last)
        self.run = torch.compile(self.net) if variant == "compiled" else self.net
        self.optimizer = torch.optim.SGD(self.net.parameters(), 1e-4, 0.9, weight_decay=5e-4)

    def describe(self) -> str:
        import torch

        libraries = re.findall(r"(?:MKL-DNN|Math Kernel Library Version) v?[0-9.]+",
                               torch.__config__.show())
        return (f"{torch.get_num_threads()} threads, PyTorch {torch.__version__}, "
                f"{', '.join(libraries)}, kernels for {torch.backends.cpu.get_cpu_capability()}")

    def forward(self) -> float:
        import torch

        with torch.no_grad():
            return torch.nn.functional.cross_entropy(self.run(self.images), self.labels).item()

    def step(self) -> float:
        import torch

        loss = torch.nn.functional.cross_entropy(self.run(self.images), self.labels)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.item()

    def gradients(self) -> list[tuple[np.ndarray, np.ndarray]]:
        import torch

        torch.nn.functional.cross_entropy(self.run(self.images), self.labels).backward()
        layers = [layer for layer in self.net if hasattr(layer, "weight")]
        return [(layer.weight.grad.numpy(), layer.bias.grad.numpy()) for layer in layers]


# The processes


def worker(variant: str, model: str, batch: int, threads: int, weights: str) -> None:
    """Answer each line on standard input ("step" or "forward") with the seconds that one took."""
    job = (Minialex(model, batch, threads) if variant == "minialex"
           else Torch(variant, model, batch, threads, weights))
    print(f"ready: {job.describe()}", flush=True)
    for line in sys.stdin:
        began, count = time.perf_counter(), 0
        while count == 0 or time.perf_counter() - began < TURN:
            getattr(job, line.strip())()
            count += 1
        seconds = (time.perf_counter() - began) / count
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # kB on Linux -> GB
        print(json.dumps({"seconds": seconds, "peak_gb": peak}), flush=True)


def compare_gradients(model: str, weights: str, batch: int, threads: int) -> None:
    """Print the loss of PyTorch and write its gradients beside the weights (in its process)."""
    job = Torch("eager", model, batch, threads, weights, dropout=False)
    loss = job.forward()
    flat = {f"{kind}{i}": array for i, pair in enumerate(job.gradients())
            for kind, array in zip(("weight", "bias"), pair, strict=True)}
    np.savez(weights + ".gradients.npz", loss=loss, **flat)


def agreement(folder: Path, model: str, torch_python: str, threads: int) -> tuple[float, float]:
    """Worst relative difference of the losses and of the gradients, without dropout."""
    job = Minialex(model, CHECKED, threads, dropout=False)
    weights = str(folder / "weights.npz")
    np.savez(weights, **job.net.state())
    subprocess.run([torch_python, __file__, "--gradients-of", weights, "--model", model,
                    "--threads", str(threads)], check=True)
    theirs = np.load(weights + ".gradients.npz")
    ours = in_torch_order(model, job.gradients())
    worst = 0.0
    for i, pair in enumerate(ours):
        for kind, gradient in zip(("weight", "bias"), pair, strict=True):
            other = theirs[f"{kind}{i}"]
            worst = max(worst, float(abs(gradient - other).max() / abs(other).max()))
    loss = job.forward()
    return abs(loss - float(theirs["loss"])) / loss, worst


class Process:
    """A worker that waits for its turn."""

    def __init__(self, python: str, variant: str, options: argparse.Namespace, weights: str):
        self.process = subprocess.Popen(
            [python, __file__, "--worker", variant, "--weights", weights,
             "--model", options.model, "--batch", str(options.batch),
             "--threads", str(options.threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        ready, _, self.description = self._line().partition(": ")
        if ready != "ready":
            raise RuntimeError(f"{variant} did not start")

    def __call__(self, what: str) -> dict[str, float]:
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return json.loads(self._line())

    def _line(self) -> str:
        return self.process.stdout.readline().strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=tuple(SHAPES), default="alexnet")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--torch-python", default=sys.executable)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--weights", help=argparse.SUPPRESS)
    parser.add_argument("--gradients-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.gradients_of:
        compare_gradients(options.model, options.gradients_of, CHECKED, options.threads)
    elif options.worker:
        worker(options.worker, options.model, options.batch, options.threads, options.weights)
    else:
        with tempfile.TemporaryDirectory() as folder:
            report(Path(folder), options)


def processor() -> str:
    """Its name, where Linux says it."""
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text("utf-8"))
    except OSError:
        found = None
    return found[1] if found else platform.machine()


def report(folder: Path, options: argparse.Namespace) -> None:
    loss, gradient = agreement(folder, options.model, options.torch_python, options.threads)
    print(f"{processor()}, {options.model}, batch "
          f"{options.batch}, Python {platform.python_version()}, NumPy {np.__version__}")
    print(f"agreement without dropout: loss {loss:.1e}, gradients {gradient:.1e} "
          "(relative to the largest of each layer)", flush=True)
    processes = {
        name: Process(sys.executable if name == "minialex" else options.torch_python, name,
                      options, str(folder / "weights.npz"))
        for name in options.variants}
    for name, process in processes.items():
        print(f"{name}: {process.description}", flush=True)
    results: dict[str, dict[str, Any]] = {name: {} for name in processes}
    for what in ("step", "forward"):
        for call in processes.values():
            call(what)  # the first one compiles, or fetches memory
        times: dict[str, list[float]] = {name: [] for name in processes}
        for _ in range(options.rounds):
            for name, call in processes.items():
                answer = call(what)
                times[name].append(answer["seconds"])
                results[name]["peak_gb"] = answer["peak_gb"]
        for name, seconds in times.items():
            results[name][what] = seconds
    base = results.get("eager", results["minialex"])
    print(f"{'':14} {'step ms':>9} {'of eager':>9} {'forward ms':>11} {'of eager':>9} "
          f"{'peak GB':>8}")
    for name, result in results.items():
        step, forward = (statistics.median(result[what]) for what in ("step", "forward"))
        print(f"{name:14} {1000 * step:9.1f} {step / statistics.median(base['step']):9.2f} "
              f"{1000 * forward:11.1f} {forward / statistics.median(base['forward']):9.2f} "
              f"{result['peak_gb']:8.2f}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
