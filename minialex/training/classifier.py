"""A trained network at work: pictures in, probabilities of named classes out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import backend, models, nn
from ..backend import Device
from ..datasets import DataError, Preparation, read_image
from ..errors import InputError
from .checkpoint import CheckpointError, load_arrays
from .evaluate import log_probabilities
from .recipe import Recipe

__all__ = ["Classifier", "build"]

AT_ONCE = 30  # views of pictures


def build(model: str, devices: Sequence[str | Device], classes: int, channels: int, width: float,
          init: str, image_size: int, seed: int) -> nn.Module:
    """The network, with first weights drawn from `seed`."""
    if model == "lenet5":
        return models.LeNet5(classes, seed, devices[0])
    return models.AlexNet(devices, classes, image_size, channels, width, init, seed)


@dataclass(frozen=True)
class Classifier:
    """A trained network, the names of its classes, and how it wants its pixels.

    config: the settings of the run that it comes from.
    """

    net: nn.Module
    classes: Sequence[str]
    preparation: Preparation
    config: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: str | os.PathLike[str],
             devices: str | Device | Sequence[str | Device] | None = None) -> Classifier:
        """The network that a run has left in its folder.

        devices: one, or one for each column (default: `backend.use`).
        Raises CheckpointError if the run is not finished, or its weights are damaged.
        """
        path = _weights_in(Path(folder))
        if isinstance(devices, (str, Device)):
            devices = [devices]
        devices = devices or [backend.default()]
        if len(devices) > 2:
            raise InputError(f"Classifier.load: {len(devices)} devices came; name one, or one for "
                             "each of two columns")
        try:
            arrays, config = load_arrays(path)
        except CheckpointError as error:
            raise CheckpointError(f"{error}; or write it anew from the checkpoints of the run: "
                                  f"minialex train --resume {folder}") from None
        try:
            recipe = Recipe(**{"mirror": 0.5, **config["recipe"]})  # older runs do not tell
            mean = arrays.pop("input.mean")
            net = build(config["model"], (devices[0], devices[-1]), len(config["classes"]),
                        mean.shape[2], recipe.width, recipe.init, recipe.image_size, seed=0)
            net.load_state(arrays)
        except backend.DeviceError:
            raise
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{path}: written by minialex {config.get('version', 'of no known version')}, and "
                f"not to be used with this one ({error}); install that version") from None
        return cls(net, config["classes"], Preparation(
            recipe.image_size, mean, recipe.scale, mirror=recipe.mirror), config)

    def predict(self, pictures: Sequence[str | os.PathLike[str] | np.ndarray],
                ten_views: bool = False) -> np.ndarray:
        """The probability of each class for each picture: float32 (N, classes).

        pictures: files, or uint8 arrays as `read` gives them; one path or several.
        ten_views: average over four corners, centre, and their mirror images, in place of the
        centre alone.  Paper: section 4.1.
        """
        if isinstance(pictures, (str, os.PathLike)):
            pictures = [pictures]
        views_of = self.preparation.ten_views if ten_views else self.preparation.central_views
        pictures, some = list(pictures), AT_ONCE // 10 if ten_views else AT_ONCE
        found = [np.zeros((0, len(self.classes)), np.float32)]
        for start in range(0, len(pictures), some):
            images = np.stack([self.read(path) for path in pictures[start : start + some]])
            views = views_of(len(images), images.shape[1:])
            pixels = self.preparation.apply(images, views)
            logs = log_probabilities(self.net, pixels, len(pixels) // len(images))
            found.append(np.exp(logs))
        return np.concatenate(found)

    def read(self, picture: str | os.PathLike[str] | np.ndarray) -> np.ndarray:
        """A picture as in training: the central square, or squeezed into one: uint8 (H, W, C).

        A network that was trained on grey images gets the brightness of a coloured one.
        Raises DataError if the file is no picture, or the array of another shape.
        """
        shape = self.preparation.mean.shape
        if isinstance(picture, np.ndarray):
            if picture.shape != shape or picture.dtype != np.uint8:
                raise DataError(f"an array of {picture.dtype} {picture.shape} came; this network "
                                f"needs uint8 {shape}; save it as a picture, and give its path")
            return picture
        if not Path(picture).is_file():
            raise DataError(f"{picture}: there is no such file; correct the name")
        image = read_image(picture, shape[0], self.preparation.squeeze)
        if shape[2] == 1:  # brightness as television has it (ITU-R BT.601), and Pillow
            image = np.rint(image @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)[..., None]
        return image

    def best(self, probabilities: np.ndarray, count: int = 5) -> list[tuple[str, float]]:
        """The likeliest classes of one picture, best first: (name, probability)."""
        order = np.argsort(-probabilities, kind="stable")[:count]
        return [(self.classes[label], float(probabilities[label])) for label in order]


def _weights_in(folder: Path) -> Path:
    path = folder / "model.safetensors"
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: there is no such folder; name the folder of a run")
    if not path.is_file() and (folder / "config.json").is_file():
        raise CheckpointError(f"{folder}: this run is not finished, so there is no {path.name}; "
                              f"finish it: minialex train --resume {folder}")
    if not path.is_file():
        raise CheckpointError(f"{folder}: there is no {path.name} in it; name the folder of a run")
    return path
