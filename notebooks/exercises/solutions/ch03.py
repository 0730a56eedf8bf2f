"""Solutions of chapter 03."""

import math

import numpy as np

from minialex import GradientError, Tensor, check_gradients


def central(f, x, step):
    return (f(x + step) - f(x - step)) / (2 * step)


def second_derivative(f, x):
    step = 3e-4  # bend: step**2 / 12, rounding: about 1e-16 / step**2
    return (f(x + step) - 2 * f(x) + f(x - step)) / step**2


def wrong_ones(functions, x):
    found = set()
    for name, function in functions.items():
        try:
            check_gradients(function, x)
        except GradientError:
            found.add(name)
    return found


def shows(function, x, **options):
    plain, changed = function(Tensor(x)).numpy(), function(Tensor(x), **options).numpy()
    return bool(np.any(np.abs(changed - plain) > 0.01 * np.abs(plain)))


def off_kinks(shape, gap, rng):
    size = math.prod(shape)
    distances = gap * np.arange(1, size + 1)
    return rng.permutation(distances * rng.choice([-1.0, 1.0], size)).reshape(shape)


def quick_check(f, x, gradient, rng):
    direction, step = rng.standard_normal(x.shape), 1e-5
    quotient = (f(x + step * direction) - f(x - step * direction)) / (2 * step)
    expected = (gradient * direction).sum()
    return bool(abs(quotient - expected) <= 1e-6 * abs(expected))
