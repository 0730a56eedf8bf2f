"""What several commands need: devices, data and network for the options that were given."""

from __future__ import annotations

from .. import backend, datasets
from ..datasets import Data, DataError, MissingSetError
from ..errors import InputError
from ..training.classifier import build

__all__ = ["Data", "build", "choose_devices", "data_of_run", "load_data"]

MODELS = ("alexnet-small", "alexnet", "lenet5")


def choose_devices(wanted: str | None) -> tuple[tuple[str, ...], str]:
    """The devices of the two columns, and why these. `wanted`: "A,B", "A" or None."""
    if wanted:
        names = [backend.device(name.strip()).name for name in wanted.split(",")]
        if len(names) > 2:
            raise InputError(f"--devices {wanted}: there are two columns; name one or two devices")
        return (names[0], names[-1]), "as you asked"
    gpus = [name for name in backend.available() if name.startswith("gpu")]
    if len(gpus) >= 2:
        return (gpus[0], gpus[1]), "this machine has two GPUs"
    if gpus:
        return (gpus[0], gpus[0]), "this machine has one GPU; it takes both columns"
    return ("cpu:0", "cpu:1"), f"two virtual devices on the processor; {backend.why_no_gpu()}"


def data_of_run(name: str, model: str, data_dir: str | None = None) -> Data:
    """`load_data` for a run that has been; its data may have gone somewhere else."""
    try:
        return load_data(name, model, data_dir)
    except ValueError as error:
        raise InputError(f"{error}. That is the data of the run, seen from the folder in which it "
                         "was started; if it lies elsewhere, give --data") from None


def load_data(name: str, model: str, data_dir: str | None = None) -> Data:
    """`datasets.open`, with images that the model can see, and the options in the messages."""
    try:
        data = datasets.open(name, 256 if model == "alexnet" else 32, data_dir)
    except MissingSetError as error:
        place = f" --data-dir {data_dir}" if data_dir else ""
        raise InputError(f"--data {name}: this set is not here yet; bring it with: "
                         f"minialex data get {error.name}{place}") from None
    except DataError as error:
        about_the_option = str(error).startswith(f"{name}:")
        raise InputError(f"--data {error}" if about_the_option else str(error)) from None
    _check_sizes(name, model, *data.train.shape[1:])
    return data


def _check_sizes(name: str, model: str, side: int, channels: int) -> None:
    if model == "alexnet" and side < 224:
        raise InputError("--model alexnet needs photographs of at least 227 pixels, and the "
                         f"images of {name} have {side}: train --model alexnet-small, or give "
                         "--data FOLDER")
    if model == "lenet5" and channels != 1:
        raise InputError(f"--model lenet5 sees grey images only, and those of {name} are in "
                         "colour: use --data fashion-mnist")
    if model != "alexnet" and side > 2 * 28:
        raise InputError(f"--model {model} sees 28x28 pixels, and the images of {name} have "
                         f"{side}: train --model alexnet, or make them smaller: minialex data "
                         "prepare --side 32")
