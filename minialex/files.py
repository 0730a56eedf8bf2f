"""Files that appear whole or not at all, and places where one process works at a time."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from .errors import FileError

__all__ = ["LOCK", "check_writable", "locked", "replacing"]

LOCK = ".lock"  # in a folder into which a process writes; after a kill it may stay


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write to. It takes the place of `path` when all of it is on the disk, or never."""
    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise FileError(f"{path} cannot be written ({error.strerror or error}), and is as it was "
                        "before; make room on the disk, or choose another folder") from None
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def locked(path: str | os.PathLike[str], remedy: str) -> Iterator[None]:
    """Hold the lock file `path`: a second process would undo what the first has half done.

    It is free again when its process ends, however that ends. Its folder is made if need be.
    Raises FileError if another process holds it; and if it cannot be written, with the `remedy`.
    """
    from filelock import FileLock, Timeout

    folder, lock = Path(path).parent, FileLock(path, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise FileError(f"another minialex is at work here (it holds {path}); wait until it is "
                        "done, then run the same command again") from None
    except OSError as error:
        raise FileError(f"{folder}: cannot be written ({error.strerror or error}); "
                        f"{remedy}") from error
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes no open file; one that is left does no harm
            os.unlink(path)
        lock.release()


def check_writable(folder: str | os.PathLike[str], remedy: str) -> None:
    """See that files can be made in a folder, before any time is spent. It is made if need be.

    Raises FileError, with the `remedy`.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"minialex")
    except OSError as error:
        raise FileError(f"{folder} cannot be written ({error.strerror or error}); "
                        f"{remedy}") from None
