"""Every op at the ends of the number range: large, tiny, infinite and many numbers.

What is right is worked out in decimal numbers of 60 digits, which nothing here overflows. Wherever
the right result is in the range of the type, the op gives it, to rounding and without a warning
(warnings are errors), whatever it needs on the way.
"""

import decimal
import itertools
from decimal import Decimal

import numpy as np
import pytest

import minialex as ma
from minialex import ops
from minialex.errors import InputError

each_dtype = pytest.mark.parametrize(
    "dtype", [np.float32, np.float64], ids=lambda dtype: dtype.__name__)

EXACT = decimal.Context(prec=60, Emax=10**9, Emin=-(10**9), traps=[])
INF, NAN = np.inf, np.nan


@pytest.fixture(autouse=True)
def exact():
    with decimal.localcontext(EXACT):
        yield


def decimals(a):
    return [Decimal(float(v)) for v in np.ravel(a)]


def in_range(value, dtype):
    """Zero, or a number that the type holds with all its digits."""
    info = np.finfo(dtype)
    return value.is_finite() and (
        value == 0 or Decimal(float(info.tiny)) * 4 < abs(value) < Decimal(float(info.max)) / 4)


def assert_right(actual, expected, roundings=8):
    """Equal to Decimals, up to so many roundings of the type."""
    info = np.finfo(actual.dtype)
    # Below the smallest normal number the digits grow fewer.
    np.testing.assert_allclose(np.ravel(actual), [float(e) for e in expected],
                               rtol=roundings * info.eps, atol=info.tiny)


def magnitudes(dtype, rng, count=200):
    """Numbers of both signs from the whole range of the type, zero among them."""
    info = np.finfo(dtype)
    exponents = rng.uniform(np.log10(info.tiny), np.log10(info.max), count)
    numbers = np.concatenate([[0, 1, 2, 20, 100], 10**exponents, rng.uniform(0, 30, count)])
    return np.concatenate([numbers, -numbers]).astype(dtype)


def run(function, device, *arrays, gradient=None):
    """The value and the gradients, as NumPy arrays."""
    tensors = [ma.Tensor(a, device, requires_grad=True) for a in arrays]
    y = function(*tensors)
    y.backward(np.ones(y.shape) if gradient is None else gradient)
    return y.numpy(), *(t.grad.numpy() for t in tensors)


# One number at a time

ONE_BY_ONE = {  # op: value and slope, of a Decimal
    "relu": (ops.relu, lambda x: max(x, Decimal(0)), lambda x: Decimal(int(x > 0))),
    "tanh": (ops.tanh, lambda x: _tanh(x),
             lambda x: 4 * (-2 * abs(x)).exp() / (1 + (-2 * abs(x)).exp()) ** 2),
    "sigmoid": (ops.sigmoid, lambda x: 1 / (1 + (-x).exp()),
                lambda x: (-abs(x)).exp() / (1 + (-abs(x)).exp()) ** 2),
    "exp": (ops.exp, lambda x: x.exp(), lambda x: x.exp()),
    "neg": (ops.neg, lambda x: -x, lambda x: Decimal(-1)),
    "log": (ops.log, lambda x: x.ln(), lambda x: 1 / x),
    **{f"power{n}": (lambda x, n=n: x**n, lambda x, n=n: _power(x, n),
                     lambda x, n=n: Decimal(n) * _power(x, n - 1) if n else 0)
       for n in (0, 1, 2, 3, 5, -1, -2, 0.5, 1.5, -0.5)},
}


def _tanh(x):
    e = (2 * min(abs(x), Decimal(1000))).exp()
    return x if abs(x) < Decimal("1e-20") else (e - 1) / (e + 1) * (1 if x > 0 else -1)


def _power(x, n):
    return Decimal(1) if n == 0 else x ** Decimal(n)


@each_dtype
@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_value_and_slope_from_end_to_end(name, dtype, device, rng):
    op, value, slope = ONE_BY_ONE[name]
    rows = []
    for x in magnitudes(dtype, rng):
        exact = Decimal(float(x))
        found = value(exact), slope(exact) if name != "log" or x > 0 else Decimal("NaN")
        if all(in_range(Decimal(f), dtype) for f in found):
            rows.append((x, *found))
    assert len(rows) > 100
    x, expected, slopes = zip(*rows, strict=True)
    y, gx = run(op, device, np.array(x, dtype))
    assert_right(y, expected)
    # From y itself, a slope below the rounding of 1 - y is lost, as in other frameworks.
    lost = 4 * np.finfo(dtype).eps * (name == "tanh")
    np.testing.assert_array_less(
        abs(gx - np.array(slopes, float)),
        lost + 8 * np.finfo(dtype).eps * abs(np.array(slopes, float)) + 2 * np.finfo(dtype).tiny)


