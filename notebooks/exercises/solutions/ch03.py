"""Solutions of chapter 03."""

import math

import numpy as np

from minialex import GradientError, Tensor, check_gradients


def central(f, x, step):
    return (f(x + step) - f(x - step)) / (2 * step)  # the two places are two steps apart


def second_derivative(f, x):
    # The bend costs step**2 / 12, rounding about 1e-16 / step**2. Both are about 1e-8 here, and
    # with a step of 1e-5 rounding alone would be 1e-6.
    step = 3e-4
    return (f(x + step) - 2 * f(x) + f(x - step)) / step**2


def wrong_ones(functions, x):
    found = set()
    for name, function in functions.items():
        try:
            check_gradients(function, x)  # with random weights, which sees what equal ones do not
        except GradientError:
            found.add(name)
    return found


def shows(function, x, **options):
    plain, changed = function(Tensor(x)).numpy(), function(Tensor(x), **options).numpy()
    # One entry is enough. Not divided by `plain`, which may hold a 0.
    return bool(np.any(np.abs(changed - plain) > 0.01 * np.abs(plain)))


def off_kinks(shape, gap, rng):
    size = math.prod(shape)
    distances = gap * np.arange(1, size + 1)  # from 0; no two are equal, so signs cannot collide
    return rng.permutation(distances * rng.choice([-1.0, 1.0], size)).reshape(shape)


def quick_check(f, x, gradient, rng):
    direction, step = rng.standard_normal(x.shape), 1e-5
    quotient = (f(x + step * direction) - f(x - step * direction)) / (2 * step)
    # Each entry moves by its part of the direction; slopes times moves, over all paths, add up.
    expected = (gradient * direction).sum()
    # It says whether the gradient is right, but not which entry is wrong.
    return bool(abs(quotient - expected) <= 1e-6 * abs(expected))
