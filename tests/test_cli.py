"""`minialex train`: what it writes, what it says, and how it stops and goes on."""

import contextlib
import errno
import io
import itertools
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from runs import mistake
from safetensors import safe_open

from minialex import backend, datasets, models, optim, training
from minialex.files import locked
from minialex.tools import cli, plots, show
from minialex.tools.images import open_data
from minialex.tools.text import command
from minialex.training import Run, Worker
from minialex.training import run as run_module

pytestmark = pytest.mark.ch11

ROOT = Path(__file__).resolve().parents[1]
MODEL, BEST = "model.safetensors", "best.safetensors"


def checkpoint(steps):
    return f"checkpoint-{steps:09d}.safetensors"


def files(*steps):
    """What a run leaves whose last checkpoints were made after these steps."""
    return [BEST, *map(checkpoint, steps), "config.json", "curves.png", "filters.png", "log.jsonl",
            MODEL, "predictions.png", "steps.jsonl", "summary.json"]


def newest(folder):
    return max(folder.glob("checkpoint-*.safetensors"))


# Running it


def make_photographs(root, **counts):
    """JPEGs of two classes, dark and bright: so many of each in each split."""
    rng = np.random.default_rng(0)
    for split, count in counts.items():
        for name, level in (("bright", 150), ("dark", 20)):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = level + rng.integers(0, 80, (40, 50, 3))
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.jpg")
    return root


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    return make_photographs(tmp_path_factory.mktemp("data") / "photographs", train=12, val=3)


@pytest.fixture
def tiny(minialex, photographs, devices, tmp_path, monkeypatch):
    """Train on the photographs for two epochs of three steps, without drawing; call it with the
    name of a folder and more options."""
    for name in plots.__all__:
        monkeypatch.setattr(plots, name, lambda *_: None)

    def run(out, *options):
        return minialex("train", "--data", photographs, "--width", 0.05, "--batch", 8, "--epochs",
                        2, "--devices", ",".join(devices), "--out", tmp_path / out, *options)

    return run


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def about(path):
    """What a file of weights says of itself."""
    with safe_open(path, framework="numpy") as file:
        return json.loads(file.metadata()["minialex"])


