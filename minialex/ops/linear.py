"""Matrix products: the fully connected layer."""

from ..errors import InputError
from ..operation import op

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
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise InputError(f"matmul: a is {a.shape}, b is {b.shape}; make them (N, K) and (K, M)")

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
    if x.ndim != 2 or x.shape[0] == 0:
        raise InputError(f"linear: x has shape {x.shape}; make it (N, in), N > 0, by flatten(x)")
    if w.ndim != 2 or w.shape[0] != x.shape[1]:
        raise InputError(f"linear: w is {w.shape}, x is {x.shape}; w must be ({x.shape[1]}, out)")
    if b is not None and b.shape != w.shape[1:]:
        raise InputError(f"linear: b has shape {b.shape}; it must be {w.shape[1:]} for w {w.shape}")
    y = _product(xp, x, w)
    if b is not None:
        xp.add(y, b, out=y)

    def backward(gy, needs):
        gx = _product(xp, gy, w.T) if needs[0] else None
        gw = _product(xp, x.T, gy) if needs[1] else None
        return (gx, gw, gy.sum(axis=0))[: len(needs)]

    return y, backward
