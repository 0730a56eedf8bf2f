"""The two networks: every number of the paper, and two columns that are one network."""

import functools
import hashlib
import inspect
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from minialex import Tensor, backend, models, ops, optim
from minialex.models import alexnet
from minialex.tensor import Node

pytestmark = pytest.mark.ch09

CONVOLUTIONS = ["conv1", "conv2", "conv3", "conv4", "conv5"]
LAYERS = [*CONVOLUTIONS, "fc6", "fc7"]  # of a column; fc8 belongs to the whole

# Both columns together: parameters, multiply-accumulates for one image, output numbers.
PAPER = {
    "conv1": (34_944, 105_415_200, 290_400),
    "conv2": (307_456, 223_948_800, 186_624),
    "conv3": (885_120, 149_520_384, 64_896),
    "conv4": (663_936, 112_140_288, 64_896),
    "conv5": (442_624, 74_760_192, 43_264),
    "fc6": (37_752_832, 37_748_736, 4_096),
    "fc7": (16_781_312, 16_777_216, 4_096),
    "fc8": (4_097_000, 4_096_000, 1_000),
}

# What one column sends to the other at batch 128, in the order of the forward pass. The last one
# travels in one direction only: fc8 lies on the first device.
CROSSINGS = {"into conv3": 11_075_584, "into fc6": 2_359_296, "into fc7": 1_048_576,
             "into fc8": 1_048_576}


def small(devices, **options):
    """28x28 grey images, a sixteenth of the kernels; small weights would leave nothing to see."""
    options = {"classes": 10, "image_size": 28, "channels": 1, "width": 1 / 16, "init": "he",
               "seed": 3, **options}
    return models.AlexNet(devices, **options)


def batch(rng, n=4, image_size=28, channels=1):
    """Images and labels, as the data loader gives them."""
    images = rng.standard_normal((n, image_size, image_size, channels), np.float32)
    return images, rng.integers(0, 10, n)


def parameters_of(module):
    return sum(p.size for p in module.parameters())


def tape(result):
    """The nodes below a result, each once, the last op first."""
    nodes, stack = {}, [result.node]
    while stack:
        node = stack.pop()
        if id(node) not in nodes:
            nodes[id(node)] = node
            stack.extend(parent for parent in node.parents if isinstance(parent, Node))
    return list(nodes.values())


# Full size: every number of the paper


class FullStep(NamedTuple):
    """One forward and backward pass of the network of 2012, and what was seen of it."""

    net: models.AlexNet
    weighted: list  # (op, output shape for one image, weight shape) of conv2d and linear
    transfers: list


@functools.cache
def full_step(devices, n=1):
    net = models.AlexNet(devices)
    with backend.record_transfers() as log:
        logits = net(np.random.default_rng(0).standard_normal((n, 227, 227, 3), np.float32))
        weighted = [(node.name, node.shape[1:], node.parents[1].shape)
                    for node in tape(logits) if node.name in ("conv2d", "linear")]
        ops.softmax_cross_entropy(logits, np.zeros(n, int)).backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad()
    return FullStep(net, weighted, log)


@pytest.fixture
def full(devices):
    return full_step(devices)


@pytest.fixture(scope="module", autouse=True)
def forget_full_step():
    """A quarter of a gigabyte of weights."""
    yield
    full_step.cache_clear()


def test_parameters_of_alexnet(full):
    found = {name: sum(parameters_of(getattr(column, name)) for column in full.net.columns)
             for name in LAYERS}
    found["fc8"] = parameters_of(full.net.fc8)
    assert found == {name: row[0] for name, row in PAPER.items()}
    assert [parameters_of(column) for column in full.net.columns] == [28_434_112, 28_434_112]
    assert parameters_of(full.net) == 60_965_224


def test_count_agrees_with_the_paper(full):
    rows = {row.name: row for row in full.net.count()}
    assert {name: (row.parameters, row.multiply_accumulates, math.prod(row.output))
            for name, row in rows.items()} == PAPER
    assert sum(row.multiply_accumulates for row in rows.values()) == 724_406_816
    assert sum(math.prod(rows[name].output) for name in CONVOLUTIONS) == 650_080
    assert [rows[name].output for name in ("conv1", "conv2", "conv5", "fc6")] == [
        (55, 55, 96), (27, 27, 256), (13, 13, 256), (4096,)]


