"""`minialex COMMAND`: which commands there are, and how each ends."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module

from .. import __version__
from ..errors import MinialexError
from .arguments import Parser
from .text import command, say

__all__ = ["COMMANDS", "main", "make_parser"]

# `data list` is data_list.py, which has SUMMARY, DESCRIPTION, add_arguments and run.
COMMANDS = ("train", "evaluate", "predict", "data list", "data get", "data prepare",
            "weights list", "weights get", "weights import", "weights export", "bench", "chapters",
            "doctor")
GROUPS = {"data": "list, download and prepare data sets",
          "weights": "list, download, import and export trained networks"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command -> its exit code.

    0: done. 2: a mistake, explained in one line. 1: a fault of minialex, with its traceback; or
    one that the doctor has found. 130: interrupted. 141: the reader of the output has gone.
    """
    options = argparse.Namespace(debug=False)
    try:
        with _told_of_ctrl_c(), warnings.catch_warnings():
            # NumPy's, where numbers overflow: a run that diverges says so itself, and only once.
            warnings.filterwarnings("ignore", ".* encountered in ", RuntimeWarning)
            # Pillow's, which name its own files; a picture that cannot be used is named by us.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            _read(arguments, options)
            return options.run(options)
    except KeyboardInterrupt:
        say("minialex: interrupted", stream=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read the output, say `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (MinialexError, OSError, MemoryError) as error:
        if options.debug:
            say(*traceback.format_exc().split("\n"), stream=sys.stderr)
        say(f"minialex: {_in_one_line(error)}", stream=sys.stderr)
        return 2
    except Exception:
        say(*traceback.format_exc().split("\n"),
            "minialex: this is a fault of minialex, not yours. Please report it with the lines "
            "above, the command that you gave, and what this prints: "
            f"{command('doctor')}", stream=sys.stderr)
        return 1


@contextmanager
def _told_of_ctrl_c() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt only in here, where minialex/__init__.py found the command.

    Before and after it ends the process in silence: there is nothing yet, or no more, to tidy up.
    """
    found = signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    if found:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if found:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


def make_parser() -> Parser:
    """The parser of all commands. Parsed options have the `run` and the `parser` of the command."""
    parser = Parser(prog="minialex",
                    description="Train the AlexNet of 2012, small or full, on one or two devices.")
    parser.add_argument("--version", action="version", version=f"minialex {__version__}")
    groups = {"": parser.add_subparsers(title="commands", required=True, metavar="COMMAND")}
    for name in COMMANDS:
        module = import_module(f".{name.replace(' ', '_')}", __package__)
        group, _, last = name.rpartition(" ")
        if group not in groups:
            of_group = groups[""].add_parser(group, help=GROUPS[group], description=GROUPS[group])
            groups[group] = of_group.add_subparsers(title="commands", required=True,
                                                    metavar="COMMAND")
        one = groups[group].add_parser(last, help=module.SUMMARY, description=module.DESCRIPTION)
        module.add_arguments(one)
        one.add_argument("--debug", action="store_true", help="show the traceback of an error")
        one.set_defaults(run=module.run, parser=one)
    return parser


def _read(arguments: Sequence[str] | None, options: argparse.Namespace) -> None:
    _, unknown = make_parser().parse_known_args(arguments, options)
    if unknown:
        options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")


def _in_one_line(error: Exception) -> str:
    """What is wrong. minialex's own errors say what to do as well; the system's do not."""
    text = " ".join(str(error).split())
    if isinstance(error, MinialexError):
        return text
    if isinstance(error, MemoryError):
        return (f"the memory is not enough ({text or 'no details'}); close other programs, or "
                "choose a smaller batch")
    reason, place = (getattr(error, name, None) for name in ("strerror", "filename"))
    return (f"{f'{place}: ' if place else ''}{reason or text or type(error).__name__}; see to it, "
            "and run the same command again")
