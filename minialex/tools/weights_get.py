"""`minialex weights get`: bring a trained network to this machine."""

from __future__ import annotations

import argparse
import sys
import textwrap

import numpy as np

from .. import datasets, weights
from ..errors import InputError
from ..training import CheckpointError, Classifier
from .arguments import path
from .predict import as_text
from .text import command, fetch_bar, say, width

__all__ = ["DESCRIPTION", "SUMMARY", "add_arguments", "run"]

SUMMARY = "fetch a trained network, check it and make a run of it"
DESCRIPTION = ("Fetch a trained network from its home or a mirror, compare it with the published "
               "size and checksum, read it, and write the folder of a finished run, which the "
               "other commands take by its name. Needs the package onnx. Where there is no "
               "network, the message says which file to put where by hand; the same command then "
               "takes it from there.")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="as in minialex weights list")
    parser.add_argument("--data-dir", type=path, metavar="FOLDER",
                        help="the folder of all data (default: ./data if there is one, else the "
                             "user's cache)")


def run(options: argparse.Namespace) -> int:
    """Fetch, check, read, and let it look at one photograph; say what else to expect of it."""
    known = weights.look_up(options.name)
    there = weights.find(options.name, options.data_dir)
    with fetch_bar() as progress:
        folder = weights.get(options.name, options.data_dir, progress=progress,
                             say=lambda line: say(f"  {line}", sys.stderr))
    try:
        classifier = Classifier.load(folder)
    except CheckpointError as error:
        raise InputError(f"{error}; or remove {folder}, and run the same command again") from None
    say(f"{options.name} {'was there already' if there else 'is complete'}: {folder}")
    say(f"  {sum(p.size for p in classifier.net.parameters()):,} parameters, "
        f"{len(classifier.classes):,} classes; licence: {known.licence}")
    say(_filled(f"cite {known.citation}"))
    photographs = datasets.open("clothing-mini").test
    say(f"\n{as_text(_title(photographs), _guesses(classifier, photographs), classifier.classes)}")
    top1, top5 = known.errors
    say(_filled(f"So it works. On photographs of its {known.classes:,} classes, expect the right "
                f"name first {100 - top1:.0f} times in 100, and {100 - top5:.0f} times among the "
                "first five: a tabby cat that fills the picture is a tabby, a tiger cat or an "
                "Egyptian cat, with most of the bars. Small, even bars under every picture would "
                "mean that something is wrong."))
    name = folder if options.data_dir else options.name
    say(f"\n  next: {command('predict', name, 'PICTURE.jpg')}")
    return 0


def _title(photographs: datasets.ImageSet) -> str:
    return (f"a photograph that comes with minialex ({photographs.name}: "
            f"{photographs.classes[photographs.labels[0]]})")


def _guesses(classifier: Classifier, photographs: datasets.ImageSet) -> list[tuple[str, float]]:
    image = photographs.read(np.arange(1))
    return classifier.best(classifier.predict([*image])[0])


def _filled(text: str) -> str:
    return textwrap.fill(text, width() - 1, initial_indent="  ", subsequent_indent="  ",
                         break_long_words=False, break_on_hyphens=False)
