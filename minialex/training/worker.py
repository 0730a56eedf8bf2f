"""What does the work of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from ..datasets import Batch, ImageSet
from ..nn import Module
from ..optim import SGD
from .evaluate import Evaluation, evaluate
from .progress import Progress
from .step import Step, train_steps

__all__ = ["Worker"]


class Worker:
    """Does all the work of a run in this process. Subclasses share it out among processes.

    writes: whether this process writes the files of the run. sent: bytes that it has sent to other
    processes so far, by label. rows_of(n): which images of a batch of n it needs.
    """

    writes = True
    rows_of: Callable[[int], slice] = slice  # slice(n): all of them

    def __init__(self, net: Module, optimizer: SGD) -> None:
        self.net, self.optimizer = net, optimizer
        self.sent: Counter[str] = Counter()

    def start_from(self, progress: Progress) -> Progress:
        """Give all processes the weights, velocities and random states of the one that writes.

        Called in `whole_network` -> the progress of that process.
        """
        return progress

    def steps(self, batches: Iterable[Batch]) -> Iterator[Step]:
        """Like `train_steps`. Batches have the images of `rows_of`, and the labels of all."""
        return train_steps(self.net, self.optimizer, batches)

    def evaluate(self, images: ImageSet,
                 batches_of: Callable[[ImageSet], Iterable[Batch]]) -> Evaluation:
        """Errors over all images, in batches that `batches_of` makes. Called in `whole_network`."""
        return evaluate(self.net, batches_of(images))

    @contextmanager
    def whole_network(self) -> Iterator[None]:
        """In here this process has all weights and velocities of the network."""
        yield

    def any(self, *flags: bool) -> list[bool]:
        """For each flag, whether any process has set it, so that all do the same."""
        return list(flags)
