"""Weights in and out. The oracle is onnxruntime on a graph that ONNX's own package made."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minialex import Tensor, models, nn, no_grad, ops, weights
from minialex.errors import FileError, InputTypeError, MinialexError, UsageError
from minialex.models.alexnet import normalize_across
from minialex.weights import WeightsError

onnx = pytest.importorskip("onnx", reason="needs onnx: pip install 'minialex[onnx]'")
pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'minialex[test]'")

from onnx import helper, numpy_helper  # noqa: E402
from onnx_graphs import computed, random_weights, zoo  # noqa: E402

NEAR = 1e-5  # of the largest number


def save(model, path):
    path.write_bytes(model.SerializeToString())
    return path


def photographs(rng, n=1, side=227):
    """Pixels in RGB, (N, H, W, C), with the mean taken off."""
    return (50 * rng.standard_normal((n, side, side, 3))).astype(np.float32)


def as_caffe(images):
    """(N, H, W, RGB) -> (N, BGR, H, W)."""
    return images[..., ::-1].transpose(0, 3, 1, 2)


def probabilities(net, images):
    with no_grad():
        return ops.softmax(net(images)).numpy()


def difference(a, b):
    """The largest, as a share of the largest number."""
    assert a.shape == b.shape
    return np.abs(a - b).max() / np.abs(b).max()


@pytest.fixture(scope="module")
def theirs():
    """A graph of the zoo, pixels, and every result of onnxruntime."""
    rng = np.random.default_rng(1)
    model, images = zoo(random_weights(rng)), photographs(rng)
    return model, images, computed(model, as_caffe(images), everything=True)


@pytest.fixture
def ours(theirs, devices, tmp_path):
    return weights.read_onnx(save(theirs[0], tmp_path / "zoo.onnx"), devices)


def test_zoo_is_the_real_graph():
    """ONNX's package brings the file of the zoo along, with its weights taken out."""
    light = Path(onnx.__file__).parent / "backend/test/data/light/light_bvlc_alexnet.onnx"
    if not light.is_file():
        pytest.skip(f"this onnx has no {light.name}")

    def outline(model):
        return [(node.op_type, list(node.input), list(node.output),
                 sorted((a.name, str(helper.get_attribute_value(a))) for a in node.attribute))
                for node in model.graph.node if node.op_type != "ConstantOfShape"]

    real, made = onnx.load(light), zoo(random_weights(np.random.default_rng(0)), side=224)
    assert outline(made) == outline(real)
    assert made.graph.input[0] == real.graph.input[0]


@pytest.mark.parametrize("opset", [7, 8, 9, 12, 13, 17, 22])
def test_reads_what_onnxruntime_computes(opset, rng, devices, tmp_path):
    model, images = zoo(random_weights(rng), opset, batch=2), photographs(rng, 2)
    net = weights.read_onnx(save(model, tmp_path / "a.onnx"), devices)
    expected = computed(model, as_caffe(images))
    assert 0.1 < expected.max() < 0.9, "neither flat nor saturated, so that it can tell"
    assert difference(probabilities(net, images), expected) < NEAR
    assert isinstance(net, models.AlexNet) and net.image_size == 227 and not net.training
    assert [str(column.device) for column in net.columns] == list(devices)


def test_layer_by_layer(theirs, ours):
    _, images, results = theirs
    seen = {}
    with nn.watch(ours, after=lambda path, layer, y: seen.setdefault(path, []).append(y)), \
            no_grad():
        scores = ours(images).numpy()

    def both(name, call=0):
        """What both columns made of it, in the order of theirs."""
        y = np.concatenate([seen[f"columns.{i}.{name}"][call].numpy() for i in (0, 1)], axis=-1)
        return y if y.ndim == 2 else y.transpose(0, 3, 1, 2)

    found = {"r0": both("conv1"), "r3": both("pool"), "r4": both("conv2"), "r7": both("pool", 1),
             "r8": both("conv3"), "r10": both("conv4"), "r12": both("conv5"),
             "r14": both("pool", 2), "r16": both("fc6"), "r20": both("fc7"), "r24": scores,
             "r18": 2 * both("drop6")}  # the rule of 2012 halves here
    for name, value in found.items():
        assert difference(value, results[name]) < NEAR, name


