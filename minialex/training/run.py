"""A training run, as a generator: it trains and saves, and the caller shows what happens."""

from __future__ import annotations

import math
import os
import sys
import time
import weakref
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from .. import backend, checks
from ..datasets import Batch, ColourNoise, Data, ImageSet, Preparation, batches
from ..errors import InputError, UsageError
from ..nn import Module
from ..optim import SGD
from .classifier import Classifier
from .evaluate import log_probabilities
from .events import EpochDone, Event, RateFell, Resumed, RunDone, StepDone, Stuck
from .folder import CONFIG, LOG, MEAN, MODEL, STEPS, SUMMARY, RunFolder
from .plateau import plateau
from .progress import Progress
from .recipe import Recipe
from .schedule import plateau_falls, set_rates, step_falls
from .start import freeze, start_from
from .step import Step, diverged
from .worker import Worker

__all__ = ["Run"]

SAVE_EVERY = 600.0  # seconds, within an epoch


class Run:
    """A training run. Loop over it, and it trains; see events.py for what comes.

        for event in Run(net, data, recipe, folder="runs/clothes", about={"model": "lenet5"}):
            print(event)

    seed: of order, crops, mirror images and colours. folder: where everything is written, or None.
    steps: end after this many in all. resume: go on with the run in `folder`, bit for bit.
    start: a trained network, whose weights and mean image it starts with; also if it is resumed.
    about: more for config.json; Classifier.load needs the name of the model in it.
    worker: called with net and optimizer; returns the Worker (see minialex.parallel).

    The loop may be left at any event. `save` then saves, and a new loop over the run goes on.
    """

    def __init__(self, net: Module, data: Data, recipe: Recipe, seed: int = 0,
                 folder: str | os.PathLike[str] | None = None, *, steps: int | None = None,
                 resume: bool = False, start: Classifier | None = None,
                 about: Mapping[str, Any] | None = None,
                 worker: Callable[[Module, SGD], Worker] = Worker) -> None:
        checks.kinds("Run", net=(net, Module), data=(data, Data), recipe=(recipe, Recipe),
                     about=(about or {}, Mapping), worker=(worker, Callable))
        if len(data.train.classes) < 2:
            raise InputError(f"{data.train.name} has only one class, {data.train.classes[0]}; a "
                             "network needs two or more to tell apart")
        if resume and folder is None:
            raise InputError("Run: resume=True needs a folder; name that of the run to go on with")
        self.net, self.data, self.recipe = net, data, recipe
        self.seed = checks.whole("Run", "seed", seed, least=0)
        self.steps = None if steps is None else checks.whole("Run", "steps", steps)
        self.config = {**(about or {}), "seed": self.seed, "steps": self.steps,
                       "recipe": asdict(recipe)}
        self.parameters = sum(p.size for p in net.parameters())
        self.devices = list(dict.fromkeys(p.device for p in net.parameters()))
        self.statistics = data.train.measure()
        if start is not None:
            start_from(net, start, data.train)
            self.statistics = self.statistics._replace(mean=start.preparation.mean)
        freeze(net, recipe.frozen)
        self.progress = Progress.at_start(data.train, self.statistics.mean)
        self.finished = False
        self._optimizer = SGD({name: p for name, p in net.named_parameters().items()
                               if p.requires_grad}, recipe.lr, recipe.momentum,
                              recipe.weight_decay)
        self._worker = worker(net, self._optimizer)
        self.folder = (RunFolder(checks.path("Run", "folder", folder), 4 * self.parameters)
                       if folder is not None and self._worker.writes else None)
        self._resume, self._begun, self._stopping, self._broken = resume, False, False, False
        self._changed, self._saved_at = False, time.monotonic()
        self._loop: Callable[[], Generator | None] = lambda: None

    def __iter__(self) -> Iterator[Event]:
        if self._broken:
            raise UsageError("this run was broken off within a step; make a new Run, with "
                             "resume=True, to go on from its last checkpoint")
        if earlier := self._loop():
            earlier.close()
        loop = self._events()
        self._loop = weakref.ref(loop)
        return loop

    @property
    def steps_in_epoch(self) -> int:
        return -(-len(self.data.train) // self.recipe.batch)

    @property
    def steps_in_all(self) -> int:
        """From the first epoch to the end."""
        return min(self.recipe.epochs * self.steps_in_epoch, self.steps or sys.maxsize)

    def stop(self) -> None:
        """Let the loop end after this step, when all is saved. Callable from a signal handler."""
        self._stopping = True

    def save(self) -> None:
        """Save the state after the last step, if that is not done yet."""
        if self._broken:
            raise UsageError("this run was broken off within a step: there is nothing to save")
        if self._changed:
            with self._held():
                self._save()

    def classifier(self) -> Classifier:
        """The network as it is now, ready to look at pictures."""
        return Classifier(self.net, self.data.train.classes, self._preparation(), self.config)

    def _events(self) -> Generator[Event, None, None]:
        try:
            with self._held():
                if not self._begun:
                    yield from self._begin()
                while not self._at_end():
                    yield from self._epoch()
                    [stop] = self._worker.any(self._stopping)
                    if self._enough():
                        break
                    if stop and not self._at_end():
                        return
                [complete] = self._worker.any(bool(self.folder and self.folder.has(SUMMARY)))
                if not complete:
                    yield from self._end()
                self.finished = True
        except GeneratorExit:  # the caller has left the loop, between two steps
            raise
        except BaseException:
            self._broken = True
            raise
        finally:
            self._stopping = False

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Work alone in the folder."""
        if self.folder is None or self.folder.is_held:
            yield
        else:
            with self.folder.held(new=not (self._resume or self._begun)):
                yield

    def _begin(self) -> Iterator[Event]:
        """A new folder, or back to the newest checkpoint, as if nothing had happened after it."""
        with self._worker.whole_network():
            self._check_network()
            if self._resume:
                damaged = list(self.folder.go_back(self.net, self._optimizer, self.progress,
                                                   self.steps_in_epoch) if self.folder else ())
                self.progress = self._worker.start_from(self.progress)
        if self._resume:
            yield from [*damaged, Resumed(self.progress.steps, self.progress.epoch)]
        if self.folder:
            if not self._at_end():  # left by an earlier end; the summary was written last
                self.folder.remove(SUMMARY, MODEL)
            self.folder.write_json(CONFIG, self.config)
        self._begun = True
        if not self.progress.steps:
            yield from self._save()  # shows that it can be done, before time is spent

    def _check_network(self) -> None:
        """See that it takes these images and has a score for each class, before files are made."""
        image = next(batches(self.data.val, self._preparation(), 1)).images
        scores, classes = log_probabilities(self.net, image).shape[1], len(self.data.train.classes)
        if scores != classes:
            raise InputError(f"Run: the network gives {scores} scores, but {self.data.train.name} "
                             f"has {classes} classes; build it with classes={classes}")

    def _at_end(self) -> bool:
        """Whether all steps are made, and all epochs evaluated."""
        return self.progress.epoch > self.recipe.epochs or (
            self._enough() and not self.progress.number)

    def _enough(self) -> bool:
        return self.steps is not None and self.progress.steps >= self.steps

    def _falls(self, epoch: int) -> int:
        """How many times the rate has fallen before an epoch. All earlier ones must be done."""
        if self.recipe.patience:
            return plateau_falls(self.progress.errors[: epoch - 1], self.recipe.patience)
        return step_falls(epoch, self.recipe.falls)

    def _preparation(self, epoch: int | None = None) -> Preparation:
        """For the training images of an epoch, or for evaluation."""
        recipe, noise = self.recipe, None
        if epoch is not None and recipe.noise != "none" and epoch <= recipe.noise_until:
            noise = ColourNoise(self.statistics, literal=recipe.noise == "literal")
        return Preparation(recipe.image_size, self.statistics.mean, recipe.scale, noise,
                           recipe.mirror)

    def _batches_of(self, images: ImageSet) -> Iterator[Batch]:
        """For evaluation."""
        return batches(images, self._preparation(), self.recipe.batch, threads=backend.threads())

    def _epoch(self) -> Iterator[Event]:
        """The steps of one epoch, or the rest of them, and then its evaluation."""
        progress, epoch = self.progress, self.progress.epoch
        began = time.perf_counter() - progress.seconds
        set_rates(self._optimizer, self.recipe, epoch, self._falls(epoch))
        feed = batches(self.data.train, self._preparation(epoch), self.recipe.batch,
                       seed=self.seed, epoch=epoch, first=progress.number,
                       threads=backend.threads(), rows_of=self._worker.rows_of)
        for step in () if self._enough() else self._steps(feed):
            progress.count(step)
            progress.seconds, self._changed = time.perf_counter() - began, True
            done = StepDone(progress.steps, epoch, self._optimizer.lr, step.loss, step.images,
                            progress.seconds, progress.waited)
            if self.folder:
                self.folder.append(STEPS, done)
            yield done
            if self._enough():
                break
            stop, save = self._worker.any(self._stopping,
                                          time.monotonic() - self._saved_at > SAVE_EVERY)
            if stop or save:
                yield from self._save()
            if stop:
                return
        yield from self._evaluate(began)

    def _evaluate(self, began: float) -> Iterator[Event]:
        """Evaluate after an epoch, or after the part of it that was asked for."""
        progress, epoch, loss = self.progress, self.progress.epoch, self.progress.train_loss
        with self._worker.whole_network():
            result = self._worker.evaluate(self.data.val, self._batches_of)
            if not math.isfinite(result.loss):  # the last step went wrong: this is no good state
                raise diverged(f"the loss on the {self.data.val_name} images is {result.loss}",
                               self.net.eval(), next(self._batches_of(self.data.val)).images)
        progress.seconds = time.perf_counter() - began
        done = EpochDone(epoch, progress.steps, self._optimizer.lr, loss, result.loss,
                         result.top1_error, result.top5_error, progress.seconds, progress.waited)
        if self.folder:
            self.folder.append(LOG, done)
        advice = "" if progress.stuck else plateau(loss, progress.steps, self.data.train.labels,
                                                   self.recipe.init)
        progress.stuck = progress.stuck or bool(advice)
        best, falls = result.top1_error < progress.best, self._falls(epoch)
        if progress.number == self.steps_in_epoch:
            progress.next_epoch(result.top1_error)
        saved = self._save(best)
        yield done
        if advice:
            yield Stuck(advice)
        yield from saved
        if self._falls(epoch + 1) > falls and not self._at_end():
            yield RateFell(self.recipe.lr / 10 ** self._falls(epoch + 1))

    def _steps(self, feed: Iterator[Batch]) -> Iterator[Step]:
        """The steps of these batches. What the first of the run copies and sends is recorded."""
        steps, progress = self._worker.steps(self._timed(feed)), self.progress
        if progress.copied_bytes is None:
            before = self._worker.sent.copy()
            with backend.record_transfers() as log:
                first = next(steps)
            progress.copied_bytes = log.total_bytes
            progress.copies = log.table() if log else "none"
            progress.sent_bytes = dict(self._worker.sent - before)
            yield first
        yield from steps

    def _timed(self, feed: Iterator[Batch]) -> Iterator[Batch]:
        """The same batches, with the time counted that training waits for them."""
        while True:
            began = time.perf_counter()
            batch = next(feed, None)
            self.progress.waited += time.perf_counter() - began
            if batch is None:
                return
            yield batch

    def _save(self, best: bool = False) -> list[Event]:
        """Save a checkpoint, unless nothing is written."""
        saved: list[Event] = []
        self.progress.note_memory(self.devices)
        with self._worker.whole_network():
            if self.folder:
                saved.append(self.folder.save(self.net, self._optimizer, self.progress, best,
                                              {MEAN: self.statistics.mean}))
        self._changed, self._saved_at = False, time.monotonic()
        return saved

    def _end(self) -> Iterator[Event]:
        """Evaluate on the test images. The network is whole while the caller has the event."""
        progress = self.progress
        with self._worker.whole_network():
            result = self._worker.evaluate(self.data.test, self._batches_of)
            if self.folder:
                self.classifier().save_weights(self.folder.path)
            self.finished = True
            yield RunDone(progress.steps, result.loss, result.top1_error, result.top5_error,
                          result.images, progress.seconds)
            self.progress.note_memory(self.devices)
            if self.folder:  # last: where there is a summary, nothing is missing
                self.folder.write_json(SUMMARY, {
                    "top1_error": result.top1_error, "top5_error": result.top5_error,
                    **progress.summary(), "parameters": self.parameters, "seed": self.seed})
