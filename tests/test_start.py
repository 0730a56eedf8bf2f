"""A run that starts from a trained network: what it takes over, what learns, how it goes on."""

import dataclasses
import json

import numpy as np
import pytest

from minialex import datasets, models, ops, training
from minialex.datasets import ImageSet
from minialex.training import Classifier, Run, StepDone
from minialex.training.checkpoint import load_arrays
from minialex.training.folder import OtherImagesError

pytestmark = pytest.mark.ch13

LAYERS = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]


def images(count, classes="ab", seed=0, side=32):
    """As bright as their label is high."""
    rng, labels = np.random.default_rng(seed), np.arange(count) % len(classes)
    level = 160 * labels[:, None, None, None] / (len(classes) - 1)
    pixels = level + rng.integers(0, 90, (count, side, side, 1))
    return ImageSet.of_arrays("grey", pixels.astype(np.uint8), labels, list(classes))


def data(classes="ab", seed=0):
    return datasets.Data(images(20, classes, seed), images(6, classes, 1 + seed),
                         images(5, classes, 2 + seed), "val")


def layer(name):
    return name.split(".")[-2]


def network(devices, classes, model="alexnet-small", width=0.05):
    options = {} if model == "lenet5" else {"width": width}
    return models.build(model, devices, classes, 1, seed=3, **options)


@pytest.fixture(params=["alexnet-small", "lenet5"])
def model(request):
    return request.param


@pytest.fixture
def source(devices, tmp_path, model):
    """A trained network, from the folder of its run. Its pixels are not those of later data."""
    recipe, _ = training.change(*training.suggest(model, 20), epochs=1, batch=8)
    if model != "lenet5":
        recipe = dataclasses.replace(recipe, width=0.05)
    list(Run(network(devices, 2, model), data(seed=5), recipe, folder=tmp_path / "source",
             about={"model": model}))
    return Classifier.load(tmp_path / "source", devices)


@pytest.fixture
def make(devices, source, model):
    """A run that starts from `source`."""
    def make(classes="abc", frozen="", start=source, folder=None, settings=None, **options):
        some = data(classes)
        recipe, _ = training.fine_tuning(source, some.train, frozen=frozen)
        recipe = dataclasses.replace(recipe, **{"epochs": 2, "batch": 8, "falls": (1,),
                                                **(settings or {})})
        return Run(network(devices, len(classes), model), some, recipe, folder=folder,
                   start=start, about={"model": model}, **options)

    return make


def changed(run, source):
    """The layers with a weight that is not the one of the network that the run started from."""
    before = source.net.state()
    return {layer(name) for name, array in run.net.state().items()
            if not np.array_equal(array, before[name])}


# What is taken over


def test_of_the_same_classes_it_starts_as_the_very_same_network(make, source):
    run = make("ab")
    assert not changed(run, source)
    pictures = list(images(9, seed=8).read(np.arange(9)))
    expected = source.predict(pictures)
    np.testing.assert_array_equal(run.classifier().predict(pictures), expected)
    alone = make("ab", start=None)  # the same run from first weights: the comparison can fail
    assert not np.array_equal(alone.classifier().predict(pictures), expected)


def test_pixels_are_prepared_as_before(make, source):
    ours, theirs = make().classifier().preparation, source.preparation
    np.testing.assert_array_equal(ours.mean, theirs.mean)
    assert not np.array_equal(ours.mean, data("abc").train.measure().mean)
    assert (ours.size, ours.scale) == (theirs.size, theirs.scale)


@pytest.mark.parametrize("classes", ["abc", "ba", "xy"])
def test_for_other_classes_the_last_layer_is_new(make, source, devices, model, classes):
    if len(classes) == 2:
        assert changed(make(classes), source) == {training.layers(source.net)[-1]}
    run, last = make(classes), training.layers(source.net)[-1]
    fresh = network(devices, len(classes), model).state()
    for name, array in run.net.state().items():
        expected = fresh if layer(name) == last else source.net.state()
        np.testing.assert_array_equal(array, expected[name])


def test_what_does_not_fit_is_refused(source, devices, model):
    with pytest.raises(ValueError, match=r"images of shape \(36, 36, 1\) came.*\(32, 32, 1\)"):
        training.start_from(network(devices, 2, model), source, images(4, side=36))
    other = network(devices, 2, "lenet5" if model != "lenet5" else "alexnet-small")
    with pytest.raises(ValueError, match=r"conv1|c1"):
        training.start_from(other, source, images(4))


# What learns


def test_layers_from_the_images_up(devices):
    assert training.layers(network(devices, 2)) == LAYERS
    assert training.layers(network(devices, 2, "lenet5")) == ["c1", "c3", "c5", "f6", "output"]


@pytest.mark.parametrize("number", [0, 1, 3, -2])
def test_frozen_layers_keep_every_bit_and_the_others_learn(make, source, number):
    names = training.layers(source.net)
    run = make("ab", frozen=names[number])
    for event in run:
        if isinstance(event, StepDone):
            break
    below = names[: names.index(names[number]) + 1]
    assert changed(run, source) == set(names) - set(below)
    assert not changed(make("ab"), source) and changed(finished(make("ab")), source) == set(names)
    np.testing.assert_array_equal(
        sorted({layer(name) for name, p in run.net.named_parameters().items()
                if not p.requires_grad}), sorted(below))


