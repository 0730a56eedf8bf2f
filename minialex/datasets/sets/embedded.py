"""Where the sets that come with minialex are: in data/ of a clone, or in the installed package."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

__all__ = ["embedded"]


def embedded(name: str) -> Path:
    """The folder of a set that comes with minialex."""
    installed = Path(str(resources.files("minialex.datasets"))) / "embedded" / name  # see setup.py
    return installed if installed.is_dir() else Path(__file__).resolve().parents[3] / "data" / name
