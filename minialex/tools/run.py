"""One training run: its state, its folder, and what it writes there."""

from __future__ import annotations

import json
import math
import os
import signal
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from tqdm import tqdm

from .. import backend, nn, ops, optim
from ..datasets import Batch, ColourNoise, Data, ImageSet, Preparation, batches
from ..errors import FileError, InputError
from ..tensor import no_grad
from ..training import (
    DivergedError,
    Evaluation,
    Recipe,
    plateau,
    plateau_falls,
    set_rates,
    step_falls,
)
from ..training.checkpoint import (
    CheckpointError,
    checkpoints,
    load_newest,
    replacing,
    save_arrays,
    save_newest,
)
from ..training.distributed import Communicator
from ..training.evaluate import has_top5
from ..training.loop import first_bad_layer
from ..training.parallel import Alone
from . import plots

__all__ = ["LOG", "Run", "write"]

LOG, STEPS = "log.jsonl", "steps.jsonl"
SAVE_EVERY = 600.0  # seconds, within an epoch


class Run:
    """The state of a run, and what it writes."""

    def __init__(self, folder: Path, net: nn.Module, recipe: Recipe, data: Data, seed: int,
                 most_steps: int | None, scheme: type[Alone] = Alone,
                 group: Communicator | None = None) -> None:
        self.folder, self.net, self.recipe, self.data = folder, net, recipe, data
        self.seed, self.most_steps = seed, most_steps
        self.statistics = data.train.measure()
        self.optimizer = optim.SGD(net.named_parameters(), recipe.lr, recipe.momentum,
                                   recipe.weight_decay)
        self.parallel = scheme(net, self.optimizer, group or Communicator())
        # All that a resumed run must know, besides weights, velocities and random states:
        # `number` batches of epoch `epoch` are done, with this sum of losses so far; `errors` on
        # the validation images after each epoch; `waited` seconds for data; whether the user was
        # told that the run is `stuck`; the classes of `data`, and a checksum of the labels.
        self.progress: dict[str, Any] = {
            "epoch": 1, "number": 0, "steps": 0, "seconds": 0.0, "waited": 0.0, "loss_sum": 0.0,
            "images": 0, "errors": [], "copies": None, "stuck": False,
            "data": [list(data.train.classes), zlib.crc32(data.train.labels)]}
        self._saved = time.monotonic()

    def resume(self) -> None:
        """Back to the newest checkpoint, as if nothing had happened after it."""
        with self.parallel.whole():
            if self.parallel.first:
                self._go_back()
            self.progress = self.parallel.share_state(self.progress)

    def _go_back(self) -> None:
        for unfinished in self.folder.glob("*.part"):
            unfinished.unlink()
        data = self.progress["data"]
        # A run that was killed before it had a checkpoint is at its beginning.
        if checkpoints(self.folder) or self._lines(STEPS):
            try:
                self.progress |= load_newest(self.folder, self.net, self.optimizer, print)
            except CheckpointError as error:
                raise CheckpointError(f"{error}; or the classes are not those of the run: give its "
                                      "data with --data") from None
        if self.progress["data"] != data:
            raise InputError(f"--resume {self.folder}: these are not the training images of that "
                             "run, or some were added or removed; give the same with --data")
        for name, done in (LOG, self.progress["epoch"] - 1), (STEPS, self.progress["steps"]):
            with replacing(self.folder / name) as file:
                file.writelines(self._lines(name)[:done])

    def train(self) -> bool:
        """Train to the end; False if it was interrupted and saved before."""
        if not self.progress["steps"]:
            self.save()  # shows that it can be done, before time is spent
        with _interruptible(one_process=self.parallel.group.size == 1) as interrupted:
            while not self._last():
                done = self._epoch(interrupted)
                [stop] = self.parallel.group.any(interrupted)
                if stop and not (done and self._last()):
                    self.save()
                    return False
        return True

    def save(self, best: bool = False) -> None:
        """A checkpoint, after the lines of its steps: it must not know of more than they tell."""
        with self.parallel.whole():
            if self.parallel.first:
                if self.progress["steps"]:
                    for name in LOG, STEPS:
                        with self._appending(name) as file:
                            os.fsync(file.fileno())
                save_newest(self.folder, self.net, self.optimizer, self.progress, best)
        self._saved = time.monotonic()

    def _last(self) -> bool:
        return self.progress["epoch"] > self.recipe.epochs or self._enough()

    def _enough(self) -> bool:
        return self.most_steps is not None and self.progress["steps"] >= self.most_steps

    def _preparation(self, epoch: int | None = None) -> Preparation:
        """For the training images of an epoch, or for evaluation."""
        recipe, noise = self.recipe, None
        if epoch is not None and recipe.noise != "none" and epoch <= recipe.noise_until:
            noise = ColourNoise(self.statistics, literal=recipe.noise == "literal")
        return Preparation(recipe.image_size, self.statistics.mean, recipe.scale, noise,
                           recipe.mirror)

    def _falls(self, epoch: int) -> int:
        """How often the rate has fallen before an epoch, those before it being done."""
        if self.recipe.patience:
            return plateau_falls(self.progress["errors"], self.recipe.patience)
        return step_falls(epoch, self.recipe.falls)

    def _epoch(self, interrupted: list[bool]) -> bool:
        """One epoch, or the rest of one, and its evaluation; False if it was interrupted."""
        state, recipe, data = self.progress, self.recipe, self.data
        epoch, began = state["epoch"], time.perf_counter()
        clock = state["seconds"] - began
        set_rates(self.optimizer, recipe, epoch, self._falls(epoch))
        feed = batches(data.train, self._preparation(epoch), recipe.batch, seed=self.seed,
                       epoch=epoch, first=state["number"], threads=backend.threads(),
                       rows_of=self.parallel.rows_of)
        total = -(-len(data.train) // recipe.batch)
        fresh = 0  # images since this process began
        with _progress_bar(f"epoch {epoch}/{recipe.epochs}", total, state["number"]) as bar:
            for step in self._counted(self.parallel.steps(self._timed(feed))):
                state["number"] += 1
                state["steps"] += 1
                state["images"] += step.images
                fresh += step.images
                state["loss_sum"] += step.loss * step.images
                state["seconds"] = clock + time.perf_counter()
                self._append(STEPS, {
                    "step": state["steps"], "epoch": epoch, "lr": self.optimizer.lr,
                    "loss": round(step.loss, 6), "seconds": round(state["seconds"], 3),
                    "waited": round(state["waited"], 3)})
                bar.set_postfix(
                    loss=f"{state['loss_sum'] / state['images']:.3f}",
                    images_per_s=f"{fresh / (time.perf_counter() - began):.0f}",
                    refresh=False)
                bar.update()
                if self._enough():
                    break
                stop, save = self.parallel.group.any(
                    interrupted, time.monotonic() - self._saved > SAVE_EVERY)
                if stop:
                    return False
                if save:
                    self.save()
        with self.parallel.whole():
            self._evaluate(epoch, clock)
        return True

    def _evaluate(self, epoch: int, clock: float) -> None:
        """What the epoch brought: a line in the log, a line on the screen, a checkpoint."""
        state, recipe = self.progress, self.recipe
        loss = state["loss_sum"] / max(state["images"], 1)
        result = self.parallel.evaluate(self.data.val, self._batches_of)
        if not math.isfinite(result.loss):  # the last step went wrong: this is no good state
            images = next(self._batches_of(self.data.val)).images
            bad = first_bad_layer(self.net.eval(), images)
            raise DivergedError(f"the loss on the {self.data.val_name} images is {result.loss}: "
                                f"{bad}; lower the rate, or check the data")
        state["seconds"] = clock + time.perf_counter()
        self._append(LOG, {
            "epoch": epoch, "steps": state["steps"], "lr": self.optimizer.lr,
            "train_loss": loss, "val_loss": result.loss, "top1_error": result.top1_error,
            "top5_error": result.top5_error, "seconds": round(state["seconds"], 3),
            "waited": round(state["waited"], 3)})
        print(f"epoch {epoch}/{recipe.epochs}: loss {loss:.3f}, {self.data.val_name} "
              f"{self._errors(result)}, {state['seconds']:.0f} s", flush=True)
        if not state["stuck"]:
            told = plateau(loss, state["steps"], self.data.train.labels, recipe.init)
            if told:
                print(told, flush=True)
                state["stuck"] = True
        best = result.top1_error < min(state["errors"], default=math.inf)
        falls = self._falls(epoch)
        state["errors"].append(result.top1_error)
        state.update(epoch=epoch + 1, number=0, loss_sum=0.0, images=0)
        self.save(best)
        if self._falls(epoch + 1) > falls and not self._last():
            print("the rate falls to a tenth", flush=True)

    def _timed(self, feed: Iterator[Batch]) -> Iterator[Batch]:
        """The same batches; the time for which training waits for them is counted."""
        while True:
            began = time.perf_counter()
            batch = next(feed, None)
            self.progress["waited"] += time.perf_counter() - began
            if batch is None:
                return
            yield batch

    def _counted(self, steps: Iterator) -> Iterator:
        """The same steps; what is copied and sent in the first of the run is recorded."""
        if self.progress["copies"] is None:
            before = self.parallel.group.sent.copy()
            with backend.record_transfers() as log:
                first = next(steps)
            self.progress["copies"] = {"bytes": log.total_bytes,
                                       "table": log.table() if log else "none",
                                       "sent": dict(self.parallel.group.sent - before)}
            yield first
        yield from steps

    def _batches_of(self, images: ImageSet) -> Iterator[Batch]:
        return batches(images, self._preparation(), self.recipe.batch, threads=backend.threads())

    def _lines(self, name: str) -> list[bytes]:
        path = self.folder / name
        return path.read_bytes().splitlines(keepends=True) if path.exists() else []

    def _append(self, name: str, entry: dict[str, Any]) -> None:
        """Line i of log.jsonl is epoch i, and line i of steps.jsonl is step i."""
        if not self.parallel.first:
            return
        with self._appending(name) as file:
            file.write(f"{json.dumps(entry)}\n".encode())

    @contextmanager
    def _appending(self, name: str) -> Iterator[BinaryIO]:
        path = self.folder / name
        try:
            with open(path, "ab") as file:
                yield file
        except OSError as error:
            raise FileError(f"{path} cannot be written ({error.strerror or error}); make room on "
                            "the disk") from None

    def finish(self, devices: tuple[str, ...]) -> None:
        """Weights, pictures and summary; all ranks have the whole network here."""
        result = self.parallel.evaluate(self.data.test, self._batches_of)
        if not self.parallel.first:
            return
        state, config = self.progress, json.loads((self.folder / "config.json").read_text())
        print(f"\ncopies between devices in one step, batch {self.recipe.batch}:")
        print(state["copies"]["table"])
        if sent := state["copies"].get("sent"):
            parts = ", ".join(f"{label} {count:,}" for label, count in sent.items())
            print(f"sent to other processes by each in one step: {sum(sent.values()):,} bytes "
                  f"({parts})")
        save_arrays(self.folder / "model.safetensors",
                    {**self.net.state(), "input.mean": self.statistics.mean},
                    {**config, "classes": list(self.data.train.classes)})
        summary = {
            "top1_error": result.top1_error, "top5_error": result.top5_error,
            "seconds": round(state["seconds"], 1), "steps": state["steps"],
            "waiting_share": round(state["waited"] / max(state["seconds"], 1e-9), 4),
            "bytes_per_step": state["copies"]["bytes"],
            "parameters": sum(p.size for p in self.net.parameters()),
            "peak_memory": {name: backend.device(name).memory().peak for name in devices},
            "seed": self.seed}
        write(self.folder / "summary.json", json.dumps(summary, indent=2))
        log, steps = ([json.loads(line) for line in self._lines(name)] for name in (LOG, STEPS))
        plots.curves(log, self.data.val_name, self.folder / "curves.png", steps)
        plots.filters(self.net, self.folder / "filters.png")
        shown, guesses = self._guesses(12)
        plots.predictions(shown, guesses, self.data.test, self.folder / "predictions.png")
        print(f"\n{self.data.test_name} {self._errors(result)} on {result.images:,} images, after "
              f"{state['steps']:,} steps in {state['seconds']:.0f} s")
        print("wrote " + ", ".join(sorted(path.name for path in self.folder.iterdir()
                                          if not path.name.startswith("."))))

    def _errors(self, result: Evaluation) -> str:
        top5 = has_top5(len(self.data.train.classes))
        return (f"error top-1 {result.top1_error:.2%}" +
                (f", top-5 {result.top5_error:.2%}" if top5 else ""))

    def _guesses(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Some test images, evenly spread, and the probabilities of the classes."""
        test = self.data.test
        chosen = np.linspace(0, len(test) - 1, min(count, len(test))).astype(np.int64)
        few = replace(test, labels=test.labels[chosen],
                      read=lambda indices: test.read(chosen[indices]))
        self.net.eval()
        images, _ = next(batches(few, self._preparation(), len(chosen)))
        with no_grad():
            return chosen, ops.softmax(self.net(images)).numpy()


def write(path: Path, text: str) -> None:
    """The text and a line end, whole or not at all."""
    with replacing(path) as file:
        file.write(f"{text}\n".encode())


def _progress_bar(name: str, total: int, done: int) -> tqdm:
    """On a terminal only: a log file gets the line at the end of each epoch."""
    return tqdm(total=total, initial=done, desc=name, unit="step", leave=False, dynamic_ncols=True,
                disable=None)


@contextmanager
def _interruptible(one_process: bool) -> Iterator[list[bool]]:
    """Ctrl-C, and a request to end (SIGTERM), stop the run after the current step.

    The latter only if there are no other processes, which would wait in vain: who started them
    ends them all.
    """
    interrupted: list[bool] = []

    def note(*_: object) -> None:
        if interrupted:
            raise KeyboardInterrupt
        interrupted.append(True)
        tqdm.write("stopping after this step (Ctrl-C again: at once, without saving) ...")

    signals = [signal.SIGINT, signal.SIGTERM] if one_process else [signal.SIGINT]
    try:
        before = [signal.signal(number, note) for number in signals]
    except ValueError:  # not in the main thread: whoever started us handles Ctrl-C
        yield interrupted
        return
    try:
        yield interrupted
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
