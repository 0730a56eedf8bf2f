"""`minialex train`: a run from first weights to pictures, in a folder of its own."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from .. import __version__, backend, models
from ..datasets import Data
from ..errors import FileError, InputError
from ..nn import Module
from ..parallel import Communicator
from ..training import (
    CheckpointError,
    Classifier,
    DivergedError,
    Recipe,
    Run,
    explain,
    layers,
)
from ..training.folder import CONFIG, OtherImagesError, is_free
from . import devices, ranks, settings, trained
from .images import open_data
from .settings import Settings
from .show import Display, stopped_by_signals
from .text import command, fact, say

__all__ = ["DESCRIPTION", "SUMMARY", "add_arguments", "run"]

SUMMARY = "train a network and draw what it learnt"
DESCRIPTION = ("Train a network and write a folder with its log, weights and pictures. Without "
               "options: the small AlexNet on 10,000 pictures of clothes, 2 to 3 minutes on two "
               "cores. Ctrl-C stops a run, and --resume goes on with it; after a crash, at most "
               "ten minutes of it are repeated.")


class Job(NamedTuple):
    """What is to be trained, on what, and where."""

    settings: Settings  # as config.json has them
    recipe: Recipe
    data: Data
    devices: tuple[str, ...]
    why: str  # these devices
    folder: Path
    start: Classifier | None  # the trained network that it starts from


def add_arguments(parser: argparse.ArgumentParser) -> None:
    settings.add_arguments(parser)
    devices.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Train as the options say. Exit code 0, or 130 if it was interrupted and can be resumed."""
    group = ranks.connected(options.parallel)
    with group.together():
        job = (_resumed_job if options.resume else _new_job)(options, group)
        if job is None:
            return 0
        training = _begin(job, options, group)
        if options.parallel:
            ranks.compare(group, options.parallel, training)
        with _advice(training, job.folder), Display(training) as display, \
                stopped_by_signals(training, alone=group.size == 1):
            for event in training:
                display.show(event)
        if training.finished:
            names = (path.name for path in job.folder.iterdir() if path.name[0] != ".")
            say(f"wrote {', '.join(sorted(names))}")
            return 0
        say(f"\nstopped after step {training.progress.steps:,}; all is saved. Go on with:\n"
            f"  {command('train', '--resume', job.folder)}")
        return 130


def _begin(job: Job, options: argparse.Namespace, group: Communicator) -> Run:
    """Say what will be trained, and make it."""
    chosen, recipe, data = job.settings, job.recipe, job.data
    net = models.build(chosen.model, job.devices, len(data.train.classes), data.train.shape[2],
                       recipe.width, recipe.init, recipe.image_size, chosen.seed, recipe.norm)
    fact("network", f"{chosen.model}: {sum(p.size for p in net.parameters()):,} parameters")
    if chosen.start and job.start:
        fact("start", _of_start(chosen.start, net, recipe))
    fact("devices", f"{' and '.join(job.devices)}: {job.why}")
    if options.parallel:
        fact("ranks", f"{group.size}, {options.parallel} parallel")
    fact("data", str(data))
    fact("recipe", f"epochs {recipe.epochs}, batch {recipe.batch}, rate {recipe.lr:g}, ...; "
                   "--explain shows all and why")
    training = Run(net, data, recipe, chosen.seed, job.folder, steps=chosen.steps,
                   resume=bool(options.resume), start=job.start,
                   about={"version": __version__, **asdict(chosen)},
                   worker=ranks.worker(options.parallel, group))
    fact("steps", f"{training.steps_in_epoch:,} in an epoch, {training.steps_in_all:,} in all")
    fact("folder", str(job.folder))
    return training


def _of_start(name: str, net: Module, recipe: Recipe) -> str:
    """"cats: fc8 is new; frozen: conv1 to fc6"."""
    names = layers(net)
    facts = [f"{names[-1]} is new"] if recipe.last_lr != 1 else []
    facts += [f"{names[0]} to {recipe.frozen} are frozen"] if recipe.frozen else []
    return ": ".join([name, *(["; ".join(facts)] if facts else [])])


@contextmanager
def _advice(training: Run, folder: Path) -> Iterator[None]:
    """Add to errors of the run what to do about them on the command line."""
    go_on = command("train", "--resume", folder)
    try:
        yield
    except DivergedError as error:
        raise DivergedError(
            f"after step {training.progress.steps}: {error}. Start again with a lower --lr than "
            f"{training.recipe.lr:g}, and another --out") from None
    except OtherImagesError as error:
        raise InputError(f"--resume {error}, with --data") from None
    except BrokenPipeError:  # whoever reads what is printed has seen enough
        raise
    except OSError as error:
        begun = (folder / CONFIG).exists()
        raise FileError(f"{error}; then go on with: {go_on}" if begun else
                        f"{error}, with --out") from None
    except KeyboardInterrupt:
        say(f"\nGo on from the last checkpoint with:\n  {go_on}")
        raise


def _new_job(options: argparse.Namespace, group: Communicator) -> Job | None:
    """A new run; None if only its recipe is asked for."""
    names, why = ranks.choose_devices(options.devices, options.threads, group)
    start = (Classifier.load(trained.run_folder(options.start_from), names)
             if options.start_from else None)
    chosen = settings.new(options, names, start)
    data = open_data(chosen.data, chosen.model, chosen.data_dir)
    recipe, sources = settings.choose_recipe(options, chosen.model, data.train, start)
    if options.explain:
        say(f"recipe {options.recipe or settings.RECIPE} for {chosen.model} and "
            f"{len(data.train):,} images:\n\n{explain(recipe, sources)}")
        return None
    for images in {id(images): images for images in (data.val, data.test)}.values():
        images.measure()  # reads all pictures of a raw folder, so a broken one is found now
    stamp = time.strftime("%Y%m%d-%H%M%S")
    folder = Path(options.out or f"runs/{stamp}-{chosen.model}-{data.train.name}")
    if not is_free(folder):
        go_on = (f", or go on with the run in it: {command('train', '--resume', folder)}"
                 if (folder / CONFIG).exists() else "")
        raise InputError(f"{folder} is not empty; choose another --out{go_on}")
    return Job(chosen, recipe, data, chosen.devices, why, folder, start)


def _resumed_job(options: argparse.Namespace, group: Communicator) -> Job | None:
    """A run to go on with; None if it is finished."""
    folder = Path(options.resume)
    before = settings.stored(options)
    chosen, recipe = settings.with_new_end(options, *before)
    if settings.is_finished(folder, before, (chosen, recipe)):
        say(f"{folder}: this run is finished. To train longer, give it more epochs: "
            f"{command('train', '--resume', folder, '--epochs', 2 * recipe.epochs)}")
        return None
    wanted = options.devices or (None if options.parallel else ",".join(chosen.devices))
    try:
        names, why = ranks.choose_devices(wanted, options.threads or chosen.threads, group)
    except backend.DeviceError as error:
        raise backend.DeviceError(f"{error}; name those to go on with: --devices A,B") from None
    data = open_data(options.data or chosen.data, chosen.model,
                     options.data_dir or chosen.data_dir, of_run=not options.data)
    start = _start_of(folder, chosen.start, names) if chosen.start else None
    return Job(chosen, recipe, data, names[: len(chosen.devices)], why, folder, start)


def _start_of(folder: Path, name: str, names: tuple[str, ...]) -> Classifier:
    """With what a resumed run starts: what it has come to itself, if it has come to something."""
    for weights in ("last", "best"):
        with suppress(CheckpointError):
            return Classifier.load(folder, names, weights)
    return Classifier.load(trained.run_folder(name), names)
