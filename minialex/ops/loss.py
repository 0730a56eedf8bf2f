"""From scores to probabilities, and to one number to make small."""

from ..errors import InputError, InputTypeError
from ..operation import op

__all__ = ["log_softmax", "softmax", "softmax_cross_entropy"]


def _log_probabilities(xp, x, axis):
    """x - log(sum(exp(x))); taking the maximum off first keeps exp from overflowing."""
    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - xp.log(xp.exp(shifted).sum(axis=axis, keepdims=True))


@op(static=("axis",))
def softmax(xp, x, axis=-1):
    """exp(x) / sum(exp(x)): probabilities along `axis`.  Keeps y.  Built in chapter 04."""
    y = xp.exp(_log_probabilities(xp, x, axis))
    return y, lambda gy: y * (gy - (gy * y).sum(axis=axis, keepdims=True))


@op(static=("axis",))
def log_softmax(xp, x, axis=-1):
    """log(softmax(x)), without taking the logarithm of 0.  Keeps y.  Built in chapter 04."""
    y = _log_probabilities(xp, x, axis)
    return y, lambda gy: gy - xp.exp(y) * gy.sum(axis=axis, keepdims=True)


@op(static=("labels",))
def softmax_cross_entropy(xp, logits, labels):
    """Mean over the batch of -log(softmax(logits)) at the right class.

    logits: (N, classes), any real numbers; labels: (N,) integers 0 .. classes - 1 on the host,
    where they can be checked without waiting for the device.  -> one number, in nats.
    Keeps log-probabilities.  Paper: section 5 (multinomial logistic regression).  Chapter 04.
    """
    n, classes = _check(logits, labels)
    log_p = _log_probabilities(xp, logits, -1)
    right = xp.asarray(labels).reshape(n, 1) == xp.arange(classes)  # (N, classes), one True a row

    def backward(gy):
        # d loss / d logits = (softmax - one-hot) / N
        return (xp.exp(log_p) - right) * (gy / n)

    return -(log_p * right).sum() / n, backward


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
