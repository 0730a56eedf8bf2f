"""How far a run has come: what a resumed run needs besides weights and random states."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..backend import Device
from ..datasets import ImageSet
from .step import Step

__all__ = ["Progress"]


@dataclass
class Progress:
    """What a checkpoint stores about its run, beside weights, velocities and random states.

    classes, labels: names, and a checksum of the labels, of the training images. mean: a checksum
    of the mean image that is taken off them.
    """

    classes: list[str]
    labels: int
    mean: int
    epoch: int = 1  # the one at work, from 1 on
    number: int = 0  # batches of this epoch that are done
    images: int = 0  # in these batches
    loss_sum: float = 0.0  # over these images
    steps: int = 0  # since the beginning of the run
    seconds: float = 0.0
    waited: float = 0.0  # seconds for images
    errors: list[float] = field(default_factory=list)  # top-1, validation, after each epoch
    stuck: bool = False  # whether the user has been told
    # What the first step copied between devices, and what each process sent to others, by label.
    copied_bytes: int | None = None
    copies: str = ""
    sent_bytes: dict[str, int] = field(default_factory=dict)
    peak_memory: dict[str, int] = field(default_factory=dict)  # bytes, by device

    @classmethod
    def at_start(cls, images: ImageSet, mean: np.ndarray) -> Progress:
        return cls(list(images.classes), zlib.crc32(images.labels), zlib.crc32(mean))

    def same_images(self, other: Progress) -> bool:
        """Whether both are of runs on the same training images."""
        return ((self.classes, self.labels, self.mean)
                == (other.classes, other.labels, other.mean))

    def adds_up(self, steps_in_epoch: int) -> bool:
        """Whether its counts fit each other, in a run with so many steps in an epoch."""
        return (len(self.errors) == self.epoch - 1 and 0 <= self.number <= steps_in_epoch
                and self.number <= self.images
                and self.steps == len(self.errors) * steps_in_epoch + self.number)

    @property
    def train_loss(self) -> float:
        """Mean over the images of this epoch so far."""
        return self.loss_sum / max(self.images, 1)

    @property
    def best(self) -> float:
        """The smallest error so far."""
        return min(self.errors, default=math.inf)

    def count(self, step: Step) -> None:
        self.number += 1
        self.steps += 1
        self.images += step.images
        self.loss_sum += step.loss * step.images

    def next_epoch(self, error: float) -> None:
        """The epoch is over, with this error on the validation images."""
        self.errors.append(error)
        self.epoch, self.number, self.images, self.loss_sum = self.epoch + 1, 0, 0, 0.0

    def note_memory(self, devices: Iterable[Device]) -> None:
        """Keep the most memory that each device has held, in any process of the run."""
        for device in devices:
            peak = self.peak_memory.get(device.name, 0)
            self.peak_memory[device.name] = max(device.memory().peak, peak)

    def summary(self) -> dict[str, Any]:
        """What summary.json says about time, copies and memory."""
        return {"seconds": round(self.seconds, 1), "steps": self.steps,
                "waiting_share": round(self.waited / max(self.seconds, 1e-9), 4),
                "bytes_per_step": self.copied_bytes, "peak_memory": self.peak_memory}
