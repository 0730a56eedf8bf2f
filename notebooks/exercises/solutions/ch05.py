"""Solutions of chapter 05."""

import numpy as np

from minialex import Tensor, ops


def output_size(size, kernel, stride=1, pad=0):
    return (size + 2 * pad - kernel) // stride + 1


def count(kh, kw, c, o, oh, ow, groups=1):
    weights = kh * kw * (c // groups) * o
    return weights, weights * oh * ow


def blur(image, size):
    kernel = np.full((size, size, 1, 1), 1 / size**2)
    x = np.asarray(image, float)[None, :, :, None]
    return ops.conv2d(Tensor(x), Tensor(kernel)).numpy()[0, :, :, 0]


def patches_of(x, kh, kw):
    n, h, w, c = x.shape
    oh, ow = h - kh + 1, w - kw + 1
    patches = np.empty((n, oh, ow, kh, kw, c), x.dtype)
    for u in range(kh):
        for v in range(kw):
            patches[:, :, :, u, v] = x[:, u : u + oh, v : v + ow]
    return patches.reshape(n, oh, ow, kh * kw * c)


def gradient_of_kernels(x, gy, kh, kw):
    oh, ow, o = gy.shape[1:]
    gw = np.empty((kh, kw, x.shape[3], o), x.dtype)
    for u in range(kh):
        for v in range(kw):
            seen = x[:, u : u + oh, v : v + ow].reshape(-1, x.shape[3])
            gw[u, v] = seen.T @ gy.reshape(-1, o)
    return gw
