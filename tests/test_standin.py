"""The stand-in for CuPy sees: mistakes planted on purpose, each with the message for it.

Every one of them is silent on a CPU, and most of them give wrong numbers or a crash on two GPUs.
"""

import contextlib
import gc
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minialex import Tensor, backend, op, ops
from minialex.backend import DeviceError, DeviceMemoryError, _cupy

pytestmark = pytest.mark.ch08

STANDIN = Path(__file__).with_name("standin")
if str(STANDIN) not in sys.path:  # one line of the summary for all of them
    pytest.skip("runs on the stand-in for CuPy: --standin --device gpu:0,gpu:1",
                allow_module_level=True)

SIX = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def cupy(standin):
    import cupy

    with standin.devices(2):  # a machine of the test's own
        yield cupy


@pytest.fixture
def cuda(cupy):
    return cupy.cuda


@pytest.fixture
def x(cupy):
    """Six numbers on GPU 0, which is current."""
    return cupy.array(SIX)


@pytest.fixture
def far(cupy):
    """The same on GPU 1."""
    with cupy.cuda.Device(1):
        return cupy.array(SIX)


def caught(message, error=Exception):
    return pytest.raises(error, match=message)


# The wrong device


def test_forgotten_copy(cupy, x, far):
    with caught(r"concatenate: operand 1 \(2, 3\) is on GPU 1 but the current device is GPU 0.*"
                r"different from the current device.*Copy it", ValueError):
        cupy.concatenate([x, far])


@pytest.mark.parametrize("work", [
    lambda cupy, a: cupy.matmul(a, a.T), lambda cupy, a: a @ a.T, lambda cupy, a: a + a,
    lambda cupy, a: a.sum(), lambda cupy, a: cupy.exp(a, out=a), lambda cupy, a: a.fill(0),
    lambda cupy, a: cupy.add.reduce(a), lambda cupy, a: a.T.reshape(6), lambda cupy, a: a.argsort(),
])
def test_forgotten_device(cupy, cuda, far, work):
    """CuPy checks no device in matmul: there it is an illegal address, reported later."""
    with caught(r"operand 0 .* is on GPU 1 but the current device is GPU 0", ValueError):
        work(cupy, far)
    with cuda.Device(1):
        work(cupy, far)


def test_forgotten_device_in_an_op(cupy):
    devices = [backend.device(name) for name in ("gpu:0", "gpu:1")]
    a = Tensor(np.ones((2, 3), np.float32), devices[1]).data
    with caught("add: operand 0 .* is on GPU 1 but the current device is GPU 0"):
        ops.add.on_arrays(devices[1].xp, a, a)


def test_mask_on_the_wrong_device(cupy, cuda, x, far):
    with cuda.Device(1):
        mask = far > 2
    with caught(r"multiply: operand 1 \(2, 3\) is on GPU 1 but the current device is GPU 0"):
        x * mask
    with caught("getitem: operand 1 .* is on GPU 1"):
        x[mask]


def test_assignment_from_the_wrong_device(x, far):
    with caught("setitem: operand 1 .* is on GPU 1 but the current device is GPU 0"):
        x[...] = far


def test_copy_lands_on_the_current_device(cuda, far):
    cuda.Device(1).synchronize()
    assert far.copy().device == cuda.Device(0) != far.device


def test_copy_of_a_strided_array_between_devices(cuda, cupy, far):
    with caught("cannot copy non-contiguous array between devices: .* from GPU 1 to GPU 0"):
        cupy.array(far[:, ::2])
    cuda.Device(1).synchronize()
    for order in "K", "F":
        copied = cupy.array(far.T, order=order)
        assert copied.shape == (3, 2) and copied.strides == (4, 12)
        assert (copied.get() == SIX.T).all() and copied.device == cuda.Device(0)
    with caught("race: a copy from GPU 1 to GPU 0 .* made by astype on GPU 1"):
        cupy.array(far.T, order="C")  # a hidden copy over there, which nothing waits for


def test_device_that_does_not_exist(cuda):
    with caught("cudaErrorInvalidDevice: invalid device ordinal"), cuda.Device(2):
        pass


# NumPy where it has no business


