"""The network of a run, for the commands that use one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from .. import weights
from ..errors import InputError
from ..files import read_json
from ..training import CheckpointError, Classifier
from .arguments import add_devices, path
from .devices import choose_devices
from .text import command, say

__all__ = ["Trained", "add_arguments", "add_run", "load", "load_named", "run_folder"]

FINISHED, BEST = "model.safetensors", "best.safetensors"


class Trained(NamedTuple):
    """A network, and where it comes from.

    file: of its weights; kind: "", or for unusual weights "best", or "last" of a run that
    is not finished; why: the reason for the devices.
    """

    classifier: Classifier
    folder: Path
    file: str
    kind: str
    why: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """RUN, --weights, and the devices."""
    add_run(parser)
    add_devices(parser)


def add_run(parser: argparse.ArgumentParser) -> None:
    """RUN and --weights."""
    parser.add_argument("folder", type=path, metavar="RUN",
                        help="the folder of a run, which minialex train wrote to --out; or a name "
                             "from minialex weights list")
    parser.add_argument("--weights", choices=("best", "last"),
                        help="best: the weights with the smallest error on the validation images; "
                             "last: those at the end of the run, or the newest if the run is not "
                             "finished (default: last)")


def run_folder(name: str) -> Path:
    """The folder of a run, or that in which public weights of this name lie."""
    if name not in weights.CATALOGUE:
        return Path(name)
    folder = weights.find(name)
    if folder is None:
        raise InputError(f"{name}: these weights are not here yet; bring them with: "
                         f"{command('weights', 'get', name)}")
    return folder


def load_named(option: str, name: str, names: Sequence[str] = ("cpu:0", "cpu:1")) -> Classifier:
    """The network that an option names; an error says which option it was."""
    try:
        return Classifier.load(run_folder(name), names)
    except InputError as error:
        raise InputError(f"{option} {error}") from None


def load(options: argparse.Namespace) -> Trained:
    """The network asked for. If the run is not finished: the newest weights, with a notice.

    A file of weights stands for its run.
    """
    names, why = (choose_devices(options.devices, options.threads) if "devices" in options else
                  (("cpu:0", "cpu:1"), ""))
    folder, which = run_folder(options.folder), options.weights or "last"
    if folder.is_file():
        if folder.suffix != ".safetensors":
            raise InputError(f"{folder}: holds no weights; name the folder of the run: "
                             f"{folder.parent}")
        which = "best" if folder.name == BEST else which
        folder = folder.parent
    try:
        classifier = Classifier.load(folder, names, which)
    except CheckpointError as error:
        try:
            resumable = "model" in read_json(folder / "config.json")
        except InputError:
            resumable = False
        if not resumable:
            raise
        raise InputError(f"{error}; or go on with the run: "
                         f"{command('train', '--resume', folder)}") from error
    file = classifier.path.name if classifier.path else ""
    kind = "" if file == FINISHED else which
    if kind == "last" and not options.weights:
        say(f"minialex: {folder}: this run is not finished; its newest weights are used, {file}",
            stream=sys.stderr)
    return Trained(classifier, folder, file, kind, why)
