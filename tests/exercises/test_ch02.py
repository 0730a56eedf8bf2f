"""Tests of the exercises of chapter 02."""

import math

import numpy as np
import pytest
from checking import same

from minialex import Tensor, ops

pytestmark = pytest.mark.ch02


def told(text):
    pytest.fail(text, pytrace=False)


@pytest.mark.parametrize(("name", "f", "x", "expected"), [
    ("3 * x - 1", lambda x: 3 * x - 1, 2.0, 3), ("x**3", lambda x: x**3, -2.0, 12),
    ("sin", math.sin, 0.0, 1), ("exp", math.exp, 1.0, math.e)])
def test_slope(answers, name, f, x, expected):
    same(f"slope({name}, {x})", answers.slope(f, x), expected, [
        (f(x), "That is the value of f."),
        (-expected, "The sign is turned round: the moved value comes first."),
        (2 * expected, "Divide by the whole distance between the two places."),
        (expected / 2, "The two places are one step apart, not two."),
        (0, "The step is lost, or so small that x + step is x."),
        (f(x + 1) - f(x), "A step of 1 is not small.")], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("inputs", [(2.0, 3.0, -1.0), (-1.0, 0.5, 4.0), (1.0, 0.0, 7.0)])
def test_by_hand(answers, inputs):
    w, x, b = (Tensor(value, requires_grad=True) for value in inputs)
    ((w * x + b) * x).backward()
    right = gw, gx, gb = w.grad.item(), x.grad.item(), b.grad.item()
    w, x, b = inputs
    same(f"by_hand{inputs}", answers.by_hand(*inputs), right, [
        ((gw, x * w, gb), "One path from x is missing: x is also a factor of the last product."),
        ((gw, w * x + b, gb), "One path from x is missing: x also goes into w * x."),
        ((gx, gw, gb), "The order is (gw, gx, gb)."),
        ((x, gx, gb), "w has two slopes on its path, x and x: they multiply."),
        ((gw, gx, 1.0), "b goes into s with slope 1, and s into y with slope x."),
        ((gw, w * (w * x + b), gb), "Paths add up; slopes multiply only along one path.")],
         rtol=1e-4)


@pytest.mark.parametrize(("tape", "expected"), [
    pytest.param([("c", [("a", 3), ("b", 2)]), ("d", [("c", 1), ("a", 1)])],
                 {"a": 4, "b": 2, "c": 1, "d": 1}, id="docstring"),
    pytest.param([("p", [("w", 3), ("x", 2)]), ("s", [("p", 1), ("b", 1)]),
                  ("q", [("s", 5), ("s", 5)]), ("d", [("w", 2), ("w", 2)]),
                  ("y", [("q", 1), ("d", 1)])],
                 {"w": 34, "x": 20, "b": 10, "p": 10, "s": 10, "q": 1, "d": 1, "y": 1},
                 id="chapter"),
    pytest.param([("b", [("a", 2)]), ("c", [("b", 3)]), ("d", [("c", 5), ("b", 7)])],
                 {"a": 44, "b": 22, "c": 5, "d": 1}, id="long_and_short_path")])
def test_gradients(answers, tape, expected):
    got = answers.gradients(tape)
    same(f"gradients({tape})", dict(got) if isinstance(got, dict) else got, expected, [
        (_walked(tape, add=False), "Where two paths meet, a gradient must be added to what is "
         "there."),
        (_walked(tape, order=1), "The tape must be read from its end: else a number hands on what "
         "it has not got yet."),
        ({k: v for k, v in expected.items() if k != tape[-1][0]}, "The last result has a gradient "
         "as well: 1."),
        ({k: v for k, v in expected.items() if k not in dict(tape)}, "The results in between have "
         "gradients, too.")])


def _walked(tape, add=True, order=-1):
    """What a walk gives that does not add, or that goes the wrong way."""
    found = {tape[-1][0]: 1}
    for name, inputs in tape[::order]:
        for parent, slope in inputs:
            found[parent] = add * found.get(parent, 0) + slope * found.get(name, 0)
    return found


def _op(call, answer):
    """The value and `backward` of an op, or a sentence about what came instead."""
    if not (isinstance(answer, tuple) and len(answer) == 2 and callable(answer[1])):
        told(f"{call} gives {type(answer).__name__}; an op returns two things, "
             "(value, backward), and backward is a function of gy.")
    return answer


def test_softplus(answers):
    x, gy = np.array([-2.0, -0.5, 0.0, 1.0, 3.0]), np.array([1.0, -2.0, 3.0, 0.5, 2.0])
    value, backward = _op("softplus(xp, x)", answers.softplus(np, x))
    step = 1e-6
    slopes = (np.logaddexp(0, x + step) - np.logaddexp(0, x - step)) / (2 * step)
    same(f"softplus(xp, {x.tolist()}): the value", value, np.logaddexp(0, x), [
        (np.log(np.exp(x)), "The 1 is missing: log(1 + e^x)."),
        (np.logaddexp(0, x) / np.log(10), "That is the logarithm to base 10; xp.log is the "
         "natural one.")])
    same(f"softplus: backward({gy.tolist()}) at x = {x.tolist()}", backward(gy), gy * slopes, [
        (slopes, "Those are the slopes; each is multiplied by the gy that comes from above."),
        (gy / (1 + np.exp(x)), "A sign is turned round: that is 1 / (1 + e^x)."),
        (gy * np.exp(x), "The logarithm has a slope as well: 1 / (1 + e^x)."),
        (gy * np.logaddexp(0, x), "That is gy times the value; needed is gy times the slope.")])


def test_scale(answers):
    rng = np.random.default_rng(0)
    x, s, gy = rng.standard_normal((4, 3)), rng.standard_normal(3), rng.standard_normal((4, 3))
    value, backward = _op("scale(xp, x, s)", answers.scale(np, x, s))
    tx, ts = Tensor(x, requires_grad=True), Tensor(s, requires_grad=True)
    product = tx * ts
    product.backward(gy)
    same("scale: the value", value, product.numpy())
    gradients = backward(gy)
    if not (isinstance(gradients, tuple) and len(gradients) == 2):
        told(f"scale: backward(gy) gives {type(gradients).__name__}; needed are two gradients, "
             "(gx, gs).")
    gx, gs = gradients
    same("scale: gx", gx, tx.grad.numpy(), [
        (gy * x, "That is gy times x; the slope for x is s."),
        (np.broadcast_to(s, x.shape), "Those are the slopes; multiply them by gy.")])
    same("scale: gs", gs, ts.grad.numpy(), [
        (gy * x, "Each number of s was used in every row; what comes back is added over the rows."),
        ((gy * x).sum(axis=1), "That is a sum along each row; s belongs to the columns: axis 0."),
        ((gy * x).mean(axis=0), "Where paths meet they add up; that is their mean."),
        ((gy * x).sum(), "That is the sum of all; each column has a number of its own: axis 0."),
        (gy.sum(axis=0), "The slope for s is x, and it is missing."),
        ((gy * x).sum(axis=0, keepdims=True), "gs has the shape of s; leave keepdims out.")])


def test_gradient_of_error(answers):
    rng = np.random.default_rng(0)
    x, w, t = (rng.standard_normal(shape) for shape in [(5, 3), (3, 2), (5, 2)])
    tw = Tensor(w, requires_grad=True)
    ops.sum((ops.matmul(Tensor(x), tw) - Tensor(t)) ** 2).backward()
    right = tw.grad.numpy()
    same("gradient_of_error(x, w, t)", answers.gradient_of_error(x, w, t), right, [
        (right / 2, "The 2 is missing: the slope of a square is twice the number."),
        (-right, "The sign is turned round: the difference is x @ w - t."),
        (right / len(x), "The error is the sum of the squares, not the mean over the rows."),
        (right / t.size, "The error is the sum of the squares, not their mean."),
        (right.T, "w is (D, O), and so is its gradient: x.T comes first."),
        (2 * x.T @ (x @ w), "Where is t?"),
        (np.sum((x @ w - t) ** 2), "That is the error; needed is its gradient for w.")])
