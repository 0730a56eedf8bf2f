"""Solutions of chapter 06."""

import numpy as np


def collapse(w1, b1, w2, b2):
    return w1 @ w2, b1 @ w2 + b2


def saturated(y, slope=0.05):
    return np.mean(1 - y**2 < slope)


def alpha_for(scale, alpha=1e-4):
    return alpha / scale**2


def modern_dropout(x, keep, p, training):
    return x * keep / (1 - p) if training else x


def gradient_of_pool(x, gy, size, stride):
    gx = np.zeros_like(x)
    for i, j in np.ndindex(gy.shape):
        window = (slice(i * stride, i * stride + size), slice(j * stride, j * stride + size))
        gx[window] += gy[i, j] * (x[window] == x[window].max())
    return gx


def normalise(x):
    c = x.shape[3]
    padded = np.pad(x**2, ((0, 0), (0, 0), (0, 0), (2, 2)))
    near = sum(padded[..., shift : shift + c] for shift in range(5))
    return x / (2 + 1e-4 * near) ** 0.75
