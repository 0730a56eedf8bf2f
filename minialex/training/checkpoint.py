"""Checkpoints: weights and velocities in safetensors, the rest as JSON in the same file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..nn import Module
from ..optim import SGD

__all__ = ["CheckpointError", "load_checkpoint", "save_arrays", "save_checkpoint"]


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged, or of another network."""


def save_arrays(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray],
                about: Mapping[str, Any]) -> None:
    """Write arrays, and what is to be known about them, so that `path` is never half a file."""
    from safetensors.numpy import save

    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    data = save(dict(arrays), metadata={"minialex": json.dumps(about)})
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
    save_arrays(path, arrays, {"progress": progress, "lr": optimizer.lr, "random": _random(net)})


def load_checkpoint(path: str | os.PathLike[str], net: Module, optimizer: SGD) -> dict[str, Any]:
    """Bring net and optimizer to the stored state, on whatever devices they are -> `progress`."""
    arrays, about = load_arrays(path)
    try:
        for prefix, owner in (("weight/", net), ("velocity/", optimizer)):
            owner.load_state({name.removeprefix(prefix): array for name, array in arrays.items()
                              if name.startswith(prefix)})
        optimizer.lr = about["lr"]
        modules = dict(net.named_modules())
        for name, state in about["random"].items():
            modules[name].rng.bit_generator.state = state
        return about["progress"]
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: does not fit this network ({error})") from None


def _random(net: Module) -> dict[str, Any]:
    """States of the random generators, by the paths of the modules that draw from them."""
    return {name: module.rng.bit_generator.state for name, module in net.named_modules()
            if hasattr(module, "rng")}
