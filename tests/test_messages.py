"""Bad input of an op is met with one line: the op, the argument, what came, and what to do."""

import re

import numpy as np
import pytest

import minialex as ma
from minialex import nn, ops
from minialex.backend import DeviceError
from minialex.errors import MinialexError


class Maker:
    """Tensors on the first device of the run; `there` is the second."""

    def __init__(self, here, there):
        self.here, self.there = here, there

    def __call__(self, *shape, dtype="float32", device=None):
        return ma.Tensor(np.ones(shape, dtype), device or self.here)

    def weight(self, *shape, dtype="float32"):
        return ma.Tensor(np.ones(shape, dtype), self.here, requires_grad=True)


def says(error, *parts):
    """An error of this type, in one line that holds `parts` in this order."""
    return error, r"\A" + ".*".join(map(re.escape, parts)) + r"[^\n]*\Z"


def check(call, error, pattern):
    with pytest.raises(error, match=pattern) as caught:
        call()
    assert isinstance(caught.value, MinialexError)


def labels(*values, dtype=None):
    return np.array(values, dtype)


def loss(t, labels):
    return ops.softmax_cross_entropy(t(2, 3), labels)


# Each row: the call, the error, and its text in parts.

CONV = "conv2d: x has shape (28, 28); ", "(N, H, W, C)"
ROWS = {
    # Images
    "conv2d rank": (lambda t: ops.conv2d(t(28, 28), t(5, 5, 1, 6)), ValueError, *CONV),
    "max_pool2d rank": (lambda t: ops.max_pool2d(t(4, 4, 3), size=2, stride=2), ValueError,
                        "max_pool2d: x has shape (4, 4, 3); ", "(N, H, W, C)"),
    "avg_pool2d rank": (lambda t: ops.avg_pool2d(t(4), size=2, stride=2), ValueError,
                        "avg_pool2d: x has shape (4,); ", "(N, H, W, C)"),
    "lrn rank": (lambda t: ops.local_response_norm(t(2, 3)), ValueError,
                 "local_response_norm: x has shape (2, 3); ", "(N, H, W, C)"),
    "conv2d empty batch": (lambda t: ops.conv2d(t(0, 9, 9, 3), t(5, 5, 3, 2)), ValueError,
                           "conv2d: x has shape (0, 9, 9, 3), an empty batch; ", "one image"),
    "max_pool2d empty batch": (lambda t: ops.max_pool2d(t(0, 9, 9, 3), size=3, stride=2),
                               ValueError, "max_pool2d: x has shape (0, 9, 9, 3), an empty batch"),
    "avg_pool2d empty batch": (lambda t: ops.avg_pool2d(t(0, 9, 9, 3), size=3, stride=2),
                               ValueError, "avg_pool2d: x has shape (0, 9, 9, 3), an empty batch"),
    "lrn empty batch": (lambda t: ops.local_response_norm(t(0, 9, 9, 3)), ValueError,
                        "local_response_norm: x has shape (0, 9, 9, 3), an empty batch"),

    # Convolution
    "kernels rank": (lambda t: ops.conv2d(t(8, 9, 9, 3), t(5, 5, 3)), ValueError,
                     "conv2d: w has shape (5, 5, 3); it must be (KH, KW, C / groups, O)"),
    "channels": (lambda t: ops.conv2d(t(8, 9, 9, 3), t(4, 2, 5, 5)), ValueError,
                 "conv2d: x (8, 9, 9, 3) has 3 channels but w (4, 2, 5, 5) is made for 5",
                 "w must be (KH, KW, 3 / groups, O)"),
    "no kernels": (lambda t: ops.conv2d(t(8, 9, 9, 3), t(5, 5, 3, 0)), ValueError,
                   "conv2d: w has shape (5, 5, 3, 0); ", "at least 1"),
    "groups and channels": (lambda t: ops.conv2d(t(8, 9, 9, 6), t(5, 5, 6, 4), groups=2),
                            ValueError, "conv2d: x (8, 9, 9, 6) has 6 channels but w (5, 5, 6, 4)",
                            "6 x groups = 12", "(KH, KW, 6 / groups, O)"),
    "groups and kernels": (lambda t: ops.conv2d(t(8, 9, 9, 6), t(5, 5, 3, 5), groups=2),
                           ValueError, "conv2d: w (5, 5, 3, 5) has 5 kernels", "groups=2 does not",
                           "divide", "a multiple of groups"),
    "groups 0": (lambda t: ops.conv2d(t(8, 9, 9, 6), t(5, 5, 3, 5), groups=0), ValueError,
                 "conv2d: groups is 0; it must be a whole number", "at least 1"),
    "groups of float": (lambda t: ops.conv2d(t(8, 9, 9, 6), t(5, 5, 3, 4), groups=2.0), ValueError,
                        "conv2d: groups is 2.0; it must be a whole number"),
    "conv2d bias": (lambda t: ops.conv2d(t(8, 9, 9, 3), t(5, 5, 3, 2), t(3)), ValueError,
                    "conv2d: b has shape (3,); it must be (2,) for w (5, 5, 3, 2)"),
    "conv2d bias rank": (lambda t: ops.conv2d(t(8, 9, 9, 3), t(5, 5, 3, 2), b=t(1, 2)), ValueError,
                         "conv2d: b has shape (1, 2); it must be (2,)"),
    "kernel too large": (lambda t: ops.conv2d(t(8, 3, 9, 1), t(6, 5, 1, 2), pad=1), ValueError,
                         "conv2d: a window of 6x5 does not fit into an image of 5x11",
                         "smaller window or more padding"),
    "conv2d stride 0": (lambda t: ops.conv2d(t(8, 9, 9, 1), t(5, 5, 1, 2), stride=0), ValueError,
                        "conv2d: stride is 0; it must be a whole number", "at least 1"),
    "conv2d stride pair": (lambda t: ops.conv2d(t(8, 9, 9, 1), t(5, 5, 1, 2), stride=(2, 2)),
                           ValueError, "conv2d: stride is (2, 2); it must be a whole number"),
    "pad negative": (lambda t: ops.conv2d(t(8, 9, 9, 1), t(5, 5, 1, 2), pad=-1), ValueError,
                     "conv2d: pad is -1; it must be a whole number", "at least 0"),
    "pad half": (lambda t: ops.conv2d(t(8, 9, 9, 1), t(5, 5, 1, 2), pad=1.5), ValueError,
                 "conv2d: pad is 1.5; it must be a whole number", "at least 0"),
    "pad pair": (lambda t: ops.conv2d(t(8, 9, 9, 1), t(5, 5, 1, 2), pad=(1, 2)), ValueError,
                 "conv2d: pad is (1, 2); give one number or (above, below, left, right)"),

    # Pooling and normalisation
    "window too large": (lambda t: ops.max_pool2d(t(8, 9, 2, 1), size=3, stride=2), ValueError,
                         "max_pool2d: a window of 3x3 does not fit into an image of 9x2",
                         "smaller window"),
    "max_pool2d size 0": (lambda t: ops.max_pool2d(t(8, 9, 9, 1), size=0, stride=2), ValueError,
                          "max_pool2d: size is 0; it must be a whole number", "at least 1"),
    "max_pool2d size 300": (lambda t: ops.max_pool2d(t(1, 400, 400, 1), size=300, stride=2),
                            ValueError, "max_pool2d: size is 300; it must be a whole number, ",
                            "at least 1 and at most 255"),
    "max_pool2d stride True": (lambda t: ops.max_pool2d(t(8, 9, 9, 1), size=3, stride=True),
                               ValueError, "max_pool2d: stride is True; it must be a whole number"),
    "max_pool2d size 2.0": (lambda t: ops.max_pool2d(t(8, 9, 9, 1), size=np.float32(2), stride=1),
                            ValueError, "max_pool2d: size is ", "it must be a whole number"),
    "max_pool2d stride 0": (lambda t: ops.max_pool2d(t(8, 9, 9, 1), size=3, stride=0), ValueError,
                            "max_pool2d: stride is 0; it must be a whole number", "at least 1"),
    "avg_pool2d size pair": (lambda t: ops.avg_pool2d(t(8, 9, 9, 1), size=(2, 2), stride=2),
                             ValueError, "avg_pool2d: size is (2, 2); it must be a whole number"),
    "avg_pool2d stride -1": (lambda t: ops.avg_pool2d(t(8, 9, 9, 1), size=2, stride=-1), ValueError,
                             "avg_pool2d: stride is -1; it must be a whole number"),
    "lrn size even": (lambda t: ops.local_response_norm(t(8, 9, 9, 6), size=4), ValueError,
                      "local_response_norm: size is 4; ", "odd"),
    "lrn size 0": (lambda t: ops.local_response_norm(t(8, 9, 9, 6), size=0), ValueError,
                   "local_response_norm: size is 0; it must be a whole number", "at least 1"),

    # Matrices
    "linear rank": (lambda t: ops.linear(t(8, 2, 2, 3), t(12, 4)), ValueError,
                    "linear: x has shape (8, 2, 2, 3); ", "(N, in)", "flatten(x)"),
    "linear empty batch": (lambda t: ops.linear(t(0, 3), t(3, 4)), ValueError,
                           "linear: x has shape (0, 3); ", "(N, in)", "N"),
    "linear weights": (lambda t: ops.linear(t(8, 3), t(4, 3)), ValueError,
                       "linear: w ", "(4, 3)", "x ", "(8, 3)", "w must be (3, out)"),
    "linear bias": (lambda t: ops.linear(t(8, 3), t(3, 4), t(3)), ValueError,
                    "linear: b has shape (3,); it must be (4,) for w (3, 4)"),
    "matmul": (lambda t: t(2, 3) @ t(2, 3), ValueError,
               "matmul: a is (2, 3)", "b is (2, 3); ", "(N, K) and (K, M)"),

    # Shapes
    "reshape": (lambda t: ops.reshape(t(2, 3), (4, 2)), ValueError,
                "reshape: x (2, 3) holds 6 numbers", "(4, 2)", "multiply to 6"),
    "reshape with -1": (lambda t: ops.reshape(t(2, 3), (4, -1)), ValueError,
                        "reshape: x (2, 3) holds 6 numbers", "(4, -1)", "multiply to 6"),
    "reshape with two -1": (lambda t: ops.reshape(t(2, 3), (-1, -1)), ValueError,
                            "reshape: x (2, 3) holds 6 numbers", "(-1, -1)", "multiply to 6"),
    "flatten": (lambda t: ops.flatten(t()), ValueError,
                "flatten: x has shape (); it must be (N, ...)", "N at least 1"),
    "flatten empty batch": (lambda t: ops.flatten(t(0, 3)), ValueError,
                            "flatten: x has shape (0, 3); it must be (N, ...)", "N at least 1"),
    "transpose twice": (lambda t: ops.transpose(t(2, 3, 4), (0, 1, 1)), ValueError,
                        "transpose: axes is (0, 1, 1)", "x (2, 3, 4)", "once"),
    "transpose too few": (lambda t: ops.transpose(t(2, 3, 4), (1, 0)), ValueError,
                          "transpose: axes is (1, 0)", "x (2, 3, 4)", "once"),
    "reshape with a half": (lambda t: ops.reshape(t(2, 3), (1.5, 4)), ValueError,
                            "reshape: x (2, 3) holds 6 numbers", "(1.5, 4)", "multiply to 6"),
    "reshape with -2": (lambda t: ops.reshape(t(2, 3), (-2, -3)), ValueError,
                        "reshape: x (2, 3) holds 6 numbers", "(-2, -3)", "multiply to 6"),
    "reshape of nothing": (lambda t: ops.reshape(t(0, 3), (0, -1)), ValueError,
                           "reshape: x (0, 3) holds 0 numbers", "(0, -1)"),
    "transpose by words": (lambda t: ops.transpose(t(2, 3), (0, "a")), ValueError,
                           "transpose: axes is (0, 'a') for x (2, 3)", "once"),
    "reshape with a word": (lambda t: ops.reshape(t(2, 3), "flat"), ValueError,
                            "reshape: x (2, 3) holds 6 numbers", "flat", "multiply to 6"),
    "transpose by a number": (lambda t: ops.transpose(t(2, 3), 1), ValueError,
                              "transpose: axes is 1 for x (2, 3)", "once"),
    "concat shapes": (lambda t: ops.concat(t(2, 3, 4), t(2, 3, 5), t(2, 2, 4)), ValueError,
                      "concat: input 2 is (2, 2, 4) but input 0 is (2, 3, 4)",
                      "all sizes but that of axis 2 must be equal"),
    "concat ranks": (lambda t: ops.concat(t(2, 3), t(2, 3, 4)), ValueError,
                     "concat: input 1 is (2, 3, 4) but input 0 is (2, 3)"),
    "concat axis": (lambda t: ops.concat(t(2, 3), t(2, 3), axis=2), ValueError,
                    "concat: axis is 2 but input 0 ", "(2, 3)"),
    "concat nothing": (lambda t: ops.concat(), TypeError,
                       "concat: input 0 is a NoneType, not a Tensor"),
    "concat list": (lambda t: ops.concat([t(2), t(2)]), TypeError,
                    "concat: input 0 is a list, not a Tensor; give tensors one by one: ",
                    "concat(*list)"),
    "concat None": (lambda t: ops.concat(t(2), None), TypeError,
                    "concat: input 1 is a NoneType, not a Tensor"),
    "concat half": (lambda t: ops.concat(t(2, 3), t(2, 3), axis=0.5), ValueError,
                    "concat: axis is 0.5; it must be a whole number"),
    "take_channels order": (lambda t: ops.take_channels(t(2, 5), 3, 3), ValueError,
                            "take_channels: start=3, stop=3 but x (2, 5)",
                            "give 0 <= start < stop <= 5"),
    "take_channels beyond": (lambda t: ops.take_channels(t(2, 5), 3, 6), ValueError,
                             "take_channels: start=3, stop=6 but x (2, 5)",
                             "give 0 <= start < stop <= 5"),
    "take_channels half": (lambda t: ops.take_channels(t(2, 5), 0.5, 2), ValueError,
                           "take_channels: start is 0.5; it must be a whole number"),
    "take_channels of a number": (lambda t: ops.take_channels(t(), 0, 1), ValueError,
                                  "take_channels: start=0, stop=1 but x () has channels 0 .. 0"),
    "take_channels words": (lambda t: ops.take_channels(t(2, 5), 0, "b"), ValueError,
                            "take_channels: stop is 'b'; it must be a whole number"),
    "take_channels negative": (lambda t: ops.take_channels(t(2, 5), -2, 5), ValueError,
                               "take_channels: start=-2, stop=5", "give 0 <= start < stop <= 5"),

    # Numbers
    "dropout mask shape": (lambda t: ops.dropout(t(2, 3), t(3, 2, dtype=bool)), ValueError,
                           "dropout: mask is bool (3, 2); ", "bool (2, 3)"),
    "dropout mask type": (lambda t: ops.dropout(t(2, 3), t(2, 3)), ValueError,
                          "dropout: mask is float32 (2, 3); ", "bool (2, 3)"),
    "dropout mask array": (lambda t: ops.dropout(t(2, 3), np.ones((2, 3), bool)), TypeError,
                           "dropout: mask is a ndarray, not a Tensor", "Tensor("),
    "sum over half an axis": (lambda t: ops.sum(t(2, 3), axis=0.5), ValueError,
                              "sum: axis is 0.5 but x has shape (2, 3); ", "-2 .. 1"),
    "mean over a list of axes": (lambda t: ops.mean(t(2, 3), axis=[0, 1]), ValueError,
                                 "mean: axis is [0, 1] but x has shape (2, 3); ", "-2 .. 1"),
    "lrn of words": (lambda t: ops.local_response_norm(t(1, 2, 2, 3), k="2"), TypeError,
                     "local_response_norm: k is '2'; it must be a number"),
    "lrn without alpha": (lambda t: ops.local_response_norm(t(1, 2, 2, 3), alpha=None), TypeError,
                          "local_response_norm: alpha is None; it must be a number"),
    "lrn of a list": (lambda t: ops.local_response_norm(t(1, 2, 2, 3), beta=[0.75]), TypeError,
                      "local_response_norm: beta is [0.75]; it must be a number"),
    "lrn of no number": (lambda t: ops.local_response_norm(t(1, 2, 2, 3), beta=np.nan), ValueError,
                         "local_response_norm: k is 2.0, alpha is 0.0001, beta is nan; ", "finite"),
    "axis of a number": (lambda t: ops.softmax(t()), ValueError,
                         "softmax: axis is -1 but x has shape (); it has no axes"),
    "power of a list": (lambda t: t(2, 3) ** [1, 2], TypeError,
                        "power: exponent is [1, 2]; it must be a number"),
    "mean of nothing": (lambda t: ops.mean(t(0, 3)), ValueError,
                        "mean: x has shape (0, 3)", "at least one"),

    # Labels
    "logits rank": (lambda t: ops.softmax_cross_entropy(t(3), labels(0)), ValueError,
                    "softmax_cross_entropy: logits has shape (3,); ", "(N, classes)"),
    "logits empty batch": (lambda t: ops.softmax_cross_entropy(t(0, 3), labels(dtype=int)),
                           ValueError, "softmax_cross_entropy: logits has shape (0, 3); ",
                           "(N, classes)", "N"),
    "labels list": (lambda t: loss(t, [0, 1]), TypeError,
                    "softmax_cross_entropy: labels are list; ", "NumPy array of integers"),
    "labels tensor": (lambda t: loss(t, ma.Tensor([0, 1], t.here)), TypeError,
                      "softmax_cross_entropy: labels is a Tensor, ", "labels.numpy()"),
    "labels float": (lambda t: loss(t, labels(0.0, 1.0)), TypeError,
                     "softmax_cross_entropy: labels are float64; ", "NumPy array of integers"),
    "labels bool": (lambda t: loss(t, labels(True, False)), TypeError,
                    "softmax_cross_entropy: labels are bool; ", "NumPy array of integers"),
    "labels too few": (lambda t: loss(t, labels(1)), ValueError,
                       "softmax_cross_entropy: labels has shape (1,)", "(2,)"),
    "labels one-hot": (lambda t: loss(t, np.eye(2, 3, dtype=int)), ValueError,
                       "softmax_cross_entropy: labels has shape (2, 3)", "(2,)"),
    "labels too large": (lambda t: loss(t, labels(1, 3)), ValueError,
                         "softmax_cross_entropy: labels lie in 1 .. 3 but logits (2, 3) has",
                         "classes 0 .. 2; check the labels or the last layer"),
    "labels negative": (lambda t: loss(t, labels(-1, 2)), ValueError,
                        "softmax_cross_entropy: labels lie in -1 .. 2", "classes 0 .. 2"),

    # Types
    "mixed types": (lambda t: ops.linear(t(8, 3), t(3, 4, dtype="float64")), TypeError,
                    "linear: w is float64 but x is float32; nothing is converted silently",
                    "array.astype('float32')"),
    "mixed types, concat": (lambda t: ops.concat(t(2), t(2), t(2, dtype="float64")), TypeError,
                            "concat: input 2 is float64 but input 0 is float32"),
    "mixed types, operator": (lambda t: t(2, dtype="float64") * t(2, dtype="int32"), TypeError,
                              "mul: b is int32 but a is float64", "array.astype('float64')"),
    "uint8 images": (lambda t: ops.conv2d(t(8, 9, 9, 1, dtype="uint8"), t.weight(5, 5, 1, 2)),
                     TypeError, "conv2d: x is uint8 but w is float32; nothing is converted",
                     "give x as array.astype('float32')"),
    "float64 images": (lambda t: ops.linear(t(8, 3, dtype="float64"), t.weight(3, 4)), TypeError,
                       "linear: x is float64 but w is float32; nothing is converted silently; ",
                       "give x as array.astype('float32')"),
    "float64 images, bias": (
        lambda t: ops.linear(t(8, 3, dtype="float64"), t.weight(3, 4), t.weight(4)), TypeError,
        "linear: x is float64 but w is float32; ", "give x as array.astype('float32')"),
    "float16 weight": (lambda t: ops.linear(t(8, 3), t.weight(3, 4, dtype="float16")), TypeError,
                       "linear: x is float32 but w is float16; ",
                       "give x as array.astype('float16')"),
    "integers before floats": (lambda t: t(2, dtype="int64") * t(2), TypeError,
                               "mul: a is int64 but b is float32; ",
                               "give a as array.astype('float32')"),
    "mask before floats": (lambda t: t(2, dtype=bool) * t(2), TypeError,
                           "mul: a is bool but b is float32; ",
                           "give a as array.astype('float32')"),
    "mask as input": (lambda t: ops.linear(t(8, 3, dtype=bool), t.weight(3, 4)), TypeError,
                      "linear: x is bool but w is float32; "),
    "tanh of integers": (lambda t: ops.tanh(t(3, dtype="int64")), TypeError,
                         "tanh: x is int64; it works on floats", "array.astype('float32')"),
    "lrn of pixels": (lambda t: ops.local_response_norm(t(1, 2, 2, 3, dtype="uint8")), TypeError,
                      "local_response_norm: x is uint8; it works on floats",
                      "array.astype('float32')"),
    "minus of a mask": (lambda t: -t(3, dtype=bool), TypeError, "neg: a is bool; it works on"),
    "pixels times 300": (lambda t: t(3, dtype="uint8") * 300, TypeError, "mul: a is uint8; it"),
    "concat of ranks": (lambda t: ops.concat(t(2, 3), t(2)), ValueError,
                        "concat: input 1 is (2,) but input 0 is (2, 3)"),
    "concat with a number": (lambda t: ops.concat(t(3), t()), ValueError,
                             "concat: input 1 is () but input 0 is (3,)"),
    "word as exponent": (lambda t: t(3) ** "2", TypeError, "power: exponent is '2'; it must be"),
    "number of many": (lambda t: float(t(2, 3)), ValueError,
                       "a tensor of shape (2, 3) is not a single number", "x.numpy()"),
    "truth of many": (lambda t: bool(t(2, 3)), ValueError,
                      "a tensor of shape (2, 3) is not a single number", "x.numpy()"),
    "shape in zeros": (lambda t: ma.zeros((2, 3)), TypeError,
                       "zeros: the shape is (2, 3); ", "zeros(2, 3)"),
    "shape in randn": (lambda t: ma.randn([2, 3], rng=np.random.default_rng(0)), TypeError,
                       "randn: the shape is [2, 3]; ", "randn(2, 3)"),
    "half a number": (lambda t: ma.zeros(2.5), ValueError, "zeros: a size is 2.5; "),
    "grad of a number": (lambda t: setattr(t(2), "grad", 0), TypeError,
                         "grad: a int came; give None, or a Tensor of float32 (2,)"),
    "bias or not": (lambda t: nn.Linear(3, 2, bias=False), TypeError,
                    "Linear: bias is False; ", "0.0, or None"),
    "bias in words": (lambda t: nn.Conv2d(1, 2, 3, bias="no"), TypeError, "Conv2d: bias is 'no'"),
    "negative std": (lambda t: nn.Conv2d(1, 2, 3, std=-1), ValueError, "Conv2d: std is -1; "),
    "probability in words": (lambda t: nn.Dropout("0.5"), TypeError, "Dropout: p is '0.5'; "),
    "list of modules": (lambda t: nn.Sequential([nn.ReLU()]), TypeError,
                        "Sequential: input 0 is of type list; ", "Sequential(*list)"),
    "class for a module": (lambda t: nn.Sequential(nn.Tanh(), nn.ReLU), TypeError,
                           "Sequential: input 1 is of type type; ", "such as ReLU()"),
    "probability as tensor": (lambda t: nn.Dropout(t()), TypeError,
                              "Dropout: p is ", "gets no gradient; give p.item()"),
    "bias as tensor": (lambda t: nn.Linear(2, 2, bias=t.weight()), TypeError,
                       "Linear: bias is ", "give bias.item()"),
    "width in words": (lambda t: ma.models.AlexNet((t.here, t.there), width="half"), TypeError,
                       "AlexNet: width is 'half'; it must be a number"),
    "array first": (lambda t: ops.relu(np.ones(3)), TypeError,
                    "relu: x is a ndarray, not a Tensor; wrap it: Tensor("),
    "array second": (lambda t: ops.linear(t(8, 3), np.ones((3, 4))), TypeError,
                     "linear: w is a ndarray, not a Tensor; wrap it: Tensor("),
    "array in operator": (lambda t: t(3) + np.ones(3), TypeError,
                          "add: b is a ndarray, not a Tensor; wrap it: Tensor("),
    "array before operator": (lambda t: np.ones(3) + t(3), TypeError,
                              "add: a is a ndarray, not a Tensor; wrap it: Tensor("),
    "array in transfer": (lambda t: ops.transfer(np.ones(3), t.there), TypeError,
                          "transfer: x is a ndarray", "wrap it: Tensor("),
    "number only": (lambda t: ops.relu(3.0), TypeError, "relu: x is a float, not a Tensor; wrap"),
    "list operand": (lambda t: t(3) * [1, 2, 3], TypeError, "mul: b is a list, not a Tensor; wrap"),
    "integers with a gradient": (
        lambda t: ma.Tensor(np.arange(3), t.here, requires_grad=True), TypeError,
        "Tensor: int64 ", "gradient", "array.astype('float32')"),
    "integer list with a gradient": (
        lambda t: ma.Tensor([1, 2], t.here, requires_grad=True), TypeError,
        "Tensor: int64 ", "gradient", "array.astype('float32')"),
    "booleans with a gradient": (
        lambda t: ma.Tensor([True], t.here, requires_grad=True), TypeError,
        "Tensor: bool ", "gradient", "array.astype('float32')"),
    "words": (lambda t: ma.Tensor(["cat"], t.here), TypeError,
              "Tensor: array ", "<U3; ", "floats, integers or booleans"),
    "rows of two lengths": (lambda t: ma.Tensor([[1.0], [2.0, 3.0]], t.here), ValueError,
                            "[[1.0], [2.0, 3.0]] is not an array; ", "the same length"),
    "gradient of two lengths": (lambda t: (2 * t.weight(2)).backward([[1], [1, 2]]), ValueError,
                                "[[1], [1, 2]] is not an array; ", "the same length"),
    "method of an array": (lambda t: t(3).sum(), AttributeError,
                           "Tensor has no attribute 'sum'; ops are functions, as in ops.sum(x)"),
    "misspelt attribute": (lambda t: t(3).detatch(), AttributeError,
                           "Tensor has no attribute 'detatch'; ", "did you mean 'detach'?"),
    "part of a tensor": (lambda t: t(3)[0], TypeError, "a Tensor has no [...]", "x.numpy()"),
    "loop over a tensor": (lambda t: list(t(3)), TypeError, "a Tensor has no [...]", "x.numpy()"),
    "comparison": (lambda t: t(3) > 0, TypeError, "a Tensor has no [...] and no < or >",
                   "x.numpy()"),
    "seed in randn": (lambda t: ma.randn(3, rng=0), TypeError,
                      "randn: rng is 0; give a numpy.random.Generator, ", "default_rng(0)"),
    "memory in words": (lambda t: ma.backend.device(t.here).set_memory_limit("3GB"), ValueError,
                        "set_memory_limit: limit is '3GB'; it must be a whole number"),
    "negative memory": (lambda t: ma.backend.device(t.here).set_memory_limit(-1), ValueError,
                        "set_memory_limit: limit is -1; it must be a whole number"),
    "nothing to learn": (lambda t: ma.optim.SGD([t(3)]), ValueError,
                         "SGD: none of the parameters has requires_grad=True; "),
    "state in a file": (lambda t: nn.Linear(2, 2).load_state("net.npz"), TypeError,
                        "Linear: state is a str; give a dict of arrays", "np.load(file)"),
    "channels in words": (lambda t: nn.Conv2d("3", 4, 3), ValueError,
                          "Conv2d: in_channels is '3'; it must be a whole number"),
    "images in a list": (lambda t: ma.models.AlexNet((t.here, t.there), width=0.05)([[1]]),
                         TypeError, "AlexNet: images is a list; give an array or a Tensor"),
    "check of a result": (lambda t: ma.check_gradients(ops.relu(t(3)), np.ones(3)), TypeError,
                          "check_gradients: function is a Tensor; give the function itself"),
    "check of two results": (lambda t: ma.check_gradients(lambda x: (x, x), np.ones(3)), TypeError,
                             "check_gradients: the function returned a tuple; ", "one Tensor"),
    "check of a number": (lambda t: ma.check_gradients(lambda x: ops.sum(x).item(), np.ones(3)),
                          TypeError, "check_gradients: the function returned a float; "),
    "padding without end": (lambda t: ops.conv2d(t(1, 9, 9, 1), t(3, 3, 1, 1), pad=10**30),
                            ValueError, "conv2d: pad is 1000000000000000000000000000000; ",
                            "at most 1000000"),
    "padding beyond memory": (lambda t: ops.conv2d(t(8, 9, 9, 9), t(3, 3, 9, 1), pad=10**6),
                              MemoryError, "", "smaller"),
    "stride without end": (lambda t: ops.conv2d(t(1, 9, 9, 1), t(3, 3, 1, 1), stride=10**30),
                           ValueError, "conv2d: ", "; give smaller numbers"),
    "plus a huge number": (lambda t: t(3) + 10**400, ValueError, "add: ", "; give smaller numbers"),
    "huge number less": (lambda t: 10**400 - t(3), ValueError, "sub: ", "; give smaller numbers"),
    "over a huge number": (lambda t: t(3) / -10**400, ValueError, "div: ", "; give smaller"),
    "rate without end": (lambda t: ma.optim.SGD([t.weight(3)], lr=10**400), TypeError,
                         "SGD: lr is a int; no float is so large; "),
    "momentum of 1": (lambda t: ma.optim.SGD([t.weight(3)], momentum=1), ValueError,
                      "SGD: momentum is 1; give less than 1"),
    "size without end": (lambda t: ma.zeros(10**20), ValueError,
                         "zeros: shape (100000000000000000000,): ", "; give smaller"),
    "size beyond memory": (lambda t: ma.randn(2**58, rng=np.random.default_rng(0)), MemoryError,
                           "randn: shape (288230376151711744,): ", "; give smaller"),
    "layer without end": (lambda t: nn.Linear(10**30, 2), ValueError,
                          "init.normal: shape (1000000000000000000000000000000, 2): ", "; give"),
    "layer beyond memory": (lambda t: nn.Conv2d(2**40, 1024, 3), MemoryError,
                            "init.normal: shape (3, 3, 1099511627776, 1024): ", "; give smaller"),
    "classes without end": (lambda t: ma.models.LeNet5(classes=10**30), ValueError,
                            "init.normal: shape (84, 1000000000000", "; give smaller"),
    "unknown type": (lambda t: ma.zeros(2, dtype="x"), TypeError,
                     "zeros: dtype is 'x'; give 'float32' or 'float64'"),
    "randn of integers": (lambda t: ma.randn(2, rng=np.random.default_rng(0), dtype="int8"),
                          TypeError, "randn: dtype is 'int8'; give 'float32' or 'float64'"),
    "unknown option": (lambda t: ma.zeros(2, devise=t.here), TypeError,
                       "zeros: there is no option 'devise'; use dtype, device or requires_grad"),
    "generator of old": (lambda t: ma.randn(2, rng=np.random.RandomState(0)), TypeError,
                         "randn: rng is a RandomState; give a numpy.random.Generator"),
    "generator of old in a layer": (lambda t: nn.Linear(2, 2, rng=np.random.RandomState(0)),
                                    ValueError, "rng is a RandomState; give a numpy.random.Gen"),
    "gradient in words": (lambda t: ma.Tensor([1.0], t.here, requires_grad="yes"), TypeError,
                          "Tensor: requires_grad is 'yes'; give True or False"),
    "dropout of an array": (lambda t: nn.Dropout()(np.ones(3)), TypeError,
                            "Dropout: x is a ndarray, not a Tensor; wrap it: Tensor("),
    "dropout of nothing": (lambda t: nn.Dropout()(None), TypeError,
                           "Dropout: x is a NoneType, not a Tensor; wrap it: Tensor("),
    "norm of words": (lambda t: nn.LocalResponseNorm(size="5"), ValueError,
                      "LocalResponseNorm: size is '5'; it must be a whole number"),
    "norm of no number": (lambda t: nn.LocalResponseNorm(k=None), TypeError,
                          "LocalResponseNorm: k is None; it must be a number"),
    "watch of a word": (lambda t: nn.watch("net"), TypeError,
                        "watch: net is 'net'; it must be an object of the class Module"),
    "watcher of a number": (lambda t: nn.watch(nn.ReLU(), before=3), TypeError,
                            "watch: before is 3; give a function", "or None"),
    "op of a number": (lambda t: ma.op(3), TypeError, "@op: function is 3; give a function"),
    "check of words": (lambda t: ma.check_gradients(ops.tanh, "x"), ValueError,
                       "'x' is not an array; give numbers"),
    "check within words": (lambda t: ma.check_gradients(ops.tanh, [1.0], rtol="x"), TypeError,
                           "check_gradients: rtol is 'x'; it must be a number"),
    "check within nothing": (lambda t: ma.check_gradients(ops.tanh, [1.0], atol=None), TypeError,
                             "check_gradients: atol is None; it must be a number"),
    "check without a step": (lambda t: ma.check_gradients(ops.tanh, [1.0], step=0), ValueError,
                             "check_gradients: step is 0; it must be more than 0, and finite"),
    "check with a seed below 0": (lambda t: ma.check_gradients(ops.tanh, [1.0], seed=-1),
                                  ValueError, "check_gradients: seed is -1; it must be a whole"),
    "tensor of a tensor": (lambda t: ma.Tensor(t(3)), TypeError,
                           "Tensor: array is a Tensor", "transfer(x, device)"),
}


