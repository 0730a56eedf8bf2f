"""What a terminal, or a log file, shows of a training run."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from ..training import (
    EpochDone,
    Event,
    Kept,
    RateFell,
    Resumed,
    Run,
    RunDone,
    StepDone,
    Stuck,
)
from ..training.folder import LOG, STEPS
from .text import count, fact, progress_bar, say

__all__ = ["Display", "stopped_by_signals"]

LINE_EVERY = 120.0  # seconds, where no bar is seen
DRAWN = 12  # test images in predictions.png


class Display:
    """Shows the events of a run: a bar on a terminal, a line now and then in a log file."""

    def __init__(self, run: Run) -> None:
        self.run, self.val_name, self.test_name = run, run.data.val_name, run.data.test_name
        self.bar: Any = None
        self.first: tuple[int, float] | None = None  # step, and the time, at which this one began
        self.told = time.monotonic()

    def show(self, event: Event) -> None:
        match event:
            case StepDone():
                self._step(event)
            case EpochDone():
                self.close()
                say(f"epoch {event.epoch}/{self.run.recipe.epochs}: loss {event.train_loss:.3f}, "
                    f"{self.val_name} {_errors(event)}, {event.seconds:.0f} s")
            case Stuck():
                say(event.advice)
            case RateFell():
                say("the rate falls to a tenth")
            case Kept(path=path, kept=kept):
                say(f"{path}: {event.what}{f'; it is kept as {kept.name}' if kept else ''}")
            case Resumed():
                fact("resumed", f"after step {event.step:,}")
            case RunDone():
                self._end(event)

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def _step(self, event: StepDone) -> None:
        self.first = self.first or (event.step, time.monotonic())
        shown = f"loss {self.run.progress.train_loss:.3f}, {self._speed(event)}"
        if self.bar is None:
            # The loss before the speed, since a narrow terminal cuts off the end.
            self.bar = progress_bar(
                f"epoch {event.epoch}/{self.run.recipe.epochs}", self.run.steps_in_epoch, "step",
                self.run.progress.number - 1, postfix=shown,
                bar_format="{desc} {bar} {n_fmt}/{total_fmt}{postfix}")
        self.bar.set_postfix_str(shown, refresh=False)
        self.bar.update()
        seen = not self.bar.disable and sys.stdout.isatty()
        if not seen and time.monotonic() - self.told > LINE_EVERY:
            self.told = time.monotonic()
            say(f"step {event.step:,} of {self.run.steps_in_all:,}: {shown}")

    def _speed(self, event: StepDone) -> str:
        """How long the whole run will take from here, and how fast it is."""
        step, began = self.first or (event.step, 0.0)
        if event.step == step:
            return "..."
        each = (time.monotonic() - began) / (event.step - step)
        left = each * (self.run.steps_in_all - event.step)
        return f"{_duration(left)} left, {self.run.recipe.batch / each:.0f} images/s"

    def _end(self, event: RunDone) -> None:
        """The result of the whole run, and its pictures."""
        progress, recipe = self.run.progress, self.run.recipe
        say("", f"copies between devices in one step, batch {recipe.batch}:",
            *(f"  {line}" for line in progress.copies.split("\n")))
        if sent := progress.sent_bytes:
            parts = ", ".join(f"{label} {count:,}" for label, count in sent.items())
            say(f"sent to other processes by each in one step: {sum(sent.values()):,} bytes "
                f"({parts})")
        if self.run.folder:
            _draw(self.run)
        say("", f"{self.test_name} {_errors(event)} on {count(event.images, 'image')}, "
            f"after {count(event.steps, 'step')} in {event.seconds:.0f} s")


def _draw(run: Run) -> None:
    """The pictures of a run, beside its other files."""
    from . import plots  # Matplotlib is slow to import

    assert run.folder is not None
    folder, test = run.folder.path, run.data.test
    plots.curves(list(run.folder.entries(LOG)), run.data.val_name, folder / "curves.png",
                 run.folder.entries(STEPS))
    plots.filters(run.net, folder / "filters.png")
    chosen = np.linspace(0, len(test) - 1, min(DRAWN, len(test))).astype(np.int64)
    plots.predictions(chosen, run.classifier().predict(list(test.read(chosen))), test,
                      folder / "predictions.png")


def _errors(event: EpochDone | RunDone) -> str:
    top5 = "" if event.top5_error is None else f", top-5 {event.top5_error:.2%}"
    return f"error top-1 {event.top1_error:.2%}{top5}"


def _duration(seconds: float) -> str:
    """45 s, 12 min, 3.5 h, 6.2 days: one number is enough."""
    for unit, length in ("days", 86400), ("h", 3600):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"


@contextmanager
def stopped_by_signals(run: Run, processes: int = 1) -> Iterator[None]:
    """Ctrl-C, and a request to end (SIGTERM), stop the run after the current step.

    SIGTERM only if there is one of `processes`: others would wait in vain, and whoever started
    them ends them all. A signal that is ignored, as Ctrl-C is for what `nohup` or `&` has started,
    stays ignored.
    """
    asked = False

    def stop(*_: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        run.stop()
        with suppress(RuntimeError):  # if the signal came while something was being printed
            say("stopping after this step (Ctrl-C again: at once, without saving) ...")

    signals = [signal.SIGINT, signal.SIGTERM] if processes == 1 else [signal.SIGINT]
    before = {number: signal.getsignal(number) for number in signals
              if signal.getsignal(number) is not signal.SIG_IGN}
    try:
        for number in before:
            signal.signal(number, stop)
    except ValueError:  # not in the main thread: whoever started us handles Ctrl-C
        before = {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