@each_dtype
def test_sigmoid_far_out(dtype, device):
    x = np.array([-20, -15, 20, -80, 1000, -1000], dtype)
    y, gx = run(ops.sigmoid, device, x)
    assert_right(y[:2], [Decimal("2.061153618190203582e-9"), Decimal("3.059022269256246824e-7")])
    assert y[4:].tolist() == [1, 0] and gx[4:].tolist() == [0, 0]
    assert_right(gx[:2], [Decimal("2.061153613941849309e-9"), Decimal("3.059021333494522871e-7")])
    y, gx = run(lambda x: ops.log(ops.sigmoid(x)), device, x[:4])
    assert_right(y[[0, 3]], [Decimal("-20.00000000206115362"), Decimal(-80)])
    slopes = [1 / (1 + d.exp()) for d in decimals(x[:4])]
    assert_right(gx, slopes)


@pytest.mark.parametrize(("exponent", "gy", "expected"), [
    (0, 1, 0), (0.0, 1, 0), (0, INF, 0), (1, 3, 3), (1.0, 3, 3), (2, 1, 0), (2.5, 1, 0),
    (0.5, 1, INF), (0.5, -2, -INF), (0.5, 0, 0), (0.25, 1, INF), (1.5, 1, 0),
])
def test_slope_of_a_power_at_zero(exponent, gy, expected, device):
    for zero in (0.0, -0.0) if exponent in (0, 1, 2) else (0.0,):
        y, gx = run(lambda x: x**exponent, device, np.array([zero, 4.0]), gradient=[gy, 1.0])
        assert y[0] == 0.0**exponent and gx[0] == expected
        assert gx[1] == exponent * 4.0 ** (exponent - 1)


def test_power_of_zero_dimensions_and_of_negative_numbers(device):
    assert run(lambda x: x**0.5, device, np.array(0.0))[1] == INF
    y, gx = run(lambda x: x**3.0, device, np.array([-2.0, -1e100]))
    assert y.tolist() == [-8, -1e300] and gx.tolist() == [12, 3e200]
    y, gx = run(lambda x: x**-1, device, np.array([-4.0]))
    assert (y[0], gx[0]) == (-0.25, -0.0625)


@each_dtype
@pytest.mark.parametrize("exponent", [-1, -2, -3, -0.5, -1.5])
def test_slope_of_a_power_leaves_the_range_only_at_the_end(exponent, dtype, device, rng):
    """a ** (exponent - 1) may leave it, and gy bring it back."""
    rows = []
    for a, gy in itertools.product(magnitudes(dtype, rng, 40), repeat=2):
        if a > 0 or (a < 0 and exponent == int(exponent)):
            p, g = decimals([a, gy])
            y, gx = _power(p, exponent), g * Decimal(exponent) * _power(p, exponent - 1)
            if in_range(y, dtype) and in_range(gx, dtype):
                rows.append((a, gy, y, gx))
    a, gy, *expected = zip(*rows, strict=True)
    assert len(a) > 1000
    for actual, right in zip(run(lambda a: a**exponent, device, np.array(a, dtype),
                                 gradient=np.array(gy, dtype)), expected, strict=True):
        assert_right(actual, right)


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_poles_are_infinite(device):
    y, gx = run(ops.log, device, np.array([0.0]))
    assert (y[0], gx[0]) == (-INF, INF)
    y, gx = run(lambda x: x**-1, device, np.array([0.0]))
    assert (y[0], gx[0]) == (INF, -INF)
    y, ga, gb = run(ops.div, device, np.array([2.0]), np.array([0.0]))
    assert (y[0], ga[0], gb[0]) == (INF, INF, -INF)


