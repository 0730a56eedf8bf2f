"""The errors that readers of data raise."""

from ..errors import InputError

__all__ = ["DataError", "MissingSetError"]


class DataError(InputError):
    """A file or folder of data is missing, damaged, or not what it should be.

    The message is one line: which file, what is wrong, and the remedy.
    """


class MissingSetError(DataError):
    """The public set `name` is not on this machine yet."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name}: this set is not here yet; bring it with "
                         f"datasets.get_set({name!r})")
        self.name = name
