"""What is to be trained: a new run as the options say, or one to go on with."""

from __future__ import annotations

import argparse
import math
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

from .. import backend
from ..datasets import Data
from ..errors import InputError
from ..files import read_json
from ..models import MODELS, model_info
from ..parallel import Communicator
from ..training import CheckpointError, Classifier, Recipe, change, explain, fine_tuning, suggest
from ..training.folder import CONFIG, MODEL, SUMMARY, is_free
from ..training.recipe import OLDER, lengthen
from ..training.stored import from_stored, short
from . import trained
from .arguments import MOST_THREADS
from .devices import choose_devices
from .images import open_data
from .text import command, say
from .train_arguments import DATA, RECIPE

__all__ = ["Job", "Settings", "new_job", "resumed_job"]

# A resumed run keeps all its other settings.
CHANGEABLE = {"data", "data_dir", "debug", "devices", "epochs", "parallel", "parser", "resume",
              "run", "steps", "threads"}


@dataclass(frozen=True)
class Settings:
    """What config.json says about a run, besides its recipe."""

    model: str
    data: str
    data_dir: str | None
    devices: tuple[str, ...]
    threads: int | None
    seed: int
    steps: int | None
    start: str | None  # the run, or the public weights, that it starts from

    def __post_init__(self) -> None:
        model_info(self.model)
        for name, least in ("threads", 1), ("seed", 0), ("steps", 1):
            value, most = getattr(self, name), MOST_THREADS if name == "threads" else math.inf
            if value is not None and not least <= value <= most:
                raise InputError(f"{name} is {short(value)}; it must be a whole number from "
                                 f"{least} to {most:,}")


class Job(NamedTuple):
    """What is to be trained, on what, and where."""

    settings: Settings  # as config.json has them
    recipe: Recipe
    data: Data
    devices: tuple[str, ...]
    why: str  # these devices
    folder: Path
    start: Classifier | None  # the trained network that it starts from


def new_job(options: argparse.Namespace, group: Communicator) -> Job | None:
    """A new run; None if only its recipe is asked for."""
    names, why = choose_devices(options.devices, options.threads, group)
    start = (trained.load_named("--start-from", options.start_from, names)
             if options.start_from else None)
    chosen = _chosen(options, names, start)
    data = open_data(chosen.data, chosen.model, chosen.data_dir)
    name = options.recipe or RECIPE
    recipe, sources = (fine_tuning(start, data.train, name, options.freeze or "") if start else
                       suggest(chosen.model, len(data.train), name, data.train.mirrored))
    given = {setting: getattr(options, setting) for setting in asdict(recipe)
             if getattr(options, setting, None) is not None}
    recipe, sources = change(recipe, sources, **given)
    if options.explain:
        say(f"recipe {name} for {chosen.model} and {len(data.train):,} images:", "",
            *explain(recipe, sources).split("\n"))
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


def _chosen(options: argparse.Namespace, devices: tuple[str, ...],
            start: Classifier | None) -> Settings:
    """Of a new run. Options not given are what a beginner wants, or those of `start`."""
    model = start.config["model"] if start else options.model or next(iter(MODELS))
    info = model_info(model)
    if options.freeze and not start:
        raise InputError(f"--freeze {options.freeze}: first weights must learn; give a run that "
                         "has learnt: --start-from RUN")
    if options.model not in (None, model):
        raise InputError(f"--model {options.model}: {options.start_from} is of {model}; leave "
                         "--model out")
    for name in "init", "width", "image_size":
        value = getattr(options, name)
        if value is not None and start:
            raise InputError(f"--{name.replace('_', '-')} {value}: the network has that of "
                             f"{options.start_from}; leave it out")
        if value is not None and name not in info.options:
            raise InputError(f"--{name.replace('_', '-')} {value}: it is always "
                             f"{getattr(info, name)} for --model {model}; leave it out")
    return Settings(model, options.data or DATA, options.data_dir, devices[: info.columns],
                    options.threads, options.seed or 0, options.steps, options.start_from)


def resumed_job(options: argparse.Namespace, group: Communicator) -> Job | None:
    """A run to go on with, ending where the options say; None if it is finished already."""
    folder = Path(options.resume)
    chosen, recipe = _stored(options)
    epochs, steps = recipe.epochs, chosen.steps
    if options.steps or options.epochs:  # new epochs take the place of a limit of steps
        chosen = replace(chosen, steps=options.steps)
    recipe = lengthen(recipe, options.epochs or epochs)
    finished = (all((folder / name).is_file() for name in (SUMMARY, MODEL))
                and recipe.epochs <= epochs
                and (chosen.steps or math.inf) <= (steps or math.inf))
    group.compare({f"finished {folder}": finished})
    if finished:
        say(f"{folder}: this run is finished. To train longer, give it more epochs: "
            f"{command('train', '--resume', folder, '--epochs', 2 * recipe.epochs)}")
        return None
    wanted = options.devices or (None if options.parallel else ",".join(chosen.devices))
    try:
        names, why = choose_devices(wanted, options.threads or chosen.threads, group)
    except backend.DeviceError as error:
        raise backend.DeviceError(f"{error}; name those to go on with: --devices A,B") from None
    data = open_data(options.data or chosen.data, chosen.model,
                     options.data_dir or chosen.data_dir, of_run=not options.data)
    start = _start_of(folder, chosen.start, names) if chosen.start else None
    return Job(chosen, recipe, data, names[: len(chosen.devices)], why, folder, start)


def _stored(options: argparse.Namespace) -> tuple[Settings, Recipe]:
    """Of the run to be resumed. Raises CheckpointError, naming file and field, if one is wrong."""
    new = [f"--{name.replace('_', '-')}" for name, value in vars(options).items()
           if name not in CHANGEABLE and value is not None and value is not False]
    if new:
        raise InputError(f"--resume {options.resume} goes on with the settings of that run; leave "
                         f"out {', '.join(new)}, or start a new run without --resume")
    path, imported = Path(options.resume, CONFIG), False
    try:
        config = read_json(path)
        imported = "imported" in config
        recipe = config.pop("recipe", {})
        config.pop("version", None)
        if isinstance(recipe, dict):
            recipe = {**OLDER, **recipe}
        return (from_stored(Settings, {"start": None, **config}),
                from_stored(Recipe, recipe))
    except InputError as error:
        if imported:
            raise InputError(f"--resume {options.resume}: this network was imported, not trained "
                             f"here; start a new run from it: --start-from {options.resume}"
                             ) from None
        raise CheckpointError(f"--resume {options.resume}: {path} cannot be used ({error}); name "
                              "the folder of a run of this version that was interrupted") from None


def _start_of(folder: Path, name: str, names: tuple[str, ...]) -> Classifier:
    """With what a resumed run starts: what it has come to itself, if it has come to something."""
    for weights in ("last", "best"):
        with suppress(CheckpointError):
            return Classifier.load(folder, names, weights)
    return trained.load_named("--start-from", name, names)