@pytest.mark.parametrize("convert", [
    np.asarray, np.array, lambda x: np.ones(3)[...] + np.asarray(x),
    lambda x: np.ones((2, 3)).__setitem__(..., x),
])
def test_implicit_conversion(x, convert):
    with caught(r"Implicit conversion to a NumPy array is not allowed.*`\.get\(\)`", TypeError):
        convert(x)


def test_no_buffer(x):
    with caught("a bytes-like object is required", TypeError):
        memoryview(x)


@pytest.mark.parametrize("call", [np.sum, np.exp, np.concatenate, np.add.reduce, np.matmul])
def test_numpy_function_on_a_device_array(x, call):
    with caught(r"numpy\.\w+ got an array on a device; use", TypeError):
        call(*[x] * call.nin if isinstance(call, np.ufunc) else [x])


@pytest.mark.parametrize("operate", [
    lambda cupy, x, n: x * n, lambda cupy, x, n: n * x, lambda cupy, x, n: cupy.maximum(x, n),
    lambda cupy, x, n: cupy.where(x > 0, n, x), lambda cupy, x, n: x.dot(n),
    lambda cupy, x, n: cupy.concatenate([x, n]), lambda cupy, x, n: cupy.sum(n),
])
@pytest.mark.parametrize("n", [np.ones((2, 3)), [[1.0, 2.0, 3.0]]], ids=["array", "list"])
def test_numpy_operand(cupy, x, operate, n):
    with caught(r"Unsupported type <class '(numpy\.ndarray|list)'>", TypeError):
        operate(cupy, x, n)


def test_numpy_value_in_an_assignment(x):
    with caught(r"a numpy\.ndarray \(3,\) cannot be assigned.*cupy\.array", ValueError):
        x[0] = np.ones(3, np.float32)
    with caught("Unsupported type <class 'list'>: assignment", TypeError):
        x[0] = [1, 2, 3]


@pytest.mark.parametrize("index", [[0, 1], np.array([0, 1])], ids=["list", "array"])
def test_host_index(x, index):
    with caught(r"an index is a \w+ on the host: CuPy copies it .* without a word", TypeError):
        x[index]


def test_list_index_by_an_array_without_axes(x):
    with caught("list indices must be integers or slices, not ndarray", TypeError):
        ["cat", "dog"][x.argmax()]


def test_results_are_arrays_and_no_numbers(cupy, x):
    for result in x.sum(), x[0, 1], x.max(), cupy.mean(x), cupy.array_equal(x, x), x.argmax():
        assert type(result) is cupy.ndarray and result.shape == ()
    assert x[0, 1] is not x[0, 1] and x[0, 1].strides == ()


# Orders: CuPy keeps Fortran's, and has no array without axes where NumPy has one


def test_orders(cupy):
    fortran = np.asfortranarray(SIX)
    for made, c in (
        (cupy.array(SIX), True), (cupy.array(fortran), False), (cupy.asarray(fortran), False),
        (cupy.array(fortran, order="C"), True), (cupy.array(SIX, order="F"), False),
        (cupy.array(SIX[:, ::-1]), True), (cupy.array(fortran.tolist()), True),
        (cupy.array(SIX.T), False), (cupy.array(cupy.array(SIX).T), False),
        (cupy.array(cupy.array(SIX).T, order="C"), True), (cupy.array(SIX).T.copy(), True),
        (cupy.copy(cupy.array(SIX).T), False), (cupy.array(SIX).T.astype(int), False),
        (cupy.empty_like(cupy.array(fortran)), False), (cupy.empty((2, 3), order="F"), False),
        (cupy.ascontiguousarray(cupy.array(fortran)), True),
    ):
        assert made.flags.c_contiguous is c and made.flags.f_contiguous is not c
    turned = cupy.array(SIX).T
    assert cupy.asarray(turned) is turned is not cupy.asarray(turned, order="C")


def test_contiguous_array_without_axes_gets_one(cupy, cuda):
    x = cupy.array(3.0)
    assert x.shape == x.copy().shape == x.astype(int, order="C").shape == ()
    assert cupy.ascontiguousarray(x).shape == (1,)
    assert cupy.ascontiguousarray(x, np.float32).shape == (1,)
    cuda.Device(0).synchronize()
    with cuda.Device(1):
        assert cupy.array(x).shape == x.copy().shape == ()


