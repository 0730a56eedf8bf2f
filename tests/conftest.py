"""What all tests share: the devices they run on, seeded numbers, and sealed global state."""

import importlib.util
import os
import signal
import subprocess
import sys
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from minialex import backend, tensor

GRADIENT_ERRORS = pytest.StashKey[dict[str, float]]()
DEVICES = pytest.StashKey[tuple[str, str]]()
STANDIN = Path(__file__).with_name("standin")
SLOW_ON_STANDIN = {"test_cli.py"}  # test_doctor.py runs the command line there


def pytest_addoption(parser):
    parser.addoption(
        "--device", default="cpu:0,cpu:1", metavar="A[,B]",
        help="the two devices to test on; with one name both are the same (default: %(default)s)")
    parser.addoption(
        "--standin", action="store_true",
        help="stand in for CuPy, even if there is a GPU; without a GPU --device gpu:0 does so")


def pytest_configure(config):
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as `nohup` and `&` leave it
        signal.signal(signal.SIGINT, signal.default_int_handler)  # some tests press Ctrl-C
    config.stash[GRADIENT_ERRORS] = {}
    names = config.getoption("--device").split(",")
    if config.getoption("--standin") or ("gpu" in "".join(names) and not _gpu_answers()):
        sys.path.insert(0, str(STANDIN))  # before minialex imports cupy
    if len(names) > 2:
        raise pytest.UsageError(f"--device: {len(names)} names; give one or two, say gpu:0,gpu:1")
    try:
        first, second = (backend.device(name.strip()).name for name in (names[0], names[-1]))
    except backend.DeviceError as error:
        raise pytest.UsageError(f"--device: {error}") from None
    config.stash[DEVICES] = first, second


def _gpu_answers():
    """Asked in another process: a cupy that has been imported would stay."""
    ask = "import cupy, sys; sys.exit(not cupy.cuda.is_available())"
    return importlib.util.find_spec("cupy") is not None and subprocess.run(
        [sys.executable, "-c", ask], stderr=subprocess.DEVNULL).returncode == 0


def _standin():
    """The controls of the stand-in for CuPy, or None."""
    return getattr(sys.modules.get("cupy"), "standin", None)


def pytest_collection_modifyitems(config, items):
    """On the stand-in only tests run that ask for a device; it is nothing to the others."""
    if _standin():
        asks = {"device", "devices", "pair", "standin", "two_devices"}
        kept = [item for item in items if asks & set(getattr(item, "fixturenames", ()))
                and item.path.name not in SLOW_ON_STANDIN]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


def pytest_report_header(config):
    used = config.stash[DEVICES]
    if str(STANDIN) in sys.path:
        return (f"devices {', '.join(used)}; stand-in: no GPU code ran; "
                "not checked: float differences, speed, real memory")
    reason = backend.why_no_gpu() or "none was asked for; use --device gpu:0,gpu:1"
    without = "" if "gpu" in "".join(used) else f"; no GPU code ran: {reason}"
    return f"devices {', '.join(used)}{without}"


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu") and backend.why_no_gpu():
        pytest.skip(backend.why_no_gpu())


def pytest_terminal_summary(terminalreporter, config):
    errors = config.stash[GRADIENT_ERRORS]
    if errors:
        worst = max(errors, key=errors.get)
        terminalreporter.write_line(
            f"worst relative gradient error: {errors[worst]:.1e} ({worst}) in {len(errors)} checks")


@pytest.fixture
def devices(pytestconfig) -> tuple[str, str]:
    """The names of the two devices for two columns; they may be equal."""
    return pytestconfig.stash[DEVICES]


@pytest.fixture
def device(devices) -> str:
    """The name of the device to test on."""
    return devices[0]


@pytest.fixture(scope="session")
def standin():
    """The controls of the stand-in for CuPy (see tests/README.md)."""
    if not _standin():
        pytest.skip("runs on the stand-in for CuPy: --standin --device gpu:0,gpu:1")
    return _standin()


@pytest.fixture
def two_devices(devices) -> tuple[str, str]:
    """As `devices`, for what can only be seen between two."""
    if devices[0] == devices[1]:
        pytest.skip("needs two different devices: --device A,B")
    return devices


@pytest.fixture
def same_kind(devices) -> tuple[str, str]:
    """As `devices`, for what must be equal bit for bit."""
    if len({backend.device(name).kind for name in devices}) == 2:
        pytest.skip("a CPU and a GPU round differently")
    return devices


@pytest.fixture
def rng(request):
    """Numbers that differ from test to test, but not from run to run."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture
def gradient_error(request, pytestconfig):
    """Call it with a relative error: the summary of the run names the worst."""
    def note(error):
        pytestconfig.stash[GRADIENT_ERRORS][request.node.callspec.id] = error

    return note


class Finished(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def minialex(capsys):
    """Call it like the command -> Finished."""
    from minialex.tools import cli

    def run(*arguments):
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as stop:  # of the parser: help, and mistakes that it sees
            code = stop.code
        return Finished(code, *capsys.readouterr())

    return run


@pytest.fixture
def test_data() -> Path:
    """The folder of larger data sets, which are no part of the repository."""
    folder = os.environ.get("MINIALEX_TEST_DATA")
    if not folder:
        pytest.skip("needs larger data sets: set MINIALEX_TEST_DATA to their folder")
    return Path(folder)


@pytest.fixture(autouse=True)
def sealed():
    """No test leaves the default device or the recording switched behind."""
    before = _global_state()
    yield
    after = _global_state()
    backend.use("cpu:0")
    if _standin():
        _standin().check()  # memory that was freed while another device was reading it
    tensor._thread.silent = 0  # so that one careless test does not fail all that follow
    assert before == after == ("cpu:0", True), f"default device, recording: {before}, then {after}"


def _global_state():
    return backend.default().name, not tensor._thread.silent
