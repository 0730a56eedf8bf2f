"""The rules of CuPy that the stand-in was built from, asked of whichever of the two is there.

On the stand-in they show that it does what it says; on a real GPU, that it says what CuPy does.
A rule that fails there is a mistake in `standin/`, and perhaps in what was built on it.
"""

import numpy as np
import pytest

from minialex import backend

pytestmark = [pytest.mark.gpu, pytest.mark.ch08]


@pytest.fixture
def cupy(device):
    """CuPy, with the device of the run current."""
    if not device.startswith("gpu"):
        pytest.skip("needs --device gpu:0")
    import cupy

    with backend.device(device):
        yield cupy


@pytest.fixture
def other(cupy, devices):
    """Another GPU."""
    device = backend.device(devices[1])
    if device.kind != "gpu" or devices[0] == devices[1]:
        pytest.skip("needs two GPUs: --device gpu:0,gpu:1")
    return cupy.cuda.Device(device.index)


@pytest.fixture
def x(cupy):
    return cupy.array(np.arange(6, dtype=np.float32).reshape(2, 3))


def test_results_without_axes_are_arrays(cupy, x):
    for result in x.sum(), x.max(), x[0, 1], x.argmax(), cupy.mean(x):
        assert isinstance(result, cupy.ndarray) and result.shape == ()
    with pytest.raises(TypeError, match="list indices must be integers"):
        ["cat", "dog"][x.argmin()]
    assert float(x[1, 2]) == 5 and x.sum().item() == 15


def test_nothing_is_converted_silently(cupy, x):
    with pytest.raises(TypeError, match="Implicit conversion to a NumPy array is not allowed"):
        np.asarray(x)
    with pytest.raises(TypeError, match="Unsupported type"):
        x * np.ones((2, 3), np.float32)
    with pytest.raises((TypeError, ValueError)):
        x[...] = np.ones((2, 3), np.float32)
    with pytest.raises(TypeError):
        memoryview(x)


def test_ufuncs_take_three_keywords_and_have_few_methods(cupy, x):
    with pytest.raises(TypeError, match="Wrong arguments"):
        cupy.add(x, x, where=x > 0)
    with pytest.raises(NotImplementedError, match=r"cupy_maximum\.reduce` is not supported yet"):
        cupy.maximum.reduce(x)
    assert float(cupy.add.reduce(x, axis=None)) == 15


def test_numbers_promote_as_in_numpy(cupy, x):
    assert (x * 2.5).dtype == np.float32
    assert (x * np.float32(2)).dtype == np.float32
    assert (x * np.float64(2)).dtype == np.float64
    assert (x * cupy.array(2.0)).dtype == np.float64


def test_pool_rounds_up_and_views_share(cupy):
    pool = cupy.get_default_memory_pool()
    before = pool.used_bytes()
    a = cupy.empty(129, np.float32)  # 516 bytes
    view = a[100:].reshape(-1)
    assert pool.used_bytes() == before + 1024
    del a
    assert pool.used_bytes() == before + 1024
    del view
    assert pool.used_bytes() == before


def test_limit_of_the_pool(cupy):
    pool = cupy.get_default_memory_pool()
    pool.free_all_blocks()
    pool.set_limit(size=pool.total_bytes() + 2**20)
    try:
        with pytest.raises(cupy.cuda.memory.OutOfMemoryError,
                           match=r"Out of memory allocating 2,097,152 bytes \(allocated so far"):
            cupy.empty(2**21, np.uint8)
        assert issubclass(cupy.cuda.memory.OutOfMemoryError, MemoryError)
    finally:
        pool.set_limit(size=0)


def test_copies_of_an_array_of_the_current_device(cupy, x):
    assert cupy.asarray(x) is x and cupy.ascontiguousarray(x) is x
    assert cupy.array(x) is not x and not cupy.may_share_memory(cupy.array(x), x)
    assert cupy.may_share_memory(x.T, x) is True


def test_array_without_axes_keeps_having_none_but_in_ascontiguousarray(cupy):
    x = cupy.array(3.0)
    assert x.shape == x.copy().shape == x.astype(np.float32, order="C", copy=False).shape == ()
    assert x.astype(x.dtype, order="C", copy=False) is x
    assert cupy.ascontiguousarray(x).shape == (1,)


def test_orders(cupy, x):
    """`array` and `astype` keep Fortran's, the method `copy` does not."""
    fortran = np.asfortranarray(x.get())
    for made in cupy.array(fortran), cupy.asarray(fortran), cupy.array(x.T), x.T.astype(int):
        assert made.flags.f_contiguous and not made.flags.c_contiguous
    for made in cupy.array(fortran, order="C"), x.T.copy(), cupy.array(fortran[:, ::-1]):
        assert made.flags.c_contiguous
    np.testing.assert_array_equal(cupy.array(fortran).get(), fortran)


def test_big_endian_numbers_are_made_native(cupy):
    made = cupy.array(np.arange(6, dtype=">f4"))
    assert made.dtype.isnative and float(made[5]) == 5


def test_errors_are_known_by_their_modules(cupy):
    """By which the device tells them from other errors."""
    assert cupy.cuda.runtime.CUDARuntimeError.__module__.startswith("cupy_backends")
    assert cupy.cuda.memory.OutOfMemoryError.__module__.startswith("cupy.cuda")


def test_copy_goes_to_the_current_device(cupy, x, other):
    cupy.cuda.Device().synchronize()
    with other:
        copy = cupy.array(x, copy=True)
    assert copy.device == other != x.device
    np.testing.assert_array_equal(copy.get(), x.get())


def test_copy_of_an_array_without_axes_or_in_another_order(cupy, x, other):
    total, turned = x.sum(), x.T
    cupy.cuda.Device().synchronize()
    with other:
        assert cupy.array(total).shape == ()
        copy = cupy.array(turned)
    assert copy.flags.f_contiguous and not copy.flags.c_contiguous
    np.testing.assert_array_equal(copy.get(), turned.get())
    with pytest.raises(NotImplementedError, match="non-contiguous array between devices"), other:
        cupy.array(x[:, ::2])


def test_streams_and_events_belong_to_a_device(cupy, other):
    with other:
        stream = cupy.cuda.Stream()
    with pytest.raises(RuntimeError, match="does not match with the current device"), stream:
        pass
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="cudaError"):
        stream.record()  # makes its event on the current device
    with other:
        event = stream.record()
    cupy.cuda.get_current_stream().wait_event(event)  # this is how two devices are ordered
    stream.synchronize()


def test_device_that_does_not_exist(cupy):
    count = cupy.cuda.runtime.getDeviceCount()
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="cudaErrorInvalidDevice"):
        cupy.cuda.Device(count).__enter__()
