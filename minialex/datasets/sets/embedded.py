"""Where the sets lie that come with minialex: in data/ of a clone, or inside what was installed."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

__all__ = ["embedded"]


def embedded(name: str) -> Path:
    """The folder of a set that comes with minialex."""
    installed = Path(str(resources.files("minialex.datasets"))) / "embedded" / name  # see setup.py
    return installed if installed.is_dir() else Path(__file__).resolve().parents[3] / "data" / name
