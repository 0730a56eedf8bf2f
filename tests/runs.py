"""Photographs and runs to try the commands on."""

import contextlib
import io
import re

import numpy as np
import pytest
from PIL import Image

from minialex import models
from minialex.tools import cli, plots
from minialex.training import suggest
from minialex.training.checkpoint import save_arrays

MODEL = "model.safetensors"
CLASSES = ["Ant", "Bee", "Cat", "Dog", "Emu", "Fox", "a goat that has climbed on a roof again"]
SHARES = np.array([0.5, 0.25, 0.125, 0.0625, 0.03125, 0.0234375, 0.0078125], np.float32)


def mistake(result, *parts):
    """Exit code 2, and one line on standard error that holds `parts`, in this order."""
    pattern = r"\Aminialex: " + ".*".join(map(re.escape, map(str, parts))) + r".*\n\Z"
    assert result.code == 2 and re.search(pattern, result.err), result.err
    return True


def save_picture(path, level, size=(50, 40)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (level, level, level)).save(path)
    return path


def dark_and_bright(root):
    """Photographs in three splits; one of the bright test photographs is dark."""
    for split, count in (("train", 12), ("val", 2), ("test", 4)):
        for name, level in (("bright", 200), ("dark", 30)):
            for number in range(count):
                save_picture(root / split / name / f"{number}.jpg", level + 3 * number)
    save_picture(root / "test" / "bright" / "0.jpg", 30)
    return root


def learn(photographs, folder, devices, *options):
    """A small network that learns to tell dark from bright: the folder of its run."""
    with contextlib.redirect_stdout(io.StringIO()), pytest.MonkeyPatch.context() as patch:
        for name in plots.__all__:  # pictures are slow
            patch.setattr(plots, name, lambda *_: None)
        code = cli.main(["train", "--data", str(photographs), "--width", "0.05", "--batch", "8",
                         "--epochs", "6", "--devices", devices, "--out", str(folder), *options])
    assert code == 0
    return folder


def make_run(folder, classes=CLASSES, channels=3, shares=SHARES, **changes):
    """The folder of a run whose network says the same shares about every picture."""
    recipe = {**vars(suggest("alexnet-small", 100)[0]), "width": 0.02,
              **changes.pop("recipe", {})}
    net = models.AlexNet(("cpu:0", "cpu:0"), len(classes), 28, channels, 0.02, "he")
    weights = {path: np.zeros_like(array) for path, array in net.state().items()}
    weights["fc8.bias"] = np.log(shares)
    side = 28 if channels == 1 else 32
    weights["input.mean"] = np.full((side, side, channels), 100, np.float32)
    folder.mkdir()
    save_arrays(folder / MODEL, weights, {
        "version": "9.8.7", "model": "alexnet-small", "data": "nowhere", "recipe": recipe,
        "classes": classes, **changes})
    return folder
