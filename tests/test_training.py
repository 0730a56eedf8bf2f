"""Training steps, evaluation, checkpoints, and the plateau on which runs may stay."""

import errno
import itertools
import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from minialex import Tensor, backend, models, nn, ops, optim
from minialex.datasets import Batch, ImageSet, Preparation, batches
from minialex.files import replacing
from minialex.training import (
    CheckpointError,
    DivergedError,
    Step,
    entropy,
    evaluate,
    load_checkpoint,
    plateau,
    ranks,
    save_checkpoint,
    train_steps,
)
from minialex.training.checkpoint import load_newest, save_arrays, save_newest

pytestmark = pytest.mark.ch11


class Net(nn.Module):
    """(N, 4, 4, 1) -> three classes, by way of a hidden layer with dropout."""

    def __init__(self, device, units=16, p=0.5):
        self.hidden = nn.Linear(16, units, rng=1, device=device)
        self.drop = nn.Dropout(p, rng=2)
        self.last = nn.Linear(units, 3, rng=3, device=device)

    def forward(self, images):
        x = ops.flatten(Tensor(images, self.hidden.weight.device))
        return self.last(self.drop(ops.relu(self.hidden(x))))


class Said(nn.Module):
    """A net whose scores are its input."""

    def __init__(self, device):
        self.device = device

    def forward(self, scores):
        return Tensor(scores, self.device)


def start(device, lr=0.02, **options):
    net = Net(device, **options)
    return net, optim.SGD(net.named_parameters(), lr)


def state_of(net, optimizer):
    """All that the next step depends on, to compare bit for bit."""
    arrays = [*net.state().items(), *optimizer.state().items()]
    random = [m.rng.bit_generator.state for _, m in net.named_modules() if hasattr(m, "rng")]
    return [(name, array.dtype, array.tobytes()) for name, array in arrays], random, optimizer.lr


@pytest.fixture
def grey(rng):
    """50 images of 6x6 pixels in three classes: dark, middling, bright."""
    labels = np.arange(50) % 3
    images = 90 * labels[:, None, None, None] + rng.integers(0, 70, (50, 6, 6, 1))
    return ImageSet.of_arrays("grey", images.astype(np.uint8), labels, "abc")


def epoch(data, number=1, first=0):
    """Four batches: 16, 16, 16 and 2 images."""
    preparation = Preparation(4, data.measure().mean, 1 / 64)
    return batches(data, preparation, 16, seed=5, epoch=number, first=first)


def batch(rng, n=8):
    return Batch(rng.standard_normal((n, 4, 4, 1), np.float32), rng.integers(0, 3, n))


# Steps


def test_loss_falls_and_the_classes_are_learnt(device, grey):
    net, optimizer = start(device)
    losses = [step.loss for number in range(20)
              for step in train_steps(net, optimizer, epoch(grey, number))]
    assert np.mean(losses[:4]) > 1 and np.mean(losses[-8:]) < 0.4
    result = evaluate(net, epoch(grey))
    assert result.top1_error < 0.1 and result.loss < 0.3 and result.images == 50


def test_a_step_is_made_when_it_is_asked_for(device, grey):
    net, optimizer = start(device)
    before = state_of(net, optimizer)
    steps = train_steps(net.eval(), optimizer, epoch(grey))
    assert state_of(net, optimizer) == before
    sizes = []
    for step in steps:
        assert type(step) is Step and net.training
        assert state_of(net, optimizer) != before, "no update"
        assert all(p.grad is None for p in net.parameters())
        before = state_of(net, optimizer)
        sizes.append(step.images)
    assert sizes == [16, 16, 16, 2]


def test_loss_and_gradient_are_means_over_the_images_that_came(device, rng):
    """So a smaller last batch makes an update of the same size: each image twice is the same."""
    few = batch(rng, 5)
    twice = Batch(np.concatenate(2 * [few.images]), np.concatenate(2 * [few.labels]))
    changes, losses = [], []
    for images in few, twice:
        net, optimizer = start(device, p=0.0)
        before = net.state()
        losses += [step.loss for step in train_steps(net, optimizer, [images])]
        changes.append({name: new - before[name] for name, new in net.state().items()})
    assert losses[0] == pytest.approx(losses[1])
    for name in changes[0]:
        np.testing.assert_allclose(changes[0][name], changes[1][name], rtol=1e-3, atol=1e-7)


