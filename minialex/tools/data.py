"""`minialex data list` and `minialex data get`: which sets there are, and bringing one here."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from ..datasets import SETS, data_folder, find_set, get_set
from ..datasets.sets import look_up
from ..datasets.sets.facts import PublicSet

__all__ = ["data_get", "data_list"]

_NOTES = """
400+: of the shorter side. ImageNet's: for research and teaching, not for trade.
embedded: comes with minialex and needs no download."""
_ROW = "{:18}  {:>9}  {:>7}  {:6}  {:>8}  {:12}  {}"


def data_list(options: argparse.Namespace) -> int:
    """Print the catalogue, and where each set lies."""
    found = {name: find_set(name, options.data_dir) for name in SETS}
    place = data_folder(options.data_dir)
    if options.json:
        print(json.dumps({"data_folder": str(place.absolute()),
                          "sets": [_as_json(SETS[name], found[name]) for name in SETS]},
                         indent=2))
        return 0
    print(_ROW.format("name", "images", "classes", "pixels", "download", "licence", "where"))
    for name, known in SETS.items():
        print(_ROW.format(name, f"{sum(known.images.values()):,}", f"{known.classes:,}",
                          known.pixels, _download(known), known.licence,
                          _where(name, found[name], options.data_dir)).rstrip())
    print(_NOTES)
    print(f"\nminialex data get NAME brings a set to {_shown(place)}; --data-dir names another "
          "place.")
    return 0


def data_get(options: argparse.Namespace) -> int:
    """Fetch one set, check and unpack it; say where it is and whom to cite."""
    known = look_up(options.name)
    there = find_set(options.name, options.data_dir)
    with tqdm(leave=False, unit="B", unit_scale=True, dynamic_ncols=True, disable=None) as bar:
        shown = ""

        def progress(name: str, done: int, total: int | None) -> None:
            nonlocal shown
            if name != shown:
                shown = name
                bar.reset(total)
                bar.set_description(name[:26])
            bar.update(done - bar.n)

        folder = get_set(options.name, options.data_dir, say=_say, progress=progress)
    images = ", ".join(f"{count:,} {split}" for split, count in known.images.items())
    print(f"{options.name} {'was there already' if there else 'is complete'}: {folder}")
    print(f"  {images} images in {known.classes} classes; licence: {known.licence}")
    print(textwrap.fill(f"cite {known.citation}", 79, initial_indent="  ", subsequent_indent="  ",
                        break_long_words=False, break_on_hyphens=False))
    if "train" in known.holds:  # pictures in files
        print(f"  next: minialex data prepare {folder}")
    return 0


def _say(line: str) -> None:
    print(f"  {line}", file=sys.stderr, flush=True)


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


def _shown(place: Path) -> Path | str:
    return "./data" if place == Path("data") else place


def _as_json(known: PublicSet, folder: Path | None) -> dict[str, object]:
    facts = asdict(known)
    del facts["read"]
    return {**facts, "images": dict(known.images),
            "folder": None if folder is None else str(folder.absolute())}
