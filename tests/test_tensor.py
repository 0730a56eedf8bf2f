"""Tensor and the tape: who gets which gradient, what is freed when, and what is refused."""

import contextlib
import copy
import gc
import operator as operators
import pickle
import re
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import minialex as ma
from minialex import Tensor, backend, models, nn, no_grad, op, ops, optim
from minialex.errors import MinialexError
from minialex.tensor import load, mark_changed

pytestmark = pytest.mark.ch02


def leaf(values, device, dtype=np.float32):
    return Tensor(np.array(values, dtype), device, requires_grad=True)


def assert_values(tensor, expected):
    np.testing.assert_allclose(tensor.numpy(), expected, rtol=1e-6)


# Making tensors


def test_tensor_copies_the_array_in_and_out(device):
    array = np.arange(6.0).reshape(2, 3)
    x = Tensor(array, device)
    array[0, 0] = 99
    out = x.numpy()
    out[0, 1] = 99
    np.testing.assert_array_equal(x.numpy(), [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize(("values", "dtype"), [
    (1.5, "float32"),
    ([1.5, 2], "float32"),
    ([[1, 2], [3, 4]], "int64"),
    ([True, False], "bool"),
    (np.zeros(2, "float32"), "float32"),
    (np.zeros(2, "float64"), "float64"),
    (np.zeros(2, "float16"), "float16"),
    (np.zeros(2, "uint8"), "uint8"),
    (np.float64(1.5), "float64"),
    ([], "float32"),
    (np.zeros((0, 3)), "float64"),
    ([np.zeros(2), np.ones(2)], "float32"),
])
def test_lists_of_floats_become_float32_and_arrays_keep_their_type(device, values, dtype):
    x = Tensor(values, device)
    assert x.dtype == dtype and x.numpy().dtype == dtype
    np.testing.assert_array_equal(x.numpy(), values)
    assert (x.shape, x.ndim, x.size) == (np.shape(values), np.ndim(values), np.size(values))


@pytest.mark.parametrize(("values", "options", "message"), [
    ([1, 2], {"requires_grad": True}, r"Tensor: int64 .*gradient; .*array\.astype\('float32'\)"),
    (np.zeros(2, bool), {"requires_grad": True}, r"Tensor: bool .*gradient"),
    (["cat"], {}, r"Tensor: array .*<U3; .*floats, integers or booleans"),
    ([1j], {}, r"Tensor: array .*complex128;"),
    (None, {}, r"Tensor: array .*object;"),
    (np.array([None, 1.0]), {}, r"Tensor: array .*object;"),
    ({"a": 1}, {}, r"Tensor: array .*object;"),
    ([2**70], {}, r"Tensor: array .*object;"),
    (Tensor([1.0]), {}, r"Tensor: array is a Tensor.*; use transfer\(x, device\).*x\.detach\(\)"),
])
def test_what_cannot_be_a_tensor(values, options, message):
    with pytest.raises(TypeError, match=message):
        Tensor(values, **options)


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="no wider floats here")
def test_floats_that_no_gpu_has():
    with pytest.raises(TypeError, match=r"Tensor: array is .*up to 64 bits"):
        Tensor(np.ones(2, np.longdouble))


def test_zeros_and_randn(devices):
    assert ma.zeros(2, 3, device=devices[1], dtype=np.float64).numpy().tolist() == 2 * [3 * [0.0]]
    drawn = [ma.randn(2, 3, rng=np.random.default_rng(7), device=d, requires_grad=True)
             for d in devices]
    assert drawn[0].dtype == "float32" and drawn[0].requires_grad
    np.testing.assert_array_equal(drawn[0].numpy(), drawn[1].numpy())
    np.testing.assert_array_equal(
        drawn[0].numpy(), np.random.default_rng(7).standard_normal((2, 3), np.float32))


# Leaving the device


def test_repr_shows_values_shape_type_and_device(device):
    assert repr(leaf([1, 2], device)) == (
        f"Tensor([1. 2.], shape=(2,), float32, {device}, requires_grad=True)")
    long = repr(Tensor(np.zeros(1000, np.int64), device))
    assert long == f"Tensor([0 0 0 ... 0 0 0], shape=(1000,), int64, {device})"


def test_item_and_float(device):
    assert Tensor([[2.5]], device).item() == float(Tensor(2.5, device)) == 2.5
    with pytest.raises(ValueError, match="is not a single number"):
        Tensor([1.0, 2.0], device).item()


@pytest.mark.parametrize("values", [True, 3, 2.5])
def test_one_number_is_read_as_python_reads_numbers(device, values):
    x = Tensor(values, device)
    assert x.item() == values and float(x) == values and isinstance(float(x), float)
    assert bool(x) is True and bool(x * 0) is False


def test_one_number_is_formatted_as_python_formats_numbers(device):
    assert f"{leaf(2.5, device):6.2f}" == "  2.50" and f"{leaf([0.125], device):.1%}" == "12.5%"
    assert f"{leaf([1, 2], device)}" == str(leaf([1, 2], device))
    with pytest.raises(ValueError, match=r"shape \(2,\) is not a single number"):
        f"{leaf([1, 2], device):.2f}"


def test_float_of_a_recorded_loss_is_its_value(device):
    assert float(ops.sum(leaf([1, 2], device))) == 3


@pytest.mark.parametrize("values", [[1.0, 2.0], [], [[0.0], [1.0]]], ids=str)
@pytest.mark.parametrize("read", [float, bool, Tensor.item])
def test_many_numbers_are_no_number(device, values, read):
    with pytest.raises(ValueError, match="is not a single number; use"):
        read(Tensor(values, device))


def test_numpy_reads_a_cpu_tensor():
    x = Tensor([1.0, 2.0], "cpu:0")
    np.testing.assert_array_equal(np.asarray(x), np.array([1, 2], np.float32))
    assert np.asarray(x).dtype == np.float32 and np.asarray(x, np.float64).dtype == np.float64


@pytest.mark.gpu
def test_numpy_does_not_fetch_a_gpu_tensor():
    with pytest.raises(TypeError, match=r"Tensor on gpu:0: call x\.numpy\(\)"):
        np.asarray(Tensor([1.0], "gpu:0"))


def test_device_equals_its_name(devices):
    x = Tensor([1.0], devices[1])
    assert x.device == devices[1] and x.device is backend.device(devices[1])
    assert x.device != "cpu:7" and x.device != 1 and {x.device: 1}[backend.device(devices[1])] == 1
    assert Tensor([1.0], "cpu").device == "cpu:0" == Tensor([1.0], "cpu:0").device
    assert Tensor([1.0], "cpu:1").device != "cpu"


def test_detach_keeps_the_values_and_leaves_the_tape(device):
    x = leaf([1, 2], device)
    y = (x * 3).detach()
    assert not y.requires_grad
    assert_values(y, [3, 6])
    ops.sum(x * x.detach()).backward()
    assert_values(x.grad, [1, 2])


# Operators


@pytest.mark.parametrize("number", [2, 2.0, np.float64(2), np.float32(2), np.int64(2)], ids=repr)
@pytest.mark.parametrize("operator", [
    lambda x, n: x + n, lambda x, n: n + x, lambda x, n: x - n, lambda x, n: n - x,
    lambda x, n: x * n, lambda x, n: n * x, lambda x, n: x / n, lambda x, n: n / x,
    lambda x, n: x ** n,
], ids=["x+n", "n+x", "x-n", "n-x", "x*n", "n*x", "x/n", "n/x", "x**n"])
def test_operators_with_numbers_keep_float32(device, operator, number):
    """A NumPy number would make float64 of float32 if it took part by its own rules."""
    values = np.array([1, 2, 5], np.float32)
    result = operator(Tensor(values, device), number)
    assert isinstance(result, Tensor) and result.dtype == np.float32
    assert_values(result, operator(values.astype(np.float64), 2))


def test_operators_with_tensors(device):
    a, b = Tensor([[1.0, 2.0]], device), Tensor([[3.0], [4.0]], device)
    assert_values(a @ b, [[11]])
    assert_values(-(a + b) * a / b - a, [[-7 / 3, -16 / 3], [-9 / 4, -5]])


def test_operators_refuse_arrays(device):
    x = Tensor([1.0, 2.0], device)
    for operate in (lambda: x * np.ones(2), lambda: np.ones(2) * x,
                    lambda: operators.imul(np.ones(2), x)):
        with pytest.raises(TypeError, match=r"mul: [ab] is a ndarray, not a Tensor; wrap it"):
            operate()


def test_shapes_that_do_not_broadcast_are_named_with_the_op(device):
    a, b = leaf(np.ones((3, 4)), device), leaf(np.ones(5), device)
    for name, operate in {"add": ops.add, "sub": ops.sub, "mul": ops.mul, "div": ops.div}.items():
        with pytest.raises(ValueError, match=re.escape(
                f"{name}: a (3, 4) and b (5,) do not broadcast; ")) as caught:
            operate(a, b)
        assert isinstance(caught.value, MinialexError)
        assert operate(a, leaf(np.ones((2, 1, 4)), device)).shape == (2, 3, 4)
        assert operate(leaf(np.ones((0, 1)), device), b).shape == (0, 5)


# Gradients through the graph


def test_chain_of_20000_ops(device):
    """Neither the walk nor the freeing of the tape may recurse."""
    x = leaf([1.0], device)
    y = x
    for _ in range(20_000):
        y = -y
    y.backward()
    assert_values(x.grad, [1])


def test_chain_of_20000_ops_is_dropped_without_backward(device):
    x, dead = leaf([1.0], device), []
    y = keeping(dead)(x)
    for _ in range(20_000):
        y = -y
    del y
    assert dead == [True]


def test_diamond(device):
    """x reaches the result by three paths of different lengths."""
    x = leaf([2, 3], device)
    y = x * x
    ops.sum(y + y * y + x).backward()
    assert_values(x.grad, 2 * np.array([2, 3]) + 4 * np.array([8, 27]) + 1)


def test_a_node_waits_until_all_its_uses_have_reported(device):
    """In a ladder of 40 diamonds there are 2**40 paths, but each node is pulled once."""
    pulled = []

    @op
    def double_up(xp, a, b):
        def backward(gy):
            pulled.append(1)
            return gy, gy

        return a + b, backward

    x = leaf([1.0], device)
    y = x
    for _ in range(40):
        y = double_up(y, y)
    y.backward()
    assert len(pulled) == 40
    assert x.grad.item() == 2**40


@pytest.mark.parametrize(("function", "expected"), [
    (lambda x: ops.sum(x + x), [[2, 2], [2, 2]]),
    (lambda x: ops.sum(x * x), [[2, 4], [6, 8]]),
    (lambda x: ops.sum(x - x), [[0, 0], [0, 0]]),
    (lambda x: ops.sum(ops.concat(x, x, x)), [[3, 3], [3, 3]]),
    (lambda x: ops.sum(x @ x), [[7, 11], [9, 13]]),
])
def test_same_tensor_twice_in_one_op(device, function, expected):
    x = leaf([[1, 2], [3, 4]], device)
    function(x).backward()
    assert_values(x.grad, expected)


def test_gradients_accumulate_over_two_forward_passes(device):
    x = leaf([1, 2], device)
    ops.sum(x * 3).backward()
    first = x.grad
    ops.sum(x * x).backward()
    assert_values(x.grad, [3 + 2, 3 + 4])
    assert_values(first, [3, 3])


def test_upstream_gradient_may_be_given(device):
    for gradient in [1.0, 2.0], np.array([1.0, 2.0]), Tensor([1.0, 2.0], device):
        x = leaf([1, 1], device)
        (x * 3).backward(gradient)
        assert_values(x.grad, [3, 6])
        assert x.grad.dtype == np.float32


def test_backward_of_a_leaf_is_one(device):
    x = leaf(5.0, device)
    x.backward()
    assert x.grad.item() == 1 and x.grad.device is x.device


def test_only_leaves_that_ask_get_a_gradient(device):
    x, constant = leaf([1, 2], device), Tensor([3.0, 4.0], device)
    y = x * constant
    ops.sum(y).backward()
    assert constant.grad is None and y.grad is None and not constant.requires_grad
    assert_values(x.grad, [3, 4])


@pytest.mark.parametrize("function", [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: ops.sum(a) + ops.sum(b),
    lambda a, b: ops.concat(a, b),
    lambda a, b: ops.concat(b, ops.reshape(a + b, (2, 3))),
    lambda a, b: ops.transpose(a) + ops.transpose(b),
    lambda a, b: ops.mean(a + (a + b)),
], ids=["add", "sub", "sum", "concat", "concat-add", "transpose", "mean"])
def test_each_leaf_owns_the_memory_of_its_gradient(device, function):
    """Whoever clips or scales a.grad in place must not change b.grad."""
    a, b = leaf(np.ones((2, 3)), device), leaf(np.ones((2, 3)), device)
    y = function(a, b)
    upstream = Tensor(np.ones(y.shape, y.dtype), device)
    y.backward(upstream)
    before = a.grad.numpy(), b.grad.numpy()
    with a.device:
        a.grad.data[...] = 7
        np.testing.assert_array_equal(b.grad.numpy(), before[1])
        b.grad.data[...] = 8
    np.testing.assert_array_equal(a.grad.numpy(), np.full_like(before[0], 7))
    np.testing.assert_array_equal(upstream.numpy(), 1)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (2, 3)], ids=str)
