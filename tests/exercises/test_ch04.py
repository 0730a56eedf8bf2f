"""Tests of the exercises of chapter 04."""

import numpy as np
import pytest

from minialex import Tensor, ops

pytestmark = pytest.mark.ch04


@pytest.mark.parametrize(("classes", "expected"), [(2, 0.6931), (10, 2.3026), (1000, 6.9078)])
def test_loss_at_start(answers, classes, expected):
    assert answers.loss_at_start(classes) == pytest.approx(expected, abs=1e-4)


def test_log_softmax(answers):
    scores = np.random.default_rng(0).standard_normal((5, 4))
    expected = ops.log_softmax(Tensor(scores)).numpy()
    np.testing.assert_allclose(answers.log_softmax(scores), expected)


def test_log_softmax_of_large_scores(answers):
    logs = answers.log_softmax(np.array([[0.0, 5000.0], [-5000.0, -5000.0]]))
    np.testing.assert_allclose(logs, [[-5000, 0], [-np.log(2), -np.log(2)]])


def test_gradients(answers):
    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(shape) for shape in ((6, 5), (5, 3), 3))
    labels = np.array([0, 2, 1, 1, 0, 2])
    tw, tb = Tensor(w, requires_grad=True), Tensor(b, requires_grad=True)
    ops.softmax_cross_entropy(ops.linear(Tensor(x), tw, tb), labels).backward()
    gw, gb = answers.gradients(x, w, b, labels)
    assert np.shape(gw) == w.shape and np.shape(gb) == b.shape
    np.testing.assert_allclose(gw, tw.grad.numpy())
    np.testing.assert_allclose(gb, tb.grad.numpy())


def test_most_confused(answers):
    labels = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2])
    guesses = np.array([0, 0, 0, 1, 1, 0, 2, 1, 1])  # twice 1 where 2 is right
    assert tuple(answers.most_confused(np.eye(3)[guesses], labels)) == (2, 1)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_coasting(answers, momentum):
    v, travelled = -0.3, 0.0
    for power in range(1, 1000):
        travelled += v * momentum**power
    assert answers.coasting(v, momentum) == pytest.approx(travelled)


@pytest.mark.parametrize(("rate", "momentum", "expected"), [
    (0.01, 0.0, 688), (0.019, 0.0, 361), (0.001, 0.9, 629), (0.005, 0.9, 108)])
def test_steps_down(answers, rate, momentum, expected):
    assert answers.steps_down(rate, momentum) == pytest.approx(expected, abs=1)


def test_steps_down_where_no_way_leads(answers):
    assert answers.steps_down(0.01, 0.0, most=500) is None
    assert answers.steps_down(0.021, 0.0, most=1000) is None  # too high a rate
    assert answers.steps_down(0.021, 0.9, most=1000) is not None  # with momentum it is not
