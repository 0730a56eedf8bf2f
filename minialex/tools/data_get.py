"""`minialex data get`: bring a public set to this machine."""

from __future__ import annotations

import argparse
import sys
import textwrap
from pathlib import Path

from ..datasets import DataError, data_folder, find_set, get_set
from ..datasets.sets import look_up
from ..errors import InputError
from .arguments import path
from .text import command, fetch_bar, say, width

__all__ = ["DESCRIPTION", "SUMMARY", "add_arguments", "run"]

SUMMARY = "fetch a set, check it and unpack it"
DESCRIPTION = ("Fetch a data set from its home or a mirror, compare it with the published checksum "
               "and unpack it. Where there is no network, the message says which file to put where "
               "by hand; the same command then takes it from there.")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="of the set, as in minialex data list")
    parser.add_argument("--data-dir", type=path, metavar="FOLDER",
                        help="the folder of all data sets (default: ./data if there is one, else "
                             "the user's cache)")


def run(options: argparse.Namespace) -> int:
    """Fetch one set, check and unpack it; say where it is and whom to cite."""
    known = look_up(options.name)
    there = find_set(options.name, options.data_dir)
    try:
        folder = _fetch(options)
    except DataError as error:
        if all(download.addresses for download in known.downloads):
            raise
        folder = data_folder(options.data_dir) / known.name  # to be filled by hand
        raise InputError(f"{error}: {command('data', 'prepare', folder)}") from None
    images = ", ".join(f"{count:,} {split}" for split, count in known.images.items())
    say(f"{options.name} {'was there already' if there else 'is complete'}: {folder}")
    say(f"  {images} images in {known.classes} classes; licence: {known.licence}")
    say(textwrap.fill(f"cite {known.citation}", width() - 1, initial_indent="  ",
                      subsequent_indent="  ", break_long_words=False, break_on_hyphens=False))
    if known.read is None:  # pictures in files
        say(f"  next: {command('data', 'prepare', folder)}")
    return 0


def _fetch(options: argparse.Namespace) -> Path:
    """The folder of the set; a bar for each file that is fetched."""
    with fetch_bar() as progress:
        return get_set(options.name, options.data_dir, progress=progress,
                       say=lambda line: say(f"  {line}", sys.stderr))
