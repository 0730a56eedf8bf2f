"""From scores to probabilities, and to the one number that training makes small."""

from .. import checks
from ..operation import op
from .common import select, sum_wide

__all__ = ["log_softmax", "softmax", "softmax_cross_entropy"]


def _half_below(x, axes):
    """(x - m) / 2, where m is the largest x: halves, because 1e38 - -3e38 is beyond float32."""
    half = x * 0.5
    half -= half.max(axis=axes, keepdims=True)
    return half


@op(static=("axis",))
def softmax(xp, x, axis=-1):
    """exp(x) / sum(exp(x)): probabilities along `axis`.  Keeps y.  Built in chapter 04."""
    checks.filled("softmax", x)
    axes = checks.axes("softmax", x, axis)
    powers = xp.exp(_half_below(x, axes)) ** 2
    y = powers / sum_wide(powers, axes)
    return y, lambda gy: y * (gy - sum_wide(gy * y, axes))


@op(static=("axis",))
def log_softmax(xp, x, axis=-1):
    """log(softmax(x)), without taking the logarithm of 0.  Keeps y.  Built in chapter 04."""
    checks.filled("log_softmax", x)
    axes = checks.axes("log_softmax", x, axis)
    half = _half_below(x, axes)
    y = 2 * half - xp.log(sum_wide(xp.exp(half) ** 2, axes))
    return y, lambda gy: gy - xp.exp(y) * sum_wide(gy, axes)


@op(static=("labels",))
def softmax_cross_entropy(xp, logits, labels):
    """Mean over the batch of -log(softmax(logits)) at the right class.

    logits: (N, classes), any real numbers; labels: (N,) integers 0 .. classes - 1 on the host,
    where they can be checked without waiting for the device.  -> one number, in nats.
    A logit of -inf rules its class out; the loss is inf if that class is the right one.  A logit of
    inf, or a row of -inf only, has no probabilities: NaN.
    Keeps probabilities.  Paper: section 5 (multinomial logistic regression).  Chapter 04.
    """
    checks.softmax_cross_entropy(logits, labels)
    n, classes = logits.shape
    half = _half_below(logits, 1)
    powers = xp.exp(half) ** 2
    total = powers.sum(axis=1, keepdims=True)
    right = xp.asarray(labels).reshape(n, 1) == xp.arange(classes)  # (N, classes), one True a row
    chosen = select(xp, right, half, out=half).sum(axis=1, keepdims=True)
    p = xp.divide(powers, total, out=powers)

    def backward(gy):
        # d loss / d logits = (softmax - one-hot) / N
        return (p - right) * (gy * (1 / n))

    return ((xp.log(total) - 2 * chosen) * (1 / n)).sum(), backward