# Each of the traps: what a network is that fell into it.

def _set(net, name, change):
    """Change a parameter, given and returned as a host array."""
    state = net.state()
    state[name] = np.ascontiguousarray(change(state[name]))
    net.load_state(state)


def _joined(net, name, change):
    """Change what two columns hold together; outputs are last."""
    state, names = net.state(), [f"columns.{i}.{name}" for i in (0, 1)]
    changed = change(np.concatenate([state[name] for name in names], axis=-1))
    for name, half in zip(names, np.split(changed, 2, axis=-1), strict=True):
        state[name] = np.ascontiguousarray(half)
    net.load_state(state)


def _per_column(w):
    """(H, W, C) of both columns together -> first all of one column, then all of the other."""
    maps = w.reshape(6, 6, 2, -1, w.shape[1])
    return maps.transpose(2, 0, 1, 3, 4).reshape(w.shape)


TRAPS = {
    "blue and red": lambda net: _joined(net, "conv1.weight", lambda w: w[:, :, ::-1]),
    "rows and columns of a kernel":
        lambda net: _joined(net, "conv3.weight", lambda w: w.transpose(1, 0, 2, 3)),
    "rows and columns of a matrix": lambda net: _joined(net, "fc7.weight", lambda w: w.T),
    "flattened as (C, H, W)": lambda net: _joined(
        net, "fc6.weight",
        lambda w: w.reshape(6, 6, -1, w.shape[1]).transpose(2, 0, 1, 3).reshape(w.shape)),
    "flattened by column": lambda net: _joined(net, "fc6.weight", _per_column),
    "groups taken in turn": lambda net: _joined(
        net, "conv4.weight", lambda w: w[..., np.r_[: w.shape[3] : 2, 1 : w.shape[3] : 2]]),
    "one column's kernels permuted":
        lambda net: _set(net, "columns.1.conv4.weight", lambda w: np.roll(w, 1, axis=3)),
    "alpha not divided by 5":
        lambda net: [setattr(c.norm, "alpha", 1e-4) for c in net.columns],
    "k of the paper": lambda net: [setattr(c.norm, "k", 2.0) for c in net.columns],
    "each column normalized by itself": lambda net: setattr(net, "norm", "paper"),
    "dropout's factor, fc7": lambda net: _joined(net, "fc7.weight", lambda w: w / 2),
    "dropout's factor, fc8": lambda net: _set(net, "fc8.weight", lambda w: w / 2),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_a_network_in_a_trap_is_noticed(trap, theirs, ours):
    _, images, results = theirs
    assert difference(probabilities(ours, images), results["prob_1"]) < NEAR
    TRAPS[trap](ours)
    assert difference(probabilities(ours, images), results["prob_1"]) > 10 * NEAR


def test_224_is_another_alignment(rng, tmp_path):
    """The zoo's file says 224, its weights were trained on 227: ours take 227."""
    stored, images = random_weights(rng), photographs(rng)
    net = weights.read_onnx(save(zoo(stored, side=224), tmp_path / "a.onnx"))
    assert net.image_size == 227
    found = probabilities(net, images)
    assert difference(found, computed(zoo(stored, side=227), as_caffe(images))) < NEAR
    cut = as_caffe(images[:, :224, :224])
    assert difference(found, computed(zoo(stored, side=224), cut)) > 10 * NEAR, "negative control"


def test_normalize_across_is_one_tower(devices, rng):
    norm = nn.LocalResponseNorm(size=5, k=1.0, alpha=0.02, beta=0.75)
    x = rng.standard_normal((2, 3, 4, 6)) * 10
    upstream = rng.standard_normal(x.shape)
    whole = Tensor(x, devices[0], requires_grad=True)
    y = norm(whole)
    y.backward(Tensor(upstream, devices[0]))
    halves = [Tensor(half, device, requires_grad=True)
              for half, device in zip(np.split(x, 2, axis=-1), devices, strict=True)]
    a, b = normalize_across(norm, *halves)
    ops.concat(a, ops.transfer(b, devices[0])).backward(Tensor(upstream, devices[0]))
    np.testing.assert_allclose(np.concatenate([a.numpy(), b.numpy()], axis=-1), y.numpy(), 1e-12)
    gradients = [half.grad.numpy() for half in halves]
    np.testing.assert_allclose(np.concatenate(gradients, axis=-1), whole.grad.numpy(), 1e-10,
                               1e-12)
    apart = np.concatenate([norm(half).numpy() for half in halves], axis=-1)
    assert difference(apart, y.numpy()) > 1e-3, "negative control"


def test_a_network_with_caffes_norm_learns(devices, rng):
    net = models.AlexNet(devices, 3, width=0.05, init="he", norm="caffe")
    ops.softmax_cross_entropy(net(photographs(rng, 2)), np.array([0, 2])).backward()
    for name, parameter in net.named_parameters().items():
        assert np.abs(parameter.grad.numpy()).max() > 0, name


# Out


def test_out_again_gives_the_same_numbers(theirs, ours, tmp_path):
    _, images, results = theirs
    weights.write_onnx(ours, tmp_path / "out.onnx")
    written = onnx.load(tmp_path / "out.onnx")
    assert difference(computed(written, as_caffe(images)), results["prob_1"]) < NEAR
    stored = {t.name: numpy_helper.to_array(t) for t in written.graph.initializer}
    for tensor in theirs[0].graph.initializer:
        if tensor.name.endswith("_0"):  # to the bit: numbers are moved, doubled and halved
            name = tensor.name.replace("_w_0", ".weight").replace("_b_0", ".bias")
            np.testing.assert_array_equal(stored[name], numpy_helper.to_array(tensor))


SIZES = [dict(image_size=227), dict(image_size=224, classes=3), dict(image_size=67, width=0.1),
         dict(image_size=32, width=0.3), dict(image_size=28, channels=1, width=0.05)]


@pytest.mark.parametrize("norm", ["paper", "caffe"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: "-".join(map(str, size.values())))
def test_out_and_in(size, norm, rng, devices, tmp_path):
    net = models.AlexNet(devices, init="he", norm=norm, **{"width": 0.125, "classes": 7, **size})
    net.columns[0].conv2.bias.data[:] = 1.0
    _set(net, "fc8.weight", lambda w: 0.01 * w)
    weights.write_onnx(net.eval(), tmp_path / "a.onnx")
    onnx.checker.check_model(tmp_path / "a.onnx", full_check=True)
    model = onnx.load(tmp_path / "a.onnx")
    for n in (1, 3):  # any batch
        images = photographs(rng, n, net.image_size)[..., : net.channels]
        theirs = as_caffe(images) if norm == "caffe" else images.transpose(0, 3, 1, 2)
        assert difference(computed(model, theirs), probabilities(net, images)) < NEAR
    again = weights.read_onnx(tmp_path / "a.onnx", devices)
    assert (again.norm, again.image_size, again.channels) == (norm, net.image_size, net.channels)
    for name, array in net.state().items():
        np.testing.assert_array_equal(again.state()[name], array, name)
    weights.write_onnx(again, tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_lenet_out_and_in(rng, device, tmp_path):
    net = models.LeNet5(5, seed=3, device=device).eval()
    weights.write_onnx(net, tmp_path / "a.onnx")
    onnx.checker.check_model(tmp_path / "a.onnx", full_check=True)
    images = rng.standard_normal((3, 28, 28, 1), np.float32)
    found = computed(onnx.load(tmp_path / "a.onnx"), images.transpose(0, 3, 1, 2))
    assert difference(found, probabilities(net, images)) < NEAR
    again = weights.read_onnx(tmp_path / "a.onnx", (device, device))
    assert isinstance(again, models.LeNet5)
    for name, array in net.state().items():
        np.testing.assert_array_equal(again.state()[name], array, name)


def test_nothing_half_written(tmp_path, monkeypatch):
    path, net = tmp_path / "a.onnx", models.LeNet5(device="cpu:0")
    path.write_text("mine")

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(FileError, match="No space left"):
        patch.setattr(os, "fsync", full)
        weights.write_onnx(net, path)
    assert path.read_text() == "mine" and os.listdir(tmp_path) == ["a.onnx"]
    with pytest.raises(FileError, match="cannot be written"):
        weights.write_onnx(net, tmp_path / "no" / "a.onnx")
    with pytest.raises(InputTypeError, match="net is a Linear; it must be an AlexNet or a LeNet5"):
        weights.write_onnx(nn.Linear(2, 3), path)


def test_without_onnx(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    for call in (lambda: weights.read_onnx(tmp_path / "a.onnx"),
                 lambda: weights.write_onnx(models.LeNet5(device="cpu:0"), tmp_path / "a.onnx")):
        with pytest.raises(UsageError, match=r"pip install 'minialex\[onnx\]'"):
            call()
    loaded = subprocess.run(
        [sys.executable, "-c", "import minialex.weights, sys; print('onnx' in sys.modules)"],
        capture_output=True, text=True, check=True)
    assert loaded.stdout == "False\n", "onnx is loaded when it is needed"


# Bad files


def node(model, layer, op):
    """The node of this kind that comes first after the weights of this layer are used."""
    nodes = list(model.graph.node)
    start = next(i for i, n in enumerate(nodes) if f"{layer}_w_0" in n.input)
    return next(n for n in nodes[start:] if n.op_type == op)


def set_attribute(target, **changes):
    for name, value in changes.items():
        for old in [a for a in target.attribute if a.name == name]:
            target.attribute.remove(old)
        if value is not None:
            target.attribute.append(helper.make_attribute(name, value))


def attribute(layer, op, **changes):
    return lambda model: set_attribute(node(model, layer, op), **changes)


def store(name, change):
    def edit(model):
        tensor = next(t for t in model.graph.initializer if t.name == name)
        tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor)), name))
    return edit