@pytest.mark.parametrize("function", [
    ops.sum, ops.mean, lambda x: 3 * ops.sum(x), lambda x: 3 * ops.sum(ops.reshape(x, (-1,))),
], ids=["sum", "mean", "scaled", "reshaped"])
def test_a_gradient_can_be_written_to(device, shape, function):
    x = leaf(np.ones(shape), device)
    function(x).backward()
    with x.device:
        x.grad.data[...] = 7
    np.testing.assert_array_equal(x.grad.numpy(), np.full(shape, 7))


# What the tape holds, and how long


def keeping(dead):
    """An op that keeps something for backward, and notes in the list `dead` when that is freed."""
    class Kept:
        pass

    @op
    def keep(xp, x):
        kept = Kept()
        weakref.finalize(kept, dead.append, True)

        def backward(gy):
            assert kept
            return gy * 1

        return x * 1, backward

    return keep


@pytest.fixture
def no_collector():
    """Without the garbage collector: reference counts alone must free the tape."""
    gc.disable()
    yield
    gc.enable()


def test_nodes_are_freed_while_backward_walks(device, no_collector):
    freed_before = []
    dead = []

    @op
    def count(xp, x):
        def backward(gy):
            freed_before.append(len(dead))
            return gy

        return x, backward

    x = leaf([1.0], device)
    y = x
    for _ in range(3):
        y = keeping(dead)(count(y))
    y.backward()
    assert freed_before == [1, 2, 3]


