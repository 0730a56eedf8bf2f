"""The ops: each one function, forward and backward side by side.

Letters for sizes, here and in the notebooks:

    N images   H, W rows and columns   C channels   O kernels   KH, KW kernel rows and columns
    OH, OW output rows and columns   G groups   CG = C / G   K = KH * KW * CG

Images are (N, H, W, C), kernels (KH, KW, C / groups, O). `g` + a name is a gradient: gy, gx, gw.
"""

from .activation import relu, sigmoid, tanh
from .arithmetic import add, div, exp, log, mean, mul, neg, power, sub, sum
from .convolution import conv2d
from .dropout import dropout
from .linear import linear, matmul
from .loss import log_softmax, softmax, softmax_cross_entropy
from .normalization import local_response_norm
from .pooling import avg_pool2d, max_pool2d
from .shape import concat, flatten, reshape, take_channels, transpose
from .transfer import transfer

__all__ = ["add", "avg_pool2d", "concat", "conv2d", "div", "dropout", "exp", "flatten", "linear",
           "local_response_norm", "log", "log_softmax", "matmul", "max_pool2d", "mean", "mul",
           "neg", "power", "relu", "reshape", "sigmoid", "softmax", "softmax_cross_entropy", "sub",
           "sum", "take_channels", "tanh", "transfer", "transpose"]
