"""`minialex predict`: what a trained network sees in pictures."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import backend
from ..datasets import DataError
from ..datasets.formats.picture import SUFFIXES
from ..errors import InputError
from ..training import Classifier
from .setup import choose_devices
from .text import bar, columns, cut, say, shows_blocks

__all__ = ["predict"]

DRAWN = 40  # pictures in --plot, at most
WIDTH, NAMES = 80, 32  # columns of the answers, and of the names of classes, at most


def predict(options: argparse.Namespace) -> int:
    """Print the best guesses for each picture. Exit code 2 if one of them could not be read."""
    if options.top < 1:
        raise InputError(f"--top {options.top}: give a whole number of at least 1")
    if options.threads is not None:
        backend.set_threads(options.threads)
    classifier = Classifier.load(options.folder, choose_devices(options.devices)[0])
    width = min(WIDTH, shutil.get_terminal_size().columns)  # 80 where there is no terminal
    wide = min(NAMES, max(map(columns, classifier.classes)), max(8, width - 16))
    answers: list[dict[str, Any]] = []
    seen: list[tuple[str, np.ndarray, np.ndarray]] = []  # name, picture, probabilities
    for path in _pictures(options.pictures):
        try:
            image = _read(classifier, path)
        except DataError as error:
            answers.append({"picture": str(path), "error": str(error)})
            say(f"minialex: {' '.join(str(error).split())}", sys.stderr)
            continue
        probabilities = classifier.predict([image], options.ten_view)[0]
        best = classifier.best(probabilities, options.top)
        answers.append({"picture": str(path), "best": [
            {"class": name, "probability": share} for name, share in best]})
        if not options.json:
            say(as_text(str(path), best, wide, width, shows_blocks(sys.stdout)))
        if options.plot and len(seen) < DRAWN:
            seen.append((path.name, image, probabilities))
    if options.json:
        print(json.dumps({"run": options.folder, "views": 10 if options.ten_view else 1,
                          "pictures": answers}, indent=2))
    if seen:
        from . import plots  # Matplotlib is slow to import, and most calls need no picture

        names, images, guesses = zip(*seen, strict=True)
        plots.guesses(np.stack(images), names, np.stack(guesses), classifier.classes,
                      Path(options.plot), options.top)
        # On the standard output, nothing may stand beside JSON.
        say(f"wrote {options.plot}, with {len(seen)} of {len(answers)} pictures",
            sys.stderr if options.json else sys.stdout)
    return 2 if any("error" in answer for answer in answers) else 0


def _pictures(names: Iterable[str]) -> Iterator[Path]:
    """Files as they are; of a folder the pictures in it, or, if there are none, the folder."""
    for name in names:
        path = Path(name)
        inside = sorted(p for p in path.glob("*") if p.suffix.lower() in SUFFIXES)
        yield from inside or [path]


def _read(classifier: Classifier, path: Path) -> np.ndarray:
    if path.is_dir():
        raise DataError(f"{path}: no pictures in this folder; they must end in "
                        f"{', '.join(SUFFIXES)}")
    return classifier.read(path)


def as_text(title: str, best: Sequence[tuple[str, float]], wide: int, width: int,
            blocks: bool) -> str:
    """A title, and a line of `width` columns for each guess: name (`wide`), probability, bar."""
    room = max(0, width - wide - len("    100.0%  "))
    lines = (f"  {cut(name, wide, '…' if blocks else '...')}  {share:6.1%}  "
             f"{bar(share, room, blocks)}" for name, share in best)
    return "\n".join([title, *map(str.rstrip, lines), ""])
