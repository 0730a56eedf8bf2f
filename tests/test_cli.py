"""The command line: what it writes, what it says, and how it stops."""

import argparse
import contextlib
import errno
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

from minialex import __version__, backend, models, optim, training
from minialex.tools import cli, plots
from minialex.tools import train as train_module
from minialex.tools.setup import choose_devices

pytestmark = pytest.mark.ch11

ROOT = Path(__file__).resolve().parents[1]
FILES = ["checkpoint.safetensors", "config.json", "curves.png", "filters.png", "log.jsonl",
         "model.safetensors", "predictions.png", "summary.json"]
CHECKPOINT, MODEL = FILES[0], FILES[5]


# Running it


@pytest.fixture
def minialex(capsys):
    """Call it like the command: exit code, standard output, standard error."""
    def run(*arguments):
        code = cli.main([str(argument) for argument in arguments])
        return SimpleNamespace(code=code, **capsys.readouterr()._asdict())

    return run


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


def mistake(result, *parts):
    """Exit code 2, and one line on standard error that holds `parts`, in this order."""
    assert result.code == 2
    pattern = r"\Aminialex: " + ".*".join(map(re.escape, map(str, parts))) + r".*\n\Z"
    assert re.search(pattern, result.err), result.err
    assert "Errno" not in result.err, "the user's words, not the system's"
    return True


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def about(path):
    """What a file of weights says of itself."""
    with safe_open(path, framework="numpy") as file:
        return json.loads(file.metadata()["minialex"])


