"""Data parallelism: each rank has the whole network, and its share of every batch.

Ranks that start from the same weights and add the same gradients keep the same weights. So only
gradients are sent. The sum for a layer begins as soon as backward has left the layer, and runs
while backward works on those below. Built in chapter 14.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .. import nn, ops
from ..backend import Array
from ..datasets import Batch, ImageSet
from ..errors import UsageError
from ..optim import SGD
from ..tensor import Tensor, record
from ..training import Evaluation, Step, Worker, evaluate, train_steps
from ..training.progress import Progress
from ..training.step import diverged
from .ranks import Communicator, Wait, share

__all__ = ["DataParallel", "compare_ranks"]

BUCKET = 4 * 2**20  # bytes of gradients that travel together
CHECK_EVERY = 100  # steps after which the ranks compare their weights


class DataParallel(Worker):
    """Each rank computes the gradients of its images; their sum is that of the joined batch.

    bucket: bytes of gradients that are sent together. Many small sums would each wait for the
    network; one large sum could begin only at the end of backward.
    """

    def __init__(self, net: nn.Module, optimizer: SGD, group: Communicator,
                 bucket: int = BUCKET) -> None:
        super().__init__(net, optimizer)
        self.group, self.writes, self.sent = group, group.rank == 0, group.sent
        self.masks = {name: JoinedMasks(module.rng) for name, module in net.named_modules()
                      if isinstance(module, nn.Dropout)}
        for name, module in net.named_modules():
            if name in self.masks:
                module.rng = self.masks[name]
        self.buckets = self._fill_buckets(bucket)

    def rows_of(self, n: int) -> slice:
        """At least one: a rank without images works on one too, and counts it as nothing."""
        rows = share(n, self.group.rank, self.group.size)
        return rows if rows.stop > rows.start else slice(0, 1)

    def any(self, *flags: bool) -> list[bool]:
        return self.group.any(*flags)

    def replicated(self) -> dict[str, nn.Parameter]:
        """The parameters that all ranks have, and whose gradients are summed: not frozen ones."""
        return {name: p for name, p in self.net.named_parameters().items() if p.requires_grad}

    def _fill_buckets(self, most: int) -> list[Bucket]:
        """Neighbours together, the last layer first, in the order of backward."""
        groups: list[list[nn.Parameter]] = []
        for parameter in reversed(self.replicated().values()):
            if (groups and groups[-1][0].device is parameter.device
                    and sum(p.data.nbytes for p in [*groups[-1], parameter]) <= most):
                groups[-1].append(parameter)
            else:
                groups.append([parameter])
        return [Bucket(group, self.group) for group in groups]

    def start_from(self, progress: Progress) -> Progress:
        net, optimizer = self.net, self.optimizer
        states = {name: masks.bit_generator.state for name, masks in self.masks.items()}
        weights, velocities, states, progress = self.group.broadcast(
            (net.state(), optimizer.state(), states, progress) if self.writes else None)
        net.load_state(weights)
        optimizer.load_state(velocities)
        for name, masks in self.masks.items():
            masks.bit_generator.state = states[name]
        return progress

    def steps(self, batches: Iterable[Batch]) -> Iterator[Step]:
        feed = self.group.patient(batches)
        steps = train_steps(self.net, self.optimizer, feed, self._gradients)
        for number, step in enumerate(steps, 1):
            if number % CHECK_EVERY == 0:
                compare_ranks(self.replicated(), self.group)
            yield step

    def _gradients(self, net: nn.Module, images: np.ndarray, labels: np.ndarray) -> float:
        """Give every parameter the gradient of the mean over the joined batch -> that mean."""
        for masks in self.masks.values():
            masks.begin(len(labels))
        with nn.watch(net, before=self._mark):
            loss = self._my_gradients(net, images, labels)
        for bucket in self.buckets:
            bucket.send_if_ready()
        for bucket in self.buckets:
            bucket.receive()
        [loss] = self.group.sum(loss)
        if not math.isfinite(loss):
            with self.whole_network():
                raise diverged(f"the loss is {loss}", net.eval(), images)
        return loss

    def _my_gradients(self, net: nn.Module, images: np.ndarray, labels: np.ndarray) -> float:
        """My images' part of the gradients and of the loss."""
        n, rows = len(labels), self.rows_of(len(labels))
        mine = share(n, self.group.rank, self.group.size)
        weight = (mine.stop - mine.start) / n
        for masks in self.masks.values():
            masks.take(rows)
        loss = ops.softmax_cross_entropy(net(images), labels[rows])
        loss.backward(np.float32(weight))
        return weight * loss.item()

    def _mark(self, path: str, layer: nn.Module, x: Any) -> Tensor | None:
        """Mark the tape below a layer: when backward comes to the mark, it has left the layer."""
        if "weight" not in vars(layer):
            return None

        def backward(gy: Array) -> Array:
            for bucket in self.buckets:
                bucket.send_if_ready()
            self.group.keep_moving()
            return gy

        return record("mark", x.data, x.device, backward, (x,))

    def evaluate(self, images: ImageSet,
                 batches_of: Callable[[ImageSet], Iterable[Batch]]) -> Evaluation:
        """Each rank looks at its share of the images."""
        mine = np.arange(len(images))[share(len(images), self.group.rank, self.group.size)]
        found = Evaluation(0, None, 0, 0)
        if len(mine):
            some = replace(images, labels=images.labels[mine],
                           read=lambda indices: images.read(mine[indices]))
            found = evaluate(self.net, self.group.patient(batches_of(some)))
        top1, top5, loss, n = self.group.sum(
            *((mean or 0) * found.images for mean in found[:3]), found.images)
        [has_top5] = self.group.any(found.top5_error is not None)
        return Evaluation(round(top1) / n, round(top5) / n if has_top5 else None, loss / n, int(n))


