"""Tests of the exercises of chapter 03."""

import math

import numpy as np
import pytest
from checking import same

from minialex import op, ops

pytestmark = pytest.mark.ch03


def told(text):
    pytest.fail(text, pytrace=False)


@pytest.mark.parametrize(("name", "f", "x", "step", "expected"), [
    ("x**2", lambda x: x**2, 3.0, 0.5, 6.0), ("x**3", lambda x: x**3, 2.0, 0.1, 12.01),
    ("abs", abs, 1.0, 3.0, 1 / 3)])
def test_central(answers, name, f, x, step, expected):
    difference = f(x + step) - f(x - step)
    same(f"central({name}, {x}, {step})", answers.central(f, x, step), expected, [
        ((f(x + step) - f(x)) / step, "That is the upward quotient; take a step down as well."),
        ((f(x) - f(x - step)) / step, "That is the downward quotient; take a step up as well."),
        (difference / step, "The two places are two steps apart."),
        (difference / 2 * step, "Python divides by 2 and then multiplies by step; put brackets "
         "around 2 * step."),
        (-expected, "The sign is turned round: the upper value comes first."),
        ((f(x + step / 2) - f(x - step / 2)) / step, "Those are half steps; take whole ones."),
        (difference, "Divide by the distance of the two places.")])


@pytest.mark.parametrize("x", [0.3, 0.7, 1.1, 1.3])
@pytest.mark.parametrize("f", [math.sin, math.exp], ids=["sin", "exp"])
def test_second_derivative(answers, f, x):
    right = -math.sin(x) if f is math.sin else math.exp(x)
    first = math.cos(x) if f is math.sin else right
    call, got = f"second_derivative({f.__name__}, {x})", answers.second_derivative(f, x)
    if isinstance(got, float) and 1e-6 < abs(got / right - 1) < 0.1:
        told(f"{call} gives {got:.9g}; right is {right:.9g}. The formula seems right, the step is "
             "not: too large a step suffers from the bend, too small a step from rounding. What "
             "does rounding cost if it is divided by step**2?")
    same(call, got, right, [
        (0.0, "With so small a step only rounding is left."),
        (-right, "The sign is turned round."),
        *([(first, "That is the first derivative.")] if first != right else ()),
        (right / 4, "The places are one step apart, not two: divide by step**2."),
        (f(x), "That is the value of f.")])


@op
def shares(xp, x):
    """Right: x's e-powers as shares of their row. The gradient takes their mean from each gy."""
    y = xp.exp(x) / xp.exp(x).sum(axis=1, keepdims=True)
    return y, lambda gy: y * (gy - (gy * y).sum(axis=1, keepdims=True))


@op
def lazy_shares(xp, x):
    return shares.on_arrays(xp, x)[0], lambda gy: 0 * gy


@op
def lazy_transpose(xp, x):
    return x.T, lambda gy: gy.reshape(x.shape)


@op
def nearly_tanh(xp, x):
    return xp.tanh(x), lambda gy: gy * (1 - xp.tanh(x) ** 2) * 1.0001


def test_wrong_ones(answers):
    x = np.random.default_rng(0).uniform(0.5, 2, (3, 4))
    right = {"tanh": ops.tanh, "shares": shares, "transpose": ops.transpose}
    wrong = {"lazy shares": lazy_shares, "lazy transpose": lazy_transpose,
             "tanh, 0.01 % too large": nearly_tanh}
    same(f"wrong_ones of {[*right, *wrong]}", _sorted(answers.wrong_ones(right | wrong, x)),
         sorted(wrong), [
             (sorted(right), "Those are the right ones."),
             (["tanh, 0.01 % too large"], "Does it give the result equal weights, with a sum? They "
              "hide the other two."),
             (["lazy shares", "lazy transpose"], "An error of 0.01 % is one as well; leave rtol as "
              "it is.")])
    same("wrong_ones of tanh alone", _sorted(answers.wrong_ones({"tanh": ops.tanh}, x)), [])


def _sorted(found):
    return sorted(found) if isinstance(found, (set, list, tuple)) else found


@op
def damped(xp, x, *, strength=1e-4, k=2.0):
    """The op of the chapter, with its two constants as options."""
    return x / (k + strength * x * x) ** 0.75, lambda gy: gy


