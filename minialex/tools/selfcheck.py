"""Every device against plain NumPy, in some seconds: the ops, copies, a training step.

Each check yields findings, which `minialex doctor` prints.
"""

from __future__ import annotations

import textwrap
import traceback
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .. import models, ops, optim
from ..backend import Device
from ..backend._numpy import NumpyDevice
from ..backend.namespace import Namespace
from ..datasets import Batch
from ..tensor import Tensor
from ..training import train_steps
from .text import command

__all__ = ["CASES", "Finding", "check_ops", "check_training", "check_transfer"]

TOLERANCE = 1e-4  # of float32 against float64, relative to the largest number; 1e-6 is usual


class Finding(NamedTuple):
    """One line of the report. What fails has a remedy; what is fine and has one is a note."""

    name: str
    text: str
    ok: bool = True
    remedy: str = ""
    trace: str = ""  # of an exception

    @classmethod
    def of(cls, name: str, error: Exception, remedy: str) -> Finding:
        """What has just raised."""
        text = textwrap.shorten(f"{type(error).__name__}: {error}", 280, placeholder=" ...")
        return cls(name, text, False, remedy, traceback.format_exc())

    @property
    def verdict(self) -> str:
        return "FAIL" if not self.ok else "note" if self.remedy else "OK"


MASK, LABELS = np.arange(12).reshape(3, 4) % 3 > 0, np.array([3, 0, 1])
IMAGES = (2, 7, 8, 6)  # N, H, W, C

# For each op the shapes of its inputs (or an input itself), and its options.
CASES: dict[str, tuple[list, dict[str, Any]]] = {
    "add": ([(3, 4), (4,)], {}), "sub": ([(3, 4), (4,)], {}), "mul": ([(3, 4), (3, 1)], {}),
    "div": ([(3, 4), (3, 1)], {}), "neg": ([(3, 4)], {}), "power": ([(3, 4)], {"exponent": 2.5}),
    "exp": ([(3, 4)], {}), "log": ([(3, 4)], {}), "sum": ([(3, 4, 5)], {"axis": (0, 2)}),
    "mean": ([(3, 4, 5)], {"axis": 1}), "matmul": ([(3, 4), (4, 5)], {}),
    "linear": ([(3, 4), (4, 5), (5,)], {}), "relu": ([(3, 4)], {}), "tanh": ([(3, 4)], {}),
    "sigmoid": ([(3, 4)], {}), "dropout": ([(3, 4), MASK], {}), "softmax": ([(3, 4)], {}),
    "log_softmax": ([(3, 4)], {}), "softmax_cross_entropy": ([(3, 4)], {"labels": LABELS}),
    "conv2d": ([IMAGES, (3, 2, 3, 4), (4,)], {"stride": 2, "pad": 1, "groups": 2}),
    "max_pool2d": ([IMAGES], {"size": 3, "stride": 2}),
    "avg_pool2d": ([IMAGES], {"size": 2, "stride": 2}),
    "local_response_norm": ([IMAGES], {"alpha": 0.1}),
    "reshape": ([(3, 4)], {"shape": (2, -1)}), "flatten": ([IMAGES], {}),
    "transpose": ([(3, 4, 5)], {"axes": (1, 2, 0)}), "concat": ([(3, 4), (3, 2)], {}),
    "take_channels": ([(3, 4)], {"start": 1, "stop": 3})}


def _plain() -> Device:
    """NumPy without reused memory and threads."""
    device = NumpyDevice(0)
    device.xp = Namespace(np)
    return device


def _results(name: str, device: Device, dtype: type) -> dict[str, np.ndarray]:
    """The value of an op and the gradients of its inputs; the same numbers at every call."""
    rng, (inputs, options) = np.random.default_rng(0), CASES[name]
    low = 0.5 if name in ("div", "log", "power") else -2

    def draw(shape: tuple[int, ...]) -> np.ndarray:
        return rng.uniform(low, 2, shape).astype(np.float32).astype(dtype)

    tensors = [Tensor(x, device) if isinstance(x, np.ndarray) else
               Tensor(draw(x), device, requires_grad=True) for x in inputs]
    y = getattr(ops, name)(*tensors, **options)
    y.backward(draw(y.shape))
    return {"value": y.numpy(), **{f"gradient {i}": x.grad.numpy() for i, x in enumerate(tensors)
                                   if x.grad is not None}}


def check_ops(device: Device) -> Iterator[Finding]:
    """Each op and its gradients, until one raises: the others would say the same."""
    package, worst, right = "NumPy" if device.kind == "cpu" else "CuPy", (0.0, ""), 0
    remedy = (f"do not train on this device. Install {package} again; if that does not help, "
              f"report it with what this prints: {command('doctor', '--json', '--debug')}")
    for name in CASES:
        try:
            got = _results(name, device, np.float32)
            expected = _results(name, _plain(), np.float64)
            errors = {what: _difference(got[what], expected[what]) for what in expected}
        except Exception as error:
            finding = Finding.of(device.name, error, remedy)
            yield finding._replace(text=f"{name}: {finding.text}")
            return
        wrong = [f"{what} differs by {error:.1g}" for what, error in errors.items()
                 if not error <= TOLERANCE]  # nor a NaN
        if wrong:
            yield Finding(device.name, f"{name}: {', '.join(wrong)} from plain NumPy", False,
                          remedy)
        else:
            right, worst = right + 1, max(worst, (max(errors.values()), name))
    if right:
        yield Finding(device.name, f"{right} ops and their gradients agree with plain NumPy "
                      f"(within {worst[0]:.0e}, {worst[1]})")


def _difference(got: np.ndarray, expected: np.ndarray) -> float:
    """The largest, relative to the largest number."""
    if got.shape != expected.shape:
        return float("inf")
    return float(np.abs(got - expected).max() / np.abs(expected).max())


def check_transfer(a: Device, b: Device) -> Iterator[Finding]:
    """A copy there and back, with its gradient."""
    sent = np.random.default_rng(0).standard_normal((100, 1000), np.float32)
    x = Tensor(sent, a, requires_grad=True)
    there = ops.transfer(x, b)
    back = ops.transfer(there, a)
    back.backward(sent)
    same = x.grad is not None and all(
        np.array_equal(copy.numpy(), sent) for copy in (there, back, x.grad))
    yield Finding(f"{a}, {b}", f"{sent.nbytes:,} bytes there and back, and their gradients: "
                  + ("the same bits" if same else "other numbers arrive"), same,
                  "" if same else "do not use these two devices together; report it")


def check_training(a: Device, b: Device) -> Iterator[Finding]:
    """The loss of two columns, one on each device; the second loss sees gradients and update."""
    expected, got = _losses(_plain(), _plain()), _losses(a, b)
    same = np.allclose(got, expected, rtol=TOLERANCE, atol=0)
    shown = " and ".join(f"{loss:.5f}" for loss in got)
    yield Finding(f"{a}, {b}", f"two-column AlexNet: loss {shown}, before and after a step"
                  + ("" if same else f"; plain NumPy says {expected[0]:.5f}, {expected[1]:.5f}"),
                  same, "" if same else "do not train on these devices; report it")


def _losses(a: Device, b: Device) -> list[float]:
    """Of a small two-column AlexNet, before and after one step of training."""
    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((8, 28, 28, 1), np.float32), rng.integers(0, 10, 8)
    net = models.AlexNet((a, b), 10, 28, channels=1, width=0.125, init="he")
    optimizer = optim.SGD(net.named_parameters(), lr=0.01)
    return [step.loss for step in train_steps(net, optimizer, 2 * [Batch(images, labels)])]
