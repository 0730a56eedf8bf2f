"""The one error that weights from elsewhere raise."""

from ..errors import InputError

__all__ = ["UnknownPixelsError", "WeightsError"]


class WeightsError(InputError):
    """A file of weights that is missing, damaged, or of another network.

    The message is one line: which file, what was met, what is needed, and the remedy.
    """


class UnknownPixelsError(WeightsError):
    """A network for which it is not known how its pixels must be prepared."""
