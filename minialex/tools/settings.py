"""The settings of a run: from options, or from the config.json of a run to go on with."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..datasets import ImageSet
from ..errors import InputError
from ..files import read_json
from ..models import MODELS, model_info
from ..training import CheckpointError, Classifier, Recipe, change, fine_tuning, suggest
from ..training.folder import CONFIG, MODEL, SUMMARY
from ..training.recipe import OLDER, RULES, check, lengthen
from ..training.stored import from_stored
from .arguments import path, whole

__all__ = ["Settings", "add_arguments", "choose_recipe", "is_finished", "new", "stored",
           "with_new_end"]

DATA, RECIPE = "fashion-mnist", "run145"  # where no options are given
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
            value = getattr(self, name)
            if value is not None and value < least:
                raise InputError(f"{name} is {value}; it must be a whole number of at least "
                                 f"{least}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """All but the devices and threads."""
    small, full = (next(info for info in MODELS.values() if info.photographs is photographs)
                   for photographs in (False, True))
    parser.add_argument("--model", choices=list(MODELS), metavar="NAME",
                        help=f"one of {', '.join(MODELS)}; {small.name}: two columns for "
                             f"{small.image_size}x{small.image_size} pixels, a quarter as wide as "
                             f"the paper's; {full.name}: the full network of {full.year} "
                             f"(default: {next(iter(MODELS))})")
    parser.add_argument("--data", type=path, metavar="NAME|FOLDER",
                        help=f"{DATA} (the default: 12,000 images that come with minialex), "
                             "another name from minialex data list, a folder that minialex data "
                             "prepare has made, or one of train/CLASS/*.jpg with val or test "
                             "beside train")
    parser.add_argument("--data-dir", type=path, metavar="FOLDER",
                        help="where minialex data get has put its sets (default: ./data, else the "
                             "user's cache)")
    parser.add_argument("--out", type=path, metavar="FOLDER",
                        help="where to write (default: runs/TIME-MODEL-DATA)")
    parser.add_argument("--resume", type=path, metavar="FOLDER",
                        help="go on with an interrupted run, bit for bit, with its settings; "
                             "--epochs or --steps end it earlier or later; --devices, --threads, "
                             "--data, --data-dir and --parallel may be new, and so may the number "
                             "of processes")
    parser.add_argument("--start-from", type=path, metavar="RUN|NAME",
                        help="start from the weights of another run, or from public ones (see "
                             "minialex weights list): the same network, with a new last layer if "
                             "the classes are others")
    parser.add_argument("--freeze", metavar="LAYER",
                        help="with --start-from: this layer and all below it keep their weights, "
                             "for instance conv5 or fc6")
    parser.add_argument("--parallel", choices=("data", "hybrid"),
                        help="share the work out among all processes that mpiexec has started, "
                             "as in mpiexec -n 4 python -m mpi4py -m minialex train --parallel "
                             "data. data: each has the whole network, and its share of every "
                             "batch; hybrid: its share for the convolutions, and its units of "
                             "the fully connected layers. Each takes GPUs of its own")
    parser.add_argument("--steps", type=whole(1), metavar="N", help="end after this many in all")
    parser.add_argument("--seed", type=whole(0), metavar="N",
                        help="of weights, order, crops, colours and dropout (default: 0)")
    parser.add_argument("--explain", action="store_true",
                        help="print each setting of this run and its source, and stop")
    _add_recipe(parser.add_argument_group("recipe", "Settings not given depend on --recipe, "
                                                    "--model and the number of images: see "
                                                    "--explain."))


def _add_recipe(settings: argparse._ArgumentGroup) -> None:
    settings.add_argument("--recipe", choices=("run145", "paper"),
                          help=f"as the authors ran it, or as they printed it (default: {RECIPE})")
    settings.add_argument("--epochs", type=_setting("epochs", int), metavar="N",
                          help="passes over the training images")
    settings.add_argument("--batch", type=_setting("batch", int), metavar="N",
                          help="images in a step")
    settings.add_argument("--lr", type=_setting("lr", float), metavar="RATE",
                          help="learning rate at the start")
    falling = settings.add_mutually_exclusive_group()
    falling.add_argument("--falls", type=_setting("falls", _epochs), metavar="N,N,...",
                         help="divide the rate by ten after these epochs")
    falling.add_argument("--patience", type=_setting("patience", int), metavar="N",
                         help="divide it when the validation error has not improved for N epochs, "
                              "at most three times (0: never)")
    settings.add_argument("--init", choices=("run145", "paper", "he"),
                          help="first weights: of the authors' run, of their paper, or by He et "
                               "al. 2015, for narrow networks")
    settings.add_argument("--width", type=_setting("width", float), metavar="SHARE",
                          help="share of the paper's kernels")
    settings.add_argument("--mirror", type=_setting("mirror", float), metavar="CHANCE",
                          help="of an image to be mirrored; 0 for letters and digits")
    settings.add_argument("--noise", choices=("run145", "literal", "none"),
                          help="of colours: as it was run, as the paper prints it, or none")
    settings.add_argument("--image-size", type=int, choices=(224, 227),
                          help="pixels that the full network sees: 227, or 224 and 3 zero rows and "
                               "columns")


def _setting(name: str, read: Callable[[str], Any]) -> Callable[[str], Any]:
    """A setting of a recipe, by the rule that holds for stored recipes as well."""
    def parse(text: str) -> Any:
        try:
            value = read(text)
            check(name, value)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text}: give {RULES[name][1]}") from None
        return value

    return parse


def _epochs(text: str) -> tuple[int, ...]:
    """"20,27" -> (20, 27)"""
    return tuple(sorted(int(number) for number in text.split(",")))


def new(options: argparse.Namespace, devices: tuple[str, ...],
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


def choose_recipe(options: argparse.Namespace, model: str, images: ImageSet,
                  start: Classifier | None) -> tuple[Recipe, dict[str, str]]:
    """What is suggested for the model and the data, changed by the options that were given."""
    name = options.recipe or RECIPE
    recipe, sources = (fine_tuning(start, images, name, options.freeze or "") if start else
                       suggest(model, len(images), name, images.mirrored))
    given = {name: getattr(options, name) for name in asdict(recipe)
             if getattr(options, name, None) is not None}
    return change(recipe, sources, **given)


def stored(options: argparse.Namespace) -> tuple[Settings, Recipe]:
    """Of the run to be resumed. Raises CheckpointError, naming file and field, if one is wrong."""
    new = [f"--{name.replace('_', '-')}" for name, value in vars(options).items()
           if name not in CHANGEABLE and value is not None and value is not False]
    if new:
        raise InputError(f"--resume {options.resume} goes on with the settings of that run; leave "
                         f"out {', '.join(new)}, or start a new run without --resume")
    path, imported = Path(options.resume, CONFIG), False
    try:
        config = read_json(path)
        if not isinstance(config, dict):
            raise InputError("it holds no named values")
        imported = "imported" in config
        recipe = config.pop("recipe", {})
        config.pop("version", None)
        return (from_stored(Settings, {"start": None, **config}),
                from_stored(Recipe, {**OLDER, **recipe}))
    except InputError as error:
        if imported:
            raise InputError(f"--resume {options.resume}: this network was imported, not trained "
                             f"here; start a new run from it: --start-from {options.resume}"
                             ) from None
        raise CheckpointError(f"--resume {options.resume}: {path} cannot be used ({error}); name "
                              "the folder of a run of this version that was interrupted") from None


def with_new_end(options: argparse.Namespace, settings: Settings,
                 recipe: Recipe) -> tuple[Settings, Recipe]:
    """The same, ending where the options say. New epochs take the place of a limit of steps."""
    if options.steps is not None or options.epochs is not None:
        settings = replace(settings, steps=options.steps)
    return settings, lengthen(recipe, options.epochs or recipe.epochs)


def is_finished(folder: Path, before: tuple[Settings, Recipe],
                now: tuple[Settings, Recipe]) -> bool:
    """Whether the run in a folder is at its end, and the new end is not later."""
    (epochs, steps), (new_epochs, new_steps) = (
        (recipe.epochs, settings.steps or math.inf) for settings, recipe in (before, now))
    complete = (folder / SUMMARY).is_file() and (folder / MODEL).is_file()
    return complete and new_epochs <= epochs and new_steps <= steps