def test_memory_returns_to_the_same_number_after_each_step(device, grey):
    net, optimizer = start(device)
    used = [backend.device(device).memory().used for _ in train_steps(net, optimizer, epoch(grey))]
    assert len(set(used)) == 1


# Numbers that are no longer finite


def spoil(name, value):
    """Writes a number into a parameter."""
    def change(net, images):
        parameter = net.named_parameters()[name]
        array = parameter.numpy()
        array.flat[-1] = value
        parameter.data = parameter.device.asarray(array)
    return change


def spoil_image(net, images):
    images[3, 1, 2, 0] = np.nan


def explode(*layers):
    def change(net, images):
        images[:] = 1
        for name in layers:
            weight = getattr(net, name).weight
            weight.data = weight.device.asarray(np.full(weight.shape, 1e30, np.float32))
    return change


def drift(net, images):
    """Scores that are finite, but too far apart for float32."""
    net.last.bias.data = net.last.bias.device.asarray(np.array([3e38, -3e38, 0], np.float32))


@pytest.mark.filterwarnings("ignore:.* encountered in:RuntimeWarning")  # on the CPU; not on GPUs
@pytest.mark.parametrize(("change", "message"), [
    (spoil_image, "the images hold numbers that are not finite"),
    (spoil("hidden.weight", np.nan), r"hidden\.weight is no longer finite"),
    (spoil("last.bias", np.inf), r"last\.bias is no longer finite"),
    (explode("hidden", "last"), r"the output of last is not finite"),
    (drift, "all layers are finite, the loss not"),
], ids=["image", "weight NaN", "bias inf", "exploding layer", "loss only"])
def test_divergence_stops_before_the_update_and_names_the_place(device, rng, change, message):
    net, optimizer = start(device, p=0.0)
    good, bad = batch(rng), batch(rng)
    steps = train_steps(net, optimizer, iter([good, bad]))
    next(steps)
    change(net, bad.images)
    before, _, _ = state_of(net, optimizer)
    with pytest.raises(DivergedError, match=rf"\Athe loss is -?(nan|inf): {message}; lower the ra"):
        next(steps)
    assert state_of(net, optimizer)[0] == before


@pytest.mark.filterwarnings("ignore:.* encountered in:RuntimeWarning")
def test_the_first_layer_that_explodes_is_named(device, rng):
    net, optimizer = start(device)
    images, labels = batch(rng)
    with pytest.raises(DivergedError, match=r"the output of hidden is not finite"):
        explode("hidden")(net, images)
        list(train_steps(net, optimizer, [Batch(images * np.float32(1e10), labels)]))


def test_training_goes_on_after_a_bad_batch_was_caught(device, rng):
    net, optimizer = start(device, p=0.0)
    good, bad = batch(rng), batch(rng)
    bad.images[:] = np.nan
    with pytest.raises(DivergedError):
        list(train_steps(net, optimizer, [bad]))
    assert [step.images for step in train_steps(net, optimizer, [good])] == [8]
    other, its_optimizer = start(device, p=0.0)
    list(train_steps(other, its_optimizer, [good]))
    assert state_of(net, optimizer)[0] == state_of(other, its_optimizer)[0], "as if it never came"


# Evaluation

NAN = float("nan")


@pytest.mark.parametrize(("scores", "label", "rank"), [
    ([0, 3, 1, 2], 1, 0),
    ([0, 3, 1, 2], 0, 3),
    ([0, 3, 1, 2], 3, 1),
    ([1, 1, 0, 0], 0, 1),
    ([7, 7, 7, 7], 2, 3),
    ([NAN, 3, 1, 2], 1, 1),
    ([NAN, 3, 1, 2], 0, 3),
    ([NAN, NAN, NAN, NAN], 0, 3),
    ([np.inf, np.inf, 0, 0], 0, 1),
    ([-np.inf, 0, 0, 0], 0, 3),
    ([5], 0, 0),
], ids=str)
def test_ranks(scores, label, rank):
    """Ties count against the net, and so does what is not a number."""
    assert ranks(np.array([scores], np.float32), np.array([label])).tolist() == [rank]


