"""One weird trick: convolutions data parallel, fully connected layers model parallel.

Convolutions have nine tenths of the work and 4 % of the weights, fully connected layers the
reverse. So each rank sees its share of the images with all kernels, as in data parallelism. Then
each has a share of the units of fc6, fc7 and fc8, and needs the images of all ranks. They are sent
in turns, as in the paper's scheme (c). In each turn every rank sends a part of its images to all,
so that all links are busy and no turn holds more images than one rank has.

Krizhevsky 2014, One weird trick for parallelizing convolutional neural networks. Chapter 14.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from .. import nn, ops
from ..backend import Array
from ..errors import InputError
from ..models import AlexNet
from ..operation import op
from ..optim import SGD
from ..tensor import Tensor, no_grad, record
from .data import DataParallel
from .ranks import Communicator, share

__all__ = ["Hybrid", "start_gather", "take_rows"]


def start_gather(x: Tensor, sizes: Sequence[int], axis: int, group: Communicator, label: str,
                 alike: bool = False) -> Callable[[], Tensor]:
    """Begin to put the arrays of all ranks side by side along `axis`; rank r brings `sizes[r]`.

    Calling the result waits for them. Every rank then computes something different, so backward
    sends each part of the gradient home and adds it up there. alike: all ranks compute the same,
    so each knows the gradient of its part already.
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


class Gathered(NamedTuple):
    """A layer that outputs my units only; those of all other ranks are put beside them."""

    name: str  # of the parameter with one number for each unit
    label: str
    alike: bool = False  # whether all ranks compute the same from it


class Hybrid(DataParallel):
    """Both columns of AlexNet on every rank, but only a part of the units of fc6, fc7 and fc8.

    A rank's share of the images goes through the convolutions at once, and through the fully
    connected layers in as many turns as there are ranks. All weights change after the last turn.
    """

    net: AlexNet

    def __init__(self, net: nn.Module, optimizer: SGD, group: Communicator, **options: Any) -> None:
        if not isinstance(net, AlexNet):
            raise InputError(f"Hybrid: the network is {type(net).__name__}; it shares out the "
                             "large fully connected layers of AlexNet; use DataParallel for others")
        self.units = {name: p.shape[-1] for name, p in net.named_parameters().items()
                      if name.rpartition(".")[0].endswith(("fc6", "fc7", "fc8"))}
        self.gathered = {f"columns.{c}.drop{n}": Gathered(f"columns.{c}.fc{n}.bias", f"fc{n}")
                         for c in (0, 1) for n in (6, 7)}
        # Softmax needs the scores of all classes; the paper's 1,000 logistic units did not.
        self.gathered["fc8"] = Gathered("fc8.bias", "scores", alike=True)
        super().__init__(net, optimizer, group, **options)
        self._is_whole = True
        self._narrow()

    def replicated(self) -> dict[str, nn.Parameter]:
        return {name: p for name, p in super().replicated().items() if name not in self.units}

    def _my_gradients(self, net: nn.Module, images: np.ndarray, labels: np.ndarray) -> float:
        n, (a, b) = len(labels), self.net.columns
        xa, xb = self.net.convolve(images)  # pool5 of my images
        top = ops.concat(xa, ops.transfer(xb, a.device, label="into fc6"))
        rest = top.detach()  # the turns take their parts from it; their tapes end here
        rest.requires_grad = True
        loss = 0.0
        for rows, pool5 in self._turns(rest, n):
            with nn.watch(net, before=self._take_masks(rows), after=self._gather_units):
                scores = self.net.classify(pool5, ops.transfer(pool5, b.device, label="into fc6"))
            of_turn = ops.softmax_cross_entropy(scores, labels[rows])
            of_turn.backward(np.float32(len(rows) / n))
            loss += of_turn.item() * len(rows) / n
        if top.requires_grad:  # not if all convolutions are frozen
            top.backward(rest.grad)
        return loss / self.group.size  # all ranks have found the same

    def _turns(self, x: Tensor, n: int) -> Iterator[tuple[np.ndarray, Tensor]]:
        """Rows of the joined batch of n, and their pool5 from all ranks, one turn after the other.

        The next turn is on its way while the caller works on this one.
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

    def _take_masks(self, rows: np.ndarray) -> Callable[[str, nn.Module, Tensor], None]:
        """Before Dropout: its numbers are for these rows of the joined batch, and my units."""
        def take(path: str, layer: nn.Module, x: Tensor) -> None:
            if path in self.masks:
                name = self.gathered[path].name
                self.masks[path].take(rows, self._mine(name), self.units[name])

        return take

    def _gather_units(self, path: str, layer: nn.Module, y: Tensor) -> Tensor | None:
        """After a layer of which this rank has a part of the units: the units of all ranks."""
        return self._gather(y, *self.gathered[path]) if path in self.gathered else None

    def _mine(self, name: str) -> slice:
        """My part of the units of the layer to which this parameter belongs."""
        return share(self.units[name], self.group.rank, self.group.size)

    def _gather(self, x: Tensor, name: str, label: str, alike: bool = False) -> Tensor:
        """All units of that layer, from those that each rank has."""
        parts = [share(self.units[name], rank, self.group.size) for rank in range(self.group.size)]
        return start_gather(x, [part.stop - part.start for part in parts], x.ndim - 1, self.group,
                            label, alike)()

    @contextmanager
    def whole_network(self) -> Iterator[None]:
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
                mine = tensor.data[..., self._mine(name)].copy()
            tensor.data = tensor.device.own(mine)
        self._is_whole = False

    def _split(self) -> Iterator[tuple[str, Tensor]]:
        """Weights and velocities of the fully connected layers, by the names of the weights."""
        weights = self.net.named_parameters()
        for name in self.units:
            yield name, weights[name]
            if name in self.optimizer.velocities:  # a frozen layer has none
                yield name, self.optimizer.velocities[name]
