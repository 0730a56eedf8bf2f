"""What a user types: the command line and its pictures; and `draw`, which shows a tape."""

from .tape import draw

__all__ = ["draw"]
