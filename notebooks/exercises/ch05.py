"""Exercises of chapter 05: convolution. Then check("ch05") in the notebook."""

import numpy as np  # noqa: F401


def output_size(size, kernel, stride=1, pad=0):
    """How many windows of `kernel` pixels fit into `size` pixels, with `pad` zeros on each side."""
    raise NotImplementedError


def count(kh, kw, c, o, oh, ow, groups=1):
    """(weights, multiply-accumulates) of a layer: c channels in, o out, oh x ow positions."""
    raise NotImplementedError


def blur(image, size):
    """Mean of each window of size x size pixels: (H, W) -> (H - size + 1, W - size + 1)."""
    raise NotImplementedError


def patches_of(x, kh, kw):
    """(N, H, W, C) -> (N, OH, OW, KH * KW * C) with stride 1; loops over KH and KW only."""
    raise NotImplementedError


def gradient_of_kernels(x, gy, kh, kw):
    """x (N, H, W, C), gy (N, OH, OW, O), stride 1 -> (KH, KW, C, O), without patches."""
    raise NotImplementedError
