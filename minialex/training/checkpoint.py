"""Checkpoints: weights and velocities in safetensors, the rest as JSON in the same file."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from .. import checks
from ..errors import InputError
from ..files import parse_json, replacing
from ..nn import Module
from ..optim import SGD
from .events import Kept
from .stored import has_type

__all__ = ["BEST", "CheckpointError", "checkpoints", "drop_old", "load_arrays", "load_checkpoint",
           "load_newest", "save_arrays", "save_checkpoint", "save_newest"]

KEPT = 2  # newest checkpoints of a run that stay on the disk
BEST = "best.safetensors"

T = TypeVar("T")


class CheckpointError(InputError):
    """A checkpoint that is missing, damaged, or of another network."""


def save_arrays(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray],
                about: Mapping[str, Any]) -> None:
    """Write arrays and a description of them, so that `path` is never half a file."""
    from safetensors.numpy import save

    about = {**about, "crc32": _checksum(arrays, about)}
    data = save(dict(arrays), metadata={"minialex": json.dumps(about)})
    with replacing(path) as file:
        file.write(data)


def load_arrays(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What `save_arrays` wrote. Raises CheckpointError, naming the file, if it is damaged."""
    from safetensors import SafetensorError, safe_open

    path = checks.path("load_checkpoint", "path", path)
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file; name a run folder that has one")
    try:
        with safe_open(path, framework="numpy") as file:
            about = parse_json((file.metadata() or {}).get("minialex", "null"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        checksum = about.pop("crc32", None)  # older files have none
        if checksum not in (None, _checksum(arrays, about)):
            raise InputError("wrong checksum")
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise InputError(f"{name} holds what is no number")
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged, or not written by minialex ({error}); "
                              "use another checkpoint, or train again") from None
    return arrays, about


def _checksum(arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> int:
    checksum = zlib.crc32(json.dumps(about).encode())
    for _, array in sorted(arrays.items()):
        checksum = zlib.crc32(np.ascontiguousarray(array), checksum)
    return checksum


def save_checkpoint(path: str | os.PathLike[str], net: Module, optimizer: SGD,
                    progress: Mapping[str, Any],
                    more: Mapping[str, np.ndarray] | None = None) -> None:
    """All that the next step depends on: weights, velocities, random states, and `progress`.

    more: arrays to store beside them, which `load_checkpoint` passes over.
    """
    checks.kinds("save_checkpoint", net=(net, Module), optimizer=(optimizer, SGD))
    arrays = {f"weight/{name}": array for name, array in net.state().items()}
    arrays |= {f"velocity/{name}": array for name, array in optimizer.state().items()}
    random = {name: generator.state for name, generator in _generators(net).items()}
    save_arrays(checks.path("save_checkpoint", "path", path), {**arrays, **(more or {})},
                {"progress": progress, "lr": optimizer.lr, "random": random})


def load_checkpoint(path: str | os.PathLike[str], net: Module, optimizer: SGD,
                    read: Callable[[Any], Any] = dict) -> Any:
    """Bring net and optimizer to the stored state, on whatever devices they are -> `progress`.

    read: turns the stored progress into what the caller wants, and raises ValueError if it cannot.
    Raises CheckpointError, naming the file, if it is not one of this network; then net and
    optimizer stay as they are.
    """
    checks.kinds("load_checkpoint", net=(net, Module), optimizer=(optimizer, SGD))
    arrays, about = load_arrays(path)
    try:
        missing = {"lr", "progress", "random"} - about.keys()
        if missing:
            raise InputError(f"it has no {', '.join(sorted(missing))}: weights without their run")
        progress, generators = read(about["progress"]), _generators(net)
        if not has_type(about["lr"], float):
            raise InputError(f"lr is {about['lr']!r}; it must be a number")
        if generators.keys() != about["random"].keys():
            raise InputError(f"it has random states of {', '.join(about['random']) or 'no layer'}, "
                             f"this network of {', '.join(generators) or 'no layer'}")
        for name, generator in generators.items():
            type(generator)().state = about["random"][name]  # raises if it is not a state
        # The velocities first: they are fewer where a part of the net is not trained.
        for prefix, owner in (("velocity/", optimizer), ("weight/", net)):
            owner.load_state({name.removeprefix(prefix): array for name, array in arrays.items()
                              if name.startswith(prefix)})
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: does not fit this network ({error}); use another "
                              "checkpoint, or the network that it was saved from") from None
    optimizer.lr = about["lr"]
    for name, generator in generators.items():
        generator.state = about["random"][name]
    return progress


def checkpoints(folder: str | os.PathLike[str]) -> list[Path]:
    """The checkpoints of a run, the newest first; the best one is not among them."""
    return sorted(Path(folder).glob("checkpoint-*.safetensors"), reverse=True)


def save_newest(folder: str | os.PathLike[str], net: Module, optimizer: SGD,
                progress: Mapping[str, Any], best: bool = False,
                more: Mapping[str, np.ndarray] | None = None) -> Path:
    """Add a checkpoint, named after `progress["steps"]`, and drop what is older than the last two.

    best: it becomes `best.safetensors`, too. more: as in `save_checkpoint`.
    """
    path = Path(folder) / f"checkpoint-{progress['steps']:09d}.safetensors"
    if best:  # first: a run that goes on from the other will not write this one again
        save_checkpoint(path.with_name(BEST), net, optimizer, progress, more)
        _second_name(path.with_name(BEST), path)
    else:
        save_checkpoint(path, net, optimizer, progress, more)
    _sync_names(path.parent)
    drop_old(folder)
    return path


def drop_old(folder: str | os.PathLike[str]) -> None:
    """Remove all but the newest two checkpoints; a process that was killed may have left more."""
    for old in checkpoints(folder)[KEPT:]:
        old.unlink()


def load_newest(folder: str | os.PathLike[str], net: Module, optimizer: SGD,
                read: Callable[[Any], T]) -> tuple[T, list[Kept]]:
    """Go back to the newest checkpoint that can be read, or else to the best.

    read: as in `load_checkpoint`. -> its result, and the newer checkpoints that are damaged; their
    names now end in .damaged.
    Raises CheckpointError if all are damaged, or there are none.
    """
    damaged: dict[Path, CheckpointError] = {}
    for path in [*checkpoints(folder), *Path(folder).glob(BEST)]:
        try:
            progress = load_checkpoint(path, net, optimizer, read)
        except CheckpointError as error:
            damaged[path] = error
            continue
        # They are kept: the disk, or its network, may be at fault only for now.
        return progress, [
            Kept(other, other.replace(f"{other}.damaged"),
                 f"cannot be used; going back to {path.name}") for other in damaged]
    if not damaged:
        raise CheckpointError(f"{folder}: there is no checkpoint in it; name the folder of a run")
    raise CheckpointError(f"{folder}: none of its {len(damaged)} checkpoints can be used; the "
                          f"newest is {next(iter(damaged.values()))}")


def _second_name(path: Path, name: Path) -> None:
    """Give the file `path` a second name; on a disk without links, make a copy."""
    link = name.with_name(f"{name.name}.{secrets.token_hex(4)}.part")
    try:
        os.link(path, link)
    except OSError:
        with replacing(name) as copy, open(path, "rb") as file:
            shutil.copyfileobj(file, copy)
    else:
        os.replace(link, name)


def _sync_names(folder: Path) -> None:
    """Bring the names of new files to the disk.

    Otherwise a power cut could undo them, but not the removal of older files.
    """
    with suppress(OSError):  # some systems cannot
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _generators(net: Module) -> dict[str, np.random.BitGenerator]:
    """The random generators, by the paths of the modules that draw from them."""
    return {name: module.rng.bit_generator for name, module in net.named_modules()
            if hasattr(module, "rng")}