def test_big_endian_numbers_arrive_as_they_are(cupy):
    made = cupy.array(SIX.astype(">f4"))
    assert made.dtype.isnative and (made.get() == SIX).all()


# Errors of CuPy and CUDA, as a caller of minialex meets them


class Other(Exception):
    """Some error of the package that is named as its module."""


def raising(module, name, base=RuntimeError, text="it failed\nhere", **attributes):
    error = type(name, (base,), {"__module__": module})(text)
    for attribute, value in attributes.items():
        setattr(error, attribute, value)
    return error


LIBRARY = 'Failure finding "libnvrtc.so.12": No such file'


@pytest.mark.parametrize(("error", "kind", "message"), [
    (raising("cuda.pathfinder._dynamic_libs", "DynamicLibNotFoundError", text=LIBRARY),
     DeviceError, f"DynamicLibNotFoundError: {LIBRARY}; update the driver, and install CuPy "),
    (ImportError(LIBRARY), DeviceError, f"ImportError: {LIBRARY}; .* install CuPy with "),
    (ImportError("libcublas.so.12: cannot open", name="cublas",
                 path="/lib/cupy_backends/cuda/libs/cublas.so"),
     DeviceError, "ImportError: libcublas.so.12: cannot open; .* install CuPy with the "),
    (raising("cupy.cuda.compiler", "CompileException", Exception), DeviceError,
     "CompileException: it failed; update the driver, and install CuPy with the libraries"),
    (raising("cupy_backends.cuda.libs.nvrtc", "NVRTCError"), DeviceError, "update the driver"),
    (raising("cupy_backends.cuda.api.runtime", "CUDARuntimeError",
             text="cudaErrorIllegalAddress: an illegal memory access was encountered"),
     DeviceError, "CUDARuntimeError: cudaErrorIllegalAddress: .*; start the program again, and "
                  "see nvidia-smi"),
    (raising("cupy_backends.cuda.api.runtime", "CUDARuntimeError",
             text="cudaErrorInitializationError: initialization error"),
     DeviceError, "after a fork CUDA fails: spawn processes"),
    (raising("cupy_backends.cuda.api.runtime", "CUDARuntimeError",
             text="cudaErrorMemoryAllocation: out of memory"),
     DeviceMemoryError, "out of memory; use a smaller batch, .*, or end other programs"),
    (raising("cupy_backends.cuda.libs.cublas", "CUBLASError", text="CUBLAS_STATUS_ALLOC_FAILED"),
     DeviceMemoryError, "use a smaller batch"),
    (raising("cupy_backends.cuda.libs.cublas", "CUBLASError", text=""), DeviceError,
     "CUBLASError: CUBLASError; start the program again"),
    (raising("cupy.cuda.memory", "OutOfMemoryError", MemoryError, "Out of memory allocating 9."),
     DeviceMemoryError, "Out of memory allocating 9; use a smaller batch, set_memory_limit"),
])
@pytest.mark.parametrize("where", ["op", "backward", "enter"])
def test_error_of_cuda_is_one_line_with_a_remedy(cupy, monkeypatch, error, kind, message, where):
    def fail(*_, **__):
        raise error

    device = backend.device("gpu:0")
    x = Tensor([1.0, 2.0], device, requires_grad=True)
    y = ops.exp(x)
    if where == "enter":
        monkeypatch.setattr(type(device._cuda), "__enter__", fail)
    else:
        for name in "exp", "multiply":
            monkeypatch.setattr(device.xp, name, fail, raising=False)
    with pytest.raises(kind) as caught:
        ops.exp(x) if where != "backward" else broken(x, fail).backward()
    del y
    text = str(caught.value)
    assert re.match(f"gpu:0: {'(?s:.*)'}{message}", text) and "\n" not in text, text
    assert caught.value.__cause__ is error


def broken(x, fail):
    @op
    def failing(xp, x):
        return xp.sum(x), fail

    return failing(x)