def arrays(path):
    with safe_open(path, framework="numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


# Help


def commands():
    (action,) = [action for action in cli._parser()._actions
                 if isinstance(action, argparse._SubParsersAction)]
    return [[], *([name] for name in action.choices)]


@pytest.mark.parametrize("command", commands(), ids=str)
def test_help_explains_every_option(minialex, capsys, command):
    with pytest.raises(SystemExit) as stopped:
        minialex(*command, "--help")
    out = capsys.readouterr().out
    assert stopped.value.code == 0
    assert out.startswith(f"usage: {' '.join(['minialex', *command])} ")
    unexplained = re.findall(r"^  (--?\w\S*(?: [A-Z|,]+)?)\n  -", out, re.MULTILINE)
    assert not unexplained


@pytest.mark.parametrize(("arguments", "message"), [
    ([], "the following arguments are required: COMMAND"),
    (["fly"], "invalid choice: 'fly'"),
    (["train", "--model", "vgg"], "invalid choice: 'vgg'"),
    (["train", "--epochs", "many"], "invalid int value: 'many'"),
    (["train", "--speed", "9"], "unrecognized arguments: --speed 9"),
], ids=str)
def test_what_argparse_refuses(minialex, capsys, arguments, message):
    with pytest.raises(SystemExit) as stopped:
        minialex(*arguments)
    assert stopped.value.code == 2 and message in capsys.readouterr().err


def test_as_a_module_in_a_process_of_its_own(tmp_path):
    """`python -m minialex`: starts quickly, without matplotlib, Pillow or CuPy."""
    code = ("import runpy, sys; sys.argv = ['minialex', '--version']\n"
            "try: runpy.run_module('minialex', run_name='__main__')\n"
            "finally: print(*{'matplotlib', 'PIL', 'cupy'} & set(sys.modules))")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True,
                          text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert (done.stdout, done.stderr) == (f"minialex {__version__}\n\n", "")


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


def test_run_writes_eight_files(whole_run):
    folder, _ = whole_run
    assert sorted(path.name for path in folder.iterdir()) == FILES


def test_pictures_are_valid_and_not_empty(whole_run):
    for name in ("curves.png", "filters.png", "predictions.png"):
        with Image.open(whole_run[0] / name) as picture:
            picture.verify()
        with Image.open(whole_run[0] / name) as picture:
            assert picture.format == "PNG" and min(picture.size) > 150
            assert np.asarray(picture.convert("L")).std() > 10


def test_log_has_the_keys_that_the_readme_names(whole_run):
    row = next(line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
               if line.startswith("| `log.jsonl`"))
    (entry,) = lines(whole_run[0] / "log.jsonl")
    assert list(entry) == re.findall(r"`(\w+)`", row)
    assert (entry["epoch"], entry["steps"], entry["lr"]) == (1, 3, training.suggest(
        "alexnet-small", 10_000).lr)
    assert 0 <= entry["top5_error"] <= entry["top1_error"] <= 1
    assert 1 < entry["train_loss"] < 10 and 1 < entry["test_loss"] < 10 and entry["seconds"] > 0


def test_summary(whole_run, devices):
    summary = json.loads((whole_run[0] / "summary.json").read_text())
    (entry,) = lines(whole_run[0] / "log.jsonl")
    assert list(summary) == ["top1_error", "top5_error", "seconds", "steps", "bytes_per_step",
                             "parameters", "peak_memory", "seed"]
    assert {key: summary[key] for key in ("top1_error", "top5_error", "steps")} == {
        key: entry[key] for key in ("top1_error", "top5_error", "steps")}
    net = models.AlexNet(devices, 10, 28, 1, 0.05, "he", 4)
    assert summary["parameters"] == sum(p.size for p in net.parameters())
    assert (summary["bytes_per_step"] > 0) == (devices[0] != devices[1])
    assert set(summary["peak_memory"]) == set(devices) and summary["seed"] == 4
    assert min(summary["peak_memory"].values()) > 0


def test_config_holds_all_settings(whole_run, devices):
    config = json.loads((whole_run[0] / "config.json").read_text())
    assert config["devices"] == list(devices) and config["model"] == "alexnet-small"
    assert (config["data"], config["seed"], config["steps"]) == ("fashion-mnist", 4, 3)
    recipe = training.suggest("alexnet-small", 10_000)
    assert config["recipe"] == {**vars(recipe), "width": 0.05, "batch": 16,
                                "falls": list(recipe.falls)}


def test_weights_come_with_what_is_needed_to_use_them(whole_run, devices):
    stored = arrays(whole_run[0] / MODEL)
    mean = stored.pop("input.mean")
    assert mean.shape == (28, 28, 1) and 60 < mean.mean() < 90
    net = models.AlexNet(devices, 10, 28, 1, 0.05, "he", 0)
    net.load_state(stored)
    assert about(whole_run[0] / MODEL)["classes"][9] == "Ankle boot"
    of_checkpoint = arrays(whole_run[0] / CHECKPOINT)
    for name, array in stored.items():
        np.testing.assert_array_equal(array, of_checkpoint[f"weight/{name}"])


def test_run_says_what_it_does(whole_run, devices):
    folder, printed = whole_run
    for part in ("network   alexnet-small: ", f"devices   {devices[0]} and {devices[1]}: as you",
                 "10,000 training and 2,000 test images, 10 classes", f"folder    {folder}",
                 "epoch 1/", ", test error top-1 ", "wrote " + ", ".join(FILES)):
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


def interrupt(monkeypatch, step):
    """Ctrl-C while step number `step` of the run is being made."""
    def train_steps(*arguments):
        for result in training.train_steps(*arguments):
            nonlocal step
            step -= 1
            if step == 0:
                signal.raise_signal(signal.SIGINT)
            yield result

    monkeypatch.setattr(train_module, "train_steps", train_steps)


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
    assert stopped.out.endswith(f"\n  minialex train --resume {folder}\n")
    assert not (folder / MODEL).exists()
    resumed = minialex("train", "--resume", folder)
    assert resumed.code == 0 and f"resumed   after step {step}\n" in resumed.out
    assert compare(folder, tmp_path / "whole")


def compare(folder, expected):
    """The same weights, random states, log and summary, but for the time they took."""
    assert (folder / MODEL).read_bytes() == (expected / MODEL).read_bytes()
    logs = [[{**entry, "seconds": 0} for entry in lines(run / "log.jsonl")]
            for run in (folder, expected)]
    assert logs[0] == logs[1]
    summaries = [json.loads((run / "summary.json").read_text()) for run in (folder, expected)]
    for name in summaries[0].keys() - {"seconds", "peak_memory"}:
        assert summaries[0][name] == summaries[1][name], name
    random = [about(run / CHECKPOINT)["random"] for run in (folder, expected)]
    assert random[0] == random[1]
    return True


def test_interrupted_at_the_last_step_it_ends_as_usual(tiny, tmp_path, monkeypatch):
    assert tiny("whole", "--steps", 4).code == 0
    interrupt(monkeypatch, 4)
    assert tiny("stopped", "--steps", 4).code == 0
    assert compare(tmp_path / "stopped", tmp_path / "whole")


def test_second_ctrl_c_stops_at_once(tiny, tmp_path, monkeypatch):
    def train_steps(*arguments):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        yield from training.train_steps(*arguments)

    monkeypatch.setattr(train_module, "train_steps", train_steps)
    stopped = tiny("stopped")
    assert (stopped.code, stopped.err) == (130, "minialex: interrupted\n")
    assert about(tmp_path / "stopped" / CHECKPOINT)["progress"]["steps"] == 0
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_finished_run_can_be_resumed_and_stays_as_it_is(tiny, minialex, tmp_path):
    assert tiny("run").code == 0
    shutil.copytree(tmp_path / "run", tmp_path / "before")
    assert minialex("train", "--resume", tmp_path / "run").code == 0
    assert compare(tmp_path / "run", tmp_path / "before")


def test_ctrl_c_in_a_process_of_its_own(tmp_path):
    """A real one, somewhere behind the first epoch of 120 steps."""
    def command(*arguments):
        return [sys.executable, "-m", "minialex", "train", *map(str, arguments)]

    data = make_photographs(tmp_path / "data", train=60, test=1)
    options = ["--data", data, "--devices", "cpu:0,cpu:1", "--width", 0.05, "--batch", 1,
               "--lr", 0.002, "--epochs", 1000]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    folder, log = tmp_path / "run", tmp_path / "run" / "log.jsonl"
    with subprocess.Popen(command(*options, "--out", folder), env=env, cwd=tmp_path, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        # An epoch is over when it has been logged, and then saved: the next one is under way.
        deadline = time.monotonic() + 120
        while not (log.exists() and (folder / CHECKPOINT).stat().st_mtime_ns
                   > log.stat().st_mtime_ns):
            assert process.poll() is None and time.monotonic() < deadline, process.communicate()
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert out.endswith(f"\n  minialex train --resume {folder}\n")
    progress = about(folder / CHECKPOINT)["progress"]
    assert progress["steps"] == 120 * (progress["epoch"] - 1) + progress["number"] >= 120

    # Both shall end soon: ten steps from here.
    steps = progress["steps"] + 10
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "steps": steps}))
    for arguments in (["--resume", folder], [*options, "--steps", steps, "--out",
                                             tmp_path / "whole"]):
        done = subprocess.run(command(*arguments), env=env, cwd=tmp_path, capture_output=True)
        assert (done.returncode, done.stderr) == (0, b"")
    assert compare(folder, tmp_path / "whole")


