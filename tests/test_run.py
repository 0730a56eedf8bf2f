"""A run as a generator of events: what it yields and writes, how it is left, and how it goes on."""

import json
import os
import re
import shutil
import signal
import sys
import tracemalloc

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from minialex import datasets, files, models, training
from minialex.datasets import ImageSet
from minialex.training import (
    CheckpointError,
    Classifier,
    EpochDone,
    Kept,
    RateFell,
    Resumed,
    Run,
    RunDone,
    Saved,
    StepDone,
    Stuck,
)
from minialex.training import run as run_module
from minialex.training.checkpoint import checkpoints, load_arrays, save_arrays

pytestmark = pytest.mark.ch11

EPOCHS, STEPS = 2, 3  # and in each epoch three steps: 8, 8 and 4 images
TIMES = ("seconds", "waited", "peak_memory")


def images(count, classes="ab", seed=0):
    """Dark and bright, 32x32 pixels, of which the network sees 28x28."""
    rng, labels = np.random.default_rng(seed), np.arange(count) % len(classes)
    level = 160 * labels[:, None, None, None] / max(1, len(classes) - 1)
    pixels = level + rng.integers(0, 90, (count, 32, 32, 1))
    return ImageSet.of_arrays("grey", pixels.astype(np.uint8), labels, list(classes))


def data(classes="ab"):
    return datasets.Data(images(20, classes), images(6, classes, 1), images(5, classes, 2), "val")


@pytest.fixture
def make(devices, tmp_path):
    """A small run; call it with the name of a folder, or None, and with what is to be different."""
    def make(folder=None, *, classes="ab", outputs=None, seed=3, init="he", settings=None,
             **options):
        recipe, _ = training.change(*training.suggest("alexnet-small", 20), width=0.05, batch=8,
                                    **{"epochs": EPOCHS, "falls": (1,), **(settings or {})})
        outputs = len(classes) if outputs is None else outputs
        net = models.build("alexnet-small", devices, outputs, 1, 0.05, init, seed=3)
        return Run(net, data(classes), recipe, seed, folder and tmp_path / folder,
                   about={"model": "alexnet-small"}, **options)

    return make


def kinds(events):
    return [type(event).__name__ for event in events]


def state(run):
    """Weights, velocities and random states, to compare bit for bit."""
    random = [m.rng.bit_generator.state for _, m in run.net.named_modules() if hasattr(m, "rng")]
    arrays = {**run.net.state(), **{f"v {k}": v for k, v in run._optimizer.state().items()}}
    return {name: array.tobytes() for name, array in arrays.items()}, random


def written(folder):
    """All that lies in the folder of a run, but for the time it took."""
    found = {"names": sorted(path.name for path in folder.iterdir())}
    for name in "log.jsonl", "steps.jsonl":
        found[name] = [without_times(json.loads(line))
                       for line in (folder / name).read_text().splitlines()]
    for path in folder.glob("*.safetensors"):
        about = metadata(path)
        found[path.name] = (load_bytes(path), about.get("random"),
                            without_times(about.get("progress", {})))
    return found


def without_times(entry):
    return {name: value for name, value in entry.items() if name not in TIMES}


def load_bytes(path):
    return {name: array.tobytes() for name, array in load_file(path).items()}


def metadata(path):
    with safe_open(path, framework="numpy") as file:
        return json.loads(file.metadata()["minialex"])


# What it yields


def test_events_come_in_their_order(make):
    events = list(make("run"))
    assert kinds(events) == ["Saved", *STEPS * ["StepDone"], "EpochDone", "Saved", "RateFell",
                             *STEPS * ["StepDone"], "EpochDone", "Saved", "RunDone"]
    steps = [event for event in events if isinstance(event, StepDone)]
    assert [(s.step, s.epoch, s.images) for s in steps] == [
        (1, 1, 8), (2, 1, 8), (3, 1, 4), (4, 2, 8), (5, 2, 8), (6, 2, 4)]
    first, second = (event for event in events if isinstance(event, EpochDone))
    assert first.train_loss == pytest.approx(
        sum(s.loss * s.images for s in steps[:STEPS]) / 20)
    assert second.lr == pytest.approx(first.lr / 10)
    assert next(e for e in events if isinstance(e, RateFell)).lr == second.lr
    assert events[-1].images == 5 and events[-1].steps == 6
    assert steps == sorted(steps, key=lambda event: event.seconds)


