"""Many processes, one network: what they compute together, and what ends them all.

The ranks are processes that mpiexec starts here: two or four, with the smallest networks, and more
of them than there may be cores.
"""

import importlib.util
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minialex import models, optim
from minialex.datasets import Batch
from minialex.parallel import Communicator, Hybrid, devices_of_rank, ranks
from minialex.parallel.ranks import share
from minialex.tools import cli
from minialex.training import Worker, freeze
from minialex.training.checkpoint import checkpoints, load_arrays

pytestmark = pytest.mark.ch14

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 60  # seconds in which a fault must have ended all


@pytest.fixture(scope="module")
def mpiexec(tmp_path_factory):
    """Call it with a number of ranks, a program and its arguments -> what has become of it."""
    if importlib.util.find_spec("mpi4py") is None:
        pytest.skip("mpi4py is not installed: pip install 'minialex[mpi]'")
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    starter = shutil.which("mpiexec", path=beside)
    if starter is None:
        pytest.skip("there is no mpiexec: pip install 'minialex[mpi]'")
    folder = tmp_path_factory.mktemp("programs")
    # Open MPI asks before it starts more ranks than cores, and before it does so as root.
    environment = {**os.environ, "OMP_NUM_THREADS": "1",
                   "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
                   "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}

    def run(ranks, program, *arguments, before=()):
        """before: folders in which Python looks for packages first."""
        path = folder / "program.py"
        path.write_text(program)
        found = os.pathsep.join(map(str, [*before, ROOT, ROOT / "notebooks"]))
        return subprocess.run(
            [starter, "-n", str(ranks), sys.executable, "-m", "mpi4py", path,
             *map(str, arguments)],
            capture_output=True, text=True, timeout=LIMIT,
            env={**environment, "PYTHONPATH": found})

    probe = run(2, "from mpi4py import MPI; print(MPI.COMM_WORLD.size)")
    if probe.stdout.split() != ["2", "2"]:
        pytest.skip(f"mpiexec cannot start two ranks: {probe.stderr.strip()[-300:]}")
    return run


# A group of one


def test_shares_cover_everything_once():
    for n in range(20):
        for size in range(1, 7):
            parts = [list(range(n)[share(n, rank, size)]) for rank in range(size)]
            assert list(itertools.chain(*parts)) == list(range(n))
            assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_one_rank_speaks_to_itself():
    group, result = Communicator(), np.zeros(3, np.float32)
    assert group.start_sum(np.arange(3, dtype=np.float32), result, "x")() is result
    assert result.tolist() == [0, 1, 2]
    assert group.sum(1.5, 2) == [1.5, 2] and group.any(False, True) == [False, True]
    assert group.collect("a") == ["a"] and group.broadcast("a") == "a"
    assert not group.sent


def test_who_differs_is_named():
    class Two(Communicator):
        def collect(self, value):
            return [value, {**value, "NumPy": "1.0"}]

    with pytest.raises(ValueError, match=r"rank 1 has NumPy 1\.0, but rank 0 has 2\.0"):
        Two().compare({"seed": 1, "NumPy": "2.0"})
    Communicator().compare({"NumPy": "2.0"})


def test_patience_leaves_time_to_end_all():
    assert ranks.PATIENCE < LIMIT


# Which GPUs a rank takes

FOUR = ("gpu:0", "gpu:1", "gpu:2", "gpu:3")


@pytest.mark.parametrize(("names", "size", "taken"), [
    (FOUR, 1, ["gpu:0 gpu:1"]),
    (FOUR, 2, ["gpu:0 gpu:1", "gpu:2 gpu:3"]),
    (FOUR, 4, ["gpu:0 gpu:0", "gpu:1 gpu:1", "gpu:2 gpu:2", "gpu:3 gpu:3"]),
    (FOUR[:3], 2, ["gpu:0 gpu:0", "gpu:1 gpu:2"]),
    (FOUR[:2], 2, ["gpu:0 gpu:0", "gpu:1 gpu:1"]),
    (FOUR[:2], 4, ["gpu:0 gpu:0", "gpu:1 gpu:1", "gpu:0 gpu:0", "gpu:1 gpu:1"]),
    (FOUR[:1], 2, 2 * ["gpu:0 gpu:0"]),
    (("gpu:3", "gpu:1"), 2, ["gpu:3 gpu:3", "gpu:1 gpu:1"]),
    (("cpu:0", "cpu:1"), 3, 3 * ["cpu:0 cpu:1"]),
    (("cpu:2",), 2, 2 * ["cpu:2 cpu:2"]),
    ((*FOUR[:2], "cpu:0", "cpu:1"), 2, ["gpu:0 gpu:0", "gpu:1 gpu:1"]),
], ids=str)
def test_each_rank_takes_gpus_of_its_own(names, size, taken):
    """Two if there are enough; no GPU serves two ranks while another one is idle."""
    assert [" ".join(devices_of_rank(names, rank, size)) for rank in range(size)] == taken


# The same as one process


TRAINING = """
import json, sys
import numpy as np
from minialex import backend
from minialex.parallel import DataParallel, Hybrid, connect
from minialex.parallel.data import compare_ranks
sys.path.insert(0, sys.argv[1])
from test_distributed import feed, network

backend.set_threads(1)
group = connect()
net, optimizer = network(*sys.argv[4:])
scheme = {"data": DataParallel, "hybrid": Hybrid}[sys.argv[2]](net, optimizer, group, bucket=20000)

early = []  # whether backward was still to come to conv1 when a sum began
start_sum = group.start_sum
def watched(array, result, label):
    early.append(net.columns[0].conv1.weight.grad is None)
    return start_sum(array, result, label)
group.start_sum = watched

losses, sent = [], []
for step in scheme.steps(feed(scheme.rows_of)):
    losses.append(step.loss)
    sent.append(dict(group.sent))
    compare_ranks(scheme.replicated(), group)
    with scheme.whole_network():
        compare_ranks(net.named_parameters(), group)
    group.sent.clear()
assert (group.local_rank, group.local_size) == (group.rank, group.size), "all on this machine"
with scheme.whole_network():
    if group.rank == 0:
        velocities = {f"v {name}": array for name, array in optimizer.state().items()}
        np.savez(sys.argv[3], losses=losses, **net.state(), **velocities)
        print(json.dumps({"sent": sent, "early": early}))
"""


def network(a="cpu:0", b="cpu:1"):
    """All units and classes can be divided by four."""
    net = models.AlexNet((a, b), 16, 28, 1, 1 / 16, "he", 3)
    return net, optim.SGD(net.named_parameters(), 0.01)


def feed(rows_of):
    """Batches that divide well, badly, and leave some of four ranks without an image."""
    rng = np.random.default_rng(1)
    for n in (16, 19, 3):
        images = rng.standard_normal((n, 28, 28, 1), np.float32)
        yield Batch(images[rows_of(n)], rng.integers(0, 16, n))


@pytest.fixture(scope="module")
def alone():
    """What one process makes of the joined batches."""
    net, optimizer = network()
    losses = [step.loss for step in Worker(net, optimizer).steps(feed(slice))]
    return {"losses": losses, **net.state(),
            **{f"v {name}": array for name, array in optimizer.state().items()}}


@pytest.mark.parametrize(("scheme", "ranks"), [("data", 2), ("data", 4), ("hybrid", 2),
                                               ("hybrid", 4)])
def test_ranks_are_as_good_as_one_process(mpiexec, alone, tmp_path, scheme, ranks):
    done = mpiexec(ranks, TRAINING, ROOT / "tests", scheme, tmp_path / "end.npz")
    assert done.returncode == 0, done.stderr
    check_end(tmp_path / "end.npz", alone)
    with np.load(tmp_path / "end.npz") as end:
        moved = np.abs(network()[0].state()["columns.0.fc6.weight"] - end["columns.0.fc6.weight"])
        assert moved.max() > 1e-4, "negative control: nothing was learnt"
    result = json.loads(done.stdout)
    assert result["early"].count(True) >= len(result["early"]) // 2, "sums began after backward"
    check_bytes(result["sent"][0], scheme, ranks, images=16 // ranks)


@pytest.mark.parametrize("scheme", ["data", "hybrid"])
def test_gpus_are_served(mpiexec, alone, tmp_path, scheme):
    """On the stand-in for CuPy."""
    done = mpiexec(2, TRAINING, ROOT / "tests", scheme, tmp_path / "end.npz", "gpu:0", "gpu:1",
                   before=[ROOT / "tests" / "standin"])
    assert done.returncode == 0, done.stderr
    check_end(tmp_path / "end.npz", alone)


def frozen(last):
    """The same network, of which nothing learns up to a layer."""
    net, _ = network()
    freeze(net, last)
    learning = {name: p for name, p in net.named_parameters().items() if p.requires_grad}
    return net, optim.SGD(learning, 0.01)


@pytest.mark.parametrize(("scheme", "last"), [("data", "conv3"), ("data", "fc7"),
                                              ("hybrid", "conv3"), ("hybrid", "conv5"),
                                              ("hybrid", "fc6")])
def test_frozen_layers_are_left_alone_by_all_ranks(mpiexec, tmp_path, scheme, last):
    program = TRAINING.replace("feed, network", "feed, frozen").replace(
        "network(*sys.argv[4:])", "frozen(sys.argv[4])")
    done = mpiexec(2, program, ROOT / "tests", scheme, tmp_path / "end.npz", last)
    assert done.returncode == 0, done.stderr
    net, optimizer = frozen(last)
    before = net.state()
    losses = [step.loss for step in Worker(net, optimizer).steps(feed(slice))]
    check_end(tmp_path / "end.npz", {"losses": losses, **net.state(), **{
        f"v {name}": array for name, array in optimizer.state().items()}})
    with np.load(tmp_path / "end.npz") as end:
        assert np.array_equal(end["columns.1.conv3.weight"], before["columns.1.conv3.weight"])
        assert not np.array_equal(end["fc8.weight"], before["fc8.weight"])


def check_end(path, alone):
    with np.load(path) as end:
        assert set(end) == set(alone)
        for name, array in alone.items():
            np.testing.assert_allclose(end[name], array, rtol=1e-5, atol=1e-6, err_msg=name)


def check_bytes(sent, scheme, ranks, images):
    """Of the step in which all ranks, and all turns, have equally many images."""
    from plan import Machine, Network, cost  # the ranks, which import this file, lack it

    net, _ = network()
    sizes = {name: p.size for name, p in net.named_parameters().items()}
    dense = sum(size for name, size in sizes.items() if "fc" in name)
    column = net.columns[0]
    paper = Network(conv_weights=sum(sizes.values()) - dense, fc_weights=dense, conv_work=1,
                    fc_work=1, fc8_work=1, pool2=1, pool5=column.fc6.weight.shape[0],
                    fc=2 * column.fc6.weight.shape[1])
    if scheme == "hybrid":  # the paper's logistic units needed no scores of other classes
        assert sent.pop("scores") == 4 * 16 * images * (ranks - 1)
    name = {"data": "data", "hybrid": "hybrid (c)"}[scheme]
    expected = cost(name, paper, Machine(1, 1, 0, images), ranks).sent
    assert expected - 10 < sum(sent.values()) <= expected  # a bucket may lose a share of a byte


# The command


COMMAND = """
import os, signal, sys, time, types
from dataclasses import replace
sys.modules["minialex.tools.plots"] = types.ModuleType("plots")  # Matplotlib takes its time
for name in ("curves", "filters", "predictions"):
    setattr(sys.modules["minialex.tools.plots"], name, lambda *_: None)
from minialex.parallel import ranks
from minialex.tools import cli, job, ranks as ranks_of_train
from minialex.training import folder, run

fault, arguments = sys.argv[1], sys.argv[2:]
last = os.environ["OMPI_COMM_WORLD_RANK"] == str(int(os.environ["OMPI_COMM_WORLD_SIZE"]) - 1)

def at_third(feed):
    for number, batch in enumerate(feed, 1):
        if number == 3:
            if fault == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if fault == "interrupted":
                os.kill(os.getpid(), signal.SIGINT)
            if fault == "raises":
                raise OSError("the disk is broken")
            if fault == "raises what nobody expects":
                raise KeyError("surprise")
            if fault == "hangs":
                time.sleep(1000)
            if fault == "stopped":
                os.kill(os.getpid(), signal.SIGSTOP)
            if fault == "diverges":
                batch.images[:] = float("nan")
        yield batch

if fault == "interrupted":  # the others do not leave before rank 0 has written
    save = folder.save_newest
    folder.save_newest = lambda *a, **o: (time.sleep(0.5), save(*a, **o))[1]
else:
    run.SAVE_EVERY = -1
if last:
    batches = run.batches
    run.batches = lambda *a, **o: at_third(batches(*a, **o)) if "seed" in o else batches(*a, **o)
    if fault == "no data":
        arguments = [*arguments, "--data", "/nowhere"]
    if fault == "only explains":
        arguments = [*arguments, "--explain"]
    if fault == "goes on with another run":
        arguments = ["train", "--resume", "elsewhere", "--parallel", "data"]
    if fault == "another seed":
        arguments = [*arguments, "--seed", "4"]
    if fault == "another version":
        ranks_of_train.__version__ = "0.0"
    if fault == "other data":
        load = job.open_data
        def spoilt(*arguments):
            data = load(*arguments)
            data.train.labels[5] = 1
            return data
        job.open_data = spoilt
    if fault.startswith("another picture"):
        load, split = job.open_data, fault.rpartition(" ")[2]
        def spoilt(*arguments):
            data = load(*arguments)
            def read(indices):
                images = getattr(data, split).read(indices)
                images[indices == 4] += 1
                return images
            return data._replace(**{split: replace(getattr(data, split), read=read)})
        job.open_data = spoilt
if fault == "another file of a prepared set":
    load = job.open_data
    job.open_data = lambda *a: (data := load(*a))._replace(
        val=replace(data.val, checksum=1 if last else 2))
if fault in ("hangs", "stopped"):
    ranks.PATIENCE = 2 if fault == "hangs" else 5
sys.exit(cli.main(arguments))
"""


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """22 pictures to learn from, 5 to look at: neither divides by 2, 3 or 4 in batches of 8."""
    from PIL import Image

    root, rng = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for split, counts in ("train", (11, 11)), ("val", (3, 2)):
        for name, level, count in zip(("bright", "dark"), (150, 20), counts, strict=True):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = level + rng.integers(0, 80, (32, 32, 3))
                Image.fromarray(pixels.astype(np.uint8)).save(root / split / name / f"{number}.png")
    return root


def options(photographs, folder, *more):
    return ["train", "--data", photographs, "--width", 0.05, "--batch", 8, "--epochs", 2,
            "--devices", "cpu:0,cpu:1", "--seed", 3, "--threads", 1, "--out", folder, *more]


def result(folder):
    """Weights at the end, and the numbers of the log, but for the time it took."""
    weights, _ = load_arrays(folder / "model.safetensors")
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    steps = [json.loads(line)["loss"] for line in (folder / "steps.jsonl").read_text().splitlines()]
    return {**weights, "steps": steps,
            **{name: [entry[name] for entry in log]
               for name in ("train_loss", "val_loss", "top1_error", "top5_error")}}


@pytest.fixture(scope="module")
def undisturbed(photographs, tmp_path_factory):
    """Of one process that ran to the end."""
    folder = tmp_path_factory.mktemp("runs") / "one"
    assert cli.main([str(option) for option in options(photographs, folder)]) == 0
    return result(folder)


def compare(found, expected):
    """Rounding may tip a maximum from one pixel to its neighbour, which moves single weights."""
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        if name == "top5_error":  # of two classes there is none
            assert found[name] == array == [None, None]
            continue
        tolerance = 0 if name in ("steps", "train_loss", "val_loss") else 1e-3
        np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=tolerance, err_msg=name)


@pytest.fixture(scope="module")
def interrupted(mpiexec, photographs, tmp_path_factory):
    """What four ranks leave of which one was interrupted after two steps: `scheme` -> folder."""
    def run(scheme):
        folder = tmp_path_factory.mktemp("runs") / "run"
        done = mpiexec(4, COMMAND, "interrupted",
                       *options(photographs, folder, "--parallel", scheme))
        assert done.returncode == 130, done.stderr
        assert f"train --resume {folder}" in done.stdout
        return folder

    return run


def test_checkpoint_of_four_ranks_is_gone_on_with_by_any_number(
        mpiexec, interrupted, undisturbed, tmp_path):
    whole = interrupted("data")
    assert len((whole / "steps.jsonl").read_text().splitlines()) == 3
    for count, more in (1, []), (2, ["--parallel", "hybrid"]), (3, ["--parallel", "data"]):
        folder = tmp_path / str(count)
        shutil.copytree(whole, folder)
        resume = ["train", "--resume", folder, *more]
        if count == 1:
            assert cli.main([str(option) for option in resume]) == 0
        else:
            done = mpiexec(count, COMMAND, "none", *resume)
            assert done.returncode == 0, done.stderr
        compare(result(folder), undisturbed)


def test_ranks_on_one_machine_take_gpus_of_their_own(mpiexec, photographs, tmp_path):
    """On the stand-in for CuPy, which has two; rank 0 says what it has taken."""
    arguments = ["train", "--data", photographs, "--width", 0.05, "--batch", 8, "--steps", 1,
                 "--threads", 1, "--out", tmp_path / "run", "--parallel", "data"]
    done = mpiexec(2, COMMAND, "none", *arguments, before=[ROOT / "tests" / "standin"])
    assert done.returncode == 0, done.stderr
    assert re.search(r"^devices   gpu:0 and gpu:0: .* 2 GPUs, for 2 ranks on this machine$",
                     done.stdout, re.MULTILINE), done.stdout


def test_bytes_sent_are_told(mpiexec, photographs, tmp_path):
    done = mpiexec(2, COMMAND, "none", *options(photographs, tmp_path / "run", "--steps", 1,
                                                "--parallel", "data"))
    assert done.returncode == 0, done.stderr
    (told,) = re.findall(r"by each in one step: ([\d,]+) bytes \(gradients [\d,]+\)", done.stdout)
    parameters = json.loads((tmp_path / "run/summary.json").read_text())["parameters"]
    assert int(told.replace(",", "")) == 4 * parameters  # 2 (K - 1) / K of all gradients, K = 2


@pytest.mark.parametrize(("name", "change"), [("columns.0.fc6.weight", 0.002), ("steps", 0.001)])
def test_comparison_sees_a_difference(undisturbed, name, change):
    """Negative control."""
    with pytest.raises(AssertionError, match=name):
        compare({**undisturbed, name: np.array(undisturbed[name]) + change}, undisturbed)


FAULTS = {
    "killed": "signal 9",
    "raises": "minialex: rank 1 of 2: the disk is broken",
    "raises what nobody expects": "KeyError: 'surprise'",
    "hangs": "minialex: rank 1 of 2: no data for 2 s; find out why reading hangs",
    "stopped": "minialex: rank 1 of 2: no sign of life for 5 s; find out what has stopped it",
    "diverges": "the loss is nan",
    "no data": "minialex: rank 1 of 2: --data /nowhere: no data set of minialex, and no folder",
    "only explains": "rank 1 has --explain True, but rank 0 has False; all ranks need the same",
    "goes on with another run": "rank 1 has --resume True, but rank 0 has False; all ranks need",
    "another seed": "rank 1 has --seed 4, but rank 0 has 3; all ranks need the same",
    "another version": "rank 1 has minialex 0.0, but rank 0 has ",
    "other data": "rank 1 has labels, as checksum,",
    "another picture of train": "rank 1 has pictures, as checksum,",
    "another picture of val": "rank 1 has pictures, as checksum,",
    "another file of a prepared set": "rank 1 has pictures, as checksum,",
}
AT_START = list(FAULTS)[6:]


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_on_one_rank_ends_all(mpiexec, photographs, tmp_path, fault):
    folder = tmp_path / "run"
    done = mpiexec(2, COMMAND, fault, *options(photographs, folder, "--parallel", "data"))
    assert done.returncode not in (0, 130)
    assert FAULTS[fault] in done.stderr
    assert done.stderr.count("minialex: ") <= 1, "one message, from one rank"
    if fault in AT_START:
        assert not folder.exists() or not checkpoints(folder)
    else:
        newest, *_ = checkpoints(folder)
        weights, about = load_arrays(newest)  # checks its checksum
        assert about["progress"]["steps"] == 2 and len(weights) > 10


def test_divergence_is_found_where_each_rank_has_a_part_of_the_network(
        mpiexec, photographs, tmp_path):
    done = mpiexec(2, COMMAND, "diverges",
                   *options(photographs, tmp_path / "run", "--parallel", "hybrid"))
    assert done.returncode not in (0, 130)
    assert "the loss is nan: the images hold numbers that are not finite" in done.stderr or \
        "the loss is nan: all layers are finite" in done.stderr, done.stderr


def test_parallel_wants_other_ranks(mpiexec, photographs, tmp_path, capsys):
    done = mpiexec(1, COMMAND, "none", *options(photographs, tmp_path, "--parallel", "data"))
    assert done.returncode == 2
    assert "this process is the only one that MPI knows of; start several as " in done.stderr
    assert "-m mpi4py -m minialex train --parallel data" in done.stderr, "as it is typed here"


def test_ranks_want_parallel(monkeypatch, capsys):
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")
    assert cli.main(["train"]) == 2
    assert "4 processes were started, which would all write to one folder; let them share " \
           "the work: --parallel data" in capsys.readouterr().err


def test_ranks_are_not_more_than_images(mpiexec, photographs, tmp_path):
    done = mpiexec(2, COMMAND, "none",
                   *options(photographs, tmp_path, "--parallel", "data", "--batch", 1))
    assert done.returncode == 2
    assert "a batch of 1 image is too small for 2 ranks; give each at least one" in done.stderr


def test_hybrid_is_for_alexnet():
    net = models.LeNet5()
    with pytest.raises(ValueError, match=r"the network is LeNet5; .* fully connected layers of"):
        Hybrid(net, optim.SGD(net.named_parameters()), Communicator())
