"""`minialex train`: a run from first weights to pictures, in a folder of its own."""

from __future__ import annotations

import argparse
import json
import math
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from .. import __version__, backend, nn, ops, optim
from ..datasets import Batch, ImageSet, Preparation, batches
from ..tensor import no_grad
from ..training import (
    DivergedError,
    Evaluation,
    Recipe,
    StepSchedule,
    evaluate,
    load_checkpoint,
    save_checkpoint,
    suggest,
    train_steps,
)
from ..training.checkpoint import CheckpointError, replacing, save_arrays
from ..training.loop import first_bad_layer
from . import plots
from .setup import SIZES, build, choose_devices, load_data

__all__ = ["train"]

CHECKPOINT, LOG = "checkpoint.safetensors", "log.jsonl"


def train(options: argparse.Namespace) -> int:
    """Train as the options say. Exit code 0, or 130 if it was interrupted and can be resumed."""
    if options.resume:
        options = _settings_of(Path(options.resume), options)
    devices, why = choose_devices(options.devices)
    devices = devices[:1] if options.model == "lenet5" else devices  # it has no columns
    if options.threads is not None:
        backend.set_threads(options.threads)
    data, test = load_data(options.data, options.model)
    recipe = _recipe(options, len(data))
    _check(recipe, options)
    net = build(options.model, devices, len(data.classes), data.shape[2], recipe.width,
                recipe.init, options.seed)
    folder = _open_folder(options, data, net)
    print(f"network   {options.model}: {sum(p.size for p in net.parameters()):,} parameters")
    print(f"devices   {' and '.join(devices)}: {why}")
    print(f"data      {data.name}: {len(data):,} training and {len(test):,} test images, "
          f"{len(data.classes)} classes")
    print(f"folder    {folder}")
    preparation = Preparation(SIZES[options.model], data.mean_image(), recipe.scale)
    config = {"version": __version__, "model": options.model, "data": options.data,
              "devices": devices, "seed": options.seed, "steps": options.steps,
              "threads": options.threads, "recipe": asdict(recipe)}
    _write(folder / "config.json", json.dumps(config, indent=2))
    run = _Run(folder, net, recipe, data, test, preparation, options)
    if options.resume:
        run.progress = load_checkpoint(folder / CHECKPOINT, net, run.optimizer)
        print(f"resumed   after step {run.progress['steps']:,}")
    try:
        finished = run.train()
    except ArithmeticError as error:
        raise ArithmeticError(f"after step {run.progress['steps']}: {error}. The last good state "
                              f"is kept in {folder / CHECKPOINT}") from None
    if not finished:
        print(f"\nstopped after step {run.progress['steps']:,}; all is saved. Go on with:\n"
              f"  minialex train --resume {folder}")
        return 130
    run.finish(devices, config)
    return 0