@pytest.mark.parametrize(("call", "error", "pattern"), [
    pytest.param(call, *says(*text), id=name.replace(" ", "_"))
    for name, (call, *text) in ROWS.items()])
def test_bad_input(call, error, pattern, devices):
    check(lambda: call(Maker(*devices)), error, pattern)


@pytest.mark.parametrize("name", ["array", "tensor", "list"])
@pytest.mark.parametrize("call", [
    lambda x: ma.zeros(x), lambda x: nn.Linear(x, 2), lambda x: nn.Linear(2, 2, std=x),
    lambda x: nn.MaxPool2d(x, 2), lambda x: nn.Dropout(x), lambda x: nn.Linear(2, 2, rng=x),
    lambda x: ops.sum(ma.zeros(2), axis=x), lambda x: ops.reshape(ma.zeros(2), x),
    lambda x: ops.transpose(ma.zeros(2, 2), x), lambda x: ma.zeros(2) ** x,
    lambda x: ops.conv2d(ma.zeros(1, 2, 2, 1), ma.zeros(1, 1, 1, 1), pad=x),
    lambda x: ma.backend.device(x), lambda x: ma.optim.SGD([nn.Parameter([1.0])], lr=x),
], ids=["zeros", "size", "std", "pool", "probability", "rng", "axis", "shape", "axes", "power",
        "pad", "device", "lr"])
