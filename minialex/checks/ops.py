"""What single ops need: images, matrices, scores."""

import math

from ..errors import InputError, InputTypeError
from .shapes import number, shown, whole

WIDEST = 1_000_000  # padding; sizes in bytes that follow from more would overflow

__all__ = ["conv2d", "dropout", "images", "linear", "local_response_norm", "matmul",
           "normalization", "padding", "pool2d", "softmax_cross_entropy", "window"]


# Images


def images(op, x):
    """x must be a batch of at least one image, (N, H, W, C)."""
    if x.ndim != 4:
        raise InputError(f"{op}: x has shape {x.shape}; reshape it to (N, H, W, C), grey: C = 1")
    if x.shape[0] == 0:
        raise InputError(f"{op}: x has shape {x.shape}, an empty batch; give at least one image")


def padding(op, pad):
    """`pad` on every side, or (above, below, left, right), as four ints."""
    sides = pad if isinstance(pad, tuple) else (pad,) * 4
    if len(sides) != 4:
        raise InputError(f"{op}: pad is {shown(pad)}; give one number or (above, below, left, "
                         "right)")
    return tuple(whole(op, "pad", side, least=0, most=WIDEST) for side in sides)


def window(op, image, size):
    """A window of `size` must fit into the padded image; both are (rows, columns)."""
    if size[0] > image[0] or size[1] > image[1]:
        raise InputError(f"{op}: a window of {size[0]}x{size[1]} does not fit into an image of "
                         f"{image[0]}x{image[1]} (with padding); use a smaller window or more "
                         "padding")


def conv2d(x, w, b, stride, pad, groups):
    """stride, pad and groups, as ints."""
    images("conv2d", x)
    groups = whole("conv2d", "groups", groups)
    if w.ndim != 4 or 0 in w.shape:
        raise InputError(f"conv2d: w has shape {w.shape}; it must be (KH, KW, C / groups, O), each "
                         "at least 1")
    c, cg, o = x.shape[3], w.shape[2], w.shape[3]
    if c != cg * groups:
        raise InputError(f"conv2d: x {x.shape} has {c} channels but w {w.shape} is made for "
                         f"{cg} x groups = {cg * groups}; w must be (KH, KW, {c} / groups, O)")
    if o % groups:
        raise InputError(f"conv2d: w {w.shape} has {o} kernels, which groups={groups} does not "
                         "divide; the number of kernels must be a multiple of groups")
    if b is not None and b.shape != (o,):
        raise InputError(f"conv2d: b has shape {b.shape}; it must be ({o},) for w {w.shape}")
    return whole("conv2d", "stride", stride), padding("conv2d", pad), groups


def pool2d(op, x, size, stride, most=math.inf):
    """size and stride, as ints."""
    images(op, x)
    return whole(op, "size", size, most=most), whole(op, "stride", stride)


def local_response_norm(x, size, k, alpha, beta):
    images("local_response_norm", x)
    return normalization(size, k, alpha, beta, "local_response_norm")


def normalization(size, k, alpha, beta, op="LocalResponseNorm"):
    """The options of a response normalization, as an int and three real numbers."""
    size = whole(op, "size", size)
    if size % 2 == 0:
        raise InputError(f"{op}: size is {size}; it must be odd, to have a middle")
    k, alpha, beta = number(op, "k", k), number(op, "alpha", alpha), number(op, "beta", beta)
    if not (k > 0 and alpha >= 0 and math.isfinite(beta)):
        raise InputError(f"{op}: k is {k}, alpha is {alpha}, beta is {beta}; k must be positive, "
                         "so that an image of zeros has something to be divided by, alpha at "
                         "least 0, beta finite")
    return size, k, alpha, beta


def dropout(x, mask):
    if mask.shape != x.shape or mask.dtype != bool:
        raise InputError(f"dropout: mask is {mask.dtype} {mask.shape}; x needs bool {x.shape}")

# Matrices and scores


def matmul(a, b):
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise InputError(f"matmul: a is {a.shape}, b is {b.shape}; make them (N, K) and (K, M)")


def linear(x, w, b):
    if x.ndim != 2 or x.shape[0] == 0:
        raise InputError(f"linear: x has shape {x.shape}; make it (N, in), N > 0, by flatten(x)")
    if w.ndim != 2 or w.shape[0] != x.shape[1]:
        raise InputError(f"linear: w is {w.shape}, x is {x.shape}; w must be ({x.shape[1]}, out)")
    if b is not None and b.shape != w.shape[1:]:
        raise InputError(f"linear: b has shape {b.shape}; it must be {w.shape[1:]} for w {w.shape}")


def softmax_cross_entropy(logits, labels):
    op = "softmax_cross_entropy"
    if logits.ndim != 2 or logits.shape[0] == 0:
        raise InputError(f"{op}: logits has shape {logits.shape}; make it (N, classes), N > 0")
    n, classes = logits.shape
    got = getattr(labels, "dtype", type(labels).__name__)
    if getattr(got, "kind", "") not in ("i", "u"):
        raise InputTypeError(f"{op}: labels are {got}; they must be a NumPy array of integers")
    if labels.shape != (n,):
        raise InputError(f"{op}: labels has shape {labels.shape}; they must be ({n},)")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise InputError(f"{op}: labels lie in {low} .. {high} but logits {logits.shape} has "
                         f"classes 0 .. {classes - 1}; check the labels or the last layer")
