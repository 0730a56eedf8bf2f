"""Tests of the exercises of chapter 08."""

import math

import numpy as np
import pytest
from checking import same

from minialex import Tensor, backend, models, ops

pytestmark = pytest.mark.ch08
HERE, THERE = "cpu:0", "cpu:1"


@pytest.mark.parametrize(("shape", "batch", "messages", "expected"), [
    ((13, 13, 128), 1, 2, 173_056), ((2048,), 128, 1, 1_048_576), ((6, 6, 128), 3, 2, 110_592)])
def test_crossing_bytes(answers, shape, batch, messages, expected):
    same(f"crossing_bytes({shape}, {batch}, {messages})",
         answers.crossing_bytes(shape, batch, messages), expected, [
             (expected // 4, "Those are numbers; a float32 has four bytes."),
             (2 * expected, "Those are float64; a float32 has four bytes."),
             (expected // batch, "That is for one image."),
             (expected // messages, "Both columns send."),
             (2 * expected, "Backward is not asked for."),
             (4 * sum(shape) * batch * messages, "The sizes of the maps multiply: math.prod.")])


def test_bytes_owned(answers):
    net = models.AlexNet((HERE, THERE), classes=10, image_size=28, channels=1, width=1 / 16)
    first, second = (4 * sum(p.size for p in column.parameters()) for column in net.columns)
    last = 4 * sum(p.size for p in net.fc8.parameters())
    weights = {HERE: 0, THERE: 0}
    for name, p in net.named_parameters().items():
        weights[p.device.name] += 4 * p.size * name.endswith("weight")
    same("bytes_owned(net)", answers.bytes_owned(net), {HERE: first + last, THERE: second}, [
        ({HERE: (first + last) // 4, THERE: second // 4},
         "Those are numbers; a float32 has four bytes."),
        ({HERE: first, THERE: second}, "fc8 is missing: it belongs to no column."),
        ({HERE: first, THERE: second + last}, "fc8 lies on the first device."),
        (weights, "The biases are missing."),
        (first + second + last, "That is the sum; give one number for each device.")])


def column_inputs(rng, device_of_wb):
    """Two halves of an input, on two devices, and a layer for both."""
    def tensor(shape, device):
        return Tensor(rng.standard_normal(shape), device, requires_grad=True)

    return [tensor((5, 3), HERE), tensor((5, 4), THERE), tensor((3, 2), HERE),
            tensor((4, 2), device_of_wb), tensor((2,), HERE)]


def check_against_concat(name, function, inputs, rng):
    """Values and all gradients as on one device; returns the shapes that crossed forward."""
    with backend.record_transfers() as log:
        y = function(*inputs)
    call = f"{name}(xa, xb, wa, wb, b)"
    if not isinstance(y, Tensor):
        pytest.fail(f"{call} gives a {type(y).__name__}; return a Tensor.", pytrace=False)
    if y.device != HERE:
        pytest.fail(f"{call} lies on {y.device}; it must lie where xa lies, on {HERE}.",
                    pytrace=False)
    alone = [Tensor(x.numpy(), HERE, requires_grad=True) for x in inputs]
    xa, xb, wa, wb, b = alone
    expected = ops.linear(ops.concat(xa, xb), ops.concat(wa, wb, axis=0), b)
    same(call, y, expected, [
        ((expected + b).numpy(), "The bias is in it twice."),
        ((expected - b).numpy(), "The bias is missing."),
        (ops.linear(xa, wa, b).numpy(), "The part of xb is missing.")])
    gy = rng.standard_normal(y.shape)
    y.backward(gy)
    expected.backward(gy)
    for label, x, one in zip(("xa", "xb", "wa", "wb", "b"), inputs, alone, strict=True):
        if x.grad is None:
            pytest.fail(f"{call}: the values are right, but no gradient has reached {label}; send "
                        "with ops.transfer.", pytrace=False)
        same(f"the gradient of {label} in {call}", x.grad, one.grad)
    return [t.shape for t in log]


def test_gradient_at_the_owner(answers):
    rng = np.random.default_rng(0)
    x = Tensor(rng.standard_normal((5, 3)), HERE, requires_grad=True)
    w_here, w_there = rng.standard_normal((3, 4)), rng.standard_normal((3, 2))
    gy_here, gy_there = rng.standard_normal((5, 4)), rng.standard_normal((5, 2))
    ops.matmul(x, Tensor(w_here, HERE)).backward(gy_here)
    here = x.grad.numpy()
    ops.matmul(ops.transfer(x, THERE), Tensor(w_there, THERE)).backward(gy_there)
    both = x.grad.numpy()
    same("gradient_at_the_owner(...)",
         answers.gradient_at_the_owner(gy_here, gy_there, w_here, w_there), both, [
             (here, "What the other device says about x is missing."),
             (both - here, "What its own device says about x is missing."),
             (both / 2, "That is the mean; the two gradients add up."),
             (both.T, "That is transposed: the gradient has the shape of x.")])


def test_linear_of_both(answers):
    rng = np.random.default_rng(0)
    crossed = check_against_concat(
        "linear_of_both", lambda *inputs: answers.linear_of_both(*inputs),
        column_inputs(rng, HERE), rng)
    if crossed != [(5, 4)]:
        pytest.fail(f"linear_of_both: arrays of shapes {crossed} crossed; only xb, (5, 4), must, "
                    "and only once.", pytrace=False)


def test_last_layer(answers):
    rng = np.random.default_rng(0)
    crossed = check_against_concat("last_layer", lambda *inputs: answers.last_layer(*inputs),
                                   column_inputs(rng, THERE), rng)
    if crossed != [(5, 2)]:
        pytest.fail(f"last_layer: the values are right, but arrays of shapes {crossed} crossed; "
                    "less is enough: multiply where wb lies, and send the product, (5, 2).",
                    pytrace=False)


@pytest.mark.parametrize(("parameters", "bytes_per_image", "expected"), [
    (60_965_224, 234_496, 1040), (100, 80, 6)])
def test_break_even(answers, parameters, bytes_per_image, expected):
    exact = 4 * parameters / bytes_per_image
    same(f"break_even({parameters}, {bytes_per_image})",
         answers.break_even(parameters, bytes_per_image), expected, [
             (exact, "A batch is a whole number, for which the bytes are fewer."),
             (math.floor(exact), "With this batch data parallel does not yet send fewer bytes."),
             (math.floor(2 * exact) + 1, "The columns send as much backward as forward."),
             (math.floor(exact / 2) + 1, "Each of the two devices sends its gradients."),
             (math.floor(exact / 4) + 1, "A float32 has four bytes.")])
