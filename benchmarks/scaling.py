"""How the full-size training step on a CPU grows: with threads, with images, with virtual devices.

    python benchmarks/scaling.py [--rounds 5] [--batches 1,2,4,8,16,32,64,128,256]

Settings that are compared take their steps in turn, A B A B ..., because a shared machine is never
equally fast for long; what counts are the medians and their ratios.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
from against_pytorch import images_and_labels

from minialex import backend, models, ops, optim

ALL = backend.threads()
BATCH = 128


def trainer(devices: tuple[str, str]) -> Callable[..., float]:
    """A function of threads, images and labels that makes a step on these devices: its ms."""
    net = models.AlexNet(devices)
    sgd = optim.SGD(net.named_parameters(), lr=1e-4)

    def step(threads: int, images: np.ndarray, labels: np.ndarray) -> float:
        backend.set_threads(threads)
        began = time.perf_counter()
        ops.softmax_cross_entropy(net(images), labels).backward()
        sgd.step()
        sgd.zero_grad()
        return 1000 * (time.perf_counter() - began)

    return step


def in_turn(settings: Sequence[Callable[[], float]], rounds: int) -> list[float]:
    """Medians of what the settings give, after one turn to warm up."""
    turns = [[setting() for setting in settings] for _ in range(rounds + 1)][1:]
    return [statistics.median(times) for times in zip(*turns, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", default="1,2,4,8,16,32,64,128,256")
    options = parser.parse_args()
    two = trainer(("cpu:0", "cpu:1"))
    many = images_and_labels("alexnet", BATCH)

    counts = [2**k for k in range(ALL.bit_length()) if 2**k <= ALL]
    times = in_turn([lambda n=n: two(n, *many) for n in counts], options.rounds)
    print(f"threads   ms a step of {BATCH}   times as fast")
    for count, ms in zip(counts, times, strict=True):
        print(f"{count:7}{ms:18.0f}{times[0] / ms:16.2f}")

    print("\nbatch     ms a step   images/s")
    for batch in map(int, options.batches.split(",")):
        data = images_and_labels("alexnet", batch)
        (ms,) = in_turn([lambda data=data: two(ALL, *data)], options.rounds)
        print(f"{batch:5}{ms:14.0f}{1000 * batch / ms:11.1f}")

    one = trainer(("cpu:0", "cpu:0"))
    alone, apart = in_turn([lambda: one(ALL, *many), lambda: two(ALL, *many)], options.rounds)
    print(f"\nboth columns on one virtual device {alone:.0f} ms, on two {apart:.0f} ms: "
          f"{apart / alone:.3f}")


if __name__ == "__main__":
    main()
