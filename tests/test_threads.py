"""Threads, forks, interrupts, the end of Python: what is process-wide stays right in all of them.

What forks or is killed runs in a process of its own, with a time limit: a deadlock is a failure.
"""

import contextlib
import functools
import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from minialex import Tensor, backend, models, ops, optim, training
from minialex.backend import _numpy
from minialex.datasets import Batch

pytestmark = pytest.mark.ch01

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 60  # for what takes less than two; a deadlock takes for ever

FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.fixture
def fresh():
    """A CPU device of the test's own."""
    return _numpy.NumpyDevice(15)


@pytest.fixture
def set_threads():
    before = backend.threads()
    yield backend.set_threads
    backend.set_threads(before)


def in_thread(function):
    """What `function` returns or raises in a new thread."""
    found = []

    def call():
        try:
            found.append((function(), None))
        except BaseException as error:
            found.append((None, error))

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert found, "the thread hangs"
    result, error = found[0]
    if error:
        raise error
    return result


def blas_threads():
    return [library.num_threads for library in
            _numpy.ThreadpoolController().select(user_api="blas").lib_controllers]


# What belongs to a thread


def test_use_belongs_to_the_thread_that_calls_it():
    with backend.use("cpu:1"):
        assert in_thread(lambda: backend.default().name) == "cpu:0", "where a new thread begins"
        in_thread(lambda: backend.use("cpu:7") and None)
        assert backend.default() == "cpu:1"
        assert in_thread(lambda: backend.default().name) == "cpu:0"
    assert backend.default() == "cpu:0"


def test_blocks_of_two_threads_may_overlap():
    """Each ends while the other is open; nothing stays switched."""
    inside, outside = threading.Barrier(2), threading.Barrier(2)

    def other():
        with backend.use("cpu:3"):
            inside.wait(SECONDS)
            outside.wait(SECONDS)
            seen.append(Tensor([1.0]).device.name)
        seen.append(backend.default().name)

    seen = []
    thread = threading.Thread(target=other, daemon=True)
    with backend.use("cpu:2"):
        thread.start()
        inside.wait(SECONDS)
        assert Tensor([1.0]).device == "cpu:2"
    outside.wait(SECONDS)
    thread.join(SECONDS)
    assert seen == ["cpu:3", "cpu:0"]
    assert backend.default() == "cpu:0"


@pytest.mark.ch08
def test_transfers_are_recorded_for_the_thread_that_makes_them(two_devices):
    a, b = two_devices

    def send(n):
        with backend.record_transfers() as log:
            for _ in range(n):
                ops.transfer(Tensor([1.0], a), b)
        return len(log)

    with backend.record_transfers() as log:
        ops.transfer(Tensor([1.0, 2.0], a), b)
        assert in_thread(lambda: send(3)) == 3
    assert [t.bytes for t in log] == [8]


@pytest.mark.ch08
def test_recordings_that_end_in_another_order_see_their_own(two_devices):
    a, b = two_devices
    first, second = backend.record_transfers(), backend.record_transfers()
    one, two = first.__enter__(), second.__enter__()
    first.__exit__(None, None, None)
    ops.transfer(Tensor([1.0], a), b)
    second.__exit__(None, None, None)
    ops.transfer(Tensor([1.0], a), b)
    assert (len(one), len(two)) == (0, 1)


# The pool of threads


def large(n=2**19):
    """A tensor so large that ops share out the work on it."""
    return Tensor(np.arange(n, dtype=np.float32).reshape(64, -1), "cpu:0")


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_work_of_the_pool_may_itself_use_the_pool(fresh, set_threads, threads, depth):
    set_threads(threads)

    def work(part, depth=depth):
        if depth:
            return fresh.xp.over_batch(lambda inner: work(inner, depth - 1), 4, 2**40)
        x = large()
        x.requires_grad = True
        ops.sum(ops.relu(x) * 2).backward()
        return (x.grad.numpy()[1, :1],)

    (total,) = in_thread(lambda: fresh.xp.over_batch(work, 4, 2**40))
    assert total == 2 * 4 ** (depth + 1)


def test_sums_are_the_same_inside_and_outside_of_the_pool(fresh, set_threads, rng):
    set_threads(2)
    a = rng.standard_normal((3000, 50), np.float32)

    def sums():
        return fresh.xp.over_batch(lambda part: (a[part].sum(axis=0),), len(a), 2**20)[0]

    inside = fresh.xp.over_batch(lambda part: (sums(),), 2, 2**40)[0]
    np.testing.assert_array_equal(inside, 2 * sums())


