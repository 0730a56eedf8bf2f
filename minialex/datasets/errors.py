"""The one error that readers of data raise."""

from ..errors import InputError

__all__ = ["DataError"]


class DataError(InputError):
    """A file or folder of data is missing, damaged, or not what it should be.

    The message is one line: which file, what came, what is needed, and the remedy.
    """