def test_result_of_a_finished_backward_holds_no_inputs(device, no_collector):
    x = leaf([1.0], device)
    y = x * x
    y.backward()
    alive = weakref.ref(x)
    del x
    assert alive() is None and y.item() == 1


def test_no_grad_keeps_nothing(device, no_collector):
    dead = []
    x = leaf([1.0], device)
    with no_grad():
        y = keeping(dead)(x)
    assert dead == [True] and not y.requires_grad


def small_alexnet(devices):
    """Large enough that every kind of array is over the size that is counted."""
    net = models.AlexNet(devices, classes=10, image_size=28, channels=1, width=1 / 8, init="he")
    return net, optim.SGD(net.parameters())


def memory_used(devices):
    return [backend.device(device).memory().used for device in devices]


@pytest.mark.ch09
@pytest.mark.parametrize("last", ["step", "backward", "forward"])
def test_memory_returns_to_where_it_was(devices, rng, no_collector, last):
    """After each training step, or if the step is given up half-way."""
    net, optimizer = small_alexnet(devices)
    before = memory_used(devices)

    def step():
        logits = net(rng.standard_normal((4, 28, 28, 1), np.float32))
        loss = ops.softmax_cross_entropy(logits, np.arange(4))
        assert all(now > then for now, then in zip(memory_used(devices), before, strict=True))
        if last != "forward":
            loss.backward()
        if last == "step":
            optimizer.step()
        optimizer.zero_grad()

    for _ in range(3):
        step()
        assert memory_used(devices) == before


