"""`@op`: what it takes is declared, what does not fit is refused, and what help and types show."""

import functools
import inspect
import pydoc
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minialex as ma
from minialex import Tensor, op, ops
from minialex.errors import MinialexError
from minialex.operation import Op

pytestmark = pytest.mark.ch02

ROOT = Path(__file__).resolve().parents[1]


def leaf(values, device):
    return Tensor(np.array(values, np.float32), device, requires_grad=True)


# What backward is


class Times:
    """A gradient as an object with more in its call than gy."""

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, gy, *, sign=1):
        return gy * self.factor * sign

    def method(self, gy, other=None):
        return gy * self.factor


def times_three(gy, factor):
    return gy * factor


@pytest.mark.parametrize("backward", [
    lambda gy: gy * 3,
    lambda gy, k=3: gy * k,
    lambda gy, *rest, **more: gy * (3 + len(rest) + len(more)),
    functools.partial(times_three, factor=3),
    functools.partial(lambda factor, gy: gy * factor, 3),
    Times(3),
    Times(3).method,
], ids=["lambda", "default", "rest", "partial", "partial_first", "object", "method"])
def test_backward_is_anything_that_takes_gy(backward, device):
    @op
    def three(xp, x):
        return x * 3, backward

    x = leaf([1, 2], device)
    ops.sum(three(x)).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [3, 3])


@pytest.mark.parametrize("wrap", [
    lambda f: f, functools.partial, lambda f: lambda gy, wanted, more=None: f(gy, wanted),
], ids=["function", "partial", "other_name"])
def test_declared_needs_say_who_wants_a_gradient(wrap, device):
    seen = []

    @op(needs=True)
    def mul(xp, a, b):
        def backward(gy, needs):
            seen.append(needs)
            return gy * b if needs[0] else None, gy * a if needs[1] else None

        return a * b, wrap(backward)

    a, b = leaf([1, 2], device), leaf([3, 4], device)
    for inputs in (a, b), (a, b.detach()), (a.detach(), b), (a * 1, b.detach()):
        ops.sum(mul(*inputs)).backward()
    assert seen == [(True, True), (True, False), (False, True), (True, False)]
    np.testing.assert_array_equal(a.grad.numpy(), [9, 12])
    np.testing.assert_array_equal(b.grad.numpy(), [2, 4])


# Which parameters are tensors


@op
def annotated(xp, x: "array", y: np.ndarray = None, *, k: float = 2.0):  # noqa: F821
    return (x * k if y is None else x * k + y), lambda gy: (gy * k, *([] if y is None else [gy]))


def test_annotations_decide_nothing(device):
    x, y = leaf([1, 2], device), leaf([5, 5], device)
    ops.sum(annotated(x, y, k=3)).backward()
    ops.sum(annotated(x)).backward()
    ops.sum(annotated(y=y, x=x)).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [7, 7])
    np.testing.assert_array_equal(y.grad.numpy(), [2, 2])


@op(static=("factor", "shift"))
def affine(xp, x, factor, shift=0):
    return x * factor + shift, lambda gy: gy * factor


@pytest.mark.parametrize("call", [
    lambda x: affine(x, 3, 1), lambda x: affine(x, 3, shift=1),
    lambda x: affine(x, factor=3, shift=1), lambda x: affine(x=x, shift=1, factor=3),
])
def test_static_parameters_come_by_place_or_by_name(call, device):
    x = leaf([1, 2], device)
    y = call(x)
    ops.sum(y).backward()
    np.testing.assert_array_equal(y.numpy(), [4, 7])
    np.testing.assert_array_equal(x.grad.numpy(), [3, 3])


def test_an_optional_tensor_after_one_left_out_gets_its_gradient(device):
    @op
    def sum_of(xp, x, a=None, b=None):
        present = [t for t in (x, a, b) if t is not None]
        return sum(present), lambda gy: tuple(gy if t is not None else None for t in (x, a, b))

    x, b = leaf([1, 2], device), leaf([3, 4], device)
    ops.sum(sum_of(x, b=b)).backward()
    np.testing.assert_array_equal(b.grad.numpy(), [1, 1])


