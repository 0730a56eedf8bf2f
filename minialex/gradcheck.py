"""Numerical gradients: does `backward` compute the derivative of what forward computes?

Built in chapter 03, which also shows how such a check can lie.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from . import checks
from .backend import Device
from .errors import MinialexError
from .tensor import Tensor

__all__ = ["GradientError", "check_gradients"]


class GradientError(MinialexError, AssertionError):
    """A gradient is not the derivative."""


def check_gradients(
    function: Callable[..., Tensor], *inputs: Any, rtol: float = 1e-6, atol: float = 1e-9,
    step: float = 1e-5, seed: int = 0, device: str | Device | None = None,
) -> float:
    """Compare the gradients of `function(*tensors)` with central differences, entry by entry.

    inputs: arrays or tensors, taken as float64; each is checked. Keep them off kinks (0 for relu)
    and ties (equal numbers for max_pool2d): there a derivative does not exist.
    The result is weighted with *random* numbers, because with equal weights many wrong gradients
    look right: that of softmax becomes 0, a reshape passes for a transpose.

    Returns the worst relative error, |analytic - numeric| over the larger of the two and the
    gradient's mean size. Raises GradientError, with the worst entry, if one is off by more than
    rtol (relative) plus atol.
    """
    given = checks.checkable(function, inputs, Tensor, seed, rtol=rtol, atol=atol, step=step)
    arrays = [checks.converted(lambda x: np.array(x, np.float64), x) for x in given]
    tensors = [Tensor(a, device, requires_grad=True) for a in arrays]
    result = checks.result("check_gradients", Tensor, function(*tensors))
    weights = np.random.default_rng(seed).standard_normal(result.shape)

    def value(index: int, entry: tuple[int, ...], shift: float) -> float:
        """The weighted sum of the result, after one entry of one input has been shifted."""
        moved = [a.copy() if i == index else a for i, a in enumerate(arrays)]
        moved[index][entry] += shift
        return float((function(*[Tensor(a, device) for a in moved]).numpy() * weights).sum())

    result.backward(weights)
    worst = 0.0
    for index, (array, tensor) in enumerate(zip(arrays, tensors, strict=True)):
        if tensor.grad is None:
            raise GradientError(f"input {index} {array.shape} got no gradient; is it used at all?")
        analytic = tensor.grad.numpy()
        numeric = np.empty_like(array)
        for entry in np.ndindex(array.shape):
            numeric[entry] = (value(index, entry, step) - value(index, entry, -step)) / (2 * step)
        error = np.abs(analytic - numeric)
        scale = np.maximum(np.maximum(abs(analytic), abs(numeric)), abs(numeric).mean())
        excess = error - (rtol * scale + atol)
        if not np.all(excess <= 0):  # a NaN is an error as well
            at = np.unravel_index(np.argmax(np.nan_to_num(excess, nan=np.inf)), array.shape)
            raise GradientError(
                f"input {index} {array.shape}, entry {tuple(map(int, at))}: backward says "
                f"{analytic[at]:.9g}, the difference quotient {numeric[at]:.9g} "
                f"at x = {array[at]:.6g}; the gradient is wrong, or x is on a kink or a tie")
        worst = max(worst, float((error / np.maximum(scale, atol / rtol)).max(initial=0)))
    return worst