@each_dtype
def test_slope_of_a_division_leaves_the_range_only_at_the_end(dtype, device, rng):
    """From any upstream gradient: gy a / b**2 has four factors, large and small."""
    numbers, triples = magnitudes(dtype, rng, 12), []
    numbers = numbers[numbers != 0]
    for gy, a, b in itertools.product(numbers, repeat=3):
        g, p, q = decimals([gy, a, b])
        if all(in_range(f, dtype) for f in (p / q, g / q, -g * p / q / q)):
            triples.append((gy, a, b, g / q, -g * p / q / q))
    gy, a, b, *expected = zip(*triples, strict=True)
    assert len(gy) > 1000
    _, ga, gb = run(ops.div, device, np.array(a, dtype), np.array(b, dtype),
                    gradient=np.array(gy, dtype))
    assert_right(ga, expected[0])
    assert_right(gb, expected[1])


@each_dtype
def test_division_does_not_square_the_divisor(dtype, device, rng):
    pairs = []
    numbers = magnitudes(dtype, rng, 20)
    for a, b in itertools.product(numbers, numbers[numbers != 0]):
        (p,), (q,) = decimals(a), decimals(b)
        found = p / q, 1 / q, -p / q / q
        if all(in_range(f, dtype) for f in found):
            pairs.append((a, b, *found))
    a, b, *expected = zip(*pairs, strict=True)
    assert len(a) > 1000
    for actual, right in zip(run(ops.div, device, np.array(a, dtype), np.array(b, dtype)),
                             expected, strict=True):
        assert_right(actual, right)


@each_dtype
@pytest.mark.parametrize("scale", [1, -30, 37])
def test_softmax_by_hand(dtype, scale, device):
    """exp(t) / sum(exp(t)), with powers about 1e22, 1e-13 and 1e37."""
    t = np.array([2, 1, 0], dtype) + dtype({1: 48, -30: -30, 37: 85}[scale])
    powers = [d.exp() for d in decimals(t)]
    p = [power / sum(powers) for power in powers]

    def by_hand(t):
        e = ops.exp(t)
        return e / ops.sum(e)

    y, gx = run(by_hand, device, t, gradient=[1, 0, 0])
    assert_right(y, p, 30)  # exp(85) in float32 is 85 times as far off as 85 is
    np.testing.assert_allclose(gx, [float(p[0] * ((j == 0) - p[j])) for j in range(3)],
                               rtol=200 * np.finfo(dtype).eps)


# Many numbers

MANY = 2_000_000


def equal_rows(value, dtype, shape):
    return np.broadcast_to(np.asarray(value, dtype), shape)


def gradient_of(index, function):
    """What a sum in backward gives: the gradient of one input, if that of the result is `rows`."""
    def summed(device, rows):
        tensors = function(device, rows)
        tensors[-1].backward(rows)
        return tensors[index].grad.numpy()

    return summed


def _bias(op, *shape):
    def apply(device, rows):
        x = ma.Tensor(np.ones(rows.shape, rows.dtype), device)
        b = ma.Tensor(np.ones(shape or rows.shape[-1], rows.dtype), device, requires_grad=True)
        return b, op(x, b)

    return gradient_of(0, apply)


def _layer(op, x_shape, w_shape):
    def apply(device, rows):
        x, w = (ma.Tensor(np.zeros(s, rows.dtype), device) for s in (x_shape, w_shape))
        b = ma.Tensor(np.zeros(rows.shape[-1], rows.dtype), device, requires_grad=True)
        return b, op(x, w, b)

    return gradient_of(0, apply)


