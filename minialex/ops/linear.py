"""Matrix products: the fully connected layer."""

from .. import checks
from ..operation import op
from .common import sum_wide

__all__ = ["linear", "matmul"]


def _product(xp, a, b):
    """a @ b, a few columns of b at a time: the threads share out the larger matrix."""
    y = xp.empty((a.shape[0], b.shape[1]), a.dtype)
    xp.over_batch(lambda part: xp.matmul(a, b[:, part], out=y[:, part]),
                  b.shape[1], a.itemsize * len(b))
    return y


@op(needs=True, operators=("__matmul__", "__rmatmul__"))
def matmul(xp, a, b):
    """Matrix product (N, K) @ (K, M) -> (N, M).  Keeps a, b.  Built in chapter 04."""
    checks.matmul(a, b)

    def backward(gy, needs):
        return (_product(xp, gy, b.T) if needs[0] else None,
                _product(xp, a.T, gy) if needs[1] else None)

    return _product(xp, a, b), backward


@op(needs=True)
def linear(xp, x, w, b=None):
    """Fully connected layer, y = x w + b.

    x: (N, in), w: (in, out), b: (out,) -> y: (N, out).  Keeps x, w.
    Paper: section 3.5 (fc6 to fc8).  Built in chapter 04.
    """
    checks.linear(x, w, b)
    y = _product(xp, x, w)
    if b is not None:
        xp.add(y, b, out=y)

    def backward(gy, needs):
        gx = _product(xp, gy, w.T) if needs[0] else None
        gw = _product(xp, x.T, gy) if needs[1] else None
        return (gx, gw, sum_wide(gy, (0,)).reshape(-1))[: len(needs)]

    return y, backward