class _Run:
    """The state of a run, and what it writes."""

    def __init__(self, folder: Path, net: nn.Module, recipe: Recipe, data: ImageSet,
                 test: ImageSet, preparation: Preparation, options: argparse.Namespace) -> None:
        self.folder, self.net, self.recipe = folder, net, recipe
        self.data, self.test, self.preparation = data, test, preparation
        self.seed, self.most_steps = options.seed, options.steps
        self.optimizer = optim.SGD(net.named_parameters(), recipe.lr, recipe.momentum,
                                   recipe.weight_decay)
        self.schedule = StepSchedule(self.optimizer, recipe.falls)
        self.result: Evaluation | None = None
        # All that a resumed run must know, besides weights, velocities and random states:
        # `number` batches of epoch `epoch` are done, with this sum of losses so far.
        self.progress: dict[str, Any] = {"epoch": 1, "number": 0, "steps": 0, "seconds": 0.0,
                                         "loss_sum": 0.0, "images": 0,
                                         "copies": None}

    def train(self) -> bool:
        """Train to the end; False if it was interrupted and saved before."""
        self.save()
        with _interruptible() as interrupted:
            while not self._last():
                done = self._epoch(interrupted)
                if interrupted and not (done and self._last()):
                    self.save()
                    return False
        return True

    def _last(self) -> bool:
        return self.progress["epoch"] > self.recipe.epochs or self._enough()

    def _enough(self) -> bool:
        return self.most_steps is not None and self.progress["steps"] >= self.most_steps

    def _epoch(self, interrupted: list[bool]) -> bool:
        """One epoch, or the rest of one, and its evaluation; False if it was interrupted."""
        state, recipe = self.progress, self.recipe
        epoch, began, before = state["epoch"], time.perf_counter(), state["seconds"]
        feed = batches(self.data, self.preparation, recipe.batch, seed=self.seed, epoch=epoch,
                       first=state["number"])
        total = -(-len(self.data) // recipe.batch)
        lr, fresh = self.optimizer.lr, 0  # images since this process began
        with _progress_bar(f"epoch {epoch}/{recipe.epochs}", total, state["number"]) as bar:
            for step in self._counted(train_steps(self.net, self.optimizer, feed)):
                state["number"] += 1
                state["steps"] += 1
                state["images"] += step.images
                fresh += step.images
                state["loss_sum"] += step.loss * step.images
                state["seconds"] = before + time.perf_counter() - began
                bar.set_postfix(
                    loss=f"{state['loss_sum'] / state['images']:.3f}",
                    images_per_s=f"{fresh / (time.perf_counter() - began):.0f}",
                    refresh=False)
                bar.update()
                if self._enough():
                    break
                if interrupted:
                    return False
        loss = state["loss_sum"] / max(state["images"], 1)
        result = self.result = evaluate(self.net, self._test_batches())
        if not math.isfinite(result.loss):  # the last step went wrong: this is no good state
            images = next(self._test_batches()).images
            raise DivergedError(f"the loss on the test images is {result.loss}: "
                                f"{first_bad_layer(self.net, images)}; lower the rate (--lr)")
        state["seconds"] = before + time.perf_counter() - began
        entry = {"epoch": epoch, "steps": state["steps"], "lr": lr, "train_loss": loss,
                 "test_loss": result.loss, "top1_error": result.top1_error,
                 "top5_error": result.top5_error, "seconds": round(state["seconds"], 3)}
        self._log(entry)
        print(f"epoch {epoch}/{recipe.epochs}: loss {loss:.3f}, test error top-1 "
              f"{result.top1_error:.2%}, top-5 {result.top5_error:.2%}, {state['seconds']:.0f} s")
        self.schedule.epoch_done(epoch)
        state.update(epoch=epoch + 1, number=0, loss_sum=0.0, images=0)
        self.save()
        return True

    def _counted(self, steps: Iterator) -> Iterator:
        """The same steps; the copies between devices in the first of the run are recorded."""
        if self.progress["copies"] is None:
            with backend.record_transfers() as log:
                first = next(steps)
            self.progress["copies"] = {"bytes": log.total_bytes,
                                       "table": log.table() if log else "none"}
            yield first
        yield from steps

    def _test_batches(self) -> Iterator[Batch]:
        return batches(self.test, self.preparation, self.recipe.batch)

    def _logged(self) -> list[dict[str, Any]]:
        path = self.folder / LOG
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def _log(self, entry: dict[str, Any]) -> None:
        """Add a line, after those of the epochs that count (a resumed epoch is written once)."""
        kept = [line for line in self._logged() if line["epoch"] < entry["epoch"]]
        _write(self.folder / LOG, "\n".join(map(json.dumps, [*kept, entry])))

    def save(self) -> None:
        save_checkpoint(self.folder / CHECKPOINT, self.net, self.optimizer, self.progress)

    def finish(self, devices: tuple[str, ...], config: dict[str, Any]) -> None:
        """Weights, pictures and summary."""
        state = self.progress
        result = self.result or evaluate(self.net, self._test_batches())
        print(f"\ncopies between devices in one step, batch {self.recipe.batch}:")
        print(state["copies"]["table"])
        save_arrays(self.folder / "model.safetensors",
                    {**self.net.state(), "input.mean": self.preparation.mean},
                    {**config, "classes": list(self.data.classes)})
        summary = {
            "top1_error": result.top1_error, "top5_error": result.top5_error,
            "seconds": round(state["seconds"], 1), "steps": state["steps"],
            "bytes_per_step": state["copies"]["bytes"],
            "parameters": sum(p.size for p in self.net.parameters()),
            "peak_memory": {name: backend.device(name).memory().peak for name in devices},
            "seed": self.seed}
        _write(self.folder / "summary.json", json.dumps(summary, indent=2))
        plots.curves(self._logged(), self.folder / "curves.png")
        plots.filters(self.net, self.folder / "filters.png")
        shown, guesses = self._guesses(12)
        plots.predictions(shown, guesses, self.test, self.folder / "predictions.png")
        print(f"\ntop-1 error {result.top1_error:.2%}, top-5 error {result.top5_error:.2%} on "
              f"{result.images:,} test images, after {state['steps']:,} steps "
              f"in {state['seconds']:.0f} s")
        print("wrote " + ", ".join(sorted(path.name for path in self.folder.iterdir())))

    def _guesses(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Some test images, evenly spread, and the probabilities of the classes."""
        chosen = np.linspace(0, len(self.test) - 1, min(count, len(self.test))).astype(np.int64)
        few = replace(self.test, labels=self.test.labels[chosen],
                      read=lambda indices: self.test.read(chosen[indices]))
        self.net.eval()
        images, _ = next(batches(few, self.preparation, len(chosen)))
        with no_grad():
            return chosen, ops.softmax(self.net(images)).numpy()


def _recipe(options: argparse.Namespace, images: int) -> Recipe:
    """What is suggested for the model, changed by the options that were given."""
    if getattr(options, "recipe", None):
        return options.recipe
    recipe = suggest(options.model, images)
    given = {name: getattr(options, name) for name in ("lr", "batch", "init", "width", "epochs")
             if getattr(options, name) is not None}
    if "epochs" in given:  # the rate falls at the same shares of the run
        given["falls"] = tuple(round(end * given["epochs"] / recipe.epochs) for end in recipe.falls)
    return replace(recipe, **given)


def _check(recipe: Recipe, options: argparse.Namespace) -> None:
    for name, value in (("epochs", recipe.epochs), ("batch", recipe.batch),
                        ("steps", options.steps)):
        if value is not None and value < 1:
            raise ValueError(f"--{name} {value}: give a whole number of at least 1")
    if options.seed < 0:
        raise ValueError(f"--seed {options.seed}: give a whole number of at least 0")
    if not recipe.lr > 0:
        raise ValueError(f"--lr {recipe.lr}: the rate must be more than 0")


def _settings_of(folder: Path, options: argparse.Namespace) -> argparse.Namespace:
    """The options of the run in `folder`; only devices and threads may be new."""
    new = [f"--{name}" for name in ("epochs", "steps", "batch", "lr", "init", "width", "out")
           if getattr(options, name) is not None]
    if new:
        raise ValueError(f"--resume {folder} goes on with the settings of that run; leave out "
                         f"{', '.join(new)}, or start a new run without --resume")
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text())
        stored = {name: config[name] for name in ("model", "data", "seed", "steps")}
        recipe = Recipe(**{**config["recipe"], "falls": tuple(config["recipe"]["falls"])})
        devices = options.devices or ",".join(config["devices"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(f"--resume {folder}: {path} cannot be used ({reason}); name the "
                              "folder of a run that was interrupted") from None
    return argparse.Namespace(**{**vars(options), **stored, "recipe": recipe, "devices": devices,
                                 "out": str(folder)})


def _open_folder(options: argparse.Namespace, data: ImageSet, net: nn.Module) -> Path:
    """Make the folder, and see that all can be written, before any time is spent."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    folder = Path(options.out or f"runs/{stamp}-{options.model}-{data.name}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not options.resume and any(folder.iterdir()):
            raise ValueError(f"{folder} is not empty; choose another --out, or go on with that "
                             f"run: minialex train --resume {folder}")
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"minialex")
    except OSError as error:
        raise OSError(f"{folder} cannot be written ({error.strerror}); "
                      "choose another --out") from None
    # Two checkpoints of weights and velocities (one is written before the other goes), the
    # weights, and a few pictures.
    needed = 5 * sum(p.data.nbytes for p in net.parameters()) + 10 * 2**20
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(f"{folder}: {free / 2**20:,.0f} MiB are free on this disk, a run needs "
                      f"{needed / 2**20:,.0f} MiB; make room or choose another --out")
    return folder


def _write(path: Path, text: str) -> None:
    with replacing(path) as file:
        file.write(f"{text}\n".encode())


def _progress_bar(name: str, total: int, done: int) -> tqdm:
    """On a terminal only: a log file gets the line at the end of each epoch."""
    return tqdm(total=total, initial=done, desc=name, unit="step", leave=False, dynamic_ncols=True,
                disable=None)


@contextmanager
def _interruptible() -> Iterator[list[bool]]:
    """Ctrl-C ends the run after the current step instead of in the middle of it."""
    interrupted: list[bool] = []

    def note(*_: object) -> None:
        if interrupted:
            raise KeyboardInterrupt
        interrupted.append(True)
        tqdm.write("stopping after this step (Ctrl-C again: at once, without saving) ...")

    try:
        before = signal.signal(signal.SIGINT, note)
    except ValueError:  # not in the main thread: whoever started us handles Ctrl-C
        yield interrupted
        return
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)
