"""A run that is killed, at any moment, goes on as if nothing had happened.

SIGKILL leaves no time to clean up: whatever is on the disk then has to do. Some kills come from
outside, after a random time; others within the process, before, in the middle of, or after one of
its calls that write. A killed run is resumed, killed again, and so on, until it has ended; then
all that it wrote must be what an undisturbed run writes. MINIALEX_KILLS=40 kills more often.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minialex.training.checkpoint import load_arrays

pytestmark = [pytest.mark.ch11, pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")]

ROOT = Path(__file__).resolve().parents[1]
KILLS = int(os.environ.get("MINIALEX_KILLS", 6))  # of each kind

# The command line without pictures, which saves after every step. First argument: at which event
# it kills itself, or 0. An event is one of the places in which a call that writes can be cut off.
PROGRAM = """
import io, os, signal, sys, types
sys.modules["minialex.tools.plots"] = types.ModuleType("plots")  # Matplotlib takes its time
for name in ("curves", "filters", "predictions"):
    setattr(sys.modules["minialex.tools.plots"], name, lambda *_: None)
from minialex import files
from minialex.tools import cli
from minialex.training import folder, run

left = int(sys.argv[1])

def event(place):
    global left
    left -= 1
    if left == 0:
        print("killed:", place, flush=True)
        return True

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def fragile(name, call):
    def wrapped(*arguments, **options):
        paths = (path for path in arguments if not isinstance(path, int))
        place = " ".join([name, *map(os.path.basename, paths)])
        event(f"before {place}") and die()
        result = call(*arguments, **options)
        event(f"after {place}") and die()
        return result
    return wrapped

