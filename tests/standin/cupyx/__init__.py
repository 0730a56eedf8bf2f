"""Stands in for `cupyx`, of which minialex uses nothing: whoever begins to, must imitate it."""

from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise NotImplementedError(f"the stand-in does not imitate cupyx.{name}")