def opset(number):
    return lambda model: setattr(model.opset_import[0], "version", number)


def caffenet(model):
    """Pooling before normalization."""
    nodes = model.graph.node
    for i in (2, 6):
        lrn, pool = nodes[i], nodes[i + 1]
        pool.input[0], lrn.input[0] = lrn.input[0], pool.output[0]
        nodes[i + 2].input[0] = lrn.output[0]
        first = type(lrn)()
        first.CopyFrom(lrn)
        lrn.CopyFrom(pool)
        pool.CopyFrom(first)


def drop_node(layer, op):
    def edit(model):
        gone = node(model, layer, op)
        for other in model.graph.node:
            for i, name in enumerate(other.input):
                if name == gone.output[0]:
                    other.input[i] = gone.input[0]
        model.graph.node.remove(gone)
    return edit


def rewire(model):
    """conv4 works on what conv2 made."""
    node(model, "conv4", "Conv").input[0] = node(model, "conv2", "MaxPool").output[0]


def quantize(model):
    model.graph.node.insert(0, helper.make_node("DequantizeLinear", ["a", "b"], ["conv1_w_1"]))


def one_tower(model):
    set_attribute(node(model, "conv2", "Conv"), group=1)
    store("conv2_w_0", lambda w: np.concatenate([w, w], axis=1))(model)