class Torn(io.BufferedWriter):
    def write(self, data):
        if event(f"in the middle of writing {os.path.basename(self.raw.name)}"):
            super().write(data[: len(data) // 2])
            self.flush()
            die()
        return super().write(data)

def open_torn(path, mode="r", **options):
    return open(path, mode, **options) if "r" in mode else Torn(io.FileIO(path, mode))

for name in ("replace", "link", "unlink", "fsync"):
    setattr(os, name, fragile(name, getattr(os, name)))
folder.open = files.open = open_torn
run.SAVE_EVERY = -1
code = cli.main(sys.argv[2:])
print("events:", -left)
sys.exit(code)
"""


class Trial:
    """A run in processes of its own: two epochs of three steps, each followed by a checkpoint."""

    def __init__(self, data, folder):
        self.data, self.folder = data, folder

    def process(self, kill_at=0):
        """Start it, or go on with it; what it prints lies in .said."""
        options = ["--resume", self.folder]
        if not (self.folder / "config.json").exists():
            options = ["--data", self.data, "--width", 0.05, "--batch", 8, "--epochs", 2,
                       "--devices", "cpu:0,cpu:1", "--seed", 3, "--out", self.folder]
        self.said = self.folder.with_suffix(".txt")
        with open(self.said, "w", encoding="utf-8") as out:
            return subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(kill_at), "train", *map(str, options)],
                stdout=out, stderr=subprocess.STDOUT, env={**os.environ, "PYTHONPATH": str(ROOT)})

    def steps(self):
        """How many it has made, by its log."""
        log = self.folder / "steps.jsonl"
        return len(log.read_bytes().splitlines()) if log.exists() else 0

    def finish(self):
        assert self.process().wait() == 0, self.said.read_text()
        return self

    def result(self):
        """All that is left of it, but for the time it took."""
        found = {"names": sorted(path.name for path in self.folder.iterdir())}
        for path in sorted(self.folder.glob("*.safetensors")):
            arrays, about = load_arrays(path)
            found[path.name] = [(name, sha256(array).hexdigest())
                                for name, array in sorted(arrays.items())]
            found[path.name].append(without_times(about.get("progress", {})))
            found[path.name].append(about.get("random"))
        for name in "log.jsonl", "steps.jsonl":
            lines = (self.folder / name).read_text().splitlines()
            found[name] = [without_times(json.loads(line)) for line in lines]
        return found


def without_times(entry):
    return {name: value for name, value in entry.items()
            if name not in ("seconds", "waited", "peak_memory")}


def compare(found, expected):
    """Name by name, and without pytest's list of differences, which takes it hours here."""
    assert found["names"] == expected["names"]
    different = [name for name, content in expected.items() if found[name] != content]
    assert not different
    return True


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """24 dark and bright pictures to learn from, 6 to look at."""
    root, rng = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for split, count in ("train", 12), ("val", 3):
        for name, level in ("bright", 150), ("dark", 20):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = level + rng.integers(0, 80, (32, 32, 3))
                Image.fromarray(pixels.astype(np.uint8)).save(root / split / name / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def undisturbed(photographs, tmp_path_factory):
    """Such a run, what it leaves, how long it takes, and how many events there are in it."""
    trial, began = Trial(photographs, tmp_path_factory.mktemp("runs") / "whole"), time.monotonic()
    trial.finish()
    trial.seconds = time.monotonic() - began
    trial.events = int(trial.said.read_text().rpartition("events:")[2])
    trial.result = trial.result()
    return trial


def test_undisturbed_run_is_what_it_should_be(undisturbed):
    result = undisturbed.result
    assert [entry["step"] for entry in result["steps.jsonl"]] == [1, 2, 3, 4, 5, 6]
    assert [entry["epoch"] for entry in result["log.jsonl"]] == [1, 2]
    assert {"best.safetensors", "checkpoint-000000005.safetensors",
            "checkpoint-000000006.safetensors", "model.safetensors"} <= set(result["names"])
    assert undisturbed.events > 100, "nothing was watched"


def test_run_that_is_killed_while_it_writes(photographs, undisturbed, tmp_path):
    expected = undisturbed.result
    trial, chance = Trial(photographs, tmp_path / "run"), random.Random(1)
    killed = []
    while len(killed) < KILLS:
        code = trial.process(kill_at=chance.randint(1, undisturbed.events // 3)).wait()
        said = trial.said.read_text()
        if code == 0:  # it came to its end: begin another
            assert compare(trial.result(), expected), killed
            trial = Trial(photographs, tmp_path / f"run{len(killed)}")
            continue
        assert code == -signal.SIGKILL, said
        killed.append(said.rpartition("killed: ")[2].strip())
    assert compare(trial.finish().result(), expected), killed
    print(*killed, sep="\n")


def test_run_that_is_killed_from_outside(photographs, undisturbed, tmp_path):
    """A step or two further on than the last time, and a little later."""
    trial, chance = Trial(photographs, tmp_path / "run"), random.Random(2)
    killed = []
    while len(killed) < KILLS:
        process, step = trial.process(), trial.steps() + chance.randint(0, 2)
        while process.poll() is None and trial.steps() < step:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, undisturbed.seconds / 6))
        process.kill()
        code = process.wait()
        if code == 0:  # it came to its end: begin another
            assert compare(trial.result(), undisturbed.result), killed
            trial = Trial(photographs, tmp_path / f"run{len(killed)}")
            continue
        assert code == -signal.SIGKILL, trial.said.read_text()
        killed.append(trial.steps())
        if killed[-1] == 6:
            assert compare(trial.finish().result(), undisturbed.result), killed
            trial = Trial(photographs, tmp_path / f"run{len(killed)}")
    assert compare(trial.finish().result(), undisturbed.result), killed
    print("steps in the log at each kill:", killed)


@pytest.mark.parametrize("spoil", [
    lambda folder: (folder / "steps.jsonl").write_text(""),
    lambda folder: (folder / "model.safetensors.part").write_text(""),
    lambda folder: (folder / "best.safetensors").unlink(),
    lambda folder: shutil.copy(folder / "checkpoint-000000005.safetensors",
                               folder / "checkpoint-000000006.safetensors"),
], ids=["lines lost", "left-over file", "no best", "another state"])
def test_comparison_sees_a_difference(undisturbed, tmp_path, spoil):
    """Negative control."""
    trial = Trial(None, tmp_path / "run")
    shutil.copytree(undisturbed.folder, trial.folder)
    assert compare(trial.result(), undisturbed.result)
    spoil(trial.folder)
    with pytest.raises(AssertionError):
        compare(trial.result(), undisturbed.result)
