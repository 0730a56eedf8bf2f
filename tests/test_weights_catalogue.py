"""Public weights by name: fetched, checked, and used as Caffe used them."""

import dataclasses
import hashlib
import sys

import numpy as np
import pytest
from PIL import Image

from minialex import weights
from minialex.datasets import DataError
from minialex.errors import UsageError
from minialex.training import Classifier
from minialex.weights import CATALOGUE, WeightsError, catalogue

pytest.importorskip("onnx", reason="needs onnx: pip install 'minialex[onnx]'")
pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'minialex[test]'")

from onnx_graphs import computed, random_weights, zoo

KNOWN = CATALOGUE["bvlc-alexnet"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A data folder with a small network in place of the 244 MB; the graph."""
    model = zoo(random_weights(np.random.default_rng(3), classes=1000), 12, side=224)
    data = model.SerializeToString()
    path = tmp_path / "data" / "weights" / KNOWN.download.name
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    download = dataclasses.replace(KNOWN.download, addresses=("http://127.0.0.1:9/a.onnx",),
                                   size=len(data),
                                   checksum=f"sha256:{hashlib.sha256(data).hexdigest()}")
    small = {KNOWN.name: dataclasses.replace(KNOWN, download=download)}
    monkeypatch.setattr(catalogue, "CATALOGUE", small)
    return path, model


@pytest.fixture
def picture(tmp_path):
    """Wide, with other colours left and right, so that every step of preparing it can be seen."""
    rng = np.random.default_rng(4)
    pixels = rng.integers(0, 256, (30, 60, 3), np.uint8)
    pixels[:, :10] = 255, 120, 0
    path = tmp_path / "picture.png"
    Image.fromarray(pixels).resize((600, 300), Image.Resampling.BICUBIC).save(path)
    return path


def as_caffe_did(path, crop=227, mean=(104, 117, 123), bgr=True, squeeze=True):
    """Its way in the open: 256x256 whatever the shape, the centre, BGR, a colour taken off."""
    image = Image.open(path)
    if not squeeze:
        image = image.crop((150, 0, 450, 300))
    image = np.asarray(image.resize((256, 256), Image.Resampling.BICUBIC), np.float32)
    edge = (256 - crop) // 2
    image = image[edge : edge + crop, edge : edge + crop]
    image = (image[..., ::-1] if bgr else image) - np.array(mean, np.float32)
    return image.transpose(2, 0, 1)[None]


def test_predicts_what_caffe_would(here, picture, devices):
    path, model = here
    classifier = weights.load("bvlc-alexnet", devices, folder=path.parents[1])
    found = classifier.predict(picture)
    for size in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        size.dim_value = 227
    expected = computed(model, as_caffe_did(picture))

    def difference(probabilities):
        return np.abs(found - probabilities).max() / probabilities.max()

    assert difference(expected) < 1e-5
    for trap in (dict(squeeze=False), dict(bgr=False), dict(mean=(123, 117, 104)),
                 dict(mean=(0, 0, 0))):
        assert difference(computed(model, as_caffe_did(picture, **trap))) > 1e-4, trap
    name, probability = classifier.best(found[0], 1)[0]
    assert name == classifier.classes[expected.argmax()]
    assert probability == pytest.approx(expected.max(), rel=1e-5)


def test_order_of_the_classes(here):
    """By wnid, as in Caffe's synset_words.txt: n01440764 tench ... n15075141 toilet tissue."""
    classes = weights.load(KNOWN.name, folder=here[0].parents[1]).classes
    assert len(classes) == len(set(classes)) == 1000
    assert classes[0] == "tench, Tinca tinca" and classes[999].startswith("toilet tissue")
    assert classes[281].startswith("tabby") and classes[207].startswith("golden retriever")


def test_unknown_names():
    for name, message in [("vgg", "weights 'vgg' came; need one of bvlc-alexnet$"),
                          ("torchvision-alexnet", "torchvision has one tower without groups"),
                          ("bvlc_reference_caffenet", "caffenet pools before it normalizes")]:
        with pytest.raises(WeightsError, match=message):
            weights.load(name)


def test_wrong_or_missing_file(here):
    path, _ = here
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(DataError, match=r"its sha256 checksum is .*, not .*remove it"):
        weights.load("bvlc-alexnet", folder=path.parents[1])
    path.write_bytes(whole[:-1])
    with pytest.raises(DataError, match=r"it has .* bytes, not|bytes in it"):
        weights.load("bvlc-alexnet", folder=path.parents[1])
    path.unlink()
    with pytest.raises(DataError, match=r"bvlcalexnet-12.onnx did not come .*by hand.*put it into"):
        weights.load("bvlc-alexnet", folder=path.parents[1])
    assert [p.name for p in path.parent.iterdir()] == [], "nothing half-written"


def test_a_run_is_left_which_needs_neither_network_nor_file(here, picture, monkeypatch):
    path, _ = here
    folder = path.parents[1]
    assert weights.find(KNOWN.name, folder) is None
    first = weights.load(KNOWN.name, folder=folder)
    place = weights.find(KNOWN.name, folder)
    assert place == weights.get(KNOWN.name, folder) == path.parent / KNOWN.name
    assert path.exists(), "somebody has put it there"
    path.unlink()
    monkeypatch.setattr(catalogue, "fetch", None)
    for again in (weights.load(KNOWN.name, folder=folder), Classifier.load(place)):
        np.testing.assert_array_equal(again.predict(picture), first.predict(picture))
        assert again.preparation.squeeze and list(again.classes) == list(first.classes)
    assert first.config["citation"] == KNOWN.citation


def test_what_was_fetched_is_thrown_away(here, monkeypatch):
    path, _ = here
    kept = path.read_bytes()
    path.unlink()
    monkeypatch.setattr(catalogue, "fetch", lambda *_, **__: path.write_bytes(kept) and path)
    place = weights.get(KNOWN.name, path.parents[1])
    assert sorted(p.name for p in path.parent.iterdir()) == [KNOWN.name]
    assert sorted(p.name for p in place.iterdir()) == ["config.json", "model.safetensors"]


def test_without_onnx_nothing_is_fetched(here, monkeypatch):
    path, _ = here
    path.unlink()
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.setattr(catalogue, "fetch", None)
    with pytest.raises(UsageError, match=r"the package onnx is not installed; run: pip install"):
        weights.get(KNOWN.name, path.parents[1])


def test_a_file_that_cannot_be_read_leaves_no_run(here, monkeypatch):
    """As if the checksum of another network had come into the catalogue."""
    path, model = here
    model.graph.node[1].op_type = "Sigmoid"
    path.write_bytes(model.SerializeToString())
    monkeypatch.setattr(catalogue, "fetch", lambda *_, **__: path)
    with pytest.raises(WeightsError, match="Sigmoid"):
        weights.get(KNOWN.name, path.parents[1])
    assert weights.find(KNOWN.name, path.parents[1]) is None
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_facts():
    assert len(KNOWN.download.checksum) == len("sha256:") + 64
    # Weights and biases are 4 bytes each; the rest is the graph.
    assert 0 < KNOWN.download.size - 4 * 60_965_224 < 5000
    assert all(address.startswith("https://") for address in KNOWN.download.addresses)