def test_without_a_folder_nothing_is_written_and_the_numbers_are_the_same(make, tmp_path,
                                                                          monkeypatch):
    kept = list(make("run"))
    monkeypatch.chdir(tmp_path / "run")
    before = sorted(os.listdir())
    events = list(make())
    assert kinds(events) == [kind for kind in kinds(kept) if kind != "Saved"]
    losses, others = ([event.loss for event in which if isinstance(event, StepDone)]
                      for which in (events, kept))
    assert losses == others and sorted(os.listdir()) == before


def test_run_prints_nothing_and_touches_no_signal(make, capfd):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    for _ in make("run"):
        assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
    assert capfd.readouterr() == ("", "")


def test_events_cannot_be_changed(make):
    event = next(iter(make()))
    with pytest.raises(AttributeError):
        event.loss = 0


def test_stuck_is_told_once(make, monkeypatch):
    monkeypatch.setattr(sys.modules["minialex.training.plateau"], "PATIENCE", 1)  # steps
    events = list(make(settings={"lr": 1e-9, "epochs": 3}))
    told = [event for event in events if isinstance(event, Stuck)]
    assert len(told) == 1 and "how frequent the classes are (0.69)" in told[0].advice
    assert "--" not in told[0].advice and "minialex" not in told[0].advice


def test_classifier_of_a_run(make):
    run = make()
    list(run)
    pictures = list(run.data.test.read(np.arange(5)))
    found = run.classifier().predict(pictures)
    assert found.shape == (5, 2) and np.allclose(found.sum(axis=1), 1)


# Leaving the loop, and going on


@pytest.fixture
def undisturbed(make, tmp_path):
    run = make("whole")
    list(run)
    return state(run), written(tmp_path / "whole")


@pytest.mark.parametrize("count", range(1, 13))
def test_loop_that_was_left_goes_on_in_another(make, undisturbed, tmp_path, count):
    """At any event, in the same process, without a file being read."""
    run = make("run")
    for number, _ in enumerate(run, 1):
        if number == count:
            break
    assert not run.finished
    list(run)
    assert run.finished and state(run) == undisturbed[0]
    assert written(tmp_path / "run") == undisturbed[1]


@pytest.mark.parametrize("count", range(1, 13))
def test_run_that_was_left_and_saved_is_resumed(make, undisturbed, tmp_path, count):
    """At any event, in a new network, as in another process."""
    run = make("run")
    for number, _ in enumerate(run, 1):
        if number == count:
            break
    run.save()
    steps = run.progress.steps
    resumed = make("run", resume=True)
    events = list(resumed)
    assert events[0] == Resumed(steps, 1 + (count >= 5) + (count >= 11)), "epochs, when evaluated"
    assert state(resumed) == undisturbed[0]
    names = written(tmp_path / "run")
    for name, content in undisturbed[1].items():
        if name != "names" and name in names:
            assert names[name] == content, name


@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_stop_ends_the_loop_when_all_is_saved(make, undisturbed, tmp_path, step):
    run = make("run")
    for event in run:
        if isinstance(event, StepDone) and event.step == step:
            run.stop()
    assert isinstance(event, Saved) and not run.finished
    assert metadata(event.path)["progress"]["steps"] == step == run.progress.steps
    resumed = make("run", resume=True)
    list(resumed)
    assert state(resumed) == undisturbed[0]


