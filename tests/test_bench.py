"""`minialex bench`: what it counts. What it times is not tested, but that it is there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from minialex import models
from minialex.tools import cli

pytestmark = pytest.mark.ch09
ROOT = Path(__file__).resolve().parents[1]
SMALL = ("bench", "--model", "alexnet-small", "--batch", "4", "--steps", "1")


@pytest.fixture
def figures(capsys, devices):
    assert cli.main([*SMALL, "--devices", ",".join(devices), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_every_layer_is_there_in_the_order_of_the_forward_pass(figures):
    names = [layer["name"] for layer in figures["layers"]]
    assert names == ["conv1", "norm.1", "pool.1", "conv2", "norm.2", "pool.2", "conv3", "conv4",
                     "conv5", "pool.3", "fc6", "drop6", "fc7", "drop7", "fc8"]


def test_arithmetic_is_that_of_the_network(figures):
    net = models.AlexNet(("cpu:0", "cpu:0"), classes=10, image_size=28, channels=1, width=0.25)
    found = {layer["name"]: layer for layer in figures["layers"]}
    for row in net.count():
        expected = 2e-9 * 4 * row.multiply_accumulates  # four images, both columns
        assert found[row.name]["gflop"] == pytest.approx(expected)
        ways = 1 if row.name == "conv1" else 2  # nobody asks for the gradient of the image
        assert found[row.name]["backward_gflop"] == pytest.approx(ways * expected)
    assert found["norm.1"]["gflop"] == 0


def test_sizes_are_those_of_both_columns_as_the_times_are(figures):
    net = models.AlexNet(("cpu:0", "cpu:0"), classes=10, image_size=28, channels=1, width=0.25)
    found = {layer["name"]: tuple(layer["output"]) for layer in figures["layers"]}
    for row in net.count():
        assert found[row.name] == row.output


def test_memory_is_that_of_the_step_and_of_nothing_else(tmp_path):
    """LeNet-5 has 61,706 weights: a step with four images takes some MiB at most. In a process of
    its own, because the peak is that of a process."""
    done = subprocess.run(
        [sys.executable, "-m", "minialex", "bench", "--model", "lenet5", "--batch", "4", "--steps",
         "1", "--devices", "cpu:0", "--json"], capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    weights = 4 * 61_706 / 2**20
    assert 3 * weights < json.loads(done.stdout)["peak_mib"]["cpu:0"] < 10


def test_times_speeds_and_memory_are_positive(figures, devices):
    times = [figures[f"{part}_ms"] for part in ("forward", "backward", "update", "step")]
    layers = [layer[f"{way}_ms"] for layer in figures["layers"] for way in ("forward", "backward")]
    speeds = [figures[name] for name in ("product_gflops", "copy_gb_per_s", "images_per_s")]
    assert min(times + layers + speeds) > 0
    assert figures["peak_mib"].keys() == set(devices) and min(figures["peak_mib"].values()) > 0


def test_roofline_is_drawn(capsys, devices, tmp_path):
    path = tmp_path / "roofline.png"
    assert cli.main([*SMALL, "--devices", ",".join(devices), "--plot", str(path)]) == 0
    with Image.open(path) as picture:
        assert picture.width > 300 and len(picture.convert("L").getcolors()) > 10
