"""`minialex weights list`: which public weights there are, and where each lies."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from .. import weights
from .arguments import add_data_dir
from .text import command, say, say_json, table

__all__ = ["DESCRIPTION", "SUMMARY", "add_arguments", "run"]

SUMMARY = "show the weights that minialex knows, and which are on this machine"
DESCRIPTION = ("Show the trained networks that minialex knows by name: the errors of each, how "
               "large the download is, and where it is on this machine.")
NOTE = ("\nErrors in percent, as their authors measured them on the validation images of ImageNet, "
        "centre crop.")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data_dir(parser)
    parser.add_argument("--json", action="store_true",
                        help="print all that is known about each as JSON: addresses, checksum, "
                             "licence, citation, folder")


def run(options: argparse.Namespace) -> int:
    """Print the catalogue, and where each network lies."""
    found = {name: weights.find(name, options.data_dir) for name in weights.CATALOGUE}
    if options.json:
        say_json([{**asdict(known), "folder": found[name] and str(found[name])}
                  for name, known in weights.CATALOGUE.items()])
        return 0
    rows: list[tuple[str, ...]] = [("name", "classes", "top-1", "top-5", "download", "where")]
    rows += [(name, f"{known.classes:,}", *map(str, known.errors),
              f"{(known.download.size or 0) / 1e6:.1f} MB", str(found[name] or "-"))
             for name, known in weights.CATALOGUE.items()]
    say(*table(rows, left=(0, 5)).split("\n"), *NOTE.split("\n"))
    given = ["--data-dir", Path(options.data_dir)] if options.data_dir else []
    say("", "To bring one here:", f"  {command('weights', 'get', 'NAME', *given)}")
    return 0
