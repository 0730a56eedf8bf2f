"""Exercises of chapter 06: the parts of AlexNet. Then check("ch06") in the notebook."""

import numpy as np  # noqa: F401


def collapse(w1, b1, w2, b2):
    """(w, b) of the one linear layer that equals layer 1 followed by layer 2, with no bend."""
    raise NotImplementedError


def saturated(y, slope=0.05):
    """The share (0 to 1) of tanh units whose slope is below `slope`; y: their outputs."""
    raise NotImplementedError


def alpha_for(scale, alpha=1e-4):
    """The alpha with which LRN of `scale * x` is `scale` times the LRN of x with `alpha`."""
    raise NotImplementedError


def modern_dropout(x, keep, p, training):
    """Dropout that does nothing in the test; keep: booleans like x, p: probability to drop."""
    raise NotImplementedError


def gradient_of_pool(x, gy, size, stride):
    """x (H, W), gy (OH, OW) -> (H, W), the gradient of x for max pooling; no two of x are equal."""
    raise NotImplementedError


def normalise(x):
    """LRN by the paper's constants, x (N, H, W, C) -> the same shape; loop over channels only."""
    raise NotImplementedError
