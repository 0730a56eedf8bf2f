"""What goes to the terminal. All of it passes through `say`, which filters it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO
from unicodedata import combining, east_asian_width

__all__ = ["bar", "columns", "command", "count", "cut", "fact", "fetching", "filled", "module",
           "pip", "printable", "progress_bar", "say", "say_json", "shows_blocks", "table", "width"]

EIGHTHS = " ▏▎▍▌▋▊▉█"
NO_TERMINAL = 10_000  # columns of a file


def say(*lines: str, stream: TextIO | None = None) -> None:
    """Print each of these in one line, at once, and never fail over a letter.

    Names of files and classes, and what a server answers, may hold anything. What would begin a
    line becomes a space; what would steer the terminal or change the order of letters, a "?", and
    so do letters that the encoding of the stream lacks.
    """
    stream = stream or sys.stdout
    text = "\n".join(map(printable, lines or [""]))
    print(_encodable(text, stream), file=stream, flush=True)


def say_json(value: object) -> None:
    """Print it as one JSON document."""
    say(*json.dumps(value, indent=2).split("\n"))


def _encodable(text: str, stream: TextIO) -> str:
    encoding = stream.encoding or "utf-8"  # a stream without one keeps all letters
    return text.encode(encoding, "replace").decode(encoding)


def fact(label: str, text: str) -> None:
    """A line that begins with its label; on a narrow terminal it goes on below itself.

    Not for commands: they must stay in one line, to be pasted.
    """
    say(*filled(text, width(NO_TERMINAL), f"{label:10}"))


def filled(text: str, columns: int, begin: str = "  ") -> list[str]:
    """The text in lines of at most so many columns, which go on below the end of `begin`."""
    return textwrap.wrap(text, columns, initial_indent=begin, subsequent_indent=" " * len(begin),
                         break_long_words=False, break_on_hyphens=False)


def count(number: int, thing: str) -> str:
    """"1 step", "2 steps", "1,000 classes"."""
    return f"{number:,} {thing}" + ("" if number == 1 else "es" if thing[-1] == "s" else "s")


def printable(name: str) -> str:
    """The name in one line: a space for any white space, a "?" for what cannot be printed."""
    return "".join(letter if letter.isprintable() else " " if letter.isspace() else "?"
                   for letter in name)


def command(*arguments: object, processes: int = 1) -> str:
    """The line that runs minialex with these arguments, to be pasted where this one was typed.

    Pass files and folders as Path. processes: how many mpiexec starts.
    """
    words = _started_as()
    if processes > 1:
        if words[1:2] != ["-m"]:
            words = [sys.executable, "-m", "minialex"]
        python = words[0]
        beside = Path(python).with_name("mpiexec")  # of this environment, if it has one
        mpiexec = str(beside) if os.sep in python and beside.exists() else "mpiexec"
        words = [mpiexec, "-n", str(processes), python, "-m", "mpi4py", "-m", "minialex"]
    return _quoted([*words, *map(_typed, arguments)])


def _typed(argument: object) -> str:
    """A file called -x is typed as ./-x, so that it is not taken for an option."""
    word = str(argument)
    is_option = re.match("--[a-z]", word) and not isinstance(argument, Path)
    return f"./{word}" if word.startswith("-") and not is_option else word


def module(name: str, *arguments: str) -> str:
    """The line that runs a module, say jupyter, with the Python that is running."""
    return _quoted([sys.executable, "-m", name, *arguments])


def pip(*arguments: str) -> str:
    """The line that runs pip for the Python that is running."""
    return module("pip", *arguments)


def _quoted(words: list[str]) -> str:
    return subprocess.list2cmdline(words) if os.name == "nt" else " ".join(map(_quoted_word, words))


def _quoted_word(word: str) -> str:
    """For a shell. Letters that `say` could not print stand as their bytes: $'\\xc3\\xbc'."""
    if _encodable(printable(word), sys.stdout) == word:
        return shlex.quote(word)
    letters = (chr(byte) if 32 <= byte < 127 and byte not in b"'\\" else f"\\x{byte:02x}"
               for byte in os.fsencode(word))
    return f"$'{''.join(letters)}'"


def _started_as() -> list[str]:
    """How this process was started, without its arguments: ["python", "-m", "minialex"]."""
    program = Path(sys.argv[0])
    if program.stem == "minialex":
        found = shutil.which("minialex")
        return ["minialex" if found and Path(found) == program.absolute() else sys.argv[0]]
    if program.parts[-2:] == ("minialex", "__main__.py"):
        return [sys.orig_argv[0], "-m", "minialex"]
    return [sys.executable, "-m", "minialex"]  # called from Python


def width(most: int = 80) -> int:
    """The columns of the terminal, at least 20; or `most` if it has more or there is none."""
    return max(20, min(most, shutil.get_terminal_size((most, 24)).columns))


def columns(text: str) -> int:
    """How wide a terminal shows it: Chinese letters take two columns, accents none."""
    return sum(0 if combining(letter) else 2 if east_asian_width(letter) in "WF" else 1
               for letter in text)


def cut(text: str, width: int, ellipsis: str = "…") -> str:
    """The text in exactly `width` columns: filled with spaces, or cut."""
    if columns(text) > width:
        text = text[: 4 * width]  # with as many accents as any language has
        while columns(text + ellipsis) > width:
            text = text[:-1]
        text += ellipsis
    return text + " " * (width - columns(text))


def table(rows: Sequence[Sequence[object]], left: Collection[int] = (0,)) -> str:
    """Rows of cells as text: columns two spaces apart, each as wide as its widest cell.

    left: the numbers of the columns that begin at the left; numbers stand at the right.
    """
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    wide = [max(map(columns, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cut(cell, wide[i]) if i in left else cell.rjust(wide[i])
                       for i, cell in enumerate(row)) for row in cells]
    return "\n".join(map(str.rstrip, lines))


def bar(share: float, width: int, blocks: bool) -> str:
    """A share, in [0, 1], of `width` columns: in eighths of a block, or in number signs."""
    if not blocks:
        return "#" * round(share * width)
    full, eighths = divmod(round(share * width * 8), 8)
    return EIGHTHS[8] * full + EIGHTHS[eighths].strip()


def shows_blocks(stream: TextIO) -> bool:
    """Whether it is a terminal whose encoding has the letters of bars."""
    try:
        (EIGHTHS + "…").encode(stream.encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return stream.isatty()


def progress_bar(name: str, total: int | None, unit: str, done: int = 0, **options: Any) -> Any:
    """tqdm's, on standard error, and on a terminal only; it goes away when it is closed."""
    from tqdm import tqdm

    return tqdm(total=total, initial=done, desc=name, unit=unit, unit_scale=unit == "B",
                leave=False, dynamic_ncols=True, disable=None, **options)


@contextmanager
def fetching() -> Iterator[dict[str, Any]]:
    """What a function that fetches files takes: a bar for each of them, and lines of news."""
    shown = ""
    with progress_bar(shown, None, "B") as bar:
        def progress(name: str, done: int, total: int | None) -> None:
            nonlocal shown
            if name != shown:
                shown = name
                bar.reset(total)
                bar.set_description(name)
            bar.update(done - bar.n)

        yield {"progress": progress, "say": lambda line: say(f"  {line}", stream=sys.stderr)}