@pytest.mark.parametrize("error", [
    ValueError("shapes"), TypeError("Unsupported type"), ZeroDivisionError(), KeyboardInterrupt(),
    ModuleNotFoundError("No module named 'x'", name="x"), MemoryError("Unable to allocate"),
    raising("numpy.linalg", "LinAlgError", ValueError), StopIteration(), Other(),
    DeviceError("gpu:1: said already"),
])
def test_other_errors_stay_what_they_are(cupy, error):
    with pytest.raises(type(error)) as caught, backend.device("gpu:0"):
        raise error
    assert caught.value is error
    assert cupy.cuda.Device().id == 0


def test_device_is_left_when_an_error_is_explained(cupy):
    with pytest.raises(DeviceError), backend.device("gpu:1"):
        raise raising("cupy_backends.cuda.api.runtime", "CUDARuntimeError")
    assert cupy.cuda.Device().id == 0


# Names and keywords that CuPy does not have


@pytest.mark.parametrize(("call", "message"), [
    (lambda cp, x: cp.maximum.reduce(x), "`cupy_maximum.reduce` is not supported yet"),
    (lambda cp, x: cp.multiply.at(x, 0, 1), "`cupy_multiply.at` is not supported yet"),
    (lambda cp, x: cp.add(x, x, where=x > 0), "Wrong arguments.*'where'"),
    (lambda cp, x: cp.sum(x, where=x > 0), "unexpected keyword argument 'where'"),
    (lambda cp, x: x.sum(initial=0), "unexpected keyword argument 'initial'"),
    (lambda cp, x: cp.zeros(3, device=0), "unexpected keyword argument 'device'"),
    (lambda cp, x: cp.einsum("ij->i", x, out=x), "unexpected keyword argument 'out'"),
    (lambda cp, x: x.astype(int, casting="safe"), "unexpected keyword argument 'casting'"),
    (lambda cp, x: cp.errstate(all="ignore"), "module 'cupy' has no attribute 'errstate'"),
    (lambda cp, x: x.setflags(write=False), "no attribute 'setflags'"),
    (lambda cp, x: cp.random.default_rng(0).permutation(3), "no random.Generator.permutation"),
    (lambda cp, x: cp.random.SeedSequence(0), "no random.SeedSequence"),
    (lambda cp, x: cp.linalg.multi_dot([x, x]), "no linalg.multi_dot"),
    (lambda cp, x: cp.fuse(abs), "the stand-in does not imitate cupy.fuse"),
])
def test_what_cupy_does_not_have(cupy, x, call, message):
    with caught(message):
        call(cupy, x)


# Values


def test_float64_leak(cupy):
    """A NumPy number, or an array without axes, is float64 and makes float64 of all it meets."""
    @op
    def leaky(xp, x):
        return x * 2, lambda gy: gy * np.float64(2)

    y = leaky(Tensor([1.0, 2.0], "gpu:0", requires_grad=True))
    with caught(r"leaky: backward returned float64 \(2,\) for input 0, which is float32"):
        ops.sum(y).backward()
    rate = cupy.array(0.1)
    assert (cupy.ones(3, np.float32) * rate).dtype == np.float64
    assert (cupy.ones(3, np.float32) * 0.1).dtype == np.float32


def test_memory_that_was_never_written(cupy):
    assert np.isnan(cupy.empty((2, 3), np.float32).get()).all()
    assert (cupy.empty(3, np.int64).get() == np.iinfo(np.int64).max).all()
    total = cupy.empty((2,), np.float32)
    total += 1  # should have been zeros
    assert np.isnan(total.get()).all()


def test_index_out_of_range(cupy, x):
    with caught("index 2 is out of bounds", IndexError):
        x[cupy.array([0, 2])]


def test_element_assigned_twice(cupy, x):
    with caught("names an element twice", IndexError):
        x[cupy.array([0, 0])] = 1
    x[cupy.array([1, 0])] = 1
    assert x.sum() == 6


