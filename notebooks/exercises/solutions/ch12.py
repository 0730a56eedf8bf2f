"""Solutions of chapter 12."""

import numpy as np


def top5_error(scores, labels):
    right = scores[np.arange(len(labels)), labels][:, None]
    better = np.sum(scores >= right, axis=1) - 1  # the right class is as good as itself
    return float(np.mean(better >= 5))


def nearest_by_angle(a, b):
    # |a| is the same for all rows of b, so it changes no choice; |b| is not.
    return np.argmax(a @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T, axis=1)


def vote(distances, labels, count):
    nearest = labels[np.argsort(distances, axis=1)[:, :count]]  # (N, count)
    # argmax gives the first of equal counts: the smaller number.
    return np.array([np.bincount(row).argmax() for row in nearest])


def window(layers, place):
    first = last = place  # a unit sees itself; each layer below widens that
    for size, stride, pad in reversed(layers):
        first = first * stride - pad
        last = last * stride - pad + size - 1
    return first, last


def most_exciting(maps, count):
    largest = maps.max(axis=(1, 2))  # (N, C), wherever in the image it is
    return np.argsort(-largest, axis=0)[:count].T  # (C, count)


def cover(probabilities, image, label, size):
    rows, columns = image.shape[0] // size, image.shape[1] // size
    covered = np.repeat(image[None], rows * columns, axis=0)  # one copy for each square
    for i, j in np.ndindex(rows, columns):
        square = covered[i * columns + j, i * size : (i + 1) * size, j * size : (j + 1) * size]
        square[...] = 0  # a view: writes into the copy
    before, after = probabilities(image[None])[0, label], probabilities(covered)[:, label]
    return (before - after).reshape(rows, columns)
