"""The suite again, for GPUs: on the stand-in for CuPy, each time in a process of its own.

Real CuPy, if there is one, is left alone: a process has one cupy or the other. What this proves,
and what it does not, stands in README.md.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

# Tests that ask for devices, or for the stand-in itself.
ON_DEVICES = re.compile(r"^def test_\w+\([^)]*\b(devices?|two_devices|pair|standin)\b", re.M)


# This file would start itself for ever. The command line is slow, and test_doctor.py runs it on
# the stand-in.
NOT_AGAIN = {"test_on_standin.py", "test_cli.py"}


def files():
    """The test files with something to test on a GPU."""
    return [str(path) for path in sorted(TESTS.glob("test_*.py"))
            if path.name not in NOT_AGAIN and ON_DEVICES.search(path.read_text("utf-8"))]


def run(devices, *options):
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=no", "--standin",
         "--device", devices, *options], cwd=TESTS.parent, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize(("devices", "options"), [
    ("gpu:0,gpu:1", []),
    ("cpu:0,gpu:0", ["-m", "ch08"]),
    ("gpu:0", ["-m", "ch08"]),
])
def test_suite_passes_on_the_standin(devices, options):
    done = run(devices, *options, *files())
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "passed" in done.stdout


def test_header_says_that_no_gpu_code_ran():
    done = run("gpu:0,gpu:1", "-v", "--collect-only", "tests/test_standin.py")
    assert ("devices gpu:0, gpu:1; stand-in: no GPU code ran; not checked: float differences, "
            "speed, real memory") in done.stdout, done.stderr


def test_files_are_found():
    found = {Path(file).name for file in files()}
    assert {"test_backend.py", "test_gpu_step.py", "test_models.py", "test_ops.py",
            "test_standin.py", "test_tensor.py"} <= found
    assert not {"test_architecture.py", "test_fashion_mnist.py"} & found


def test_failure_on_the_standin_is_a_failure_here(tmp_path):
    """Negative control: an array of one device is used on the other."""
    bad = tmp_path / "test_bad.py"
    bad.write_text(
        "from minialex import Tensor\n"
        "def test_bad(devices):\n"
        "    a, b = (Tensor([1.0], name) for name in devices)\n"
        "    with a.device:\n"
        "        a.data + b.data\n", encoding="utf-8")
    done = run("gpu:0,gpu:1", f"--rootdir={TESTS.parent}", f"--confcutdir={TESTS.parent}",
               "-p", "tests.conftest", str(bad))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "WrongDeviceError: add: operand 1 (1,) is on GPU 1" in done.stdout
