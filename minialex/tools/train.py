"""`minialex train`: a run from first weights to pictures, in a folder of its own."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path

from .. import __version__, models
from ..errors import FileError, InputError
from ..nn import Module
from ..training import DivergedError, Run, layers
from ..training.folder import CONFIG, OtherImagesError
from . import ranks
from .job import Job, new_job, resumed_job
from .show import Display, stopped_by_signals
from .text import command, fact, say
from .train_arguments import add_arguments

__all__ = ["DESCRIPTION", "SUMMARY", "add_arguments", "run"]

SUMMARY = "train a network and draw what it learnt"
DESCRIPTION = ("Train a network and write a folder with its log, weights and pictures. Without "
               "options: the small AlexNet on 10,000 pictures of clothes, 2 to 3 minutes on two "
               "cores. Ctrl-C stops a run, and --resume continues it. After a crash, --resume "
               "repeats at most the last ten minutes.")


def run(options: argparse.Namespace) -> int:
    """Train as the options say. Exit code 0, or 130 if it was interrupted and can be resumed."""
    group = ranks.connected(options.parallel)
    with group.together():
        # A rank that leaves while others train would keep them waiting for ever.
        group.compare({"--resume": bool(options.resume), "--explain": options.explain})
        job = (resumed_job if options.resume else new_job)(options, group)
        if job is None:  # only its recipe was asked for, or it is finished
            return 0
        chosen, recipe, data = job.settings, job.recipe, job.data
        with _named(job.folder / CONFIG if options.resume else None):
            net = models.build(chosen.model, job.devices, len(data.train.classes),
                               data.train.shape[2], recipe.width, recipe.init, recipe.image_size,
                               chosen.seed, recipe.norm)
            _introduce(job, net, options.parallel, group.size)
            run = Run(net, data, recipe, chosen.seed, job.folder, steps=chosen.steps,
                      resume=bool(options.resume), start=job.start,
                      about={"version": __version__, **asdict(chosen)},
                      worker=ranks.worker(options.parallel, group))
        fact("steps", f"{run.steps_in_epoch:,} in an epoch, {run.steps_in_all:,} in all")
        fact("folder", str(job.folder))
        if options.parallel:
            ranks.compare(group, options.parallel, run)
        with _advice(run, job.folder), closing(Display(run)) as display, \
                stopped_by_signals(run, group.size):
            for event in run:
                display.show(event)
        if not run.finished:
            say("", f"stopped after step {run.progress.steps:,}; all is saved. Go on with:",
                f"  {command('train', '--resume', job.folder)}")
            return 130
        names = (path.name for path in job.folder.iterdir() if path.name[0] != ".")
        say(f"wrote {', '.join(sorted(names))}")
        return 0


def _introduce(job: Job, net: Module, parallel: str | None, processes: int) -> None:
    """Say what will be trained, on what."""
    chosen, recipe = job.settings, job.recipe
    fact("network", f"{chosen.model}: {sum(p.size for p in net.parameters()):,} parameters")
    if chosen.start:
        first, *_, last = layers(net)
        news = [f"{last} is new"] if recipe.last_lr != 1 else []
        news += [f"{first} to {recipe.frozen} are frozen"] if recipe.frozen else []
        fact("start", f"{chosen.start}: {'; '.join(news)}" if news else chosen.start)
    fact("devices", f"{' and '.join(job.devices)}: {job.why}")
    if parallel:
        fact("ranks", f"{processes}, {parallel} parallel")
    fact("data", str(job.data))
    fact("recipe", f"epochs {recipe.epochs}, batch {recipe.batch}, rate {recipe.lr:g}, ...; "
                   "--explain shows all and why")


@contextmanager
def _named(path: Path | None) -> Iterator[None]:
    """Errors name the file whose settings do not go together."""
    try:
        yield
    except InputError as error:
        if path is None:
            raise
        raise InputError(f"{path}: {error}") from None


@contextmanager
def _advice(run: Run, folder: Path) -> Iterator[None]:
    """Add to errors of the run what to do about them on the command line."""
    go_on = command("train", "--resume", folder)
    try:
        yield
    except DivergedError as error:
        raise DivergedError(
            f"after step {run.progress.steps}: {error}. Start again with a lower --lr than "
            f"{run.recipe.lr:g}, and another --out") from None
    except OtherImagesError as error:
        raise InputError(f"--resume {error}, with --data") from None
    except BrokenPipeError:  # whoever reads what is printed has seen enough
        raise
    except OSError as error:
        begun = (folder / CONFIG).exists()
        known = isinstance(error, FileError) or not error.strerror
        text = str(error) if known else (f"{error.filename or folder}: {error.strerror}; see to it"
                                         + ("" if begun else ", or choose another folder"))
        raise FileError(f"{text}; then go on with: {go_on}" if begun else
                        f"{text}, with --out") from None
    except KeyboardInterrupt:
        say("", "Go on from the last checkpoint with:", f"  {go_on}")
        raise