def test_result_that_overlaps_itself(cupy):
    a = cupy.zeros(6, np.float32)
    windows = cupy.lib.stride_tricks.as_strided(a, (4, 3), (4, 4))
    with caught(r"add: writes into a view \(4, 3\) that overlaps itself", ValueError):
        cupy.add(windows, 1, out=windows)
    with caught(r"as_strided: the view \(5, 3\) reaches outside of the float32 \(6,\)", ValueError):
        cupy.lib.stride_tricks.as_strided(a, (5, 3), (4, 4))


# Memory


def test_limit_too_small(cupy, cuda):
    pool = cupy.get_default_memory_pool()
    pool.set_limit(size=1024)
    held = cupy.empty(100, np.float32)
    with pytest.raises(cuda.memory.OutOfMemoryError) as error:
        cupy.empty(200, np.float64)
    assert str(error.value) == ("Out of memory allocating 2,048 bytes (allocated so far: 512 bytes,"
                                " limit set to: 1,024 bytes).")
    assert isinstance(error.value, MemoryError)
    with cuda.Device(1):
        cupy.empty(200, np.float64)  # a limit is the current device's own
    assert held.nbytes == 400


def test_account_of_the_pool(cupy, cuda):
    pool = cupy.get_default_memory_pool()
    a = cupy.empty(129, np.float32)  # 516 bytes
    assert (pool.used_bytes(), pool.free_bytes(), pool.total_bytes()) == (1024, 0, 1024)
    view = a[3:]
    del a
    assert pool.used_bytes() == 1024, "a view keeps the memory"
    with cuda.Device(1):
        assert pool.used_bytes() == 0
    del view
    assert (pool.used_bytes(), pool.total_bytes()) == (0, 1024), "CuPy keeps what is freed"
    pool.free_all_blocks()
    assert pool.total_bytes() == 0


def test_leak(cupy):
    def used():
        gc.collect()
        return cupy.get_default_memory_pool().used_bytes()

    before, losses = used(), []
    for _ in range(3):
        losses.append(cupy.ones(100).sum())  # should be float(...), now and then
    assert used() == before + 3 * 512


# Order between two devices


def copy_between_gpus(cupy, array, source, own_streams, edges):
    """As CupyDevice._copy does it, with or without its two events."""
    cuda, there = cupy.cuda, 1 - source
    with contextlib.ExitStack() as stack:
        streams = {}
        for device in 0, 1:
            with cuda.Device(device):
                streams[device] = cuda.Stream(null=not own_streams, non_blocking=own_streams)
                if own_streams:
                    stack.enter_context(streams[device])
        with cuda.Device(source):
            made = array + 1
            written = streams[source].record()
        with cuda.Device(there):
            if "written" in edges:
                streams[there].wait_event(written)
            copied = cupy.array(made)
            read = streams[there].record()
        with cuda.Device(source):
            if "read" in edges:
                streams[source].wait_event(read)
            made += 1  # the source goes on
    return copied


OWN_STREAMS = pytest.mark.parametrize("own_streams", [False, True], ids=["null", "own streams"])


@OWN_STREAMS
def test_both_events_are_enough(cupy, x, own_streams):
    cupy.cuda.runtime.deviceSynchronize()
    copied = copy_between_gpus(cupy, x, 0, own_streams, {"written", "read"})
    cupy.cuda.Device(1).synchronize()
    assert (copied.get() == x.get() + 1).all()


@OWN_STREAMS
def test_missing_event_before_the_copy(cupy, x, own_streams):
    cupy.cuda.runtime.deviceSynchronize()
    with caught(r"race: a copy from GPU 0 to GPU 1 on .* of GPU 1 reads the float32 \(2, 3\) made "
                r"by add on GPU 0 while add on .* of GPU 0 may still be writing it.*wait_event"):
        copy_between_gpus(cupy, x, 0, own_streams, {"read"})


@OWN_STREAMS
def test_missing_event_after_the_copy(cupy, x, own_streams):
    cupy.cuda.runtime.deviceSynchronize()
    with caught(r"race: add on .* of GPU 0 overwrites .* while a copy from GPU 0 to GPU 1 on .* of "
                r"GPU 1 may still be reading it"):
        copy_between_gpus(cupy, x, 0, own_streams, {"written"})


