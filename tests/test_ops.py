"""Every op of the table: values, gradients, types, memory, options, slices and threads."""

import itertools
from unittest import mock

import numpy as np
import pytest
from cases import CASES, INVISIBLE, LIFTED, Case, distinct, names_of_options, normal, parametrize

import minialex as ma
from minialex import backend, ops

RTOL = {np.float64: 1e-10, np.float32: 1e-5}
every_case = parametrize(CASES)
each_dtype = pytest.mark.parametrize("dtype", RTOL, ids=lambda dtype: dtype.__name__)


def assert_close(actual, expected, rtol):
    """Equal to rounding; where a sum cancels, its terms count, not what is left of them."""
    size = np.abs(expected).mean() if np.size(expected) else 0
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol * size)


def gradients(tensors):
    return [x.grad for x in tensors if isinstance(x, ma.Tensor)]


def run(case, inputs, devices, seed=0):
    """The value and all gradients, for a random gradient of the result, as NumPy arrays."""
    tensors = case.tensors(inputs, devices[0])
    y = case.call(tensors, devices)
    y.backward(np.random.default_rng(seed).standard_normal(y.shape))
    return y.numpy(), *(grad.numpy() for grad in gradients(tensors))


# The table


def test_every_public_op_is_in_the_table():
    assert {case.op for case in CASES} == set(ops.__all__)


@pytest.mark.parametrize("name", ops.__all__)
def test_every_option_is_in_the_table(name):
    shown = set().union(*(case.other for case in CASES if case.op == name))
    assert names_of_options(name) - shown == {option for op, option in INVISIBLE if op == name}


def test_no_case_hides_an_exchange_of_axes(rng):
    for case in CASES:
        for x in case.make(rng):
            sizes = [size for size in np.shape(x) if size > 1]
            assert len(sizes) == len(set(sizes)), f"{case.id}: {np.shape(x)}"


def test_ids_differ():
    ids = [case.id for case in CASES]
    assert len(ids) == len(set(ids))


# Values and types


@every_case
@each_dtype
def test_values_are_those_of_the_slow_loops(case, dtype, devices, rng):
    inputs = case.make(rng, dtype)
    y = case.call(case.tensors(inputs, devices[0]), devices)
    expected = case.expected([np.asarray(x, np.float64) for x in inputs])
    assert y.shape == expected.shape
    assert y.dtype == dtype
    assert_close(y.numpy(), expected, RTOL[dtype])


@parametrize([case for case in CASES if case.other])
def test_every_option_is_visible(case, devices, rng):
    inputs = case.make(rng)
    tensors = case.tensors(inputs, devices[0])
    y = case.call(tensors, devices).numpy()
    for option, value in case.other.items():
        other = case.call(tensors, devices, **{option: value}).numpy()
        assert_close(other, case.expected(inputs, **{option: value}), 1e-10)
        if other.shape == y.shape:
            difference = np.abs(other - y).max() / np.abs(y).max()
            assert difference > 1e-3, f"{option}={value} changes {case.op} by {difference:.1e} only"


@every_case
@each_dtype
def test_gradients_keep_type_shape_and_device(case, dtype, devices, rng):
    tensors = case.tensors(case.make(rng, dtype), devices[0])
    y = case.call(tensors, devices)
    y.backward(np.ones(y.shape))
    for x in tensors:
        if isinstance(x, ma.Tensor):
            assert (x.grad.dtype, x.grad.shape) == (dtype, x.shape)
            assert x.grad.device is x.device


@parametrize(LIFTED)
def test_by_hand_it_is_the_same(case, devices, rng):
    """`f.on_arrays` has the bits of the op; and it leaves its inputs and gy as they were."""
    device = backend.device(devices[0])
    inputs = case.make(rng)
    tensors = case.tensors(inputs, device)
    y = case.call(tensors, devices)
    gradient = rng.standard_normal(y.shape)
    y.backward(gradient)

    arrays = [device.asarray(x) if isinstance(x, np.ndarray) else x for x in inputs]
    gy = device.asarray(gradient)
    value, backward = case.call_on_arrays(arrays, device)
    with device:
        result = backward(gy)
    result = result if isinstance(result, tuple) else (result,)

    np.testing.assert_array_equal(device.to_host(value), y.numpy())
    for x, g in itertools.zip_longest(tensors, result[: len(tensors)]):
        if isinstance(x, ma.Tensor):
            np.testing.assert_array_equal(device.to_host(g), x.grad.numpy())
        else:
            assert g is None  # a number has no gradient
    for array, before in zip([*arrays, gy], [*inputs, gradient], strict=True):
        if isinstance(before, np.ndarray):
            np.testing.assert_array_equal(device.to_host(array), before)


# Gradients


@every_case
def test_gradients_are_the_derivatives(case, devices, rng, gradient_error):
    inputs = case.make(rng)
    arrays = [x for x in inputs if isinstance(x, np.ndarray)]

    def function(*tensors):
        rest = iter(tensors)
        return case.call([next(rest) if isinstance(x, np.ndarray) else x for x in inputs], devices)

    gradient_error(ma.check_gradients(function, *arrays, rtol=1e-6, device=devices[0]))


