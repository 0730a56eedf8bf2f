"""What an argument of a command may be, and a parser that says in one line what is wrong.

The arguments that several commands share are here; the others are in the file of their command.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from ..errors import FileError
from ..files import check_writable
from .text import command, say

__all__ = ["Parser", "add_data_dir", "add_devices", "add_threads", "path", "picture_file", "whole"]

PICTURES = (".png", ".jpg", ".pdf", ".svg")
MOST_THREADS, LONGEST = 1024, 4096  # LONGEST: letters of a path, on Linux
# What argparse says, and what minialex says.
PLAIN = {r"\Athe following arguments are required: (.+)": r"\1 is missing",
         r"\Aargument (.+?): expected (one|at least one) argument": r"\1: give a value",
         r"\Aargument (.+?): not allowed with argument": r"\1: not to be given with",
         r"\Aargument (.+?): invalid int value: '(.*)'": r"\1 \2: give a whole number",
         r"\Aargument (.+?): ": r"\1 "}


class Parser(argparse.ArgumentParser):
    """One line for each mistake: what is wrong, what may be meant, and where the help is."""

    typed: Sequence[str] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self.typed = sys.argv[1:] if args is None else args
        return super().parse_known_args(args, namespace)

    def _unknown_option(self) -> str:
        """The first word that was typed like an option, and is none, nor the beginning of one."""
        options = re.findall(r"--?[a-z][a-z-]*", self.format_usage())
        for word in itertools.takewhile(lambda word: word != "--", self.typed):
            name = word.partition("=")[0]
            if re.match("--?[^-0-9]", name) and not any(o.startswith(name) for o in options):
                return name
        return ""

    def error(self, message: str) -> NoReturn:
        word, known = "", []
        # argparse looks for what is missing first, which is often only called by a wrong name.
        if "required" in message and (unknown := self._unknown_option()):
            message = f"unrecognized arguments: {unknown}"
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
            f"{command(*self.prog.split()[1:], '--help')}", stream=sys.stderr)
        self.exit(2)


def add_devices(parser: argparse.ArgumentParser) -> None:
    """--devices and --threads."""
    parser.add_argument("--devices", metavar="A,B",
                        help="one device for each column, for instance gpu:0,gpu:1 or cpu:0,cpu:1 "
                             "(default: the best that this machine has)")
    add_threads(parser)


def add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=whole(1, MOST_THREADS), metavar="N",
                        help="number of threads on the CPU (default: all cores that this process "
                             "may use)")


def add_data_dir(parser: argparse.ArgumentParser,
                 default: str = "./data if there is one, else the user's cache") -> None:
    """--data-dir."""
    parser.add_argument("--data-dir", type=path, metavar="FOLDER",
                        help="where minialex data get and minialex weights get put what they "
                             f"download (default: {default})")


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
    if len(text) > LONGEST or any(len(os.fsencode(part)) > 255 for part in Path(text).parts):
        raise argparse.ArgumentTypeError(f"{text[:60]}...: no file can have a name as long")
    if "\0" in text:
        raise argparse.ArgumentTypeError(f"{text}: no file can have such a name")
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
