"""Tests of the exercises of chapter 11."""

import copy

import numpy as np
import pytest
from checking import same

from minialex import Tensor, nn, ops, optim
from minialex.training import plateau_falls

pytestmark = pytest.mark.ch11


@pytest.mark.parametrize(("counts", "expected"), [
    ([5, 5], np.log(2)), ([7] * 1000, np.log(1000)), ([3, 0, 3], np.log(2)), ([4, 0], 0),
    ([3, 1], np.log(4) - 0.75 * np.log(3))])
def test_loss_of_guessing(answers, counts, expected):
    shown = counts if len(counts) < 10 else "1,000 times 7"
    with np.errstate(all="ignore"):  # log(0): the sentence says it
        got = answers.loss_of_guessing(np.array(counts))
    shares = np.array(counts) / sum(counts)
    logs = np.log(shares[shares > 0])
    same(f"loss_of_guessing({shown})", got, expected, [
        (np.nan, "0 * log(0) is no number: leave out the classes that never come."),
        (np.log(len(counts)), "That would be right if all classes were equally frequent."),
        (-expected, "The loss is -log of the probability."),
        (expected / np.log(2), "That is in bits; the loss has the natural logarithm."),
        (-logs.mean(), "Frequent classes count more: weight each loss with its share."),
        (-logs.max(), "That is the loss of the most frequent class alone."),
        (sum(counts) * expected, "That is the sum over all images, not the mean.")])


LOW = [2.3] * 30 + [1.0] + [2.3] * 30 + [1.0] * 30
PLATEAUS = [  # losses, in words, window, expected, mistakes
    (LOW, "one low at step 31, low from 62 on", 20, 65, [
        (31, "One low loss is not enough: take the mean of the last 20."),
        (64, "Steps are counted from 1."),
        (45, "That is where the window begins; the step is its last."),
        (81, "The mean must be low, not each of the losses.")]),
    (LOW, "one low at step 31, low from 62 on", 10, 63, [
        (65, "The window was 10 here, not 20."), (62, "Steps are counted from 1.")]),
    ([1.0] * 50, "50 times 1.0", 20, 20, [
        (1, "Before step 20 there are not yet 20 losses."), (19, "Steps are counted from 1.")]),
    ([2.3] * 50, "50 times 2.3", 20, None, [(50, "It never leaves: return None.")]),
    ([1.0] * 5, "5 times 1.0", 20, None, [(5, "Five losses are too few to tell: return None."),
                                          (1, "Five losses are too few to tell: return None.")])]


def test_leaves_plateau(answers):
    for losses, words, window, expected, mistakes in PLATEAUS:
        same(f"leaves_plateau(losses, 2.3, window={window}) with losses {words}",
             answers.leaves_plateau(losses, 2.3, window=window), expected, mistakes)


@pytest.mark.parametrize(("errors", "patience", "most", "expected", "mistakes"), [
    ([0.5] * 12, 3, 3, [4, 7, 10], [
        ([3, 6, 9], "The first error is the best so far; the waiting begins after it."),
        ([4, 5, 6], "After a fall wait as long again."),
        ([], "An equal error is no improvement."),
        ([5, 8, 11], "It falls after the last epoch of waiting, not one later.")]),
    ([0.5] * 12, 3, 1, [4], [([4, 7, 10], "It may fall only once here: most=1.")]),
    ([0.9, 0.5, 0.6, 0.5, 0.4, 0.6, 0.5, 0.3], 2, 3, [4, 7], [
        ([], "Compare with the best error so far; an equal one is no improvement."),
        ([3, 6], "Wait for two epochs without a better error."),
        ([3, 6, 7], "Wait for two epochs without a better error."),
        ([7], "An equal error is no improvement.")]),
    ([0.9, 0.5, 0.6, 0.5, 0.4, 0.6, 0.5, 0.3], 4, 3, [], [])])
def test_falls_after(answers, errors, patience, most, expected, mistakes):
    shown = "12 times 0.5" if len(set(errors)) == 1 else errors
    same(f"falls_after({shown}, patience={patience}, most={most})",
         answers.falls_after(list(errors), patience=patience, most=most), expected, mistakes)


def test_falls_after_is_the_rule_of_the_library(answers):
    rng = np.random.default_rng(0)
    for _ in range(50):
        errors, patience = (rng.integers(0, 9, 20) / 9).round(2).tolist(), int(rng.integers(1, 5))
        counts = [plateau_falls(errors[:n], patience) for n in range(21)]
        expected = [n for n in range(1, 21) if counts[n] > counts[n - 1]]
        same(f"falls_after({errors}, patience={patience})",
             answers.falls_after(errors, patience), expected)


def test_velocity_at_fall(answers):
    same("velocity_at_fall([1, 2], old=0.1, new=0.01)",
         answers.velocity_at_fall(np.array([1.0, 2.0]), 0.1, 0.01), np.array([10.0, 20.0]), [
             (np.array([0.1, 0.2]), "It is the other way round: PyTorch multiplies the velocity by "
              "the new, smaller rate, so the velocity must grow."),
             (np.array([1.0, 2.0]), "Unchanged, the old velocity suddenly moves the weights by a "
              "tenth only; the paper's goes on."),
             (np.array([0.0, 0.0]), "The paper's velocity is kept when the rate changes.")])
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
        same(f"a weight after a step with the rate {rate}, which was {before} before,", w,
             weight.numpy(), rtol=1e-5, atol=1e-7)


def build(seed):
    layers = [nn.Linear(6, 16, rng=seed), nn.ReLU(), nn.Dropout(0.5, rng=seed),
              nn.Linear(16, 16, rng=seed), nn.Dropout(0.5, rng=seed + 1),
              nn.Linear(16, 3, rng=seed)]
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


def without(part):
    """The losses of who forgets one part of the state."""
    net, sgd = build(seed=0)
    some_losses(net, sgd, 4)
    sgd.lr = 0.03
    weights, velocities = copy.deepcopy((net.state(), sgd.state()))
    random = [layer.rng.bit_generator.state for _, layer in net.named_modules()
              if hasattr(layer, "rng")]
    net, sgd = build(seed=1)
    if part != "weights":
        net.load_state(weights)
    if part != "velocities":
        sgd.load_state(velocities)
    sgd.lr = 0.1 if part == "rate" else 0.03
    if part != "random states":
        for layer, state in zip([layer for _, layer in net.named_modules()
                                 if hasattr(layer, "rng")], random, strict=True):
            layer.rng.bit_generator.state = state
    return some_losses(net, sgd, 5)


def compare(answers, times):
    """What was kept is used so many times; the last time it must still be right."""
    net, sgd = build(seed=0)
    some_losses(net, sgd, 4)
    sgd.lr = 0.03
    saved = answers.snapshot(net, sgd)
    expected = some_losses(net, sgd, 5)
    later = some_losses(net, sgd, 5)
    for _ in range(times):
        other, other_sgd = build(seed=1)
        answers.restore(other, other_sgd, saved)
        losses = some_losses(other, other_sgd, 5)
    assert without("nothing") == expected  # or the sentences below would be wrong
    forgotten = [(without(part), f"That comes when the {part} {'is' if part == 'rate' else 'are'} "
                  "not restored.") for part in ("weights", "velocities", "rate", "random states")]
    same(f"the losses after restore, used {('once', 'twice')[times - 1]},", losses, expected, [
        *forgotten, (later, "That goes on where the first network is now: snapshot must copy the "
                     "arrays.")], rtol=0, atol=0)


def test_snapshot(answers):
    compare(answers, times=1)


def test_restore(answers):
    compare(answers, times=2)