@functools.cache
def trained(seed):
    return train(seed)


def train(seed):
    """Losses and weights of a small network after some steps."""
    rng = np.random.default_rng(seed)
    net = models.LeNet5(10, seed=seed, device="cpu:0")
    batches = [Batch(rng.standard_normal((64, 28, 28, 1), np.float32), rng.integers(0, 10, 64))
               for _ in range(4)]
    optimizer = optim.SGD(net.named_parameters(), lr=0.05)
    losses = [step.loss for step in training.train_steps(net, optimizer, batches)]
    return losses, [p.numpy().tobytes() for p in net.named_parameters().values()]


def test_training_in_another_thread_gives_the_same_bits():
    """Whichever thread of Python used BLAS first."""
    assert trained(0) == in_thread(lambda: train(0))
    assert trained(0) != trained(1), "negative control"


def test_networks_trained_at_once_get_the_bits_that_each_gets_alone():
    alone, found = [trained(seed) for seed in range(3)], {}

    def run(seed):
        found[seed] = [train(seed) for _ in range(3)]

    threads = [threading.Thread(target=run, args=(seed,), daemon=True) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    for seed in range(3):
        assert found[seed] == 3 * [alone[seed]]


def test_blas_has_one_thread_until_the_last_user_is_gone(fresh):
    """The first of two to leave must not give it back what the other needs."""
    before, seen = blas_threads(), []
    entered, left = threading.Event(), threading.Event()

    def stay(part):
        entered.set()
        assert left.wait(SECONDS)
        seen.append(blas_threads())

    thread = threading.Thread(target=fresh.xp.over_batch, args=(stay, 1, 1), daemon=True)
    thread.start()
    assert entered.wait(SECONDS)
    fresh.xp.over_batch(lambda part: seen.append(blas_threads()), 1, 1)
    left.set()
    thread.join(SECONDS)
    assert seen == 2 * [[1] * len(before)]
    assert blas_threads() == before


@pytest.mark.parametrize("threads", [1, 2])
def test_blas_has_its_threads_again_after_an_error(fresh, set_threads, threads):
    set_threads(threads)
    before = blas_threads()
    with pytest.raises(ZeroDivisionError):
        fresh.xp.over_batch(lambda part: 1 / 0, 4, 2**40)
    results = fresh.xp._each(lambda part: (np.ones(1),), [slice(0, 1), slice(1, 2), slice(2, 3)])
    next(results)
    del results  # left when a third of it is done
    gc.collect()
    assert blas_threads() == before


def test_all_slices_have_ended_when_an_error_comes_out(fresh, set_threads):
    """Nobody writes into arrays that the caller has given up; the first in order is raised."""
    set_threads(2)
    begun, ended, others, second = [], [], threading.Event(), threading.Event()

    def work(part):
        begun.append(part.start)
        if part.start == 0:
            assert second.wait(SECONDS)
            raise KeyError("the first slice")
        if part.start == 1:
            second.set()
            others.wait(0.1)
        ended.append(part.start)
        raise ValueError("another slice")

    with pytest.raises(KeyError, match="the first slice"):
        fresh.xp.over_batch(work, 2, 2**40)
    assert sorted(ended) == [1] and sorted(begun) == [0, 1]


def test_memory_is_free_after_an_error(fresh, set_threads):
    set_threads(2)

    def work(part):
        scratch = fresh.xp.empty((10_000,), np.float32)
        if part.start == 3:
            raise ZeroDivisionError
        return (scratch,)

    gc.disable()
    try:
        for _ in range(3):
            with contextlib.suppress(ZeroDivisionError):
                fresh.xp.over_batch(work, 6, 2**40)
            assert fresh.memory().used == 0
    finally:
        gc.enable()


@pytest.mark.parametrize("threads", [1, 2])
def test_stop_iteration_does_not_end_the_work_in_silence(fresh, set_threads, threads):
    set_threads(threads)

    def work(part):
        if part.start == 2:
            raise StopIteration
        return (np.ones(1),)

    with pytest.raises((RuntimeError, StopIteration)):
        fresh.xp.over_batch(work, 4, 2**40)


@pytest.fixture
def alone():
    """What a network learns, before threads are refused."""
    return trained(0)


@pytest.fixture(params=[0, 1], ids=["no_thread", "one_thread"])
def few_threads(request, monkeypatch):
    """A system that starts no more threads than so many: Pyodide none, others at a limit."""
    started, start = [], threading.Thread.start

    def refuse(thread):
        if len(started) == request.param:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    _numpy._executor.cache_clear()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    yield started
    _numpy._executor.cache_clear()


def test_a_system_that_starts_no_threads_does_the_work_without(fresh, set_threads, few_threads):
    """Every slice once, in order, and an error comes out; nothing stays behind in a queue."""
    set_threads(4)
    for _ in range(3):
        a = fresh.xp.zeros((40, 1000), np.float32)

        def work(part, a=a):
            a[part] += 1
            return (np.arange(40.0)[part],)

        (total,) = fresh.xp.over_batch(work, 40, fresh.xp.workspace)
        assert (a == 1).all() and total == sum(range(40))
        with pytest.raises(ZeroDivisionError):
            fresh.xp.over_batch(lambda part, a=a: a[part].sum() if part.start < 3 else 1 / 0, 40,
                                fresh.xp.workspace)
        del work, a
        gc.collect()
        assert fresh.memory().used == 0
    assert len(few_threads) <= 1, "threads were started: the test shows nothing"


def test_a_network_learns_the_same_without_threads(alone, few_threads):
    assert train(0) == alone


def test_number_of_threads_set_from_several_threads(fresh, set_threads):
    def change(n):
        results = []
        for _ in range(30):
            backend.set_threads(n)
            results.append(fresh.xp.over_batch(lambda part: (np.ones(1),), 9, 2**40)[0][0])
        return results

    found = []
    threads = [threading.Thread(target=lambda n=n: found.extend(change(n)), daemon=True)
               for n in (1, 2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert found == 120 * [9]


def test_account_is_exact_after_many_threads(fresh):
    """Of each block that is taken, given back, or handed from thread to thread."""
    passed = []

    def work():
        rng = np.random.default_rng()
        for _ in range(300):
            passed.append(fresh.xp.empty((int(rng.integers(256, 9000)),), np.float32))
            if len(passed) > 20:
                with contextlib.suppress(IndexError):
                    passed.pop(0)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert fresh.memory().used == sum(array.nbytes for array in passed) > 0
    passed.clear()
    assert fresh.memory().used == 0


def test_machine_without_memory_leaves_the_account_as_it_was(fresh, monkeypatch):
    def refuse(*shape):
        raise MemoryError("Unable to allocate")

    held = fresh.xp.empty((1000,), np.float32)
    heap, before = _numpy.Heap(), fresh.memory()
    monkeypatch.setattr(_numpy, "_heap", heap)
    monkeypatch.setattr(np, "empty", refuse)
    with pytest.raises(MemoryError):
        fresh.xp.empty((10**6,), np.float32)
    monkeypatch.undo()
    assert fresh.memory() == before and held.nbytes == before.used
    assert heap._used == heap._peak == 0


# In a process of its own


BEFORE = """
import os, sys, signal, threading, time
import numpy as np
from minialex import backend, models, ops, Tensor
from minialex.backend import _numpy

backend.set_threads(2)
x = Tensor(np.ones((64, 9000), np.float32))
net, images = models.LeNet5(), np.ones((64, 28, 28, 1), np.float32)

def blas():
    return [library.num_threads for library in
            _numpy.ThreadpoolController().select(user_api="blas").lib_controllers]

def ends(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


def run(code):
    """What a new Python prints that runs `code`; it may print no warning and no traceback."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", BEFORE + code], cwd=ROOT,
        capture_output=True, text=True, timeout=SECONDS,
        env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout.split()


@FORK
def test_child_of_a_fork_goes_on():
    assert run("""
expected = net(images).numpy()
before = blas()
pid = os.fork()
if pid == 0:
    same = (net(images).numpy() == expected).all() and blas() == before
    os._exit(0 if same else 5)
print(ends(pid), (net(images).numpy() == expected).all())
pid = os.fork()
if pid == 0:  # and its child, and one that ends like a program
    net(images)
    pid = os.fork()
    net(images)
    sys.exit(ends(pid) if pid else 0)
print(ends(pid))
""") == ["0", "True", "0"]


@FORK
@pytest.mark.parametrize("pool", [
    "multiprocessing.get_context('fork').Pool(2)",
    "concurrent.futures.ProcessPoolExecutor(2, multiprocessing.get_context('fork'))",
])
def test_pools_of_forked_processes(pool):
    assert run(f"""
import multiprocessing, concurrent.futures
def predict(seed):
    return float(net(np.full_like(images, seed)).numpy()[0, 0])
expected = [predict(i) for i in range(5)]
with {pool} as pool:
    print(list(pool.map(predict, range(5))) == expected)
""") == ["True"]


@FORK
def test_fork_while_other_threads_are_at_work():
    """In the middle of over_batch, with BLAS at one thread, and of the accounts."""
    assert run("""
expected, before, stop = net(images).numpy(), blas(), []
def work():
    while not stop:
        net(images)
threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads: thread.start()
codes = []
for i in range(20):
    time.sleep(0.002)
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        same = blas() == before and (net(images).numpy() == expected).all()
        used = backend.device("cpu:0").memory().used
        y = x * 2
        exact = backend.device("cpu:0").memory().used == used + y.data.nbytes
        os._exit(0 if same and exact and blas() == before else 5)
    codes.append(ends(pid))
stop.append(1)
for thread in threads: thread.join()
print(set(codes), blas() == before, _numpy._users)
""") == ["{0}", "True", "0"]


@FORK
def test_fork_while_another_thread_holds_the_lock():
    assert run("""
net(images)
held, go_on = threading.Event(), threading.Event()
def hold():
    with _numpy.lock:
        held.set()
        go_on.wait(1)
threading.Thread(target=hold).start()
held.wait()
pid = os.fork()
if pid == 0:
    signal.alarm(20)
    net(images)
    os._exit(0)
go_on.set()
print(ends(pid))
""") == ["0"]


@FORK
@pytest.mark.parametrize("threads", [1, 2])
def test_fork_inside_of_the_work(threads):
    """By the caller, or by a thread of the pool: the child has that thread alone."""
    assert run(f"""
backend.set_threads({threads})
codes = []
def work(part):
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        net(images)
        os._exit(0)
    codes.append(ends(pid))
x.device.xp.over_batch(work, 2, 2**40)
net(images)
print(codes, _numpy._users)
""") == ["[0,", "0]", "0"]


@FORK
def test_fork_before_anything_was_done():
    assert run("""
pid = os.fork()
net(images)
if pid == 0:
    os._exit(0)
print(ends(pid))
""") == ["0"]


@pytest.mark.parametrize("code", [
    "keep = x * 2",
    "class C: pass\nc = C(); c.me = c; c.x = x * 2",
    "import atexit; atexit.register(lambda: print(net(images).shape[0]))",
    "threading.Thread(target=lambda: [net(images) for _ in range(30)]).start()",
    "threading.Thread(target=lambda: [net(images) for _ in range(10**6)], daemon=True).start()\n"
    "time.sleep(0.05)",
    "import builtins; builtins.keep = x * 2; sys.modules['x'] = x * 3",
    "def f():\n    y = x * 2\n    yield y\n    yield y\ng = f(); next(g)",
], ids=["global", "cycle", "atexit", "thread", "daemon", "builtins", "generator"])
def test_python_ends_without_a_word(code):
    """Whatever still holds memory, or still works."""
    out = run("net(images)\n" + code)
    assert out == (["64"] if "atexit" in code else [])


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("threads", [1, 2])
def test_interrupt_leaves_the_pool_usable(threads):
    assert run(f"""
backend.set_threads({threads})
expected, before, caught = net(images).numpy(), blas(), 0
at_work, late = set(), []
def work(part):
    at_work.add(part.start)
    try:
        time.sleep(0.01)
    finally:
        at_work.discard(part.start)
used = backend.device("cpu:0").memory().used
signal.signal(signal.SIGALRM, signal.default_int_handler)
for i in range(10):
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.015 + 0.003 * i)
        x.device.xp.over_batch(work, 20, 2**40)
    except KeyboardInterrupt:
        caught += 1
        if {threads} > 1:
            late += at_work
        at_work.clear()
same = (net(images).numpy() == expected).all()
print(caught, late, same, blas() == before, backend.device("cpu:0").memory().used == used)
""") == ["10", "[]", "True", "True", "True"]