# Gradients that would get lost


class Foreign:
    """An array of another library, as NumPy sees it."""

    dtype = "foreign.float32"

    def __array__(self, dtype=None, copy=None):
        return np.array([1, 2], np.float32)


def test_arrays_of_other_libraries_are_copied(device):
    x = Tensor(Foreign(), device)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x.numpy(), [1, 2])


LOSING = {
    "norm": np.linalg.norm, "stack": lambda x: np.stack([x, x]), "asarray": np.asarray,
    "array": lambda x: np.array([x, x]), "mean": np.mean, "sum": np.sum, "exp": np.exp,
    "multiply": lambda x: np.multiply(x, 2), "concatenate": lambda x: np.concatenate([x, x]),
    "dot": lambda x: np.dot(x, x), "where": lambda x: np.where([True, False], x, 0),
    "tensors": lambda x: Tensor([x, x]), "nested": lambda x: Tensor([[x], [x]]),
    "one_number": lambda x: Tensor([ops.sum(x), 1.0]),
}


@pytest.mark.parametrize("function", LOSING.values(), ids=LOSING)
@pytest.mark.parametrize("make", [lambda x: x, lambda x: x * 1], ids=["leaf", "result"])
def test_numpy_does_not_take_a_tensor_off_the_tape(function, make):
    x = make(leaf([1, 2], "cpu:0"))
    with pytest.raises(TypeError, match=r"NumPy would lose the gradient.*minialex\.ops.*"
                                        r"x\.numpy\(\) or x\.detach\(\)") as caught:
        function(x)
    assert isinstance(caught.value, MinialexError)
    function(x.detach())  # there is nothing to lose
    function(Tensor([1.0, 2.0], "cpu:0"))
    with no_grad():
        function(x)


