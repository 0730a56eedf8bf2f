"""Tests of the exercises of chapter 06."""

import numpy as np
import pytest
from checking import same

from minialex import Tensor, ops

pytestmark = pytest.mark.ch06


def test_collapse(answers):
    rng = np.random.default_rng(0)
    w1, b1, w2, b2 = (rng.standard_normal(s) for s in ((4, 6), 6, (6, 3), 3))
    got = answers.collapse(w1, b1, w2, b2)
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        pytest.fail("collapse(w1, b1, w2, b2) must return two arrays: w, b.", pytrace=False)
    same("w of collapse(w1, b1, w2, b2)", got[0], w1 @ w2, [
        ((w1 @ w2).T, "That is transposed: w has the shape (in, out)."),
        (b1 @ w2 + b2, "Return w first, then b.")])
    same("b of collapse(w1, b1, w2, b2)", got[1], b1 @ w2 + b2, [
        (b2, "The first bias is missing: the second layer multiplies it by w2."),
        (b1 @ w2, "The second bias is missing."),
        (w1 @ w2, "Return w first, then b.")])


def test_saturated(answers):
    x = np.array([[-9.0, -2.0, -0.1, 0.0], [0.1, 2.0, 3.0, 9.0]])  # slope at 2: 0.0707
    y = np.tanh(x)
    for slope, right in ((0.05, 3 / 8), (0.08, 5 / 8)):
        same(f"saturated(np.tanh({x.ravel().tolist()}), {slope})", answers.saturated(y, slope),
             right, [
                 (8 * right, "That is their number; give the share, 0 to 1."),
                 (1 - right, "Those are the others, whose slope is larger."),
                 (np.mean(np.abs(y) < slope), "Those are small outputs; the slope is 1 - y**2."),
                 (np.mean(1 - np.tanh(y) ** 2 < slope),
                  "y are the outputs already; do not take tanh of them again."),
                 (np.mean(1 - np.abs(y) < slope), "The slope is 1 - y**2, not 1 - |y|."),
                 (np.mean(1 - y < slope), "The slope is 1 - y**2; negative outputs count, too.")])


@pytest.mark.parametrize("scale", [1 / 64, 3.0])
def test_alpha_for(answers, scale):
    same(f"alpha_for({scale}, alpha=2e-4)", answers.alpha_for(scale, alpha=2e-4),
         2e-4 / scale**2, [
             (2e-4 / scale, "The responses are squared, so the scale counts twice."),
             (2e-4 * scale**2, "That is the wrong way round: larger squares need a smaller alpha."),
             (2e-4 * scale, "The responses are squared, and larger ones need a smaller alpha."),
             (1e-4 / scale**2, "That is for alpha=1e-4; use the argument."),
             (2e-4 / scale**1.5, "The bracket must stay as it was; beta changes nothing.")])


@pytest.mark.parametrize("scale", [1 / 64, 3.0])
def test_alpha_for_keeps_what_the_library_does(answers, scale):
    x = 50 * np.random.default_rng(0).standard_normal((1, 2, 2, 8))
    before = ops.local_response_norm(Tensor(x), alpha=2e-4).numpy()
    alpha = answers.alpha_for(scale, alpha=2e-4)
    if alpha is None:
        pytest.fail("alpha_for gives None; does the function return what it computes?",
                    pytrace=False)
    after = ops.local_response_norm(Tensor(scale * x), alpha=float(alpha)).numpy()
    same(f"LRN of x times {scale}, with your alpha", after, scale * before)


def test_modern_dropout(answers):
    x = np.arange(1.0, 7.0).reshape(2, 3)
    keep = np.array([[True, False, True], [True, True, False]])
    same("modern_dropout(x, keep, 0.2, training=False)",
         answers.modern_dropout(x, keep, 0.2, training=False), x, [
             (0.8 * x, "That is the rule of 2012; the modern one does nothing in the test."),
             (x * keep / 0.8, "In the test nothing is dropped."),
             (x * keep, "In the test nothing is dropped.")])
    same("modern_dropout(x, keep, 0.2, training=True)",
         answers.modern_dropout(x, keep, 0.2, training=True), x * keep / 0.8, [
             (x * keep, "That is the rule of 2012; what is left must become larger."),
             (2 * x * keep, "A factor of 2 is right for p = 0.5 only."),
             (x * keep / 0.2, "p is the probability to drop; the share that is left is 1 - p."),
             (x * keep * 0.8, "Divide by 1 - p: what is left becomes larger, not smaller."),
             (x * ~keep / 0.8, "`keep` says what is kept, not what is dropped.")])


@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 2), (3, 1)])
def test_gradient_of_pool(answers, size, stride):
    rng = np.random.default_rng(0)
    x = rng.permutation(np.arange(72.0)).reshape(9, 8)
    t = Tensor(x[None, :, :, None], requires_grad=True)
    y = ops.max_pool2d(t, size=size, stride=stride)
    gy = rng.standard_normal(y.shape)
    y.backward(gy)
    gy, right = gy[0, :, :, 0], t.grad.numpy()[0, :, :, 0]
    last, spread, over = (np.zeros_like(x) for _ in range(3))
    for i, j in np.ndindex(gy.shape):
        window = (slice(i * stride, i * stride + size), slice(j * stride, j * stride + size))
        wins = x[window] == x[window].max()
        last[window] = np.where(wins, gy[i, j], last[window])
        spread[window] += gy[i, j] / size**2
        over[window] = gy[i, j] * wins
    same(f"gradient_of_pool(x, gy, {size}, {stride})",
         answers.gradient_of_pool(x, gy, size, stride), right, [
             (last, "A pixel can win in several windows: add their gradients, with +=."),
             (over, "A window overwrites what an earlier one has left there: add, with +=."),
             (spread, "That is average pooling; only the largest pixel of a window gets gy."),
             ((right != 0) * 1.0, "Those are the winners; each gets the gradient of its output."),
             (-right, "The sign is wrong.")])


@pytest.mark.parametrize("channels", [1, 3, 16])
def test_normalise(answers, channels):
    x = 100 * np.random.default_rng(0).standard_normal((2, 3, 4, channels))

    def lrn(**other):
        return ops.local_response_norm(Tensor(x), **other).numpy()

    same(f"normalise(x) with {channels} channels", answers.normalise(x), lrn(), [
        (lrn(alpha=2e-5), "Alpha is not divided by 5 in the paper."),
        (lrn(k=1.0), "k is 2."),
        (lrn(beta=0.5), "beta is 0.75."),
        (lrn(size=1), "The sum must run over five maps, the two before and the two after."),
        (lrn(size=3), "The sum must run over five maps, two on each side."),
        (x / (2 + 1e-4 * np.sum(x**2, axis=3, keepdims=True)) ** 0.75,
         "That sums over all maps; only five count."),
        (x / lrn(), "That is the divisor; divide x by it.")])


def test_normalise_leaves_its_input_alone(answers):
    x = 100 * np.random.default_rng(0).standard_normal((2, 55, 55, 48))
    before = x.copy()
    same("normalise(x)", answers.normalise(x), ops.local_response_norm(Tensor(before)).numpy())
    same("x after normalise(x)", x, before)