def arrays(path):
    with safe_open(path, framework="numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


# A whole run


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory, pytestconfig):
    """The default data and model, narrow, for three steps: the folder, and what was printed."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = cli.main(["train", "--steps", "3", "--width", "0.05", "--batch", "16", "--seed", "4",
                         "--devices", pytestconfig.getoption("--device"), "--out", str(folder)])
    assert code == 0
    return folder, printed.getvalue()


def test_run_writes_its_files_and_nothing_else(whole_run):
    assert names(whole_run[0]) == files(0, 3)


def test_pictures_are_valid_and_not_empty(whole_run):
    for name in ("curves.png", "filters.png", "predictions.png"):
        with Image.open(whole_run[0] / name) as picture:
            picture.verify()
        with Image.open(whole_run[0] / name) as picture:
            assert picture.format == "PNG" and min(picture.size) > 150
            assert np.asarray(picture.convert("L")).std() > 10


def row_of_readme(name):
    """The keys that the README names for a file."""
    (row,) = [line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
              if line.startswith(f"| `{name}`")]
    return re.findall(r"`(\w+)`", row)


def test_log_has_the_keys_that_the_readme_names(whole_run):
    (entry,) = lines(whole_run[0] / "log.jsonl")
    assert list(entry) == row_of_readme("log.jsonl")
    assert (entry["epoch"], entry["steps"], entry["lr"]) == (1, 3, suggested().lr)
    assert 0 <= entry["top5_error"] <= entry["top1_error"] <= 1
    assert 1 < entry["train_loss"] < 10 and 1 < entry["val_loss"] < 10
    assert 0 < entry["waited"] < entry["seconds"]


def test_every_step_has_a_line(whole_run):
    steps = lines(whole_run[0] / "steps.jsonl")
    assert [entry["step"] for entry in steps] == [1, 2, 3]
    for entry in steps:
        assert list(entry) == row_of_readme("steps.jsonl")
        assert (entry["epoch"], entry["lr"]) == (1, suggested().lr)
    (epoch,) = lines(whole_run[0] / "log.jsonl")
    assert np.mean([entry["loss"] for entry in steps]) == pytest.approx(epoch["train_loss"])
    for name in "seconds", "waited":
        times = [entry[name] for entry in [*steps, epoch]]
        assert times == sorted(times)


def suggested(model="alexnet-small", images=10_000):
    return training.suggest(model, images)[0]


def test_summary(whole_run, devices):
    summary = json.loads((whole_run[0] / "summary.json").read_text())
    (entry,) = lines(whole_run[0] / "log.jsonl")
    assert set(summary) == {"top1_error", "top5_error", "seconds", "steps", "waiting_share",
                            "bytes_per_step", "parameters", "peak_memory", "seed"}
    assert {key: summary[key] for key in ("top1_error", "top5_error", "steps")} == {
        key: entry[key] for key in ("top1_error", "top5_error", "steps")}
    net = models.AlexNet(devices, 10, 28, 1, 0.05, "he", 4)
    assert summary["parameters"] == sum(p.size for p in net.parameters())
    assert (summary["bytes_per_step"] > 0) == (devices[0] != devices[1])
    assert set(summary["peak_memory"]) == set(devices) and summary["seed"] == 4
    assert min(summary["peak_memory"].values()) > 0
    assert summary["waiting_share"] == pytest.approx(entry["waited"] / entry["seconds"], abs=0.01)


def test_config_holds_all_settings(whole_run, devices):
    config = json.loads((whole_run[0] / "config.json").read_text())
    assert config["devices"] == list(devices) and config["model"] == "alexnet-small"
    assert (config["data"], config["seed"], config["steps"]) == ("fashion-mnist", 4, 3)
    assert config["recipe"] == {**vars(suggested()), "width": 0.05, "batch": 16,
                                "falls": list(suggested().falls)}


def test_weights_come_with_what_is_needed_to_use_them(whole_run, devices):
    stored = arrays(whole_run[0] / MODEL)
    mean = stored.pop("input.mean")
    assert mean.shape == (28, 28, 1) and 60 < mean.mean() < 90
    net = models.AlexNet(devices, 10, 28, 1, 0.05, "he", 0)
    net.load_state(stored)
    assert about(whole_run[0] / MODEL)["classes"][9] == "Ankle boot"
    of_checkpoint = arrays(whole_run[0] / checkpoint(3))
    for name, array in stored.items():
        np.testing.assert_array_equal(array, of_checkpoint[f"weight/{name}"])


def test_run_says_what_it_does(whole_run, devices):
    folder, printed = whole_run
    for part in ("network   alexnet-small: ", f"devices   {devices[0]} and {devices[1]}: as you",
                 "10,000 training and 2,000 test images, 10 classes", f"folder    {folder}",
                 "epoch 1/", ", test error top-1 ", "wrote " + ", ".join(files(0, 3)),
                 "recipe    epochs 10, batch 16, rate 0.05, ...; --explain shows all and why\n"):
        assert part in printed
    if devices[0] != devices[1]:
        assert re.search(r"sum  +[\d,]+  14 transfers", printed)


def test_default_folder_is_named_after_time_model_and_data(minialex, tiny, photographs, tmp_path,
                                                           monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert minialex("train", "--data", photographs, "--steps", 1, "--width", 0.05).code == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"\d{8}-\d{6}-alexnet-small-photographs", folder.name)


# The same bits, and others


def test_one_seed_gives_the_same_file_twice(tiny, tmp_path):
    for name, seed in ("one", 1), ("same", 1), ("other", 2):
        assert tiny(name, "--seed", seed).code == 0
    one, same, other = ((tmp_path / name / MODEL).read_bytes() for name in ("one", "same", "other"))
    assert one == same and one != other


def test_one_device_gives_the_weights_of_two(tiny, two_devices, tmp_path):
    assert tiny("two").code == tiny("one", "--devices", two_devices[0]).code == 0
    two, one = (arrays(tmp_path / name / MODEL) for name in ("two", "one"))
    assert all(one[name].tobytes() == two[name].tobytes() for name in two)


# Interrupted and resumed


def interrupt(monkeypatch, step, times=1, number=signal.SIGINT):
    """Ctrl-C while step number `step` of the run is being made, or another signal."""
    def counted(worker, batches, real=Worker.steps):
        for result in real(worker, batches):
            nonlocal step
            step -= 1
            for _ in range(times if step == 0 else 0):
                signal.raise_signal(number)
            yield result

    monkeypatch.setattr(Worker, "steps", counted)


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5])
def test_resumed_run_is_the_undisturbed_one(tiny, minialex, tmp_path, monkeypatch, step):
    """Three steps an epoch: in the middle of the first, right at its end, and in the second."""
    assert tiny("whole").code == 0
    with monkeypatch.context() as patch:
        interrupt(patch, step)
        stopped = tiny("stopped")
    folder = tmp_path / "stopped"
    assert stopped.code == 130 and stopped.err == ""
    assert f"stopped after step {step}; all is saved. Go on with:" in stopped.out
    assert stopped.out.endswith(f"\n  {command('train', '--resume', folder)}\n")
    assert not (folder / MODEL).exists()
    resumed = minialex("train", "--resume", folder)
    assert resumed.code == 0 and f"resumed   after step {step}\n" in resumed.out
    assert compare(folder, tmp_path / "whole")


def compare(folder, expected):
    """The same weights, random states, logs and summary, but for the time they took."""
    assert (folder / MODEL).read_bytes() == (expected / MODEL).read_bytes()
    for name in "log.jsonl", "steps.jsonl":
        ours, theirs = ([{**entry, "seconds": 0, "waited": 0} for entry in lines(run / name)]
                        for run in (folder, expected))
        assert ours == theirs, name
    summaries = [json.loads((run / "summary.json").read_text()) for run in (folder, expected)]
    for name in summaries[0].keys() - {"seconds", "waiting_share", "peak_memory"}:
        assert summaries[0][name] == summaries[1][name], name
    for name in BEST, newest(expected).name:
        assert about(folder / name)["random"] == about(expected / name)["random"]
        ours, theirs = (about(run / name)["progress"] for run in (folder, expected))
        for key in ours.keys() - {"seconds", "waited", "peak_memory"}:
            assert ours[key] == theirs[key], key
    return True


def test_interrupted_at_the_last_step_it_ends_as_usual(tiny, tmp_path, monkeypatch):
    assert tiny("whole", "--steps", 4).code == 0
    interrupt(monkeypatch, 4)
    assert tiny("stopped", "--steps", 4).code == 0
    assert compare(tmp_path / "stopped", tmp_path / "whole")


def test_second_ctrl_c_stops_at_once(tiny, tmp_path, monkeypatch):
    interrupt(monkeypatch, 1, times=2)
    stopped = tiny("stopped")
    assert (stopped.code, stopped.err) == (130, "minialex: interrupted\n")
    assert stopped.out.endswith("\nGo on from the last checkpoint with:\n"
                                f"  {command('train', '--resume', tmp_path / 'stopped')}\n")
    assert about(newest(tmp_path / "stopped"))["progress"]["steps"] == 0
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_request_to_end_is_taken_like_ctrl_c(tiny, minialex, tmp_path, monkeypatch):
    """As from `kill`, or from a machine that has something better to do."""
    assert tiny("whole").code == 0
    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        interrupt(patch, 2, number=signal.SIGTERM)
        assert tiny("stopped").code == 130
    assert signal.getsignal(signal.SIGTERM) is before
    assert "resumed   after step 2\n" in minialex("train", "--resume", tmp_path / "stopped").out
    assert compare(tmp_path / "stopped", tmp_path / "whole")


def test_one_process_at_a_time(tiny, minialex, tmp_path, monkeypatch):
    """The second one goes away and leaves all as it is; a lock that was left is no hindrance."""
    assert tiny("whole").code == 0
    folder = stop(tiny, tmp_path, monkeypatch, 2)
    with locked(folder / ".lock", ""):
        assert mistake(minialex("train", "--resume", folder), "another minialex is at work here",
                       folder / ".lock", "wait until it is done")
    (folder / ".lock").touch()
    assert minialex("train", "--resume", folder).code == 0
    assert compare(folder, tmp_path / "whole")
    (tmp_path / "new").mkdir()
    with locked(tmp_path / "new" / ".lock", ""):
        assert mistake(tiny("new"), "another minialex is at work here")
        assert names(tmp_path / "new") == [".lock"]
    assert tiny("new").code == 0 and ".lock" not in names(tmp_path / "new")


def test_resumed_run_wants_its_images(tiny, minialex, photographs, tmp_path, monkeypatch):
    """Not others; where they lie is of no account."""
    assert tiny("whole").code == 0
    folder = stop(tiny, tmp_path, monkeypatch, 4)
    before = names(folder)
    fewer, renamed, moved = (Path(shutil.copytree(photographs, tmp_path / name))
                             for name in ("fewer", "renamed", "moved"))
    (fewer / "train" / "dark" / "1.jpg").unlink()
    for split in "train", "val", "test":
        if (renamed / split).exists():
            (renamed / split / "dark").rename(renamed / split / "gloomy")
    for other in fewer, renamed:
        resumed = minialex("train", "--resume", folder, "--data", other)
        assert mistake(resumed, f"--resume {folder}: these are not the training images of that run",
                       "give its own, with --data")
        assert names(folder) == before
    assert minialex("train", "--resume", folder, "--data", moved).code == 0
    assert compare(folder, tmp_path / "whole")


def test_resumed_run_wants_its_classes(tiny, minialex, photographs, tmp_path, monkeypatch):
    folder = stop(tiny, tmp_path, monkeypatch, 2)
    before = names(folder)
    more = Path(shutil.copytree(photographs, tmp_path / "more"))
    for split in "train", "val":
        shutil.copytree(more / split / "dark", more / split / "more")
    assert mistake(minialex("train", "--resume", folder, "--data", more), "--resume ", folder,
                   "these are not the training images of that run", "give its own, with --data")
    assert names(folder) == before


def test_resumed_run_whose_images_are_gone(tiny, minialex, photographs, tmp_path, monkeypatch):
    mine = Path(shutil.copytree(photographs, tmp_path / "mine"))
    folder = stop(tiny, tmp_path, monkeypatch, 2, "--data", mine)
    mine.rename(tmp_path / "elsewhere")
    assert mistake(minialex("train", "--resume", folder), f"--data {mine}: no data set", "that is "
                   "the data of the run, seen from the folder in which it was started: if it lies "
                   "elsewhere, give --data")
    assert minialex("train", "--resume", folder, "--data", tmp_path / "elsewhere").code == 0


def test_finished_run_says_so_and_stays_as_it_is(tiny, minialex, tmp_path, monkeypatch):
    """Whatever end before its own is asked for, even where its images are gone."""
    assert tiny("run").code == 0
    folder = tmp_path / "run"
    before = {path: path.read_bytes() for path in folder.iterdir()}
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "data": "gone"}))
    before[folder / "config.json"] = (folder / "config.json").read_bytes()
    for options in [], ["--epochs", 2], ["--epochs", 1], ["--steps", 5], ["--steps", 99]:
        done = minialex("train", "--resume", folder, *options)
        assert done.code == 0 and done.out.startswith(f"{folder}: this run is finished."), options
        assert command("train", "--resume", folder, "--epochs", 4) in done.out or "--epochs 2" in \
            done.out
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_run_is_ended_early_or_lengthened(tiny, minialex, tmp_path, monkeypatch):
    """--epochs and --steps of a resumed run: what it leaves is that of a run with this end."""
    fixed = ["--falls", 1]
    assert tiny("four", *fixed, "--epochs", 4).code == 0
    assert tiny("run", *fixed, "--epochs", 2).code == 0
    longer = minialex("train", "--resume", tmp_path / "run", "--epochs", 4)
    assert longer.code == 0 and "resumed   after step 6\n" in longer.out
    assert "steps     3 in an epoch, 12 in all\n" in longer.out
    assert compare_but_config(tmp_path / "run", tmp_path / "four")

    folder = stop(tiny, tmp_path, monkeypatch, 4, *fixed, "--epochs", 4)
    early = minialex("train", "--resume", folder, "--steps", 5)
    assert early.code == 0 and "after 5 steps" in early.out
    assert [entry["steps"] for entry in lines(folder / "log.jsonl")] == [3, 5]
    assert minialex("train", "--resume", folder).out.startswith(f"{folder}: this run is finished")
    assert minialex("train", "--resume", folder, "--epochs", 4).code == 0
    assert compare_but_config(folder, tmp_path / "four")


def compare_but_config(folder, expected):
    """As `compare`, for runs with another recipe in the same end."""
    stored, others = arrays(folder / MODEL), arrays(expected / MODEL)
    assert all(stored[name].tobytes() == others[name].tobytes() for name in others)
    for name in "log.jsonl", "steps.jsonl":
        ours, theirs = ([{**entry, "seconds": 0, "waited": 0} for entry in lines(run / name)]
                        for run in (folder, expected))
        assert ours == theirs, name
    return True


def test_ctrl_c_in_a_process_of_its_own(tmp_path):
    """A real one, somewhere behind the first epoch of 120 steps."""
    def call(*arguments):
        return [sys.executable, "-m", "minialex", "train", *map(str, arguments)]

    data = make_photographs(tmp_path / "data", train=60, test=1)
    options = ["--data", data, "--devices", "cpu:0,cpu:1", "--width", 0.05, "--batch", 1,
               "--lr", 0.002, "--epochs", 1000]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    folder = tmp_path / "run"
    with subprocess.Popen(call(*options, "--out", folder), env=env, cwd=tmp_path, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 300
        while not (folder / BEST).exists():  # an epoch is over
            assert process.poll() is None and time.monotonic() < deadline, process.communicate()
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert out.endswith(f"\n  {command('train', '--resume', folder)}\n")
    progress = about(newest(folder))["progress"]
    assert progress["steps"] == 120 * (progress["epoch"] - 1) + progress["number"] >= 120

    # Both shall end soon: ten steps from here.
    steps = progress["steps"] + 10
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "steps": steps}))
    for arguments in (["--resume", folder], [*options, "--steps", steps, "--out",
                                             tmp_path / "whole"]):
        done = subprocess.run(call(*arguments), env=env, cwd=tmp_path, capture_output=True)
        assert (done.returncode, done.stderr) == (0, b"")
    assert compare(folder, tmp_path / "whole")


@pytest.mark.parametrize("every", [600, -1], ids=["at the end of epochs", "after every step"])
def test_checkpoints_within_an_epoch(tiny, tmp_path, monkeypatch, every):
    """Six steps, three an epoch; the last two checkpoints stay."""
    monkeypatch.setattr(run_module, "SAVE_EVERY", every)
    assert tiny("run").code == 0
    expected = [checkpoint(3), checkpoint(6)] if every > 0 else [checkpoint(5), checkpoint(6)]
    assert [name for name in names(tmp_path / "run") if name.startswith("check")] == expected


def test_best_checkpoint_is_the_first_with_the_smallest_error(tiny, tmp_path, monkeypatch):
    errors = iter([0.5, 0.25, 0.25, 0.75, 0.0])  # of four epochs; the last is on the test images
    monkeypatch.setattr(Worker, "evaluate",
                        lambda *_: training.Evaluation(next(errors), 0.0, 1.0, 6))
    assert tiny("run", "--epochs", 4).code == 0
    progress = about(tmp_path / "run" / BEST)["progress"]
    assert progress["steps"] == 6 and progress["errors"] == [0.5, 0.25]
    assert about(newest(tmp_path / "run"))["progress"]["errors"] == [0.5, 0.25, 0.25, 0.75]


def stop(tiny, tmp_path, monkeypatch, step, *options):
    """A run with a checkpoint after each step, interrupted at one: its folder."""
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "SAVE_EVERY", -1)
        interrupt(patch, step)
        assert tiny("stopped", *options).code == 130
    return tmp_path / "stopped"


@pytest.mark.parametrize("step", [2, 3, 5])
def test_damaged_checkpoint_costs_nothing_but_time(tiny, minialex, tmp_path, monkeypatch, step):
    """Within an epoch, and at its end, where the best checkpoint is damaged with it."""
    assert tiny("whole").code == 0
    folder = stop(tiny, tmp_path, monkeypatch, step)
    damaged = newest(folder)
    os.truncate(damaged, damaged.stat().st_size // 2)
    resumed = minialex("train", "--resume", folder)
    assert resumed.code == 0
    assert f"{damaged}: cannot be used; going back to {checkpoint(step - 1)}; it is kept as " \
           f"{damaged.name}.damaged\n" in resumed.out
    assert f"resumed   after step {step - 1}\n" in resumed.out
    assert compare(folder, tmp_path / "whole")


def test_falls_of_the_rate_are_resumed(tiny, minialex, tmp_path, monkeypatch):
    """They follow from the errors so far: here these never improve, and patience is 1."""
    def no_better(*arguments, real=Worker.evaluate):
        return real(*arguments)._replace(top1_error=0.5)

    monkeypatch.setattr(Worker, "evaluate", no_better)
    options = ["--epochs", 4, "--patience", 1]
    assert tiny("whole", *options).code == 0
    rates = [entry["lr"] for entry in lines(tmp_path / "whole" / "log.jsonl")]
    assert rates == pytest.approx([0.05, 0.05, 0.005, 0.0005])
    folder = stop(tiny, tmp_path, monkeypatch, 8, *options)
    assert minialex("train", "--resume", folder).code == 0
    assert compare(folder, tmp_path / "whole")


def test_resumed_on_other_devices_it_is_the_same_run(tiny, minialex, two_devices, tmp_path,
                                                     monkeypatch):
    """Two columns on two devices, then on one; the settings stay those that it began with."""
    assert tiny("whole").code == 0
    folder = stop(tiny, tmp_path, monkeypatch, 4)
    config = (folder / "config.json").read_bytes()
    threads = []
    monkeypatch.setattr(backend, "set_threads", threads.append)
    resumed = minialex("train", "--resume", folder, "--devices", two_devices[0], "--threads", 1)
    assert f"devices   {two_devices[0]} and {two_devices[0]}: as you asked\n" in resumed.out
    assert resumed.code == 0 and compare(folder, tmp_path / "whole")
    assert (folder / "config.json").read_bytes() == config and threads == [1]


def test_resumed_where_the_data_lie_elsewhere(tiny, minialex, photographs, tmp_path, monkeypatch):
    assert tiny("whole").code == 0
    folder = stop(tiny, tmp_path, monkeypatch, 4)
    moved = shutil.copytree(photographs, tmp_path / "moved")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "data": "gone"}))
    assert mistake(minialex("train", "--resume", folder), "--data gone: no data set")
    assert minialex("train", "--resume", folder, "--data", moved).code == 0
    (model, whole) = (arrays(run / MODEL) for run in (folder, tmp_path / "whole"))
    assert all(model[name].tobytes() == array.tobytes() for name, array in whole.items())


def test_resumed_without_the_devices_of_the_run(tiny, minialex, tmp_path, monkeypatch):
    folder = stop(tiny, tmp_path, monkeypatch, 1)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "devices": ["cpu:0", "cpu:99"]}))
    assert mistake(minialex("train", "--resume", folder), "--devices cpu:0,cpu:99: ",
                   "device 'cpu:99' does not exist",
                   "name those to go on with: --devices A,B")


def test_what_a_killed_process_left_is_removed(tiny, minialex, tmp_path, monkeypatch):
    """Half files, and lines about steps after the checkpoint, the last one cut off."""
    assert tiny("whole").code == 0
    folder = stop(tiny, tmp_path, monkeypatch, 4)
    (folder / "checkpoint-000000005.safetensors.part").write_bytes(b"half a check")
    (folder / "model.safetensors.part").write_bytes(b"")
    with open(folder / "steps.jsonl", "a", encoding="utf-8") as file:
        file.write('{"step": 5, "epoch": 2, "loss": 77}\n{"step": 6, "epo')
    with open(folder / "log.jsonl", "a", encoding="utf-8") as file:
        file.write('{"epoch": 2, "steps": 6}\n')
    assert minialex("train", "--resume", folder).code == 0
    assert names(folder) == [name for name in files(4, 6) if not name.endswith(".png")]
    assert compare(folder, tmp_path / "whole")


@pytest.mark.parametrize("option", [
    ["--lr", 0.1], ["--seed", 0], ["--model", "alexnet"], ["--recipe", "paper"], ["--batch", 9],
    ["--falls", "1"], ["--noise", "none"], ["--mirror", 0],
    ["--image-size", 224], ["--out", "x"], ["--explain"]],
    ids=lambda option: option[0])
def test_resumed_run_keeps_its_settings(minialex, option):
    """No option is silently ignored."""
    assert mistake(minialex("train", "--resume", "run", *option), "--resume run goes on with the "
                   f"settings of that run; leave out {option[0]}, or start a new run")


# The recipe


def test_explain_says_where_each_setting_comes_from_and_writes_nothing(minialex, tmp_path,
                                                                       monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = minialex("train", "--explain", "--lr", 0.01, "--epochs", 20)
    assert result.code == 0 and not list(tmp_path.iterdir())
    head, _, rest = result.out.partition("\n\n")
    assert head == "recipe run145 for alexnet-small and 10,000 images:"
    recipe, sources = training.change(*training.suggest("alexnet-small", 10_000), lr=0.01,
                                      epochs=20)
    assert rest == training.explain(recipe, sources) + "\n"
    assert max(map(len, result.out.splitlines())) <= 80


@pytest.mark.parametrize("options", [
    ["--lr", 0.02], ["--batch", 7], ["--epochs", 3], ["--init", "run145"], ["--width", 0.1],
    ["--seed", 1], ["--noise", "run145"], ["--recipe", "paper"], ["--falls", 5], ["--steps", 4],
], ids=lambda options: options[0])
def test_every_option_changes_the_weights(tiny, tmp_path, options):
    """And what is given is what is used."""
    for name, more in ("one", []), ("other", options):
        assert tiny(name, "--epochs", 2, "--batch", 8, *more).code == 0
    one, other = (json.loads((tmp_path / name / "config.json").read_text())
                  for name in ("one", "other"))
    assert one != other or options[0] == "--recipe"
    first, second = (arrays(tmp_path / name / MODEL)["fc8.weight"] for name in ("one", "other"))
    assert first.shape != second.shape or np.abs(first - second).max() > 1e-5


@pytest.mark.parametrize("noise", ["run145", "literal"])
def test_noise_as_run_and_as_printed(tiny, tmp_path, noise):
    assert tiny("run", "--noise", noise).code == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["recipe"]["noise"] == noise


def a_run(photographs, devices, folder, **settings):
    recipe, _ = training.change(*training.suggest("alexnet-small", 24), width=0.05, batch=8,
                                **settings)
    data = open_data(str(photographs), "alexnet-small")
    net = models.AlexNet(devices, 2, 28, 3, 0.05, "he", 1)
    return Run(net, data, recipe, 1, folder)


def test_noise_ends_and_conv1_slows_down_and_freezes(photographs, devices, tmp_path, monkeypatch):
    """After epoch 2 no noise, and a tenth of the rate for conv1; after epoch 3 it is frozen."""
    run = a_run(photographs, devices, tmp_path, epochs=4, noise="run145", falls=())
    run.recipe = replace(run.recipe, noise_until=2, conv1_until=3)
    seen = []

    def watched(data, preparation, batch, **options):
        if "seed" in options:  # of training
            weights = run.net.state()
            seen.append((preparation.noise is not None, [
                weights[f"columns.0.{layer}.weight"] for layer in ("conv1", "conv2")]))
        return datasets.batches(data, preparation, batch, **options)

    monkeypatch.setattr(run_module, "batches", watched)
    list(run)
    assert run.finished
    assert [noise for noise, _ in seen] == [True, True, False, False]
    layers = [[*weights] for _, weights in seen] + [[
        run.net.state()[f"columns.0.{layer}.weight"] for layer in ("conv1", "conv2")]]
    moved = [[np.abs(b - a).mean() for a, b in zip(before, after, strict=True)]
             for before, after in itertools.pairwise(layers)]
    assert all(conv2 > 0 for _, conv2 in moved)
    assert moved[1][0] > 0 and moved[3][0] == 0 < moved[2][0]


def test_colour_noise_is_that_of_the_recipe(photographs, devices, tmp_path):
    for noise, literal in ("run145", False), ("literal", True):
        preparation = a_run(photographs, devices, tmp_path, noise=noise)._preparation(1)
        assert preparation.noise.literal is literal
    assert a_run(photographs, devices, tmp_path, noise="none")._preparation(1).noise is None
    assert a_run(photographs, devices, tmp_path, noise="run145")._preparation().noise is None, (
        "not for evaluation")


# Data


@pytest.fixture(scope="session")
def downloaded(tmp_path_factory):
    """A data folder as `minialex data get` leaves it, with a few images of each set."""
    root, rng = tmp_path_factory.mktemp("data-dir"), np.random.default_rng(0)
    for name in "mnist", "fashion-mnist-full":
        for prefix, count in ("train", 40), ("t10k", 10):
            folder = root / name
            folder.mkdir(exist_ok=True)
            datasets.write_idx(folder / f"{prefix}-images-idx3-ubyte.gz",
                               rng.integers(0, 256, (count, 28, 28)).astype(np.uint8))
            datasets.write_idx(folder / f"{prefix}-labels-idx1-ubyte.gz",
                               (np.arange(count) % 10).astype(np.uint8))
    (root / "cifar10").mkdir()
    for name in *(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin":
        records = rng.integers(0, 256, (8, 3073)).astype(np.uint8)
        records[:, 0] = np.arange(8)
        records.tofile(root / "cifar10" / name)
    make_photographs(root / "clothing", train=2, val=1, test=1)
    make_photographs(root / "imagenette", train=2, val=1)
    return root


@pytest.mark.parametrize(("name", "model", "counts", "val", "shape"), [
    ("fashion-mnist", "lenet5", (10_000, 2_000, 2_000), "test", (28, 28, 1)),
    ("fashion-mnist-full", "alexnet-small", (40, 10, 10), "test", (28, 28, 1)),
    ("mnist", "lenet5", (40, 10, 10), "test", (28, 28, 1)),
    ("mnist", "alexnet-small", (40, 10, 10), "test", (28, 28, 1)),
    ("cifar10", "alexnet-small", (40, 8, 8), "test", (32, 32, 3)),
    ("clothing", "alexnet", (4, 2, 2), "val", (256, 256, 3)),
    ("clothing", "alexnet-small", (4, 2, 2), "val", (32, 32, 3)),
    ("imagenette", "alexnet", (4, 2, 2), "val", (256, 256, 3)),
])
def test_public_sets_are_found_by_name(downloaded, name, model, counts, val, shape):
    data = open_data(name, model, str(downloaded))
    assert (len(data.train), len(data.val), len(data.test)) == counts and data.val_name == val
    assert (data.val is data.test) == (name != "clothing")
    for images in data[:3]:
        assert images.shape == shape and images.read(np.arange(2)).shape == (2, *shape)
        assert images.classes == data.train.classes
    assert data.train.name == name
    said = {"test": "and 10 test", "val": "and 2 validation"}
    assert str(data).startswith(f"{name}: {counts[0]:,} training")
    if name == "clothing":
        assert "4 training, 2 validation and 2 test images" in str(data)
    elif counts[0] < 100 and name != "cifar10":
        assert said[val] in str(data)


@pytest.mark.parametrize(("name", "model", "message"), [
    ("cifar10", "alexnet", "--model alexnet needs images of at least 224 pixels, and those of "
                           "cifar10 have 32 and are in colour; use --model alexnet-small"),
    ("cifar10", "lenet5", "--model lenet5 needs grey images of 28 to 56 pixels, and those of "),
])
def test_sets_that_a_model_cannot_see(downloaded, name, model, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        open_data(name, model, str(downloaded))


@pytest.mark.parametrize(("name", "model"), [
    ("cifar10", "alexnet-small"), ("mnist", "alexnet-small"), ("mnist", "lenet5")])
def test_public_sets_train(minialex, downloaded, devices, tmp_path, name, model):
    result = minialex("train", "--model", model, "--data", name, "--data-dir", downloaded,
                      "--batch", 20, "--epochs", 1, "--devices", ",".join(devices), "--out",
                      tmp_path / "run")
    assert result.code == 0, result.err
    assert f"{name}: 40 training" in result.out and "after 2 steps" in result.out
    assert minialex("train", "--resume", tmp_path / "run").code == 0, "--data-dir is remembered"


@pytest.fixture(scope="session")
def packed(photographs, tmp_path_factory):
    """The photographs, prepared in two sizes."""
    def prepare(side):
        out = tmp_path_factory.mktemp("packed") / str(side)
        with contextlib.redirect_stdout(io.StringIO()):
            assert cli.main(["data", "prepare", str(photographs), "--side", str(side), "--out",
                             str(out)]) == 0
        return out

    return {side: prepare(side) for side in (32, 256)}


def test_prepared_folder_trains(tiny, packed, tmp_path):
    """What was measured when it was prepared is used."""
    result = tiny("run", "--data", packed[32])
    assert result.code == 0, result.err
    assert "32: 24 training and 6 validation images, 2 classes" in result.out
    measured = datasets.prepared(packed[32])["train"].statistics
    np.testing.assert_array_equal(arrays(tmp_path / "run" / MODEL)["input.mean"], measured.mean)


def test_prepared_folder_of_the_wrong_size(packed):
    assert open_data(str(packed[256]), "alexnet").val_name == "val"
    with pytest.raises(ValueError, match=r"--model alexnet-small needs images of 28 to 56 pixels, "
                                         r"and those of .*256 have 256 .*; use --model alexnet"):
        open_data(str(packed[256]), "alexnet-small")
    with pytest.raises(ValueError, match=r"--model alexnet needs .* those of .*32 have 32 .*; use"):
        open_data(str(packed[32]), "alexnet")


def test_prepared_folder_that_is_not_finished(packed, tmp_path):
    begun = shutil.copytree(packed[32], tmp_path / "begun")
    (begun / "manifest.csv").unlink()
    with pytest.raises(ValueError, match="begun: is no prepared set, or not finished; prepare "):
        open_data(str(begun), "alexnet-small")


# Mistakes


@pytest.mark.parametrize(("options", "parts"), [
    (["--data", "fashion-mnits"], ["--data fashion-mnits: no data set of minialex, and no folder; "
                                   "use one of fashion-mnist, ", "cifar10, ", ", or a folder of "]),
    (["--data", ROOT / "tests"], ["--data ", ROOT / "tests", ": there is no folder train; "]),
    (["--devices", "tpu:0"], ["--devices tpu:0: unknown device 'tpu:0'; use 'cpu:0', "]),
    (["--devices", "cpu:99"], ["--devices cpu:99: device 'cpu:99' does not exist"]),
    (["--devices", "cpu:0,cpu:1,cpu:2"], ["--devices cpu:0,cpu:1,cpu:2: ", "one or two devices"]),
    (["--epochs", 0], ["--epochs 0: give a whole number from 1 to 1,000,000"]),
    (["--steps", -1], ["--steps -1: give a whole number of at least 1"]),
    (["--batch", 0], ["--batch 0: give a whole number from 1 to 1,000,000"]),
    (["--seed", -1], ["--seed -1: give a whole number of at least 0"]),
    (["--threads", 0], ["--threads 0: give a whole number from 1 to "]),
    (["--lr", 0], ["--lr 0: give a number more than 0"]),
    (["--lr", "nan"], ["--lr nan: give a number more than 0"]),
    (["--lr", "inf"], ["--lr inf: give a number more than 0"]),
    (["--lr", "fast"], ["--lr fast: give a number more than 0"]),
    (["--epochs", "many"], ["--epochs many: give a whole number from 1 to 1,000,000"]),
    (["--falls", "5,x"], ["--falls 5,x: give epochs from 1 to 1,000,000, in order"]),
    (["--falls", "0,5"], ["--falls 0,5: give epochs from 1 to 1,000,000, in order"]),
    (["--patience", -1], ["--patience -1: give a whole number from 0 to 1,000,000"]),
    (["--mirror", 1.5], ["--mirror 1.5: give a chance between 0 and 1"]),
    (["--image-size", "nan"], ["--image-size nan: give a whole number; help: "]),
    (["--image-size", 224], ["--image-size 224: it is always 28 for --model alexnet-small; leave"]),
    (["--model", "lenet5", "--width", 0.5], ["--width 0.5: it is always 1.0 for --model lenet5"]),
    (["--model", "lenet5", "--init", "paper"], ["--init paper: it is always he for --model lene"]),
    (["--data", "mnist", "--data-dir", "."],
     ["--data mnist: this set is not here yet; get it with: ", " data get mnist --data-dir ."]
     ),
    (["--data", "fashion-mnist-full", "--data-dir", "."],
     ["--data fashion-mnist-full: this set is not here", "data get fashion-mnist-full --data"]),
    (["--data", "imagenet", "--data-dir", "."], ["--data imagenet: ", " data get imagenet --da"]),
    (["--width", 0], ["--width 0: give a share of the paper's kernels, more than 0 and at most"]),
    (["--width", "inf"], ["--width inf: give a share"]),
    (["--width", 1e6], ["--width 1000000.0: give a share"]),
    (["--model", "alexnet"], ["--model alexnet needs images of at least 224 pixels", "28",
                              "use --model alexnet-small, or other --data"]),
    (["--resume", "nowhere"], ["--resume nowhere: nowhere/config.json cannot be used (",
                               "No such file", "); name the folder of a run"]),
], ids=lambda value: " ".join(map(str, value)).replace(str(ROOT), "") if value else None)
def test_mistake_is_one_line_before_anything_is_written(minialex, tmp_path, monkeypatch, options,
                                                        parts):
    monkeypatch.chdir(tmp_path)
    assert mistake(minialex("train", *options), *parts)
    assert not list(tmp_path.iterdir())


def test_lenet_and_photographs(minialex, photographs):
    assert mistake(minialex("train", "--model", "lenet5", "--data", photographs), "--model lenet5 "
                   "needs grey images of 28 to 56 pixels, and those of ", "; use --model alexnet-")


def test_folder_that_is_not_empty(tiny, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("years of work")
    assert mistake(tiny("run"), tmp_path / "run", " is not empty; choose another --out")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.tex"]


def test_folder_of_another_run(tiny, tmp_path):
    assert tiny("run", "--steps", 1).code == 0
    assert mistake(tiny("run"), tmp_path / "run", " is not empty; choose another --out, or go on "
                   "with the run in it: " + command("train", "--resume", tmp_path / "run"))


@pytest.mark.parametrize("place", ["file", "file/below", "/dev/null/below", "/proc/below"])
def test_place_that_cannot_be_written(tiny, tmp_path, place):
    """Permissions would not stop root; these do."""
    if place.startswith("/proc") and not Path("/proc/self").exists():
        pytest.skip("needs Linux")
    (tmp_path / "file").write_text("")
    assert mistake(tiny(place), tmp_path / place, " cannot be written (",
                   "); choose another folder, with --out")


def test_full_disk_is_noticed_before_training(tiny, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5 * 2**20))
        patch.setattr(Worker, "steps", None)
        assert mistake(tiny("run"), tmp_path / "run", ": 5 MiB are free on this disk, a run needs ",
                       " MiB; make room, or choose another folder, with --out")
    assert tiny("run").code == 0, "the same folder will do when there is room"


def test_resumed_run_needs_less_room(tiny, minialex, tmp_path, monkeypatch):
    """Its checkpoints are there already."""
    folder = stop(tiny, tmp_path, monkeypatch, 4)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=11.5 * 2**20))
    assert mistake(tiny("new"), "", ": 12 MiB are free on this disk, a run needs 12 MiB")
    assert minialex("train", "--resume", folder).code == 0


def test_run_that_was_killed_in_its_first_moment_leaves_nothing_in_the_way(tiny, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json.part").write_text("{")
    assert tiny("run", "--steps", 1).code == 0
    assert "config.json.part" not in names(tmp_path / "run")


@pytest.mark.parametrize(("writes", "what"), [
    (1, checkpoint(0)), (2, "log.jsonl"), (3, "steps.jsonl"), (4, BEST), (7, checkpoint(6)),
    (8, MODEL), (9, "summary.json")])
def test_disk_that_fills_up_leaves_a_run_to_go_on_with(tiny, minialex, tmp_path, monkeypatch,
                                                       writes, what):
    """After so many files (config, checkpoint; two logs, checkpoint; ...) there is no room left."""
    def fsync(handle, real=os.fsync):
        nonlocal writes
        writes -= stat.S_ISREG(os.fstat(handle).st_mode)  # folders are synchronized, too
        if writes < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    assert tiny("whole").code == 0
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        assert mistake(tiny("run"), folder / what, " cannot be written (No space left on device)",
                       "make room on the disk")
    assert not list(folder.glob("*.part"))
    assert minialex("train", "--resume", folder).code == 0
    assert compare(folder, tmp_path / "whole")


@pytest.mark.parametrize(("name", "text", "message"), [
    ("config.json", "{", ["--resume ", "config.json cannot be used (", "); name the folder of"]),
    ("config.json", "[]", ["--resume ", "config.json cannot be used ("]),
    ("config.json", '{"model": "alexnet"}', ["--resume ", "cannot be used (no 'data' in it); na"]),
    ("*.safetensors", "half", ["", ": none of its 3 checkpoints can be used; the newest is ",
                               f"{checkpoint(1)}: damaged, or not written by minialex"]),
    ("*.safetensors", None, ["", ": there is no checkpoint in it; name the folder of a run"]),
], ids=["config broken", "config is a list", "config incomplete", "damaged", "missing"])
def test_run_that_cannot_be_resumed(tiny, minialex, tmp_path, name, text, message):
    folder = tmp_path / "run"
    assert tiny("run", "--steps", 1).code == 0
    (folder / MODEL).unlink()
    before = {path: path.read_bytes() for path in folder.iterdir() if not path.match(name)}
    for path in folder.glob(name):
        path.unlink()
        if text is not None:
            path.write_text(text)
    assert mistake(minialex("train", "--resume", folder), *message)
    assert all(path.read_bytes() == content for path, content in before.items())


def test_broken_picture_stops_the_run_and_is_named(minialex, photographs, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(photographs, copy)
    (copy / "val" / "dark" / "1.jpg").write_bytes(b"")
    assert mistake(minialex("train", "--data", copy, "--width", 0.05, "--steps", 1, "--out",
                            tmp_path / "run"),
                   copy / "val" / "dark" / "1.jpg", ": not a readable picture", "remove it")


@pytest.mark.parametrize(("change", "message"), [
    ({"recipe": {"noise": "zzz"}}, "noise is 'zzz'; it must be run145 or literal or none"),
    ({"recipe": {"patience": -1}}, "patience is -1; it must be a whole number from 0"),
    ({"recipe": {"epochs": 10**39}}, "; it must be a whole number from 1 to 1,000,000"),
    ({"recipe": {"width": 30}}, "width is 30; it must be a share of the paper's kernels"),
    ({"recipe": {"width": "wide"}}, "width is 'wide'; it must be a number"),
    ({"recipe": {"falls": 3}}, "falls is 3; it must be "),
    ({"recipe": {"epochs": True}}, "epochs is True; it must be a whole number"),
    ({"recipe": {"lr": [0.1]}}, "lr is [0.1]; it must be a number"),
    ({"model": "vgg"}, "there is no model 'vgg'"),
    ({"model": ["alexnet"]}, "model is ['alexnet']; it must be text"),
    ({"data": None}, "data is None; it must be text"),
    ({"seed": -1}, "seed is -1; it must be a whole number from 0"),
    ({"seed": 1.5}, "seed is 1.5; it must be a whole number"),
    ({"steps": 0}, "steps is 0; it must be a whole number from 1"),
    ({"threads": 10**9}, "threads is 1000000000; it must be a whole number from 1 to 1,024"),
    ({"threads": "all"}, "threads is 'all'; it must be a whole number or null"),
    ({"devices": "cpu:0"}, "devices is 'cpu:0'; it must be a list of texts"),
    ({"devices": [0]}, "devices is [0]; it must be a list of texts"),
], ids=str)
def test_forged_config_is_one_line_with_file_and_field(tiny, minialex, tmp_path, monkeypatch,
                                                       change, message):
    folder = stop(tiny, tmp_path, monkeypatch, 1)
    config = json.loads((folder / "config.json").read_text())
    recipe = {**config["recipe"], **change.pop("recipe", {})}
    (folder / "config.json").write_text(json.dumps({**config, **change, "recipe": recipe}))
    assert mistake(minialex("train", "--resume", folder), f"--resume {folder}: ",
                   "config.json cannot be used (", message)


def test_forged_recipe_that_fits_no_network_is_named_with_its_file(tiny, minialex, tmp_path,
                                                                   monkeypatch):
    """Only the network knows its layers."""
    folder = stop(tiny, tmp_path, monkeypatch, 1)
    config = json.loads((folder / "config.json").read_text())
    config["recipe"]["frozen"] = "\x1b[2J"
    (folder / "config.json").write_text(json.dumps(config))
    assert mistake(minialex("train", "--resume", folder), f"{folder / 'config.json'}: ",
                   "frozen is '\\x1b[2J'; it must be one of conv1, ")


def test_recipe_that_is_none(tiny, minialex, tmp_path, monkeypatch):
    folder = stop(tiny, tmp_path, monkeypatch, 1)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "recipe": None}))
    assert mistake(minialex("train", "--resume", folder), "--resume ",
                   "config.json cannot be used (it holds no named values)")


def test_error_of_the_disk_is_told_without_its_number(tiny, monkeypatch):
    """A call that no part of minialex answers for, in the middle of a run."""
    def unlink(path, missing_ok=False):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", unlink)
        done = tiny("run")
    assert mistake(done, "", "Read-only file system; see to it, or choose another folder")
    assert "Errno" not in done.err


def test_config_nested_deeply(tiny, minialex, tmp_path, monkeypatch):
    folder = stop(tiny, tmp_path, monkeypatch, 1)
    (folder / "config.json").write_text("[" * 100_000)
    assert mistake(minialex("train", "--resume", folder), "--resume ",
                   "config.json cannot be used (nested too deeply)")


def test_one_class_is_refused_before_anything_is_written(tiny, photographs, tmp_path):
    mine = Path(shutil.copytree(photographs, tmp_path / "mine"))
    for split in "train", "val":
        shutil.rmtree(mine / split / "bright")
    assert mistake(tiny("run", "--data", mine), "mine has only one class, dark; ")
    assert not (tmp_path / "run").exists()


# What is seen while it trains


def test_total_of_steps_is_said_at_the_start(tiny):
    assert "steps     3 in an epoch, 6 in all\n" in tiny("run").out
    assert "steps     3 in an epoch, 4 in all\n" in tiny("other", "--steps", 4).out


def test_log_file_gets_a_line_now_and_then(tiny, monkeypatch):
    """Not a terminal: no bar, but signs of life."""
    assert "of 6: loss" not in tiny("run").out, "not in so short a run"
    monkeypatch.setattr(show, "LINE_EVERY", -1)
    out = tiny("other").out
    assert re.findall(r"^step (\d) of 6: loss \d\.\d{3}, .*$", out, re.MULTILINE) == list("123456")
    assert re.search(r"^step 3 of 6: loss \S+, \d+ s left, \d+ images/s$", out, re.MULTILINE)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo terminal")
@pytest.mark.parametrize("columns", [60, 100])
def test_bar_on_a_narrow_terminal_shows_the_loss_and_what_is_left(photographs, tmp_path, columns):
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    arguments = ["train", "--data", photographs, "--width", 0.05, "--batch", 1, "--epochs", 2,
                 "--lr", 0.001, "--devices", "cpu:0", "--out", tmp_path / "run"]
    with subprocess.Popen([sys.executable, "-m", "minialex", *map(str, arguments)], stdout=theirs,
                          stderr=theirs, env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
        os.close(theirs)
        seen = b""
        with contextlib.suppress(OSError):  # the end of what there is to read
            while block := os.read(ours, 65536):
                seen += block
        os.close(ours)
        assert process.wait() == 0
    frames = [frame for frame in re.split(r"[\r\n]", seen.decode()) if re.search(r"\d/24", frame)]
    assert len(frames) > 3 and max(map(len, frames)) <= columns
    assert all(re.search(r"\d+/24, loss \d\.\d{3}, ", frame) for frame in frames), frames
    assert re.search(r"loss \d\.\d{3}, \d+ s left", frames[-1])


def ignores_ctrl_c():
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.mark.skipif(os.name != "posix", reason="as nohup and & do it")
def test_ctrl_c_that_is_ignored_stays_ignored(photographs, tmp_path):
    """A run in the background is not stopped by what is typed in the foreground."""
    folder = tmp_path / "run"
    arguments = ["train", "--data", photographs, "--width", 0.05, "--batch", 1, "--epochs", 4,
                 "--lr", 0.001, "--devices", "cpu:0", "--out", folder]
    with subprocess.Popen([sys.executable, "-m", "minialex", *map(str, arguments)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          preexec_fn=ignores_ctrl_c,
                          env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
        while process.poll() is None and not (folder / "steps.jsonl").exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "") and "after 96 steps" in out


# A run that diverges


@pytest.mark.parametrize(("options", "where"), [
    (["--batch", 8], r"the loss is \S+: .*(columns\.[01]\.|fc8)"),
    (["--batch", 24], r"the loss on the val images is \S+: .*(columns\.[01]\.|fc8)"),
], ids=["in an epoch", "at its end"])
def test_diverging_run_names_step_and_layer_and_keeps_its_last_good_state(
        tiny, devices, tmp_path, options, where):
    result = tiny("run", "--lr", 1e30, *options)
    assert mistake(result, "after step ", "; lower the rate, or check the data. Start again with a "
                   "lower --lr than 1e+30, and another --out")
    assert re.search(rf"after step [12]: {where}", result.err), result.err

    net = models.AlexNet(devices, 2, 28, 3, 0.05, "he", 1)
    progress = training.load_checkpoint(
        newest(tmp_path / "run"), net, optim.SGD(net.named_parameters()))
    assert progress["steps"] == 0
    assert all(np.isfinite(array).all() for array in net.state().values())


# Photographs


def test_full_network_makes_a_step(minialex, photographs, devices, tmp_path):
    """227x227 pixels, at a tenth of the width; and its pictures are in colour."""
    result = minialex("train", "--model", "alexnet", "--data", photographs, "--width", 0.1,
                      "--batch", 4, "--steps", 1, "--devices", ",".join(devices), "--out",
                      tmp_path / "run")
    assert result.code == 0 and result.err == ""
    assert "photographs: 24 training and 6 validation images, 2 classes" in result.out
    assert names(tmp_path / "run") == files(0, 1)
    assert arrays(tmp_path / "run" / MODEL)["input.mean"].shape == (256, 256, 3)
    with Image.open(tmp_path / "run" / "filters.png") as picture:
        assert np.ptp(np.asarray(picture.convert("RGB")), axis=2).max() > 50


def test_no_top5_of_two_classes(tiny, tmp_path):
    """The right one is always among the first five."""
    out = tiny("run").out
    assert re.search(r"^epoch 1/2: loss \S+, val error top-1 \d+\.\d\d%, \d+ s$", out, re.MULTILINE)
    assert re.search(r"^val error top-1 \d+\.\d\d% on 6 images, after", out, re.MULTILINE)
    assert "top-5" not in out
    for entry in [*lines(tmp_path / "run" / "log.jsonl"),
                  json.loads((tmp_path / "run" / "summary.json").read_text())]:
        assert entry["top5_error"] is None


@pytest.mark.parametrize("flat", [["train", "val"], ["val"]], ids=["all", "val"])
def test_pictures_without_folders_of_classes(tiny, photographs, tmp_path, flat):
    mine = Path(shutil.copytree(photographs, tmp_path / "mine"))
    for split, name in itertools.product(flat, ("dark", "bright")):
        for path in (mine / split / name).iterdir():
            path.rename(mine / split / f"{name}-{path.name}")
        (mine / split / name).rmdir()
    assert mistake(tiny("run", "--data", mine), (
        f"{mine / 'train'}: no pictures; they must lie in {mine / 'train'}/CLASS/"
        if "train" in flat else
        f"--data {mine}: there is no folder val or test with folders of classes beside train"))
    assert not (tmp_path / "run").exists()


def test_broken_test_picture_is_found_before_training(tiny, photographs, tmp_path):
    mine = Path(shutil.copytree(photographs, tmp_path / "mine"))
    (mine / "val" / "dark" / "x.png").write_bytes(b"no picture")
    assert mistake(tiny("run", "--data", mine), mine / "val" / "dark" / "x.png")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("lr", [0.01, 1e-9], ids=["learns", "stands"])
def test_photographs_are_learnt_or_the_plateau_is_noticed(tiny, tmp_path, monkeypatch, lr):
    """Dark or bright: a few steps are enough. With next to no rate it stays at ln 2."""
    monkeypatch.setattr(sys.modules["minialex.training.plateau"], "PATIENCE", 27)
    result = tiny("run", "--epochs", 12, "--lr", lr)
    assert result.code == 0
    told = re.findall(r"^the loss is \d\.\d\d after 27 steps: .* how frequent the classes are "
                      r"\(0\.69\)\. Start again with a smaller rate", result.out, re.MULTILINE)
    assert len(told) == result.out.count("how frequent") == (lr == 1e-9)
    log = lines(tmp_path / "run" / "log.jsonl")
    if lr == 1e-9:
        return
    assert [entry["epoch"] for entry in log] == list(range(1, 13))
    assert log[-1]["train_loss"] < 0.8 * log[0]["train_loss"]
    assert log[-1]["lr"] < log[0]["lr"], "the rate falls at the same shares of a run"


def test_lenet_runs(minialex, devices, tmp_path):
    result = minialex("train", "--model", "lenet5", "--steps", 2, "--batch", 16, "--devices",
                      devices[0], "--out", tmp_path / "run")
    assert result.code == 0 and "lenet5: 61,706 parameters" in result.out
    assert "copies between devices in one step, batch 16:\n  none\n" in result.out
    assert names(tmp_path / "run") == files(0, 2)