def foreign(model):
    node(model, "conv1", "Relu").domain = "com.example"


def local_function(model):
    model.functions.append(onnx.FunctionProto(name="Relu"))


def second_input(model):
    model.graph.input.append(helper.make_tensor_value_info("more", 1, [1]))


def wrong_length(model):
    next(t for t in model.graph.initializer if t.name == "fc7_w_0").raw_data = b"1234"


def unknown_type(model):
    next(t for t in model.graph.initializer if t.name == "fc7_w_0").data_type = 99


def three_gigabytes(model):
    """Numbers that are claimed and not there."""
    tensor = next(t for t in model.graph.initializer if t.name == "fc8_w_0")
    tensor.dims[0], tensor.raw_data = 3 * 2**30, b""


def not_a_number(array):
    return np.where(np.arange(array.size).reshape(array.shape) == 3, np.nan, array)


def image(*sizes):
    def edit(model):
        value = helper.make_tensor_value_info("data_0", 1, list(sizes))
        model.graph.input[0].CopyFrom(value)
    return edit


def undefined(model):
    node(model, "conv2", "Conv").attribute[0].type = 0


REFUSED = [
    (opset(3), r"opset 3 came; need 7 to 22; convert it"),
    (opset(99), r"opset 99 came; need 7 to 22"),
    (lambda model: model.ClearField("opset_import"), r"opset None came; need"),
    (caffenet, r"CaffeNet came, which pools before it normalizes"),
    (one_tower, r"node 5 \('Conv' to 'r4'\): 'group' is '1'; need 2 \(conv2\)"),
    (attribute("conv3", "Conv", group=2), r"node 9 .* 'group' is '2'; need 1 \(conv3\)"),
    (attribute("conv1", "Conv", strides=[2, 2]), r"'strides' is '\[2, 2\]'; need \[4, 4\]"),
    (attribute("conv1", "Conv", pads=[2, 2, 2, 2]), r"'pads' is .*; need \[0, 0, 0, 0\]"),
    (attribute("conv4", "Conv", dilations=[2, 2]), r"'dilations' is .*; need \[1, 1\] \(conv4\)"),
    (attribute("conv4", "Conv", auto_pad="SAME_UPPER"), r"'auto_pad' is .*SAME_UPPER"),
    (attribute("conv5", "Conv", pads=None), r"'pads' is '\[0, 0, 0, 0\]'; need \[1, 1, 1, 1\]"),
    (attribute("conv1", "LRN", bias=2.0), r"'bias' is '2.0'; need 1.0 \(norm1\)"),
    (attribute("conv2", "LRN", alpha=2e-5), r"'alpha' is .*; need 0.0001 \(norm2\)"),
    (attribute("conv2", "LRN", size=3), r"'size' is '3'; need 5"),
    (attribute("conv2", "LRN", beta=0.5), r"'beta' is '0.5'; need 0.75"),
    (attribute("conv1", "MaxPool", kernel_shape=[2, 2]), r"'kernel_shape' is .*\(pool1\)"),
    (attribute("conv1", "MaxPool", pads=[1, 1, 1, 1]), r"'pads' is .*\(pool1\)"),
    (attribute("conv1", "MaxPool", pads=[0, 0, 2, 2]), r"'pads' is .*\(pool1\)"),
    (attribute("conv1", "MaxPool", pads=[0, 0]), r"'pads' is .*\(pool1\)"),
    (attribute("conv1", "MaxPool", pads=3), r"'pads' is '3'"),
    (attribute("conv1", "MaxPool", ceil_mode="x"), r"'ceil_mode' is"),
    (attribute("fc6", "Gemm", alpha=0.5), r"'alpha' is '0.5'; need 1.0 \(fc6\)"),
    (attribute("fc6", "Gemm", transA=1), r"'transA' is '1'; need 0"),
    (attribute("fc6", "Dropout", ratio=0.3), r"'ratio' is .*; need 0.5 \(fc6\)"),
    (attribute("fc6", "Gemm", broadcast=1), r"'broadcast' is '1'; need None"),
    (undefined, r"'group' is 'None'; need 2"),
    (drop_node("conv1", "LRN"),
     r"node 3 \('MaxPool' to 'r3'\): 'MaxPool' came; need LRN \(norm1\)"),
    (drop_node("conv5", "Relu"), r"'MaxPool' came; need Relu \(conv5\)"),
    (drop_node("conv5", "Reshape"), r"'Gemm' came; need Flatten \(pool5\)"),
    (lambda model: model.graph.node.pop(), r"its output is 'prob_1'; need 'r24'"),
    (lambda model: [model.graph.node.pop() for _ in range(2)], r"'nothing more' came; need Gemm"),
    (lambda model: model.graph.node.append(helper.make_node("Relu", ["prob_1"], ["z"])),
     r"node 25 \('Relu' to 'z'\): it stands after the end"),
    (lambda model: node(model, "conv2", "Relu").__setattr__("op_type", "Sigm\noid"),
     r"'Sigm\\noid' came; need Relu"),
    (rewire, r"node 11 .*: it works on 'r7, conv4_w_0, conv4_b_0'; need what came before \('r9'\)"),
    (lambda model: node(model, "fc7", "Gemm").input.pop(), r"without weights or biases"),
    (lambda model: node(model, "conv3", "Relu").ClearField("output"), r"node 10 has no result"),
    (quantize, r"'DequantizeLinear' .*rounded to integers \(quantized\); need .* float32"),
    (foreign, r"operations of its own came"),
    (local_function, r"operations of its own came"),
    (second_input, r"2 inputs and 1 outputs came; need one of each"),
    (image(1, 3, 224, 227), r"its input 'data_0' has \[3, 224, 227\] behind the batch; need"),
    (image("N", 3, "H", "W"), r"has \[3, 0, 0\] behind the batch"),
    (image(1, 3, 10**9, 10**9), r"with a side from 19 to 1024"),
    (image(1, 3), r"has \[3\] behind the batch"),
    (image(1, 1, 227, 227),
     r"conv1.weight is FLOAT \(12, 3, 11, 11\); need FLOAT \(12, 1, 11, 11\)"),
    (image(1, 3, 128, 128), r"shape is \[1, 1152\]; need|fc6.weight is"),
    (store("OC2_DUMMY_1", lambda a: np.array([2, 576])),
     r"its new shape is \[2, 576\]; need \[N, "),
    (store("OC2_DUMMY_1", lambda a: np.array([1])), r"shape is INT64 \(1,\); need INT64 \(2,\)"),
    (store("conv2_w_0", lambda w: w[:, :-1]),
     r"conv2.weight is FLOAT .*; need FLOAT \(32, 6, 5, 5\)"),
    (store("conv3_w_0", lambda w: w[:-1]), r"its layers have \[12, 32, 47, .* one share of all"),
    (store("conv3_w_0", lambda w: w[:0]), r"conv3.weight is .*; need 4 sizes, none of them 0"),
    (store("conv3_w_0", lambda w: w[0]), r"conv3.weight is .*; need 4 sizes"),
    (store("conv4_w_0", lambda w: w[:-2]), r"its layers have \[12, 32, 48, 46, .*need \[96, 256"),
    (store("fc6_w_0", lambda w: w[:, :-1]), r"its new shape is|fc6.weight is FLOAT"),
    (store("fc7_b_0", lambda b: b[None]), r"fc7.bias is FLOAT \(1, 512\); need FLOAT \(512,\)"),
    (store("fc7_w_0", lambda w: w.astype(np.float16)), r"fc7.weight is FLOAT16 .*; need FLOAT "),
    (store("fc7_w_0", lambda w: w.astype(np.int8)), r"fc7.weight is INT8 .*; need FLOAT "),
    (store("fc7_w_0", not_a_number), r"fc7.weight is DOUBLE|not finite"),
    (store("conv1_b_0", lambda b: np.float32(not_a_number(b))), r"conv1.bias holds .*not finite"),
    (lambda model: model.graph.initializer.remove(model.graph.initializer[4]),
     r"2 inputs and|conv3.weight .*computed or missing"),
    (unknown_type, r"fc7.weight is of an unknown type \(512, 512\); need FLOAT"),
    (wrong_length, r"fc7.weight has 4 bytes; need 1,048,576"),
    (three_gigabytes, r"fc8.bias is|fc8.weight has 0 bytes|fc8.* is FLOAT"),
]