def test_freed_too_early(cupy, cuda, standin):
    source = cupy.ones(3)
    event = cuda.get_current_stream().record()
    with cuda.Device(1):
        cuda.get_current_stream().wait_event(event)
        copied = cupy.array(source)
    del source
    with caught(r"freed too early: the memory of the float64 \(3,\) made by ones on GPU 0 may be "
                r"used again on the null stream of GPU 0 while a copy from GPU 0 to GPU 1"):
        cupy.ones(3)
    assert copied.shape == (3,)


class Careless(_cupy.CupyDevice):
    """The copy between two devices, without one of its events."""

    forget = ""

    def _copy(self, array, source):
        with source:
            written = cupy_of(self).cuda.get_current_stream().record()
        with self:
            stream = cupy_of(self).cuda.get_current_stream()
            if self.forget != "written":
                stream.wait_event(written)
            copy = cupy_of(self).array(array, copy=True)
            read = stream.record()
        with source if self.forget != "device" else contextlib.nullcontext():
            if self.forget != "read":
                cupy_of(self).cuda.get_current_stream().wait_event(read)
        return copy


def cupy_of(device):
    return device.xp._module


@pytest.mark.parametrize(("forget", "message"), [
    ("", ""),
    ("written", "race: a copy from GPU 1 to GPU 0 .* may still be writing"),
    ("read", "freed too early: .* while a copy from GPU 1 to GPU 0"),
    ("device", "freed too early: .* while a copy from GPU 1 to GPU 0"),  # the wrong null stream
])
def test_transfer_needs_both_events(cupy, standin, monkeypatch, forget, message):
    """The whole way: an op, transfer, and what was sent is dropped."""
    monkeypatch.setattr(_cupy.CupyDevice, "_copy", Careless._copy)
    monkeypatch.setattr(_cupy.CupyDevice, "forget", forget, raising=False)
    x = Tensor(np.ones((2, 3), np.float32), "gpu:1")
    with caught(message, standin.RaceError) if forget else contextlib.nullcontext():
        y = ops.transfer(x * 2, "gpu:0")
        standin.check()
        np.testing.assert_array_equal(y.numpy(), 2 * np.ones((2, 3)))


def test_get_does_not_wait_for_a_non_blocking_stream(cupy, cuda, x):
    with cuda.Stream(non_blocking=True) as stream:
        stream.wait_event(cuda.Stream.null.record())
        y = x + 1
    with caught("race: get on the null stream of GPU 0 reads .* may still be writing"):
        y.get()
    stream.synchronize()
    assert y.get()[0, 0] == 1


def test_blocking_stream_and_null_stream_wait_for_each_other(cupy, cuda, x):
    with cuda.Stream():
        y = x + 1
    assert (y + 1).get()[0, 0] == 2


def test_event_of_another_device(cuda):
    with cuda.Device(1):
        stream = cuda.Stream()
    with caught("cudaErrorInvalidResourceHandle: .* event of GPU 0 is recorded on .* GPU 1"):
        stream.record()


def test_stream_of_another_device(cuda):
    with cuda.Device(1):
        stream = cuda.Stream()
    with caught(r"stream is created on \(1\) does not match with the current device \(0\)"), stream:
        pass


def test_generator_of_another_device(cupy, cuda):
    rng = cupy.random.default_rng(0)
    assert rng.random((3,), dtype=np.float32).dtype == np.float32
    with cuda.Device(1), caught("Generator state is allocated in a different device"):
        rng.random(3)


# What is counted


@pytest.mark.parametrize("wait", [
    float, int, bool, complex, str, repr, list, "{:.1f}".format, lambda x: x.item(),
    lambda x: x.get(), lambda x: x.tolist(), lambda x: x.nonzero(), lambda x: x[x > 0],
    lambda x: x.device.synchronize(),
], ids=lambda wait: getattr(wait, "__name__", "?"))
def test_host_waits(cupy, standin, wait):
    x = cupy.ones((1,) if wait is list or "lambda" in wait.__name__ else ())
    with standin.record() as seen:
        x + x
    assert seen.syncs == []
    with standin.record() as seen:
        wait(x)
    assert len(seen.syncs) == 1


def test_loss_read_in_every_step_is_seen(cupy, standin):
    with standin.record() as seen:
        for _ in range(3):
            float(cupy.ones(3).sum())
    assert seen.syncs == 3 * ["float()"]


