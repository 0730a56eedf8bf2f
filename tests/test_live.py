"""The network of the live page, without a browser: its numbers are those of minialex."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from columns import beliefs

from minialex import backend, models
from minialex.weights import write_onnx

onnx = pytest.importorskip("onnx", reason="pip install 'minialex[onnx]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="pip install 'minialex[test]'")
LIVE = importlib.util.spec_from_file_location(
    "live", Path(__file__).resolve().parents[1] / "docs" / "live.py")
live = importlib.util.module_from_spec(LIVE)
LIVE.loader.exec_module(live)

DEVICES = ("cpu:0", "cpu:1")


@pytest.fixture(scope="module")
def net():
    net = models.build("alexnet-small", DEVICES, seed=1)
    net.eval()
    rng = np.random.default_rng(2)
    net.load_state({name: array + np.float32(0.1) * rng.standard_normal(array.shape, np.float32)
                    if name.endswith("bias") else array for name, array in net.state().items()})
    return net


@pytest.fixture(scope="module")
def session(net, tmp_path_factory):
    path = tmp_path_factory.mktemp("live") / "network.onnx"
    write_onnx(net, path)
    model = live.open_up(onnx.load(path))
    return onnxruntime.InferenceSession(model.SerializeToString(),
                                        providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(3).standard_normal((1, 28, 28, 1), np.float32)


def outputs(session, pixels, exchange):
    names = [output.name for output in session.get_outputs()]
    fed = {"data": pixels.transpose(0, 3, 1, 2), "exchange": np.array(exchange, np.float32)}
    return dict(zip(names, session.run(None, fed), strict=True))


@pytest.mark.parametrize("exchange", [True, False])
def test_every_output_is_that_of_minialex(net, session, pixels, exchange):
    met, expected = outputs(session, pixels, exchange), beliefs(net, pixels, exchange)
    assert set(expected) - {"alone", "prob"} == set(met) - {"alone", "prob"}
    for name, array in expected.items():
        array = array[:, 0] if name == "alone" else array
        assert met[name].shape == array.shape
        np.testing.assert_allclose(met[name], array, rtol=1e-4, atol=1e-5, err_msg=name)


def test_reference_is_the_network_itself(net, pixels):
    scores = net(pixels).numpy()[0]
    p = np.exp(scores - scores.max())
    np.testing.assert_allclose(beliefs(net, pixels, True)["prob"][0], p / p.sum(), rtol=1e-4,
                               atol=1e-6)


def test_without_exchange_nothing_of_one_column_reaches_the_other(net, session, pixels):
    """Another conv1 in column 1 changes nothing in column 0; with the exchange it does."""
    before = {on: outputs(session, pixels, on) for on in (True, False)}
    state = net.state()
    other = models.build("alexnet-small", DEVICES)
    other.load_state({**state, "columns.1.conv1.weight": -state["columns.1.conv1.weight"]})
    other.eval()
    for on in (True, False):
        after = beliefs(other, pixels, on)
        for name in ("conv3_relu", "conv5_relu", "fc6_relu", "fc7_relu"):
            met = before[on][name]
            half = met.shape[1] // 2
            same = np.allclose(met[:, :half], after[name][:, :half], rtol=1e-4, atol=1e-5)
            assert same == (not on), (name, on)


@pytest.mark.parametrize("column", [0, 1])
def test_a_column_alone_is_a_network_without_what_it_learnt_of_the_other(net, pixels, column):
    """By which the page says how often a column alone errs."""
    scores = live.column_alone(net, column)(pixels).numpy()[0]
    p = np.exp(scores - scores.max())
    np.testing.assert_allclose(p / p.sum(), beliefs(net, pixels, False)["alone"][column, 0],
                               rtol=1e-4, atol=1e-6)


def test_what_crosses_is_what_minialex_counts(net, session, pixels):
    with backend.record_transfers() as log:
        net(pixels)
    counted = sorted((t.label, t.bytes) for t in log if t.label.startswith("into"))
    met = outputs(session, pixels, True)
    shown = [(f"into {layer}", met[name].nbytes // 2) for layer, name in live.CROSS.items()
             for _ in range(1 if layer == "fc8" else 2)]
    assert counted == sorted(shown)