@pytest.mark.parametrize(("edit", "message"), REFUSED, ids=range(len(REFUSED)))
def test_refuses(edit, message, tmp_path):
    model = zoo(random_weights(np.random.default_rng(5)))
    edit(model)
    path = save(model, tmp_path / "a.onnx")
    with pytest.raises(WeightsError, match=message) as caught:
        weights.read_onnx(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


ACCEPTED = {
    "rounded up, as in Caffe": attribute("conv1", "MaxPool", ceil_mode=1),
    "no kernel_shape": attribute("conv2", "Conv", kernel_shape=None),
    "matrices (in, out)": lambda model: (attribute("fc7", "Gemm", transB=0)(model),
                                         store("fc7_w_0", np.transpose)(model)),
    "no dropout": lambda model: (drop_node("fc6", "Dropout")(model),
                                 drop_node("fc7", "Dropout")(model)),
    "shape worked out": store("OC2_DUMMY_1", lambda a: np.array([0, -1])),
    "flatten": lambda model: node(model, "conv5", "Reshape").CopyFrom(
        helper.make_node("Flatten", ["r14"], ["r15"])),
    "numbers as floats": lambda model: [
        tensor.CopyFrom(helper.make_tensor(tensor.name, 1, tensor.dims,
                                           numpy_helper.to_array(tensor).ravel()))
        for tensor in model.graph.initializer if tensor.name == "fc8_w_0"],
    "weights as nodes": lambda model: [
        (model.graph.node.insert(0, helper.make_node("Constant", [], [tensor.name], value=tensor)),
         model.graph.initializer.remove(tensor),
         [model.graph.input.remove(i) for i in list(model.graph.input) if i.name == tensor.name])
        for tensor in list(model.graph.initializer)],
}


@pytest.mark.parametrize("edit", ACCEPTED)
def test_accepts_the_same_said_otherwise(edit, theirs, tmp_path):
    model, images, results = theirs
    model = onnx.ModelProto.FromString(model.SerializeToString())
    ACCEPTED[edit](model)
    # opset 10 knows ceil_mode
    model.opset_import[0].version = 11
    assert difference(computed(model, as_caffe(images)), results["prob_1"]) < NEAR, "the edit"
    net = weights.read_onnx(save(model, tmp_path / "a.onnx"))
    assert difference(probabilities(net, images), results["prob_1"]) < NEAR


def test_torchvision_is_refused_by_name(tmp_path):
    nodes, x = [], "x"
    for i, op in enumerate(["Conv", "Relu", "MaxPool", "Conv", "Relu", "MaxPool", "Gemm"]):
        nodes.append(helper.make_node(op, [x, "w", "b"] if op == "Conv" else [x], [f"y{i}"]))
        x = f"y{i}"
    stored = [numpy_helper.from_array(np.zeros(shape, np.float32), name)
              for name, shape in (("w", (64, 3, 11, 11)), ("b", (64,)))]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", 1, [1, 3, 224, 224])],
        [helper.make_tensor_value_info(x, 1, [1, 1000])], stored)
    with pytest.raises(WeightsError, match="torchvision's AlexNet came, another network"):
        weights.read_onnx(save(helper.make_model(graph, opset_imports=[
            helper.make_opsetid("", 17)]), tmp_path / "a.onnx"))


