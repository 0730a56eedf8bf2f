"""Names: of files and folders, and of what a table knows; and kinds of objects."""

import errno
import os
from pathlib import Path
from typing import Any

from ..errors import InputError, InputTypeError
from .shapes import shown

__all__ = ["kinds", "path", "text"]


def path(function: str, name: str, value: object) -> Path:
    """The name of a file or folder, as a Path."""
    if not isinstance(value, (str, os.PathLike)) or not os.fspath(value) or "\0" in str(value):
        raise InputTypeError(f"{function}: {name} is {shown(value)}; give the name of a file or "
                             "folder, as text or a Path")
    try:
        os.lstat(value)
    except OSError as error:  # that there is nothing of this name may well be
        if error.errno == errno.ENAMETOOLONG:
            raise InputError(f"{function}: {name} is {len(os.fspath(value))} characters, too long "
                             "for a file or folder; give a shorter name") from None
    return Path(value)


def text(function: str, name: str, value: object) -> str:
    """A name that is looked up in a table."""
    if not isinstance(value, str):
        raise InputTypeError(f"{function}: {name} is {shown(value)}; give a name, as text")
    return value


def kinds(function: str, **arguments: tuple[object, Any]) -> None:
    """Objects of the right class: kinds("Run", net=(net, Module), recipe=(recipe, Recipe))."""
    for name, (value, kind) in arguments.items():
        if not isinstance(value, kind):
            raise InputTypeError(f"{function}: {name} is {shown(value)}; it must be an object of "
                                 f"the class {kind.__name__}, see help({function})")
