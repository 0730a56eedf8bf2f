"""Which data sets there are: the public ones by name, ImageNet, and any folder of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ... import checks
from ..errors import DataError
from .cifar10 import CIFAR10
from .clothing import CLOTHING, CLOTHING_MINI
from .facts import PublicSet
from .fashion_mnist import FASHION_MNIST, FASHION_MNIST_FULL
from .imagenet import IMAGENET
from .imagenette import IMAGENETTE
from .mnist import MNIST

__all__ = ["SETS", "look_up"]

SETS: Mapping[str, PublicSet] = MappingProxyType({known.name: known for known in (
    FASHION_MNIST, FASHION_MNIST_FULL, MNIST, CIFAR10, CLOTHING_MINI, CLOTHING, IMAGENETTE,
    IMAGENET)})


def look_up(name: str) -> PublicSet:
    """The set of this name. Raises DataError if there is none."""
    if checks.text("datasets", "name", name) not in SETS:
        raise DataError(f"there is no data set {name!r}; use one of {', '.join(SETS)}")
    return SETS[name]