SUMS = {  # the sum of all rows, (n, ..., 3) -> (3,)
    "sum": ((MANY, 3), lambda device, rows: ops.sum(ma.Tensor(rows, device), axis=0).numpy()),
    "sum_of_columns": ((MANY, 3), lambda device, rows: ops.sum(
        ops.transpose(ma.Tensor(rows, device)), axis=1).numpy()),
    "sum_of_two_axes": ((2, MANY // 2, 3), lambda device, rows: ops.sum(
        ma.Tensor(rows, device), axis=(0, 1)).numpy()),
    "mean": ((MANY + 1, 3), lambda device, rows: ops.mean(
        ma.Tensor(rows, device), axis=0).numpy() * len(rows)),
    "add": ((MANY, 3), _bias(ops.add)),
    "sub": ((MANY, 3), lambda device, rows: -_bias(ops.sub)(device, rows)),
    "mul": ((1, MANY, 3), _bias(ops.mul)),
    "div": ((1, MANY, 3), lambda device, rows: -_bias(ops.div)(device, rows)),
    "mul_by_ones": ((MANY, 3), lambda device, rows: _bias(ops.mul, 1, 3)(device, rows)[0]),
    "linear": ((MANY, 3), _layer(ops.linear, (MANY, 1), (1, 3))),
    "conv2d": ((128, 55, 55, 3), _layer(ops.conv2d, (128, 55, 55, 1), (1, 1, 1, 3))),
    "conv2d_one_image": ((1, 1000, 2000, 3), _layer(ops.conv2d, (1, 1000, 2000, 1), (1, 1, 1, 3))),
    "conv2d_one_row": ((1, 1, MANY, 3), _layer(ops.conv2d, (1, 1, MANY, 1), (1, 1, 1, 3))),
    "conv2d_of_points": ((MANY, 1, 1, 3), _layer(ops.conv2d, (MANY, 1, 1, 1), (1, 1, 1, 3))),
}


