"""`minialex data list`: which public sets there are, and where each lies."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from ..datasets import SETS, data_folder, find_set
from ..datasets.sets.facts import PublicSet
from .arguments import add_data_dir
from .text import command, say, say_json, table, width

__all__ = ["DESCRIPTION", "SUMMARY", "add_arguments", "run"]

SUMMARY = "show the data sets that minialex knows, and which are on this machine"
DESCRIPTION = ("Show the data sets that minialex knows: what each holds, how large the download "
               "is, its licence, and where it is on this machine.")
LEFT = ("name", "pixels", "licence", "where")
NOTES = """
embedded: comes with minialex.
ImageNet is for research and teaching only."""
OF_PIXELS = "400+: pixels of the shorter side."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data_dir(parser)
    parser.add_argument("--json", action="store_true",
                        help="print all that is known about each set as JSON: splits, addresses, "
                             "checksums, citation, folder")


def run(options: argparse.Namespace) -> int:
    """Print the catalogue, and where each set lies."""
    found = {name: find_set(name, options.data_dir) for name in SETS}
    place = data_folder(options.data_dir)
    if options.json:
        say_json({"data_folder": str(place.absolute()),
                  "sets": [_as_json(SETS[name], found[name]) for name in SETS]})
        return 0
    rows: list[tuple[str, ...]] = [
        ("name", "images", "classes", "pixels", "download", "licence", "where")]
    rows += [(name, f"{sum(known.images.values()):,}", f"{known.classes:,}", known.pixels,
              _download(known), known.licence, _where(name, found[name], options.data_dir))
             for name, known in SETS.items()]
    for column in (5, 3):  # where there is no room, --json has them
        if max(map(len, table(rows).splitlines())) > width():
            rows = [(*row[:column], *row[column + 1:]) for row in rows]
    left = [column for column, name in enumerate(rows[0]) if name in LEFT]
    say(*table(rows, left).split("\n"))
    say(*NOTES.split("\n"), *OF_PIXELS.split("\n") * ("pixels" in rows[0]))
    given = ["--data-dir", Path(options.data_dir)] if options.data_dir else []
    say("", f"To bring a set to {place}:", f"  {command('data', 'get', 'NAME', *given)}")
    return 0


def _download(known: PublicSet) -> str:
    """The size of what is fetched, in decimal megabytes as browsers count them."""
    if known.embedded:
        return "-"
    if not known.downloads[0].addresses:
        return "by hand"
    return "-" if known.size is None else f"{known.size / 1e6:.1f} MB"


def _where(name: str, folder: Path | None, given: str | None) -> str:
    if folder is None:
        return "-"
    if SETS[name].embedded:
        return "embedded"
    if given is not None:
        return "--data-dir"
    return "./data" if folder.parent == Path("data") else "cache"


def _as_json(known: PublicSet, folder: Path | None) -> dict[str, object]:
    facts = asdict(known)
    del facts["read"]
    return {**facts, "images": dict(known.images),
            "folder": None if folder is None else str(folder.absolute())}
