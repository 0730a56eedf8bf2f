"""Every op once more, as slow loops that can be checked by eye: the oracles of the tests.

Each has the name, the arguments and the defaults of its op, takes float64 arrays and gives a
float64 array. No matrix product, no im2col, no trick: what the formula says, number by number.
"""

import itertools
import math

import numpy as np

# Element by element


def each(function, *operands):
    """function(a, b, ...) for each element, where an operand of size 1 serves a whole axis."""
    operands = [np.asarray(operand) for operand in operands]
    y = np.empty(np.broadcast_shapes(*(operand.shape for operand in operands)))
    for index in np.ndindex(y.shape):
        y[index] = function(*(_pick(operand, index) for operand in operands))
    return y


def _pick(operand, index):
    index = index[len(index) - operand.ndim :]  # shapes are compared from the right
    return operand[tuple(0 if n == 1 else i for i, n in zip(index, operand.shape, strict=True))]


def add(a, b):
    return each(lambda p, q: p + q, a, b)


def sub(a, b):
    return each(lambda p, q: p - q, a, b)


def mul(a, b):
    return each(lambda p, q: p * q, a, b)


def div(a, b):
    return each(lambda p, q: p / q, a, b)


def neg(a):
    return each(lambda p: 0 - p, a)


def power(a, exponent):
    return each(lambda p: math.pow(p, exponent), a)


def exp(x):
    return each(math.exp, x)


def log(x):
    return each(math.log, x)


def relu(x):
    return each(lambda p: p if p > 0 else 0.0, x)


def tanh(x):
    return each(math.tanh, x)


def sigmoid(x):
    return each(lambda p: 1 / (1 + math.exp(-p)), x)


def dropout(x, mask):
    return each(lambda p, keep: p if keep else 0.0, x, mask)


# Sums


def sum(x, axis=None, keepdims=False):
    axes = range(x.ndim) if axis is None else [axis] if isinstance(axis, int) else axis
    axes = [a % x.ndim for a in axes]
    y = np.zeros([1 if a in axes else size for a, size in enumerate(x.shape)])
    for index in np.ndindex(x.shape):
        y[tuple(0 if a in axes else i for a, i in enumerate(index))] += x[index]
    return y if keepdims else y.reshape([n for a, n in enumerate(x.shape) if a not in axes])


def mean(x, axis=None, keepdims=False):
    total = sum(x, axis, keepdims)
    return total / (x.size / total.size)


def matmul(a, b):
    (n, k), m = a.shape, b.shape[1]
    y = np.zeros((n, m))
    for row in range(n):
        for col in range(m):
            for i in range(k):
                y[row, col] += a[row, i] * b[i, col]
    return y


def linear(x, w, b=None):
    y = matmul(x, w)
    return y if b is None else add(y, b)


# The same numbers elsewhere


def reshape(x, shape):
    """Count through both arrays, the last axis being the fastest."""
    shape = [shape] if isinstance(shape, int) else list(shape)
    if -1 in shape:
        shape[shape.index(-1)] = x.size // -math.prod(shape)
    y = np.empty(shape)
    for to, source in zip(np.ndindex(y.shape), np.ndindex(x.shape), strict=True):
        y[to] = x[source]
    return y


def flatten(x):
    return reshape(x, (x.shape[0], -1))


def transpose(x, axes=None):
    axes = range(x.ndim)[::-1] if axes is None else axes
    y = np.empty([x.shape[axis] for axis in axes])
    for index in np.ndindex(x.shape):
        y[tuple(index[axis] for axis in axes)] = x[index]
    return y


def concat(*arrays, axis=-1):
    """Each array begins where the one before has ended."""
    axis %= arrays[0].ndim
    starts = [0, *itertools.accumulate(a.shape[axis] for a in arrays)]
    y = np.empty((*arrays[0].shape[:axis], starts[-1], *arrays[0].shape[axis + 1 :]))
    for a, start in zip(arrays, starts[:-1], strict=True):
        for index in np.ndindex(a.shape):
            y[(*index[:axis], start + index[axis], *index[axis + 1 :])] = a[index]
    return y


def take_channels(x, start, stop):
    y = np.empty((*x.shape[:-1], stop - start))
    for index in np.ndindex(y.shape):
        y[index] = x[(*index[:-1], start + index[-1])]
    return y


def transfer(x, device, label=""):
    return x.copy()


# Probabilities


def softmax(x, axis=-1):
    def of_line(line):
        powers = [math.exp(value) for value in line]
        return [power / math.fsum(powers) for power in powers]

    return np.apply_along_axis(of_line, axis, x)


def log_softmax(x, axis=-1):
    return log(softmax(x, axis))


def softmax_cross_entropy(logits, labels):
    p = softmax(logits)
    return np.array(-math.fsum(math.log(p[n, label]) for n, label in enumerate(labels)) / len(p))


# Images, (N, H, W, C)


def conv2d(x, w, b=None, *, stride=1, pad=0, groups=1):
    """Seven loops: image, row, column, kernel, and the three axes of the kernel."""
    above, below, left, right = pad if isinstance(pad, tuple) else (pad,) * 4
    (n, height, width, _), (kh, kw, cg, o) = x.shape, w.shape
    oh = (above + height + below - kh) // stride + 1
    ow = (left + width + right - kw) // stride + 1
    y = np.zeros((n, oh, ow, o))
    for image in range(n):
        for row in range(oh):
            for col in range(ow):
                for kernel in range(o):
                    group = kernel // (o // groups)
                    total = 0.0 if b is None else b[kernel]
                    for i in range(kh):
                        for j in range(kw):
                            for c in range(cg):
                                r, s = row * stride + i - above, col * stride + j - left
                                if 0 <= r < height and 0 <= s < width:
                                    total += x[image, r, s, group * cg + c] * w[i, j, c, kernel]
                    y[image, row, col, kernel] = total
    return y


def _each_window(function, x, size, stride):
    n, height, width, c = x.shape
    y = np.empty((n, (height - size) // stride + 1, (width - size) // stride + 1, c))
    for image, row, col, channel in np.ndindex(y.shape):
        r, s = row * stride, col * stride
        y[image, row, col, channel] = function(
            x[image, r + i, s + j, channel] for i in range(size) for j in range(size))
    return y


def max_pool2d(x, *, size, stride):
    return _each_window(max, x, size, stride)


def avg_pool2d(x, *, size, stride):
    return _each_window(math.fsum, x, size, stride) / (size * size)


def local_response_norm(x, *, size=5, k=2.0, alpha=1e-4, beta=0.75):
    y = np.empty(x.shape)
    for image, row, col, c in np.ndindex(x.shape):
        energy = 0.0
        for j in range(c - size // 2, c + size // 2 + 1):
            if 0 <= j < x.shape[3]:
                energy += x[image, row, col, j] ** 2
        y[image, row, col, c] = x[image, row, col, c] / (k + alpha * energy) ** beta
    return y