@each_dtype
@pytest.mark.parametrize("name", SUMS)
def test_sums_of_many_rows_lose_no_digits(name, dtype, device):
    """Added one after another, 2 million equal float32 are up to 2 % off."""
    shape, summed = SUMS[name]
    row = np.array([0.1, 1 / 3, 0.9], dtype)
    actual = summed(device, np.ascontiguousarray(equal_rows(row, dtype, shape)))
    expected = row.astype(np.float64) * (np.prod(shape) // 3)
    # float32 is added in float64; float64 has nothing wider, and n roundings are n * eps at most.
    roundings = 300 if dtype == np.float32 else np.prod(shape) // 3
    np.testing.assert_allclose(actual, expected, rtol=roundings * np.finfo(dtype).eps)


@pytest.mark.parametrize("shape", [(600, 7), (512, 5), (513, 5), (0, 5), (1, 4), (1023, 2, 3)])
def test_sums_in_pieces_miss_nothing(shape, device, rng):
    """Whole numbers, whose sums are exact in any order."""
    x = rng.integers(-1000, 1000, shape).astype(np.float32)
    tensor = ma.Tensor(x, device)
    for axis in (None, 0, -1, (0, 1), *(() if len(shape) == 2 else [(0, 2), (1, 2)])):
        for keepdims in False, True:
            y = ops.sum(tensor, axis=axis, keepdims=keepdims).numpy()
            np.testing.assert_array_equal(y, x.astype(int).sum(axis=axis, keepdims=keepdims))
    bias = ma.Tensor(np.zeros(shape[-1], np.float32), device, requires_grad=True)
    (tensor + bias).backward(x)
    np.testing.assert_array_equal(bias.grad.numpy(),
                                  x.astype(int).sum(axis=tuple(range(len(shape) - 1))))


def test_softmax_over_many_rows(device):
    x = np.zeros((MANY, 1), np.float32)
    y, _ = run(lambda x: ops.softmax(x, axis=0), device, x)
    np.testing.assert_allclose(y, 1 / MANY, rtol=1e-5)
    y, gx = run(lambda x: ops.log_softmax(x, axis=0), device, x)
    np.testing.assert_allclose(y, -np.log(MANY), rtol=1e-6)
    np.testing.assert_allclose(gx, 0, atol=1e-5)


def test_softmax_down_many_rows(device, rng):
    """Columns beside each other, which are not added pairwise, of numbers that are not exact."""
    x = equal_rows(np.array([-0.1, -0.7], np.float32), np.float32, (MANY, 2)).copy()
    x[0] = 0
    gy = np.full(x.shape, 0.3, np.float32)
    gy[1] = 2, 1
    p = np.exp(x.astype(float))
    p /= p.sum(axis=0)
    y, gx = run(lambda x: ops.softmax(x, axis=0), device, x, gradient=gy)
    np.testing.assert_allclose(y, p, rtol=1e-6)
    np.testing.assert_allclose(gx, p * (gy - (p * gy).sum(axis=0)), rtol=1e-5, atol=1e-7 / MANY)
    y, gx = run(lambda x: ops.log_softmax(x, axis=0), device, x, gradient=gy)
    np.testing.assert_allclose(y, np.log(p), rtol=1e-6)
    np.testing.assert_allclose(gx, gy - p * gy.sum(axis=0, dtype=float), rtol=1e-5, atol=1e-6)


def test_mean_of_large_windows(device):
    tenth = np.float32(0.1)
    x = np.full((1, 700, 600, 1), tenth)
    y, gx = run(lambda x: ops.avg_pool2d(x, size=500, stride=100), device, x,
                gradient=np.full((1, 3, 2, 1), tenth))
    np.testing.assert_allclose(y, tenth, rtol=1e-4)
    uses = np.zeros((700, 600))
    for i, j in np.ndindex(3, 2):
        uses[100 * i : 100 * i + 500, 100 * j : 100 * j + 500] += 1
    np.testing.assert_allclose(gx[0, :, :, 0], uses * tenth / 500**2, rtol=1e-5)


def test_mean_of_more_numbers_than_float16_can_count(device):
    """It ends at 65,504; one over the number is well within."""
    x = np.ones(100_000, np.float16)
    y, gx = run(ops.mean, device, x)
    assert y == 1
    np.testing.assert_allclose(gx, 1e-5, rtol=0.01)
    loss, gx = run(lambda x: ops.softmax_cross_entropy(x, np.zeros(70_000, int)), device,
                   np.zeros((70_000, 2), np.float16))
    np.testing.assert_allclose(loss, np.log(2), rtol=0.01)
    np.testing.assert_allclose(gx[:, 1], 0.5 / 70_000, rtol=0.01)


@each_dtype
def test_sums_of_large_numbers(dtype, device):
    """The sum of two float32 is out of range, the mean is not."""
    big = np.finfo(dtype).max / (1 if dtype is np.float32 else 9)  # float64 has nothing wider
    assert run(ops.mean, device, np.array([big, big, big, big / 2]))[0] == big * dtype(0.875)
    assert run(lambda x: ops.mean(x, axis=0), device, np.array([[big, 1], [-big, 2]]))[0].tolist() \
        == [0, 1.5]
    y, gx = run(lambda x: ops.avg_pool2d(x, size=3, stride=1), device, np.full((1, 3, 3, 2), big))
    np.testing.assert_allclose(y, big, rtol=2 * np.finfo(dtype).eps)
    np.testing.assert_allclose(gx, 1 / 9, rtol=2 * np.finfo(dtype).eps)
    if dtype is np.float32:
        assert run(ops.sum, device, np.array([big, big, -big, 7], dtype))[0] == big
        tiny = np.array([1e-38, 3e-38], dtype)
        assert_right(run(ops.mean, device, tiny)[0], [sum(decimals(tiny)) / 2])


def test_mean_of_ones_is_one(device):
    for n in (1, 3, 7, 10, 1000):
        x = np.ones((n, 3, 3, 1), np.float32)
        assert run(ops.mean, device, x)[0] == 1
        assert (run(lambda x: ops.avg_pool2d(x, size=3, stride=1), device, x)[0] == 1).all()


# Probabilities

ROWS = [
    [50, 49, 48], [1e38, -3e38, 0], [-3e38, -3e38, 3e38], [3e38, 3e38, -1], [1000, 0, -1000],
    [-INF, 1, 2], [0, -INF, -INF], [-INF, 3e38, -3e38], [1e-38, 0, -1e-38], [-1e30, -1e30, -1e30],
    [88, -88, 0.5], [0, 0, 0],
]


def softmax_of(row):
    """1 / sum over j of exp(x_j - x_i), for each i."""
    def power(q, p):
        return Decimal(1) if p == q else (q - p).exp()

    return [1 / sum((power(q, p) for q in row), Decimal(0)) if p.is_finite() else Decimal(0)
            for p in row]


@each_dtype
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_softmax_of_any_row(row, dtype, device):
    x = np.array([row], dtype)
    p = softmax_of(decimals(x))
    gy = np.array([[1, -2, 0.5]])
    y, gx = run(ops.softmax, device, x, gradient=gy)
    assert_right(y, p)
    mean = sum(a * b for a, b in zip(p, decimals(gy), strict=True))
    np.testing.assert_allclose(
        gx[0], [float(a * (b - mean)) for a, b in zip(p, decimals(gy), strict=True)],
        rtol=20 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).eps)


@each_dtype
@pytest.mark.parametrize("row", [row for row in ROWS if max(row) - max(min(row), -1e39) < 3.4e38],
                         ids=str)
