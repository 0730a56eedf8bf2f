"""Matrix products: the fully connected layer."""

from __future__ import annotations

from ..tensor import op

__all__ = ["linear", "matmul"]


def _product(xp, a, b):
    """a @ b, written into memory of the device's own."""
    return xp.matmul(a, b, out=xp.empty((a.shape[0], b.shape[1]), a.dtype))


@op(methods=["__matmul__"])
def matmul(xp, a, b):
    """Matrix product (N, K) @ (K, M) -> (N, M).  Keeps a, b.  Built in chapter 04."""
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise ValueError(f"matmul: a is {a.shape} and b is {b.shape}; "
                         "they must be (N, K) and (K, M)")

    def backward(gy, needs):
        return (_product(xp, gy, b.T) if needs[0] else None,
                _product(xp, a.T, gy) if needs[1] else None)

    return _product(xp, a, b), backward


@op
def linear(xp, x, w, b=None):
    """Fully connected layer, y = x w + b.

    x: (N, in), w: (in, out), b: (out,) -> y: (N, out).  Keeps x, w.
    Paper: section 3.5 (fc6 to fc8).  Built in chapter 04.
    """
    if x.ndim != 2 or x.shape[0] == 0:
        raise ValueError(f"linear: x has shape {x.shape}; it must be (N, in) with N at least 1: "
                         "call flatten(x) first")
    if w.ndim != 2 or w.shape[0] != x.shape[1]:
        raise ValueError(f"linear: w has shape {w.shape} but x {x.shape} has {x.shape[1]} columns; "
                         f"w must be ({x.shape[1]}, out)")
    if b is not None and b.shape != w.shape[1:]:
        raise ValueError(f"linear: b has shape {b.shape}; it must be {w.shape[1:]} for w {w.shape}")
    y = _product(xp, x, w)
    if b is not None:
        xp.add(y, b, out=y)

    def backward(gy, needs):
        gx = _product(xp, gy, w.T) if needs[0] else None
        gw = _product(xp, x.T, gy) if needs[1] else None
        return (gx, gw, gy.sum(axis=0))[: len(needs)]

    return y, backward
