"""The images that a command needs, checked against what its model can see."""

from __future__ import annotations

from pathlib import Path

from .. import datasets, models
from ..datasets import Data, DataError, MissingSetError
from ..datasets.shards.read import ABOUT
from ..errors import InputError
from .text import command

__all__ = ["SHARES", "fitting_models", "open_data"]

SHARES = ("--split", "80,10,10")  # options of `data prepare`


def open_data(name: str, model: str, data_dir: str | None = None, of_run: bool = False,
              squeeze: bool = False) -> Data:
    """`datasets.open`, in the size that the model sees best; errors name the options.

    data_dir: where `minialex data get` puts public sets, unless in its usual place.
    of_run: whether a run was started with `name`, perhaps in another folder. squeeze: how pictures
    in files become squares.
    """
    side = models.model_info(model).picture_size
    try:
        data = datasets.open(name, side, data_dir, squeeze)
    except MissingSetError as error:
        place = ["--data-dir", Path(data_dir)] if data_dir else []
        raise InputError(f"--data {name}: this set is not here yet; get it with: "
                         f"{command('data', 'get', error.name, *place)}") from None
    except DataError as error:
        option = "--data " if str(error).startswith((f"{name}:", f"{Path(name)}:")) else ""
        elsewhere = ("; that is the data of the run, seen from the folder in which it was started: "
                     "if it lies elsewhere, give --data") if of_run else ""
        divide = ["data", "prepare", Path(name), "--side", side, *SHARES]
        divided = (f"; or have them divided: {command(*divide)}"
                   if Path(name).is_dir() and not (Path(name) / "train").is_dir()
                   and not (Path(name) / ABOUT).is_file() else "")
        raise InputError(f"{option}{error}{divided}{elsewhere}") from None
    _check(name, model, *data.train.shape[1:])
    return data


def fitting_models(side: int, channels: int) -> list[str]:
    """The models that can learn from squares of `side` pixels."""
    return [name for name, info in models.MODELS.items() if channels in info.channels
            and info.pictures[0] <= side <= (info.pictures[1] or side)]


def _check(name: str, model: str, side: int, channels: int) -> None:
    others = fitting_models(side, channels)
    if model in others:
        return
    info = models.model_info(model)
    least, most = info.pictures
    pixels = f"{least} to {most}" if most else f"at least {least}"
    needed = f"{'' if 3 in info.channels else 'grey '}images of {pixels} pixels"
    came = f"{side}{' and are in colour' if channels == 3 else ''}"
    remedy = f"--model {others[0]}" if others else "pictures of another --side"
    raise InputError(f"--model {model} needs {needed}, and those of {name} have {came}; use "
                     f"{remedy}, or other --data")