# Mistakes


@pytest.mark.parametrize(("options", "parts"), [
    (["--data", "fashion-mnits"], ["--data fashion-mnits: no data set ", "; use fashion-mnist, "]),
    (["--data", ROOT / "tests"], [ROOT / "tests", ": there is no folder train; pictures must lie"]),
    (["--devices", "tpu:0"], ["unknown device 'tpu:0'; use 'cpu:0', "]),
    (["--devices", "cpu:99"], ["device 'cpu:99' does not exist"]),
    (["--devices", "cpu:0,cpu:1,cpu:2"], ["--devices cpu:0,cpu:1,cpu:2: ", "one or two devices"]),
    (["--epochs", 0], ["--epochs 0: give a whole number of at least 1"]),
    (["--steps", -1], ["--steps -1: give a whole number of at least 1"]),
    (["--batch", 0], ["--batch 0: give a whole number of at least 1"]),
    (["--seed", -1], ["--seed -1: give a whole number of at least 0"]),
    (["--threads", 0], ["set_threads: n is 0; give a whole number of at least 1"]),
    (["--lr", 0], ["--lr 0.0: the rate must be more than 0"]),
    (["--lr", "nan"], ["--lr nan: the rate must be more than 0"]),
    (["--width", 0], ["AlexNet: width is 0.0; it must be more than 0"]),
    (["--model", "alexnet"], ["--model alexnet needs photographs of at least 227 pixels", "28",
                              "use --model alexnet-small, or --data FOLDER"]),
    (["--resume", "nowhere"], ["--resume nowhere: nowhere/config.json cannot be used (",
                               "No such file", "); name the folder of a run"]),
], ids=lambda value: " ".join(map(str, value)).replace(str(ROOT), "") if value else None)
def test_mistake_is_one_line_before_anything_is_written(minialex, tmp_path, monkeypatch, options,
                                                        parts):
    monkeypatch.chdir(tmp_path)
    assert mistake(minialex("train", *options), *parts)
    assert not list(tmp_path.iterdir())


