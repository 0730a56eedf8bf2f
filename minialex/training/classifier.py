"""A trained network at work: pictures in, probabilities of named classes out."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import backend, checks, models, nn
from ..backend import Device
from ..datasets import DataError, Preparation, read_image
from ..errors import InputError
from ..files import check_writable, read_json, replacing
from .checkpoint import BEST, CheckpointError, checkpoints, load_arrays, save_arrays
from .evaluate import log_probabilities
from .folder import CONFIG, MEAN, MODEL
from .progress import Progress
from .recipe import OLDER, check
from .stored import from_stored, has_type

__all__ = ["Classifier"]

AT_ONCE = 30  # views of pictures
LONGEST_NAME = 1000  # letters, of a class

# What of a recipe decides how a network is built and fed; the rest is about its training.
NEEDED = ("width", "image_size", "norm", "scale", "mirror", "squeeze")


@dataclass(frozen=True)
class Classifier:
    """A trained network, the names of its classes, and how it wants its pixels.

    config: the settings of the run that it comes from. path: of the file that had its weights.
    """

    net: nn.Module
    classes: Sequence[str]
    preparation: Preparation
    config: Mapping[str, Any] = field(default_factory=dict)
    path: Path | None = None

    @classmethod
    def load(cls, folder: str | os.PathLike[str],
             devices: str | Device | Sequence[str | Device] | None = None,
             weights: str = "last") -> Classifier:
        """The network that a run has left in its folder.

        devices: one, or one for each column (default: `backend.use`). weights: "last", those after
        the last step, or of the newest checkpoint if the run is not finished; "best", those with
        the smallest error on the validation images.
        Raises CheckpointError if there are none, or they are damaged.
        """
        if isinstance(devices, (str, Device)):
            devices = [devices]
        devices = devices or [backend.default()]
        checks.kinds("Classifier.load", devices=(devices, Sequence), weights=(weights, str))
        if len(devices) > 2:
            raise InputError(f"Classifier.load: {len(devices)} devices are too many; name one, "
                             "or one for each of two columns")
        damaged: list[CheckpointError] = []
        for path in _files(checks.path("Classifier.load", "folder", folder), weights):
            try:
                return _restored(path, *_stored(path), devices)
            except CheckpointError as error:  # an older one may do
                damaged.append(error)
        raise damaged[0]

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write a folder as a finished run leaves it, from which `load` reads the same.

        Files of the same names are replaced, the weights last. Each file is whole or not there.
        Raises FileError if it cannot be written.
        """
        check_writable(checks.path("Classifier.save", "folder", folder))
        with replacing(Path(folder, CONFIG)) as file:
            file.write(f"{json.dumps(self.config, indent=2)}\n".encode())
        self.save_weights(folder)

    def save_weights(self, folder: str | os.PathLike[str]) -> None:
        """The last of these files alone; `load` needs no other."""
        arrays = {**self.net.state(), MEAN: self.preparation.mean}
        save_arrays(Path(folder, MODEL), arrays, {**self.config, "classes": list(self.classes)})

    def predict(self, pictures: Sequence[str | os.PathLike[str] | np.ndarray],
                ten_views: bool = False) -> np.ndarray:
        """The probability of each class for each picture: float32 (N, classes).

        pictures: files, or uint8 arrays as `read` gives them; one path or several.
        ten_views: average over four corners, centre, and their mirror images, in place of the
        centre alone.  Paper: section 4.1.
        """
        if isinstance(pictures, (str, os.PathLike)) or not isinstance(pictures, Iterable):
            pictures = [pictures]
        views_of = self.preparation.ten_views if ten_views else self.preparation.central_views
        pictures, some = list(pictures), AT_ONCE // 10 if ten_views else AT_ONCE
        found = [np.zeros((0, len(self.classes)), np.float32)]
        for start in range(0, len(pictures), some):
            images = np.stack([self.read(path) for path in pictures[start : start + some]])
            views = views_of(len(images), images.shape[1:])
            pixels = self.preparation.apply(images, views)
            logs = log_probabilities(self.net, pixels, len(pixels) // len(images))
            if not np.isfinite(np.exp(logs)).all():
                raise CheckpointError(f"{self.path}: the network overflows; its weights, or its "
                                      "settings, are damaged; use those of another run")
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
                raise DataError(f"the array is {picture.dtype} {picture.shape}; this network needs "
                                f"uint8 {shape}; save it as a picture, and give its path")
            return picture
        if not checks.path("Classifier.read", "picture", picture).is_file():
            raise DataError(f"{picture}: there is no such file; correct the name")
        image = read_image(picture, shape[0], self.preparation.squeeze)
        if shape[2] == 1:  # brightness as television has it (ITU-R BT.601), and Pillow
            image = np.rint(image @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)[..., None]
        return image

    def best(self, probabilities: np.ndarray, count: int = 5) -> list[tuple[str, float]]:
        """The likeliest classes of one picture, best first: (name, probability)."""
        if getattr(probabilities, "shape", None) != (len(self.classes),):
            raise InputError(f"best: probabilities is {checks.shown(probabilities)}; give those of "
                             f"one picture, a row of `predict`, ({len(self.classes)},)")
        order = np.argsort(-probabilities, kind="stable")[: checks.whole("best", "count", count)]
        return [(self.classes[label], float(probabilities[label])) for label in order]


def _files(folder: Path, weights: str) -> list[Path]:
    """The files with these weights, at least one; the best choice first."""
    if weights not in ("last", "best"):
        raise InputError(f"Classifier.load: weights is {weights!r}; use 'last' or 'best'")
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: there is no such folder; name the folder of a run")
    if weights == "last" and (folder / MODEL).is_file():
        return [folder / MODEL]
    found = [*folder.glob(BEST)] if weights == "best" else checkpoints(folder)
    if found:
        return found
    raise CheckpointError(f"{folder}: there are no {weights} weights in it; name the folder of a "
                          "run, and wait for its first epoch" if weights == "best" else
                          f"{folder}: there is no {MODEL} in it, and no checkpoint; name the "
                          "folder of a run")


def _stored(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Weights and mean image; settings and class names. Those of a checkpoint lie beside it."""
    arrays, about = load_arrays(path)
    if path.name == MODEL:
        return arrays, about
    try:
        progress = from_stored(Progress, about.get("progress"))
    except InputError as error:
        raise CheckpointError(f"{path}: not to be used ({error}); use another checkpoint") from None
    try:
        config = {**read_json(path.parent / CONFIG), "classes": progress.classes}
    except InputError as error:
        raise CheckpointError(f"{path.parent / CONFIG}: cannot be used ({error}); it must tell "
                              f"what network {path.name} is of") from None
    return {name.removeprefix("weight/"): array for name, array in arrays.items()
            if name.startswith("weight/") or name == MEAN}, config


def _restored(path: Path, arrays: dict[str, np.ndarray], about: Mapping[str, Any],
              devices: Sequence[str | Device]) -> Classifier:
    """Raises CheckpointError, naming the files, if these do not make a network."""
    where = f"{path}" if path.name == MODEL else f"{path}, with the settings in {CONFIG}"
    if "model" not in about:
        raise CheckpointError(f"{where}: does not say what model it is of; train with "
                              "Run(..., about={'model': NAME})")
    try:
        return _built(path, arrays, about, devices)
    except backend.DeviceError:
        raise
    except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        version = about.get("version", "of no known version")
        raise CheckpointError(
            f"{where}: written by minialex {version}, and not to be used with this one "
            f"({error}); install that version") from None


def _built(path: Path, arrays: dict[str, np.ndarray], about: Mapping[str, Any],
           devices: Sequence[str | Device]) -> Classifier:
    if not (has_type(about["model"], str) and has_type(about.get("recipe"), dict)):
        raise InputError("it does not say what network it is of, and how that was trained")
    recipe = {**OLDER, **about["recipe"]}
    for name in NEEDED:
        if name not in recipe:
            raise InputError(f"no {name!r} in it")
    for name, value in recipe.items():
        check(name, value)
    classes, mean = about["classes"], arrays.pop(MEAN)
    if not (has_type(classes, list[str]) and max(map(len, classes), default=0) <= LONGEST_NAME):
        raise InputError(f"classes are no list of names of up to {LONGEST_NAME:,} letters")
    size = recipe["image_size"]
    if mean.ndim != 3 or min(mean.shape[:2]) < size:
        raise InputError(f"{MEAN} is {mean.shape}; crops of {size} pixels do not fit")
    zeros: Any = _NoMoreThan(sum(array.size for array in arrays.values()))
    net = models.build(about["model"], devices, len(classes), mean.shape[2], recipe["width"],
                       image_size=size, norm=recipe["norm"], seed=zeros)
    net.load_state(arrays)
    net.eval()
    preparation = Preparation(size, mean, recipe["scale"], mirror=recipe["mirror"],
                              squeeze=recipe["squeeze"])
    return Classifier(net, classes, preparation, about, path)


class _NoMoreThan(np.random.Generator):
    """Draws zeros for weights that are then loaded, but no more of them than the file holds.

    Otherwise a small file that claims to hold a large network could fill the memory.
    """

    def __init__(self, left: int = 0) -> None:
        super().__init__(np.random.PCG64(0))
        self.left = left

    def standard_normal(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
        self.left -= math.prod(size)
        if self.left < 0:
            raise InputError("the file has fewer weights than such a network")
        return np.zeros(size, dtype)

    def spawn(self, n_children: int) -> list[Any]:  # of the masks of dropout
        return list(np.random.default_rng(0).spawn(n_children))
