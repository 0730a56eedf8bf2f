"""Exercises of chapter 02: a derivative. In a cell of the chapter: check("ch02")"""

import numpy as np  # noqa: F401


def slope(f, x):
    """The derivative of f at x, both plain numbers, by a difference quotient with a small step."""
    raise NotImplementedError


def by_hand(w, x, b):
    """(gw, gx, gb): how y = (w * x + b) * x changes with each of them; no tape, no quotients."""
    raise NotImplementedError


def gradients(tape):
    """A dict: for each name on the tape, the gradient of the last result.

    tape: a list of (result, inputs) in the order of the calculation. A result is a name, inputs a
    list of (name, slope). The gradient of the last result is 1. Example, for d = a * b + a with
    a = 2 and b = 3: [("c", [("a", 3), ("b", 2)]), ("d", [("c", 1), ("a", 1)])]
    """
    raise NotImplementedError


def softplus(xp, x):
    """log(1 + exp(x)), element by element: (value, backward), and backward(gy) returns gx."""
    raise NotImplementedError


def scale(xp, x, s):
    """x (N, D) times s (D,), column by column: (value, backward); backward(gy) returns (gx, gs)."""
    raise NotImplementedError


def gradient_of_error(x, w, t):
    """x (N, D), w (D, O), t (N, O) -> (D, O): gradient for w of the sum of (x @ w - t)**2."""
    raise NotImplementedError
