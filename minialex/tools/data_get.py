"""`minialex data get`: bring a public set to this machine."""

from __future__ import annotations

import argparse

from ..datasets import DataError, data_folder, find_set, get_set
from ..datasets.sets import look_up
from ..errors import InputError
from .arguments import add_data_dir
from .text import command, count, fetching, filled, say, width

__all__ = ["DESCRIPTION", "SUMMARY", "add_arguments", "run"]

SUMMARY = "download a data set, check it and unpack it"
DESCRIPTION = ("Download a data set from its home or a mirror, compare it with the published "
               "checksum, and unpack it. If the download is not possible, the message says which "
               "file to put where by hand; the same command then uses that file.")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="name of the set, as in minialex data list")
    add_data_dir(parser)


def run(options: argparse.Namespace) -> int:
    """Fetch one set, check and unpack it; say where it is and whom to cite."""
    known = look_up(options.name)
    there = find_set(options.name, options.data_dir)
    try:
        with fetching() as shown:
            folder = get_set(options.name, options.data_dir, **shown)
    except DataError as error:
        if all(download.addresses for download in known.downloads):
            raise
        folder = data_folder(options.data_dir) / known.name  # to be filled by hand
        raise InputError(f"{error}: {command('data', 'prepare', folder)}") from None
    images = ", ".join(f"{number:,} {split}" for split, number in known.images.items())
    say(f"{options.name} {'was there already' if there else 'is complete'}: {folder}")
    say(f"  {images} images in {count(known.classes, 'class')}; licence: {known.licence}")
    say(*filled(f"cite {known.citation}", width() - 1))
    if known.read is None:  # pictures in files
        say(f"  next: {command('data', 'prepare', folder)}")
    return 0