def test_the_explicit_ways_stay(device):
    x = leaf([1, 2], device)
    y = x * 2
    assert ops.sum(y).item() == 6 == float(ops.sum(y))
    np.testing.assert_array_equal(y.numpy(), y.detach().numpy())


@pytest.mark.parametrize("change", [
    lambda w: optim.SGD([w]).step(),
    lambda w: load({"w": w}, {"w": np.ones(w.shape, np.float32)}, "test"),
    mark_changed,
], ids=["step", "load", "marked"])
@pytest.mark.parametrize("use", [
    lambda w, x: w * x,
    lambda w, x: ops.reshape(w, (2, 1)) * x,  # the product keeps a view of w
    lambda w, x: ops.exp(x * w),
], ids=["direct", "view", "deep"])
def test_a_leaf_that_was_written_to_is_refused(device, change, use):
    w, x = leaf([1, 2], device), leaf([3, 4], device)
    w.grad = Tensor(np.ones(2, np.float32), device)
    first, second = ops.sum(use(w, x)), ops.sum(use(w, x))
    first.backward()
    before = w.grad.numpy()
    change(w)
    with pytest.raises(RuntimeError, match=r"backward after input \d was changed by an optimizer.*"
                                           "run the forward pass again") as caught:
        second.backward()
    assert isinstance(caught.value, MinialexError)
    np.testing.assert_array_equal(w.grad.numpy(), before)
    ops.sum(use(w, x)).backward()  # the forward pass run again


