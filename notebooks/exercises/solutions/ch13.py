"""Solutions of chapter 13."""

import numpy as np

from minialex import nn, no_grad


def trained(rows, classes):
    units = rows[-2].output[0]  # what fc7 gives is what fc8 gets
    return (units + 1) * classes, sum(row.parameters for row in rows[:-1])


def graft(net, old):
    state, source = net.state(), old.state()
    fit = {name for name in state if name in source and source[name].shape == state[name].shape}
    net.load_state(state | {name: source[name] for name in fit})  # it wants all names
    return [name for name in state if name not in fit]


def freeze(net, but):
    # With the dot, or "fc8" would take "fc80" as well.
    for name, parameter in net.named_parameters().items():
        parameter.requires_grad = name.startswith(but + ".")
    return [name for name in net.named_parameters() if name.startswith(but + ".")]


def features(net, images, batch):
    fc8, was_training = net.fc8, net.training
    net.eval()  # no dropout, or fc7 would differ from call to call
    net.fc8 = nn.Sequential()  # gives back what it gets
    with no_grad():
        parts = [net(images[start : start + batch]).numpy()
                 for start in range(0, len(images), batch)]
    net.fc8 = fc8
    net.train(was_training)
    return np.concatenate(parts)


def tuning_rules(layer, factor):
    # The first pattern that fits counts, so the narrow ones come first.
    return {f"{layer}.bias": {"lr": 2 * factor, "weight_decay": 0}, f"{layer}.*": {"lr": factor},
            "*bias": {"lr": 2, "weight_decay": 0}}


def layer_of_means(x, labels):
    # |x - mean|² = |x|² - 2 x . mean + |mean|². |x|² is the same for all classes; times -1/2, the
    # nearest has the highest score.
    means = np.array([x[labels == k].mean(axis=0) for k in range(labels.max() + 1)])
    return means.T, -np.sum(means**2, axis=1) / 2