def test_tape_agrees_with_the_paper(full):
    """Counted from what was computed: a kernel is applied once for each output position."""
    multiply_accumulates = outputs = 0
    for op, output, weight in full.weighted:
        positions = output[0] * output[1] if op == "conv2d" else 1
        multiply_accumulates += positions * math.prod(weight)
        outputs += math.prod(output) * (op == "conv2d")
    assert [op for op, _, _ in full.weighted].count("conv2d") == 10
    assert multiply_accumulates == 724_406_816
    assert outputs == 650_080


def test_what_crosses_between_the_columns(full, devices):
    """At batch 128: 30,015,488 bytes forward and as many backward; here for one image."""
    first, second = devices
    if first == second:
        assert not full.transfers
        return
    forward, backward = full.transfers[:7], full.transfers[7:]
    there_and_back = [(second, first), (first, second)]
    assert [(t.source, t.destination, 128 * t.bytes, t.label) for t in forward] == [
        (*way, size, label) for label, size in CROSSINGS.items()
        for way in there_and_back[: 1 if label == "into fc8" else 2]]
    # Backward, each gradient takes the opposite way, the last crossing first.
    assert [t.label for t in backward] == [f"{t.label}, gradient" for t in forward[::-1]]
    assert sorted((t.destination, t.source, t.bytes, t.shape, t.label) for t in backward) == sorted(
        (t.source, t.destination, t.bytes, t.shape, f"{t.label}, gradient") for t in forward)
    assert 128 * sum(t.bytes for t in forward) == 30_015_488
    assert 128 * sum(t.bytes for t in backward) == 30_015_488


@pytest.mark.ch08
def test_bytes_are_in_proportion_to_the_batch(devices, rng):
    if devices[0] == devices[1]:
        pytest.skip("needs two different devices")
    sent = {}
    for n in 1, 3:
        images, labels = batch(rng, n)
        with backend.record_transfers() as log:
            ops.softmax_cross_entropy(small(devices)(images), labels).backward()
        sent[n] = [t.bytes for t in log]
    assert len(sent[1]) == 14
    assert sent[3] == [3 * size for size in sent[1]]


@pytest.mark.ch07
def test_parameters_of_lenet(device, rng):
    net = models.LeNet5(device=device)
    assert {name: parameters_of(getattr(net, name)) for name in ("c1", "c3", "c5", "f6", "output")
            } == {"c1": 156, "c3": 2_416, "c5": 48_120, "f6": 10_164, "output": 850}
    assert parameters_of(net) == 61_706
    logits = net(Tensor(rng.standard_normal((2, 28, 28, 1), np.float32), device))
    assert logits.shape == (2, 10) and logits.device == device
    ops.sum(logits).backward()
    assert all(p.grad is not None for p in net.parameters())


# Two columns are one network


class Run(NamedTuple):
    """What one training step computes, on the host."""

    loss: np.ndarray
    gradients: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]


def train_once(net, images, labels):
    loss = ops.softmax_cross_entropy(net(images), labels)
    loss.backward()
    gradients = {name: p.grad.numpy() for name, p in net.named_parameters().items()}
    optim.SGD(net.parameters()).step()
    return Run(loss.numpy(), gradients, net.state())


def assert_same_bits(one, other):
    np.testing.assert_array_equal(one.loss, other.loss)
    for a, b in (one.gradients, other.gradients), (one.weights, other.weights):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.mark.ch08
@pytest.mark.parametrize("image_size", [28, 67], ids=["small images", "kernels of 2012"])
def test_two_devices_compute_what_one_computes(same_kind, rng, image_size):
    """Bit for bit, dropout included: loss, all gradients, all weights after a step."""
    first, second = same_kind
    images, labels = batch(rng, image_size=image_size)
    runs = [train_once(small(pair, image_size=image_size), images, labels)
            for pair in [(first, second), (first, first), (second, second)]]
    assert_same_bits(runs[0], runs[1])
    assert_same_bits(runs[0], runs[2])
    assert all(gradient.any() for gradient in runs[0].gradients.values()), "nothing to compare"