def test_a_tape_on_which_the_changed_leaf_is_not_stays_good(device):
    w, other = leaf([1, 2], device), leaf([3, 4], device)
    y = ops.sum(other * other)
    w.grad = Tensor(np.ones(2, np.float32), device)
    optim.SGD([w]).step()
    y.backward()
    assert_values(other.grad, [6, 8])


def test_another_array_in_a_leaf_leaves_the_tape_right(device):
    """The tape keeps the array that it has seen."""
    w = leaf([1, 2], device)
    y = ops.sum(w * w)
    w.data = w.device.asarray(np.array([5, 6], np.float32))
    y.backward()
    assert_values(w.grad, [2, 4])


def test_a_leaf_that_was_moved_is_refused(two_devices):
    layer = nn.Linear(2, 1, device=two_devices[0])
    y = ops.sum(layer(Tensor(np.ones((1, 2), np.float32), two_devices[0])))
    layer.to(two_devices[1])
    with pytest.raises(RuntimeError, match=r"linear: backward after input \d was .*moved"):
        y.backward()
    assert layer.weight.grad is None


@pytest.mark.parametrize("gradient", [
    0, 1.0, [1.0, 2.0], np.ones(2, np.float32), Tensor([1.0]), Tensor(np.ones(2)), Tensor([1, 2]),
], ids=lambda g: type(g).__name__ + str(getattr(g, "shape", "")) + str(getattr(g, "dtype", "")))
def test_only_a_gradient_that_fits_can_be_given(device, gradient):
    x = leaf([1, 2], device)
    with pytest.raises(TypeError, match=r"^grad: .* came; give None, or a Tensor of float32 \(2,\)"
                       ) as caught:
        x.grad = gradient
    assert isinstance(caught.value, MinialexError) and x.grad is None


def test_a_gradient_of_another_device_is_refused(two_devices):
    x = leaf([1, 2], two_devices[0])
    with pytest.raises(TypeError, match=r"^grad: "):
        x.grad = Tensor([1.0, 2.0], two_devices[1])


def test_a_gradient_that_fits_can_be_given(device):
    x = leaf([1, 2], device)
    x.grad = Tensor([1.0, 2.0], device)
    ops.sum(x).backward()
    assert_values(x.grad, [2, 3])
    x.grad = None
    assert x.grad is None


# Threads, generators, copies


def in_a_thread(function):
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(function).result()


def test_no_grad_belongs_to_the_thread(device):
    x = leaf([1.0], device)
    with no_grad():
        assert in_a_thread(lambda: (x * 2).requires_grad)
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad


def test_overlapping_no_grad_in_two_threads(device):
    """A opens, B opens, A closes, B closes: both record again, and so does everybody else."""
    x = leaf([1.0], device)
    opened = threading.Barrier(2, timeout=10)
    first_closed = threading.Event()
    seen = {}

    def work(name):
        with no_grad():
            opened.wait()
            if name == "second":
                first_closed.wait(10)
            seen[name, "inside"] = (x * 2).requires_grad
        if name == "first":
            first_closed.set()
        seen[name, "after"] = (x * 2).requires_grad

    with ThreadPoolExecutor(2) as executor:
        list(executor.map(work, ["first", "second"]))
    assert seen == {(name, when): when == "after" for name in ("first", "second")
                    for when in ("inside", "after")}
    assert (x * 2).requires_grad


def silent(count=2):
    with no_grad():
        yield from range(count)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["first_in_first_out", "last_in_first_out"])
def test_generators_may_end_in_any_order(device, order):
    x = leaf([1.0], device)
    generators = [silent(), silent()]
    for generator in generators:
        next(generator)
    generators[order[0]].close()
    assert not (x * 2).requires_grad
    generators[order[1]].close()
    assert (x * 2).requires_grad


def test_a_generator_may_be_closed_by_another_thread(device):
    x, generator = leaf([1.0], device), silent()
    next(generator)
    in_a_thread(generator.close)
    assert (x * 2).requires_grad
    assert in_a_thread(lambda: (x * 2).requires_grad)


