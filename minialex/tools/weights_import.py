"""`minialex weights import`: a run from a file of weights."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import InputError
from ..files import text_lines
from ..training.folder import is_free
from ..weights import UnknownPixelsError, read_classifier
from . import trained
from .arguments import path
from .text import command, fact, say

__all__ = ["DESCRIPTION", "SUMMARY", "add_arguments", "run"]

SUMMARY = "make a run from a network in an ONNX file"
DESCRIPTION = ("Read AlexNet from an ONNX file, in Caffe's form or as minialex weights export "
               "writes it, and write it as the folder of a finished run. Needs the package onnx. "
               "The file does not say how pixels must be prepared, and does not name the classes. "
               "Without --like, pixels are prepared as for Caffe, and the classes are ImageNet's.")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=path, metavar="FILE.onnx")
    parser.add_argument("--out", type=path, metavar="RUN", required=True, help="where to write")
    parser.add_argument("--like", type=path, metavar="RUN|NAME",
                        help="take the classes and the preparation of pixels from this run, for "
                             "instance the one that was exported")
    parser.add_argument("--classes", type=path, metavar="FILE.txt",
                        help="names of the classes, one on each line, in the order of the outputs")


def run(options: argparse.Namespace) -> int:
    """Read the file, and write a run."""
    folder = Path(options.out)
    if not is_free(folder):
        raise InputError(f"{folder} is not empty; choose another --out")
    names = _names(Path(options.classes)) if options.classes else None
    like = trained.load_named("--like", options.like) if options.like else None
    try:
        classifier = read_classifier(options.file, like, names)
    except UnknownPixelsError as error:
        raise InputError(f"{error}, with --like") from None
    classifier.save(folder)
    prepared = classifier.preparation
    side, size = prepared.mean.shape[0], prepared.size
    fact("network", f"{classifier.config['model']}: "
                    f"{sum(p.size for p in classifier.net.parameters()):,} parameters")
    fact("classes", f"{len(classifier.classes):,}: {'; '.join(classifier.classes[:3])}; ...")
    fact("pictures", f"{'squeezed' if prepared.squeeze else 'cut'} to {side}x{side}, of which it "
                     f"sees {size}x{size}")
    say(f"wrote {folder}", "", f"  next: {command('predict', folder, 'PICTURE.jpg')}")
    return 0


def _names(file: Path) -> list[str]:
    try:
        return [line.rstrip("\r\n") for line in text_lines(file)]
    except (OSError, InputError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"--classes {file}: {reason}; give a file with one name in each "
                         "line") from None
