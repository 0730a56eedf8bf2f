"""`minialex plan`: what many workers would bring, on paper.

A step is its work, divided by the speed of a worker, and what is sent, divided by the speed of a
link, less what of the two happens at the same time. Four ways to share the work out are compared.
Built in chapter 14.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from ..errors import InputError
from .arguments import number, picture_file, whole
from .text import say, table

__all__ = ["DESCRIPTION", "MODELS", "SCHEMES", "SUMMARY", "Cost", "Machine", "Network",
           "add_arguments", "best", "cost", "hours", "needed", "run", "speed_up"]

SUMMARY = "reckon what many workers would bring"
DESCRIPTION = ("Reckon the time of a training step with many workers, of each way to share the "
               "work out: data (each its images), hybrid (b) and (c) (images for convolutions, "
               "units for fully connected layers), columns (each its kernels). The defaults are a "
               "GPU of 2014 (K20) and its link, which with hybrid (b) took 98.05, 50.24, 26.20 and "
               "15.68 hours with 1, 2, 4 and 8 workers (Krizhevsky 2014).")
FLOAT = 4  # bytes
EPOCHS, IMAGES = 90, 1_281_167  # of ILSVRC 2012, as in 2012 and 2014
MOST = 2**20  # workers that may be asked for


def add_arguments(parser: argparse.ArgumentParser) -> None:
    positive = number("more than 0", lambda value: value > 0)
    parser.add_argument("--workers", type=_workers, default="1,2,4,8", metavar="N,N,...|A..B",
                        help="how many; 1..1024 doubles from 1 to 1,024 (default: %(default)s)")
    parser.add_argument("--link", type=positive, default=6e9, metavar="BYTES",
                        help="per second that each worker can send and receive (default: 6e9)")
    parser.add_argument("--latency", type=number("of at least 0", lambda value: value >= 0),
                        default=5e-6, metavar="SECONDS",
                        help="until a message begins to arrive (default: %(default)s)")
    parser.add_argument("--flops", type=positive, default=1.4e12, metavar="N",
                        help="arithmetic per second of a worker, as measured in training "
                             "(default: 1.4e12, one K20)")
    parser.add_argument("--images", type=whole(1), default=128, metavar="N",
                        help="of each worker in a step (default: %(default)s)")
    parser.add_argument("--batch", type=whole(1), metavar="N",
                        help="images in a step, all workers together: more workers then have fewer "
                             "each")
    parser.add_argument("--model", choices=tuple(MODELS), default="one-tower",
                        help="of 2014 or of 2012 (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    parser.add_argument("--plot", type=picture_file, metavar="FILE.png",
                        help="draw time and speed-up by workers, as .png, .jpg, .pdf or .svg")


def _workers(text: str) -> list[int]:
    """"1,2,8" -> [1, 2, 8]; "1..8" -> [1, 2, 4, 8]"""
    try:
        workers = [int(part) for part in text.replace("..", ",").split(",")]
        if ".." in text:
            first, last = workers
            workers = [first * 2**i for i in range((last // first).bit_length())]
    except (ArithmeticError, ValueError):
        workers = [0]
    if not workers or min(workers) < 1 or max(workers) > MOST:
        raise argparse.ArgumentTypeError(
            f"{text}: give numbers from 1 to {MOST:,}, as in 1,2,8 or 1..1024")
    return workers


@dataclass(frozen=True)
class Network:
    """What the plan needs from a network: weights, work and outputs for one image."""

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


def _network(kernels: Sequence[tuple[int, int, int, int]]) -> Network:
    """From each convolution's kernel size, channels, kernels, and rows of its output."""
    dense = [(6 * 6 * kernels[4][2], 4096), (4096, 4096), (4096, 1000)]
    return Network(
        conv_weights=sum(k * k * c * o + o for k, c, o, _ in kernels),
        fc_weights=sum(inputs * units + units for inputs, units in dense),
        conv_work=sum(k * k * c * o * side * side for k, c, o, side in kernels),
        fc_work=sum(inputs * units for inputs, units in dense), fc8_work=4096 * 1000,
        pool2=13 * 13 * kernels[1][2], pool5=6 * 6 * kernels[4][2], fc=4096)