def test_errors_and_loss_are_means_over_images_not_over_batches(device):
    """Seven images of six classes in batches of four and three; ranks 0, 0, 1, 4, 5, 5, 0."""
    scores = np.tile(np.arange(6, dtype=np.float32), (7, 1))
    labels = np.array([5, 5, 4, 1, 0, 0, 5])
    shares = np.exp(scores[0]) / np.exp(scores[0]).sum()
    result = evaluate(Said(device), [Batch(scores[:4], labels[:4]), Batch(scores[4:], labels[4:])])
    assert result.top1_error == pytest.approx(4 / 7) and result.top5_error == pytest.approx(2 / 7)
    assert result.loss == pytest.approx(-np.log(shares[labels]).mean(), rel=1e-6)
    assert result.images == 7


@pytest.mark.parametrize("classes", [2, 5, 6])
def test_with_five_classes_or_fewer_there_is_no_top5_error(device, classes):
    scores = np.zeros((4, classes), np.float32)
    result = evaluate(Said(device), [Batch(scores, np.zeros(4, int))])
    assert result[:2] == (1.0, None if classes < 6 else 1.0)


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_leaves_no_trace(device, grey, training):
    """Neither mode, nor tape, nor random numbers: looking does not change the run."""
    net, optimizer = start(device)
    net.train(training)
    evaluate(net, epoch(grey))  # what it allocates once and for all
    before, used = state_of(net, optimizer), backend.device(device).memory().used
    results = [evaluate(net, epoch(grey)) for _ in range(2)]
    assert results[0] == results[1]
    assert state_of(net, optimizer) == before
    assert backend.device(device).memory().used == used
    assert all(module.training is training for _, module in net.named_modules())
    with pytest.raises(ValueError, match=r"matmul|linear"):
        evaluate(net, [Batch(np.zeros((2, 5, 5, 1), np.float32), np.zeros(2, int))])
    assert net.training is training


def test_evaluation_records_no_tape(device):
    class Watched(Net):
        recorded = None

        def forward(self, images):
            scores = super().forward(images)
            Watched.recorded = scores.requires_grad
            return scores

    evaluate(Watched(device), [Batch(np.zeros((2, 4, 4, 1), np.float32), np.zeros(2, int))])
    assert Watched.recorded is False


def test_evaluation_of_nothing(device):
    with pytest.raises(ValueError, match="evaluate: there are no batches; give at least one"):
        evaluate(Said(device), [])


# Checkpoints


@pytest.fixture
def trained(device, grey, tmp_path):
    """A net in the middle of its training, and the checkpoint of it."""
    net, optimizer = start(device)
    list(train_steps(net, optimizer, epoch(grey)))
    optimizer.lr = 0.003
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, net, optimizer, {"epoch": 2, "note": "ä"})
    return net, optimizer, path


def test_round_trip_bit_for_bit(device, trained):
    net, optimizer, path = trained
    other, its_optimizer = start(device)
    assert state_of(other, its_optimizer) != state_of(net, optimizer)
    assert load_checkpoint(path, other, its_optimizer) == {"epoch": 2, "note": "ä"}
    assert state_of(other, its_optimizer) == state_of(net, optimizer)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("done", range(5))
def test_resumed_within_an_epoch_is_undisturbed_bit_for_bit(device, grey, tmp_path, done):
    """The order, the crops, the masks of dropout, momentum: all go on where they were."""
    def run(net, optimizer, feed):
        return list(itertools.islice(train_steps(net, optimizer, feed), done))

    undisturbed = start(device)
    list(train_steps(*undisturbed, epoch(grey)))
    list(train_steps(*undisturbed, epoch(grey, 2)))

    stopped = start(device)
    list(train_steps(*stopped, epoch(grey)))
    run(*stopped, epoch(grey, 2))
    save_checkpoint(tmp_path / "c", *stopped, {"epoch": 2, "number": done})

    resumed = start(device)
    progress = load_checkpoint(tmp_path / "c", *resumed)
    list(train_steps(*resumed, epoch(grey, progress["epoch"], first=progress["number"])))
    assert state_of(*resumed) == state_of(*undisturbed)