class JoinedMasks:
    """Random numbers for the joined batch; each rank takes its part of them.

    Dropout draws from it as from a generator.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.bit_generator = rng, rng.bit_generator
        self.begin(0)

    def begin(self, batch: int) -> None:
        """The next step has `batch` images, on all ranks together."""
        self.batch = batch
        self.drawn: np.ndarray | None = None

    def take(self, rows: Any, columns: slice = slice(None), units: int | None = None) -> None:
        """The next numbers are for these rows of the batch and these columns of all `units`."""
        self.rows, self.columns, self.units = rows, columns, units

    def random(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        if self.drawn is None:
            shape = (self.batch, self.units or shape[1], *shape[2:])
            self.drawn = self.rng.random(shape, dtype)
        return self.drawn[self.rows, self.columns]


class Bucket:
    """Gradients of some parameters, which travel together."""

    def __init__(self, parameters: Sequence[nn.Parameter], group: Communicator) -> None:
        self.parameters, self.group = parameters, group
        ends = np.cumsum([p.size for p in parameters]).tolist()
        self.places = [slice(end - p.size, end) for p, end in zip(parameters, ends, strict=True)]
        self.mine, self.sum = (np.empty(ends[-1], np.float32) for _ in range(2))
        self.wait: Wait | None = None

    def send_if_ready(self) -> None:
        """Begin the sum as soon as all gradients are there."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        if self.wait is None and len(gradients) == len(self.parameters):
            self.gradients = gradients
            for gradient, place in zip(gradients, self.places, strict=True):
                self.mine[place] = gradient.numpy().reshape(-1)
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
            p.grad = Tensor(self.sum[place].reshape(p.shape), p.device)


def compare_ranks(parameters: Mapping[str, Tensor], group: Communicator) -> None:
    """Check that all ranks hold the same bits. Raises ValueError, naming the rank that differs."""
    group.compare({f"{name}, as checksum,": zlib.crc32(np.ascontiguousarray(p.numpy()))
                   for name, p in parameters.items()})