def test_log_softmax_of_any_row(row, dtype, device):
    x = np.array([row], dtype)
    y, gx = run(ops.log_softmax, device, x, gradient=np.array([[1, -2, 0.5]]))
    p = softmax_of(decimals(x))
    for actual, number, right in zip(y[0], x[0], p, strict=True):
        if number == -INF:
            assert actual == -INF
        elif right > Decimal("1e-1000"):
            np.testing.assert_allclose(actual, float(right.ln()), rtol=4 * np.finfo(dtype).eps,
                                       atol=4 * np.finfo(dtype).eps)
    np.testing.assert_allclose(
        gx[0], [g + 0.5 * float(q) for g, q in zip([1, -2, 0.5], p, strict=True)],
        rtol=200 * np.finfo(dtype).eps)


@each_dtype
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_loss_of_any_row(row, dtype, device):
    x = np.array([row], dtype)
    p = softmax_of(decimals(x))
    for label, right in enumerate(p):
        if right == 0 and row[label] != -INF:
            continue  # the loss itself is out of range, or nearly
        loss, gx = run(lambda x, label=label: ops.softmax_cross_entropy(x, np.array([label])),
                       device, x)
        if right == 0:
            assert loss == INF
        else:
            eps = 4 * np.finfo(dtype).eps
            np.testing.assert_allclose(loss, -float(right.ln()), rtol=eps, atol=eps)
        np.testing.assert_allclose(
            gx[0], [float(q - (j == label)) for j, q in enumerate(p)],
            rtol=20 * np.finfo(dtype).eps, atol=2 * np.finfo(dtype).eps)


@each_dtype
def test_masked_class_costs_nothing(dtype, device, rng):
    """A class with logit -inf is as good as no class."""
    x, labels = rng.standard_normal((6, 4)).astype(dtype), np.array([0, 1, 3, 3, 0, 1])
    masked = x.copy()
    masked[:, 2] = -INF
    loss, gx = run(lambda x: ops.softmax_cross_entropy(x, labels), device, masked)
    expected, gx3 = run(lambda x: ops.softmax_cross_entropy(x, labels - (labels == 3)), device,
                        x[:, [0, 1, 3]])
    assert_right(loss, decimals(expected), 4)
    np.testing.assert_array_equal(gx[:, 2], 0)
    np.testing.assert_allclose(gx[:, [0, 1, 3]], gx3, rtol=1e-6, atol=1e-8)


@each_dtype
def test_mean_loss_of_large_losses(dtype, device):
    big = np.finfo(dtype).max / 2
    x = np.array([[0, -big], [0, -big], [0, -big]], dtype)
    loss, gx = run(lambda x: ops.softmax_cross_entropy(x, np.array([1, 1, 1])), device, x)
    np.testing.assert_allclose(loss, big, rtol=2 * np.finfo(dtype).eps)
    np.testing.assert_allclose(gx, [[1 / 3, -1 / 3]] * 3, rtol=2 * np.finfo(dtype).eps)


def test_one_class(device):
    x = np.array([[3.0], [-1e38]], np.float32)
    for op, value in (ops.softmax, 1), (ops.log_softmax, 0):
        y, gx = run(op, device, x, gradient=[[5], [7]])
        assert y.tolist() == [[value], [value]] and gx.tolist() == [[0], [0]]
    loss, gx = run(lambda x: ops.softmax_cross_entropy(x, np.array([0, 0])), device, x)
    assert loss == 0 and gx.tolist() == [[0], [0]]


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("row", [[-INF, -INF], [INF, 0], [INF, INF], [NAN, 0]], ids=str)
def test_no_probabilities_is_nan(row, device):
    """Nothing to choose from, or infinity over infinity: NaN, as 0 / 0 is, and no number."""
    x = np.array([row])
    assert np.isnan(run(ops.softmax, device, x)[0]).any()
    assert np.isnan(run(lambda x: ops.softmax_cross_entropy(x, np.array([0])), device, x)[0])


@pytest.mark.parametrize("op", [ops.softmax, ops.log_softmax, ops.mean])
def test_nothing_to_divide_among_is_refused(op, device):
    with pytest.raises(InputError, match=rf"{op.__name__}: x has shape \(3, 0\)"):
        op(ma.zeros(3, 0, device=device), axis=1)


