"""Tests of the exercises of chapter 01."""

import numpy as np
import pytest

from minialex import Tensor, backend, zeros

pytestmark = pytest.mark.ch01

FIRST, SECOND = "cpu:2", "cpu:3"


@pytest.mark.parametrize(("shape", "itemsize", "expected"), [
    ((5,), 4, 20), ((3, 4), 8, 96), ((), 4, 4), ((128, 55, 55, 96), 4, 148_684_800)])
def test_size_in_bytes(answers, shape, itemsize, expected):
    assert answers.size_in_bytes(shape, itemsize) == expected


class Taken:
    """Stands where the answers have imported NumPy."""

    def __getattr__(self, name):
        raise AssertionError(f"np.{name} works on the host only; write it with xp")


def test_loudness(answers, monkeypatch):
    monkeypatch.setattr(answers.module, "np", Taken(), raising=False)
    x = np.array([[3.0, -3.0, 3.0], [1.0, 2.0, 2.0]], np.float32)
    loudness = answers.loudness(np, x)
    assert loudness.shape == (2,) and loudness.dtype == np.float32
    np.testing.assert_allclose(loudness, [3, 3**0.5], rtol=1e-6)


def test_halves(answers):
    batch = np.arange(24.0, dtype=np.float32).reshape(6, 4)
    first, second = answers.halves(batch, FIRST, SECOND)
    assert (first.device, second.device) == (FIRST, SECOND)
    np.testing.assert_array_equal(first.numpy(), batch[:3])
    np.testing.assert_array_equal(second.numpy(), batch[3:])


@pytest.mark.parametrize(("shapes", "devices", "result", "moved"), [
    pytest.param([(30, 40), (40,)], [FIRST, SECOND], FIRST, 160, id="b_is_smaller"),
    pytest.param([(40,), (30, 40)], [FIRST, SECOND], SECOND, 160, id="a_is_smaller"),
    pytest.param([(30, 40), (40,)], [SECOND, SECOND], SECOND, 0, id="same_device")])
def test_add_cheaply(answers, shapes, devices, result, moved):
    rng = np.random.default_rng(0)
    a, b = (Tensor(rng.random(shape, np.float32), device)
            for shape, device in zip(shapes, devices, strict=True))
    with backend.record_transfers() as log:
        total = answers.add_cheaply(a, b)
    assert total.device == result
    assert log.total_bytes == moved
    np.testing.assert_array_equal(total.numpy(), a.numpy() + b.numpy())


@pytest.mark.parametrize("limit", [None, 10**9])
def test_fits(answers, limit):
    device = backend.device("cpu:4")
    device.set_memory_limit(limit)
    here_already = zeros(50_000, device=device)  # 200,000 bytes that are not function's

    def function():
        zeros(25_000, device=device)

    assert answers.fits(function, device, 100_000) is True
    assert answers.fits(function, device, 99_999) is False
    assert device.memory().used == here_already.data.nbytes
    assert device.memory().limit == limit
    device.set_memory_limit(None)


def test_fits_lets_other_errors_through(answers):
    device = backend.device("cpu:4")
    with pytest.raises(ZeroDivisionError):
        answers.fits(lambda: 1 / 0, device, 1000)
    assert device.memory().limit is None
