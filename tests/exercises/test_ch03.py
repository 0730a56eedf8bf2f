"""Tests of the exercises of chapter 03."""

import math

import numpy as np
import pytest

from minialex import op, ops

pytestmark = pytest.mark.ch03


@pytest.mark.parametrize(("f", "x", "step", "expected"), [
    (lambda x: x**2, 3.0, 0.5, 6.0), (lambda x: x**3, 2.0, 0.1, 12.01), (abs, 1.0, 3.0, 1 / 3)])
def test_central(answers, f, x, step, expected):
    assert answers.central(f, x, step) == pytest.approx(expected)


@pytest.mark.parametrize("x", [0.3, 0.7, 1.1, 1.3])
def test_second_derivative(answers, x):
    assert answers.second_derivative(math.sin, x) == pytest.approx(-math.sin(x), rel=1e-6)
    assert answers.second_derivative(math.exp, x) == pytest.approx(math.exp(x), rel=1e-6)


@op
def lazy_softmax(xp, x):
    return ops.softmax.on_arrays(xp, x)[0], lambda gy: 0 * gy


@op
def lazy_transpose(xp, x):
    return x.T, lambda gy: gy.reshape(x.shape)


@op
def nearly_tanh(xp, x):
    return xp.tanh(x), lambda gy: gy * (1 - xp.tanh(x) ** 2) * 1.0001


def test_wrong_ones(answers):
    x = np.random.default_rng(0).uniform(0.5, 2, (3, 4))
    functions = {"tanh": ops.tanh, "softmax": ops.softmax, "transpose": ops.transpose,
                 "a": lazy_softmax, "b": lazy_transpose, "c": nearly_tanh}
    assert answers.wrong_ones(functions, x) == {"a", "b", "c"}
    assert answers.wrong_ones({"tanh": ops.tanh}, x) == set()


@pytest.mark.parametrize(("size", "options", "expected"), [
    pytest.param(1, {"alpha": 2e-4}, False, id="alpha_on_small_inputs"),
    pytest.param(1, {"size": 3}, False, id="size_on_small_inputs"),
    pytest.param(1, {"alpha": 0.5}, True, id="large_alpha"),
    pytest.param(1, {"k": 1.0}, True, id="k"),
    pytest.param(100, {"size": 3}, True, id="size_on_large_inputs")])
def test_shows(answers, size, options, expected):
    x = size * np.random.default_rng(0).uniform(-1, 1, (2, 3, 3, 8))
    assert answers.shows(ops.local_response_norm, x, **options) is expected


def test_shows_what_happens_in_one_entry(answers):
    x = np.ones((1, 1, 1, 1000))
    x[0, 0, 0, 0] = 100.0  # its neighbours 1 and 2 notice, the third only if size is 7
    assert answers.shows(ops.local_response_norm, x, size=7) is True


@pytest.mark.parametrize("shape", [(40,), (4, 5, 6)])
def test_off_kinks(answers, shape):
    gap = 0.01
    x = answers.off_kinks(shape, gap, np.random.default_rng(0))
    assert x.shape == shape and x.dtype == np.float64
    numbers = x.ravel()
    assert np.abs(numbers).min() >= 0.999 * gap
    assert np.diff(np.sort(numbers)).min() >= 0.999 * gap
    assert np.abs(numbers).max() <= 10 * gap * x.size, "stay near the kink: large inputs hide it"
    assert (numbers > 0).any() and (numbers < 0).any()
    assert (np.diff(numbers) > 0).any() and (np.diff(numbers) < 0).any(), "shuffled"
    assert (np.diff(np.abs(numbers)) > 0).any() and (np.diff(np.abs(numbers)) < 0).any()
    other = answers.off_kinks(shape, gap, np.random.default_rng(1))
    assert not np.array_equal(x, other)


@pytest.mark.parametrize(("spoil", "expected"), [
    pytest.param(lambda g: g, True, id="right"),
    pytest.param(lambda g: 1.01 * g, False, id="one_percent"),
    pytest.param(lambda g: -g, False, id="sign"),
    pytest.param(lambda g: g[:, ::-1], False, id="order"),
    pytest.param(lambda g: g + (np.arange(g.size).reshape(g.shape) == 7), False, id="one_entry")])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_quick_check(answers, spoil, expected, seed):
    x, calls = np.random.default_rng(9).standard_normal((20, 30)), []

    def f(x):
        calls.append(x)
        return float(np.sin(x).sum())

    rng = np.random.default_rng(seed)
    assert answers.quick_check(f, x, spoil(np.cos(x)), rng) is expected
    assert len(calls) == 2
