"""Tests of the exercises of chapter 08."""

import numpy as np
import pytest

from minialex import Tensor, backend, models, ops

pytestmark = pytest.mark.ch08
HERE, THERE = "cpu:0", "cpu:1"


@pytest.mark.parametrize(("shape", "batch", "messages", "expected"), [
    ((13, 13, 128), 1, 2, 173_056), ((2048,), 128, 1, 1_048_576), ((6, 6, 128), 3, 2, 110_592)])
def test_crossing_bytes(answers, shape, batch, messages, expected):
    assert answers.crossing_bytes(shape, batch, messages) == expected


def test_bytes_owned(answers):
    net = models.AlexNet((HERE, THERE), classes=10, image_size=28, channels=1, width=1 / 16)
    owned = answers.bytes_owned(net)
    first, second = (4 * sum(p.size for p in column.parameters()) for column in net.columns)
    assert owned == {HERE: first + 4 * sum(p.size for p in net.fc8.parameters()), THERE: second}


def column_inputs(rng, device_of_wb):
    """Two halves of an input, on two devices, and a layer for both."""
    def tensor(shape, device):
        return Tensor(rng.standard_normal(shape), device, requires_grad=True)

    return [tensor((5, 3), HERE), tensor((5, 4), THERE), tensor((3, 2), HERE),
            tensor((4, 2), device_of_wb), tensor((2,), HERE)]


def check_against_concat(function, inputs, rng):
    """Values and all gradients as on one device; returns the copies of the forward pass."""
    with backend.record_transfers() as log:
        y = function(*inputs)
    alone = [Tensor(x.numpy(), HERE, requires_grad=True) for x in inputs]
    xa, xb, wa, wb, b = alone
    expected = ops.linear(ops.concat(xa, xb), ops.concat(wa, wb, axis=0), b)
    assert isinstance(y, Tensor), "return a Tensor"
    assert y.device == HERE
    np.testing.assert_allclose(y.numpy(), expected.numpy())
    gy = rng.standard_normal(y.shape)
    y.backward(gy)
    expected.backward(gy)
    for name, x, one in zip(("xa", "xb", "wa", "wb", "b"), inputs, alone, strict=True):
        assert x.grad is not None, f"no gradient has reached {name}"
        np.testing.assert_allclose(x.grad.numpy(), one.grad.numpy(), err_msg=name)
    return log


def test_gradient_at_the_owner(answers):
    rng = np.random.default_rng(0)
    x = Tensor(rng.standard_normal((5, 3)), HERE, requires_grad=True)
    w_here, w_there = rng.standard_normal((3, 4)), rng.standard_normal((3, 2))
    gy_here, gy_there = rng.standard_normal((5, 4)), rng.standard_normal((5, 2))
    ops.matmul(x, Tensor(w_here, HERE)).backward(gy_here)
    ops.matmul(ops.transfer(x, THERE), Tensor(w_there, THERE)).backward(gy_there)
    found = answers.gradient_at_the_owner(gy_here, gy_there, w_here, w_there)
    np.testing.assert_allclose(found, x.grad.numpy())


def test_linear_of_both(answers):
    rng = np.random.default_rng(0)
    log = check_against_concat(lambda *inputs: answers.linear_of_both(*inputs),
                               column_inputs(rng, HERE), rng)
    assert [t.shape for t in log] == [(5, 4)], "xb crosses, once"


def test_last_layer(answers):
    rng = np.random.default_rng(0)
    log = check_against_concat(lambda *inputs: answers.last_layer(*inputs),
                               column_inputs(rng, THERE), rng)
    assert [t.shape for t in log] == [(5, 2)], "scores cross, once"


@pytest.mark.parametrize(("parameters", "bytes_per_image", "expected"), [
    (60_965_224, 234_496, 1040), (100, 80, 6)])
def test_break_even(answers, parameters, bytes_per_image, expected):
    assert answers.break_even(parameters, bytes_per_image) == expected
