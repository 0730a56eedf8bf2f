"""The facts about each model in one table, so that no other code knows a model by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .. import nn
from ..backend import Device
from ..checks import shown, text
from ..errors import InputError
from .alexnet import AlexNet
from .lenet import LeNet5

__all__ = ["MODELS", "ModelInfo", "build", "model_info"]


@dataclass(frozen=True)
class ModelInfo:
    """One row of the table. Sizes are rows (and columns) of square images.

    options: which of width, init, image_size and norm may be chosen; the others are fixed.
    """

    name: str
    year: int  # of the paper
    photographs: bool  # made for photographs; else for the 28x28 pixels of small sets
    columns: int  # each of which may have a device of its own
    classes: int  # of the set that it was made for
    channels: tuple[int, ...]  # what it can see, that of its own set first
    width: float  # share of the paper's kernels, unless another is chosen
    init: str  # first weights, likewise
    image_size: int  # what the network sees at once, likewise
    pictures: tuple[int, int | None]  # least and largest side of the pictures that crops come from
    picture_size: int  # to which pictures of any size are best brought
    norm: str = "paper"  # response normalization, likewise
    options: tuple[str, ...] = ()


_ALEXNET: dict[str, Any] = {"year": 2012, "columns": 2}

# The first is what a beginner trains first.
MODELS: dict[str, ModelInfo] = {info.name: info for info in (
    ModelInfo("alexnet-small", **_ALEXNET, photographs=False, classes=10, channels=(1, 3),
              width=0.25, init="he", image_size=28, pictures=(28, 56), picture_size=32,
              options=("width", "init")),
    ModelInfo("alexnet", **_ALEXNET, photographs=True, classes=1000, channels=(3, 1),
              width=1.0, init="run145", image_size=227, pictures=(224, None), picture_size=256,
              options=("width", "init", "image_size", "norm")),
    ModelInfo("lenet5", year=1998, columns=1, photographs=False, classes=10, channels=(1,),
              width=1.0, init="he", image_size=28, pictures=(28, 56), picture_size=32),
)}


def model_info(name: str) -> ModelInfo:
    """The row of a model. Raises InputError for an unknown name."""
    if text("models", "name", name) not in MODELS:
        raise InputError(f"there is no model {name!r}; use one of {', '.join(MODELS)}")
    return MODELS[name]


def build(name: str, devices: Sequence[str | Device], classes: int | None = None,
          channels: int | None = None, width: float | None = None, init: str | None = None,
          image_size: int | None = None, seed: int = 0, norm: str | None = None) -> nn.Module:
    """A new network. What is None is as in the table of models.

    devices: one for each column. A single one takes both; a network of one column uses the first.
    Raises InputError for a value that the model does not allow.
    """
    info = model_info(name)
    if not isinstance(devices, (list, tuple)) or not devices:
        raise InputError(f"{name}: devices is {shown(devices)}; name one for each column, as in "
                         "('cpu:0', 'cpu:1')")
    channels = info.channels[0] if channels is None else channels
    if channels not in info.channels:
        raise InputError(f"{name}: channels is {shown(channels)}; it can see images of "
                         f"{' or '.join(map(str, sorted(info.channels)))}")
    chosen: dict[str, Any] = {"width": width, "init": init, "image_size": image_size,
                              "norm": norm}
    for option, value in chosen.items():
        usual = getattr(info, option)
        chosen[option] = usual if value is None else value
        if option not in info.options and chosen[option] != usual:
            raise InputError(f"{name}: {option} is {shown(value)}, but is always {usual!r} here")
    classes = info.classes if classes is None else classes
    if info.columns == 1:
        return LeNet5(classes, seed, devices[0])
    return AlexNet((devices[0], devices[-1]), classes, channels=channels, seed=seed, **chosen)
