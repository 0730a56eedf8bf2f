"""What a training step of the two columns asks of two GPUs, seen on the stand-in for CuPy."""

import gc
import sys
from collections import Counter

import numpy as np
import pytest

from minialex import Tensor, backend, models, ops, optim, training

pytestmark = pytest.mark.ch09

if not any(path.endswith("standin") for path in sys.path):  # one line of the summary for all
    pytest.skip("runs on the stand-in for CuPy: --standin --device gpu:0,gpu:1",
                allow_module_level=True)

GPUS = ("gpu:0", "gpu:1")

# Bytes at batch 128 of what crosses between the columns, each also backwards. `into fc8` goes one
# way only: 14 copies in all.
CROSSINGS = [11_075_584, 11_075_584, 2_359_296, 2_359_296, 1_048_576, 1_048_576, 1_048_576]

LAUNCHES = 800  # calls of the array library in a step; a GPU spends microseconds on each
GIGABYTES = 40  # that a step moves outside of the matrix products, which then wait for memory


@pytest.fixture(autouse=True)
def two_gpus(standin):
    """All of this file needs the stand-in's books; a real GPU keeps none."""
    gc.collect()
    for device in standin.machine.devices:
        device.pool.limit = 0


class Training:
    """A small network on two GPUs, and its step as a caller writes it."""

    def __init__(self, n=4):
        self.net = models.AlexNet(GPUS, classes=10, image_size=67, width=1 / 16, init="he")
        self.optimizer = optim.SGD(self.net.parameters())
        rng = np.random.default_rng(0)
        self.images = rng.standard_normal((n, 67, 67, 3), np.float32)
        self.labels = rng.integers(0, 10, n)

    def step(self):
        loss = ops.softmax_cross_entropy(self.net(self.images), self.labels)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss


def used():
    return [backend.device(name).memory().used for name in GPUS]


@pytest.fixture(scope="module")
def full_size(standin):
    """The step of 2012 at batch 128, counted and not computed."""
    import count_launches

    return count_launches.count(128)


def test_step_never_makes_the_host_wait(standin):
    small = Training()
    with standin.record() as seen:
        for _ in range(3):
            loss = small.step()
    assert seen.syncs == []
    with standin.record() as seen:
        loss.item()
    assert seen.syncs == ["asnumpy"], "negative control: reading the loss"


def test_train_steps_waits_for_the_loss_only(standin):
    small = Training()
    batches = 3 * [(small.images, small.labels)]
    with standin.record() as seen:
        assert len(list(training.train_steps(small.net, small.optimizer, batches))) == 3
    assert len(seen.syncs) <= 3


def test_step_copies_only_what_the_paper_has(standin, full_size):
    assert sorted(t.bytes for t in full_size.transfers) == sorted(2 * CROSSINGS)
    ways = Counter((t.source, t.destination) for t in full_size.transfers)
    assert ways == {(0, 1): 7, (1, 0): 7}
    assert sum(t.bytes for t in full_size.transfers) == 2 * 30_015_488


def test_step_copies_nothing_to_the_host_and_only_the_batch_from_it(standin):
    small = Training()
    with standin.record() as seen:
        small.step()
    kinds = Counter(t.kind for t in seen.transfers)
    assert kinds["D2D"] == 14 and kinds["D2H"] == 0
    sent = [t.shape for t in seen.transfers if t.kind == "H2D"]
    masks = [(4, 128)] * 4  # dropout of fc6 and fc7, in each column
    assert sorted(sent) == sorted([(4, 67, 67, 3), (4, 67, 67, 3), (4,), (), *masks])


def test_step_leaves_every_pool_where_it_was():
    small = Training()
    before = used()
    for _ in range(3):
        small.step()
        gc.collect()
        assert used() == before
    keep = small.net(small.images)
    assert used() != before, "negative control: a result and its tape take memory"
    del keep


def test_full_size_step_leaves_every_pool_where_it_was(full_size):
    assert [then for then, _ in full_size.used] == [now for _, now in full_size.used]
    assert full_size.used[0][0] > 2 * 4 * 28_434_112, "negative control: weights and velocities"
    assert max(full_size.peak) < 3 * 2**30, "more than a GTX 580 of 2012 had"


