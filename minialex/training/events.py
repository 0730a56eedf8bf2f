"""What happens in a run: `Run` yields one of these small objects for each event."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["EpochDone", "Event", "Kept", "RateFell", "Resumed", "RunDone", "Saved", "StepDone",
           "Stuck"]


@dataclass(frozen=True)
class Event:
    """The base of all events."""


@dataclass(frozen=True)
class Kept(Event):
    """A damaged file of a resumed run. It is kept under a new name (None: it was missing)."""

    path: Path
    kept: Path | None
    what: str  # what is wrong, or what is used instead


@dataclass(frozen=True)
class Resumed(Event):
    """The run goes on from a checkpoint."""

    step: int  # after which the checkpoint was made
    epoch: int  # with which it goes on, from 1 on


@dataclass(frozen=True)
class StepDone(Event):
    """One training step."""

    step: int  # from 1 on, since the beginning of the run
    epoch: int  # from 1 on
    lr: float
    loss: float  # mean over the images of the step, in nats
    images: int
    seconds: float  # since the beginning of the run
    waited: float  # of these, the seconds in which training waited for images


@dataclass(frozen=True)
class EpochDone(Event):
    """All training images were seen once more, and then the validation images."""

    epoch: int
    steps: int  # since the beginning of the run
    lr: float
    train_loss: float  # mean over the images of the epoch, in nats
    val_loss: float
    top1_error: float  # share of the validation images, in [0, 1]
    top5_error: float | None  # None with five classes or fewer
    seconds: float
    waited: float


@dataclass(frozen=True)
class Stuck(Event):
    """The loss is still that of a network that has learnt nothing about the images."""

    advice: str


@dataclass(frozen=True)
class RateFell(Event):
    """The next epoch has this rate, a tenth of the last."""

    lr: float


@dataclass(frozen=True)
class Saved(Event):
    """A file was written from which the run, or a classifier, can be loaded."""

    path: Path
    best: bool = False  # of all epochs so far


@dataclass(frozen=True)
class RunDone(Event):
    """The last epoch is over. Errors and loss are those on the test images."""

    steps: int
    loss: float
    top1_error: float
    top5_error: float | None
    images: int
    seconds: float