@pytest.mark.parametrize("call", [
    lambda f, x: f(x, 3), lambda f, x: f(x, factor=3), lambda f, x: f(x=x, factor=3),
    lambda f, x: f(x, (3, 3)), lambda f, x: f(x, "three"), lambda f, x: f(x, np.float32(3)),
])
def test_a_forgotten_declaration_is_named(call, device):
    @op
    def scale(xp, x, factor):
        return x * factor, lambda gy: gy * factor

    with pytest.raises(TypeError, match=r"^scale: factor is a \w+, not a Tensor; .*"
                                        r"declare @op\(static=\('factor',\)\)$") as caught:
        call(scale, leaf([1, 2], device))
    assert isinstance(caught.value, MinialexError)


def test_an_op_of_the_user_raises_what_it_wants(device):
    """Also with integers, which are the usual reason for an error in an op of the library."""
    @op
    def look_up(xp, rows):
        raise ValueError("rows must be less than 10")

    with pytest.raises(ValueError, match=r"^rows must be less than 10$"):
        look_up(Tensor([1, 20], device))


def test_several_inputs_of_any_number_have_no_name_to_declare(device):
    @op
    def total(xp, *arrays):
        return sum(arrays), lambda gy: (gy,) * len(arrays)

    with pytest.raises(TypeError) as caught:
        total(leaf([1], device), 3)
    assert str(caught.value) == ("total: input 1 is a int, not a Tensor; "
                                 "wrap it: Tensor(array, device=...)")


def test_an_op_may_be_made_of_anything_that_is_called(device):
    class Scale:
        def __call__(self, xp, x, *, k=3):
            return k * x, lambda gy: k * gy

    for scale in (op(Scale()), op(functools.partial(Scale(), k=3)),
                  op(lambda xp, x: (3 * x, lambda gy: 3 * gy))):
        x = leaf([1, 2], device)
        scale(x).backward([1, 1])
        assert x.grad.numpy().tolist() == [3, 3]
        with pytest.raises(TypeError, match="x is a float, not a Tensor"):
            scale(1.0)


def test_ops_of_the_library_do_not_speak_of_declarations(device):
    with pytest.raises(TypeError) as caught:
        leaf([[1]], device) @ 3
    assert str(caught.value) == ("matmul: b is a int, not a Tensor; "
                                 "wrap it: Tensor(array, device=...)")


@pytest.mark.parametrize("static", [("facto",), ("x",), "factor", ("factor", "k"), ("k",)], ids=str)
def test_a_declaration_that_does_not_fit_is_refused(static):
    with pytest.raises(RuntimeError, match=r"^@op scale: static is .*\(x, factor, \*, k=1\)"):
        @op(static=static)
        def scale(xp, x, factor, *, k=1):
            return x * factor, None


@pytest.mark.parametrize("operate", [
    lambda x: x @ 3, lambda x: 3 @ x, lambda x: x @ np.ones((2, 2)), lambda x: np.ones((2, 2)) @ x,
    lambda x: np.float32(3) @ x, lambda x: x @ np.float32(3), lambda x: x @ None,
    lambda x: x @ [[1, 2], [3, 4]],
])
def test_numbers_and_arrays_only_where_declared(operate, device):
    with pytest.raises(TypeError, match=r"^matmul: [ab] is a \w+, not a Tensor; wrap it") as caught:
        operate(leaf([[1, 2], [3, 4]], device))
    assert isinstance(caught.value, MinialexError)


def test_declared_numbers_are_taken_and_have_no_gradient(device):
    @op(numbers=True)
    def twice_a_plus(xp, a, b):
        shape = getattr(b, "shape", None)
        return 2 * a + b, lambda gy: (2 * gy, None if shape is None else gy)

    x = leaf([1, 2], device)
    ops.sum(twice_a_plus(x, np.float64(3))).backward()
    ops.sum(twice_a_plus(x, x)).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [5, 5])
    assert twice_a_plus(x, np.float64(3)).dtype == np.float32


# A tensor where there is no gradient