@pytest.fixture
def starts(rng):
    """Two functions: a small network and its optimizer on two devices; one step of theirs."""
    images = Batch(rng.standard_normal((4, 28, 28, 1), np.float32), rng.integers(0, 3, 4))

    def start(devices):
        net = models.AlexNet(devices, classes=3, image_size=28, channels=1, width=1 / 16, init="he")
        return net, optim.SGD(net.named_parameters())

    def step(net, optimizer):
        return [s.loss for s in train_steps(net, optimizer, [images])]

    return start, step


@pytest.mark.ch08
def test_checkpoint_goes_to_any_devices(two_devices, starts, tmp_path):
    start, step = starts
    both = start(two_devices)
    step(*both)
    save_checkpoint(tmp_path / "c", *both, {})
    first = two_devices[0]
    for devices in (first, first), two_devices[::-1], ("cpu:2", "cpu:2"):
        other = start(devices)
        load_checkpoint(tmp_path / "c", *other)
        assert state_of(*other) == state_of(*both), devices
        assert {p.device.name for p in other[0].parameters()} == set(devices)


@pytest.mark.ch08
def test_checkpoint_of_two_devices_goes_on_on_one(two_devices, same_kind, starts, tmp_path):
    start, step = starts
    both, alone = start(two_devices), start((two_devices[0], two_devices[0]))
    step(*both)
    save_checkpoint(tmp_path / "c", *both, {})
    load_checkpoint(tmp_path / "c", *alone)
    assert step(*alone) == step(*both)
    assert state_of(*alone) == state_of(*both)


def forged(**changes):
    """Other values under a right checksum, as no damage would bring about."""
    def change(path):
        with safe_open(path, framework="numpy") as file:
            about = json.loads(file.metadata()["minialex"])
        del about["crc32"]
        save_file(load_file(path), path, {"minialex": json.dumps({**about, **changes})})
    return change


def keep(share):
    return lambda path: path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def foreign(metadata):
    return lambda path: save_file({"weight/hidden.weight": np.zeros(3)}, path, metadata)


def flip(after, byte):
    """One bit, in a byte of `after`, or of the file."""
    def damage(path):
        data = bytearray(path.read_bytes())
        data[byte if not after else data.index(after) + len(after) + byte] ^= 1
        path.write_bytes(data)
    return damage


@pytest.mark.parametrize(("damage", "message"), [
    (keep(0), "damaged, or not written by minialex"),
    (keep(0.0005), "damaged"),
    (keep(0.1), "damaged"),
    (keep(0.9999), "damaged"),
    (lambda path: path.write_text("not a checkpoint " * 100), "damaged"),
    (foreign(None), "damaged, or not written by minialex"),
    (foreign({"format": "pt"}), "damaged, or not written by minialex"),
    (foreign({"minialex": "{"}), "damaged"),
    (foreign({"minialex": "[]"}), "damaged"),
    (foreign({"minialex": "{}"}), "does not fit"),
    (flip(b"", -1), "wrong checksum"),
    (flip(rb'\"epoch\": 2', -1), "wrong checksum"),
    (foreign({"minialex": "[" * 100_000}), "damaged"),
    (forged(lr="fast"), "lr is 'fast'; it must be a number"),
    (forged(progress=7), "does not fit"),
    (forged(random={"drop": {"bit_generator": "PCG64"}}), "does not fit"),
    (forged(random={"drop": 7}), "does not fit"),
    (forged(random=[]), "does not fit"),
    (lambda path: path.unlink(), "there is no such file"),
    (lambda path: (path.unlink(), path.mkdir()), "there is no such file"),
], ids=["empty", "in the length", "in the header", "last byte", "text", "no metadata",
        "other metadata", "broken metadata", "metadata is a list", "metadata is empty",
        "bit of a weight", "bit of the progress", "metadata nested deeply", "lr", "progress",
        "random state", "no random state", "no random states", "missing", "folder"])
def test_damaged_file_is_named_and_changes_nothing(device, trained, damage, message):
    _, _, path = trained
    damage(path)
    net, optimizer = start(device)
    before = state_of(net, optimizer)
    with pytest.raises(CheckpointError, match=r"\A[^\n]*checkpoint\.safetensors: .*") as caught:
        load_checkpoint(path, net, optimizer)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert state_of(net, optimizer) == before


