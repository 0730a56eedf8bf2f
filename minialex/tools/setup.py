"""For the time until train.py and bench.py use devices.py and images.py."""

from __future__ import annotations

from ..datasets import Data
from ..training.classifier import build
from .devices import choose_devices
from .images import open_data

__all__ = ["MODELS", "Data", "build", "choose_devices", "data_of_run", "load_data"]

MODELS = ("alexnet-small", "alexnet", "lenet5")
load_data = open_data


def data_of_run(name: str, model: str, data_dir: str | None = None) -> Data:
    return open_data(name, model, data_dir, of_run=True)