@pytest.mark.parametrize(("call", "name"), [
    (lambda x: x ** x, "power: exponent"),
    (lambda x: ops.power(x, exponent=x), "power: exponent"),
    (lambda x: 2 ** x, "power: exponent"),
    (lambda x: np.float32(2) ** x, "power: exponent"),
    (lambda x: affine(x, x), "affine: factor"),
    (lambda x: affine(x, 1, shift=x), "affine: shift"),
    (lambda x: annotated(x, k=x), "annotated: k"),
    (lambda x: ops.sum(x, x), "sum: axis"),
    (lambda x: ops.softmax_cross_entropy(ops.reshape(x, (1, 2)), Tensor([0], x.device)),
     "softmax_cross_entropy: labels"),
])
def test_a_tensor_as_option_is_refused(call, name, device):
    with pytest.raises(TypeError, match=rf"^{name} is a Tensor, but no gradient flows to it; give "
                                        r"its value, .*\.numpy\(\)") as caught:
        call(leaf([1, 2], device))
    assert isinstance(caught.value, MinialexError)


# What is shown


def test_signature_is_what_a_user_passes():
    assert str(inspect.signature(ops.relu)) == "(x)"
    assert str(inspect.signature(ops.conv2d)) == "(x, w, b=None, *, stride=1, pad=0, groups=1)"
    assert "relu(x)" in pydoc.plain(pydoc.render_doc(ops.relu))
    for name in ops.__all__:
        assert "xp" not in inspect.signature(getattr(ops, name)).parameters, name
    assert "def relu(xp, x)" in inspect.getsource(ops.relu)


@pytest.mark.parametrize(("call", "message"), [
    (lambda x: ops.relu(x, 3), "relu: too many positional arguments; call relu(x)"),
    (lambda x: ops.relu(x, slope=3),
     "relu: got an unexpected keyword argument 'slope'; call relu(x)"),
    (lambda x: ops.relu(), "relu: missing a required argument: 'x'; call relu(x)"),
    (lambda x: ops.matmul(x), "matmul: missing a required argument: 'b'; call matmul(a, b)"),
    (lambda x: ops.max_pool2d(x, size=2), "max_pool2d: missing a required argument: 'stride'; "
                                          "call max_pool2d(x, *, size, stride)"),
    (lambda x: ops.reshape(x, 1, 2), "reshape: too many positional arguments; call reshape(x, "
                                     "shape)"),
    (lambda x: ops.sum(x, 0, axis=0), "sum: multiple values for argument 'axis'; "
                                      "call sum(x, axis=None, keepdims=False)"),
])
def test_wrong_calls_show_the_right_one(call, message, device):
    with pytest.raises(TypeError) as caught:
        call(leaf([1, 2], device))
    assert str(caught.value) == message and isinstance(caught.value, MinialexError)


SNIPPET = """
import minialex as ma
from minialex import ops
x = ma.zeros(2, 3)
reveal_type(ops.relu(x))
reveal_type(x + x)
reveal_type(2 / x)
reveal_type(-x @ x ** 2)
reveal_type(ops.sum(x, axis=0))
@ma.op
def twice(xp, x):
    return x * 2, lambda gy: gy * 2
reveal_type(twice(x))
@ma.op(static=("n",))
def times(xp, x, n):
    return x * n, lambda gy: gy * n
reveal_type(times(x, 3))
ops.relu(x, slope=3)  # negative control
"""


@pytest.mark.slow
def test_type_checkers_see_tensors(tmp_path):
    pytest.importorskip("mypy")
    (tmp_path / "snippet.py").write_text(SNIPPET, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "setup.cfg"), "--cache-dir",
         str(tmp_path / "cache"), str(tmp_path / "snippet.py")],
        cwd=ROOT, capture_output=True, text=True)
    revealed = [line for line in done.stdout.splitlines() if "Revealed" in line]
    assert len(revealed) == SNIPPET.count("reveal_type"), done.stdout + done.stderr
    assert all(line.endswith('"minialex.tensor.Tensor"') for line in revealed), done.stdout
    errors = [line for line in done.stdout.splitlines() if "error:" in line]
    assert len(errors) == 1 and "slope" in errors[0], done.stdout


def test_package_says_that_it_has_types():
    assert (Path(ma.__file__).with_name("py.typed")).exists()
    assert "py.typed" in (ROOT / "setup.cfg").read_text(encoding="utf-8")
    assert Op.__doc__
