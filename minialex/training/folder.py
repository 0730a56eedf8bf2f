"""The folder of a run: its settings, two logs, checkpoints, and the weights at the end."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FileError, InputError, UsageError
from ..files import LOCK, appending, check_writable, locked, replacing, sweep
from ..nn import Module
from ..optim import SGD
from .checkpoint import checkpoints, drop_old, load_newest, save_newest
from .events import EpochDone, Kept, Saved, StepDone
from .progress import Progress
from .stored import from_stored, has_type

__all__ = ["CONFIG", "LOG", "MEAN", "MODEL", "STEPS", "SUMMARY", "OtherImagesError",
           "RunFolder", "is_free"]

CONFIG, LOG, STEPS = "config.json", "log.jsonl", "steps.jsonl"
MODEL, SUMMARY = "model.safetensors", "summary.json"
MEAN = "input.mean"  # name of the mean image, beside the weights
KEYS = {  # of a line of each log; the first counts the lines
    LOG: ("epoch", "steps", "lr", "train_loss", "val_loss", "top1_error", "top5_error", "seconds",
          "waited"),
    STEPS: ("step", "epoch", "lr", "loss", "seconds", "waited")}
MOST_LINE = 4096  # bytes of a log; ours have less than 300
DIGITS = {"loss": 6, "seconds": 3, "waited": 3}

Entry = dict[str, Any]


class OtherImagesError(UsageError):
    """A run can only continue with the training images that it began with."""


class RunFolder:
    """The files of one run. Line i of log.jsonl is epoch i, and line i of steps.jsonl is step i.

    network_bytes: the size of all weights.
    """

    def __init__(self, path: str | os.PathLike[str], network_bytes: int) -> None:
        self.path, self.network_bytes, self.is_held = Path(path), network_bytes, False

    @contextmanager
    def held(self, new: bool) -> Iterator[None]:
        """Keep other processes out of the folder, and check that a run can be written there.

        Raises FileError if it cannot, and InputError if a new run finds other files there, or a
        resumed run finds none.
        """
        if not new and not self.has(CONFIG):
            raise InputError(f"{self.path}: there is no run in it; name the folder of one")
        with locked(self.path / LOCK, "choose another folder"):
            if new and not is_free(self.path):
                raise InputError(f"{self.path} is not empty; choose another folder, or resume the "
                                 "run in it, if there is one")
            check_writable(self.path, "choose another folder")
            self._check_room()
            sweep(self.path)
            self.is_held = True
            try:
                yield
            finally:
                self.is_held = False

    def _check_room(self) -> None:
        # Two checkpoints of weights and velocities, the best one, one that is being written; the
        # weights, and a few pictures. A resumed run has some of it already.
        there = sum(path.stat().st_size for path in self.path.glob("*.safetensors"))
        needed = 9 * self.network_bytes + 10 * 2**20 - there
        free = shutil.disk_usage(self.path).free
        if free < needed:
            raise FileError(f"{self.path}: {free / 2**20:,.0f} MiB are free on this disk, a run "
                            f"needs {needed / 2**20:,.0f} MiB; make room, or choose another folder")

    def go_back(self, net: Module, optimizer: SGD, progress: Progress,
                steps_in_epoch: int) -> Iterator[Kept]:
        """Bring network, optimizer, progress and logs to the state of the newest checkpoint.

        progress: of a new run on the same images. Yields the files that were damaged.
        Raises CheckpointError if none can be used, OtherImagesError if it is of other images.
        """
        def read(stored: Any) -> Progress:
            found = from_stored(Progress, stored)
            if not found.same_images(progress):
                raise OtherImagesError(f"{self.path}: these are not the training images of that "
                                       "run, or some were added or removed, or it started from a "
                                       "trained network; give its own")
            if not found.adds_up(steps_in_epoch):
                raise InputError("its counts of epochs, steps and images contradict each other")
            return found

        steps = self.path / STEPS
        # A run that was killed before its first checkpoint starts from the beginning.
        if checkpoints(self.path) or (steps.exists() and steps.stat().st_size):
            found, damaged = load_newest(self.path, net, optimizer, read)
            vars(progress).update(vars(found))
            yield from damaged
        drop_old(self.path)
        errors = progress.errors
        yield from self._cut_log(LOG, len(errors), lambda i: {
            "steps": i * steps_in_epoch, "top1_error": errors[i - 1]})
        yield from self._cut_log(STEPS, progress.steps, lambda i: {
            "epoch": 1 + (i - 1) // steps_in_epoch})

    def save(self, net: Module, optimizer: SGD, progress: Progress, best: bool,
             more: Mapping[str, np.ndarray]) -> Saved:
        """Save a checkpoint. The logs reach the disk first, so it counts no step that they lack."""
        if progress.steps:
            for name in LOG, STEPS:
                with appending(self.path / name) as file:
                    os.fsync(file.fileno())
        path = save_newest(self.path, net, optimizer, asdict(progress), best, more)
        return Saved(path, best)

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        with replacing(self.path / name) as file:
            file.write(f"{json.dumps(content, indent=2)}\n".encode())

    def has(self, name: str) -> bool:
        return (self.path / name).is_file()

    def remove(self, *names: str) -> None:
        for name in names:
            (self.path / name).unlink(missing_ok=True)

    def append(self, name: str, event: StepDone | EpochDone) -> None:
        """Add a line to a log."""
        entry = {key: getattr(event, key) for key in KEYS[name]}
        entry |= {key: round(entry[key], digits) for key, digits in DIGITS.items() if key in entry}
        with appending(self.path / name) as file:
            file.write(f"{json.dumps(entry)}\n".encode())

    def _cut_log(self, name: str, count: int, known: Callable[[int], Entry]) -> Iterator[Kept]:
        """Keep the first `count` lines. The steps of later ones will be made again.

        A line that is missing or damaged, or of another run, is written anew, with what is `known`
        about it and null for the rest. The damaged file is then kept beside the new one.
        """
        path, wrong = self.path / name, ""
        found = {number: line for line, entry in self._read(name)
                 if 1 <= (number := entry[KEYS[name][0]]) <= count
                 and known(number).items() <= entry.items()}
        for number in range(1, count + 1):
            if number not in found:
                wrong = wrong or (f"line {number} is missing or damaged; a new file has what "
                                  "the checkpoint knows")
                entry = {KEYS[name][0]: number, **known(number)}
                found[number] = json.dumps({key: entry.get(key) for key in KEYS[name]}).encode()
        kept = Path(f"{path}.damaged") if wrong and os.path.lexists(path) else None
        with replacing(path) as file:
            file.writelines(found[number] + b"\n" for number in range(1, count + 1))
            if kept:
                os.replace(path, kept)
        if wrong:
            yield Kept(path, kept, wrong)

    def entries(self, name: str) -> Iterator[Entry]:
        """A log, as it is read back for pictures."""
        return (entry for _, entry in self._read(name))

    def _read(self, name: str) -> Iterator[tuple[bytes, Entry]]:
        path = self.path / name
        if path.is_file():  # not a pipe, which would keep us waiting
            with open(path, "rb") as file:
                while len(line := file.readline(MOST_LINE)) not in (0, MOST_LINE):
                    line = line.rstrip(b"\r\n")
                    if (entry := _entry(name, line)) is not None:
                        yield line, entry


def is_free(folder: Path) -> bool:
    """Whether a new run may be written there."""
    # A run that was killed while it wrote its config.json has left no more than these.
    return not folder.is_dir() or all(path.suffix == ".part" or path.name == LOCK
                                      for path in folder.iterdir())


def _entry(name: str, line: bytes) -> Entry | None:
    """The line of a log, if it is one: numbers, or null, under its keys."""
    if not line.startswith(b"{"):  # before the slower look: there may be millions that are none
        return None
    try:
        entry = json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
    keys = KEYS[name]
    if not (isinstance(entry, dict) and tuple(entry) == keys and type(entry[keys[0]]) is int
            and has_type(list(entry.values()), list[float | None])):
        return None
    return entry
