"""`minialex weights export`: the network of a run for other programs."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import InputError
from ..training import Classifier
from ..weights import is_bgr, write_onnx
from . import trained
from .arguments import path
from .text import fact, say

__all__ = ["DESCRIPTION", "SUMMARY", "add_arguments", "run"]

SUMMARY = "write the network of a run as an ONNX file"
DESCRIPTION = ("Write the network of a run as an ONNX file, which most other programs can read. "
               "The file holds one tower, with groups where the two columns do not exchange maps. "
               "Needs the package onnx. The file does not say how pixels must be prepared, so the "
               "command prints it.")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    trained.add_run(parser)
    parser.add_argument("file", type=path, metavar="FILE.onnx", help="where to write")


def run(options: argparse.Namespace) -> int:
    """Write the file, and say what to feed it with."""
    file = Path(options.file)
    if file.suffix.lower() != ".onnx":
        raise InputError(f"{file}: give a name that ends in .onnx")
    classifier = trained.load(options).classifier
    write_onnx(classifier.net, file)
    say(f"wrote {file}, {file.stat().st_size / 1e6:.1f} MB")
    fact("pixels", _pixels(classifier))
    fact("answers", f"prob, (N, {len(classifier.classes)}) float32: the probability of each class")
    return 0


def _pixels(classifier: Classifier) -> str:
    prepared, (_, _, channels) = classifier.preparation, classifier.preparation.mean.shape
    size, backwards = prepared.size, is_bgr(classifier.net)
    colours = ("brightness" if channels == 1 else
               "blue, green, red" if backwards else "red, green, blue")
    colour = prepared.mean[0, 0]
    mean = (f"the central {size}x{size} of the mean image, which is input.mean in "
            "model.safetensors of the run")
    if (prepared.mean == colour).all():
        mean = ", ".join(f"{value:g}" for value in colour[:: -1 if backwards else 1])
    times = f", and then times {prepared.scale:g}" if prepared.scale != 1 else ""
    return (f"data, (N, {channels}, {size}, {size}) float32: {colours}, from 0 to 255, less "
            f"{mean}{times}")
