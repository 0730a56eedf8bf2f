"""Errors that are the user's to mend: one base class, beside the built-in ones that Python has.

Each message is one line: what came, what is needed, and the remedy. Any other error is a fault of
minialex itself.
"""

__all__ = ["DeviceError", "DeviceMemoryError", "FileError", "InputError", "InputTypeError",
           "MinialexError", "UnknownNameError", "UsageError"]


class MinialexError(Exception):
    """An error that the caller can mend."""


class InputError(MinialexError, ValueError):
    """A value, a shape or a size that does not fit."""


class DeviceError(InputError):
    """A device that does not exist, cannot be used, or does not hold what it should."""


class DeviceMemoryError(MinialexError, MemoryError):
    """A device has reached its memory limit, or has no memory left."""


class InputTypeError(MinialexError, TypeError):
    """A value of a type that does not fit."""


class UsageError(MinialexError, RuntimeError):
    """A call that makes no sense at this moment, such as a second backward()."""


class UnknownNameError(MinialexError, AttributeError):
    """A misspelt attribute."""


class FileError(MinialexError, OSError):
    """A file or folder that cannot be read or written, or that another process holds."""
