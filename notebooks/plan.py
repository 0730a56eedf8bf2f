"""What a training step costs with many workers, reckoned: chapter 14 builds on this file.

A step is its work, divided by the speed of a worker, and what is sent, divided by the speed of a
link, less what of the two happens at the same time. Four ways to share the work out are compared:
data (each worker its images), hybrid (b) and (c) (images for the convolutions, units for the fully
connected layers; Krizhevsky 2014), and columns (each worker its kernels, as in 2012).

The network is the one tower of 2014. A machine is four numbers; measure your own with
`minialex bench` (arithmetic) and a copy between two workers (link, latency).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

FLOAT = 4  # bytes
EPOCHS, IMAGES = 90, 1_281_167  # of ILSVRC 2012
MOST = 2**20  # workers


@dataclass(frozen=True)
class Network:
    """Weights, work and outputs of a network for one image."""

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


def network(kernels: Sequence[tuple[int, int, int, int]]) -> Network:
    """From each convolution's kernel size, channels, kernels, and rows of its output."""
    dense = [(6 * 6 * kernels[4][2], 4096), (4096, 4096), (4096, 1000)]
    return Network(
        conv_weights=sum(k * k * c * o + o for k, c, o, _ in kernels),
        fc_weights=sum(inputs * units + units for inputs, units in dense),
        conv_work=sum(k * k * c * o * side * side for k, c, o, side in kernels),
        fc_work=sum(inputs * units for inputs, units in dense), fc8_work=4096 * 1000,
        pool2=13 * 13 * kernels[1][2], pool5=6 * 6 * kernels[4][2], fc=4096)


# Each kernel sees all maps.
ONE_TOWER = network([(11, 3, 64, 55), (5, 64, 192, 27), (3, 192, 384, 13), (3, 384, 256, 13),
                     (3, 256, 256, 13)])


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


def needed(scheme: str, net: Network, machine: Machine, within: float) -> int | None:
    """The fewest workers that train ImageNet within this many hours; None: no number will do."""
    powers = [2**i for i in range((machine.batch or MOST).bit_length())]
    # With more than these, sending costs more than they bring.
    few, enough = 0, min(powers, key=lambda k: hours(scheme, net, machine, k))
    if hours(scheme, net, machine, enough) > within:
        return None
    while enough - few > 1:
        middle = (few + enough) // 2
        if hours(scheme, net, machine, middle) > within:
            few = middle
        else:
            enough = middle
    return enough
