"""How much work one training step of 2012's AlexNet gives to two GPUs, counted on the stand-in.

    python tests/standin/count_launches.py [images in a batch]

Nothing is computed, so full size takes seconds. A launch is one call of the array library; a GPU
spends some microseconds on each, however little there is to do. All but the matrix products then
wait for memory, so what counts are the bytes that each call must read and write: the numbers of its
operands and of its result, each once.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

__all__ = ["Count", "count"]

PRODUCT = "matmul"


class Count(NamedTuple):
    """launches, bytes: {(op, phase, name in CuPy): number}; transfers: between the GPUs only."""

    launches: Counter
    bytes: Counter
    transfers: list
    syncs: list[str]
    used: list[tuple[int, int]]
    peak: list[int]

    def by(self, *keys: int) -> Counter:
        """Launches by op (0), phase (1), name (2), or several of them."""
        return _by(self.launches, keys)

    def moved(self, *keys: int) -> Counter:
        """Bytes outside of the matrix products, likewise."""
        return _by({key: n for key, n in self.bytes.items() if key[2] != PRODUCT}, keys)


def _by(numbers: Mapping[tuple, int], keys: tuple[int, ...]) -> Counter:
    total: Counter = Counter()
    for key, number in numbers.items():
        total[tuple(key[k] for k in keys)] += number
    return total


def count(batch: int = 128, **options: object) -> Count:
    """Count a forward pass, a backward pass and an update of AlexNet(**options) on two GPUs."""
    from cupy import standin

    from minialex import backend, models, ops, optim

    devices = [backend.device(name) for name in ("gpu:0", "gpu:1")]
    with standin.dry_run():
        net = models.AlexNet(devices, **options)
        optimizer = optim.SGD(net.parameters())
        images = np.zeros((batch, net.image_size, net.image_size, net.channels), np.float32)
        labels = np.zeros(batch, int)
        before = [device.memory().used for device in devices]
        with standin.record(_where) as seen:
            loss = ops.softmax_cross_entropy(net(images), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        del loss
        used = [(then, device.memory().used) for then, device in zip(before, devices, strict=True)]
        return Count(seen.launches, seen.bytes, [t for t in seen.transfers if t.kind == "D2D"],
                     seen.syncs, used, standin.peak())


def _where(name: str) -> tuple[str, str, str]:
    """The outermost op at work, and the phase: read off the stack of calls."""
    op, phase = "tape", "forward"
    frame = sys._getframe(1)
    while frame:
        path, function = Path(frame.f_code.co_filename), frame.f_code.co_name
        if path.parts[-3:-1] == ("minialex", "ops"):
            op = path.stem
        elif path.parts[-2:] == ("minialex", "optim.py"):
            op, phase = "update", "update"
        elif path.parts[-2:] == ("minialex", "tensor.py") and function == "backward":
            phase = "backward"
        frame = frame.f_back
    return op, phase, name


def _report(batch: int) -> None:
    found = count(batch)
    phases = ("forward", "backward", "update")
    for title, numbers, by_phase, sums, form in (
            (f"launches, batch {batch}", found.by(0), found.by(0, 1), found.by(1), "10"),
            ("GB outside of products", *(Counter({key: n / 1e9 for key, n in by.items()})
             for by in (found.moved(0), found.moved(0, 1), found.moved(1))), "10.2f")):
        print(f"{title:22}" + "".join(f"{p:>10}" for p in (*phases, "total")))
        for (op,), number in numbers.most_common():
            print(f"{op:22}" + "".join(f"{by_phase[op, p]:{form}}" for p in phases)
                  + f"{number:{form}}")
        print(f"{'sum':22}" + "".join(f"{sums[p,]:{form}}" for p in phases)
              + f"{sums.total():{form}}\n")
    print("by name: " + ", ".join(f"{n} {c}" for (n,), c in found.by(2).most_common()))
    print(f"{len(found.transfers)} copies between the GPUs, "
          f"{sum(t.bytes for t in found.transfers):,} bytes; the host waits {len(found.syncs)} "
          f"times; at most {max(found.peak) / 2**30:.2f} GiB of memory in use on a GPU")


if __name__ == "__main__":
    _report(int(sys.argv[1]) if len(sys.argv) > 1 else 128)
