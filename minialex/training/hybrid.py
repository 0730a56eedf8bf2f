"""One weird trick: convolutions data parallel, fully connected layers model parallel.

Convolutions have nine tenths of the work and a twentieth of the weights, fully connected layers the
reverse. So each rank sees its share of the images with all kernels, as in data parallelism; then
each has a share of the units of fc6, fc7 and fc8, which all images of all ranks must come to. They
come in turns, as in the paper's scheme (c): in each turn every rank sends a part of its images to
all, so that all links are busy and no turn holds more images than one rank has.

Krizhevsky 2014, One weird trick for parallelizing convolutional neural networks. Chapter 14.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import nn, ops
from ..backend import Array
from ..errors import InputError
from ..models import AlexNet
from ..models.alexnet import exchange
from ..operation import op
from ..optim import SGD
from ..tensor import Tensor, no_grad, record
from .distributed import Communicator, share
from .parallel import DataParallel

__all__ = ["Hybrid", "start_gather", "take_rows"]


def start_gather(x: Tensor, sizes: Sequence[int], axis: int, group: Communicator, label: str,
                 alike: bool = False) -> Callable[[], Tensor]:
    """Begin to put the arrays of all ranks side by side along `axis`; rank r brings `sizes[r]`.

    The result waits for them. Every rank then goes on in its own way, so backward sends each part
    of the gradient home and adds it up there. alike: all ranks go on in the same way, so that each
    knows the gradient of its part already.
    """
    ends = np.cumsum([0, *sizes]).tolist()
    places = [(slice(None),) * axis + (slice(*ends[r : r + 2]),) for r in range(group.size)]
    shapes = [(*x.shape[:axis], size, *x.shape[axis + 1 :]) for size in sizes]

    def backward(gy: Array) -> Array:
        if alike:
            return gy[places[group.rank]]
        came = group.start_exchange([gy[place] for place in places], group.size * [x.shape],
                                    x.device, f"{label}, gradient")()
        return sum(came[1:], start=came[0])

    wait = group.start_exchange(group.size * [x.data], shapes, x.device, label)

    def gathered() -> Tensor:
        with x.device:
            value = x.device.xp.concatenate(wait(), axis=axis)
        return record("gather", x.device.own(value), x.device, backward, (x,))

    return gathered


@op
def take_rows(xp, x, *, start, stop):
    """x[start:stop], rows of a batch. Keeps nothing."""
    def backward(gy):
        gx = xp.zeros(x_shape, gy.dtype)
        gx[start:stop] = gy
        return gx

    x_shape = x.shape
    return x[start:stop], backward


class Hybrid(DataParallel):
    """The two columns of AlexNet on every rank; of fc6, fc7 and fc8 each has a part of the units.

    A rank's share of the images goes through the convolutions at once, and through the fully
    connected layers in as many turns as there are ranks. All weights change after the last turn.
    """

    def __init__(self, net: nn.Module, optimizer: SGD, group: Communicator, **options: Any) -> None:
        if not isinstance(net, AlexNet):
            raise InputError("--parallel hybrid is for AlexNet, whose fully connected layers are "
                             "large; use --parallel data")
        self.units = {name: p.shape[-1] for name, p in net.named_parameters().items()
                      if name.rpartition(".")[0].endswith(("fc6", "fc7", "fc8"))}
        super().__init__(net, optimizer, group, **options)
        self._is_whole = True
        self._narrow()

    def _replicated(self) -> dict[str, nn.Parameter]:
        return {name: p for name, p in super()._replicated().items() if name not in self.units}

    def _gradients(self, images: np.ndarray, labels: np.ndarray) -> float:
        n = len(labels)
        for masks in self.masks.values():
            masks.begin(n)
        top = self._see(images)  # pool5 of my images
        rest = top.detach()  # what the turns take their parts from; their tapes end here
        rest.requires_grad = True
        loss = 0.0
        for rows, pool5 in self._turns(rest, n):
            of_turn = ops.softmax_cross_entropy(self._judge(pool5, rows), labels[rows])
            of_turn.backward(np.float32(len(rows) / n))
            loss += of_turn.item() * len(rows) / n
        top.backward(rest.grad)
        self._sum_gradients()
        return loss / self.group.size  # all ranks have found the same

    def _turns(self, x: Tensor, n: int) -> Iterator[tuple[np.ndarray, Tensor]]:
        """Rows of the joined batch of n, and what all ranks know of them, one turn after the other.

        What the next turn needs is on its way while the caller works on this one.
        """
        rank, size = self.group.rank, self.group.size
        shares = [share(n, r, size) for r in range(size)]

        def start(turn: int) -> tuple[np.ndarray, Callable[[], Tensor]]:
            parts = [share(mine.stop - mine.start, turn, size) for mine in shares]
            rows = [np.arange(n)[mine][part] for mine, part in zip(shares, parts, strict=True)]
            sent = take_rows(x, start=parts[rank].start, stop=parts[rank].stop)
            return np.concatenate(rows), start_gather(sent, [len(r) for r in rows], 0, self.group,
                                                      "pool5")

        coming = start(0)
        for turn in range(1, size + 1):
            rows, gathered = coming
            if turn < size:
                coming = start(turn)
            pool5 = gathered()
            if len(rows):  # few images may not fill every turn
                yield rows, pool5

    def _see(self, images: np.ndarray) -> Tensor:
        """The first half of `AlexNet.forward`, both columns side by side on the first device."""
        a, b = self.net.columns
        xa, xb = (column.see(Tensor(images, column.device)) for column in (a, b))
        xa, xb = exchange(xa, xb, "into conv3")
        xa, xb = a.combine(xa), b.combine(xb)
        return ops.concat(xa, ops.transfer(xb, a.device, label="into fc6"))

    def _judge(self, x: Tensor, rows: np.ndarray) -> Tensor:
        """The second half, for these rows of the joined batch; each rank computes its units."""
        a, b = self.net.columns
        xa, xb = x, ops.transfer(x, b.device, label="into fc6")
        xa, xb = self._half(0, "6", xa, rows), self._half(1, "6", xb, rows)
        xa, xb = exchange(xa, xb, "into fc7")
        xa, xb = self._half(0, "7", xa, rows), self._half(1, "7", xb, rows)
        x = ops.concat(xa, ops.transfer(xb, a.device, label="into fc8"))
        # Softmax needs the scores of all classes; the paper's 1,000 logistic units did not.
        return self._gather(self.net.fc8(x), "fc8.bias", "scores", alike=True)

    def _half(self, column: int, number: str, x: Tensor, rows: np.ndarray) -> Tensor:
        """A column's half of fc6 or fc7: my units, and then those of all ranks."""
        name, judge = f"columns.{column}.fc{number}.bias", self.net.columns[column]
        layer, drop = getattr(judge, f"fc{number}"), getattr(judge, f"drop{number}")
        drop.rng.take(rows, self._units(name), self.units[name])
        return self._gather(judge.judge(x, layer, drop), name, f"fc{number}")

    def _units(self, name: str) -> slice:
        """My part of the units of the layer to which this parameter belongs."""
        return share(self.units[name], self.group.rank, self.group.size)

    def _gather(self, x: Tensor, name: str, label: str, alike: bool = False) -> Tensor:
        """All units of that layer, from those that each rank has."""
        parts = [share(self.units[name], rank, self.group.size) for rank in range(self.group.size)]
        return start_gather(x, [part.stop - part.start for part in parts], x.ndim - 1, self.group,
                            label, alike)()

    @contextmanager
    def whole(self) -> Iterator[None]:
        if self._is_whole:
            yield
            return
        with no_grad():
            for name, tensor in self._split():
                tensor.data = self._gather(tensor, name, "whole network").data
        self._is_whole = True
        try:
            yield
        finally:
            self._narrow()

    def _narrow(self) -> None:
        """Keep my units only, of weights and velocities."""
        for name, tensor in self._split():
            with tensor.device:
                mine = tensor.data[..., self._units(name)].copy()
            tensor.data = tensor.device.own(mine)
        self._is_whole = False

    def _split(self) -> Iterator[tuple[str, Tensor]]:
        """Weights and velocities of the fully connected layers, by the names of the weights."""
        weights = self.net.named_parameters()
        for name in self.units:
            yield name, weights[name]
            yield name, self.optimizer.velocities[name]
