"""`minialex train`: a run from first weights to pictures, in a folder of its own."""

from __future__ import annotations

import argparse
import json
import math
import shutil
import tempfile
import time
import zlib
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import numpy as np

from .. import __version__, backend, nn
from ..datasets import Data, ImageSet
from ..errors import FileError, InputError
from ..files import LOCK, locked
from ..training import Recipe, change, explain, suggest
from ..training.checkpoint import CheckpointError
from ..training.distributed import Communicator, connect, started_by_mpi
from ..training.hybrid import Hybrid
from ..training.parallel import Alone, DataParallel
from .run import Run, write
from .setup import MODELS, build, choose_devices, data_of_run, load_data

__all__ = ["train"]

# Not argparse's, so that --resume sees whether an option was given.
DEFAULTS = {"model": "alexnet-small", "data": "fashion-mnist", "recipe": "run145", "seed": 0}
CHANGEABLE = {"devices", "threads", "data", "data_dir", "debug", "parallel", "resume", "run"}
WIDEST = 8  # times as many kernels as in the paper
SCHEMES = {None: Alone, "data": DataParallel, "hybrid": Hybrid}


def train(options: argparse.Namespace) -> int:
    """Train as the options say. Exit code 0, or 130 if it was interrupted and can be resumed."""
    group = Communicator()
    if options.parallel:
        group = connect()
    elif started_by_mpi() > 1:
        raise InputError(f"{started_by_mpi()} processes were started, which would all write to one "
                         "folder; share the work out among them: --parallel data")
    with group.together():
        return _train(options, group)


def _train(options: argparse.Namespace, group: Communicator) -> int:
    load = data_of_run if options.resume and not options.data else load_data
    if options.resume:
        options = _settings_of(Path(options.resume), options)
    else:
        _check(options)
    devices, why = choose_devices(options.devices)
    devices = devices[:1] if options.model == "lenet5" else devices  # it has no columns
    if options.threads is not None:
        backend.set_threads(options.threads)
    data = load(options.data, options.model, options.data_dir)
    recipe: Recipe = options.recipe
    sources: dict[str, str] = {}
    if not (options.resume or options.explain):
        for images in [data.val] if data.test is data.val else [data.val, data.test]:
            images.measure()  # reads all pictures of a raw folder: a broken one shows now
    if not options.resume:
        recipe, sources = _recipe(options, data.train)
    if options.explain:
        print(f"recipe {options.recipe} for {options.model} and {len(data.train):,} images:\n\n"
              f"{explain(recipe, sources)}")
        return 0
    if options.parallel:
        _check_ranks(options, data, recipe, group)
    net = build(options.model, devices, len(data.train.classes), data.train.shape[2], recipe.width,
                recipe.init, recipe.image_size, options.seed)
    folder = _open_folder(options, data, net) if group.rank == 0 else Path()
    print(f"network   {options.model}: {sum(p.size for p in net.parameters()):,} parameters")
    print(f"devices   {' and '.join(devices)}: {why}")
    if options.parallel:
        print(f"ranks     {group.size}, {options.parallel} parallel")
    print(f"data      {data}")
    print(f"recipe    epochs {recipe.epochs}, batch {recipe.batch}, rate {recipe.lr:g}, ...; "
          "--explain shows all and why")
    print(f"folder    {folder}", flush=True)
    with locked(folder / LOCK, "choose another folder") if group.rank == 0 else nullcontext():
        run = Run(folder, net, recipe, data, options.seed, options.steps,
                  SCHEMES[options.parallel], group)
        if options.resume:
            run.resume()
            print(f"resumed   after step {run.progress['steps']:,}", flush=True)
        elif group.rank == 0:
            write(folder / "config.json", json.dumps(_config(options, devices, recipe), indent=2))
        return _to_the_end(run, devices)


def _to_the_end(run: Run, devices: tuple[str, ...]) -> int:
    """Train and finish, or say how to go on."""
    go_on = f"minialex train --resume {run.folder}"
    try:
        if not run.train():
            print(f"\nstopped after step {run.progress['steps']:,}; all is saved. Go on with:\n"
                  f"  {go_on}")
            return 130
        with run.parallel.whole():
            run.finish(devices)
    except ArithmeticError as error:
        raise ArithmeticError(f"after step {run.progress['steps']}: {error}. Start again with a "
                              f"lower --lr than {run.recipe.lr:g}, and another --out") from None
    except BrokenPipeError:  # whoever reads what is printed has seen enough
        raise
    except OSError as error:
        raise FileError(f"{error}; then go on with: {go_on}") from None
    except KeyboardInterrupt:
        print(f"\nGo on from the last checkpoint with:\n  {go_on}", flush=True)
        raise
    return 0