def test_launches_and_transfers(cupy, cuda, standin, x):
    with standin.record() as seen:
        y = cupy.zeros((2, 3), np.float32) + x[:, ::-1].T.T
        y += 1
        y.reshape(3, 2).sum(axis=0)
        y[0] = 5
        cuda.Device(0).synchronize()
        with cuda.Device(1):
            z = cupy.array(y)
            z.get()
        cupy.asarray(np.ones(4))
    assert dict(seen.launches) == {"zeros": 1, "add": 2, "sum": 1, "fill": 1}
    # Six numbers written; six and six read and six written, twice (once a number is the other
    # operand); six read and two written; three written.
    assert dict(seen.bytes) == {"zeros": 24, "add": 72 + 48, "sum": 32, "fill": 12}
    assert [t[:4] for t in seen.transfers] == [
        ("D2D", 0, 1, 24), ("D2H", 1, None, 24), ("H2D", None, 0, 32)]


# What is right, is right


def test_plain_work_gives_what_numpy_gives(cupy, rng):
    a = rng.standard_normal((4, 5)).astype(np.float32)
    x = cupy.array(a)
    for work in (
        lambda xp, x: xp.exp(x) @ x.T, lambda xp, x: x.sum(axis=0, keepdims=True) / 3,
        lambda xp, x: xp.concatenate([x, x[::2]], axis=0)[1:, None], lambda xp, x: x.T.reshape(-1),
        lambda xp, x: xp.where(x > 0, x, 0) ** 2 - 1, lambda xp, x: xp.sort(x, axis=1).argmax(),
        lambda xp, x: xp.pad(x, 1), lambda xp, x: 1 - x * np.float32(2),
        lambda xp, x: xp.einsum("ij,kj->ik", x, x), lambda xp, x: xp.take(x, xp.arange(3)),
        lambda xp, x: xp.linalg.norm(x), lambda xp, x: xp.stack([x, x]).mean(axis=(0, 2)),
    ):
        expected = np.asarray(work(np, a))
        result = work(cupy, x)
        assert type(result) is cupy.ndarray
        assert (result.dtype, result.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(result.get(), expected)


# Other machines


def run(code, devices):
    """What a new Python says that runs `code` on the stand-in with so many GPUs."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=STANDIN.parents[1],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(STANDIN), "."]),
             "MINIALEX_STANDIN_DEVICES": str(devices)})


@pytest.mark.parametrize(("devices", "name", "message"), [
    (0, "gpu:0", "device 'gpu:0': CuPy 14.2.0 finds no GPU (there is no CUDA driver)"),
    (1, "gpu:1", "device 'gpu:1' does not exist: this machine has 1 GPU"),
])
def test_minialex_on_a_machine_with_fewer_gpus(standin, devices, name, message):
    done = run(f"from minialex import backend; backend.device({name!r})", devices)
    assert re.search(rf"{DeviceError.__name__}: {re.escape(message)}", done.stderr), done.stderr
    done = run("from minialex import backend; print(*backend.available())", devices)
    assert done.stdout.split() == [f"gpu:{i}" for i in range(devices)] + ["cpu:0", "cpu:1"]


@pytest.mark.parametrize("call", [
    lambda cp: cp.cuda.runtime.getDeviceCount(), lambda cp: cp.zeros(3), lambda cp: cp.array([1]),
    lambda cp: cp.cuda.Device(), lambda cp: cp.cuda.Event(), lambda cp: cp.cuda.Stream(),
    lambda cp: cp.cuda.get_current_stream(), lambda cp: cp.get_default_memory_pool().used_bytes(),
    lambda cp: cp.random.default_rng(0),
])
def test_no_driver(cupy, standin, call):
    with standin.devices(0):
        assert not cupy.cuda.is_available()
        assert cupy.cuda.Device(5).id == 5 and cupy.cuda.Stream.null is not None
        assert cupy.asnumpy(np.ones(2)).sum() == 2
        with caught("cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA "
                    "runtime version", cupy.cuda.runtime.CUDARuntimeError):
            call(cupy)