@pytest.mark.parametrize(("size", "options", "expected"), [
    pytest.param(1, {"strength": 2e-4}, False, id="strength_on_small_inputs"),
    pytest.param(1, {"strength": 0.5}, True, id="large_strength"),
    pytest.param(1, {"k": 1.0}, True, id="k"),
    pytest.param(1, {"k": 2.01}, False, id="k_a_little"),
    pytest.param(100, {"strength": 2e-4}, True, id="strength_on_large_inputs")])
def test_shows(answers, size, options, expected):
    x = size * np.random.default_rng(0).uniform(-1, 1, (20, 8))
    same(f"shows(damped, x, {_options(options)}) for x between {-size} and {size}",
         answers.shows(damped, x, **options), expected, [
             (True, "There is a change, but none of more than 1 %: compare the size of the change, "
              "np.abs, with 1 % of the size of the plain result."),
             (False, "Do the options reach the function?")])


def test_shows_what_happens_in_one_entry(answers):
    x = np.full(10_000, 0.5)
    x[0] = 100.0
    same("shows(damped, x, strength=0.0002) for ten thousand numbers of which one is large",
         answers.shows(damped, x, strength=2e-4), True, [
             (False, "One entry is enough; a mean or the first entries hide it.")])
    same("shows(damped, x, strength=0.0002) for the same with the sign turned round",
         answers.shows(damped, -x, strength=2e-4), True, [
             (False, "A negative number may change as well: compare sizes.")])


def _options(options):
    return ", ".join(f"{name}={value}" for name, value in options.items())


@pytest.mark.parametrize("shape", [(40,), (4, 5, 6)])
def test_off_kinks(answers, shape):
    gap = 0.01
    call = f"off_kinks({shape}, {gap}, rng)"
    x = answers.off_kinks(shape, gap, np.random.default_rng(0))
    if not isinstance(x, np.ndarray) or x.shape != shape or x.dtype != np.float64:
        told(f"{call} gives {type(x).__name__} of shape {getattr(x, 'shape', None)} and type "
             f"{getattr(x, 'dtype', None)}; needed is a float64 array of shape {shape}.")
    numbers, sizes = x.ravel(), np.abs(x.ravel())
    nearest, between = sizes.min(), np.diff(np.sort(numbers)).min()
    if nearest < 0.999 * gap:
        told(f"{call}: one number is only {nearest:.3g} away from 0.")
    if between < 0.999 * gap:
        told(f"{call}: two numbers are only {between:.3g} apart. Random numbers come close to each "
             "other by chance; begin with a list that is evenly spaced.")
    if sizes.max() > 10 * gap * x.size:
        told(f"{call}: the largest is {sizes.max():.3g}; stay near the kink, within some "
             f"{gap * x.size:.3g}, because large inputs hide it.")
    if not ((numbers > 0).any() and (numbers < 0).any()):
        told(f"{call}: all have the same sign; a kink at 0 needs both.")
    for values, what in ((numbers, "numbers"), (sizes, "sizes")):
        if not ((np.diff(values) > 0).any() and (np.diff(values) < 0).any()):
            told(f"{call}: the {what} are in order; shuffle them.")
    if np.array_equal(x, answers.off_kinks(shape, gap, np.random.default_rng(1))):
        told(f"{call}: another rng gives the same numbers; draw from the rng that is handed in.")


@pytest.mark.parametrize(("what", "spoil", "expected"), [
    pytest.param("the right gradient", lambda g: g, True, id="right"),
    pytest.param("a gradient 1 % too large", lambda g: 1.01 * g, False, id="one_percent"),
    pytest.param("a gradient of the wrong sign", lambda g: -g, False, id="sign"),
    pytest.param("a gradient in the wrong order", lambda g: g[:, ::-1], False, id="order"),
    pytest.param("a gradient with one wrong entry",
                 lambda g: g + (np.arange(g.size).reshape(g.shape) == 7), False, id="one_entry")])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_quick_check(answers, what, spoil, expected, seed):
    x, calls = np.random.default_rng(9).standard_normal((20, 30)), []

    def f(x):
        calls.append(x)
        return float(np.sin(x).sum())

    rng = np.random.default_rng(seed)
    same(f"quick_check of {what}", answers.quick_check(f, x, spoil(np.cos(x)), rng), expected, [
        (True, "Compare to one in a million; and is the direction different in each entry? If all "
         "move alike, an order cannot be seen."),
        (False, "The quotient must be right to one in a million: take a step up and one down, "
         "along a direction of x's shape, and divide by 2 * step.")])
    if len(calls) != 2:
        told(f"quick_check calls f {len(calls)} times; two are enough.")
