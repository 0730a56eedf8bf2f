"""Tests of the exercises of chapter 06."""

import numpy as np
import pytest

from minialex import Tensor, ops

pytestmark = pytest.mark.ch06


def test_collapse(answers):
    rng = np.random.default_rng(0)
    w1, b1, w2, b2, x = (rng.standard_normal(s) for s in ((4, 6), 6, (6, 3), 3, (5, 4)))
    w, b = answers.collapse(w1, b1, w2, b2)
    assert np.shape(w) == (4, 3) and np.shape(b) == (3,)
    np.testing.assert_allclose(x @ w + b, (x @ w1 + b1) @ w2 + b2)


def test_saturated(answers):
    x = np.array([[-9.0, -2.0, -0.1, 0.0], [0.1, 2.0, 3.0, 9.0]])  # slope at 2: 0.0707
    assert answers.saturated(np.tanh(x)) == pytest.approx(3 / 8)
    assert answers.saturated(np.tanh(x), slope=0.08) == pytest.approx(5 / 8)


@pytest.mark.parametrize("scale", [1 / 64, 3.0])
def test_alpha_for(answers, scale):
    x = 50 * np.random.default_rng(0).standard_normal((1, 2, 2, 8))
    before = ops.local_response_norm(Tensor(x), alpha=2e-4).numpy()
    alpha = answers.alpha_for(scale, alpha=2e-4)
    after = ops.local_response_norm(Tensor(scale * x), alpha=alpha).numpy()
    np.testing.assert_allclose(after, scale * before)


def test_modern_dropout(answers):
    x = np.arange(1.0, 7.0).reshape(2, 3)
    keep = np.array([[True, False, True], [True, True, False]])
    np.testing.assert_allclose(answers.modern_dropout(x, keep, 0.2, training=False), x)
    np.testing.assert_allclose(answers.modern_dropout(x, keep, 0.2, training=True),
                               [[1.25, 0, 3.75], [5, 6.25, 0]])


@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 2), (3, 1)])
def test_gradient_of_pool(answers, size, stride):
    rng = np.random.default_rng(0)
    x = rng.permutation(np.arange(72.0)).reshape(9, 8)
    t = Tensor(x[None, :, :, None], requires_grad=True)
    y = ops.max_pool2d(t, size=size, stride=stride)
    gy = rng.standard_normal(y.shape)
    y.backward(gy)
    np.testing.assert_allclose(answers.gradient_of_pool(x, gy[0, :, :, 0], size, stride),
                               t.grad.numpy()[0, :, :, 0])


@pytest.mark.parametrize("channels", [1, 3, 16])
def test_normalise(answers, channels):
    x = 100 * np.random.default_rng(0).standard_normal((2, 3, 4, channels))
    expected = ops.local_response_norm(Tensor(x)).numpy()
    np.testing.assert_allclose(answers.normalise(x), expected)


def test_normalise_leaves_its_input_alone(answers):
    x = 100 * np.random.default_rng(0).standard_normal((2, 55, 55, 48))
    before = x.copy()
    assert np.shape(answers.normalise(x)) == x.shape
    np.testing.assert_array_equal(x, before)
