"""Solutions of chapter 11."""

import copy

import numpy as np


def loss_of_guessing(counts):
    shares = np.asarray(counts, float) / np.sum(counts)
    shares = shares[shares > 0]
    return -float(np.sum(shares * np.log(shares)))


def leaves_plateau(losses, level, window=20):
    for step in range(window, len(losses) + 1):
        if np.mean(losses[step - window : step]) < 0.9 * level:
            return step
    return None


def falls_after(errors, patience, most=3):
    epochs, best, since = [], float("inf"), 0
    for epoch, error in enumerate(errors, start=1):
        if error < best:
            best, since = error, epoch
        elif epoch - since == patience and len(epochs) < most:
            epochs.append(epoch)
            since = epoch
    return epochs


def velocity_at_fall(v, old, new):
    return v * (old / new)


def _generators(net):
    return [module.rng.bit_generator for _, module in net.named_modules() if hasattr(module, "rng")]


def snapshot(net, sgd):
    return copy.deepcopy((net.state(), sgd.state(), sgd.lr, [g.state for g in _generators(net)]))


def restore(net, sgd, saved):
    weights, velocities, sgd.lr, states = saved
    net.load_state(weights)
    sgd.load_state(velocities)
    for generator, state in zip(_generators(net), states, strict=True):
        generator.state = state