@pytest.mark.ch08
def test_forgetting_the_remote_gradient_is_noticed(same_kind, rng, monkeypatch):
    """Negative control: a column that trains as if the other one learnt nothing from it."""
    images, labels = batch(rng)
    whole = train_once(small(same_kind), images, labels)

    def exchange(a, b, label=""):
        return (ops.concat(a, ops.transfer(b.detach(), a.device)),
                ops.concat(ops.transfer(a.detach(), b.device), b))

    monkeypatch.setattr(alexnet, "exchange", exchange)
    cut = train_once(small(same_kind), images, labels)
    np.testing.assert_array_equal(cut.loss, whole.loss)  # it cannot be seen in the values
    with pytest.raises(AssertionError, match="Arrays are not equal"):
        assert_same_bits(cut, whole)


def joined(column_a, column_b, name):
    """A layer of both columns as one: kernels and biases side by side, on the first device."""
    layers = getattr(column_a, name), getattr(column_b, name)
    return [Tensor(np.concatenate([p.numpy() for p in pair], axis=-1), layers[0].weight.device,
                   requires_grad=True)
            for pair in [(layer.weight for layer in layers), (layer.bias for layer in layers)]]


def one_grouped_column(weights, images, like):
    """The network of two columns as one: groups in conv2, conv4, conv5; LRN on each half."""
    def conv(x, name, groups=1):
        layer = getattr(like, name)
        return ops.relu(ops.conv2d(
            x, *weights[name], stride=layer.stride, pad=layer.pad, groups=groups))

    def pool(x):
        return ops.max_pool2d(x, size=3, stride=2)

    def norm_halves(x):
        half = x.shape[-1] // 2
        return ops.concat(ops.local_response_norm(ops.take_channels(x, 0, half)),
                          ops.local_response_norm(ops.take_channels(x, half, 2 * half)))

    def drop(x):
        return x * 0.5  # as in evaluation

    x = pool(norm_halves(conv(images, "conv1")))
    x = pool(norm_halves(conv(x, "conv2", groups=2)))
    x = conv(conv(x, "conv3"), "conv4", groups=2)
    x = pool(conv(x, "conv5", groups=2))
    for name in "fc6", "fc7":
        x = drop(ops.relu(ops.linear(ops.flatten(x), *weights[name])))
    return ops.linear(x, *weights["fc8"])


@pytest.mark.ch08
@pytest.mark.parametrize("image_size", [28, 67], ids=["small images", "kernels of 2012"])
def test_two_columns_equal_one_grouped_column(devices, rng, image_size):
    images, labels = batch(rng, image_size=image_size)
    net = small(devices, image_size=image_size).eval()
    logits = net(images)
    ops.softmax_cross_entropy(logits, labels).backward()

    a, b = net.columns
    weights = {name: joined(a, b, name) for name in LAYERS}
    weights["fc8"] = [Tensor(p.numpy(), devices[0], requires_grad=True)
                      for p in (net.fc8.weight, net.fc8.bias)]
    expected = one_grouped_column(weights, Tensor(images, devices[0]), like=a)
    ops.softmax_cross_entropy(expected, labels).backward()

    def assert_close(actual, desired, name):
        scale = np.abs(desired).max()
        np.testing.assert_allclose(actual / scale, desired / scale, atol=1e-5, err_msg=name)
        assert scale > 0, f"{name}: nothing to compare"

    assert_close(logits.numpy(), expected.numpy(), "logits")
    for name in LAYERS:
        for kind, one in zip(("weight", "bias"), weights[name], strict=True):
            halves = [getattr(getattr(column, name), kind).grad.numpy() for column in (a, b)]
            assert_close(np.concatenate(halves, axis=-1), one.grad.numpy(), f"{name}.{kind}")
    assert_close(net.fc8.weight.grad.numpy(), weights["fc8"][0].grad.numpy(), "fc8.weight")


