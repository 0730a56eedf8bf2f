"""A run that starts from a trained network, in place of first weights: fine-tuning."""

from __future__ import annotations

from dataclasses import replace

from .. import checks
from ..datasets import ImageSet
from ..errors import InputError
from ..nn import Module
from .classifier import Classifier
from .recipe import OLDER, Recipe, Settings, change, suggest
from .stored import short

__all__ = ["fine_tuning", "freeze", "has_new_classes", "layers", "start_from"]

SHARE = 4  # of the epochs that a network needs from nothing, one of so many will do
SLOWER, NEW = 10, 10.0  # the rate is so much smaller, and that of a new last layer so much larger


def layers(net: Module) -> list[str]:
    """The names of the layers that learn, from the images up; those of two columns once."""
    checks.kinds("layers", net=(net, Module))
    return list(dict.fromkeys(map(_layer, net.named_parameters())))


def _layer(parameter: str) -> str:
    """The layer of a parameter: "conv1" of "columns.0.conv1.weight"."""
    return parameter.split(".")[-2]


def has_new_classes(source: Classifier, images: ImageSet) -> bool:
    """Whether the classes are not those of the network, so that its last layer must be new."""
    checks.kinds("has_new_classes", source=(source, Classifier), images=(images, ImageSet))
    return list(source.classes) != list(images.classes)


def start_from(net: Module, source: Classifier, images: ImageSet) -> None:
    """Give `net` the weights of a trained network. For new classes, the last layer stays new.

    images: that it is going to learn from, of the size that the trained network is used to.
    Raises InputError if they are not, or if the networks are not of one kind and size.
    """
    checks.kinds("start_from", net=(net, Module), source=(source, Classifier),
                 images=(images, ImageSet))
    needed = source.preparation.mean.shape
    if images.shape != needed:
        raise InputError(f"{images.name}: images of shape {images.shape} came, and the network to "
                         f"start from learnt from {needed}; give images of that shape")
    state, last = source.net.state(), layers(net)[-1]
    if has_new_classes(source, images):
        state |= {name: parameter.numpy() for name, parameter in net.named_parameters().items()
                  if _layer(name) == last}
    net.load_state(state)


def freeze(net: Module, last: str) -> None:
    """Freeze the layer `last` and all layers below it. "": leave all as it is.

    What is frozen keeps no tape, and backward ends above it.
    """
    checks.kinds("freeze", net=(net, Module), last=(last, str))
    frozen = _up_to(net, last) if last else []
    for name, parameter in net.named_parameters().items():
        if _layer(name) in frozen:
            parameter.requires_grad = False


def _up_to(net: Module, last: str) -> list[str]:
    names = layers(net)
    if last not in names[:-1]:
        raise InputError(f"frozen is {short(last)}; it must be one of {', '.join(names[:-1])}: "
                         "that layer and all below it keep their weights")
    return names[: names.index(last) + 1]


def fine_tuning(source: Classifier, images: ImageSet, name: str = "run145",
                frozen: str = "") -> tuple[Recipe, dict[str, str]]:
    """Settings of a run that starts from `source`, and the source of each, as of `suggest`.

    images: to learn from. name: "run145" or "paper". frozen: the layer up to which nothing learns.
    """
    checks.kinds("fine_tuning", source=(source, Classifier), images=(images, ImageSet))
    if frozen:
        _up_to(source.net, frozen)
    recipe, sources = suggest(source.config["model"], len(images), name, images.mirrored)
    rate, epochs = recipe.lr, recipe.epochs
    recipe, sources = change(recipe, sources, epochs=max(1, round(epochs / SHARE)))
    sources["epochs"] = (f"Not 2012: a quarter of the {epochs} from nothing, for most is learnt "
                         "already")
    settings: Settings = {"lr": (
        rate / SLOWER, f"Not 2012: a tenth of the {rate:g} from nothing, for large steps would "
                       "undo what the weights know")}
    if has_new_classes(source, images):
        settings["last_lr"] = (NEW, "Not 2012: the last layer is new, and has all to learn; ten "
                                    "times the rate of the others, as in Caffe's example of "
                                    "fine-tuning (flickr_style)")
    if frozen:
        settings["frozen"] = frozen, "as you asked: they keep their weights"
    theirs = {**OLDER, **source.config["recipe"]}
    settings |= {setting: (theirs[setting], "of the network to start from")
                 for setting in ("init", "width", "norm", "image_size", "scale")
                 if setting in theirs}
    return (replace(recipe, **{setting: value for setting, (value, _) in settings.items()}),
            sources | {setting: reason for setting, (_, reason) in settings.items()})
