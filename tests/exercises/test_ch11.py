"""Tests of the exercises of chapter 11."""

import numpy as np
import pytest

from minialex import Tensor, nn, ops, optim
from minialex.training import plateau_falls

pytestmark = pytest.mark.ch11


@pytest.mark.parametrize(("counts", "expected"), [
    ([5, 5], np.log(2)), ([7] * 1000, np.log(1000)), ([3, 0, 3], np.log(2)), ([4, 0], 0),
    ([3, 1], np.log(4) - 0.75 * np.log(3))])
def test_loss_of_guessing(answers, counts, expected):
    assert answers.loss_of_guessing(np.array(counts)) == pytest.approx(expected)


def test_leaves_plateau(answers):
    losses = [2.3] * 30 + [1.0] + [2.3] * 30 + [1.0] * 30  # one low loss does not count
    assert answers.leaves_plateau(losses, 2.3) == 61 + 4
    assert answers.leaves_plateau(losses, 2.3, window=10) == 61 + 2
    assert answers.leaves_plateau([1.0] * 50, 2.3) == 20
    assert answers.leaves_plateau([2.3] * 50, 2.3) is None
    assert answers.leaves_plateau([1.0] * 5, 2.3) is None  # too few to tell


def test_falls_after(answers):
    assert list(answers.falls_after([0.5] * 12, patience=3)) == [4, 7, 10]
    assert list(answers.falls_after([0.5] * 12, patience=3, most=1)) == [4]
    errors = [0.9, 0.5, 0.6, 0.5, 0.4, 0.6, 0.5, 0.3]
    assert list(answers.falls_after(errors, patience=2)) == [4, 7]
    assert list(answers.falls_after(errors, patience=4)) == []


def test_falls_after_is_the_rule_of_the_library(answers):
    rng = np.random.default_rng(0)
    for _ in range(50):
        errors, patience = rng.integers(0, 9, 20) / 9, int(rng.integers(1, 5))
        counts = [plateau_falls(errors[:n], patience) for n in range(21)]
        expected = [n for n in range(1, 21) if counts[n] > counts[n - 1]]
        assert list(answers.falls_after(errors, patience)) == expected


def test_velocity_at_fall(answers):
    rng = np.random.default_rng(0)
    rates = [0.1, 0.1, 0.1, 0.01, 0.01, 0.05]
    weight = Tensor(np.zeros(3), requires_grad=True)
    sgd = optim.SGD([weight], lr=rates[0], weight_decay=0)
    w, v = np.zeros(3), np.zeros(3)
    for before, rate in zip([rates[0], *rates[:-1]], rates, strict=True):
        gradient = rng.standard_normal(3)
        if rate != before:
            v = answers.velocity_at_fall(v, before, rate)
        v = 0.9 * v + gradient
        w = w - rate * v
        sgd.lr, weight.grad = rate, Tensor(gradient)
        sgd.step()
        np.testing.assert_allclose(w, weight.numpy())


def build(seed):
    layers = [nn.Linear(6, 16, rng=seed), nn.ReLU(), nn.Dropout(0.5, rng=seed),
              nn.Linear(16, 16, rng=seed), nn.Dropout(0.5, rng=seed + 1), nn.Linear(16, 3)]
    net = nn.Sequential(*layers)
    return net, optim.SGD(net.named_parameters(), lr=0.1)


def some_losses(net, sgd, steps):
    x = Tensor(np.random.default_rng(0).standard_normal((12, 6), np.float32))
    losses = []
    for _ in range(steps):
        loss = ops.softmax_cross_entropy(net(x), np.arange(12) % 3)
        loss.backward()
        sgd.step()
        sgd.zero_grad()
        losses.append(loss.item())
    return losses


def test_snapshot_and_restore(answers):
    net, sgd = build(seed=0)
    some_losses(net, sgd, 4)
    sgd.lr = 0.03
    saved = answers.snapshot(net, sgd)
    expected = some_losses(net, sgd, 5)
    for _ in range(2):  # what was kept can be used twice
        other, other_sgd = build(seed=1)
        answers.restore(other, other_sgd, saved)
        assert some_losses(other, other_sgd, 5) == expected
