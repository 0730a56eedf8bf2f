"""`minialex weights get`: bring a trained network to this machine."""

from __future__ import annotations

import argparse

import numpy as np

from .. import datasets, weights
from ..errors import InputError
from ..training import CheckpointError, Classifier
from .arguments import add_data_dir
from .predict import as_text
from .text import command, fetching, filled, say, width

__all__ = ["DESCRIPTION", "SUMMARY", "add_arguments", "run"]

SUMMARY = "download a trained network, check it and make a run from it"
DESCRIPTION = ("Download a trained network from its home or a mirror, compare it with the "
               "published size and checksum, and write it as the folder of a finished run. Other "
               "commands can then use its name wherever they take a run. Needs the package onnx. "
               "If the download is not possible, the message says which file to put where by "
               "hand; the same command then uses that file.")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME",
                        help="name of the network, as in minialex weights list")
    add_data_dir(parser)


def run(options: argparse.Namespace) -> int:
    """Fetch, check, read, and let it look at one photograph; say what else to expect of it."""
    known = weights.look_up(options.name)
    there = weights.find(options.name, options.data_dir)
    with fetching() as shown:
        folder = weights.get(options.name, options.data_dir, **shown)
    try:
        classifier = Classifier.load(folder)
    except CheckpointError as error:
        raise InputError(f"{error}; or remove {folder}, and run the same command again") from None
    say(f"{options.name} {'was there already' if there else 'is complete'}: {folder}")
    say(f"  {sum(p.size for p in classifier.net.parameters()):,} parameters, "
        f"{len(classifier.classes):,} classes; licence: {known.licence}")
    say(*filled(f"cite {known.citation}", width() - 1))
    photographs = datasets.open("clothing-mini").test
    title = (f"a photograph that comes with minialex ({photographs.name}: "
             f"{photographs.classes[photographs.labels[0]]})")
    guesses = classifier.best(classifier.predict([*photographs.read(np.arange(1))])[0])
    say("", *as_text(title, guesses, classifier.classes).split("\n"))
    top1, top5 = known.errors
    say(*filled(f"So it works. On photographs of its {known.classes:,} classes, expect the right "
                f"name first {100 - top1:.0f} times in 100, and {100 - top5:.0f} times among the "
                "first five: a tabby cat that fills the picture is a tabby, a tiger cat or an "
                "Egyptian cat, with most of the bars. Small, even bars under every picture would "
                "mean that something is wrong.", width() - 1))
    name = folder if options.data_dir else options.name
    say("", f"  next: {command('predict', name, 'PICTURE.jpg')}")
    return 0