def test_no_grad_decorates_a_function(device):
    @no_grad()
    def double(x):
        return x * 2

    x = leaf([1.0], device)
    assert not double(x).requires_grad and not double(x).requires_grad
    assert (x * 2).requires_grad


def trained(seed, device, meet=contextlib.nullcontext):
    """The bits of a small network after some steps."""
    rng = np.random.default_rng(seed)
    weights = [leaf(rng.standard_normal(shape), device) for shape in [(6, 8), (8, 3)]]
    optimizer = optim.SGD(dict(zip("ab", weights, strict=True)), lr=0.05)
    for _ in range(40):
        with meet():
            x = Tensor(rng.standard_normal((5, 6), np.float32), device)
            loss = ops.softmax_cross_entropy(
                ops.tanh(x @ weights[0]) @ weights[1], rng.integers(3, size=5))
            with no_grad():
                float(ops.sum(x @ weights[0]))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return [w.numpy().tobytes() for w in weights]


def test_two_threads_train_as_each_would_alone(device):
    alone = [trained(seed, device) for seed in (1, 2)]
    barrier = threading.Barrier(2, timeout=30)

    @contextlib.contextmanager
    def meet():
        barrier.wait()
        yield

    with ThreadPoolExecutor(2) as executor:
        together = list(executor.map(lambda seed: trained(seed, device, meet), (1, 2)))
    assert together == alone and alone[0] != alone[1]