def test_checkpoint_without_a_checksum(device, trained):
    """As minialex wrote them at first: what is in it counts."""
    net, optimizer, path = trained
    with safe_open(path, framework="numpy") as file:
        about = json.loads(file.metadata()["minialex"])
    del about["crc32"]
    save_file(load_file(path), path, {"minialex": json.dumps(about)})
    other = start(device)
    assert load_checkpoint(path, *other) == {"epoch": 2, "note": "ä"}
    assert state_of(*other) == state_of(net, optimizer)


def wider(device):
    return start(device, units=17)


def other_layers(device):
    net = models.LeNet5(3, device=device)
    return net, optim.SGD(net.named_parameters())


def last_layer_only(device):
    net = Net(device)
    return net, optim.SGD(net.last.named_parameters())


@pytest.mark.parametrize(("make", "message"), [
    (wider, r"hidden\.\w+ is float32 \(.*16.*\) among the stored arrays but float32 \(.*17.*\) h"),
    (other_layers, r"it has random states of drop, this network of no layer"),
    (last_layer_only, r"SGD: bias is missing among the stored arrays"),
])
def test_checkpoint_of_another_network_changes_nothing(device, trained, make, message):
    net, optimizer = make(device)
    before = state_of(net, optimizer)
    message = rf"safetensors: does not fit this network \(.*{message}"
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(trained[2], net, optimizer)
    assert state_of(net, optimizer) == before


def test_checkpoint_whose_optimizer_had_fewer_parameters_changes_nothing(device, tmp_path):
    """Its weights would fit; but half a checkpoint is none."""
    save_checkpoint(tmp_path / "c", *last_layer_only(device), {})
    net, optimizer = start(device, lr=0.5)
    net.hidden.bias.data = net.hidden.bias.device.asarray(np.ones(16, np.float32))
    before = state_of(net, optimizer)
    with pytest.raises(CheckpointError, match=r"SGD: bias is .* but missing here"):
        load_checkpoint(tmp_path / "c", net, optimizer)
    assert state_of(net, optimizer) == before


def test_weights_without_their_run(device, trained):
    """`model.safetensors` has no velocities: it is no checkpoint, and the message says so."""
    net, optimizer, path = trained
    save_arrays(path, net.state(), {"model": "alexnet"})
    with pytest.raises(CheckpointError, match="it has no lr, progress, random: weights without"):
        load_checkpoint(path, net, optimizer)


# The checkpoints of a run

CHECKPOINTS = [f"checkpoint-{steps:09d}.safetensors" for steps in range(5)]


@pytest.fixture
def run(device, grey, tmp_path):
    """A folder with checkpoints after 0 to 4 steps, the best one after 2; and each state."""
    net, optimizer = start(device)
    states = [state_of(net, optimizer)]
    save_newest(tmp_path, net, optimizer, {"steps": 0})
    for steps, _ in enumerate(train_steps(net, optimizer, epoch(grey)), 1):
        save_newest(tmp_path, net, optimizer, {"steps": steps}, best=steps == 2)
        states.append(state_of(net, optimizer))
    return tmp_path, states


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_last_two_checkpoints_and_the_best_stay(device, run):
    folder, states = run
    assert names(folder) == ["best.safetensors", *CHECKPOINTS[3:]]
    for name, steps in ("best.safetensors", 2), (CHECKPOINTS[3], 3), (CHECKPOINTS[4], 4):
        net, optimizer = start(device)
        assert load_checkpoint(folder / name, net, optimizer) == {"steps": steps}
        assert state_of(net, optimizer) == states[steps]


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_best_checkpoint_is_the_newest_until_the_next(device, tmp_path, monkeypatch, links):
    """One file with two names, or a copy where the disk knows no links."""
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    net, optimizer = start(device)
    save_newest(tmp_path, net, optimizer, {"steps": 1}, best=True)
    best = (tmp_path / "best.safetensors").read_bytes()
    assert (tmp_path / CHECKPOINTS[1]).read_bytes() == best
    assert (tmp_path / "best.safetensors").samefile(tmp_path / CHECKPOINTS[1]) == links
    optimizer.lr = 0.5
    save_newest(tmp_path, net, optimizer, {"steps": 1})
    assert (tmp_path / CHECKPOINTS[1]).read_bytes() != best
    save_newest(tmp_path, net, optimizer, {"steps": 1}, best=True)
    assert (tmp_path / CHECKPOINTS[1]).read_bytes() == (
        tmp_path / "best.safetensors").read_bytes() != best
    assert names(tmp_path) == ["best.safetensors", CHECKPOINTS[1]]