@pytest.mark.parametrize("op", [ops.sum, ops.mean, ops.softmax, ops.log_softmax])
@pytest.mark.parametrize("axis", [2, -3, (0, 0), (0, -2)])
def test_axis_that_is_not_there_is_refused(op, axis, device):
    with pytest.raises(InputError, match=rf"{op.__name__}: axis is .*\(2, 3\); .* -2 .. 1"):
        op(ma.zeros(2, 3, device=device), axis=axis)


# Masks select

SPECIAL = [INF, -INF, NAN]


@each_dtype
@pytest.mark.parametrize("special", SPECIAL)
def test_relu_stops_any_gradient(special, dtype, device):
    x = np.array([-1, 0, -0.0, -INF, 2], dtype)
    _, gx = run(ops.relu, device, x, gradient=[special] * 4 + [3])
    assert gx.tolist() == [0, 0, 0, 0, 3]
    large = np.full((40, 50, 60), -1, dtype)  # in slices
    large[7] = 1
    _, gx = run(ops.relu, device, large, gradient=np.full(large.shape, special))
    np.testing.assert_array_equal(gx[7], special)
    assert not np.delete(gx, 7, axis=0).any()


def test_root_of_relu(device):
    _, gx = run(lambda x: ops.relu(x) ** 0.5, device, np.array([-1.0, 0.0, 4.0], np.float32))
    assert gx.tolist() == [0, 0, 0.25]
    _, gx = run(lambda x: ops.relu(x) ** 0.5, device, np.array([-1.0, 4.0]), gradient=[0, 2])
    assert gx.tolist() == [0, 0.5]


@each_dtype
@pytest.mark.parametrize("special", SPECIAL)
def test_dropout_drops_anything(special, dtype, device):
    x, keep = np.array([special, special, 2, 3], dtype), np.array([False, True, False, True])
    y, gx = run(lambda x: ops.dropout(x, ma.Tensor(keep, device)), device, x,
                gradient=[special, 5, special, special])
    np.testing.assert_array_equal(y, [0, special, 0, 3])
    np.testing.assert_array_equal(gx, [0, 5, 0, special])


@each_dtype
@pytest.mark.parametrize("special", SPECIAL)
@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 2), (2, 1), (1, 1), (2, 3)])
def test_max_pool_gives_to_the_winner_only(size, stride, special, dtype, device, rng):
    """The first window has a special gradient: it reaches one number of the image."""
    x = rng.permutation(7 * 6 * 2).reshape(1, 7, 6, 2).astype(dtype)
    gy = np.zeros((1, (7 - size) // stride + 1, (6 - size) // stride + 1, 2))
    gy[0, 0, 0, 0] = special
    _, gx = run(lambda x: ops.max_pool2d(x, size=size, stride=stride), device, x, gradient=gy)
    window = x[0, :size, :size, 0]
    winner = np.unravel_index(window.argmax(), window.shape)
    np.testing.assert_array_equal(gx[(0, *winner, 0)], special)
    gx[(0, *winner, 0)] = 0
    assert not gx.any()


# NaN and infinity go where PyTorch's go


def test_nan_passes_relu_both_ways(device):
    y, gx = run(ops.relu, device, np.array([NAN, -1, 1]), gradient=[2, 3, 4])
    np.testing.assert_array_equal(y, [NAN, 0, 1])
    assert gx.tolist() == [2, 0, 4]


@each_dtype
@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 2), (3, 1), (4, 3)])
def test_max_pool_gives_the_gradient_of_a_nan_to_the_nan(size, stride, dtype, device, rng):
    plain = rng.standard_normal((2, 9, 8, 3)).astype(dtype)
    y0 = ops.max_pool2d(ma.Tensor(plain, device), size=size, stride=stride).numpy()
    gy = rng.integers(1, 9, y0.shape)
    for row, col in itertools.product(range(9), range(8)):
        x = plain.copy()
        x[1, row, col, 2] = NAN
        y, gx = run(lambda x: ops.max_pool2d(x, size=size, stride=stride), device, x, gradient=gy)
        seen = np.zeros(y.shape, bool)  # the windows with the NaN
        for i, j in np.ndindex(y.shape[1:3]):
            seen[1, i, j, 2] = (0 <= row - i * stride < size) and (0 <= col - j * stride < size)
        np.testing.assert_array_equal(y, np.where(seen, NAN, y0))
        assert gx[1, row, col, 2] == gy[seen].sum()
        assert gx.sum() == gy.sum()


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("beside", [INF, -INF, 5])
def test_max_pool_gives_the_gradient_to_the_nan_beside_infinity(size, beside, device):
    for place in np.ndindex(size, size):
        x = np.full((1, size, size, 2), beside, np.float32)
        x[(0, *place, 1)] = NAN
        y, gx = run(lambda x: ops.max_pool2d(x, size=size, stride=1), device, x,
                    gradient=np.array([3, 7]).reshape(1, 1, 1, 2))
        np.testing.assert_array_equal(y.ravel(), [beside, NAN])
        assert gx[(0, *place, 1)] == 7 and gx.sum() == 10


