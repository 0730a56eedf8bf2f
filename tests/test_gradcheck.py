"""The checker itself: it must pass what is right and catch what is wrong, and say where."""

import numpy as np
import pytest

import minialex as ma
from minialex import GradientError, check_gradients, ops

pytestmark = pytest.mark.ch03


def square(spoil=lambda g: g):
    """x**2 as an op, with a gradient spoilt by hand."""
    @ma.op
    def square(xp, x):
        def backward(gy):
            return spoil(2 * x * gy)

        return x * x, backward

    return square


@ma.op
def transpose_by_reshape(xp, x):
    """Right forward; backward gives the right shape, but not the right order."""
    def backward(gy):
        return gy.reshape(x.shape)

    return x.T, backward


@ma.op
def softmax_without_gradient(xp, x):
    y = ops.softmax.on_arrays(xp, x)[0]

    def backward(gy):
        return 0 * gy

    return y, backward


def at_one_entry(change):
    """Spoil entry (1, 2) only."""
    def spoil(g):
        g = g.copy()
        g[1, 2] = change(g[1, 2])
        return g

    return spoil


@pytest.fixture
def x(rng):
    return rng.uniform(0.5, 2, (2, 3))


def test_correct_op_passes(x, device):
    assert 0 < check_gradients(square(), x, device=device) < 1e-8


def test_every_input_is_checked(rng, device):
    a, b, c = rng.standard_normal((2, 3)), rng.standard_normal((3, 4)), rng.standard_normal(4)
    assert check_gradients(ops.linear, a, b, c, device=device) < 1e-7
    with pytest.raises(GradientError, match=r"input 2 \(4,\), entry \(\d,\)"):
        check_gradients(lambda x, w, b: ops.linear(x, w, b * b.detach()), a, b, c, device=device)


@pytest.mark.parametrize("spoil", [
    pytest.param(lambda g: g * 1.01, id="one_percent"),
    pytest.param(lambda g: g * (1 + 1e-5), id="one_in_100_000"),
    pytest.param(lambda g: g + 1e-5, id="offset"),
    pytest.param(lambda g: 0 * g, id="zero"),
    pytest.param(lambda g: -g, id="sign"),
    pytest.param(lambda g: g[::-1].copy(), id="order"),
    pytest.param(lambda g: g * float("nan"), id="nan"),
])
def test_wrong_gradient_is_caught(spoil, x, device):
    with pytest.raises(GradientError, match=r"^input 0 \(2, 3\), entry \([01], [012]\): "):
        check_gradients(square(spoil), x, device=device)


@pytest.mark.parametrize(("change", "says"), [
    pytest.param(lambda g: g * 1.01, r"[-\d.e]+", id="one_percent"),
    pytest.param(lambda g: 0 * g, "-?0", id="zero"),
    pytest.param(lambda g: float("nan"), "nan", id="nan"),
])
def test_one_wrong_entry_is_found(change, says, x, device):
    with pytest.raises(GradientError, match=(
            rf"^input 0 \(2, 3\), entry \(1, 2\): backward says {says}, the difference quotient "
            rf"[-\d.e]+.*at x = {x[1, 2]:.6g}")):
        check_gradients(square(at_one_entry(change)), x, device=device)


def test_reshape_is_no_transpose(x, device):
    with pytest.raises(GradientError, match=r"^input 0 \(2, 3\), entry"):
        check_gradients(transpose_by_reshape, x, device=device)


def test_part_that_left_the_tape_is_missed(x, device):
    with pytest.raises(GradientError, match=r"^input 0 \(2, 3\), entry"):
        check_gradients(lambda x: x * x.detach(), x, device=device)


def test_unused_input_is_named(x, device):
    with pytest.raises(GradientError, match=r"^input 1 \(4,\) got no gradient"):
        check_gradients(lambda a, b: a * 2, x, np.ones(4), device=device)


@pytest.mark.parametrize(("function", "x", "entry"), [
    pytest.param(ops.relu, [1.0, 0.0, -1.0], "1", id="kink"),
    pytest.param(lambda x: ops.max_pool2d(ops.reshape(x, (1, 2, 2, 1)), size=2, stride=2),
                 [1.0, 3.0, 2.0, 3.0], "[13]", id="tie"),
])
def test_kinks_and_ties_are_no_place_for_a_check(function, x, entry, device):
    with pytest.raises(GradientError, match=rf"entry \({entry},\).*kink or a tie"):
        check_gradients(function, np.array(x), device=device)


@pytest.mark.parametrize("wrong", [transpose_by_reshape, softmax_without_gradient])
def test_equal_weights_would_be_blind(wrong, x, device):
    """The gradient of a plain sum is that of equal weights: it lets both wrong ops through."""
    check_gradients(lambda x: ops.sum(wrong(x)), x, device=device)
    with pytest.raises(GradientError):
        check_gradients(wrong, x, device=device)


def test_tolerance_is_what_the_caller_says(x, device):
    nearly = square(lambda g: g * (1 + 1e-4))
    assert check_gradients(nearly, x, rtol=1e-3, device=device) == pytest.approx(1e-4, rel=0.01)
    with pytest.raises(GradientError):
        check_gradients(nearly, x, rtol=1e-5, device=device)


def test_inputs_are_taken_as_float64_and_left_alone(x, device):
    seen = []

    def function(a, b):
        seen.append((a.dtype, b.dtype))
        return a * b

    single = ma.Tensor(x.astype("float32"), device, requires_grad=True)
    before = x.copy()
    check_gradients(function, single, x, device=device)
    assert set(seen) == {(np.dtype("float64"), np.dtype("float64"))}
    np.testing.assert_array_equal(x, before)
    assert single.grad is None


def test_no_inputs_are_an_error():
    with pytest.raises(ValueError, match=r"check_gradients: no inputs; give at least one array"):
        check_gradients(lambda: ma.zeros(1))