def no_links(*_):
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def test_best_checkpoint_is_there_before_its_epoch_counts_as_done(device, run, monkeypatch):
    """Else a run that is killed between the two would never make it."""
    folder, _ = run
    monkeypatch.setattr(os, "link", ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        save_newest(folder, *start(device), {"steps": 5}, best=True)
    monkeypatch.undo()
    assert load_checkpoint(folder / "best.safetensors", *start(device)) == {"steps": 5}
    assert load_newest(folder, *start(device), dict) == ({"steps": 4}, [])


def goes_back(device, folder, read=dict):
    """Steps and state that it goes back to, and the damaged files: name, new name, what is said."""
    net, optimizer = start(device)
    progress, damaged = load_newest(folder, net, optimizer, read)
    return (progress["steps"], state_of(net, optimizer),
            [(kept.path.name, kept.kept.name, kept.what) for kept in damaged])


def test_newest_checkpoint_is_taken(device, run):
    folder, states = run
    assert goes_back(device, folder) == (4, states[4], [])
    assert len(names(folder)) == 3


@pytest.mark.parametrize("damage", [keep(0), keep(0.5), flip(b"", -1)],
                         ids=["empty", "half", "one bit"])
def test_damaged_checkpoint_is_named_and_the_one_before_is_taken(device, run, damage):
    folder, states = run
    damage(folder / CHECKPOINTS[4])
    assert goes_back(device, folder) == (3, states[3], [
        (CHECKPOINTS[4], f"{CHECKPOINTS[4]}.damaged",
         f"cannot be used; going back to {CHECKPOINTS[3]}")])
    assert names(folder) == ["best.safetensors", CHECKPOINTS[3], f"{CHECKPOINTS[4]}.damaged"]


def test_best_checkpoint_is_the_last_resort(device, run):
    folder, states = run
    for name in CHECKPOINTS[3:]:
        keep(0.5)(folder / name)
    steps, state, damaged = goes_back(device, folder)
    assert (steps, state) == (2, states[2])
    assert len(damaged) == 2
    assert all(what.endswith("going back to best.safetensors") for *_, what in damaged)


def test_progress_that_makes_no_sense_is_damage(device, run):
    """The file is whole, and of this network; but a run could not go on from it."""
    def read(stored):
        if stored["steps"] == 4:
            raise ValueError("steps are four")
        return stored

    folder, states = run
    steps, state, [(name, *_)] = goes_back(device, folder, read)
    assert (steps, state, name) == (3, states[3], CHECKPOINTS[4])


def test_when_all_checkpoints_are_damaged_one_line_says_so(device, run):
    folder, _ = run
    for name in names(folder):
        keep(0.5)(folder / name)
    with pytest.raises(CheckpointError, match=(
            rf"\A{folder}: none of its 3 checkpoints can be used; the newest is {folder}/"
            rf"{CHECKPOINTS[4]}: damaged, or not written by minialex \([^\n]+\Z")):
        goes_back(device, folder)
    assert len(names(folder)) == 3, "nothing is removed"


def test_checkpoints_of_another_network_stay(device, run):
    folder, _ = run
    net, optimizer = wider(device)
    with pytest.raises(CheckpointError, match=r"none of its 3 checkpoints .*does not fit this ne"):
        load_newest(folder, net, optimizer, dict)
    assert len(names(folder)) == 3


def test_folder_without_checkpoints(device, tmp_path):
    with pytest.raises(CheckpointError, match="there is no checkpoint in it; name the folder of a"):
        goes_back(device, tmp_path)


def test_names_are_on_the_disk_before_older_files_go(run, device, monkeypatch):
    """Else a power cut could leave neither the new checkpoint nor the old ones."""
    folder, _ = run
    calls = []

    def fsync(handle, real=os.fsync):
        calls.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        real(handle)

    def replace(source, target, real=os.replace):
        calls.append("name")
        real(source, target)

    def unlink(path, missing_ok=False, real=Path.unlink):
        if path.suffix != ".part":
            calls.append("older file")
        real(path, missing_ok)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(Path, "unlink", unlink)
    save_newest(folder, *start(device), {"steps": 5})
    assert calls == ["file", "name", "folder", "older file"]


def no_room(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def ctrl_c(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize(("fail", "error", "message"), [
    (no_room, OSError, r"checkpoint.safetensors cannot be written \(No space left on device\), "
                       r"and is as it was before; make room"),
    (ctrl_c, KeyboardInterrupt, None),
])
def test_failing_write_leaves_the_old_file(trained, monkeypatch, call, fail, error, message):
    net, optimizer, path = trained
    old = path.read_bytes()
    monkeypatch.setattr(os, call, fail)
    with pytest.raises(error, match=message):
        save_checkpoint(path, net, optimizer, {"epoch": 3})
    assert path.read_bytes() == old
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_what_fails_within_the_block_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(KeyError), replacing(path) as file:
        file.write(b"new")
        raise KeyError
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("place", ["missing/file", "file/below"])
def test_place_that_cannot_be_written(tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=rf"{place} cannot be written \((No such file|Not a dir)"), \
            replacing(tmp_path / place):
        pass


# The plateau


@pytest.mark.parametrize(("labels", "nats"), [
    ([0, 1, 2, 3] * 5, np.log(4)),
    ([0, 0, 0, 1], 0.75 * np.log(4 / 3) + 0.25 * np.log(4)),
    ([2, 5, 5, 2], np.log(2)),
    ([1, 1, 1], 0),
], ids=["balanced", "not balanced", "labels that nobody has", "one class"])
def test_entropy_is_the_loss_of_who_knows_the_frequencies_only(device, labels, nats):
    assert entropy(np.array(labels)) == pytest.approx(nats)
    shares = np.bincount(labels) / len(labels)
    scores = np.tile(np.log(np.maximum(shares, 1e-30)).astype(np.float32), (len(labels), 1))
    said = evaluate(Said(device), [Batch(scores, np.array(labels))])
    assert said.loss == pytest.approx(nats, abs=1e-6)


@pytest.mark.parametrize(("loss", "steps", "stuck"), [
    (2.30, 240, True), (2.26, 240, True), (2.25, 240, False), (2.53, 200, True),
    (2.30, 199, False), (0.5, 240, False)])
def test_plateau_is_noticed(loss, steps, stuck):
    """ln 10 is 2.303, and 2 % less 2.257."""
    told = plateau(loss, steps, np.arange(1000) % 10, "run145")
    assert bool(told) == stuck
    if stuck:
        assert told.startswith(f"the loss is {loss:.2f} after {steps} steps: that of a network that"
                               " knows only how frequent the classes are (2.30). ")


def test_plateau_where_one_class_is_frequent():
    """Always saying "t-shirt" is no knowledge, though the loss is far below ln(classes)."""
    labels = np.array(90 * [0] + 10 * [1])
    assert plateau(0.325, 300, labels, "he") and not plateau(0.30, 300, labels, "he")


@pytest.mark.parametrize("loss", [2.54, 7.0, 1e6])
def test_loss_above_the_plateau_asks_for_another_rate(loss):
    told = plateau(loss, 300, np.arange(10), "run145")
    assert told == (f"the loss is {loss:.2f} after 300 steps: more than that of a network that "
                    "knows only how frequent the classes are (2.30). Start again with a smaller "
                    "rate; or with a larger one, if the loss has hardly moved")
    assert not plateau(loss, 199, np.arange(10), "run145")


@pytest.mark.parametrize("loss", [0.0, 1e-7])
def test_one_class_is_no_plateau(loss):
    assert not plateau(loss, 300, np.zeros(5, np.int64), "he")


@pytest.mark.parametrize(("init", "advice"), [
    ("paper", "try init 'run145'"), ("run145", "try init 'he' if"), ("he", "try a smaller rate")])
def test_advice_fits_what_was_tried(init, advice):
    assert advice in plateau(2.3, 300, np.arange(10), init)
