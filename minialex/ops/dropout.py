"""Dropout by a given mask: the random numbers are drawn by whoever calls (nn.Dropout)."""

from ..errors import InputError
from ..operation import op

__all__ = ["dropout"]


@op
def dropout(xp, x, mask):
    """Set x to zero where mask is False; nothing is rescaled (the 2012 rule).

    x: any shape, mask: booleans of the same shape.  Keeps mask.
    Paper: section 4.2.  Built in chapter 06.
    """
    if mask.shape != x.shape or mask.dtype != bool:
        raise InputError(f"dropout: mask is {mask.dtype} {mask.shape}; x needs bool {x.shape}")
    return x * mask, lambda gy: (gy * mask, None)
