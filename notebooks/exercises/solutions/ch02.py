"""Solutions of chapter 02."""


def slope(f, x):
    step = 1e-6  # small, but not so small that only rounding is left (chapter 03)
    return (f(x + step) - f(x)) / step


def by_hand(w, x, b):
    s = w * x + b  # forward: y = s * x
    gs = x  # back: the slope of a product is the other factor
    # Two paths lead from x to y: through s, where its slope is w, and straight, where it is s.
    return gs * x, gs * w + s, gs


def gradients(tape):
    result = {tape[-1][0]: 1}
    for name, inputs in reversed(tape):  # so a gradient is complete before it is handed on
        for parent, slope in inputs:
            # Add, not set: another path may have brought something already.
            # A result that leads nowhere has no gradient yet: it counts as 0.
            result[parent] = result.get(parent, 0) + slope * result.get(name, 0)
    return result


def softplus(xp, x):
    # The slope e^x / (1 + e^x), written so that it does not overflow for large x.
    return xp.log(1 + xp.exp(x)), lambda gy: gy / (1 + xp.exp(-x))


def scale(xp, x, s):
    # s was used in every row, so what comes back from the rows is added up.
    return x * s, lambda gy: (gy * s, (gy * x).sum(axis=0))


def gradient_of_error(x, w, t):
    # What comes back to x @ w: the sum hands 1 to each square, and a square twice its difference.
    gy = 2 * (x @ w - t)
    return x.T @ gy
