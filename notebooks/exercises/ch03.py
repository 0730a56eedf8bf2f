"""Exercises of chapter 03: checking gradients. In a cell of the chapter: check("ch03")"""

import numpy as np  # noqa: F401

from minialex import GradientError, Tensor, check_gradients  # noqa: F401


def central(f, x, step):
    """The central difference of f at x, all plain numbers."""
    raise NotImplementedError


def second_derivative(f, x):
    """The second derivative of f at x from f(x - step), f(x) and f(x + step); choose the step.

    Six digits must be right, for values and slopes of about 1.
    """
    raise NotImplementedError


def wrong_ones(functions, x):
    """The set of the names whose gradient at the array x is wrong; functions: name -> function."""
    raise NotImplementedError


def shows(function, x, **options):
    """Does any entry of the result at the array x change by more than 1 % under the options?

    True or False. Compare function(tensor, **options) with function(tensor), both Tensors.
    """
    raise NotImplementedError


def off_kinks(shape, gap, rng):
    """Random float64 numbers, at least gap away from 0 and from each other, both signs, shuffled.

    Rounding may take a thousandth of gap. None may be larger than 10 * gap * (how many there are),
    because the check should be made near the kink. rng: a NumPy generator.
    """
    raise NotImplementedError


def quick_check(f, x, gradient, rng):
    """Is `gradient` that of f at the array x? True or False, from two calls of f.

    Step from x in one random direction of x's shape, both ways, and compare the quotient with what
    the gradient says about that direction: to one in a million.
    """
    raise NotImplementedError
