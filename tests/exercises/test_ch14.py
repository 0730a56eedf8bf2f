"""Tests of the exercises of chapter 14."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from checking import same
from plan import ONE_TOWER as NET
from plan import Machine, cost

pytestmark = pytest.mark.ch14


@pytest.mark.parametrize(("n", "size"), [(12, 4), (19, 4), (7, 3), (3, 4), (5, 1)])
def test_rows_of(answers, n, size):
    slices = [answers.rows_of(n, rank, size) for rank in range(size)]
    if not all(isinstance(rows, slice) for rows in slices):
        pytest.fail(f"rows_of({n}, rank, {size}) gives {slices[0]!r}; right is a slice.",
                    pytrace=False)
    parts = [list(range(n)[rows]) for rows in slices]
    counts = [len(part) for part in parts]
    joined = sorted(itertools.chain(*parts))
    every = list(range(n))
    same(f"rows_of({n}, rank, {size}), of all ranks together,", joined, every, [
        (every[: n // size * size], "The images that are left over belong to nobody."),
        (every[: len(joined)], "The last images belong to nobody.")])
    if max(counts) - min(counts) > 1:
        pytest.fail(f"of {n} images, the {size} ranks take {counts}; no rank may take over one "
                    "more than another. All that are left over went to one rank.", pytrace=False)


@pytest.mark.parametrize("counts", [(4, 4, 4), (1, 2, 9), (5, 0, 3)])
def test_joined_gradient(answers, counts):
    of_images = np.random.default_rng(0).standard_normal((sum(counts), 5))
    parts = np.split(of_images, np.cumsum(counts)[:-1])
    gradients = [part.mean(axis=0) if len(part) else np.full(5, np.nan) for part in parts]
    right = of_images.mean(axis=0)
    same(f"joined_gradient(gradients, {list(counts)})",
         answers.joined_gradient(gradients, list(counts)), right, [
             (np.mean(gradients, axis=0), "That is the plain mean of the means; each must be "
              "weighted with its images." if all(counts) else
              "NaN times 0 is NaN; leave out the rank without images."),
             (right * sum(counts), "Divide by the number of all images."),
             (np.nanmean(gradients, axis=0), "Each mean must be weighted with its images."),
             (np.nansum(gradients, axis=0), "That is the sum of the means.")])


@pytest.mark.parametrize(("k", "steps"), [(1, 0), (2, 1), (4, 2), (8, 3)])
def test_sum_by_pairs(answers, k, steps):
    arrays = list(np.random.default_rng(0).standard_normal((k, 6), np.float32))
    before = np.copy(arrays)
    found = answers.sum_by_pairs(arrays)
    if not np.array_equal(arrays, before):
        pytest.fail(f"sum_by_pairs({k} arrays) changed the arrays; add into new ones.",
                    pytrace=False)
    if not isinstance(found, tuple) or len(found) != 3:
        pytest.fail(f"sum_by_pairs({k} arrays) gives {found!r}; right is (sums, sent, steps).",
                    pytrace=False)
    sums, sent, counted = found
    total, call = before.sum(axis=0), f"sum_by_pairs({k} arrays)"
    same(f"steps of {call}", counted, steps, [
        (k - 1, "With pairs the number of ranks with the same sum doubles in each step."),
        (2 * (k - 1), "That is a ring.")])
    half = [before[r] + before[r ^ 1] for r in range(k)] if k > 1 else before
    same(f"sums of {call}", np.array(sums), np.array(k * [total]), [
        (np.array(half), "Those are the sums of pairs; go on with the next binary digit."),
        (np.array([total, *before[1:]]), "All ranks need the sum."),
        (before, "Nothing was added.")], rtol=1e-5, atol=1e-6)
    if not all(np.array_equal(own, sums[0]) for own in sums):
        pytest.fail(f"the sums of {call} are not the same bits on all ranks.", pytrace=False)
    same(f"sent of {call}", list(sent), k * [steps * 24], [
        (k * [steps * 6], "Count bytes, not numbers: a float32 has four."),
        (k * [steps * 48], "Count what a rank sends, not what it gets as well."),
        (k * [24], "An array is sent in each step.")])


@pytest.mark.parametrize("net", [NET, replace(NET, fc_weights=1_000_000, pool5=500, fc=300)],
                         ids=["one-tower", "small"])
def test_break_even(answers, net):
    def sent(scheme, images, k):
        return cost(scheme, net, Machine(1, 1, 0, images / k), k).sent

    exact = net.fc_weights / (net.pool5 + 2 * net.fc)
    right = int(exact)
    for k in (2, 8):  # what the library's plan says
        assert sent("hybrid (c)", right, k) <= sent("data", right, k)
        assert sent("hybrid (c)", right + 1, k) > sent("data", right + 1, k)
    same(f"break_even({net.fc_weights}, {net.pool5}, {net.fc})",
         answers.break_even(net.fc_weights, net.pool5, net.fc), right, [
             (exact, "That is a part of an image; round down."),
             (right + 1, "With so many, hybrid sends more; round down."),
             (net.fc_weights // (net.pool5 + net.fc), "There are units of two layers."),
             (net.fc_weights // (2 * net.pool5 + 4 * net.fc), "Gradients go round twice, too: "
              "2 (K - 1) / K times."),
             (2 * net.fc_weights // (net.pool5 + 2 * net.fc), "Outputs come back as gradients.")])


@pytest.mark.parametrize(("flops", "latency"), [(1.4e12, 5e-6), (3e13, 5e-6), (3e13, 1e-3)])
@pytest.mark.parametrize("k", [1, 2, 64])
def test_efficiency(answers, flops, latency, k):
    machine = Machine(flops, 12e9, latency, 128)
    forward, size = machine.seconds(NET.work), 4 * NET.weights
    expected = cost("data", NET, machine, k)
    work, ring = 3 * forward, 2 * (k - 1) * (size / k / 12e9 + latency)
    same(f"efficiency({forward:.3g}, {2 * forward:.3g}, {size}, {k}, 12e9, {latency:g})",
         answers.efficiency(forward, 2 * forward, size, k, 12e9, latency),
         expected.work / expected.seconds, [
             (work / (work + ring), "The sum goes on while backward works; only what does not fit "
              "behind it takes more time."),
             (work / max(work, ring), "The sum cannot begin before backward does."),
             (expected.seconds / expected.work, "It is work / time."),
             (work / (forward + max(2 * forward, 2 * (k - 1) * size / k / 12e9 + latency)),
              "Each step of the ring has its latency."),
             (work / (forward + max(2 * forward, 2 * (k - 1) * (size / 12e9 + latency))),
              "A step of the ring sends a k-th of the gradients.")], rtol=1e-9)


@pytest.mark.parametrize(("step", "expected"), [(0, 0.01), (50, 0.045), (100, 0.08), (900, 0.08)])
def test_rate_at(answers, step, expected):
    same(f"rate_at({step}, 0.01, 8, 100)", answers.rate_at(step, 0.01, 8, 100), expected, [
        (0.01 + 0.07 * step / 100, "After the warm-up the rate is constant."),
        (0.08 * step / 100, "The warm-up begins at `rate`, not at 0."),
        (min(0.08, 0.08 * step / 100), "The warm-up begins at `rate`, not at 0."),
        (0.01 * min(1 + 8 * step / 100, 9), "It ends at k times `rate`, not at k + 1 times."),
        (0.01 * 8 ** min(step / 100, 1), "That is a curve; a straight line is meant.")])
