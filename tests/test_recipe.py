"""The settings of a run: what is suggested, what changes with what, and when the rate falls."""

import itertools
import json
import re
from dataclasses import asdict, replace

import numpy as np
import pytest

from minialex import Tensor, datasets, optim
from minialex.training import (
    Recipe,
    change,
    explain,
    plateau_falls,
    set_rates,
    step_falls,
    suggest,
)
from minialex.training.recipe import lengthen

pytestmark = pytest.mark.ch11

MANY, FEW = 1_281_167, 3_068  # images: of ImageNet, of the clothing photographs
SUGGESTED = [(model, images, name) for model in ("alexnet", "alexnet-small", "lenet5")
             for images in (100, FEW, MANY) for name in ("paper", "run145")]


# What is suggested


@pytest.mark.parametrize(("model", "images", "name"), SUGGESTED)
def test_any_recipe_is_complete_and_makes_sense(model, images, name):
    recipe, sources = suggest(model, images, name)
    settings = asdict(recipe)
    assert list(settings) == list(sources) and all(sources.values())
    assert (recipe.momentum, recipe.weight_decay) == (0.9, 0.0005)
    ends = [0, *recipe.falls, recipe.epochs]
    assert ends == sorted(set(ends)), "the rate falls in order, and before the end"
    assert bool(recipe.falls) != bool(recipe.patience), "one rule for the rate"
    assert 0 < recipe.lr < 0.1 and 0 < recipe.width <= 1
    assert (recipe.scale == 1) == (recipe.init != "he"), "He's weights expect unit size"
    stored = json.loads(json.dumps(settings))
    assert Recipe(**{**stored, "falls": tuple(stored["falls"])}) == recipe


def test_recipe_as_the_authors_ran_it():
    recipe, _ = suggest("alexnet", MANY, "run145")
    assert (recipe.epochs, recipe.batch, recipe.lr) == (90, 128, 0.01)
    assert (recipe.falls, recipe.patience) == ((25, 51, 79), 0)
    assert (recipe.lr * recipe.bias_lr, recipe.bias_falls) == (0.02, 0)
    assert (recipe.noise, recipe.noise_until, recipe.conv1_until) == ("run145", 67, 72)
    assert (recipe.init, recipe.width, recipe.image_size, recipe.scale) == ("run145", 1, 227, 1)
    assert suggest("alexnet", MANY)[0] == recipe, "the default"


def test_recipe_as_the_paper_prints_it():
    recipe, _ = suggest("alexnet", MANY, "paper")
    assert (recipe.epochs, recipe.batch, recipe.lr) == (90, 128, 0.01)
    assert recipe.falls == () and recipe.patience > 0
    assert (recipe.bias_lr, recipe.bias_falls) == (1, 3), "one rate for all layers"
    assert recipe.noise_until >= recipe.epochs and recipe.conv1_until >= recipe.epochs
    assert (recipe.init, recipe.width, recipe.image_size, recipe.scale) == ("paper", 1, 224, 1)


