"""Dropout by a given mask: the random numbers are drawn by the caller (nn.Dropout)."""

from .. import checks
from ..operation import op
from .common import select

__all__ = ["dropout"]


@op
def dropout(xp, x, mask):
    """Set x to zero where mask is False; nothing is rescaled (the 2012 rule).

    x: any shape, mask: booleans of the same shape.  Keeps mask.
    Paper: section 4.2.  Built in chapter 06.
    """
    checks.dropout(x, mask)
    y = select(xp, mask, x, xp.empty(x.shape, x.dtype))
    return y, lambda gy: (select(xp, mask, gy, xp.empty(gy.shape, gy.dtype)), None)
