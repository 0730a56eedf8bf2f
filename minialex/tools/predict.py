"""`minialex predict`: what a trained network sees in pictures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..datasets import DataError, pictures_in
from ..errors import InputError
from ..training import Classifier
from . import trained
from .arguments import path, picture_file, whole
from .text import bar, columns, cut, printable, say, say_json, shows_blocks, width

__all__ = ["DESCRIPTION", "SUMMARY", "add_arguments", "as_text", "run"]

SUMMARY = "say what a trained network sees in pictures"
DESCRIPTION = ("Print the best guesses of a trained network for each picture. A picture is "
               "prepared as in training: its shorter side is scaled, then the central square is "
               "cut out. A network that learnt from grey images gets only the brightness of a "
               "picture. The clothes of fashion-mnist are bright on black, so such a network may "
               "guess badly on photographs with a white background. If a picture cannot be read, "
               "the exit code is 2, and the other pictures still get their guesses.")
DRAWN = 40  # pictures in --plot, at most
NAMES = 32  # columns of the names of classes, at most


def add_arguments(parser: argparse.ArgumentParser) -> None:
    trained.add_arguments(parser)
    parser.add_argument("pictures", type=path, nargs="+", metavar="IMAGE",
                        help="a picture, or a folder; all pictures in a folder are used, also "
                             "those in the folders of classes inside it")
    parser.add_argument("--top", type=whole(1), default=5, metavar="N",
                        help="number of guesses (default: %(default)s)")
    parser.add_argument("--ten-view", action="store_true",
                        help="average over ten views of each picture, as in 2012, instead of using "
                             "only the centre")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--plot", type=picture_file, metavar="FILE.png",
                        help="draw the pictures (at most 40) beside their guesses; the ending of "
                             "the name (.png, .jpg, .pdf or .svg) chooses the format")


def run(options: argparse.Namespace) -> int:
    """Print the best guesses for each picture. Exit code 2 if one of them could not be read."""
    pictures = list(_pictures(options.pictures))
    if options.plot and options.plot.resolve() in {picture.resolve() for picture in pictures}:
        raise InputError(f"--plot {options.plot}: is one of the pictures; choose another name")
    source = trained.load(options)
    classifier = source.classifier
    answers: list[dict[str, Any]] = []
    seen: list[tuple[str, np.ndarray, np.ndarray]] = []  # name, picture, probabilities
    for picture in pictures:
        try:
            image = _read(classifier, picture)
        except (DataError, MemoryError) as error:
            reason = f"{picture}: too large for the memory"
            if isinstance(error, DataError):
                reason = str(error)
            answers.append({"picture": str(picture), "error": reason})
            say(f"minialex: {reason}", stream=sys.stderr)
            continue
        probabilities = classifier.predict([image], options.ten_view)[0]
        best = classifier.best(probabilities, options.top)
        answers.append({"picture": str(picture), "best": [
            {"class": name, "probability": share} for name, share in best]})
        if not options.json:
            say(*as_text(str(picture), best, classifier.classes).split("\n"))
        if options.plot and len(seen) < DRAWN:
            seen.append((picture.name, image, probabilities))
    if options.json:
        say_json({"run": str(source.folder), "weights": source.file,
                  "views": 10 if options.ten_view else 1, "pictures": answers})
    if seen:
        from . import plots  # Matplotlib is slow to import, and most calls need no picture

        names, images, guesses = zip(*seen, strict=True)
        plots.guesses(np.stack(images), names, np.stack(guesses), classifier.classes,
                      options.plot, options.top)
        # On the standard output, nothing may stand beside JSON.
        say(f"wrote {options.plot}, with {len(seen)} of {len(answers)} pictures",
            stream=sys.stderr if options.json else sys.stdout)
    return 2 if any("error" in answer for answer in answers) else 0


def _pictures(names: Iterable[str]) -> Iterator[Path]:
    """Files as they are, and the pictures in folders; a folder without any stays a folder."""
    for name in names:
        folder = Path(name)
        yield from (folder.is_dir() and pictures_in(folder)) or [folder]


def _read(classifier: Classifier, picture: Path) -> np.ndarray:
    if picture.is_dir():
        raise DataError(f"{picture}: no pictures in this folder; name one that has some")
    return classifier.read(picture)


def as_text(title: str, best: Sequence[tuple[str, float]], classes: Sequence[str]) -> str:
    """A title, and a line as wide as the terminal for each guess: name, probability, bar."""
    whole_line, blocks = width(), shows_blocks(sys.stdout)
    wide = min(NAMES, max(columns(printable(name)) for name in classes), max(8, whole_line - 16))
    room = max(0, whole_line - wide - len("    100.0%  "))
    lines = (f"  {cut(printable(name), wide, '…' if blocks else '...')}  {share:6.1%}  "
             f"{bar(share, room, blocks)}" for name, share in best)
    return "\n".join([printable(title), *map(str.rstrip, lines), ""])
