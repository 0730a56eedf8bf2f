"""Tests of the exercises of chapter 14."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from minialex.tools.plan import MODELS, Machine, cost

pytestmark = pytest.mark.ch14
NET = MODELS["one-tower"]


@pytest.mark.parametrize(("n", "size"), [(12, 4), (19, 4), (7, 3), (3, 4), (5, 1)])
def test_rows_of(answers, n, size):
    slices = [answers.rows_of(n, rank, size) for rank in range(size)]
    assert all(isinstance(rows, slice) for rows in slices), "return a slice"
    parts = [list(range(n)[rows]) for rows in slices]
    assert sorted(itertools.chain(*parts)) == list(range(n))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("counts", [(4, 4, 4), (1, 2, 9), (5, 0, 3)])
def test_joined_gradient(answers, counts):
    of_images = np.random.default_rng(0).standard_normal((sum(counts), 5))
    parts = np.split(of_images, np.cumsum(counts)[:-1])
    gradients = [part.mean(axis=0) if len(part) else np.full(5, np.nan) for part in parts]
    found = answers.joined_gradient(gradients, list(counts))
    np.testing.assert_allclose(found, of_images.mean(axis=0))


@pytest.mark.parametrize(("k", "steps"), [(1, 0), (2, 1), (4, 2), (8, 3)])
def test_sum_by_pairs(answers, k, steps):
    arrays = list(np.random.default_rng(0).standard_normal((k, 6), np.float32))
    before = np.copy(arrays)
    sums, sent, counted = answers.sum_by_pairs(arrays)
    np.testing.assert_array_equal(arrays, before, err_msg="the arrays were changed")
    np.testing.assert_allclose(sums, k * [before.sum(axis=0)], rtol=1e-5, atol=1e-6)
    assert all(np.array_equal(own, sums[0]) for own in sums), "not the same bits on all ranks"
    assert list(sent) == k * [steps * 24] and counted == steps


@pytest.mark.parametrize("net", [NET, replace(NET, fc_weights=1_000_000, pool5=500, fc=300)])
@pytest.mark.parametrize("k", [2, 8])
def test_break_even(answers, net, k):
    batch = answers.break_even(net.fc_weights, net.pool5, net.fc)
    assert batch == int(batch), "a number of images"

    def sent(scheme, images):
        return cost(scheme, net, Machine(1, 1, 0, images / k), k).sent

    assert sent("hybrid (c)", batch) <= sent("data", batch)
    assert sent("hybrid (c)", batch + 1) > sent("data", batch + 1)


@pytest.mark.parametrize(("flops", "latency"), [(1.4e12, 5e-6), (3e13, 5e-6), (3e13, 1e-3)])
@pytest.mark.parametrize("k", [1, 2, 64])
def test_efficiency(answers, flops, latency, k):
    machine = Machine(flops, 12e9, latency, 128)
    forward = machine.seconds(NET.work)
    found = answers.efficiency(forward, 2 * forward, 4 * NET.weights, k, 12e9, latency)
    expected = cost("data", NET, machine, k)
    assert found == pytest.approx(expected.work / expected.seconds)


@pytest.mark.parametrize(("step", "expected"), [(0, 0.01), (50, 0.045), (100, 0.08), (900, 0.08)])
def test_rate_at(answers, step, expected):
    assert answers.rate_at(step, 0.01, 8, 100) == pytest.approx(expected)