@parametrize([case for case in CASES if len(case.inputs) > 1])
def test_one_input_alone_gets_the_same_gradient(case, devices, rng):
    inputs = case.make(rng)
    _, *expected = run(case, inputs, devices)
    numbers = [index for index, x in enumerate(inputs) if isinstance(x, np.ndarray)]
    for index, gradient in zip(numbers, expected, strict=True):
        tensors = case.tensors(inputs, devices[0], requires_grad=False)
        tensors[index].requires_grad = True
        y = case.call(tensors, devices)
        y.backward(np.random.default_rng(0).standard_normal(y.shape))
        np.testing.assert_array_equal(tensors[index].grad.numpy(), gradient)
        assert sum(grad is not None for grad in gradients(tensors)) == 1


@every_case
def test_every_gradient_has_memory_of_its_own(case, devices, rng):
    """Whoever writes into one gradient changes nothing else, and each entry by itself."""
    tensors = case.tensors(case.make(rng), devices[0])
    y = case.call(tensors, devices)
    y.backward(rng.standard_normal(y.shape))
    leaves = [x for x in tensors if isinstance(x, ma.Tensor)]
    everything = [y, *leaves, *gradients(leaves)]
    for grad in gradients(leaves):
        expected = [t.numpy() + (t is grad) for t in everything]
        with grad.device:
            grad.data += 1
        for tensor, value in zip(everything, expected, strict=True):
            np.testing.assert_array_equal(tensor.numpy(), value)


@every_case
def test_arrays_may_lie_in_any_order(case, devices, rng):
    """Inputs and the gradient are views of arrays whose axes are reversed."""
    inputs = case.make(rng)
    expected = run(case, inputs, devices)
    leaves = case.tensors([x.T if isinstance(x, np.ndarray) else x for x in inputs], devices[0])
    y = case.call([ops.transpose(x) if isinstance(x, ma.Tensor) else x for x in leaves], devices)
    gradient = np.random.default_rng(0).standard_normal(y.shape)
    ops.transpose(y).backward(gradient.T)
    for actual, value in zip([y.numpy(), *(g.numpy().T for g in gradients(leaves))], expected,
                             strict=True):
        assert_close(actual, value, 1e-12)


@pytest.mark.ch02
@pytest.mark.parametrize("formula", [
    lambda x, y: x + y, lambda x, y: x - y, lambda x, y: x * y, lambda x, y: x / y,
    lambda x, y: x + 2, lambda x, y: x - 2, lambda x, y: x * 2, lambda x, y: x / 2,
    lambda x, y: 2 + x, lambda x, y: 2 - x, lambda x, y: 2 * x, lambda x, y: 2 / x,
    lambda x, y: -x, lambda x, y: x**3, lambda x, y: x**-0.5,
    lambda x, y: np.float64(2) * x - y / np.float64(3),
    lambda x, y: x * x + x / x,
])
def test_operators_do_what_numpy_does(formula, device, rng):
    a, b = rng.uniform(0.5, 2, (2, 3)), rng.uniform(0.5, 2, 3)
    x, y = ma.Tensor(a.astype("float32"), device), ma.Tensor(b.astype("float32"), device)
    assert formula(x, y).dtype == np.float32  # a number beside it does not promote
    assert_close(formula(x, y).numpy(), formula(a, b), 1e-6)
    # 0 * y, because the check rightly refuses an input that is not used
    ma.check_gradients(lambda x, y: formula(x, y) + 0 * y, a, b, device=device)


@pytest.mark.ch04
def test_matmul_operator(device, rng):
    a, b = rng.standard_normal((2, 3)), rng.standard_normal((3, 4))
    assert_close((ma.Tensor(a, device) @ ma.Tensor(b, device)).numpy(), a @ b, 1e-12)


# What a formula does not say: kinks, ties, large numbers


@pytest.mark.ch06
def test_relu_at_zero_has_gradient_zero(device):
    x = ma.Tensor([-1.0, 0.0, -0.0, 1.0], device, requires_grad=True)
    ops.relu(x).backward(np.ones(4))
    assert x.grad.numpy().tolist() == [0, 0, 0, 1]


@pytest.mark.ch06
def test_max_pool_gives_the_gradient_to_the_first_of_equals(device):
    x = ma.Tensor(np.zeros((1, 4, 4, 1)), device, requires_grad=True)
    ops.max_pool2d(x, size=2, stride=2).backward(np.array([[1, 2], [3, 4]]).reshape(1, 2, 2, 1))
    assert x.grad.numpy()[0, :, :, 0].tolist() == [
        [1, 0, 2, 0],
        [0, 0, 0, 0],
        [3, 0, 4, 0],
        [0, 0, 0, 0],
    ]


