"""Solutions of chapter 04."""

import numpy as np


def loss_at_start(classes):
    return np.log(classes)


def log_softmax(scores):
    shifted = scores - scores.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def gradients(x, w, b, labels):
    wrong = np.exp(log_softmax(x @ w + b)) - np.eye(len(b))[labels]  # p - y
    return x.T @ wrong / len(x), wrong.mean(axis=0)


def most_confused(scores, labels):
    table = np.zeros((scores.shape[1], scores.shape[1]), int)
    np.add.at(table, (labels, scores.argmax(axis=1)), 1)
    np.fill_diagonal(table, 0)
    return np.unravel_index(table.argmax(), table.shape)


def coasting(v, momentum):
    return v * momentum / (1 - momentum)


def steps_down(rate, momentum, most=10_000):
    place, velocity, steepness = np.ones(2), np.zeros(2), np.array([100.0, 1.0])
    for step in range(1, most + 1):
        velocity = momentum * velocity - rate * steepness * place
        place = place + velocity
        if np.abs(place).max() < 0.001:
            return step
        if np.abs(place).max() > 1e100:
            return None
    return None
