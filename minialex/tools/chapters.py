"""`minialex chapters`: the notebooks, the exercises and their checks, in a folder of one's own.

They come from notebooks/ and tests/exercises/ of a clone, or of what is installed (see setup.py).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from ..files import check_writable, replacing
from .arguments import path
from .text import module, pip, say

__all__ = ["DESCRIPTION", "SUMMARY", "add_arguments", "run"]

SUMMARY = "write the notebooks and exercises of the course into a folder"
DESCRIPTION = ("Write the fifteen notebooks, the exercises and their checks into a folder of your "
               "own. Files that already exist there are not changed, so your answers are safe. The "
               "same command brings back files that you have deleted.")

TESTS = "tests/exercises"
NOTEBOOKS = ("README.md", "[0-9][0-9]_*.ipynb", "*.py", "exercises/*.py", "exercises/hints/*.md",
             "exercises/solutions/*.py", "results/*/*.*")
LEFT_OUT = "execute.py"  # it makes notebooks of the text, which is not for learners
SETTINGS = "pytest.ini"  # so that `pytest -m ch05` works there


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=path, metavar="FOLDER",
                        help="where to write; it is made if it is missing")


def run(options: argparse.Namespace) -> int:
    """Write what is not there yet; say what is, and differs."""
    folder = check_writable(options.folder)
    written, kept = 0, []
    for name, content in _files():
        target = folder / name
        if os.path.lexists(target):
            if not target.is_file() or target.read_bytes() != content:
                kept.append(name)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as file:
            file.write(content)
        written += 1
    say(f"{folder}: {written} files written")
    for name in kept:
        say(f"  {name} was there and differs from ours: it stays as it is")
    ready = all(map(find_spec, ("jupyterlab", "pytest")))
    say("  next: " + (module("jupyter", "lab", str(folder)) if ready else
                      pip("install", "minialex[notebooks]")))
    return 0


def _files() -> Iterator[tuple[str, bytes]]:
    """The name of each file in the folder, and what it holds."""
    package = Path(__file__).resolve().parents[1]
    course = next(place for place in (package / "course", package.parent)
                  if (place / "notebooks").is_dir())
    for pattern in NOTEBOOKS:
        for file in sorted((course / "notebooks").glob(pattern)):
            if file.name != LEFT_OUT:
                yield file.relative_to(course / "notebooks").as_posix(), file.read_bytes()
    checks = sorted((course / TESTS).glob("*.py"))
    for file in checks:
        yield f"{TESTS}/{file.name}", file.read_bytes()
    chapters = [file.stem.removeprefix("test_") for file in checks if "test_" in file.name]
    markers = "".join(f"    {chapter}: its exercises\n" for chapter in chapters)
    yield SETTINGS, (f"[pytest]\ntestpaths = {TESTS}\npythonpath = .\n"
                     f"markers =\n{markers}").encode()
