"""Exercises of chapter 13: a new last layer. Then check("ch13") in the notebook."""

import numpy as np  # noqa: F401


def trained(rows, classes):
    """(trained, frozen): numbers of parameters if the last layer is replaced and the rest frozen.

    rows: of `AlexNet.count()`, for any number of classes; the last row is fc8, which has a weight
    for each output of fc7 and each class, and a bias for each class. classes: of the new layer.
    """
    raise NotImplementedError


def graft(net, old):
    """Copy into net each parameter of old that net has too, by the same name and in the same shape.

    Returns the names of all parameters of net that were left as they were, in the order of
    `net.named_parameters()`.
    """
    raise NotImplementedError


def freeze(net, but):
    """Let training leave all parameters of net alone but those of one layer.

    but: the path of the layer, such as "fc8" or "columns.0.fc7"; its parameters want a gradient
    afterwards, whatever they did before. Returns their names.
    """
    raise NotImplementedError


def features(net, images, batch):
    """fc7 of all images, without dropout and at most `batch` at a time: (N, units), a NumPy array.

    net: an AlexNet. Afterwards it has the same fc8 as before, and is in the same mode.
    """
    raise NotImplementedError


def tuning_rules(layer, factor):
    """Rules for `SGD`: one layer learns `factor` times as fast as the others.

    In every layer the biases learn twice as fast as the weights, and do not decay. layer: a path.
    The rules are a dict, and the first pattern that fits a parameter's name counts.
    """
    raise NotImplementedError


def layer_of_means(x, labels):
    """(w, b) of a linear layer whose highest score is for the class with the nearest mean.

    x: (N, D), labels: (N,), from 0 on, each class at least once -> (D, classes), (classes,).
    Near means a small |x - mean|², which is |x|² - 2 x · mean + |mean|².
    """
    raise NotImplementedError