def finished(run):
    list(run)
    return run


def test_freezing_saves_the_work_of_backward(source, devices):
    """No parameter below gets a gradient; those above get the one that they had without it."""
    def gradients(frozen):
        net = source.net
        for parameter in net.parameters():
            parameter.requires_grad, parameter.grad = True, None
        training.freeze(net, frozen)
        pixels = np.random.default_rng(0).standard_normal((4, 28, 28, 1), np.float32)
        ops.softmax_cross_entropy(net.eval()(pixels), np.array([0, 1, 1, 0])).backward()
        return {name: p.grad.numpy() for name, p in net.named_parameters().items()
                if p.grad is not None}

    names = training.layers(source.net)
    every, some = gradients(""), gradients(names[2])
    assert {layer(name) for name in every} == set(names)
    assert {layer(name) for name in some} == set(names[3:])
    for name, gradient in some.items():
        np.testing.assert_array_equal(gradient, every[name])


@pytest.mark.parametrize("frozen", ["fc9", "conv", "columns.0.conv1", "fc8", "output"])
def test_layers_that_cannot_be_frozen(source, frozen):
    known = ", ".join(training.layers(source.net)[:-1])
    for call in (lambda: training.freeze(source.net, frozen),
                 lambda: training.fine_tuning(source, images(20), frozen=frozen)):
        with pytest.raises(ValueError, match=f"frozen is '{frozen}'; it must be one of {known}"):
            call()


def test_a_new_last_layer_learns_faster(make, source):
    """The first step from velocities of zero is the rate times the gradient."""
    def step(last_lr):
        run = make(settings={"last_lr": last_lr, "mirror": 0.0, "weight_decay": 0.0})
        before = run.net.state()
        next(event for event in run if isinstance(event, StepDone))
        return {name: array - before[name] for name, array in run.net.state().items()}

    slow, fast, last = step(1.0), step(8.0), training.layers(source.net)[-1]
    for name, difference in slow.items():
        times = 8 if layer(name) == last else 1
        np.testing.assert_allclose(fast[name], times * difference, rtol=1e-3, atol=1e-6)


# The settings


def test_settings_of_fine_tuning(source, model):
    usual, _ = training.suggest(model, 20)
    recipe, sources = training.fine_tuning(source, images(20, "abc"), frozen="")
    assert recipe.lr == pytest.approx(usual.lr / 10) and recipe.epochs < usual.epochs
    assert recipe.lr * recipe.last_lr == pytest.approx(usual.lr), "the new layer as from nothing"
    theirs = source.config["recipe"]
    for name in ("width", "init", "image_size", "scale", "norm"):
        assert getattr(recipe, name) == theirs[name]
    assert sources.keys() == dataclasses.asdict(recipe).keys()
    same, _ = training.fine_tuning(source, images(20, "ab"))
    assert same.last_lr == 1 and same.lr == recipe.lr
    text = training.explain(recipe, sources)
    for words in ("a tenth of the", "the last layer is new", "quarter"):
        assert words in " ".join(text.split())


# Going on


def state(run):
    random = [m.rng.bit_generator.state for _, m in run.net.named_modules() if hasattr(m, "rng")]
    arrays = {**run.net.state(), **{f"v {k}": v for k, v in run._optimizer.state().items()}}
    return {name: array.tobytes() for name, array in arrays.items()}, random


@pytest.mark.parametrize("left_after", [1, 3, 4])
def test_goes_on_bit_for_bit(make, source, tmp_path, left_after):
    frozen = training.layers(source.net)[1]
    whole = finished(make(frozen=frozen, folder=tmp_path / "whole"))
    part = make(frozen=frozen, folder=tmp_path / "part")
    for event in part:
        if isinstance(event, StepDone) and event.step == left_after:
            part.stop()
    own = Classifier.load(tmp_path / "part")  # so does the command
    for start in (own, source):
        again = make(frozen=frozen, folder=tmp_path / "part", start=start, resume=True)
    list(again)
    assert state(again) == state(whole)
    expected, about = load_arrays(tmp_path / "whole" / "model.safetensors")
    found, _ = load_arrays(tmp_path / "part" / "model.safetensors")
    assert found.keys() == expected.keys() and about["recipe"]["frozen"] == frozen
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


def test_going_on_without_the_start_is_refused(make, tmp_path):
    run = make(folder=tmp_path / "run")
    next(event for event in run if isinstance(event, StepDone))
    run.save()
    del run
    with pytest.raises(OtherImagesError, match="started from a trained network; give its own"):
        list(make(folder=tmp_path / "run", start=None, resume=True))


def test_classifier_saves_what_load_reads(source, tmp_path, devices):
    source.save(tmp_path / "copy")
    again = Classifier.load(tmp_path / "copy", devices)
    pictures = list(images(5, seed=9).read(np.arange(5)))
    np.testing.assert_array_equal(again.predict(pictures), source.predict(pictures))
    assert list(again.classes) == list(source.classes)
    assert json.loads((tmp_path / "copy" / "config.json").read_text())["model"] == \
        source.config["model"]
