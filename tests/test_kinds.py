"""An argument of another kind is named, in one line, by the function that was called."""

import os
import re

import numpy as np
import pytest

from minialex import datasets, models, nn, ops, optim, training, weights
from minialex.datasets import ImageSet, Preparation
from minialex.errors import MinialexError
from minialex.training.stored import from_stored

NET = models.LeNet5(device="cpu:0")
SGD = optim.SGD(NET.parameters())
IMAGES = ImageSet.of_arrays("dots", np.zeros((4, 28, 28, 1), np.uint8), np.array([0, 1, 0, 1]),
                            ["a", "b"])
DATA = datasets.Data(IMAGES, IMAGES, IMAGES, "val")
AS_TRAINED = Preparation(28, np.zeros((28, 28, 1), np.float32))
RECIPE, SOURCES = training.suggest("lenet5", 4)
TRAINED = training.Classifier(NET, ["a", "b"], AS_TRAINED, {"model": "lenet5", "recipe": {}})


def batches():
    return datasets.batches(IMAGES, AS_TRAINED, 2)


# "function: argument" is what each message begins with.
CALLS = {
    "Run: net": lambda x: training.Run(x, DATA, RECIPE),
    "Run: data": lambda x: training.Run(NET, x, RECIPE),
    "Run: recipe": lambda x: training.Run(NET, DATA, x),
    "Run: worker": lambda x: training.Run(NET, DATA, RECIPE, worker="none"),
    "Run: about": lambda x: training.Run(NET, DATA, RECIPE, about="lenet5"),
    "start_from: source": lambda x: training.Run(NET, DATA, RECIPE, start="runs/x"),
    "start_from: net": lambda x: training.start_from(x, TRAINED, IMAGES),
    "start_from: images": lambda x: training.start_from(NET, TRAINED, x),
    "fine_tuning: source": lambda x: training.fine_tuning(x, IMAGES),
    "fine_tuning: images": lambda x: training.fine_tuning(TRAINED, x),
    "has_new_classes: source": lambda x: training.has_new_classes(x, IMAGES),
    "evaluate: net": lambda x: training.evaluate(x, batches()),
    "evaluate: batches": lambda x: training.evaluate(NET, x),
    "change: recipe": lambda x: training.change(x, SOURCES, epochs=2),
    "change: sources": lambda x: training.change(RECIPE, x, epochs=2),
    "explain: recipe": lambda x: training.explain(x, SOURCES),
    "explain: sources": lambda x: training.explain(RECIPE, x),
    "set_rates: optimizer": lambda x: training.set_rates(x, RECIPE, 1, 0),
    "set_rates: recipe": lambda x: training.set_rates(SGD, x, 1, 0),
    "step_falls: ends": lambda x: training.step_falls(1, x),
    "plateau_falls: errors": lambda x: training.plateau_falls(x, 1),
    "entropy: labels": training.entropy,
    "ranks: scores": lambda x: training.ranks(x, IMAGES.labels),
    "ranks: labels": lambda x: training.ranks(np.zeros((4, 2)), x),
    "layers: net": training.layers,
    "freeze: net": lambda x: training.freeze(x, "c1"),
    "freeze: last": lambda x: training.freeze(NET, x),
    "save_checkpoint: path": lambda x: training.save_checkpoint(x, NET, SGD, {}),
    "save_checkpoint: net": lambda x: training.save_checkpoint("x", x, SGD, {}),
    "load_checkpoint: path": lambda x: training.load_checkpoint(x, NET, SGD),
    "load_checkpoint: net": lambda x: training.load_checkpoint("x", x, SGD),
    "Classifier.load: folder": training.Classifier.load,
    "Classifier.load: weights": lambda x: training.Classifier.load("x", weights=x),
    "Classifier.save: folder": lambda x: TRAINED.save(x),
    "Classifier.read: picture": lambda x: TRAINED.predict(x),
    "best: probabilities": lambda x: TRAINED.best(x),
    "best: count": lambda x: TRAINED.best(np.array([0.5, 0.5]), x and "two"),
    "suggest: name": lambda x: training.suggest("lenet5", 4, x),
    "suggest: images": lambda x: training.suggest("lenet5", x and -1),
    "batches: data": lambda x: datasets.batches(x, AS_TRAINED, 2),
    "batches: preparation": lambda x: datasets.batches(IMAGES, x, 2),
    "of_arrays: images": lambda x: ImageSet.of_arrays("dots", x, IMAGES.labels, ["a", "b"]),
    "data_folder: folder": lambda x: datasets.data_folder(x or 0),
    "is_bgr: net": weights.is_bgr,
    "watch: net": nn.watch,
}


@pytest.mark.parametrize("wrong", [None, 3, nn.ReLU], ids=["none", "number", "class"])
@pytest.mark.parametrize("name", CALLS, ids=lambda name: name.replace(": ", "-"))
def test_another_kind_is_named(name, wrong):
    with pytest.raises((TypeError, ValueError)) as caught:
        CALLS[name](wrong)
    assert isinstance(caught.value, MinialexError)
    assert re.fullmatch(rf"{re.escape(name)} is [^\n<]+; [^\n<]+", str(caught.value))


@pytest.mark.skipif(os.name == "nt", reason="Windows calls such a file missing")
@pytest.mark.parametrize("read", [
    datasets.open, datasets.read_idx, datasets.prepared, training.Classifier.load,
    lambda name: training.load_checkpoint(name, NET, SGD), lambda name: TRAINED.predict([name]),
    weights.read_onnx, weights.read_classifier], ids=range(8))
def test_a_name_too_long_for_a_file_is_refused(read):
    with pytest.raises(ValueError, match=r"\A.* is 5000 characters, too long for .*\Z") as caught:
        read("a" * 5000)
    assert isinstance(caught.value, MinialexError)


def test_probabilities_of_several_pictures_are_no_best():
    with pytest.raises(ValueError, match=r"best: .*\(3, 2\).*; give those of one picture, a row"):
        TRAINED.best(np.zeros((3, 2)) + 1 / 3)


@pytest.mark.parametrize("epochs", [None, "x", 1.5, 0, float("nan")])
def test_epochs_that_are_none(epochs):
    with pytest.raises(ValueError, match=r"\Aepochs is .*; it must be a whole number from 1 to"):
        training.change(RECIPE, SOURCES, epochs=epochs)


def test_a_stored_list_is_asked_for_in_words():
    with pytest.raises(ValueError, match=r"\Afalls is -1; it must be a list of whole numbers\Z"):
        from_stored(training.Recipe, {**vars(RECIPE), "falls": -1})


def test_right_kinds_pass():
    """Or the checks would refuse everything."""
    run = training.Run(NET, DATA, RECIPE, about={"model": "lenet5"})
    assert run.classifier().best(np.array([0.25, 0.75]), 1) == [("b", 0.75)]
    assert training.step_falls(3, range(2)) == 2
    with nn.watch(NET, before=None, after=lambda path, layer, y: None):
        assert ops.sum(NET(np.zeros((1, 28, 28, 1), np.float32))).size == 1