@pytest.mark.parametrize("name", ["paper", "run145"])
def test_recipe_for_few_photographs(name):
    """Smaller rate and batch, as many steps as there is time for; the rest is that of 2012."""
    few, sources = suggest("alexnet", FEW, name)
    many, _ = suggest("alexnet", MANY, name)
    assert few.lr < many.lr and few.batch < many.batch
    assert -(-FEW // few.batch) * few.epochs > (1_700 if name == "paper" else 1_100)
    assert bool(few.patience) == (name == "paper")
    for setting in ("momentum", "weight_decay", "mirror", "noise", "init", "width", "image_size",
                    "scale"):
        assert getattr(few, setting) == getattr(many, setting)
    if name == "run145":
        for until in "noise_until", "conv1_until":
            share = getattr(many, until) / many.epochs
            assert getattr(few, until) == round(share * few.epochs), "the same share of a run"
    assert sources["lr"].startswith("Not 2012: ")


@pytest.mark.parametrize("name", ["paper", "run145"])
@pytest.mark.parametrize(("images", "times"), [
    (3_068, 1), (2_000, 2), (500, 6), (306, 10), (1, 10), (9_469, 1), (99_999, 1)])
def test_fewer_photographs_are_shown_more_often(name, images, times):
    """For about as many steps, up to ten times as often; all else keeps its share of the run."""
    recipe, sources = suggest("alexnet", images, name)
    base, _ = suggest("alexnet", FEW, name)
    assert recipe.epochs == times * base.epochs
    assert recipe.falls == tuple(times * epoch for epoch in base.falls)
    if name == "run145":
        assert (recipe.noise_until, recipe.conv1_until) == (18 * times, 19 * times)
    else:
        assert min(recipe.noise_until, recipe.conv1_until) >= recipe.epochs
    steps = -(-images // recipe.batch) * recipe.epochs
    assert f"steps count: {steps:,} at batch 64; {base.epochs} epochs for 3,068" in \
        sources["epochs"]


@pytest.mark.parametrize("model", ["alexnet", "alexnet-small", "lenet5"])
def test_the_two_recipes_differ(model):
    paper, run145 = (suggest(model, 10_000, name)[0] for name in ("paper", "run145"))
    assert (paper.bias_lr, run145.bias_lr) == (1, 2)
    assert paper.patience and run145.falls


@pytest.mark.parametrize(("model", "images", "name"), SUGGESTED)
def test_what_is_not_of_2012_says_so(model, images, name):
    """Every setting that is not that of the paper or the run has a reason of its own."""
    recipe, sources = suggest(model, images, name)
    base, theirs = suggest("alexnet", MANY, name)
    for setting, value in asdict(recipe).items():
        if value != getattr(base, setting) and not sources[setting].startswith("paper: never"):
            assert sources[setting] != theirs[setting], setting


def test_digits_are_not_mirrored():
    plain, sources = suggest("lenet5", 60_000)
    digits, reasons = suggest("lenet5", 60_000, mirror=False)
    assert (plain.mirror, digits.mirror) == (0.5, 0)
    assert asdict(digits) == {**asdict(plain), "mirror": 0}
    assert reasons["mirror"] != sources["mirror"]
    assert not datasets.SETS["mnist"].mirrored and datasets.SETS["fashion-mnist"].mirrored


def test_unknown_recipe():
    with pytest.raises(ValueError, match="suggest: no recipe 'mine'; use 'paper' or 'run145'"):
        suggest("alexnet", MANY, "mine")
    with pytest.raises(ValueError, match="there is no model 'vgg'; use one of "):
        suggest("vgg", MANY)


# What a setting may be


@pytest.mark.parametrize(("name", "value"), [
    ("epochs", 0), ("epochs", 2.0), ("epochs", True), ("epochs", "9"), ("epochs", None),
    ("batch", 0), ("batch", -1), ("lr", 0), ("lr", -1), ("lr", float("nan")), ("lr", float("inf")),
    ("lr", "fast"), ("falls", (0,)), ("falls", (5, 3)), ("falls", (5, 5)), ("falls", 5),
    ("falls", ("5",)), ("falls", {}), ("patience", -1), ("patience", 0.5), ("momentum", 1),
    ("momentum", -0.1), ("weight_decay", -1e-9), ("bias_lr", -1), ("bias_falls", -1),
    ("mirror", 1.01), ("mirror", -0.01), ("noise", "zzz"), ("noise", None), ("noise_until", 0),
    ("conv1_until", "never"), ("init", "zeros"), ("init", 3), ("width", 0), ("width", 8.1),
    ("epochs", 10**39), ("batch", 10**400), ("falls", (10**400,)), ("noise_until", 10**39),
    ("image_size", 10**9), ("image_size", 0), ("image_size", 27.5), ("scale", 0), ("scale", []),
], ids=str)
def test_what_makes_no_sense_is_refused_by_name(name, value):
    recipe, _ = suggest("alexnet", MANY)
    with pytest.raises(ValueError, match=rf"\A{name} is .*; it must be \w.*\Z"):
        replace(recipe, **{name: value})


@pytest.mark.parametrize(("name", "value"), [
    ("lr", 1), ("falls", ()), ("falls", [3, 5]), ("patience", 0), ("momentum", 0), ("mirror", 1),
    ("width", 8), ("bias_lr", 0)], ids=str)
def test_what_makes_sense_is_accepted(name, value):
    recipe, _ = suggest("alexnet", MANY)
    assert getattr(replace(recipe, **{name: value}), name) == value


def test_run_that_is_lengthened_keeps_the_epochs_in_which_something_happens():
    recipe, _ = suggest("alexnet", MANY)
    longer = lengthen(recipe, 120)
    assert asdict(longer) == {**asdict(recipe), "epochs": 120}
    never, _ = suggest("alexnet", MANY, "paper")
    longer = lengthen(never, 120)
    assert longer.noise_until >= 120 and longer.conv1_until >= 120, "what never happens never does"
    shorter = lengthen(never, 10)
    assert asdict(shorter) == {**asdict(never), "epochs": 10}


# What changes with what


def changed(given, model="alexnet", images=MANY, name="run145"):
    return change(*suggest(model, images, name), **given)


@pytest.mark.parametrize("setting", [
    {"lr": 0.003}, {"batch": 7}, {"width": 0.5}, {"noise": "none"}, {"mirror": 0.1},
    {"image_size": 224}, {}],
    ids=str)
def test_a_setting_that_stands_alone(setting):
    recipe, sources = changed(setting)
    before, reasons = suggest("alexnet", MANY)
    assert asdict(recipe) == {**asdict(before), **setting}
    assert sources == {**reasons, **dict.fromkeys(setting, "as you asked")}


@pytest.mark.parametrize(("epochs", "falls", "noise_until", "conv1_until"), [
    (180, (50, 102, 158), 134, 144), (30, (8, 17, 26), 22, 24), (2, (1,), 1, 2), (1, (), 1, 1)])
def test_other_epochs_keep_the_shares_of_the_run(epochs, falls, noise_until, conv1_until):
    """In very short runs two falls may be one; none is before the first epoch, or at the end."""
    recipe, sources = changed({"epochs": epochs})
    assert (recipe.falls, recipe.noise_until, recipe.conv1_until) == (
        falls, noise_until, conv1_until)
    assert sources["epochs"] == "as you asked" and sources["lr"].startswith("paper, section 5")
    for name in "falls", "noise_until", "conv1_until":
        happens = name == "falls" or getattr(recipe, name) < epochs
        assert (sources[name] == "at the same share of your epochs") == happens


def test_what_never_happens_does_not_happen_in_longer_runs_either():
    for epochs in 500, 10:
        recipe, sources = changed({"epochs": epochs}, name="paper")
        assert recipe.noise_until >= epochs and recipe.conv1_until >= epochs and recipe.falls == ()
        assert sources["noise_until"].startswith("paper: never")


def test_falls_take_the_place_of_patience_and_the_other_way_round():
    recipe, sources = changed({"falls": (5, 9), "epochs": 12}, name="paper")
    assert (recipe.falls, recipe.patience) == ((5, 9), 0)
    assert sources["falls"] == "as you asked" and "your falls" in sources["patience"]
    recipe, sources = changed({"patience": 4})
    assert (recipe.falls, recipe.patience) == ((), 4)
    assert sources["patience"] == "as you asked" and "the validation error" in sources["falls"]
    for name in "paper", "run145":
        recipe, sources = changed({"patience": 0}, name=name)
        assert (recipe.falls, recipe.patience) == ((), 0)
        assert sources["falls"] == "the rate never falls"
        recipe, sources = changed({"patience": 0, "falls": (5, 9)}, name=name)
        assert (recipe.falls, sources["falls"]) == ((5, 9), "as you asked"), "given, it stays"


@pytest.mark.parametrize(("model", "init", "scale"), [
    ("alexnet", "he", 1 / 64), ("alexnet", "paper", 1), ("alexnet-small", "run145", 1),
    ("alexnet-small", "he", 1 / 64)])
def test_pixels_are_scaled_as_the_first_weights_expect(model, init, scale):
    recipe, sources = changed({"init": init}, model)
    assert (recipe.init, recipe.scale) == (init, scale)
    assert ("'he' expects" in sources["scale"]) == (init == "he")


# What is printed


@pytest.mark.parametrize(("model", "images", "name"), SUGGESTED)
def test_explanation_fits_on_a_screen_and_names_every_setting(model, images, name):
    recipe, sources = suggest(model, images, name)
    text = explain(recipe, sources)
    assert max(map(len, text.splitlines())) <= 80 and len(text.splitlines()) <= 40
    paragraphs = re.split(r"\n(?=\w)", text)
    assert [paragraph.split()[0] for paragraph in paragraphs] == list(asdict(recipe))
    for paragraph, source in zip(paragraphs, sources.values(), strict=True):
        assert " ".join(paragraph.split()).endswith(" ".join(source.split()))


def test_explanation_shows_plain_values():
    text = explain(*changed({"falls": (25, 51, 79), "lr": 1e-3}))
    for line in ("lr            0.001       as you", "falls         25, 51, 79  as you asked",
                 "patience      -           run 145", "width         1           paper, section 3.",
                 "noise         run145      relea", "noise_until   67          run 145: then no",
                 "bias_falls    0           run 1"):
        assert re.search(f"^{re.escape(line)}", text, re.MULTILINE), line
    text = explain(*suggest("alexnet", MANY, "paper"))
    for name in "falls", "noise_until", "conv1_until":
        assert re.search(rf"^{name} +-  ", text, re.MULTILINE), name
    assert re.search(r"^patience +5  ", text, re.MULTILINE)


# When the rate falls


def test_falls_at_given_epochs():
    assert [step_falls(epoch, (2, 4)) for epoch in range(1, 7)] == [0, 0, 1, 1, 2, 2]
    assert step_falls(5, ()) == 0


@pytest.mark.parametrize(("errors", "falls"), [
    ([], 0), ([0.9], 0), ([0.9, 0.9], 0), ([0.9, 0.9, 0.9], 1), ([0.9, 0.95, 0.92], 1),
    ([0.9, 0.9, 0.8, 0.8], 0), ([0.9, 0.9, 0.8, 0.8, 0.8], 1),
    ([0.9, 0.9, 0.9, 0.9], 1), ([0.9] * 5, 2), ([0.9] * 6, 2), ([0.9] * 7, 3), ([0.9] * 99, 3),
    ([0.9, 0.9, 0.9, 0.89, 0.9, 0.9], 2),
    ([0.5, 0.6, 0.6, 0.55, 0.55], 2),
])
def test_falls_when_the_error_stops_improving(errors, falls):
    """Patience is 2. Equal is not better, and better than the last is not better than the best."""
    assert plateau_falls(errors, 2) == falls


def test_falls_never_become_fewer():
    """The list of errors is all there is to know: a resumed run has the rate of any other."""
    errors = np.random.default_rng(0).random(60).round(1).tolist()
    falls = [plateau_falls(errors[:n], 3) for n in range(61)]
    assert falls == sorted(falls) and falls[0] == 0 and falls[-1] == 3
    assert max(b - a for a, b in itertools.pairwise(falls)) == 1


LAYERS = ["columns.0.conv1.weight", "columns.1.conv1.bias", "columns.0.conv2.weight",
          "columns.1.conv2.bias", "fc8.weight", "fc8.bias"]


def rates(recipe, epoch, falls, device):
    """The rate of each of LAYERS, as seen by a step with gradients of 1."""
    parameters = {name: Tensor(np.zeros(1), device, requires_grad=True) for name in LAYERS}
    optimizer = optim.SGD(parameters, momentum=0, weight_decay=0)
    for earlier in range(1, epoch + 1):
        set_rates(optimizer, recipe, earlier, falls)
    for parameter in parameters.values():
        parameter.grad = Tensor(np.ones(1), device)
    optimizer.step()
    return [-parameter.item() for parameter in parameters.values()]


@pytest.mark.parametrize(("epoch", "weights", "conv1", "biases", "bias1"), [
    (1, 0.01, 0.01, 0.02, 0.02), (25, 0.01, 0.01, 0.02, 0.02),
    (26, 0.001, 0.001, 0.02, 0.02), (52, 1e-4, 1e-4, 0.02, 0.02), (67, 1e-4, 1e-4, 0.02, 0.02),
    (68, 1e-4, 1e-5, 0.02, 0.02), (72, 1e-4, 1e-5, 0.02, 0.02),
    (73, 1e-4, 0, 0.02, 0), (80, 1e-5, 0, 0.02, 0), (90, 1e-5, 0, 0.02, 0)])
def test_rates_of_run_145(device, epoch, weights, conv1, biases, bias1):
    recipe, _ = suggest("alexnet", MANY, "run145")
    found = rates(recipe, epoch, step_falls(epoch, recipe.falls), device)
    assert found == pytest.approx([conv1, bias1, weights, biases, weights, biases], rel=1e-12)


@pytest.mark.parametrize("falls", [0, 1, 2, 3])
def test_rates_of_the_paper(device, falls):
    """One for all layers, to the end."""
    recipe, _ = suggest("alexnet", MANY, "paper")
    assert rates(recipe, 90, falls, device) == pytest.approx(6 * [0.01 / 10**falls], rel=1e-12)


def test_biases_may_fall_once(device):
    recipe, _ = suggest("alexnet", FEW)
    biases = [rates(recipe, 1, falls, device)[-1] for falls in range(4)]
    assert biases == pytest.approx([0.01, 0.001, 0.001, 0.001], rel=1e-12)


def test_biases_do_not_decay(device):
    recipe, _ = suggest("alexnet", MANY)
    parameters = {name: Tensor(np.ones(1), device, requires_grad=True) for name in LAYERS}
    optimizer = optim.SGD(parameters, weight_decay=0.5)
    set_rates(optimizer, recipe, 1, 0)
    for parameter in parameters.values():
        parameter.grad = Tensor(np.zeros(1), device)
    optimizer.step()
    for name, parameter in parameters.items():
        assert parameter.item() == pytest.approx(1 if name.endswith("bias") else 1 - 0.5 * 0.01)