def test_conv1_is_one_slice_at_batch_128():
    """Its columns for 128 images; 122 and then 6 images would be twice the launches."""
    columns = 128 * 55 * 55 * (11 * 11 * 3) * 4  # bytes
    slices = list(backend.device("gpu:0").xp._slices(128, columns // 128))
    assert slices == [slice(0, 128)]


def test_few_launches(full_size):
    by_op = {op: number for (op,), number in full_size.by(0).most_common()}
    assert full_size.launches.total() <= LAUNCHES, by_op
    assert {"convolution", "pooling", "normalization", "update"} <= by_op.keys()


def test_few_bytes(full_size):
    by_op = {op: number / 1e9 for (op,), number in full_size.moved(0).most_common()}
    assert 0 < sum(by_op.values()) <= GIGABYTES, by_op
    least = 4 * 5 * 60_965_224  # reads weights, velocities, gradients, and writes two of these
    assert least < full_size.moved(0)["update",] < 4 * least, "negative control: they are counted"


def test_full_size_step_never_makes_the_host_wait(full_size):
    assert full_size.syncs == []


def test_counting_without_computing_counts_the_same(standin):
    """A step that is computed gives the same launches, copies and memory as one that is not."""
    counts, memory = [], []
    for dry in False, True:
        with standin.dry_run() if dry else standin.record():
            small = Training()
            with standin.record() as seen:
                loss = small.step()
            counts.append((seen.launches, seen.transfers, seen.syncs))
            memory.append(used())
            if dry:
                with pytest.raises(RuntimeError, match="a dry run computes nothing"):
                    loss.item()
            del small, loss
    assert counts[0] == counts[1] and memory[0] == memory[1]


def test_memory_limit_is_met_with_the_error_of_every_device(standin):
    """In CuPy's words, with the remedy; a step that needs too much leaves nothing behind."""
    import cupy

    device = backend.device("gpu:1")
    with device:
        cupy.get_default_memory_pool().free_all_blocks()  # what is cached may be used up to a limit
    device.set_memory_limit(device.memory().used + 2**20)
    try:
        with pytest.raises(backend.DeviceMemoryError,
                           match=r"gpu:1: .*Out of memory allocating .* bytes \(allocated so far: "
                                 r".* limit set to: .* bytes\); use a smaller batch"):
            Tensor(np.zeros(2**19), "gpu:1")
    finally:
        device.set_memory_limit(None)


@pytest.mark.ch11
def test_checkpoint_of_two_gpus_is_that_of_one_cpu(tmp_path):
    """Saved on gpu:0 and gpu:1, loaded on cpu:0, saved there and loaded back."""
    def make(devices):
        net = models.AlexNet(devices, classes=10, image_size=28, channels=1, width=1 / 16, seed=1)
        return net, optim.SGD(net.parameters())

    gpus, cpu, back = make(GPUS), make(("cpu:0", "cpu:0")), make(GPUS)
    images = np.random.default_rng(0).standard_normal((2, 28, 28, 1), np.float32)
    ops.softmax_cross_entropy(gpus[0](images), np.array([0, 1])).backward()
    gpus[1].step()
    for (net, optimizer), (other, other_optimizer), name in (gpus, cpu, "a"), (cpu, back, "b"):
        training.save_checkpoint(tmp_path / name, net, optimizer, {"epoch": 1})
        assert training.load_checkpoint(tmp_path / name, other, other_optimizer)["epoch"] == 1
    for first, last in zip((gpus[0].state(), gpus[1].state()),
                           (back[0].state(), back[1].state()), strict=True):
        assert first.keys() == last.keys()
        for key in first:
            np.testing.assert_array_equal(first[key], last[key], err_msg=key)


@pytest.mark.ch11
def test_evaluation_agrees_with_the_cpu():
    images = np.random.default_rng(0).standard_normal((6, 28, 28, 1), np.float32)
    batches = [(images[:4], np.array([1, 2, 3, 4])), (images[4:], np.array([5, 6]))]
    found = []
    for devices in GPUS, ("cpu:0", "gpu:1"), ("cpu:0", "cpu:1"):
        net = models.AlexNet(devices, classes=10, image_size=28, channels=1, width=1 / 16)
        found.append(training.evaluate(net, batches))
    assert found[0][:2] == found[1][:2] == found[2][:2]
    np.testing.assert_allclose(found[0].loss, [found[1].loss, found[2].loss], rtol=1e-6)