def test_run_that_was_broken_off_within_a_step_is_not_saved(make, tmp_path, monkeypatch):
    """Half of the weights may be those of the next step."""
    run = make("run")
    update = run._optimizer.step

    def broken():
        if run.progress.steps == 1:
            raise KeyboardInterrupt
        update()

    monkeypatch.setattr(type(run._optimizer), "step", lambda optimizer: broken())
    with pytest.raises(KeyboardInterrupt):
        list(run)
    for again in run.save, lambda: list(run):
        with pytest.raises(RuntimeError, match="broken off within a step"):
            again()
    assert metadata(checkpoints(tmp_path / "run")[0])["progress"]["steps"] == 0
    resumed = make("run", resume=True)
    assert next(iter(resumed)) == Resumed(0, 1)


def test_folder_is_held_while_the_loop_runs_and_no_longer(make, tmp_path):
    run = make("run")
    for _ in run:
        with pytest.raises(OSError, match="another minialex is at work here"), \
                files.locked(tmp_path / "run" / ".lock", ""):
            pass
        run.save()  # that one is ours
        break
    with files.locked(tmp_path / "run" / ".lock", ""):
        pass


def test_checkpoints_within_an_epoch(make, monkeypatch):
    monkeypatch.setattr(run_module, "SAVE_EVERY", -1)
    events = list(make("run"))
    assert kinds(events)[1:7] == ["StepDone", "Saved"] * 3


# Where it may not begin


@pytest.mark.parametrize("name", ["thesis.tex", "config.json"])
def test_folder_with_other_files(make, tmp_path, name):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_text("years of work")
    with pytest.raises(ValueError, match="run is not empty; choose another folder"):
        list(make("run"))
    assert os.listdir(tmp_path / "run") == [name]


def test_first_of_equal_errors_stays_the_best(make):
    class Same(training.Worker):
        def evaluate(self, images, batches_of):
            return training.Evaluation(0.5, None, 1.0, len(images))

    events = list(make("run", worker=Same, settings={"epochs": 3}))
    assert [e.best for e in events if isinstance(e, Saved)] == [False, True, False, False]


def test_one_class_is_refused(make, tmp_path):
    with pytest.raises(ValueError, match=r"grey has only one class, a; .* two or more"):
        make("run", classes="a")
    assert not (tmp_path / "run").exists()


def test_resuming_nothing(make, tmp_path):
    with pytest.raises(ValueError, match="resume=True needs a folder"):
        make(resume=True)
    # A name with a slip must not begin a new run.
    with pytest.raises(ValueError, match="nowhere: there is no run in it; name the folder of one"):
        list(make("nowhere", resume=True))
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(("options", "message"), [
    ({"outputs": 3}, "the network gives 3 scores, but grey has 2 classes; .* classes=2"),
    ({"outputs": 1}, "the network gives 1 scores, but grey has 2 classes; .* classes=2"),
    ({"settings": {"image_size": 33}}, "crops of 33 pixels do not fit into images of 32x32"),
    ({"steps": 0}, "steps is 0; it must be a whole number, at least 1"),
    ({"steps": 2.5}, "steps is 2.5; it must be a whole number"),
    ({"seed": -1}, "seed is -1; it must be a whole number, at least 0")])
def test_what_does_not_fit_is_refused_before_files_are_made(make, tmp_path, options, message):
    """So that the call, once corrected, finds its folder free."""
    with pytest.raises(ValueError, match=message):
        list(make("run", **options))
    assert not (tmp_path / "run").exists() or os.listdir(tmp_path / "run") == []
    assert list(make("run"))


# Another end


def test_run_is_lengthened(make, tmp_path):
    """As if it had been so long from the beginning; what an earlier end has left is replaced."""
    assert list(make("run")) and (tmp_path / "run" / "summary.json").exists()
    longer = make("run", resume=True, settings={"epochs": 4})
    events = []
    for event in longer:
        if isinstance(event, StepDone):
            assert not (tmp_path / "run" / "summary.json").exists()
            assert not (tmp_path / "run" / "model.safetensors").exists()
        events.append(event)
    assert [e.epoch for e in events if isinstance(e, EpochDone)] == [3, 4]
    whole = make("whole", settings={"epochs": 4})
    list(whole)
    assert state(longer) == state(whole)
    assert written(tmp_path / "run") == written(tmp_path / "whole")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["recipe"]["epochs"] == 4, "the next one goes on to this end"


