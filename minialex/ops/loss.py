"""From scores to probabilities, and to one number to make small."""

from ..errors import InputError, InputTypeError
from ..operation import op
from .common import check_axes, select

__all__ = ["log_softmax", "softmax", "softmax_cross_entropy"]


def _powers(op, xp, x, axis):
    """For m = max(x): (x - m) / 2; exp(x - m), the largest of which is 1; their sum; the axes.

    By halves, because 1e38 - -3e38 is beyond float32.
    """
    axes = check_axes(op, x, axis)
    if x.size == 0:
        raise InputError(f"{op}: x has shape {x.shape}; give it at least one number")
    half = x * 0.5
    half -= half.max(axis=axes, keepdims=True)
    power = xp.exp(half) ** 2
    return half, power, power.sum(axis=axes, keepdims=True), axes


@op(static=("axis",))
def softmax(xp, x, axis=-1):
    """exp(x) / sum(exp(x)): probabilities along `axis`.  Keeps y.  Built in chapter 04."""
    _, power, total, axes = _powers("softmax", xp, x, axis)
    y = power / total
    return y, lambda gy: y * (gy - (gy * y).sum(axis=axes, keepdims=True))


@op(static=("axis",))
def log_softmax(xp, x, axis=-1):
    """log(softmax(x)), without taking the logarithm of 0.  Keeps y.  Built in chapter 04."""
    half, _, total, axes = _powers("log_softmax", xp, x, axis)
    y = 2 * half - xp.log(total)
    return y, lambda gy: gy - xp.exp(y) * gy.sum(axis=axes, keepdims=True)


@op(static=("labels",))
def softmax_cross_entropy(xp, logits, labels):
    """Mean over the batch of -log(softmax(logits)) at the right class.

    logits: (N, classes), any real numbers; labels: (N,) integers 0 .. classes - 1 on the host,
    where they can be checked without waiting for the device.  -> one number, in nats.
    A logit of -inf rules its class out; the loss is inf if that class is the right one.  A logit of
    inf, or a row of -inf only, has no probabilities: NaN.
    Keeps probabilities.  Paper: section 5 (multinomial logistic regression).  Chapter 04.
    """
    n, classes = _check(logits, labels)
    half, power, total, _ = _powers("softmax_cross_entropy", xp, logits, -1)
    right = xp.asarray(labels).reshape(n, 1) == xp.arange(classes)  # (N, classes), one True a row
    chosen = select(xp, right, half, out=half).sum(axis=1, keepdims=True)
    p = xp.divide(power, total, out=power)

    def backward(gy):
        # d loss / d logits = (softmax - one-hot) / N
        return (p - right) * (gy / n)

    return ((xp.log(total) - 2 * chosen) / n).sum(), backward


def _check(logits, labels):
    name = "softmax_cross_entropy"
    if logits.ndim != 2 or logits.shape[0] == 0:
        raise InputError(f"{name}: logits has shape {logits.shape}; make it (N, classes), N > 0")
    n, classes = logits.shape
    got = getattr(labels, "dtype", type(labels).__name__)
    if getattr(got, "kind", "") not in ("i", "u"):
        raise InputTypeError(f"{name}: labels are {got}; they must be a NumPy array of integers")
    if labels.shape != (n,):
        raise InputError(f"{name}: labels has shape {labels.shape}; they must be ({n},)")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise InputError(f"{name}: labels lie in {low} .. {high} but logits {logits.shape} has "
                         f"classes 0 .. {classes - 1}; check the labels or the last layer")
    return n, classes
