"""Files that appear whole or not at all, and places where one process works at a time.

Nothing here writes through a symbolic link: somebody else may have put it there.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from .errors import FileError, InputError

__all__ = ["LOCK", "appending", "check_writable", "is_no_file", "locked", "parse_json", "read_json",
           "replacing", "sweep", "text_lines"]

LOCK = ".lock"  # in a folder into which a process writes; after a kill it may stay
MOST_JSON = 2**26  # bytes
MOST_LINE = 2**16  # letters


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write to. It replaces `path` when all of it is on the disk, or never.

    Until then its name is NAME.XXXX.part, which did not exist before. A process that is killed may
    leave it; it does no harm, and `sweep` removes it.
    Raises FileError if it cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if is_no_file(path):  # a device, which only root could replace
            raise FileError(f"{path}: is no file, and stays as it is; choose another name")
        _rename(temporary, path)
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{path} cannot be written ({error.strerror or error}), and is as it was "
                        "before; make room on the disk, or choose another folder") from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def sweep(folder: str | os.PathLike[str], name: str = "*") -> None:
    """Remove what killed processes have left of files called `name`. Hold the lock meanwhile."""
    for unfinished in Path(folder).glob(f"{name}.part"):
        with suppress(OSError):
            unfinished.unlink()


def _rename(source: Path, target: Path) -> None:
    """On Windows a virus scanner may hold one of the two for a moment, so try several times."""
    for pause in (0.05, 0.1, 0.2, 0.4):
        with suppress(PermissionError):
            return os.replace(source, target)
        time.sleep(pause)
    os.replace(source, target)


@contextmanager
def appending(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to add to; it is made if it is missing. Raises FileError if it cannot be written."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)  # not everywhere
    try:
        with os.fdopen(os.open(path, flags, 0o666), "ab") as file:
            yield file
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{os.fspath(path)} cannot be written ({error.strerror or error}); "
                        "check that its folder is there, and make room on the disk") from None


def check_writable(folder: str | os.PathLike[str], remedy: str = "choose another folder") -> Path:
    """The folder, made if it is missing, and known to be writable.

    Raises FileError, with the `remedy`, if not: better before a long task than after it.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"minialex")
    except OSError as error:
        raise FileError(f"{folder}: cannot be written ({error.strerror or error}); "
                        f"{remedy}") from None
    return folder


def is_no_file(path: str | os.PathLike[str]) -> bool:
    """Whether something else has this name: a folder, or a pipe, which would keep us waiting."""
    return os.path.exists(path) and not os.path.isfile(path)


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The named values that a JSON file holds.

    Raises InputError if it cannot be read, is no such JSON, or is larger or deeper than any that
    minialex writes. The message is the reason alone: the caller knows which file it was, and why.
    """
    try:
        if is_no_file(path):
            raise InputError("it is no file")
        with open(path, "rb") as file:
            text = file.read(MOST_JSON + 1)
        if len(text) > MOST_JSON:
            raise InputError(f"more than {MOST_JSON:,} bytes")
        return parse_json(text)
    except OSError as error:
        raise InputError(error.strerror or str(error)) from None


def parse_json(text: str | bytes) -> dict[str, Any]:
    """The named values that stand in a text. Raises InputError as `read_json` does."""
    try:
        found = json.loads(text)
    except RecursionError:
        raise InputError("nested too deeply") from None
    except json.JSONDecodeError as error:
        raise InputError(f"line {error.lineno} is damaged") from None
    except UnicodeDecodeError:
        raise InputError("it is no text") from None
    except ValueError:  # Python takes 4,300 digits at most
        raise InputError("it has a number of too many digits") from None
    if not isinstance(found, dict):
        raise InputError("it holds no named values")
    return found


def text_lines(path: str | os.PathLike[str]) -> Iterator[str]:
    """The lines of a file in UTF-8, with their ends.

    Raises InputError at one that is longer than any that makes sense, and at what is no text.
    """
    if is_no_file(path):
        raise InputError("it is no file")
    with open(path, newline="", encoding="utf-8") as file:
        try:
            while line := file.readline(MOST_LINE):
                if len(line) == MOST_LINE:
                    raise InputError(f"a line of {MOST_LINE:,} letters or more")
                yield line
        except UnicodeDecodeError:
            raise InputError("it is no text in UTF-8") from None


@contextmanager
def locked(path: str | os.PathLike[str], remedy: str) -> Iterator[None]:
    """Hold the lock file `path`, to keep a second process from disturbing the work of this one.

    It is released however the process ends. Its folder is made if it is missing.
    Raises FileError if another process holds it; and if it cannot be written, with the `remedy`.
    """
    from filelock import FileLock, Timeout

    path = Path(path)
    lock = FileLock(path, timeout=0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            found = os.lstat(path)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:  # somebody's other file
                raise FileError(f"{path}: is a link, or no file; remove it")
        lock.acquire()
    except Timeout:
        raise FileError(f"another minialex is at work here (it holds {path}); wait until it is "
                        "done, then run the same command again") from None
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{path.parent}: cannot be written ({error.strerror or error}); "
                        f"{remedy}") from error
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes no open file; one that is left does no harm
            os.unlink(path)
        lock.release()
