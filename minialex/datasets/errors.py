"""The one error that readers of data raise."""

__all__ = ["DataError"]


class DataError(ValueError):
    """A file or folder of data is missing, damaged, or not what it should be.

    The message is one line: which file, what came, what is needed, and the remedy.
    """