def test_lenet_and_photographs(minialex, photographs):
    assert mistake(minialex("train", "--model", "lenet5", "--data", photographs),
                   "--model lenet5 sees grey images only: use --data fashion-mnist")


def test_debug_shows_the_traceback(minialex):
    with pytest.raises(ValueError, match="--lr 0"):
        minialex("train", "--lr", 0, "--debug")


def test_folder_that_is_not_empty(tiny, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("years of work")
    assert mistake(tiny("run"), tmp_path / "run", " is not empty; choose another --out, or go on "
                   "with that run: minialex train --resume ", "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("place", ["file", "file/below", "/dev/null/below", "/proc/below"])
def test_place_that_cannot_be_written(tiny, tmp_path, place):
    """Permissions would not stop root; these do."""
    if place.startswith("/proc") and not Path("/proc/self").exists():
        pytest.skip("needs Linux")
    (tmp_path / "file").write_text("")
    assert mistake(tiny(place), tmp_path / place, " cannot be written (", "); choose another --out")


def test_full_disk_is_noticed_before_training(tiny, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5 * 2**20))
        patch.setattr(train_module, "train_steps", None)
        assert mistake(tiny("run"), tmp_path / "run", ": 5 MiB are free on this disk, a run needs ",
                       " MiB; make room or choose another --out")
    assert tiny("run").code == 0, "the same folder will do when there is room"


@pytest.mark.parametrize("writes", [2, 3, 4])
def test_disk_that_fills_up_leaves_a_run_to_go_on_with(tiny, minialex, tmp_path, monkeypatch,
                                                       writes):
    """After so many files (config, checkpoint; log, checkpoint; ...) there is no room left."""
    def fsync(_, real=os.fsync):
        nonlocal writes
        writes -= 1
        if writes < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(_)

    assert tiny("whole").code == 0
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        assert mistake(tiny("run"), folder, " cannot be written (No space left on device)",
                       "make room on the disk")
    assert not list(folder.glob("*.part"))
    assert minialex("train", "--resume", folder).code == 0
    assert compare(folder, tmp_path / "whole")


@pytest.mark.parametrize(("name", "text", "message"), [
    ("config.json", "{", ["--resume ", "config.json cannot be used (", "); name the folder of"]),
    ("config.json", "[]", ["--resume ", "config.json cannot be used ("]),
    ("config.json", '{"model": "alexnet"}', ["--resume ", "config.json cannot be used ('data'"]),
    (CHECKPOINT, "half", ["", f"{CHECKPOINT}: damaged, or not written by minialex"]),
    (CHECKPOINT, None, ["", f"{CHECKPOINT}: there is no such file"]),
], ids=["config broken", "config is a list", "config incomplete", "damaged", "missing"])
def test_run_that_cannot_be_resumed(tiny, minialex, tmp_path, name, text, message):
    assert tiny("run", "--steps", 1).code == 0
    path = tmp_path / "run" / name
    path.unlink()
    if text is not None:
        path.write_text(text)
    assert mistake(minialex("train", "--resume", tmp_path / "run"), *message)


def test_broken_picture_stops_the_run_and_is_named(minialex, photographs, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(photographs, copy)
    (copy / "val" / "dark" / "1.jpg").write_bytes(b"")
    assert mistake(minialex("train", "--data", copy, "--width", 0.05, "--steps", 1, "--out",
                            tmp_path / "run"),
                   copy / "val" / "dark" / "1.jpg", ": not a readable picture", "remove it")


# A run that diverges


@pytest.mark.parametrize(("options", "where"), [
    (["--batch", 8], r"the loss is \S+: .*(columns\.[01]\.|fc8)"),
    (["--batch", 24], r"the loss on the test images is \S+: .*(columns\.[01]\.|fc8)"),
], ids=["in an epoch", "at its end"])
def test_diverging_run_names_step_and_layer_and_keeps_its_last_good_state(
        tiny, devices, tmp_path, options, where):
    result = tiny("run", "--lr", 1e30, *options)
    assert mistake(result, "after step ", "lower the rate (--lr)", "The last good state is kept in "
                   f"{tmp_path / 'run' / CHECKPOINT}")
    assert re.search(rf"after step [12]: {where}", result.err), result.err

    net = models.AlexNet(devices, 2, 28, 3, 0.05, "he", 1)
    progress = training.load_checkpoint(
        tmp_path / "run" / CHECKPOINT, net, optim.SGD(net.named_parameters()))
    assert progress["steps"] == 0
    assert all(np.isfinite(array).all() for array in net.state().values())


# Photographs


def test_full_network_makes_a_step(minialex, photographs, devices, tmp_path):
    """227x227 pixels, at a tenth of the width; and its pictures are in colour."""
    result = minialex("train", "--model", "alexnet", "--data", photographs, "--width", 0.1,
                      "--batch", 4, "--steps", 1, "--devices", ",".join(devices), "--out",
                      tmp_path / "run")
    assert result.code == 0 and result.err == ""
    assert "photographs: 24 training and 6 test images, 2 classes" in result.out
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == FILES
    assert arrays(tmp_path / "run" / MODEL)["input.mean"].shape == (256, 256, 3)
    with Image.open(tmp_path / "run" / "filters.png") as picture:
        assert np.ptp(np.asarray(picture.convert("RGB")), axis=2).max() > 50


def test_photographs_are_learnt(tiny, tmp_path):
    """Dark or bright: a few steps are enough."""
    assert tiny("run", "--epochs", 12, "--lr", 0.01).code == 0
    log = lines(tmp_path / "run" / "log.jsonl")
    assert [entry["epoch"] for entry in log] == list(range(1, 13))
    assert log[-1]["train_loss"] < 0.8 * log[0]["train_loss"]
    assert log[-1]["lr"] < log[0]["lr"], "the rate falls at the same shares of a run"


def test_lenet_runs(minialex, devices, tmp_path):
    result = minialex("train", "--model", "lenet5", "--steps", 2, "--batch", 16, "--devices",
                      devices[0], "--out", tmp_path / "run")
    assert result.code == 0 and "lenet5: 61,706 parameters" in result.out
    assert "copies between devices in one step, batch 16:\nnone\n" in result.out
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == FILES


# Devices


@pytest.mark.parametrize(("gpus", "chosen", "why"), [
    (0, ("cpu:0", "cpu:1"), r"two virtual devices on the processor; no driver"),
    (1, ("gpu:0", "gpu:0"), r"this machine has one GPU; it takes both columns"),
    (2, ("gpu:0", "gpu:1"), r"this machine has two GPUs"),
    (4, ("gpu:0", "gpu:1"), r"two GPUs"),
])
def test_best_devices_are_chosen_and_the_reason_given(monkeypatch, gpus, chosen, why):
    names = [f"gpu:{index}" for index in range(gpus)] + ["cpu:0", "cpu:1"]
    monkeypatch.setattr(backend, "available", lambda: names)
    monkeypatch.setattr(backend, "why_no_gpu", lambda: "" if gpus else "no driver")
    devices, reason = choose_devices(None)
    assert devices == chosen and re.search(why, reason)


@pytest.mark.parametrize(("wanted", "devices"), [
    ("cpu:3", ("cpu:3", "cpu:3")), ("cpu", ("cpu:0", "cpu:0")),
    ("cpu:2, cpu:1", ("cpu:2", "cpu:1"))])
def test_wanted_devices_are_taken(wanted, devices):
    assert choose_devices(wanted) == (devices, "as you asked")


# Bench


def test_bench_prints_its_table(minialex, devices):
    result = minialex("bench", "--model", "lenet5", "--steps", 1, "--batch", 8, "--devices",
                      ",".join(devices))
    assert result.code == 0 and result.err == ""
    for part in ("forward", "backward", "update", "step"):
        assert re.search(rf"^{part} +\d+\.\d ms$", result.out, re.MULTILINE), result.out
    assert re.search(r"^images/s +\d+\.\d$", result.out, re.MULTILINE)
    for name in devices:
        assert re.search(rf"^peak +\d+\.\d MiB on {name}$", result.out, re.MULTILINE)


@pytest.mark.parametrize("option", ["--steps", "--batch"])
def test_bench_of_nothing(minialex, option):
    assert mistake(minialex("bench", option, 0), f"{option} 0: give at least 1")
