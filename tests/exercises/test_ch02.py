"""Tests of the exercises of chapter 02."""

import math

import numpy as np
import pytest

from minialex import Tensor, ops

pytestmark = pytest.mark.ch02


@pytest.mark.parametrize(("f", "x", "expected"), [
    (lambda x: 3 * x - 1, 2.0, 3), (lambda x: x**3, -2.0, 12), (math.sin, 0.0, 1),
    (math.exp, 1.0, math.e)])
def test_slope(answers, f, x, expected):
    assert answers.slope(f, x) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("inputs", [(2.0, 3.0, -1.0), (-1.0, 0.5, 4.0), (1.0, 0.0, 7.0)])
def test_by_hand(answers, inputs):
    w, x, b = (Tensor(value, requires_grad=True) for value in inputs)
    ((w * x + b) * x).backward()
    assert answers.by_hand(*inputs) == pytest.approx((w.grad.item(), x.grad.item(), b.grad.item()))


@pytest.mark.parametrize(("tape", "expected"), [
    pytest.param([("c", [("a", 3), ("b", 2)]), ("d", [("c", 1), ("a", 1)])],
                 {"a": 4, "b": 2, "c": 1, "d": 1}, id="docstring"),
    pytest.param([("p", [("w", 3), ("x", 2)]), ("s", [("p", 1), ("b", 1)]),
                  ("q", [("s", 5), ("s", 5)]), ("d", [("w", 2), ("w", 2)]),
                  ("y", [("q", 1), ("d", 1)])],
                 {"w": 34, "x": 20, "b": 10, "p": 10, "s": 10, "q": 1, "d": 1, "y": 1},
                 id="chapter"),
    pytest.param([("b", [("a", 2)]), ("c", [("b", 3)]), ("d", [("c", 5), ("b", 7)])],
                 {"a": 44, "b": 22, "c": 5, "d": 1}, id="long_and_short_path")])
def test_gradients(answers, tape, expected):
    assert dict(answers.gradients(tape)) == expected


def test_softplus(answers):
    x, gy = np.array([-2.0, -0.5, 0.0, 1.0, 3.0]), np.array([1.0, -2.0, 3.0, 0.5, 2.0])
    value, backward = answers.softplus(np, x)
    np.testing.assert_allclose(value, np.logaddexp(0, x))
    step = 1e-6
    slopes = (np.logaddexp(0, x + step) - np.logaddexp(0, x - step)) / (2 * step)
    np.testing.assert_allclose(backward(gy), gy * slopes, rtol=1e-6)


def test_scale(answers):
    rng = np.random.default_rng(0)
    x, s, gy = rng.standard_normal((4, 3)), rng.standard_normal(3), rng.standard_normal((4, 3))
    value, backward = answers.scale(np, x, s)
    tx, ts = Tensor(x, requires_grad=True), Tensor(s, requires_grad=True)
    product = tx * ts
    product.backward(gy)
    gx, gs = backward(gy)
    assert gs.shape == (3,), "one gradient for each number of s"
    np.testing.assert_allclose(value, product.numpy())
    np.testing.assert_allclose(gx, tx.grad.numpy())
    np.testing.assert_allclose(gs, ts.grad.numpy())


def test_gradient_of_error(answers):
    rng = np.random.default_rng(0)
    x, w, t = (rng.standard_normal(shape) for shape in [(5, 3), (3, 2), (5, 2)])
    tw = Tensor(w, requires_grad=True)
    ops.sum((ops.matmul(Tensor(x), tw) - Tensor(t)) ** 2).backward()
    np.testing.assert_allclose(answers.gradient_of_error(x, w, t), tw.grad.numpy())
