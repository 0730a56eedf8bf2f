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
import types
from pathlib import Path

import numpy as np
import pytest

from minialex import models, optim
from minialex.datasets import Batch
from minialex.tools import cli
from minialex.tools.plan import Machine, Network, cost
from minialex.training import distributed
from minialex.training.checkpoint import checkpoints, load_arrays
from minialex.training.distributed import Communicator, share
from minialex.training.parallel import Alone

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
        found = os.pathsep.join(map(str, [*before, ROOT]))
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
    assert distributed.PATIENCE < LIMIT


# The same as one process


TRAINING = """
import json, sys
import numpy as np
from minialex import backend
from minialex.training.distributed import connect
from minialex.training.hybrid import Hybrid
from minialex.training.parallel import DataParallel, differences
sys.path.insert(0, sys.argv[1])
from test_distributed import TakesArraysOfGpus, feed, network, stand_in

backend.set_threads(1)
wire = sys.argv[4]
if "gpu:0" in sys.argv:
    stand_in(wire)
group = connect(wire)
if "gpu:0" in sys.argv and wire == "cuda":
    group.world = TakesArraysOfGpus(group.world)
net, optimizer = network(*sys.argv[5:])
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
    differences(scheme._replicated(), group)
    with scheme.whole():
        differences(net.named_parameters(), group)
    group.sent.clear()
with scheme.whole():
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
    losses = [step.loss for step in Alone(net, optimizer, Communicator()).steps(feed(slice))]
    return {"losses": losses, **net.state(),
            **{f"v {name}": array for name, array in optimizer.state().items()}}


@pytest.mark.parametrize(("scheme", "ranks"), [("data", 2), ("data", 4), ("hybrid", 2),
                                               ("hybrid", 4)])
def test_ranks_are_as_good_as_one_process(mpiexec, alone, tmp_path, scheme, ranks):
    done = mpiexec(ranks, TRAINING, ROOT / "tests", scheme, tmp_path / "end.npz", "mpi")
    assert done.returncode == 0, done.stderr
    check_end(tmp_path / "end.npz", alone)
    with np.load(tmp_path / "end.npz") as end:
        moved = np.abs(network()[0].state()["columns.0.fc6.weight"] - end["columns.0.fc6.weight"])
        assert moved.max() > 1e-4, "negative control: nothing was learnt"
    result = json.loads(done.stdout)
    assert result["early"].count(True) >= len(result["early"]) // 2, "sums began after backward"
    check_bytes(result["sent"][0], scheme, ranks, images=16 // ranks)


class TakesArraysOfGpus:
    """MPI that knows GPUs: what it gets must have been computed, which `get` would wait for."""

    def __init__(self, world):
        self.world = world

    def __getattr__(self, name):
        return getattr(self.world, name)

    def Iallreduce(self, array, result):
        mine, host = array.get(), np.empty(array.shape, np.float32)
        return LaterOnGpu(self.world.Iallreduce(mine, host), host, result, mine)

    def Isend(self, array, rank):
        mine = array.get()
        return LaterOnGpu(self.world.Isend(mine, rank), mine, array)

    def Irecv(self, array, rank):
        host = np.empty(array.shape, np.float32)
        return LaterOnGpu(self.world.Irecv(host, rank), host, array)


class LaterOnGpu:
    def __init__(self, request, host, array, *held):
        self.request, self.host, self.array, self.held = request, host, array, held

    def Wait(self):
        self.request.Wait()
        self.array.set(self.host)


def stand_in(wire):
    """Give the stand-in for CuPy what it has not: NCCL."""
    from mpi4py import MPI

    class NCCLBackend:
        def __init__(self, n_devices, rank, host="127.0.0.1", port=13333, use_mpi=False):
            assert use_mpi and (n_devices, rank) == (MPI.COMM_WORLD.size, MPI.COMM_WORLD.rank)

        def all_reduce(self, in_array, out_array, op="sum", stream=None):
            host = in_array.get()
            MPI.COMM_WORLD.Allreduce(MPI.IN_PLACE, host)
            out_array.set(host)

    if wire == "nccl":
        sys.modules["cupyx.distributed"] = types.ModuleType("cupyx.distributed")
        sys.modules["cupyx.distributed"].NCCLBackend = NCCLBackend


@pytest.mark.parametrize(("wire", "scheme"), [("mpi", "hybrid"), ("cuda", "hybrid"),
                                              ("nccl", "data")])
def test_gpus_are_served(mpiexec, alone, tmp_path, wire, scheme):
    """On the stand-in for CuPy, with stand-ins for what its arrays could not go through."""
    done = mpiexec(2, TRAINING, ROOT / "tests", scheme, tmp_path / "end.npz", wire, "gpu:0",
                   "gpu:1", before=[ROOT / "tests" / "standin"])
    assert done.returncode == 0, done.stderr
    check_end(tmp_path / "end.npz", alone)


def check_end(path, alone):
    with np.load(path) as end:
        assert set(end) == set(alone)
        for name, array in alone.items():
            np.testing.assert_allclose(end[name], array, rtol=1e-5, atol=1e-6, err_msg=name)


def check_bytes(sent, scheme, ranks, images):
    """Of the step in which all ranks, and all turns, have equally many images."""
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
sys.modules["minialex.tools.plots"] = types.ModuleType("plots")  # Matplotlib takes its time
for name in ("curves", "filters", "predictions"):
    setattr(sys.modules["minialex.tools.plots"], name, lambda *_: None)
from minialex.tools import cli, run, train
from minialex.training import distributed

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
            if fault == "diverges":
                batch.images[:] = float("nan")
        yield batch

if fault == "interrupted":  # the others do not leave before rank 0 has written
    save = run.save_newest
    run.save_newest = lambda *a, **o: (time.sleep(0.5), save(*a, **o))
else:
    run.SAVE_EVERY = -1
if last:
    batches = run.batches
    run.batches = lambda *a, **o: at_third(batches(*a, **o)) if "seed" in o else batches(*a, **o)
    if fault == "no data":
        arguments = [*arguments, "--data", "/nowhere"]
    if fault == "another seed":
        arguments = [*arguments, "--seed", "4"]
    if fault == "another version":
        train.__version__ = "0.0"
    if fault == "other data":
        load = train.load_data
        def spoilt(*arguments):
            data = load(*arguments)
            data.train.labels[5] = 1
            return data
        train.load_data = spoilt
if fault == "hangs":
    distributed.PATIENCE = 2
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
        assert f"minialex train --resume {folder}" in done.stdout
        return folder

    return run


def test_checkpoint_of_four_ranks_is_gone_on_with_by_any_number(
        mpiexec, interrupted, undisturbed, tmp_path):
    whole = interrupted("data")
    assert len((whole / "steps.jsonl").read_text().splitlines()) == 3
    for ranks, more in (1, []), (2, ["--parallel", "hybrid"]), (3, ["--parallel", "data"]):
        folder = tmp_path / str(ranks)
        shutil.copytree(whole, folder)
        resume = ["train", "--resume", folder, *more]
        if ranks == 1:
            assert cli.main([str(option) for option in resume]) == 0
        else:
            done = mpiexec(ranks, COMMAND, "none", *resume)
            assert done.returncode == 0, done.stderr
        compare(result(folder), undisturbed)


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
    "hangs": "minialex: rank 1 of 2: no data for 2 s; see why reading hangs",
    "diverges": "the loss is nan",
    "no data": "minialex: rank 1 of 2: --data /nowhere: no data set of minialex, and no folder",
    "another seed": "rank 1 has --seed 4, but rank 0 has 3; all ranks need the same",
    "another version": "rank 1 has minialex 0.0, but rank 0 has ",
    "other data": "rank 1 has labels, as checksum,",
}
AT_START = list(FAULTS)[5:]


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


def test_parallel_wants_other_ranks(mpiexec, photographs, tmp_path, capsys):
    done = mpiexec(1, COMMAND, "none", *options(photographs, tmp_path, "--parallel", "data"))
    assert done.returncode == 2
    assert "this process is the only one that MPI knows of; start it as mpiexec -n 4" in done.stderr


def test_ranks_want_parallel(monkeypatch, capsys):
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")
    assert cli.main(["train"]) == 2
    assert "4 processes were started, which would all write to one folder; share the work out " \
           "among them: --parallel data" in capsys.readouterr().err


def test_ranks_are_not_more_than_images(mpiexec, photographs, tmp_path):
    done = mpiexec(2, COMMAND, "none",
                   *options(photographs, tmp_path, "--parallel", "data", "--batch", 1))
    assert done.returncode == 2
    assert "a batch of 1 images came for 2 ranks; give each at least one" in done.stderr


def test_hybrid_is_for_alexnet():
    from minialex.training.hybrid import Hybrid

    net = models.LeNet5()
    with pytest.raises(ValueError, match="--parallel hybrid is for AlexNet"):
        Hybrid(net, optim.SGD(net.named_parameters()), Communicator())
