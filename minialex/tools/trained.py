"""The network of a run, for the commands that use one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError
from ..training import CheckpointError, Classifier
from . import devices
from .arguments import path
from .text import command, say

__all__ = ["Trained", "add_arguments", "load"]

FINISHED, BEST = "model.safetensors", "best.safetensors"


class Trained(NamedTuple):
    """A network, and where it comes from.

    weights: "model" of a finished run, "best" or "last"; why: what is said of the devices.
    """

    classifier: Classifier
    folder: str
    weights: str
    why: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """RUN, --weights, and the devices."""
    parser.add_argument("folder", type=path, metavar="RUN",
                        help="the folder of a run: what minialex train wrote to --out")
    parser.add_argument("--weights", choices=("best", "last"),
                        help="those with the smallest error on the validation images, or the "
                             "newest (default: those at the end of a finished run, else the "
                             "newest)")
    devices.add_arguments(parser)


def load(options: argparse.Namespace) -> Trained:
    """What the options ask for. Of a run that is not finished the newest weights, and it says so.

    A file of weights stands for the run that it lies in.
    """
    names, why = devices.from_options(options)
    folder, weights = Path(options.folder), options.weights
    if folder.is_file():
        given, folder = folder, folder.parent
        weights = weights or {FINISHED: "model", BEST: "best", _newest(folder): "last"}.get(
            given.name)
        if weights is None:
            raise InputError(f"{given}: is not the file of weights that a run ends with; name "
                             f"the folder of the run: {folder}")
    if weights is None:
        unfinished = not (folder / FINISHED).is_file() and _newest(folder)
        weights = "last" if unfinished else "model"
    chosen = {} if weights == "model" else {"weights": weights}
    try:
        classifier = Classifier.load(folder, names, **chosen)
    except CheckpointError as error:
        if not (folder / "config.json").is_file():
            raise
        raise InputError(f"{error}; or go on with the run: "
                         f"{command('train', '--resume', folder)}") from error
    if weights == "last" and not options.weights:
        say(f"minialex: {folder}: this run is not finished; its newest weights are used",
            sys.stderr)
    return Trained(classifier, str(folder), weights, why)


def _newest(folder: Path) -> str:
    return max((path.name for path in folder.glob("checkpoint-*.safetensors")), default="")
