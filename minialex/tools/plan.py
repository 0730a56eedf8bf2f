"""`minialex plan`: what many workers would bring, on paper.

A step is its work, divided by the speed of a worker, and what is sent, divided by the speed of a
link, less what of the two happens at the same time. Four ways to share the work out are compared.
Built in chapter 14.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import InputError

__all__ = ["MODELS", "SCHEMES", "Cost", "Machine", "Network", "best", "cost", "hours", "needed",
           "plan", "speed_up"]

FLOAT = 4  # bytes
EPOCHS, IMAGES = 90, 1_281_167  # of ILSVRC 2012, as in 2012 and 2014
MOST = 2**20  # workers that anybody may think of


@dataclass(frozen=True)
class Network:
    """What the plan must know of a network: weights, work and outputs for one image."""

    conv_weights: int  # with biases
    fc_weights: int
    conv_work: int  # multiply-accumulates, forward
    fc_work: int
    fc8_work: int
    pool2: int  # numbers that go into conv3
    pool5: int  # into fc6
    fc: int  # out of fc6, and out of fc7

    @property
    def weights(self) -> int:
        return self.conv_weights + self.fc_weights

    @property
    def work(self) -> int:
        return self.conv_work + self.fc_work


# The fully connected layers of both are 9216 x 4096, 4096 x 4096 and 4096 x 1000.
_FC = {"fc_weights": 58_631_144, "fc_work": 58_621_952, "fc8_work": 4_096_000, "pool5": 9216,
       "fc": 4096}
MODELS = {
    # Krizhevsky 2014: 64, 192, 384, 256 and 256 kernels, each of which sees all maps.
    "one-tower": Network(conv_weights=2_469_696, conv_work=655_566_528, pool2=32_448, **_FC),
    # Krizhevsky et al. 2012: models.AlexNet.
    "two-columns": Network(conv_weights=2_334_080, conv_work=665_784_864, pool2=43_264, **_FC),
}


@dataclass(frozen=True)
class Machine:
    """One of the workers, which are all alike, and how many images they see in a step.

    flops: arithmetic per second, as measured; link: bytes per second out of it, and as many in at
    the same time; latency: seconds until a message begins to arrive; images: of one worker;
    batch: of all workers together, if that is fixed, or 0.
    """

    flops: float
    link: float
    latency: float
    images: float
    batch: int = 0

    def seconds(self, work: float) -> float:
        """For so many multiply-accumulates an image."""
        return 2 * work * self.images / self.flops

    def sending(self, numbers: float, messages: int) -> float:
        return FLOAT * numbers / self.link + messages * self.latency


class Cost(NamedTuple):
    """Of one step: bytes that a worker sends, on average; seconds; seconds of work among them."""

    sent: float
    seconds: float
    work: float


def _sum(net_weights: int, k: int) -> float:
    """Numbers that each of k workers sends for the sum of all weights' gradients: the sum of a part
    is made by one worker, and then sent to all."""
    return 2 * (k - 1) / k * net_weights


def _data(net: Network, m: Machine, k: int) -> Cost:
    """Every worker has the whole network; gradients are summed while backward makes them."""
    work = m.seconds(net.work)
    numbers = _sum(net.weights, k)
    backward = max(2 * work, m.sending(numbers, 2 * (k - 1)))
    return Cost(FLOAT * numbers, work + backward, 3 * work)


def _hybrid(net: Network, m: Machine, k: int, in_turn: bool) -> Cost:
    """Convolutions as in `data`; each worker has 1/k of the units of every fully connected layer.

    in_turn: scheme (b), in a turn one worker sends all its images; else (c), all send some. What
    one turn sends hides behind the work of the next.
    """
    conv, fc = m.seconds(net.conv_work), m.seconds(net.fc_work)
    pool5 = m.images * net.pool5 * (k - 1)  # numbers, one way, in all turns together
    halves = 4 * m.images * net.fc * (k - 1)  # out of fc6 and fc7, and their gradients
    gradients = _sum(net.conv_weights, k)
    turn = m.sending(pool5 if in_turn else pool5 / k, k - 1)  # of pool5, or its gradient
    talk = m.sending(halves, 4 * k * (k - 1))
    seconds = (conv + 2 * turn + max(3 * fc, (2 * k - 2) * turn) + talk
               + max(2 * conv, m.sending(gradients, 2 * (k - 1))))
    return Cost(FLOAT * (2 * pool5 + halves + gradients), seconds, 3 * (conv + fc))


def _columns(net: Network, m: Machine, k: int) -> Cost:
    """As in 2012: each worker has 1/k of the kernels and units, and sees the images of all. They
    talk into conv3, fc6 and fc7; the first has fc8. Nothing can be done while waiting."""
    work = 3 * m.seconds(net.work + (k - 1) * net.fc8_work)
    numbers = 2 * m.images * (k - 1) * (net.pool2 + net.pool5 + net.fc + net.fc / k)
    return Cost(FLOAT * numbers, work + m.sending(numbers, 8 * (k - 1)), work)


SCHEMES: dict[str, Callable[[Network, Machine, int], Cost]] = {
    "data": _data,
    "hybrid (b)": lambda net, m, k: _hybrid(net, m, k, in_turn=True),
    "hybrid (c)": lambda net, m, k: _hybrid(net, m, k, in_turn=False),
    "columns": _columns,
}


def cost(scheme: str, net: Network, machine: Machine, workers: int) -> Cost:
    """What a step costs with so many workers."""
    if machine.batch:
        machine = replace(machine, images=machine.batch / workers)
    return SCHEMES[scheme](net, machine, workers)


def _rate(scheme: str, net: Network, machine: Machine, workers: int) -> float:
    """Images per second."""
    batch = machine.batch or machine.images * workers
    return batch / cost(scheme, net, machine, workers).seconds


def speed_up(scheme: str, net: Network, machine: Machine, workers: int) -> float:
    """Images per second, in those of one worker."""
    return _rate(scheme, net, machine, workers) / _rate(scheme, net, machine, 1)


def hours(scheme: str, net: Network, machine: Machine, workers: int) -> float:
    """For 90 epochs of ImageNet."""
    return EPOCHS * IMAGES / _rate(scheme, net, machine, workers) / 3600


def best(scheme: str, net: Network, machine: Machine) -> int:
    """The power of two of workers that is fastest: with more, sending costs more than they bring.

    The last power there is, if nothing ends the rise.
    """
    most = machine.batch or MOST
    powers = [2**i for i in range(most.bit_length())]
    return max(powers, key=lambda k: speed_up(scheme, net, machine, k))


def needed(scheme: str, net: Network, machine: Machine, within: float) -> int | None:
    """The smallest number of workers for ImageNet within so many hours; None: no number will do."""
    few, enough = 0, best(scheme, net, machine)
    if hours(scheme, net, machine, enough) > within:
        return None
    while enough - few > 1:
        middle = (few + enough) // 2
        if hours(scheme, net, machine, middle) > within:
            few = middle
        else:
            enough = middle
    return enough


def plan(options: argparse.Namespace) -> int:
    """Print what the options ask for."""
    for name in ("link", "flops", "images"):
        if not 0 < getattr(options, name) < float("inf"):
            raise InputError(f"--{name} {getattr(options, name)}: give a number above 0")
    if not 0 <= options.latency < float("inf"):
        raise InputError(f"--latency {options.latency}: give seconds, 0 or more")
    if options.batch is not None and options.batch < max(options.workers):
        raise InputError(f"--batch {options.batch}: give at least one image to each of "
                         f"{max(options.workers):,} workers")
    net = MODELS[options.model]
    machine = Machine(options.flops, options.link, options.latency, options.images,
                      options.batch or 0)
    result = {"model": options.model, "network": asdict(net), "machine": asdict(machine),
              "schemes": {name: _scheme(name, net, machine, options.workers) for name in SCHEMES}}
    print(json.dumps(result, indent=2) if options.json else _table(result, net))
    if options.plot:
        from .plots import scaling

        scaling(result, Path(options.plot))
    return 0


def _scheme(name: str, net: Network, machine: Machine, workers: list[int]) -> dict[str, Any]:
    rows = []
    for k in workers:
        sent, seconds, work = cost(name, net, machine, k)
        rows.append({"workers": k, "batch": machine.batch or k * machine.images,
                     "bytes": round(sent), "seconds": seconds, "work_seconds": work,
                     "speed_up": speed_up(name, net, machine, k),
                     "imagenet_hours": hours(name, net, machine, k)})
    fastest = best(name, net, machine)
    return {"rows": rows, "best_workers": fastest,
            "best_speed_up": speed_up(name, net, machine, fastest),
            "workers_for_an_hour": needed(name, net, machine, 1),
            "workers_for_a_minute": needed(name, net, machine, 1 / 60)}


def _table(result: dict[str, Any], net: Network) -> str:
    m = Machine(**result["machine"])
    images = f"{m.batch:,} images a step, all workers together" if m.batch else \
        f"{m.images:,} images a step"
    lines = [f"network   {result['model']}: {net.weights:,} weights, of them "
             f"{net.conv_weights:,} in convolutions;",
             f"          {net.work:,} multiply-accumulates an image",
             f"worker    {images}; {m.flops:g} FLOP/s;",
             f"          link {m.link:g} bytes/s each way, {m.latency:g} s a message"]
    for name, scheme in result["schemes"].items():
        lines += ["", f"{name:16}  sent by each               of it           ImageNet,", "workers"
                  f"      batch         MB      ms a step    work  speed-up  {EPOCHS} epochs"]
        lines += [f"{row['workers']:7,} {row['batch']:10,} {row['bytes'] / 1e6:10,.1f} "
                  f"{1e3 * row['seconds']:14,.1f} {row['work_seconds'] / row['seconds']:7.0%} "
                  f"{row['speed_up']:9,.2f} {row['imagenet_hours']:8.3g} h"
                  for row in scheme["rows"]]
        lines.append(f"at most {scheme['best_speed_up']:,.1f} times as fast, with "
                     f"{scheme['best_workers']:,} workers\nImageNet in " + ", in ".join(
                         f"{text}: " + (f"{scheme[key]:,} workers" if scheme[key] else "never")
                         for text, key in (("an hour", "workers_for_an_hour"),
                                           ("a minute", "workers_for_a_minute"))))
    return "\n".join(lines)
