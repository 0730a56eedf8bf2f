"""Names and bars for a terminal."""

from __future__ import annotations

import sys
from typing import TextIO
from unicodedata import combining, east_asian_width

__all__ = ["bar", "columns", "cut", "printable", "say", "shows_blocks"]

EIGHTHS = " ▏▎▍▌▋▊▉█"


def columns(text: str) -> int:
    """How wide a terminal shows it: Chinese letters take two columns, accents none."""
    return sum(0 if combining(letter) else 2 if east_asian_width(letter) in "WF" else 1
               for letter in text)


def cut(text: str, width: int, ellipsis: str = "…") -> str:
    """The text in exactly `width` columns: filled with spaces, or cut."""
    if columns(text) > width:
        while columns(text + ellipsis) > width:
            text = text[:-1]
        text += ellipsis
    return text + " " * (width - columns(text))


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


def printable(text: str) -> str:
    """Names of files and folders may hold what is no letter: a "?" for each."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def say(text: str, stream: TextIO | None = None) -> None:
    """Print at once, with a "?" for each letter that the stream cannot show."""
    stream = stream or sys.stdout
    encoding = stream.encoding or "ascii"
    print(printable(text).encode(encoding, "replace").decode(encoding), file=stream, flush=True)
