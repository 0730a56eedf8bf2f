"""The arguments of `minialex train`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from ..models import MODELS
from ..training.recipe import RULES, check
from .arguments import add_data_dir, add_devices, path, whole

__all__ = ["DATA", "RECIPE", "add_arguments"]

DATA, RECIPE = "fashion-mnist", "run145"  # where no options are given


def add_arguments(parser: argparse.ArgumentParser) -> None:
    small, full = (next(info for info in MODELS.values() if info.photographs is photographs)
                   for photographs in (False, True))
    parser.add_argument("--model", choices=list(MODELS), metavar="NAME",
                        help=f"one of {', '.join(MODELS)}; {small.name}: two columns for "
                             f"{small.image_size}x{small.image_size} pixels, a quarter as wide as "
                             f"the paper's; {full.name}: the full network of {full.year} "
                             f"(default: {next(iter(MODELS))})")
    parser.add_argument("--data", type=path, metavar="NAME|FOLDER",
                        help=f"{DATA} (the default: 12,000 images that come with minialex); "
                             "another name from minialex data list; a folder that minialex data "
                             "prepare has made; or a folder of pictures, train/CLASS/*.jpg, with "
                             "val or test beside train")
    add_data_dir(parser)
    parser.add_argument("--out", type=path, metavar="FOLDER",
                        help="where to write the run (default: runs/TIME-MODEL-DATA)")
    parser.add_argument("--resume", type=path, metavar="FOLDER",
                        help="continue an interrupted run with its own settings, bit for bit. "
                             "--epochs and --steps may end it earlier or later. You may also "
                             "change --devices, --threads, --data, --data-dir, --parallel and the "
                             "number of processes")
    parser.add_argument("--start-from", type=path, metavar="RUN|NAME",
                        help="start from the weights of another run, or from public weights (see "
                             "minialex weights list). The network is the same, with a new last "
                             "layer if the classes are different")
    parser.add_argument("--freeze", metavar="LAYER",
                        help="with --start-from: this layer, and all layers below it, keep their "
                             "weights; for instance conv5 or fc6")
    parser.add_argument("--parallel", choices=("data", "hybrid"),
                        help="divide the work among the processes that mpiexec has started, as "
                             "in mpiexec -n 4 python -m mpi4py -m minialex train --parallel data. "
                             "data: each process has the whole network and takes its share of "
                             "every batch. hybrid: this holds for the convolutions only; each "
                             "process has a part of the units of the fully connected layers. "
                             "Each process uses GPUs of its own")
    parser.add_argument("--steps", type=whole(1), metavar="N",
                        help="end after this many steps, counted from the start of the run")
    parser.add_argument("--seed", type=whole(0), metavar="N",
                        help="seed of everything random: first weights, order of the images, "
                             "crops, colours and dropout (default: 0)")
    parser.add_argument("--explain", action="store_true",
                        help="print each setting of this run and where it comes from, and do not "
                             "train")
    add_devices(parser)
    _add_recipe(parser.add_argument_group("recipe", "The defaults of these settings depend on "
                                                    "the recipe, the model and the number of "
                                                    "images: see --explain."))


def _add_recipe(settings: argparse._ArgumentGroup) -> None:
    settings.add_argument("--recipe", choices=("run145", "paper"),
                          help="the settings that the authors ran, or those that they printed in "
                               f"the paper (default: {RECIPE})")
    settings.add_argument("--epochs", type=_setting("epochs", int), metavar="N",
                          help="passes over the training images")
    settings.add_argument("--batch", type=_setting("batch", int), metavar="N",
                          help="number of images in a step")
    settings.add_argument("--lr", type=_setting("lr", float), metavar="RATE",
                          help="learning rate at the start")
    falling = settings.add_mutually_exclusive_group()
    falling.add_argument("--falls", type=_setting("falls", _epochs), metavar="N,N,...",
                         help="divide the rate by ten after these epochs")
    falling.add_argument("--patience", type=_setting("patience", int), metavar="N",
                         help="divide the rate by ten when the validation error has not improved "
                              "for N epochs, at most three times (0: never)")
    settings.add_argument("--init", choices=("run145", "paper", "he"),
                          help="first weights: as in the authors' run, as in their paper, or as in "
                               "He et al. 2015, which is for narrow networks")
    settings.add_argument("--width", type=_setting("width", float), metavar="SHARE",
                          help="number of kernels as a share of the paper's")
    settings.add_argument("--mirror", type=_setting("mirror", float), metavar="CHANCE",
                          help="the chance that an image is mirrored; 0 for letters and digits")
    settings.add_argument("--noise", choices=("run145", "literal", "none"),
                          help="colour noise: as in the authors' run, as the paper prints it, or "
                               "none")
    settings.add_argument("--image-size", type=int, choices=(224, 227),
                          help="rows and columns of pixels that the full network sees: 227, or 224 "
                               "and 3 rows and columns of zeros")


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