def _check(options: argparse.Namespace) -> None:
    """Fill in what was not given, and refuse what makes no sense."""
    for name, value in DEFAULTS.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    for name, least in (("epochs", 1), ("steps", 1), ("batch", 1), ("patience", 0), ("seed", 0)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise InputError(f"--{name} {value}: give a whole number of at least {least}")
    if options.lr is not None and not 0 < options.lr < math.inf:
        raise InputError(f"--lr {options.lr}: the rate must be a number more than 0")
    if options.width is not None and not 0 < options.width <= WIDEST:
        raise InputError(f"--width {options.width}: give a share of the paper's kernels, more than "
                         f"0 and at most {WIDEST}")
    if options.mirror is not None and not 0 <= options.mirror <= 1:
        raise InputError(f"--mirror {options.mirror}: a chance lies between 0 and 1")
    if options.image_size is not None and options.model != "alexnet":
        raise InputError(f"--image-size {options.image_size} is for --model alexnet; "
                         f"{options.model} sees 28x28 pixels")
    for name in ("init", "width"):
        if options.model == "lenet5" and getattr(options, name) is not None:
            raise InputError(f"--{name} is for AlexNet; --model lenet5 is always the same network")


def _check_ranks(options: argparse.Namespace, data: Data, recipe: Recipe,
                 group: Communicator) -> None:
    """See that all ranks are going to train one network on one set of images."""
    some = np.linspace(0, len(data.train) - 1, 8).astype(np.int64)
    group.compare({
        "minialex": __version__, "NumPy": np.__version__,
        **{f"--{name}": getattr(options, name)
           for name in ("parallel", "model", "seed", "steps", "resume")}, **asdict(recipe),
        "images": len(data.train), "shape of images": data.train.shape,
        "labels, as checksum,": [zlib.crc32(images.labels) for images in data[:3]],
        "pictures, as checksum of some,": zlib.crc32(data.train.read(some))})
    if recipe.batch < group.size:
        raise InputError(f"a batch of {recipe.batch} images came for {group.size} ranks; give each "
                         "at least one, or start fewer")


def _recipe(options: argparse.Namespace, images: ImageSet) -> tuple[Recipe, dict[str, str]]:
    """What is suggested for the model and the data, changed by the options that were given."""
    recipe, sources = suggest(options.model, len(images), options.recipe, images.name)
    given = {name: getattr(options, name) for name in asdict(recipe)
             if getattr(options, name, None) is not None}
    return change(recipe, sources, **given)


def _config(options: argparse.Namespace, devices: tuple[str, ...],
            recipe: Recipe) -> dict[str, object]:
    """All that a run can be repeated and resumed with."""
    return {"version": __version__, "model": options.model, "data": options.data,
            "data_dir": options.data_dir, "devices": devices, "seed": options.seed,
            "steps": options.steps, "threads": options.threads, "recipe": asdict(recipe)}


def _settings_of(folder: Path, options: argparse.Namespace) -> argparse.Namespace:
    """The options of the run in `folder`; only where it finds devices and data may be new."""
    new = [f"--{name.replace('_', '-')}" for name, value in vars(options).items()
           if name not in CHANGEABLE and value is not None and value is not False]
    if new:
        raise InputError(f"--resume {folder} goes on with the settings of that run; leave out "
                         f"{', '.join(new)}, or start a new run without --resume")
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text())
        settings = {name: config[name] for name in ("model", "data", "seed", "steps", "threads")}
        settings["data_dir"] = config.get("data_dir")
        settings["devices"] = ",".join(config["devices"])
        recipe = Recipe(**{**config["recipe"], "falls": tuple(config["recipe"]["falls"])})
        if settings["model"] not in MODELS:
            raise InputError(f"{settings['model']!r} is no model of minialex")
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        if isinstance(error, KeyError):
            reason = f"no {error} in it"
        raise CheckpointError(f"--resume {folder}: {path} cannot be used ({reason}); name the "
                              "folder of a run of this version that was interrupted") from None
    settings |= {name: getattr(options, name) for name in settings
                 if getattr(options, name) is not None}
    try:
        choose_devices(settings["devices"])
    except backend.DeviceError as error:
        raise backend.DeviceError(f"{error}; name those to go on with: --devices A,B") from None
    return argparse.Namespace(**{**vars(options), **settings, "recipe": recipe,
                                 "out": str(folder)})


def _open_folder(options: argparse.Namespace, data: Data, net: nn.Module) -> Path:
    """Make the folder, and see that all can be written, before any time is spent."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    folder = Path(options.out or f"runs/{stamp}-{options.model}-{data.train.name}")
    elsewhere = ("copy the run to another disk, and resume it there" if options.resume else
                 "choose another --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A run that was killed while it wrote its config.json has left no more than these.
        if not options.resume and any(path.suffix != ".part" and path.name != LOCK
                                      for path in folder.iterdir()):
            raise InputError(f"{folder} is not empty; choose another --out, or go on with that "
                             f"run: minialex train --resume {folder}")
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"minialex")
    except OSError as error:
        raise FileError(f"{folder} cannot be written ({error.strerror}); {elsewhere}") from None
    # Two checkpoints of weights and velocities, the best one, one that is being written; the
    # weights, and a few pictures. A resumed run has some of it already.
    there = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    needed = 9 * sum(p.data.nbytes for p in net.parameters()) + 10 * 2**20 - there
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise FileError(f"{folder}: {free / 2**20:,.0f} MiB are free on this disk, a run needs "
                        f"{needed / 2**20:,.0f} MiB; make room, or {elsewhere}")
    return folder