@pytest.mark.ch06
def test_max_pool_of_negative_numbers_is_negative(device):
    x = ma.Tensor(np.full((1, 3, 3, 1), -5.0), device)
    assert ops.max_pool2d(x, size=3, stride=1).item() == -5


@each_dtype
@pytest.mark.ch04
def test_large_scores_do_not_overflow(device, dtype):
    x = ma.Tensor(np.array([[1000, 0, -1000]], dtype), device, requires_grad=True)
    assert ops.softmax(x).numpy().tolist() == [[1, 0, 0]]
    assert ops.log_softmax(x).numpy().tolist() == [[0, -1000, -2000]]
    assert ops.sigmoid(x).numpy().tolist() == [[1, 0.5, 0]]
    assert ops.tanh(x).numpy().tolist() == [[1, 0, -1]]
    loss = ops.softmax_cross_entropy(x, np.array([2]))
    loss.backward()
    assert loss.item() == 2000
    assert x.grad.numpy().tolist() == [[1, 0, -1]]


@pytest.mark.ch05
def test_groups_see_only_their_own_channels(device, rng):
    x, w = rng.standard_normal((2, 5, 4, 6)), rng.standard_normal((3, 2, 3, 8))
    y = ops.conv2d(ma.Tensor(x, device), ma.Tensor(w, device), groups=2).numpy()
    x[..., 3:] += 1
    other = ops.conv2d(ma.Tensor(x, device), ma.Tensor(w, device), groups=2).numpy()
    np.testing.assert_array_equal(y[..., :4], other[..., :4])
    assert np.abs(y - other)[..., 4:].min() > 1e-3


# transfer


@pytest.mark.ch08
def test_transfer_names_the_copies_there_and_back(two_devices, rng):
    here, there = two_devices
    x = ma.Tensor(rng.standard_normal((2, 3)), here, requires_grad=True)
    for label, labels in {"maps": ["maps", "maps, gradient"], "": ["", "gradient"]}.items():
        with backend.record_transfers() as log:
            y = ops.transfer(x, there, label=label)
            y.backward(np.ones((2, 3)))
        assert y.device == there
        assert [entry.label for entry in log] == labels
        assert [(entry.source, entry.destination, entry.bytes) for entry in log] == [
            (here, there, 48), (there, here, 48)]


@pytest.mark.ch08
def test_transfer_to_the_same_device_is_the_tensor_itself(device):
    x = ma.zeros(2, 3, device=device)
    with backend.record_transfers() as log:
        assert ops.transfer(x, device) is x
    assert len(log) == 0


@pytest.mark.ch08
def test_transfer_makes_a_true_copy(two_devices):
    here, there = two_devices
    x = ma.zeros(2, 3, device=here)
    y = ops.transfer(x, there)
    with x.device:
        x.data += 1
    assert not y.numpy().any()


# Slices of the batch, and threads

SLICED = [
    Case("conv2d", (normal(7, 9, 8, 4), normal(3, 4, 2, 6), normal(6)), dict(pad=1, groups=2)),
    Case("conv2d", (normal(7, 9, 8, 6), normal(3, 4, 6, 2), normal(2)), dict(pad=1)),
    Case("conv2d", (normal(7, 9, 8, 1), normal(3, 4, 1, 6), normal(6)), dict(pad=1)),
    Case("max_pool2d", (distinct(7, 9, 8, 4),), dict(size=3, stride=2)),
    Case("local_response_norm", (normal(7, 9, 8, 6, scale=50),)),
    Case("relu", (normal(7, 9, 8, 6),)),
    Case("tanh", (normal(7, 9, 8, 6),)),
]


@pytest.fixture
def set_threads():
    before = backend.threads()
    yield backend.set_threads
    backend.set_threads(before)


def count_slices(xp):
    """A patch under which the returned list gets the number of slices of every over_batch."""
    over_batch, counts = xp.over_batch, []

    def counted(fn, n, scratch_bytes):
        slices = []

        def noted(part):
            slices.append(part)
            return fn(part)

        total = over_batch(noted, n, scratch_bytes)
        covered = sorted(itertools.chain(*(range(*part.indices(n)) for part in slices)))
        assert covered == list(range(n)), f"{slices} do not cover {n} images once"
        counts.append(len(slices))
        return total

    return mock.patch.object(xp, "over_batch", counted), counts


@parametrize(SLICED)
@each_dtype
def test_threads_do_not_change_a_bit(case, dtype, devices, rng, set_threads):
    xp = backend.device(devices[0]).xp
    inputs = case.make(rng, dtype)
    whole = run(case, inputs, devices)
    counting, counts = count_slices(xp)
    with counting, mock.patch.object(xp, "workspace", 6000):
        results = []
        for threads in (1, 2, 2, 5):
            set_threads(threads)
            results.append(run(case, inputs, devices))
    assert counts and min(counts) > 1, "the batch was not split: the test shows nothing"
    for result in results:
        for actual, first, unsliced in zip(result, results[0], whole, strict=True):
            np.testing.assert_array_equal(actual, first)
            assert_close(actual, unsliced, RTOL[dtype])
