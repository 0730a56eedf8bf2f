"""What an argument of a command may be, and a parser that says in one line what is wrong."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from ..errors import FileError
from ..files import check_writable
from .text import command, say

__all__ = ["Parser", "path", "picture_file", "whole"]

PICTURES = (".png", ".jpg", ".pdf", ".svg")
# What argparse says, and what minialex says.
PLAIN = {r"\Athe following arguments are required: (.+)": r"\1 is missing",
         r"\Aargument (.+?): expected (one|at least one) argument": r"\1: give a value",
         r"\Aargument (.+?): not allowed with argument": r"\1: not to be given with",
         r"\Aargument (.+?): ": r"\1 "}


class Parser(argparse.ArgumentParser):
    """One line for each mistake: what is wrong, what may be meant, and where the help is."""

    def error(self, message: str) -> NoReturn:
        word, known = "", []
        if found := re.match(r"unrecognized arguments: (\S+)", message):
            word = found[1].partition("=")[0]
            message = f"{word}: there is no such option" if word.startswith("-") else \
                f"{word}: one argument too many"
            known = re.findall(r"--[\w-]+", self.format_usage())
        elif found := re.match(r"argument (.+?): invalid choice: '?(.*?)'? \(choose from (.*)\)$",
                               message, re.DOTALL):
            word, known = found[2], re.findall(r"[\w-]+", found[3])
            message = f"{found[1]} {word}: use one of {', '.join(known)}"
        for theirs, ours in PLAIN.items():
            message = re.sub(theirs, ours, message)
        near = get_close_matches(word, known, 1)
        meant = f"did you mean {near[0]}? Help:" if near else "help:"
        say(f"minialex: {' '.join(message.split())}; {meant} "
            f"{command(*self.prog.split()[1:], '--help')}", sys.stderr)
        self.exit(2)


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """A whole number."""
    wanted = f"from {least} to {most:,}" if most else f"of at least {least}"

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(f"{text}: give a whole number {wanted}")
        return value

    return read


def path(text: str) -> str:
    """The name of a file or folder, which need not be there."""
    if not text.strip():
        raise argparse.ArgumentTypeError("'': give the name of a file or folder")
    return text


def picture_file(text: str) -> Path:
    """Where to draw a picture, checked before any time is spent."""
    target = Path(path(text))
    if target.suffix.lower() not in PICTURES:
        raise argparse.ArgumentTypeError(f"{text}: give a name that ends in "
                                         f"{', '.join(PICTURES)}, which is the format drawn")
    if target.is_dir() or not target.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: is a folder; add the name of a file"
                                         if target.is_dir() else
                                         f"{text}: there is no folder {target.parent}; make it")
    try:
        check_writable(target.parent)
    except FileError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return target