def test_run_that_was_ended_by_steps_is_lengthened(make, undisturbed, tmp_path):
    """In the middle of an epoch, which goes on where it was."""
    for steps in 2, 4, 5:
        run = make("run", steps=steps, resume=steps > 2)
        events = list(run)
        assert isinstance(events[-1], RunDone) and run.progress.steps == steps
        log = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
        assert json.loads(log[-1])["steps"] == steps
    last = make("run", resume=True)
    list(last)
    assert state(last) == undisturbed[0]
    ours = written(tmp_path / "run")
    for name in "log.jsonl", "steps.jsonl", "model.safetensors":
        assert ours[name][0] == undisturbed[1][name][0], name


def test_run_is_ended_early(make, tmp_path):
    run = make("run", settings={"epochs": 9})
    for event in run:
        if isinstance(event, EpochDone) and event.epoch == 2:
            break
    early = make("run", resume=True, settings={"epochs": 2})
    assert kinds(early) == ["Resumed", "RunDone"] and early.finished
    assert (tmp_path / "run" / "model.safetensors").exists()


def test_finished_run_is_not_done_again(make, tmp_path):
    list(make("run"))
    before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    again = make("run", resume=True)
    assert kinds(again) == ["Resumed"] and again.finished
    assert {path: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def test_peak_of_memory_is_that_of_the_whole_run(make, tmp_path):
    """Not of the process that happens to make the last step."""
    run = make("run")
    for event in run:
        if isinstance(event, EpochDone):
            break
    path = checkpoints(tmp_path / "run")[0]
    about, huge = metadata(path), 10**15
    del about["crc32"]
    for device in about["progress"]["peak_memory"]:
        about["progress"]["peak_memory"][device] = huge
    save_file(load_file(path), path, {"minialex": json.dumps(about)})
    list(make("run", resume=True))
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert set(summary["peak_memory"].values()) == {huge}


# Damage


DAMAGE = {
    "emptied": lambda path, other: path.write_bytes(b""),
    "deleted": lambda path, other: path.unlink(),
    "swapped": lambda path, other: path.write_bytes(other),
    "byte order mark": lambda path, other: path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes()),
    "first line gone": lambda path, other: path.write_bytes(path.read_bytes().split(b"\n", 1)[1]),
    "cut off": lambda path, other: path.write_bytes(path.read_bytes()[:-30]),
    "one letter": lambda path, other: path.write_bytes(path.read_bytes().replace(b",", b";", 1)),
    "no letters": lambda path, other: path.write_bytes(os.urandom(500)),
    "nested": lambda path, other: path.write_bytes(b"[" * 10**5),
    "other types": lambda path, other: path.write_bytes(
        path.read_bytes().replace(b'"lr": 0.05', b'"lr": "0.05"')),
    "of another run": lambda path, other: path.write_bytes(re.sub(
        rb'"(top1_error|epoch)": [^,]*(?=, "(?:top5_error|lr)")', rb'"\1": 7', path.read_bytes())),
    "infinite": lambda path, other: path.write_bytes(
        path.read_bytes().replace(b'"lr": 0.05', b'"lr": Infinity')),
}


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_keeping_a_damaged_log_follows_no_link(make, tmp_path):
    list(make("run"))
    (tmp_path / "thesis").write_bytes(b"years of work")
    (tmp_path / "run" / "steps.jsonl").write_bytes(b"damaged")
    (tmp_path / "run" / "steps.jsonl.damaged").symlink_to(tmp_path / "thesis")
    assert [e.kept.name for e in make("run", resume=True, settings={"epochs": 3})
            if isinstance(e, Kept)] == ["steps.jsonl.damaged"]
    assert (tmp_path / "thesis").read_bytes() == b"years of work"
    assert (tmp_path / "run" / "steps.jsonl.damaged").read_bytes() == b"damaged"


