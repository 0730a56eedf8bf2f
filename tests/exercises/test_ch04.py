"""Tests of the exercises of chapter 04."""

import numpy as np
import pytest
from checking import same

from minialex import Tensor, ops

pytestmark = pytest.mark.ch04


@pytest.mark.parametrize(("classes", "expected"), [(2, 0.6931), (10, 2.3026), (1000, 6.9078)])
def test_loss_at_start(answers, classes, expected):
    same(f"loss_at_start({classes})", answers.loss_at_start(classes), expected, [
        (-expected, "A loss is not negative: it is minus the logarithm of the probability."),
        (np.log10(classes), "That is the logarithm to base 10; use the natural one, np.log."),
        (np.log2(classes), "That is the logarithm to base 2; use the natural one, np.log."),
        (1 / classes, "That is the probability of each class, not yet its loss."),
        (-expected / classes, "Only the right class counts, and with the whole logarithm.")],
        rtol=1e-4)


def test_log_softmax(answers):
    scores = np.random.default_rng(0).standard_normal((5, 4))
    logs = ops.log_softmax(Tensor(scores)).numpy()
    powers = np.exp(scores)
    same("log_softmax(scores)", answers.log_softmax(scores), logs, [
        (np.exp(logs), "Those are the probabilities, not their logarithms."),
        (scores - scores.max(axis=1, keepdims=True),
         "The logarithm of the sum is not yet subtracted."),
        (np.log(powers / powers.sum()), "Each row is an image of its own: sum over axis 1."),
        (np.log(powers / powers.sum(axis=0)), "That sums over the images; sum over axis 1."),
        (-logs, "The sign is wrong: logarithms of numbers below 1 are negative.")])


def test_log_softmax_of_large_scores(answers):
    scores = np.array([[0.0, 5000.0], [-5000.0, -5000.0]])
    with np.errstate(all="ignore"):
        logs = answers.log_softmax(scores)
    overflowed = ("With large scores exp becomes infinite, or all powers become 0; subtract the "
                  "largest score of each row first.")
    shifted = "The logarithm of a probability that is 0 is infinite; simplify log(exp(s) / sum)."
    half = -np.log(2)
    same("log_softmax([[0, 5000], [-5000, -5000]])", logs,
         np.array([[-5000, 0], [half, half]]), [
        ([[-np.inf, np.nan], [np.nan, np.nan]], overflowed),
        ([[-np.inf, -np.inf], [np.inf, np.inf]], overflowed),
        ([[-np.inf, 0], [half, half]], shifted)])


def test_gradients(answers):
    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(shape) for shape in ((6, 5), (5, 3), 3))
    labels = np.array([0, 2, 1, 1, 0, 2])
    tw, tb = Tensor(w, requires_grad=True), Tensor(b, requires_grad=True)
    ops.softmax_cross_entropy(ops.linear(Tensor(x), tw, tb), labels).backward()
    gw, gb = tw.grad.numpy(), tb.grad.numpy()
    y = np.eye(3)[labels]
    got = answers.gradients(x, w, b, labels)
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        pytest.fail("gradients(x, w, b, labels) must return two arrays: gw, gb.", pytrace=False)
    for name, one, right, of_scores in (("gw", got[0], gw, x.T @ y), ("gb", got[1], gb, y.sum(0))):
        same(f"{name} of gradients(x, w, b, labels)", one, right, [
            (6 * right, "The loss is a mean over the images, so divide by their number."),
            (-right, "The sign is wrong: it is p - y."),
            (right + of_scores / 6, "That is made of p alone; subtract y, 1 at the right class."),
            (gb if name == "gw" else gw, "Return gw first, then gb."),
            (right.T, "That is transposed: the gradient of w has the shape of w, (in, classes).")])


def test_most_confused(answers):
    labels = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2])
    guesses = np.array([0, 0, 0, 1, 1, 0, 2, 1, 1])  # twice 1 where 2 is right
    got = np.asarray(answers.most_confused(np.eye(3)[guesses], labels)).tolist()
    same("most_confused(scores, labels)", got, [2, 1], [
        ([1, 2], "The right class comes first, then the guess."),
        ([0, 0], "There the guess is right; leave the diagonal out."),
        (7, "That is a place in the table as one number; np.unravel_index makes two of it.")])


@pytest.mark.parametrize("momentum", [0.5, 0.9, 0.0])
def test_coasting(answers, momentum):
    v = -0.3
    travelled = 0.0 + v * sum(momentum**power for power in range(1, 1000))
    same(f"coasting({v}, {momentum})", answers.coasting(v, momentum), travelled, [
        (v / (1 - momentum), "The next step is already momentum * v; the last one was made."),
        (v * momentum, "That is one step; the velocity lives on after it."),
        (-travelled, "It goes on in the direction of v.")])


@pytest.mark.parametrize(("rate", "momentum", "expected"), [
    (0.01, 0.0, 688), (0.019, 0.0, 361), (0.001, 0.9, 629), (0.005, 0.9, 108)])
def test_steps_down(answers, rate, momentum, expected):
    got = answers.steps_down(rate, momentum)
    if isinstance(got, (int, np.integer)) and abs(got - expected) == 1:
        return  # who counts the start as well
    same(f"steps_down({rate}, {momentum})", got, expected, [
        (_walk(rate, momentum, (50, 0.5)), "The gradient of 50 a**2 is 100 a, that of b**2 / 2 b."),
        (_walk(rate, momentum, either=True), "Both |a| and |b| must be below 0.001, not only one."),
        (_walk(rate, 0.0), "That is without momentum."),
        (_walk(rate, momentum, old=True), "Move by the new velocity, not by the one before.")])


def _walk(rate, momentum, steepness=(100.0, 1.0), either=False, old=False):
    """Steps of a wrong walk, or None."""
    place, v = [1.0, 1.0], [0.0, 0.0]
    for step in range(1, 10_001):
        for i in (0, 1):
            new = momentum * v[i] - rate * steepness[i] * place[i]
            place[i] += v[i] if old else new
            v[i] = new
        below = [abs(x) < 0.001 for x in place]
        if any(below) if either else all(below):
            return step
        if max(map(abs, place)) > 1e100:
            return None
    return None


def test_steps_down_where_no_way_leads(answers):
    for rate, momentum, most in [(0.01, 0.0, 500), (0.021, 0.0, 1000)]:
        same(f"steps_down({rate}, {momentum}, most={most})",
             answers.steps_down(rate, momentum, most=most), None)
    if answers.steps_down(0.021, 0.9, most=1000) is None:
        pytest.fail("steps_down(0.021, 0.9, most=1000) gives None; with momentum it gets there.",
                    pytrace=False)