def test_what_takes_many_lines_is_named_in_one(call, name):
    x = np.arange(100.0).reshape(10, 10)
    check(lambda: call({"array": x, "tensor": ma.Tensor(x), "list": x.tolist()}[name]),
          (TypeError, ValueError), r"\A[^\n]{10,200}\Z")


def test_a_mask_may_follow_floats(device):
    keep = ma.Tensor(np.array([True, False]), device)
    x = ma.Tensor(np.array([3, 4], np.float32), device, requires_grad=True)
    (x * keep / ma.Tensor(np.array([True, True]), device)).backward(np.array([5, 6]))
    assert x.grad.numpy().tolist() == [5, 0]


MIXED = {
    "conv2d: w (4, 2, 5, 5) on {there} but x (8, 9, 9, 3) on {here}; call transfer(w, '{here}')":
        lambda t: ops.conv2d(t(8, 9, 9, 3), t(4, 2, 5, 5, device=t.there)),
    "conv2d: b (5,) on {there} but x (8, 9, 9, 3) on {here}; call transfer(b, '{here}')":
        lambda t: ops.conv2d(t(8, 9, 9, 3), t(4, 2, 3, 5), b=t(5, device=t.there)),
    "concat: input 1 (2, 4) on {there} but input 0 (2, 3) on {here}; "
    "call transfer(input 1, '{here}')":
        lambda t: ops.concat(t(2, 3), t(2, 4, device=t.there)),
    "dropout: mask (2, 3) on {there} but x (2, 3) on {here}; call transfer(mask, '{here}')":
        lambda t: ops.dropout(t(2, 3), t(2, 3, dtype=bool, device=t.there)),
    "sub: b (3,) on {here} but a (2, 3) on {there}; call transfer(b, '{there}')":
        lambda t: t(2, 3, device=t.there) - t(3),
}


