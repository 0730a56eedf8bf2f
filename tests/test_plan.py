"""The plan on paper: bytes by formula, hours as they were published, and what limits it."""

import json
import re
from dataclasses import replace

import pytest

from minialex import models
from minialex.tools.plan import MODELS, SCHEMES, Machine, best, cost, hours, needed, speed_up

pytestmark = pytest.mark.ch14

TOWER, COLUMNS = MODELS["one-tower"], MODELS["two-columns"]
K20 = Machine(flops=1.4e12, link=6e9, latency=5e-6, images=128)

# Hours of 90 epochs with scheme (b), by workers (Krizhevsky 2014, table 1).
PUBLISHED = {1: 98.05, 2: 50.24, 4: 26.20, 8: 15.68}


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
    assert TOWER.conv_weights == sum(k * k * c * o + o for k, c, o, _ in kernels) == 2_469_696
    assert TOWER.conv_work == sum(k * k * c * o * side**2 for k, c, o, side in kernels)
    assert TOWER.weights == 61_100_840
    assert TOWER.pool2 == 13 * 13 * 192 and TOWER.pool5 == 6 * 6 * 256


@pytest.mark.parametrize(("workers", "data", "gradients", "pool5", "halves"), [
    (2, 244.4, 9.9, 4.7, 8.4), (4, 366.6, 14.8, 14.2, 25.2), (8, 427.7, 17.3, 33.0, 58.7)])
def test_bytes_are_those_of_the_schemes(workers, data, gradients, pool5, halves):
    """Megabytes that a worker sends in a step with 128 images."""
    assert round(cost("data", TOWER, K20, workers).sent / 1e6, 1) == data
    exact = (8 * (workers - 1) / workers * TOWER.conv_weights, 4 * 128 * 9216 * (workers - 1),
             4 * 4 * 128 * 4096 * (workers - 1))
    assert [round(part / 1e6, 1) for part in exact] == [gradients, pool5, halves]
    for scheme in ("hybrid (b)", "hybrid (c)"):
        assert cost(scheme, TOWER, K20, workers).sent == exact[0] + 2 * exact[1] + exact[2]


def test_columns_send_what_crosses_between_the_two_of_2012():
    """30,015,488 bytes forward, and as many back, from both workers together."""
    half = replace(K20, images=64)
    assert 2 * cost("columns", COLUMNS, half, 2).sent == 2 * 30_015_488


@pytest.mark.parametrize("workers", PUBLISHED)
def test_hours_agree_with_the_published_ones(workers):
    assert hours("hybrid (b)", TOWER, K20, workers) == pytest.approx(PUBLISHED[workers], rel=0.15)


def test_agreement_can_fail():
    """Negative control: a plan in which sending costs nothing is not within 15 %."""
    free = replace(K20, link=1e30, latency=0)
    assert hours("hybrid (b)", TOWER, free, 8) != pytest.approx(PUBLISHED[8], rel=0.15)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_one_worker_sends_nothing(scheme):
    sent, seconds, work = cost(scheme, TOWER, K20, 1)
    assert sent == 0 and seconds == pytest.approx(work)
    assert work == pytest.approx(6 * TOWER.work * 128 / 1.4e12)
    assert speed_up(scheme, TOWER, K20, 1) == 1


@pytest.mark.parametrize("scheme", SCHEMES)
def test_slower_links_never_help(scheme):
    slow, late = replace(K20, link=6e6), replace(K20, latency=1.0)
    for workers in (2, 8, 64):
        as_is = cost(scheme, TOWER, K20, workers).seconds
        assert cost(scheme, TOWER, slow, workers).seconds > as_is
        assert cost(scheme, TOWER, late, workers).seconds > as_is


def test_fixed_batch_is_shared_out():
    """With 128 images in all, every worker has fewer, and the same gradients to send."""
    machine = replace(K20, batch=128)
    assert cost("data", TOWER, machine, 4).sent == cost("data", TOWER, K20, 4).sent
    assert cost("data", TOWER, machine, 4).work == cost("data", TOWER, K20, 4).work / 4
    assert best("data", TOWER, machine) < 128 < best("data", TOWER, K20)


def test_needed_is_the_smallest_number():
    workers = needed("data", TOWER, K20, within=1)
    assert hours("data", TOWER, K20, workers) <= 1 < hours("data", TOWER, K20, workers - 1)
    assert needed("data", TOWER, K20, within=100) == 1
    assert needed("hybrid (b)", TOWER, K20, within=1) is None


# The command


def test_table_says_what_it_assumes(minialex):
    result = minialex("plan", "--workers", "1,2")
    assert result.code == 0
    for text in ("61,100,840 weights", "1.4e+12 FLOP/s", "link 6e+09", "hybrid (c)",
                 "ImageNet in an hour: 99 workers"):
        assert text in result.out
    assert re.search(r"^ +2 +256 +244.4 ", result.out, re.MULTILINE)
    assert max(map(len, result.out.splitlines())) <= 60


def test_json_and_picture(minialex, tmp_path):
    picture = tmp_path / "plan.png"
    code, out, _ = minialex("plan", "--workers", "1..8", "--model", "two-columns", "--link", 12e9,
                            "--json", "--plot", picture)
    result = json.loads(out)
    assert code == 0 and picture.read_bytes().startswith(b"\x89PNG")
    assert result["machine"]["link"] == 12e9
    rows = result["schemes"]["data"]["rows"]
    assert [row["workers"] for row in rows] == [1, 2, 4, 8]
    assert rows[1]["bytes"] == 4 * 60_965_224
    assert result["schemes"].keys() == SCHEMES.keys()


def test_batch_that_cannot_be_shared_out(minialex):
    code, out, err = minialex("plan", "--workers", "1,64", "--batch", 32)
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert "--batch 32: give at least one image to each of 64" in err


@pytest.mark.parametrize("text", ["", "0", "1,x", "..", "1..", "1..2..3", "8..1", "-2", "9999999"])
def test_senseless_workers_are_refused(minialex, text):
    code, out, err = minialex("plan", f"--workers={text}")
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert f"--workers {text}: give numbers from 1 to 1,048,576, as in 1,2,8 or 1..1024" in err
