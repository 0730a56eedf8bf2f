"""Solutions of chapter 04."""

import numpy as np


def loss_at_start(classes):
    return np.log(classes)  # -log(1 / classes)


def log_softmax(scores):
    # log(exp(s) / sum) = s - log(sum). So no logarithm is taken of a probability that may be 0.
    shifted = scores - scores.max(axis=1, keepdims=True)  # no power exceeds exp(0) = 1
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def gradients(x, w, b, labels):
    wrong = np.exp(log_softmax(x @ w + b)) - np.eye(len(b))[labels]  # p - y
    # The loss is a mean over the images, so both gradients are divided by their number.
    return x.T @ wrong / len(x), wrong.mean(axis=0)


def most_confused(scores, labels):
    table = np.zeros((scores.shape[1], scores.shape[1]), int)  # right class, guess
    np.add.at(table, (labels, scores.argmax(axis=1)), 1)  # counts a pair as often as it comes
    np.fill_diagonal(table, 0)  # there the guess is right
    return np.unravel_index(table.argmax(), table.shape)


def coasting(v, momentum):
    # m v + m**2 v + m**3 v + ... = m v (1 + m + m**2 + ...), and the bracket is 1 / (1 - m).
    return v * momentum / (1 - momentum)


def steps_down(rate, momentum, most=10_000):
    place, velocity, steepness = np.ones(2), np.zeros(2), np.array([100.0, 1.0])
    for step in range(1, most + 1):
        velocity = momentum * velocity - rate * steepness * place
        place = place + velocity
        if np.abs(place).max() < 0.001:
            return step
        if np.abs(place).max() > 1e100:  # it climbs; soon the numbers would overflow
            return None
    return None