def test_max_pool_of_windows_without_a_number(device):
    """All NaN, all -inf: each window still gives its gradient to one of its own."""
    gy = np.array([1, 2, 3, 4.0]).reshape(1, 2, 2, 1)
    for value in (NAN, -INF, INF):
        y, gx = run(lambda x: ops.max_pool2d(x, size=2, stride=2), device,
                    np.full((1, 4, 4, 1), value), gradient=gy)
        np.testing.assert_array_equal(y, value)
        assert gx[0, ::2, ::2, 0].tolist() == [[1, 2], [3, 4]] and gx.sum() == 10


# Local response normalisation


def lrn_of(x, size, k, alpha, beta, gy):
    """Value and gradient for one pixel, in Decimals: y_c = x_c / s_c**beta."""
    k, alpha, beta = Decimal(k), Decimal(alpha), Decimal(beta)
    c = len(x)

    def around(i):
        return range(max(0, i - size // 2), min(c, i + size // 2 + 1))

    s = [k + alpha * sum(x[j] ** 2 for j in around(i)) for i in range(c)]
    y = [x[i] / s[i] ** beta for i in range(c)]
    gx = [gy[i] / s[i] ** beta - 2 * alpha * beta * x[i] * sum(
        gy[j] * y[j] / s[j] for j in around(i)) for i in range(c)]
    return y, gx


@each_dtype
@pytest.mark.parametrize("options", [
    {}, dict(alpha=0.0), dict(beta=0.0), dict(beta=1.0, size=3), dict(beta=0.5, k=1e-3, size=1),
    dict(alpha=1.0, k=1.0)], ids=str)
@pytest.mark.parametrize("scale", [0, 1e-30, 1e-3, 1, 1e4, 1e12])
def test_lrn_from_end_to_end(scale, options, dtype, device, rng):
    options = dict(size=5, k=2.0, alpha=1e-4, beta=0.75) | options
    x = (scale * rng.uniform(0.5, 2, (1, 1, 1, 6)) * rng.choice([-1, 1], 6)).astype(dtype)
    gy = rng.uniform(0.5, 2, x.shape).astype(dtype)
    expected = lrn_of(decimals(x), gy=decimals(gy), **options)
    y, gx = run(lambda x: ops.local_response_norm(x, **options), device, x, gradient=gy)
    assert_right(y, expected[0], 30)
    # Two terms that cancel leave their roundings; the first is gy / s**beta.
    term = max(abs(g * b / a) for a, b, g in zip(
        decimals(x), expected[0], decimals(gy), strict=True)) if scale else 1
    np.testing.assert_allclose(gx.ravel(), [float(e) for e in expected[1]],
                               rtol=0, atol=50 * np.finfo(dtype).eps * float(term))


def test_lrn_of_1e20_is_no_zero(device):
    """Its squares are beyond float32; its normalised value is not."""
    x = np.full((1, 1, 1, 5), 1e20, np.float32)
    y = ops.local_response_norm(ma.Tensor(x, device)).numpy()
    expected, _ = lrn_of(decimals(x), 5, 2.0, 1e-4, 0.75, [Decimal(0)] * 5)
    assert_right(y, expected, 30)


@pytest.mark.parametrize("options", [dict(k=0), dict(k=-1.0), dict(k=NAN), dict(alpha=-1e-4)],
                         ids=str)
def test_lrn_that_could_divide_by_zero_is_refused(options, device):
    with pytest.raises(InputError, match=r"local_response_norm: k is .* must be positive"):
        ops.local_response_norm(ma.zeros(1, 2, 2, 3, device=device), **options)
