"""Data parallelism: each rank has the whole network, and its share of every batch.

Ranks that start from the same weights and add the same gradients keep the same weights. So all
that has to be sent are gradients, and what counts is when: the sum of a layer's begins as soon as
backward has left the layer, while it works on those below. Built in chapter 14.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from .. import nn, ops
from ..backend import Array
from ..datasets import Batch, ImageSet
from ..errors import UsageError
from ..optim import SGD
from ..tensor import Tensor, record
from .distributed import Communicator, Wait, share
from .evaluate import Evaluation, evaluate
from .loop import DivergedError, Step, first_bad_layer, train_steps

__all__ = ["Alone", "DataParallel", "differences"]

BUCKET = 4 * 2**20  # bytes of gradients that travel together
CHECK_EVERY = 100  # steps after which the ranks compare their weights


class Alone:
    """One process has the whole network, and all of every batch. What other schemes do their way.

    first: whether this is rank 0, which writes; rows_of(n): which images of a batch of n it wants.
    """

    first = True
    rows_of: Callable[[int], slice] = slice  # slice(n): all of them

    def __init__(self, net: nn.Module, optimizer: SGD, group: Communicator) -> None:
        self.net, self.optimizer, self.group = net, optimizer, group

    def share_state(self, progress: dict[str, Any]) -> dict[str, Any]:
        """All ranks go on from what rank 0 has: weights, velocities, random states and progress.

        Called in `whole`.
        """
        return progress

    def steps(self, batches: Iterable[Batch]) -> Iterator[Step]:
        """As `train_steps`, of batches with the images of `rows_of`, and the labels of all."""
        return train_steps(self.net, self.optimizer, batches)

    def evaluate(self, images: ImageSet,
                 batches_of: Callable[[ImageSet], Iterable[Batch]]) -> Evaluation:
        """Errors over all images, in batches that `batches_of` makes of them. Called in `whole`."""
        return evaluate(self.net, batches_of(images))

    @contextmanager
    def whole(self) -> Iterator[None]:
        """In here every rank has the whole network, and all velocities."""
        yield


class DataParallel(Alone):
    """Each rank computes the gradients of its images; their sum is that of the joined batch.

    bucket: bytes of gradients that are sent together: many small sums would each wait for the
    network, one large one could not begin before the end of backward.
    """

    def __init__(self, net: nn.Module, optimizer: SGD, group: Communicator,
                 bucket: int = BUCKET) -> None:
        super().__init__(net, optimizer, group)
        self.first = group.rank == 0
        self.masks = {name: _Masks(module.rng) for name, module in net.named_modules()
                      if isinstance(module, nn.Dropout)}
        for name, module in net.named_modules():
            if name in self.masks:
                module.rng = self.masks[name]
        self.buckets = self._fill_buckets(bucket)
        self._listen()

    def rows_of(self, n: int) -> slice:
        """At least one: a rank for which nothing is left does as the others, and counts nothing."""
        rows = share(n, self.group.rank, self.group.size)
        return rows if rows.stop > rows.start else slice(0, 1)

    def _replicated(self) -> dict[str, nn.Parameter]:
        """The parameters that all ranks have, and whose gradients are summed."""
        return self.net.named_parameters()

    def _fill_buckets(self, most: int) -> list[_Bucket]:
        """Neighbours together, the last layer first: in the order in which backward comes."""
        groups: list[list[nn.Parameter]] = []
        for parameter in reversed(self._replicated().values()):
            if (groups and groups[-1][0].device is parameter.device
                    and sum(p.data.nbytes for p in [*groups[-1], parameter]) <= most):
                groups[-1].append(parameter)
            else:
                groups.append([parameter])
        return [_Bucket(group, self.group) for group in groups]

    def _listen(self) -> None:
        """Let every layer tell when backward has left it."""
        for _, layer in self.net.named_modules():
            if hasattr(layer, "weight"):
                layer.forward = _told(layer.forward, self._send_what_is_ready)

    def _send_what_is_ready(self) -> None:
        for bucket in self.buckets:
            bucket.send_if_ready()
        self.group.poke()

    def share_state(self, progress: dict[str, Any]) -> dict[str, Any]:
        net, optimizer = self.net, self.optimizer
        states = {name: masks.bit_generator.state for name, masks in self.masks.items()}
        weights, velocities, states, progress = self.group.broadcast(
            (net.state(), optimizer.state(), states, progress) if self.first else None)
        net.load_state(weights)
        optimizer.load_state(velocities)
        for name, masks in self.masks.items():
            masks.bit_generator.state = states[name]
        return progress

    def steps(self, batches: Iterable[Batch]) -> Iterator[Step]:
        self.net.train()
        for number, (images, labels) in enumerate(self.group.patient(batches), 1):
            loss = self.group.sum(self._gradients(images, labels))[0]
            if not math.isfinite(loss):
                with self.whole():
                    bad = first_bad_layer(self.net.eval(), images)
                raise DivergedError(f"the loss is {loss}: {bad}; lower the rate, or check the data")
            self.optimizer.step()
            self.optimizer.zero_grad()
            if number % CHECK_EVERY == 0:
                differences(self._replicated(), self.group)
            yield Step(loss, len(labels))

    def _gradients(self, images: np.ndarray, labels: np.ndarray) -> float:
        """Give every parameter the gradient of the mean over the joined batch -> my part of it."""
        n, rows = len(labels), self.rows_of(len(labels))
        mine = share(n, self.group.rank, self.group.size)
        weight = (mine.stop - mine.start) / n
        for masks in self.masks.values():
            masks.begin(n)
            masks.take(rows)
        loss = ops.softmax_cross_entropy(self.net(images), labels[rows])
        loss.backward(np.float32(weight))
        self._sum_gradients()
        return weight * loss.item()

    def _sum_gradients(self) -> None:
        for bucket in self.buckets:
            bucket.send_if_ready()
        for bucket in self.buckets:
            bucket.receive()

    def evaluate(self, images: ImageSet,
                 batches_of: Callable[[ImageSet], Iterable[Batch]]) -> Evaluation:
        """Each rank looks at its share of the images."""
        mine = np.arange(len(images))[share(len(images), self.group.rank, self.group.size)]
        found = Evaluation(0, 0, 0, 0)
        if len(mine):
            some = replace(images, labels=images.labels[mine],
                           read=lambda indices: images.read(mine[indices]))
            found = evaluate(self.net, self.group.patient(batches_of(some)))
        top1, top5, loss, n = self.group.sum(*(mean * found.images for mean in found[:3]),
                                             found.images)
        return Evaluation(round(top1) / n, round(top5) / n, loss / n, int(n))


class _Masks:
    """Random numbers for the joined batch, of which a rank takes its part.

    It stands in for a generator, from which Dropout draws.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.bit_generator = rng, rng.bit_generator
        self.begin(0)

    def begin(self, batch: int) -> None:
        """The next step has so many images."""
        self.batch = batch
        self.drawn: np.ndarray | None = None

    def take(self, rows: Any, columns: slice = slice(None), units: int | None = None) -> None:
        """The next numbers are for these rows of the batch, and these of so many units."""
        self.rows, self.columns, self.units = rows, columns, units

    def random(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        if self.drawn is None:
            shape = (self.batch, self.units or shape[1], *shape[2:])
            self.drawn = self.rng.random(shape, dtype)
        return self.drawn[self.rows, self.columns]


class _Bucket:
    """Gradients of some parameters, on their way together."""

    def __init__(self, parameters: Sequence[nn.Parameter], group: Communicator) -> None:
        self.parameters, self.group = parameters, group
        self.device = parameters[0].device
        ends = np.cumsum([p.size for p in parameters])
        self.places = [slice(end - p.size, end)
                       for p, end in zip(parameters, ends.tolist(), strict=True)]
        self.mine, self.sum = (group.buffer(self.device, int(ends[-1])) for _ in range(2))
        self.wait: Wait | None = None

    def send_if_ready(self) -> None:
        """Begin the sum as soon as all gradients are there."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        if self.wait is None and len(gradients) == len(self.parameters):
            self.gradients = gradients
            with self.device:
                for gradient, place in zip(self.gradients, self.places, strict=True):
                    _copy(gradient.data.reshape(-1), self.mine[place])
            self.wait = self.group.start_sum(self.mine, self.sum, "gradients")

    def receive(self) -> None:
        """Wait for the sum; the gradients are then those of all ranks together."""
        if self.wait is None or any(p.grad is not gradient for p, gradient in
                                    zip(self.parameters, self.gradients, strict=True)):
            raise UsageError(f"{', '.join(p.name for p in self.parameters)}: each must be used "
                             "once in a step, so that its gradient is final when it is there")
        self.wait()
        self.wait = None
        for p, place in zip(self.parameters, self.places, strict=True):
            gradient = self.sum[place].reshape(p.shape)
            if isinstance(gradient, np.ndarray):
                gradient = self.device.asarray(gradient)
            p.grad = Tensor._of(gradient, self.device)


def _copy(source: Array, destination: Array) -> None:
    """Numbers of a device into memory of the device, or of the host."""
    if isinstance(destination, np.ndarray) and not isinstance(source, np.ndarray):
        source.get(out=destination)
    else:
        destination[...] = source


def _told(forward: Callable, ready: Callable[[], object]) -> Callable:
    """A layer's forward, with a mark below it on the tape: where backward comes to the mark, it
    has given the layer's parameters their gradients."""
    def call(x: Tensor) -> Tensor:
        def backward(gy: Array) -> Array:
            ready()
            return gy

        return forward(record("mark", x.data, x.device, backward, (x,)))

    return call


def differences(parameters: Mapping[str, Tensor], group: Communicator) -> None:
    """See that all ranks hold the same numbers, bit for bit. Raises ValueError, naming who not."""
    group.compare({f"{name}, as checksum,": zlib.crc32(np.ascontiguousarray(p.numpy()))
                   for name, p in parameters.items()})
