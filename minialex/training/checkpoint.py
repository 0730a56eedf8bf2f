"""Checkpoints: weights and velocities in safetensors, the rest as JSON in the same file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..nn import Module
from ..optim import SGD

__all__ = ["CheckpointError", "load_checkpoint", "replacing", "save_arrays", "save_checkpoint"]


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged, or of another network."""


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write to. It takes the place of `path` when all of it is on the disk, or never."""
    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(f"{path} cannot be written ({error.strerror or error}), and is as it was "
                      "before; make room on the disk, or choose another folder") from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def save_arrays(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray],
                about: Mapping[str, Any]) -> None:
    """Write arrays, and what is to be known about them, so that `path` is never half a file."""
    from safetensors.numpy import save

    data = save(dict(arrays), metadata={"minialex": json.dumps(about)})
    with replacing(path) as file:
        file.write(data)


def load_arrays(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What `save_arrays` wrote. Raises CheckpointError, naming the file, if it is damaged."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file; name a run folder that has one")
    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads(file.metadata()["minialex"])
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged, or not written by minialex ({error}); "
                              "use another checkpoint, or train again") from None


def save_checkpoint(path: str | os.PathLike[str], net: Module, optimizer: SGD,
                    progress: Mapping[str, Any]) -> None:
    """All that the next step depends on: weights, velocities, random states, and `progress`."""
    arrays = {f"weight/{name}": array for name, array in net.state().items()}
    arrays |= {f"velocity/{name}": array for name, array in optimizer.state().items()}
    random = {name: generator.state for name, generator in _generators(net).items()}
    save_arrays(path, arrays, {"progress": progress, "lr": optimizer.lr, "random": random})


def load_checkpoint(path: str | os.PathLike[str], net: Module, optimizer: SGD) -> dict[str, Any]:
    """Bring net and optimizer to the stored state, on whatever devices they are -> `progress`.

    Raises CheckpointError, naming the file, if it is not one of this network; then net and
    optimizer stay as they are.
    """
    arrays, about = load_arrays(path)
    try:
        missing = {"lr", "progress", "random"} - about.keys()
        if missing:
            raise ValueError(f"no {', '.join(sorted(missing))} in it: weights without their run")
        generators = _generators(net)
        if generators.keys() != about["random"].keys():
            raise ValueError(f"random states of {', '.join(about['random']) or 'no layer'} in it, "
                             f"here {', '.join(generators) or 'no layer'} needs one")
        # The velocities first: they are fewer where a part of the net is not trained.
        for prefix, owner in (("velocity/", optimizer), ("weight/", net)):
            owner.load_state({name.removeprefix(prefix): array for name, array in arrays.items()
                              if name.startswith(prefix)})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: does not fit this network ({error}); use another "
                              "checkpoint, or the network that it was saved from") from None
    optimizer.lr = about["lr"]
    for name, generator in generators.items():
        generator.state = about["random"][name]
    return about["progress"]


def _generators(net: Module) -> dict[str, np.random.BitGenerator]:
    """The random generators, by the paths of the modules that draw from them."""
    return {name: module.rng.bit_generator for name, module in net.named_modules()
            if hasattr(module, "rng")}
