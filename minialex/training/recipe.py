"""The settings of a run: the paper's, those that its authors ran, and what small sets need."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, get_type_hints

from .. import checks
from ..datasets.shards.read import MOST_SIDE
from ..errors import InputError
from ..models import model_info
from .stored import has_type, short

__all__ = ["Recipe", "change", "check", "explain", "lengthen", "suggest"]

FEW = 100_000  # images: below, an epoch is so few steps that ImageNet's numbers do not fit
PHOTOGRAPHS = 3_068  # of the set that the numbers for few images were tried on


@dataclass(frozen=True)
class Recipe:
    """All settings of a run. `explain` says where each comes from, `RULES` what is allowed."""

    epochs: int
    batch: int
    lr: float  # of weights, at the start
    falls: tuple[int, ...]  # epochs after which the rate is divided by ten
    patience: int  # if not 0: divided when the error has not improved for this many epochs
    momentum: float
    weight_decay: float  # of weights; biases do not decay
    bias_lr: float  # rate of biases at the start, in rates of weights
    bias_falls: int  # how many of the falls the rate of the biases follows
    last_lr: float  # rate of the last layer, in rates of the others
    frozen: str  # the layer up to which nothing learns, itself included; "": all layers learn
    mirror: float  # chance that an image is mirrored
    noise: str  # of colours: "run145", "literal" (as printed), "none"
    noise_until: int  # epoch; then it ends, and conv1's weights go on at a tenth of the rate
    conv1_until: int  # epoch after which conv1 is frozen
    init: str  # first weights
    width: float  # share of the paper's kernels
    norm: str  # response normalization: "paper", or "caffe" for networks that come from there
    image_size: int  # rows and columns of a crop
    scale: float  # of grey levels
    squeeze: bool  # pictures become squares by squeezing, not by cutting off their ends

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            check(name, value)


# What each setting may be, and the same in words.
MOST = 10**6  # epochs, or images in a step
WHOLE = (lambda n: 1 <= n <= MOST, f"a whole number from 1 to {MOST:,}")
COUNT = (lambda n: 0 <= n <= MOST, f"a whole number from 0 to {MOST:,}")
RATE = (lambda x: x > 0, "a number more than 0")
WIDEST = 8  # times as many kernels as in the paper


def _one_of(*names: str) -> tuple[Callable[[Any], bool], str]:
    return (lambda name: name in names), " or ".join(names)


RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "epochs": WHOLE, "batch": WHOLE, "lr": RATE,
    "falls": (lambda epochs: all(1 <= n <= MOST for n in epochs)
              and sorted(set(epochs)) == [*epochs], f"epochs from 1 to {MOST:,}, in order"),
    "patience": COUNT, "momentum": (lambda x: 0 <= x < 1, "a number from 0 to less than 1"),
    "weight_decay": (lambda x: x >= 0, "a number of at least 0"),
    "bias_lr": (lambda x: x >= 0, "a number of at least 0"), "bias_falls": COUNT,
    "last_lr": RATE, "frozen": (lambda layer: True, "the name of a layer, or ''"),
    "mirror": (lambda x: 0 <= x <= 1, "a chance between 0 and 1"),
    "noise": _one_of("run145", "literal", "none"), "noise_until": WHOLE, "conv1_until": WHOLE,
    "init": _one_of("run145", "paper", "he"),
    "width": (lambda x: 0 < x <= WIDEST,
              f"a share of the paper's kernels, more than 0 and at most {WIDEST}"),
    "norm": _one_of("paper", "caffe"), "scale": RATE,
    "image_size": (lambda n: 1 <= n <= MOST_SIDE, f"a whole number from 1 to {MOST_SIDE:,}"),
    "squeeze": (lambda squeeze: True, "true or false")}

# Settings that older runs do not tell, and what they were.
OLDER = {"mirror": 0.5, "last_lr": 1.0, "frozen": "", "norm": "paper", "squeeze": False}


def check(name: str, value: Any) -> None:
    """Raises InputError if the setting `name` of a recipe cannot be `value`."""
    if name not in RULES:
        raise InputError(f"{name!r} is unknown")
    fits, words = RULES[name]
    if not (has_type(value, get_type_hints(Recipe)[name]) and fits(value)):
        raise InputError(f"{name} is {short(value)}; it must be {words}")


# Value and source of every setting; after the first table only those that differ.
Settings = dict[str, tuple[Any, str]]

_PAPER: Settings = {
    "epochs": (90, "paper, section 5: about 90 passes over 1.2 million images"),
    "batch": (128, "paper, section 5"),
    "lr": (0.01, "paper, section 5: 0.01 at the start"),
    "falls": ((), "paper, section 5: no fixed epochs, the validation error decides"),
    "patience": (5, "paper, section 5: divided by ten, three times, when the validation error "
                    "stopped improving; it was done by hand, so the number of epochs is ours"),
    "momentum": (0.9, "paper, section 5"),
    "weight_decay": (5e-4, "paper, section 5; biases do not decay (released source)"),
    "bias_lr": (1.0, "paper, section 5: one rate for all layers"),
    "bias_falls": (3, "paper, section 5: one rate for all layers"),
    "last_lr": (1.0, "paper, section 5: one rate for all layers"),
    "frozen": ("", "paper: all layers learn, to the end"),
    "mirror": (0.5, "paper, section 4.1"),
    "noise": ("run145", "paper, section 4.1, as it was run; taken at its word (literal) it "
                        "moves colours by hundreds of grey levels: the paper names eigenvalues "
                        "where their square roots are meant"),
    "noise_until": (90, "paper: never switched off"),
    "conv1_until": (90, "paper: never frozen"),
    "init": ("paper", "paper, section 5: std 0.01 everywhere; expect a long stand at ln(classes)"),
    "width": (1.0, "paper, section 3.5"),
    "norm": ("paper", "paper, section 3.3"),
    "image_size": (224, "paper, section 3.5; 3 zero rows and columns are added, as in the run, "
                        "which rounded sizes up"),
    "scale": (1.0, "2012: grey levels 0 to 255, less their mean"),
    "squeeze": (False, "paper, section 2: the shorter side, then the central square"),
}
_RUN145 = _PAPER | {
    "epochs": (90, "paper, section 5: about 90 passes; run 145 was stopped in epoch 91"),
    "falls": ((25, 51, 79), "run 145: the epochs that the authors noted"),
    "patience": (0, "run 145: the falls have their epochs"),
    "bias_lr": (2.0, "run 145: 0.02 beside 0.01"),
    "bias_falls": (0, "run 145: 0.02 to the end"),
    "noise": ("run145", "released source: square roots of the eigenvalues, and then everything "
                        "divided by 1.1"),
    "noise_until": (67, "run 145: then no noise, and a tenth of the rate for conv1's weights"),
    "conv1_until": (72, "run 145: then conv1 was frozen"),
    "init": ("run145", "run 145: std 0.01, but 0.03 in conv3, conv4 and conv5"),
    "image_size": (227, "227 real pixels give the same 55x55 outputs as 224 and 3 zero rows"),
}

# The full network on 3,068 photographs.
_FEW: Settings = {
    "epochs": (36, "Not 2012: with few images, steps count: {steps:,} at batch {batch}; "
                   "{epochs} epochs for 3,068 images or more, up to ten times as many for fewer"),
    "batch": (64, "Not 2012: half of 128, for twice as many steps in an epoch"),
    "lr": (0.005, "Not 2012: half of 0.01 for half the batch"),
    "falls": ((), _PAPER["falls"][1]),
    "patience": (5, "paper, section 5: when the validation error stops improving; five epochs, "
                    "because on few images it jitters"),
}
_FEW_RUN145: Settings = {
    "epochs": (24, _FEW["epochs"][1]),
    "falls": ((18, 22), "Not 2012: late, since few steps need a high rate; at fixed epochs, since "
                        "on few images the validation error jitters"),
    "patience": _RUN145["patience"],
    "bias_falls": (1, "run 145 for ILSVRC-2010: cut once"),
    "noise_until": (18, "run 145, at the same share of the epochs; then a tenth of the rate for "
                        "conv1's weights"),
    "conv1_until": (19, "run 145, at the same share of the epochs; then conv1 is frozen"),
}

# Images of 28x28 pixels. Width, first weights and size of images are those of the model.
_SMALL: Settings = {
    "epochs": (10, "Not 2012: enough for 28x28 pixels"),
    "lr": (0.05, "Not 2012: a small network with few steps needs, and bears, five times the rate"),
    "bias_falls": (3, "Not 2012: with the rate of the weights"),
    "noise": ("none", "Not 2012: small images are often grey; and those of CIFAR-10 were only cut "
                      "and mirrored by AlexNet's author (cuda-convnet)"),
    "noise_until": (90, "paper: never"),
    "conv1_until": (90, "paper: never frozen"),
}
_SMALL_RUN145: Settings = {"falls": ((7, 9), "Not 2012: after 7 and 9 tenths of the epochs")}
_SMALL_2012 = {"init": "Not 2012: He et al. 2015; in narrow layers the signal of std 0.01 is lost",
               "width": "Not 2012: a quarter of the kernels",
               "image_size": "Not 2012: smaller kernels for smaller images"}
_SMALL_1998 = {"init": "Not 1998: He et al. 2015", "width": "LeCun et al. 1998",
               "norm": "does not matter: LeNet-5 has none",
               "image_size": "LeCun et al. 1998: 28, and two zero rows and columns on each side"}
_SLOWER: Settings = {"epochs": (15, "Not 2012: enough for 28x28 pixels")}
_SLOWER_RUN145: Settings = {"falls": ((9, 13), "Not 2012: after 6 and 9 tenths of the epochs")}

# What follows from other settings, or from the images.
_SCALES = {False: _PAPER["scale"],
           True: (1 / 64, "Not 2012: 'he' expects inputs of about unit size, and grey levels vary "
                          "by about 64")}
_NO_MIRROR = (0.0, "Not 2012: a digit in a mirror is another sign, or none")


def suggest(model: str, images: int, name: str = "run145",
            mirror: bool = True) -> tuple[Recipe, dict[str, str]]:
    """Settings, and the source of each.

    model: a name of `models.MODELS`; images: how many there are to learn from; name: "run145"
    (what the authors ran) or "paper" (what they printed); mirror: whether an image and its mirror
    image show the same kind of thing.
    """
    checks.whole("suggest", "images", images, least=0)
    if checks.text("suggest", "name", name) not in ("paper", "run145"):
        raise InputError(f"suggest: no recipe {name!r}; use 'paper' or 'run145'")
    info, as_run = model_info(model), name == "run145"
    few = info.photographs and images < FEW
    settings = _RUN145 if as_run else _PAPER
    if few:
        settings = settings | _FEW | (_FEW_RUN145 if as_run else {})
    elif not info.photographs:
        settings = settings | _SMALL | (_SMALL_RUN145 if as_run else {})
        of_2012 = info.year == 2012
        if not of_2012:
            settings = settings | _SLOWER | (_SLOWER_RUN145 if as_run else {})
        for setting, source in (_SMALL_2012 if of_2012 else _SMALL_1998).items():
            settings[setting] = getattr(info, setting), source
        settings["scale"] = _SCALES[info.init == "he"]
    if not mirror:
        settings = settings | {"mirror": _NO_MIRROR}
    sources = {name: source for name, (_, source) in settings.items()}
    recipe = Recipe(**{name: value for name, (value, _) in settings.items()})
    if few:
        epochs = recipe.epochs * min(10, max(1, round(PHOTOGRAPHS / max(images, 1))))
        steps = epochs * -(-images // recipe.batch)
        sources["epochs"] = sources["epochs"].format(steps=steps, **asdict(recipe))
        recipe = replace(recipe, epochs=epochs, **_at_same_share(recipe, epochs))
    return recipe, sources


def _at_same_share(recipe: Recipe, epochs: int) -> dict[str, Any]:
    """What happens during a run, moved to the same share of this many epochs."""
    share = epochs / recipe.epochs
    falls = {max(1, round(share * epoch)) for epoch in recipe.falls}
    until = {name: getattr(recipe, name) for name in ("noise_until", "conv1_until")}
    return {"falls": tuple(sorted(epoch for epoch in falls if epoch < epochs)),
            **{name: max(1, round(share * epoch)) if epoch < recipe.epochs else max(epochs, epoch)
               for name, epoch in until.items()}}


def change(recipe: Recipe, sources: dict[str, str],
           **given: Any) -> tuple[Recipe, dict[str, str]]:
    """The settings changed by what is `given`, and by what follows from it."""
    checks.kinds("change", recipe=(recipe, Recipe), sources=(sources, dict))
    follow: Settings = {}
    if "epochs" in given:
        check("epochs", given["epochs"])
        for name, value in _at_same_share(recipe, given["epochs"]).items():
            never = name != "falls" and value >= given["epochs"]
            follow[name] = value, sources[name] if never else "at the same share of your epochs"
    if "falls" in given:
        follow["patience"] = 0, "your falls have their epochs"
    if "init" in given:
        follow["scale"] = _SCALES[given["init"] == "he"]
    changed = {name: (value, reason) for name, (value, reason) in follow.items()
               if name not in given and value != getattr(recipe, name)}
    if "patience" in given and (recipe.falls or not given["patience"]):
        changed["falls"] = (), ("the validation error decides" if given["patience"] else
                                "the rate never falls")
    changed |= {name: (value, "as you asked") for name, value in given.items()}
    return (replace(recipe, **{name: value for name, (value, _) in changed.items()}),
            sources | {name: reason for name, (_, reason) in changed.items()})


def lengthen(recipe: Recipe, epochs: int) -> Recipe:
    """The recipe of a run that has begun, with another number of epochs. What happens at an epoch
    still happens at it, and what would never have happened still never does."""
    later: dict[str, Any] = {name: epochs for name in ("noise_until", "conv1_until")
             if recipe.epochs <= getattr(recipe, name) < epochs}
    return replace(recipe, epochs=epochs, **later)


def explain(recipe: Recipe, sources: dict[str, str]) -> str:
    """Name, value and source of each setting, in 80 columns; "-" is what does not happen."""
    checks.kinds("explain", recipe=(recipe, Recipe), sources=(sources, dict))
    values = {name: _plain(value) for name, value in asdict(recipe).items()}
    for name in ("noise_until", "conv1_until"):
        if getattr(recipe, name) >= recipe.epochs:
            values[name] = "-"
    if not recipe.patience:
        values["patience"] = "-"
    wide = [max(map(len, column)) for column in (values, values.values())]
    paragraphs = []
    for name, value in values.items():
        head = f"{name:{wide[0]}}  {value:{wide[1]}}  "
        paragraphs.append(textwrap.fill(sources[name], 80, initial_indent=head,
                                        subsequent_indent=" " * len(head)))
    return "\n".join(paragraphs)


def _plain(value: Any) -> str:
    """0.01, "run145", (25, 51, 79) as "0.01", "run145", "25, 51, 79"; () and "" as "-"."""
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (value or "-") if isinstance(value, str) else f"{value:g}"