@pytest.mark.ch08
@pytest.mark.parametrize(("message", "call"), MIXED.items(), ids=lambda v: str(v).split(" (")[0])
def test_mixed_devices(message, call, two_devices):
    here, there = two_devices
    message = re.escape(message.format(here=here, there=there))
    check(lambda: call(Maker(here, there)), DeviceError, rf"\A{message}\Z")


@pytest.mark.parametrize("integer", [np.int64, np.uint8, np.int32])
def test_integers_of_numpy_are_whole_numbers(integer, device):
    """Sizes that were computed from arrays are such."""
    t, two, one = Maker(device, device), integer(2), integer(1)
    assert ops.max_pool2d(t(1, 5, 5, 1), size=two, stride=two).shape == (1, 2, 2, 1)
    assert ops.avg_pool2d(t(1, 5, 5, 1), size=two, stride=two).shape == (1, 2, 2, 1)
    y = ops.conv2d(t(1, 5, 5, 400), t(3, 3, 200, 2), stride=two, pad=one, groups=two)
    assert y.shape == (1, 3, 3, 2)
    assert ops.conv2d(t(1, 5, 5, 2), t(3, 3, 2, 2), pad=(one, 0, two, 0)).shape == (1, 4, 5, 2)
    assert ops.local_response_norm(t(1, 2, 2, 4), size=integer(3)).shape == (1, 2, 2, 4)
    assert ops.concat(t(2, 3), t(2, 3), axis=one).shape == (2, 6)
    assert ops.take_channels(t(2, 5), one, integer(3)).shape == (2, 2)
    assert ops.reshape(t(2, 3), (integer(3), two)).shape == (3, 2)