@pytest.mark.parametrize("name", ["log.jsonl", "steps.jsonl"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_log_is_named_and_kept_and_costs_nothing_else(make, undisturbed, tmp_path, name,
                                                              damage):
    run = make("run")
    for event in run:
        if isinstance(event, StepDone) and event.step == 5:
            break
    run.save()
    path, other = tmp_path / "run" / name, {"log.jsonl": "steps.jsonl"}.get(name, "log.jsonl")
    whole = path.read_bytes()
    DAMAGE[damage](path, (path.with_name(other)).read_bytes())
    damaged = path.read_bytes() if path.exists() else None
    resumed = make("run", resume=True)
    events = list(resumed)
    [kept] = [event for event in events if isinstance(event, Kept)]
    assert kept.path == path and "is missing or damaged" in kept.what
    assert (kept.kept.read_bytes() if kept.kept else None) == damaged
    assert state(resumed) == undisturbed[0]
    lines = path.read_bytes().splitlines()
    assert len(lines) == {"log.jsonl": EPOCHS, "steps.jsonl": 6}[name]
    for number, line in enumerate(lines, 1):
        entry = json.loads(line)
        assert entry["epoch" if name == "log.jsonl" else "step"] == number
    if name == "log.jsonl":
        assert json.loads(lines[0])["top1_error"] == json.loads(whole.splitlines()[0])["top1_error"]
    assert not [event for event in make("run", resume=True, settings={"epochs": 3})
                if isinstance(event, Kept)], "and it is not damaged any more"


@pytest.mark.parametrize("name", ["log.jsonl", "steps.jsonl"])
@pytest.mark.parametrize("put", [
    lambda path: (path.write_bytes(b""), os.truncate(path, 10**12)),  # a hole: no room on disk
    pytest.param(lambda path: (path.unlink(), os.mkfifo(path)), marks=pytest.mark.skipif(
        not hasattr(os, "mkfifo"), reason="this system has no named pipes")),
    lambda path: (path.unlink(), path.mkdir()),
], ids=["huge", "pipe", "folder"])
def test_what_is_no_log_is_put_aside_unread(make, tmp_path, name, put):
    list(make("run"))
    put(tmp_path / "run" / name)
    [kept] = [event.kept for event in make("run", resume=True, settings={"epochs": 3})
              if isinstance(event, Kept)]
    assert kept == tmp_path / "run" / f"{name}.damaged" and kept.exists()
    kept.is_dir() or kept.unlink()
    assert (tmp_path / "run" / name).stat().st_size < 10_000


def test_log_of_any_length_is_read(make, undisturbed, tmp_path):
    """Beside what is in it twice, and what is no line of it."""
    run = make("run")
    for event in run:
        if isinstance(event, StepDone) and event.step == 5:
            break
    run.save()
    path = tmp_path / "run" / "steps.jsonl"
    first, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes((first + b"no line\r\n") * 10**5 + b"".join(rest))
    assert not [event for event in make("run", resume=True) if isinstance(event, Kept)]
    assert written(tmp_path / "run")["steps.jsonl"] == undisturbed[1]["steps.jsonl"]


def test_third_checkpoint_that_a_kill_has_left_goes(make, tmp_path):
    list(make("run"))
    newest, older = checkpoints(tmp_path / "run")
    shutil.copy(older, older.with_name("checkpoint-000000001.safetensors"))
    list(make("run", resume=True))
    assert checkpoints(tmp_path / "run") == [newest, older]


@pytest.mark.parametrize("change", [
    {"classes": {"a": 1}}, {"classes": "ab"}, {"steps": -1.5}, {"epoch": "2"}, {"errors": {}},
    {"errors": [None]}, {"copies": {}}, {"peak_memory": []}, {"stuck": 0}, {"seconds": "1"},
    {"loss_sum": None}, {"seconds": 10**400}, {"steps": 10**12}, {"epoch": 0}, {"number": -1},
    {"number": 10**9}, {"errors": []}, {"errors": 99 * [0.5]}], ids=str)
def test_forged_progress_falls_back_to_the_checkpoint_before(make, undisturbed, tmp_path, change):
    list(make("run"))
    newest, older = checkpoints(tmp_path / "run")
    about = metadata(newest)
    del about["crc32"]
    about["progress"] |= change
    save_file(load_file(newest), newest, {"minialex": json.dumps(about)})
    (tmp_path / "run" / "summary.json").unlink()
    resumed = make("run", resume=True)
    events = list(resumed)
    assert isinstance(events[0], Kept) and events[0].path == newest
    assert isinstance(events[1], Resumed) and older.name in events[0].what
    assert state(resumed) == undisturbed[0]


def test_other_images_are_refused_and_all_stays(make, tmp_path, devices):
    list(make("run"))
    before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    other = make("run", resume=True, settings={"epochs": 3}, classes="ba")
    with pytest.raises(RuntimeError, match="these are not the training images of that run"):
        list(other)
    assert {path: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


# The network that it leaves


def test_weights_of_a_finished_run(make, tmp_path):
    run = make("run")
    list(run)
    last = Classifier.load(tmp_path / "run", "cpu:0")
    assert last.path.name == "model.safetensors" and list(last.classes) == ["a", "b"]
    best = Classifier.load(tmp_path / "run", "cpu:0", weights="best")
    assert best.path.name == "best.safetensors"
    for classifier, name in (last, "model.safetensors"), (best, "best.safetensors"):
        stored = load_file(tmp_path / "run" / name)
        for parameter, array in classifier.net.state().items():
            expected = stored.get(parameter, stored.get(f"weight/{parameter}"))
            np.testing.assert_array_equal(array, expected)
    np.testing.assert_array_equal(last.preparation.mean, run.statistics.mean)
    np.testing.assert_array_equal(best.preparation.mean, run.statistics.mean)


def test_weights_of_a_run_that_was_stopped(make, tmp_path):
    run = make("run")
    for event in run:
        if isinstance(event, StepDone) and event.step == 4:
            run.stop()
    classifier = Classifier.load(tmp_path / "run", "cpu:0")
    assert classifier.path == checkpoints(tmp_path / "run")[0]
    for name, array in run.net.state().items():
        np.testing.assert_array_equal(classifier.net.state()[name], array)
    os.truncate(classifier.path, 1000)
    older = Classifier.load(tmp_path / "run", "cpu:0")
    assert older.path == checkpoints(tmp_path / "run")[1]
    arrays, about = load_arrays(older.path)
    save_arrays(checkpoints(tmp_path / "run")[0],
                {**arrays, "weight/fc8.bias": np.zeros(3, np.float32)}, about)
    assert Classifier.load(tmp_path / "run", "cpu:0").path == older.path, "of another network"
    for path in checkpoints(tmp_path / "run"):
        path.unlink()
    with pytest.raises(CheckpointError, match=r"no model.safetensors in it, and no checkpoint"):
        Classifier.load(tmp_path / "run", "cpu:0")
    (tmp_path / "run" / "best.safetensors").unlink()
    with pytest.raises(CheckpointError, match="there are no best weights in it"):
        Classifier.load(tmp_path / "run", "cpu:0", weights="best")
    with pytest.raises(ValueError, match="weights is 'good'; use 'last' or 'best'"):
        Classifier.load(tmp_path / "run", "cpu:0", weights="good")


@pytest.mark.parametrize("change", [{"width": 8}, {"image_size": 10**6}, {"width": 30}], ids=str)
def test_small_file_that_claims_to_be_large_asks_for_no_memory(make, tmp_path, change):
    list(make("run"))
    path = tmp_path / "run" / "model.safetensors"
    about = metadata(path)
    del about["crc32"]
    about["recipe"] |= change
    save_file(load_file(path), path, {"minialex": json.dumps(about)})
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=r"model\.safetensors: "):
            Classifier.load(tmp_path / "run", "cpu:0")
        assert tracemalloc.get_traced_memory()[1] < 20 * path.stat().st_size
    finally:
        tracemalloc.stop()


def test_run_without_the_name_of_its_model(make, tmp_path):
    run = make("run")
    del run.config["model"]
    list(run)
    with pytest.raises(CheckpointError, match="does not say what model it is of; train with Run"):
        Classifier.load(tmp_path / "run", "cpu:0")