def test_every_gradient_is_the_derivative(devices, rng):
    """Along a random direction in each parameter and in the images, which both columns see.

    In float64, through dropout and transfers.
    """
    images, labels = batch(rng)
    net = small(devices)
    x = Tensor(images.astype(np.float64), devices[0], requires_grad=True)
    for p in net.parameters():
        # Larger biases: otherwise some ReLUs would be too close to their kink.
        p.data = p.device.asarray(p.numpy() + 0.1 * rng.standard_normal(p.shape), np.float64)

    def loss():
        for column in net.columns:  # the same masks each time
            column.drop6.rng, column.drop7.rng = np.random.default_rng(6), np.random.default_rng(7)
        return ops.softmax_cross_entropy(net(x), labels)

    loss().backward()
    for name, p in {**net.named_parameters(), "images": x}.items():
        start, direction = p.numpy(), rng.standard_normal(p.shape)
        direction *= 1e-5 / np.linalg.norm(direction)
        sides = []
        for sign in +1, -1:
            p.data = p.device.asarray(start + sign * direction)
            sides.append(loss().item())
        p.data = p.device.asarray(start)
        np.testing.assert_allclose((p.grad.numpy() * direction).sum(), (sides[0] - sides[1]) / 2,
                                   rtol=1e-4, err_msg=name)


@pytest.mark.ch06
def test_dropout_masks_fc6_and_fc7_of_each_column_in_training(devices, rng):
    images, _ = batch(rng)
    net = small(devices)
    masked = [node.shape for node in tape(net(images)) if node.name == "dropout"]
    assert masked == 4 * [(4, 128)]
    assert "dropout" not in {node.name for node in tape(net.eval()(images))}


# Input


def tiny(image_size):
    """The geometry of 2012 with one or two kernels a layer."""
    return models.AlexNet(("cpu:0", "cpu:1"), classes=10, image_size=image_size, width=1 / 64)


def test_224_is_227_with_zeros_at_the_bottom_and_on_the_right(rng):
    """The source of 2012 rounded the output size up, where the paper's figure says 224."""
    images = rng.standard_normal((2, 224, 224, 3), np.float32)
    padded = np.pad(images, ((0, 0), (0, 3), (0, 3), (0, 0)))
    a, b = tiny(224).eval()(images), tiny(227).eval()(padded)
    for logits in a, b:
        sides = [node.shape[1:3] for node in tape(logits) if node.name == "conv2d"]
        assert sides.count((55, 55)) == 2
    np.testing.assert_array_equal(a.numpy(), b.numpy())
    shifted = np.pad(images, ((0, 0), (3, 0), (3, 0), (0, 0)))
    assert (tiny(227).eval()(shifted).numpy() != b.numpy()).any(), "negative control"


