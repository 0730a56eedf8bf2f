"""docs/pytorch.md, run as it stands: without PyTorch its NumPy part, with PyTorch all of it."""

import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from minialex import models, no_grad, ops

PAGE = Path(__file__).resolve().parents[1] / "docs" / "pytorch.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def run(*needles):
    """Names of the page after the blocks that contain these words ran, in the page's order."""
    names = {}
    for block in BLOCKS:
        if any(needle in block for needle in needles):
            exec(compile(block, PAGE.name, "exec"), names)
    return names


def network(norm, device="cpu:0"):
    net = models.AlexNet((device, device), 11, width=0.125, init="he", norm=norm).eval()
    state, rng = net.state(), np.random.default_rng(6)
    for name, w in state.items():
        if name.endswith("bias"):
            state[name] = rng.standard_normal(w.shape, np.float32)
    state["fc8.weight"] *= np.float32(0.02)
    net.load_state(state)
    return net


def images(n=2):
    return (50 * np.random.default_rng(7).standard_normal((n, 227, 227, 3))).astype(np.float32)


def test_there_and_back_is_the_same():
    page, net = run("def to_torch", "def from_torch"), network("paper")
    ours = net.state()
    again = page["from_torch"](page["to_torch"]({**ours, "input.mean": np.zeros(3)}))
    assert again.keys() == ours.keys()
    for name, w in ours.items():
        np.testing.assert_array_equal(again[name], w, name)


def test_what_onnxruntime_makes_of_it():
    """The weights in PyTorch's order are those of ONNX, which onnxruntime can judge."""
    pytest.importorskip("onnx", reason="needs onnx: pip install 'minialex[onnx]'")
    pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'minialex[test]'")
    from onnx_graphs import computed, zoo

    net = network("caffe")
    theirs = run("def to_torch")["to_torch"](net.state())
    model = zoo({name.replace(".weight", "_w_0").replace(".bias", "_b_0"): w
                 for name, w in theirs.items()}, batch=2)
    with no_grad():
        ours = ops.softmax(net(images())).numpy()
    found = computed(model, images().transpose(0, 3, 1, 2))
    assert 0.1 < found.max() < 0.9
    assert np.abs(found - ours).max() < 1e-5 * found.max()


def test_torchvision_is_refused_by_name():
    with pytest.raises(ValueError, match="torchvision's AlexNet came, which is another network"):
        run("def from_torch")["from_torch"]({"features.0.weight": np.zeros((64, 3, 11, 11))})


@pytest.mark.parametrize("norm", ["paper", "caffe"])
def test_in_pytorch(norm, tmp_path, monkeypatch):
    torch = pytest.importorskip("torch", reason="needs PyTorch, which is no dependency")
    net = network(norm)
    path = tmp_path / "runs" / "photographs" / "model.safetensors"
    path.parent.mkdir(parents=True)
    save_file(net.state(), path)
    monkeypatch.chdir(tmp_path)
    page = run("def to_torch", "load_file", "class AlexNet", "def from_torch")
    there = page["AlexNet"](page["theirs"], norm).eval()
    with torch.no_grad(), no_grad():
        found = there(torch.from_numpy(images().transpose(0, 3, 1, 2).copy())).numpy()
        ours = net(images()).numpy()
    assert np.abs(found - ours).max() < 1e-5 * np.abs(ours).max()
    state = {name: w.numpy() for name, w in there.state_dict().items()}
    for name, w in page["from_torch"](state).items():
        np.testing.assert_array_equal(w, net.state()[name], name)
