"""The plan on paper: bytes by formula, and what limits the gain."""

from dataclasses import replace

import pytest
from plan import ONE_TOWER, SCHEMES, Machine, cost, hours, needed, network, speed_up

from minialex import models

pytestmark = pytest.mark.ch14

# Of 2012: the kernels of conv2, conv4 and conv5 see the maps of their own column.
COLUMNS = network([(11, 3, 96, 55), (5, 48, 256, 27), (3, 256, 384, 13), (3, 192, 384, 13),
                   (3, 192, 256, 13)])
K20 = Machine(flops=1.4e12, link=6e9, latency=5e-6, images=128)


def test_networks_are_what_they_say():
    net = models.AlexNet(("cpu:0", "cpu:1"))
    layers = {row.name: row for row in net.count()}
    convolutions = [row for row in layers.values() if row.name.startswith("conv")]
    dense = [row for row in layers.values() if row.name.startswith("fc")]
    assert COLUMNS.weights == 60_965_224 and COLUMNS.work == 724_406_816
    assert COLUMNS.conv_weights == sum(row.parameters for row in convolutions)
    assert COLUMNS.fc_weights == sum(row.parameters for row in dense)
    assert COLUMNS.conv_work == sum(row.multiply_accumulates for row in convolutions)
    assert COLUMNS.fc_work == sum(row.multiply_accumulates for row in dense)
    assert COLUMNS.fc8_work == layers["fc8"].multiply_accumulates
    assert COLUMNS.pool2 == 13 * 13 * layers["conv2"].output[2]
    assert COLUMNS.pool5 == 6 * 6 * layers["conv5"].output[2]
    assert COLUMNS.fc == layers["fc6"].output[0] == layers["fc7"].output[0]


def test_one_tower_is_counted_from_its_kernels():
    """Kernel rows and columns, channels, kernels, output rows and columns."""
    kernels = [(11, 3, 64, 55), (5, 64, 192, 27), (3, 192, 384, 13), (3, 384, 256, 13),
               (3, 256, 256, 13)]
    assert ONE_TOWER.conv_weights == sum(k * k * c * o + o for k, c, o, _ in kernels) == 2_469_696
    assert ONE_TOWER.conv_work == sum(k * k * c * o * side**2 for k, c, o, side in kernels)
    assert ONE_TOWER.weights == 61_100_840
    assert ONE_TOWER.pool2 == 13 * 13 * 192 and ONE_TOWER.pool5 == 6 * 6 * 256


@pytest.mark.parametrize(("workers", "data", "gradients", "pool5", "halves"), [
    (2, 244.4, 9.9, 4.7, 8.4), (4, 366.6, 14.8, 14.2, 25.2), (8, 427.7, 17.3, 33.0, 58.7)])
def test_bytes_are_those_of_the_schemes(workers, data, gradients, pool5, halves):
    """Megabytes that a worker sends in a step with 128 images."""
    assert round(cost("data", ONE_TOWER, K20, workers).sent / 1e6, 1) == data
    exact = (8 * (workers - 1) / workers * ONE_TOWER.conv_weights, 4 * 128 * 9216 * (workers - 1),
             4 * 4 * 128 * 4096 * (workers - 1))
    assert [round(part / 1e6, 1) for part in exact] == [gradients, pool5, halves]
    for scheme in ("hybrid (b)", "hybrid (c)"):
        assert cost(scheme, ONE_TOWER, K20, workers).sent == exact[0] + 2 * exact[1] + exact[2]


def test_columns_send_what_crosses_between_the_two_of_2012():
    """30,015,488 bytes forward, and as many back, from both workers together."""
    half = replace(K20, images=64)
    assert 2 * cost("columns", COLUMNS, half, 2).sent == 2 * 30_015_488


@pytest.mark.parametrize("scheme", SCHEMES)
def test_one_worker_sends_nothing(scheme):
    sent, seconds, work = cost(scheme, ONE_TOWER, K20, 1)
    assert sent == 0 and seconds == pytest.approx(work)
    assert work == pytest.approx(6 * ONE_TOWER.work * 128 / 1.4e12)
    assert speed_up(scheme, ONE_TOWER, K20, 1) == 1


@pytest.mark.parametrize("scheme", SCHEMES)
def test_slower_links_never_help(scheme):
    slow, late = replace(K20, link=6e6), replace(K20, latency=1.0)
    for workers in (2, 8, 64):
        as_is = cost(scheme, ONE_TOWER, K20, workers).seconds
        assert cost(scheme, ONE_TOWER, slow, workers).seconds > as_is
        assert cost(scheme, ONE_TOWER, late, workers).seconds > as_is


def test_fixed_batch_is_shared_out():
    """With 128 images in all, every worker has fewer, and the same gradients to send."""
    machine = replace(K20, batch=128)
    assert cost("data", ONE_TOWER, machine, 4).sent == cost("data", ONE_TOWER, K20, 4).sent
    assert cost("data", ONE_TOWER, machine, 4).work == cost("data", ONE_TOWER, K20, 4).work / 4
    alone = cost("data", ONE_TOWER, machine, 1).seconds
    summing = cost("data", ONE_TOWER, machine, 128).sent / machine.link
    assert speed_up("data", ONE_TOWER, machine, 128) < alone / summing < 5
    assert speed_up("data", ONE_TOWER, K20, 128) > 64


def test_needed_is_the_smallest_number():
    workers = needed("data", ONE_TOWER, K20, within=1)
    assert hours("data", ONE_TOWER, K20, workers) <= 1 < hours("data", ONE_TOWER, K20, workers - 1)
    assert needed("data", ONE_TOWER, K20, within=100) == 1
    assert needed("hybrid (b)", ONE_TOWER, K20, within=1) is None

