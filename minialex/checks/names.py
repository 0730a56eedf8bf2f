"""Names: of files and folders, and of what a table knows."""

import os
from pathlib import Path

from ..errors import InputTypeError
from .shapes import shown

__all__ = ["path", "text"]


def path(function: str, name: str, value: object) -> Path:
    """The name of a file or folder, as a Path."""
    if not isinstance(value, (str, os.PathLike)) or not os.fspath(value) or "\0" in str(value):
        raise InputTypeError(f"{function}: {name} is {shown(value)}; give the name of a file or "
                             "folder, as text or a Path")
    return Path(value)


def text(function: str, name: str, value: object) -> str:
    """A name that is looked up in a table."""
    if not isinstance(value, str):
        raise InputTypeError(f"{function}: {name} is {shown(value)}; give a name, as text")
    return value
