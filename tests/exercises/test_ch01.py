"""Tests of the exercises of chapter 01."""

import numpy as np
import pytest
from checking import same

from minialex import Tensor, backend, zeros

pytestmark = pytest.mark.ch01

FIRST, SECOND = "cpu:2", "cpu:3"


def told(text):
    pytest.fail(text, pytrace=False)


@pytest.mark.parametrize(("shape", "itemsize", "expected"), [
    ((5,), 4, 20), ((3, 4), 8, 96), ((), 4, 4), ((128, 55, 55, 96), 4, 148_684_800)])
def test_size_in_bytes(answers, shape, itemsize, expected):
    same(f"size_in_bytes({shape}, {itemsize})", answers.size_in_bytes(shape, itemsize), expected, [
        (expected // itemsize, f"Those are the numbers; each takes {itemsize} bytes."),
        (8 * expected, "Those are bits; a byte has eight."),
        (sum(shape) * itemsize, "The sizes of a shape multiply: each row has so many columns."),
        (4 * expected // itemsize, f"Here a number takes {itemsize} bytes, not 4."),
        (0, "Shape () is a single number, not none.")])


class Taken:
    """Stands where the answers have imported NumPy."""

    def __getattr__(self, name):
        raise AssertionError(f"np.{name} works on the host only; write it with xp")


def test_loudness(answers, monkeypatch):
    monkeypatch.setattr(answers.module, "np", Taken(), raising=False)
    x = np.array([[3.0, -3.0, 3.0], [1.0, 2.0, 2.0]], np.float32)
    loudness, size = answers.loudness(np, x), np.abs(x)
    same(f"loudness(xp, {x.tolist()})", loudness, np.array([3, 3**0.5]), [
        (np.array([9, 3]), "That is the mean square; take its root."),
        (size.mean(axis=1), "That is the mean of the sizes; square them first."),
        (np.sqrt((x * x).sum(axis=1)), "That is the root of the sum; divide by the length."),
        (np.sqrt((x * x).mean(axis=0)), "That is for each column; a row runs along axis 1."),
        (np.sqrt((x * x).mean(axis=1, keepdims=True)), "Without keepdims: one number for a row."),
        (np.sqrt((x * x).mean()), "That is for the whole array; each row has its own."),
        (x.std(axis=1), "That is the standard deviation, which takes the mean away first."),
        (np.abs(x.mean(axis=1)), "Square first, then take the mean: else signs cancel.")])
    if loudness.dtype != np.float32:
        told(f"loudness of float32 gives {loudness.dtype}; float32 should stay float32.")


def test_halves(answers):
    batch = np.arange(24.0, dtype=np.float32).reshape(6, 4)
    halves = answers.halves(batch, FIRST, SECOND)
    if not (isinstance(halves, tuple) and [type(half) for half in halves] == [Tensor] * 2):
        told(f"halves(batch, '{FIRST}', '{SECOND}') gives {type(halves).__name__}; needed are two "
             "tensors, (first half, rest).")
    for half, right, device in zip(halves, (batch[:3], batch[3:]), (FIRST, SECOND), strict=True):
        same(f"halves of 6 rows: the half for {device}", half, right, [
            (batch[3:] if device == FIRST else batch[:3], "That is the other half."),
            (batch, "That is the whole batch."),
            (batch[::2] if device == FIRST else batch[1::2], "That is every second row.")])
        if half.device != device:
            told(f"halves: one half lies on {half.device}, where {device} was asked for; "
                 "Tensor(array, device) says where.")


@pytest.mark.parametrize(("shapes", "devices", "result", "moved"), [
    pytest.param([(30, 40), (40,)], [FIRST, SECOND], FIRST, 160, id="b_is_smaller"),
    pytest.param([(40,), (30, 40)], [FIRST, SECOND], SECOND, 160, id="a_is_smaller"),
    pytest.param([(3, 1), (1, 40)], [FIRST, SECOND], SECOND, 12, id="more_rows_fewer_bytes"),
    pytest.param([(30, 40), (40,)], [SECOND, SECOND], SECOND, 0, id="same_device")])
def test_add_cheaply(answers, shapes, devices, result, moved):
    rng = np.random.default_rng(0)
    a, b = (Tensor(rng.random(shape, np.float32), device)
            for shape, device in zip(shapes, devices, strict=True))
    call = f"add_cheaply(a {shapes[0]} on {devices[0]}, b {shapes[1]} on {devices[1]})"
    with backend.record_transfers() as log:
        total = answers.add_cheaply(a, b)
    same(call, total, a.numpy() + b.numpy(), [
        (a.numpy() * b.numpy(), "That is the product.")])
    if not isinstance(total, Tensor):
        told(f"{call} gives {type(total).__name__}; needed is a tensor: add a and b themselves.")
    for transfer in log:
        if transfer.source == transfer.destination or transfer.bytes != moved:
            told(f"{call} moves {transfer.bytes:,} bytes from {transfer.source} to "
                 f"{transfer.destination}; the smaller one has {moved:,}.")
    if log.total_bytes != moved:
        told(f"{call} moves {log.total_bytes:,} bytes in {len(log)} transfers; right is {moved:,}. "
             "The bridge is ops.transfer, and only the smaller crosses it.")
    if total.device != result:
        told(f"{call} gives a tensor on {total.device}; it should stay where the larger is, "
             f"on {result}.")


@pytest.mark.parametrize("limit", [None, 10**9])
def test_fits(answers, limit):
    device = backend.device("cpu:4")
    device.set_memory_limit(limit)
    here_already = zeros(50_000, device=device)  # 200,000 bytes that are not function's
    calls = []

    def function():
        calls.append(zeros(25_000, device=device).size)

    def asked(room):
        try:
            return answers.fits(function, device, room)
        except MemoryError:
            told(f"fits with room for {room:,} bytes raises a MemoryError; catch it, and return "
                 "False.")

    call = "fits of a function that needs 100,000 bytes, with room for "
    try:
        same(f"{call}100,000", asked(100_000), True, [
            (False, "The limit counts what is in use already as well: add room to it.")])
        if not calls:
            told("fits did not call the function; only by trying can it know.")
        same(f"{call}99,999", asked(99_999), False, [
            (True, "With which limit did the function run?")])
        if device.memory().limit != limit:
            told(f"after fits the limit is {device.memory().limit}; before it was {limit}. Keep it "
                 "and set it again, in `finally`, which happens in any case.")
        assert device.memory().used == here_already.data.nbytes
    finally:
        device.set_memory_limit(None)


def test_fits_lets_other_errors_through(answers):
    device = backend.device("cpu:4")
    device.set_memory_limit(None)
    try:
        answers.fits(lambda: 1 / 0, device, 1000)
    except ZeroDivisionError:
        pass
    else:
        told("fits of a function that divides by 0 hides its error; catch MemoryError only.")
    if device.memory().limit is not None:
        told("after an error that is no MemoryError, the limit is not what it was; set it in "
             "`finally`, which happens in any case.")