@pytest.mark.parametrize("image_size", [19, 66, 67, 68, 70, 256])
def test_count_agrees_with_the_tape_at_every_size(rng, image_size):
    net = tiny(image_size)
    nodes = tape(net(rng.standard_normal((1, image_size, image_size, 3), np.float32)))
    outputs = [node.shape[1:] for node in nodes if node.name == "conv2d"]
    for row in net.count():
        if row.name in CONVOLUTIONS:
            height, width, maps = row.output
            assert (height, width, maps // 2) in outputs
    assert sum(row.parameters for row in net.count()) == parameters_of(net)
    expected = sum(math.prod(node.parents[1].shape) * math.prod(node.shape[1:-1])
                   for node in nodes if node.name in ("conv2d", "linear"))
    assert sum(row.multiply_accumulates for row in net.count()) == expected


def test_host_arrays_and_tensors_are_the_same_images(devices, rng):
    """From the host each column gets its copy; that is no transfer between devices."""
    images, _ = batch(rng)
    net = small(devices).eval()
    with backend.record_transfers() as log:
        expected = net(images).numpy()
        for device in devices:
            np.testing.assert_array_equal(net(Tensor(images, device)).numpy(), expected)
    assert "images" not in {t.label for t in log}


@pytest.mark.parametrize("shape", [
    (2, 28, 27, 1), (2, 27, 28, 1), (2, 28, 28, 3), (28, 28, 1), (0, 28, 28, 1),
])
@pytest.mark.parametrize("make", [np.asarray, lambda array: Tensor(array, "cpu:0")],
                         ids=["host", "tensor"])
def test_images_of_another_shape(devices, make, shape):
    message = rf"AlexNet: images has shape \({', '.join(map(str, shape))}\); .*\(N, 28, 28, 1\)"
    with pytest.raises(ValueError, match=message):
        small(devices)(make(np.zeros(shape, np.float32)))


@pytest.mark.parametrize(("options", "message"), [
    ({"devices": "cpu:0"}, r"AlexNet: devices is 'cpu:0'; name one for each of the two columns"),
    ({"devices": ("cpu:0",)}, r"AlexNet: devices is \('cpu:0',\); name one for each"),
    ({"devices": ("cpu:0", "cpu:1", "cpu:2")}, r"AlexNet: devices is .*name one for each"),
    ({"devices": ("cpu:0", "tpu:1")}, r"unknown device 'tpu:1'"),
    ({"devices": None}, r"AlexNet: devices is None; name one for each"),
    ({"devices": 2}, r"AlexNet: devices is 2; name one for each"),
    ({"image_size": 18}, r"AlexNet: image_size is 18; .*poolings need 19"),
    ({"init": "xavier"}, r"AlexNet: init is 'xavier'; use 'run145', 'paper' or 'he'"),
    ({"image_size": 28.5}, r"AlexNet: image_size is 28.5; .*whole number"),
    ({"width": 0}, r"AlexNet: width is 0; .*more than 0"),
    ({"width": math.inf}, r"AlexNet: width is inf; .*finite"),
    ({"seed": -1}, r"rng is -1; give .* a seed"),
    ({"classes": 0}, r"Linear: .*weight .*\(\d+, 0\)"),
    ({"channels": 0}, r"Conv2d: in_channels is 0; .*at least 1"),
])
def test_options_that_make_no_network(options, message):
    with pytest.raises(ValueError, match=message):
        small(**{"devices": ("cpu:0", "cpu:1"), **options})


# The table


@pytest.mark.parametrize("name", models.MODELS)
def test_table_builds_what_it_says(name, rng):
    info = models.MODELS[name]
    assert info.name == name
    for channels in info.channels:
        net = models.build(name, ["cpu:0", "cpu:1"], channels=channels, width=(
            1 / 64 if "width" in info.options else None))
        side = info.image_size
        scores = net.eval()(rng.standard_normal((1, side, side, channels), np.float32))
        assert scores.shape == (1, info.classes)
        assert len({p.device.name for p in net.parameters()}) == info.columns
    assert len({p.device.name for p in models.build(
        name, ["cpu:1"], image_size=info.image_size, init=info.init, **(
            {"width": 1 / 64} if "width" in info.options else {})).parameters()}) == 1


def test_table_has_the_sizes_of_the_papers():
    alexnet, lenet = models.MODELS["alexnet"], models.MODELS["lenet5"]
    assert (alexnet.year, alexnet.classes, alexnet.columns, alexnet.width) == (2012, 1000, 2, 1)
    assert (lenet.year, lenet.classes, lenet.columns, lenet.channels) == (1998, 10, 1, (1,))
    assert parameters_of(models.build("lenet5", ["cpu:0"])) == 61_706


def test_built_by_name_or_by_class_is_the_same(devices):
    built = models.build("alexnet-small", devices, channels=1, width=1 / 16, seed=3).state()
    expected = small(devices).state()
    assert built.keys() == expected.keys()
    for name, array in built.items():
        np.testing.assert_array_equal(array, expected[name])


@pytest.mark.parametrize(("name", "options", "message"), [
    ("alexnet-smal", {}, r"no model 'alexnet-smal'; use one of alexnet-small, alexnet, lenet5"),
    ("lenet5", {"channels": 3}, r"lenet5: channels is 3; it can see images of 1"),
    ("alexnet-small", {"channels": 2}, r"alexnet-small: channels is 2; .* 1 or 3"),
    ("lenet5", {"width": 0.5}, r"lenet5: width is 0.5, but is always 1.0"),
    ("lenet5", {"init": "paper"}, r"lenet5: init is 'paper', but is always 'he'"),
    ("alexnet-small", {"norm": "caffe"}, r"alexnet-small: norm is 'caffe', but is always 'paper'"),
    ("alexnet", {"norm": "run145"}, r"AlexNet: norm is 'run145'; use 'paper' or 'caffe'"),
    ("alexnet-small", {"image_size": 32}, r"alexnet-small: image_size is 32, .* always 28"),
])
def test_what_a_model_cannot_be(name, options, message):
    with pytest.raises(ValueError, match=message):
        models.build(name, ["cpu:0"], **options)


@pytest.mark.parametrize(("make", "names"), [
    (models.AlexNet, ["devices", "classes", "image_size", "channels", "width", "init", "seed",
                      "norm"]),
    (models.LeNet5, ["classes", "seed", "device"])])
def test_signature_of_a_model_is_what_the_user_passes(make, names):
    assert list(inspect.signature(make).parameters) == names
    with pytest.raises(TypeError, match=rf"{make.__name__}: .*'wide'; call .*classes.*seed"):
        make(wide=2)


def test_print_shows_alexnet_in_100_columns(full, devices):
    lines = repr(full.net).splitlines()
    assert max(map(len, lines)) <= 100
    assert len(lines) == 1 + 2 * (1 + 11) + 1, "the network, two columns of eleven layers, and fc8"
    assert lines[0].split()[:2] == ["AlexNet", "60,965,224"]
    assert all(device in lines[0] for device in devices)
    shown = {line.split(":")[0]: line for line in lines[1:]}
    for path, layer in full.net.named_modules():
        if hasattr(layer, "weight"):
            assert f"{layer.weight.shape} " in shown[path]
            assert shown[path].endswith(f"{parameters_of(layer):,}  {layer.weight.device}")


# First weights


def he(weight):
    return math.sqrt(2 / math.prod(weight.shape[:-1]))


@pytest.mark.parametrize(("init", "std", "bias"), [
    ("run145", {"conv3": 0.03, "conv4": 0.03, "conv5": 0.03},
     {"conv2": 1, "conv4": 1, "conv5": 1, "fc6": 1, "fc7": 1}),
    ("paper", {}, {"conv2": 1, "conv4": 1, "conv5": 1, "fc6": 1, "fc7": 1}),
    ("he", None, {}),
])
def test_first_weights(devices, init, std, bias):
    """std: where it is not 0.01; None: by He et al. bias: where it is not 0."""
    net = models.AlexNet(devices, width=1 / 4, image_size=67, init=init)
    layers = [(name, getattr(column, name)) for column in net.columns for name in LAYERS]
    for name, layer in [*layers, ("fc8", net.fc8)]:
        weight = layer.weight.numpy()
        expected = he(weight) if std is None else std.get(name, 0.01)
        assert abs(weight.std() / expected - 1) < 0.06, name  # conv1 has 4,356 weights
        assert abs(weight.mean()) < 0.06 * expected, name
        assert (layer.bias.numpy() == bias.get(name, 0)).all(), name


def test_columns_start_from_different_weights(devices):
    a, b = small(devices).columns
    for name in LAYERS:
        assert (getattr(a, name).weight.numpy() != getattr(b, name).weight.numpy()).all(), name


# One seed, one run


def fingerprint(devices, seed):
    """A checksum of all weights after two training steps, dropout included."""
    net, rng = small(devices, seed=seed), np.random.default_rng(seed)
    optimizer = optim.SGD(net.parameters())
    for _ in range(2):
        images, labels = batch(rng)
        optimizer.zero_grad()
        ops.softmax_cross_entropy(net(images), labels).backward()
        optimizer.step()
    digest = hashlib.sha256()
    for weights in net.state().values():
        digest.update(weights.tobytes())
    return digest.hexdigest()


def test_one_seed_gives_the_same_bits_twice(devices):
    assert fingerprint(devices, seed=1) == fingerprint(devices, seed=1)
    assert fingerprint(devices, seed=1) != fingerprint(devices, seed=2), "negative control"


def test_one_seed_gives_the_same_bits_in_two_processes():
    """Another process has other hashes and addresses. On the CPU: it may see no GPU."""
    devices = "cpu:0", "cpu:1"
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", f"import test_models as t; print(t.fingerprint({devices}, 1))"],
        env={**os.environ, "PYTHONPATH": f"{here}:{here.parent}", "PYTHONHASHSEED": "17"},
        capture_output=True, text=True)
    assert done.stdout.strip() == fingerprint(devices, seed=1), done.stderr
