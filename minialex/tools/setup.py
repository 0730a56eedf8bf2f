"""What several commands need: devices, data and network for the options that were given."""

from __future__ import annotations

from pathlib import Path

from .. import backend, models, nn
from ..datasets import ImageSet, fashion_mnist, image_folder
from ..datasets.fashion_mnist import CLASSES

__all__ = ["build", "choose_devices", "load_data"]

SIZES = {"alexnet-small": 28, "alexnet": 227, "lenet5": 28}  # pixels of the network's input


def choose_devices(wanted: str | None) -> tuple[tuple[str, str], str]:
    """The devices of the two columns, and why these. `wanted`: "A,B", "A" or None."""
    if wanted:
        names = [backend.device(name.strip()).name for name in wanted.split(",")]
        if len(names) > 2:
            raise ValueError(f"--devices {wanted}: there are two columns; name one or two devices")
        return (names[0], names[-1]), "as you asked"
    gpus = [name for name in backend.available() if name.startswith("gpu")]
    if len(gpus) >= 2:
        return (gpus[0], gpus[1]), "this machine has two GPUs"
    if gpus:
        return (gpus[0], gpus[0]), "this machine has one GPU; it takes both columns"
    return ("cpu:0", "cpu:1"), f"two virtual devices on the processor; {backend.why_no_gpu()}"


def load_data(name: str, model: str) -> tuple[ImageSet, ImageSet]:
    """Training and test images in the size that the model needs."""
    if name == "fashion-mnist":
        if model == "alexnet":
            raise ValueError("--model alexnet needs photographs of at least 227 pixels, and the "
                             "images of fashion-mnist have 28: use --model alexnet-small, or "
                             "--data FOLDER")
        sets = [ImageSet.of_arrays(name, *fashion_mnist(split), CLASSES)
                for split in ("train", "test")]
    elif not Path(name).is_dir():
        raise ValueError(f"--data {name}: no data set of minialex, and no folder; use "
                         "fashion-mnist, or a folder of train/CLASS/*.jpg")
    else:
        side = 256 if model == "alexnet" else 32
        sets = [image_folder(name, split, side, backend.threads()) for split in ("train", "test")]
    if model == "lenet5" and sets[0].shape[2] != 1:
        raise ValueError("--model lenet5 sees grey images only: use --data fashion-mnist")
    return sets[0], sets[1]


def build(model: str, devices: tuple[str, ...], classes: int, channels: int, width: float,
          init: str, seed: int) -> nn.Module:
    """The network, with first weights drawn from `seed`."""
    if model == "lenet5":
        return models.LeNet5(classes, seed, devices[0])
    return models.AlexNet(devices, classes, SIZES[model], channels, width, init, seed)