def test_threads_may_add_to_the_same_leaf():
    """Whole numbers, whose sum is exact in any order; on the CPU: the stand-in has no threads."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # each thread is interrupted very often
    try:
        w = leaf(np.ones(20_000), "cpu:0")
        losses = [[ops.sum(w * share) for _ in range(100)] for share in (1, 2, 3, 4)]
        with ThreadPoolExecutor(4) as executor:
            list(executor.map(lambda mine: [loss.backward() for loss in mine], losses))
    finally:
        sys.setswitchinterval(usual)
    np.testing.assert_array_equal(w.grad.numpy(), np.full(w.shape, 1000))


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, *(
    lambda x, protocol=protocol: pickle.loads(pickle.dumps(x, protocol))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1))])
@pytest.mark.parametrize("values", [2.5, [[1, 2], [3, 4]], np.zeros((0, 3)), np.ones(1000)],
                         ids=["number", "matrix", "empty", "long"])
def test_copies_hold_the_same_and_share_nothing(devices, again, values):
    x = leaf(values, devices[1])
    ops.sum(x * 3).backward()
    mark_changed(x)
    y = again(x)
    assert type(y) is Tensor and y.device is x.device and y.requires_grad and y.dtype == x.dtype
    np.testing.assert_array_equal(y.numpy(), x.numpy())
    np.testing.assert_array_equal(y.grad.numpy(), x.grad.numpy())
    loss = ops.sum(y * y)
    if x.size:
        with x.device:
            x.data += 1
    loss.backward()
    np.testing.assert_array_equal(y.grad.numpy(), 3 + 2 * y.numpy())


def test_a_copy_is_counted_where_it_lies():
    device = backend.device("cpu:1")
    x = Tensor(np.ones(10_000, np.float32), device)
    before = device.memory().used
    y = copy.deepcopy(x)
    assert device.memory().used == before + y.data.nbytes


def test_parameters_copy_with_their_names(device):
    w = nn.Parameter([1.0, 2.0], device, name="fc.weight")
    for y in copy.deepcopy(w), pickle.loads(pickle.dumps(w)):
        assert type(y) is nn.Parameter and y.name == "fc.weight" and y.requires_grad
    one, two = copy.deepcopy([w, w])
    assert one is two


def test_a_copy_has_what_a_class_of_the_user_added(device):
    class Named(Tensor):
        pass

    class Measured(Tensor):
        __slots__ = ("unit",)

    x, y = Named([1.0], device), Measured([2.0], device)
    x.title, y.unit = "speed", ["m"]
    for again in copy.copy, copy.deepcopy:
        assert again(x).title == "speed" and again(y).unit == ["m"] and again(y).device is y.device


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_result_on_the_tape_is_not_copied(device, again):
    y = leaf([1, 2], device) * 2
    with pytest.raises(RuntimeError, match=r"cannot be copied or pickled.*x\.detach\(\)") as caught:
        again(y)
    assert isinstance(caught.value, MinialexError)
    again(y.detach())


# What backward refuses


def test_backward_of_a_non_scalar(device):
    y = leaf(np.ones((2, 3)), device) * 2
    with pytest.raises(RuntimeError, match=r"shape \(2, 3\) is not a single number.*ops\.sum"):
        y.backward()


def test_backward_twice(device):
    y = ops.sum(leaf([1, 2], device) * 2)
    y.backward()
    with pytest.raises(RuntimeError, match=r"below this sum has been used.*run the forward pass"):
        y.backward()


def test_backward_of_two_results_that_share_a_part(device):
    x = leaf([1, 2], device)
    shared = x * 2
    one, two = ops.sum(shared), ops.sum(shared * shared)
    one.backward()
    with pytest.raises(RuntimeError, match=r"below this mul has been used and freed"):
        two.backward()


@pytest.mark.parametrize("make", [
    lambda device: Tensor(1.0, device),
    lambda device: ops.sum(Tensor([1.0, 2.0], device) * 2),
    lambda device: leaf(1.0, device).detach(),
], ids=["leaf", "result", "detached"])
def test_backward_without_history(device, make):
    with pytest.raises(RuntimeError, match=r"nothing was recorded.*no_grad\(\).*requires_grad"):
        make(device).backward()


def test_backward_under_no_grad(device):
    with no_grad(), pytest.raises(RuntimeError, match=r"nothing was recorded.*no_grad\(\)"):
        ops.sum(leaf([1, 2], device)).backward()


def test_no_grad_nests_and_ends_with_an_error(device):
    x = leaf([1.0], device)
    with pytest.raises(ZeroDivisionError), no_grad():
        with no_grad():
            assert not (x * 2).requires_grad
        assert not (x * 2).requires_grad
        raise ZeroDivisionError
    assert (x * 2).requires_grad


def test_upstream_gradient_of_the_wrong_shape(device):
    y = leaf([1, 2], device) * 2
    with pytest.raises(ValueError, match=r"backward: .*gradient .*\(3,\).*\(2,\)"):
        y.backward([1.0, 2.0, 3.0])


@pytest.mark.parametrize("gradient", [[1j, 2], "ab", ["a", "b"], [None, 1]], ids=str)
def test_upstream_gradient_of_what_is_no_number(device, gradient):
    y = leaf([1, 2], device) * 2
    with pytest.raises(ValueError, match=r"backward: gradient is .*; give real numbers of shape"):
        y.backward(gradient)


@pytest.mark.parametrize(("returned", "message"), [
    (lambda xp, gy: gy, "must return 2 gradients, one for each input, but returned 1"),
    (lambda xp, gy: (gy, gy, gy), "must return 2 gradients, one for each input, but returned 3"),
    (lambda xp, gy: (gy, None), "returned None for input 1, which is float32 (2,)"),
    (lambda xp, gy: (gy[:1], gy), "returned float32 (1,) for input 0, which is float32 (2,)"),
    (lambda xp, gy: (gy, gy.astype(xp.float64)), "returned float64 (2,) for input 1, which"),
], ids=["too few", "too many", "none", "shape", "dtype"])
def test_wrong_gradients_are_reported_by_the_name_of_the_op(device, returned, message):
    """A missing gradient is never dropped in silence."""
    @op
    def forgetful(xp, a, b):
        def backward(gy):
            return returned(xp, gy)

        return a + b, backward

    y = forgetful(leaf([1, 2], device), leaf([3, 4], device))
    with pytest.raises(RuntimeError, match="forgetful: backward " + re.escape(message)):
        ops.sum(y).backward()