MODELS = {
    # Krizhevsky 2014: each kernel sees all maps.
    "one-tower": _network([(11, 3, 64, 55), (5, 64, 192, 27), (3, 192, 384, 13), (3, 384, 256, 13),
                           (3, 256, 256, 13)]),
    # Krizhevsky et al. 2012: those of conv2, conv4 and conv5 see the maps of their own column.
    "two-columns": _network([(11, 3, 96, 55), (5, 48, 256, 27), (3, 256, 384, 13),
                             (3, 192, 384, 13), (3, 192, 256, 13)]),
}


@dataclass(frozen=True)
class Machine:
    """One of the workers, which are all alike, and how many images they see in a step.

    flops: arithmetic per second, as measured; link: bytes per second that it sends, and receives at
    the same time; latency: seconds until a message begins to arrive; images: of one worker;
    batch: of all workers together, if that is fixed, or 0.
    """

    flops: float
    link: float
    latency: float
    images: float
    batch: int = 0

    def seconds(self, work: float) -> float:
        """For `work` multiply-accumulates an image."""
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
    """What a step costs with this number of workers."""
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
    """The fewest workers that train ImageNet within this many hours; None: no number will do."""
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


def run(options: argparse.Namespace) -> int:
    """Print what the options ask for."""
    if options.batch is not None and options.batch < max(options.workers):
        raise InputError(f"--batch {options.batch}: give at least one image to each of "
                         f"{max(options.workers):,} workers")
    net = MODELS[options.model]
    machine = Machine(options.flops, options.link, options.latency, options.images,
                      options.batch or 0)
    result = {"model": options.model, "network": asdict(net), "machine": asdict(machine),
              "schemes": {name: _scheme(name, net, machine, options.workers) for name in SCHEMES}}
    say(json.dumps(result, indent=2) if options.json else _as_text(result, net))
    if options.plot:
        from .plots import scaling

        scaling(result, options.plot)
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


def _as_text(result: dict[str, Any], net: Network) -> str:
    m = Machine(**result["machine"])
    images = f"{m.batch:,} images a step, all workers together" if m.batch else \
        f"{m.images:,} images a step"
    lines = [f"network   {result['model']}: {net.weights:,} weights,",
             f"          {net.conv_weights:,} of them in convolutions;",
             f"          {net.work:,} multiply-accumulates an image",
             f"worker    {images}; {m.flops:g} FLOP/s;",
             f"          link {m.link:g} bytes/s each way, {m.latency:g} s a message",
             "columns   MB that each worker sends in a step, on average;",
             "          its time, and the share of it that is work;",
             f"          {EPOCHS} epochs of ImageNet"]
    for name, scheme in result["schemes"].items():
        rows = [("workers", "batch", "MB", "ms", "work", "speed-up", "ImageNet")]
        rows += [(f"{row['workers']:,}", f"{row['batch']:,}", f"{row['bytes'] / 1e6:,.1f}",
                  f"{1e3 * row['seconds']:,.1f}", f"{row['work_seconds'] / row['seconds']:.0%}",
                  f"{row['speed_up']:,.2f}", f"{row['imagenet_hours']:.3g} h")
                 for row in scheme["rows"]]
        hour, minute = (f"{scheme[key]:,} workers" if scheme[key] else "never"
                        for key in ("workers_for_an_hour", "workers_for_a_minute"))
        lines += ["", name, table(rows, left=()),
                  f"at most {scheme['best_speed_up']:,.1f} times as fast, with "
                  f"{scheme['best_workers']:,} workers",
                  f"ImageNet in an hour: {hour}, in a minute: {minute}"]
    return "\n".join(lines)