def test_files_that_are_none(tmp_path):
    whole = zoo(random_weights(np.random.default_rng(5))).SerializeToString()
    path = tmp_path / "a.onnx"
    contents = {b"": "there is no graph", b"<html>404</html>": "no ONNX file",
                b"version https://git-lfs.github.com/spec/v1\n": "no ONNX file",
                whole[: len(whole) // 2]: "cut off", whole[:-1]: "cut off|opset"}
    for content, message in contents.items():
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=message):
            weights.read_onnx(path)
    with open(path, "wb") as file:
        file.truncate(3 * 2**30)  # a hole: it takes no room
    with pytest.raises(WeightsError, match="3,221,225,472 bytes came; need at most 1,073,741,824"):
        weights.read_onnx(path)
    path.unlink()
    for other in (path, tmp_path, os.devnull):
        with pytest.raises(WeightsError, match="there is no such file"):
            weights.read_onnx(other)


@pytest.fixture
def outside(tmp_path):
    """A file whose weights lie in another file, its folder, and the numbers."""
    model = zoo(random_weights(np.random.default_rng(5)))
    folder = tmp_path / "model"
    folder.mkdir()
    onnx.save(model, folder / "a.onnx", save_as_external_data=True, location="a.data",
              size_threshold=0)
    return folder


def move_to(location):
    def edit(folder):
        model = onnx.load(folder / "a.onnx", load_external_data=False)
        for tensor in model.graph.initializer:
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = location
        save(model, folder / "a.onnx")
    return edit


def facts(**changes):
    def edit(folder):
        model = onnx.load(folder / "a.onnx", load_external_data=False)
        for tensor in model.graph.initializer:
            for entry in tensor.external_data:
                entry.value = changes.get(entry.key, entry.value)
        save(model, folder / "a.onnx")
    return edit


def test_external_data(outside, tmp_path, rng):
    images = photographs(rng)
    expected = computed(zoo(random_weights(np.random.default_rng(5))), as_caffe(images))
    assert difference(probabilities(weights.read_onnx(outside / "a.onnx"), images), expected) < NEAR


def link_out(folder):
    (folder / "a.data").rename(folder.parent / "a.data")
    (folder / "a.data").symlink_to(folder.parent / "a.data")


EXTERNAL = [
    (lambda folder: (folder / "a.data").unlink(), r"lies in 'a.data', which is missing; put it"),
    (move_to("../a.data"), r"is said to lie in '../a.data'; need a file in the same folder"),
    (move_to("/etc/passwd"), r"is said to lie in '/etc/passwd'; need a file in the same folder"),
    (move_to("x/../../y"), r"need a file in the same folder"),
    (link_out, r"is said to lie in 'a.data'; need a file in the same folder"),
    (move_to("a\0b"), r"cannot be read from 'a\\x00b'"),
    (move_to(""), r"lies in '', which is missing"),
    (lambda folder: os.truncate(folder / "a.data", 1000), r"is not whole in 'a.data'; need"),
    (facts(offset="-5"), r"is not whole in 'a.data'"),
    (facts(offset="many"), r"cannot be read from 'a.data'"),
    (facts(offset="9" * 30), r"is not whole in 'a.data'"),
]


@pytest.mark.parametrize(("edit", "message"), EXTERNAL, ids=range(len(EXTERNAL)))
def test_external_data_that_is_not_as_it_should(edit, message, outside):
    edit(outside)
    with pytest.raises(WeightsError, match=message) as caught:
        weights.read_onnx(outside / "a.onnx")
    assert "\n" not in str(caught.value)


def test_damage_anywhere_is_met_with_a_line(tmp_path):
    """Bytes of the graph (not of the weights) changed at random: refused or read, never a crash."""
    rng, path = np.random.default_rng(9), tmp_path / "a.onnx"
    model = zoo(random_weights(rng, share=1 / 16))
    whole = model.SerializeToString()
    for tensor in model.graph.initializer:
        tensor.raw_data = b""
    outline = model.SerializeToString()
    refused = 0
    for data in (whole, outline):
        for _ in range(150):
            damaged = bytearray(data)
            for place in rng.integers(0, min(len(data), 2500), rng.integers(1, 4)):
                damaged[place] = rng.integers(256)
            path.write_bytes(damaged)
            try:
                weights.read_onnx(path)
            except MinialexError as error:
                refused += 1
                assert re.fullmatch(r"[^\n\x00-\x1f]*", str(error))
    assert refused > 200


@pytest.mark.slow
def test_full_size(devices, tmp_path):
    rng = np.random.default_rng(2)
    model, images = zoo(random_weights(rng, 1, 1000), 12, side=224), photographs(rng)
    net = weights.read_onnx(save(model, tmp_path / "zoo.onnx"), devices)
    assert sum(p.size for p in net.parameters()) == 60_965_224
    image(1, 3, 227, 227)(model)
    expected = computed(model, as_caffe(images))
    assert difference(probabilities(net, images), expected) < NEAR
    weights.write_onnx(net, tmp_path / "out.onnx")
    del net, model
    onnx.checker.check_model(tmp_path / "out.onnx", full_check=True)
    assert difference(computed(onnx.load(tmp_path / "out.onnx"), as_caffe(images)), expected) < NEAR
