"""`minialex doctor`: what it lists, and that it finds what is planted. It never shows a traceback.

`examine` reads the findings as JSON, `read` as a user sees them.
"""

import configparser
import functools
import importlib.metadata
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from minialex import backend, datasets, ops
from minialex.backend import _cupy
from minialex.operation import op
from minialex.tools import cli, doctor, selfcheck

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Data that has been read is not read again."""
    monkeypatch.setattr(doctor, "fashion_mnist", cached_data)


cached_data = functools.cache(datasets.fashion_mnist)


@pytest.fixture
def read(capsys):
    def read(*arguments):
        """Exit code and output."""
        code = cli.main(["doctor", *arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err or "--debug" in arguments
        return code, out + err

    return read


@pytest.fixture
def examine(read, monkeypatch):
    def examine(devices="cpu:1", training=False):
        """The findings; some rules hold for any of them."""
        if not training:  # it takes longest
            monkeypatch.setattr(doctor, "check_training", lambda a, b: [])
        code, out = read("--json", *(["--devices", devices] if devices else []))
        report = json.loads(out)
        findings = [SimpleNamespace(**finding) for finding in report["findings"]]
        assert code == (0 if report["ok"] else 1) == any(not f.ok for f in findings)
        assert all(f.ok or f.remedy for f in findings), "what fails has a remedy"
        assert all("\n" not in f.text + f.remedy for f in findings)
        return findings

    return examine


def one(findings, name, text=""):
    """The only finding of that name with that text in it."""
    found = [f for f in findings if f.name == name and text in f.text]
    assert len(found) == 1, findings
    return found[0]


def failures(findings):
    return [(f.name, f.text) for f in findings if not f.ok]


def distributions(monkeypatch, **versions):
    listed = [SimpleNamespace(name=name.replace("_", "-"), version=version)
              for name, version in {"numpy": "2.0", "broken": None, **versions}.items()]
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: listed)


class CUDARuntimeError(RuntimeError):
    """As CuPy has it."""


def cupy(monkeypatch, gpus=0, driver=0):
    """A CuPy 14.2.0 that has a driver for this CUDA, and so many GPUs."""
    def count():
        if not gpus:  # CUDA says so, and which it is of the two
            raise CUDARuntimeError("cudaErrorInsufficientDriver: driver version is insufficient"
                                   if driver < 12000 else "cudaErrorNoDevice: no CUDA device")
        return gpus

    runtime = SimpleNamespace(driverGetVersion=lambda: driver, runtimeGetVersion=lambda: 12090,
                              getDeviceCount=count)
    cuda = SimpleNamespace(is_available=lambda: gpus > 0, runtime=runtime)
    monkeypatch.setattr(_cupy, "cupy", SimpleNamespace(__version__="14.2.0", cuda=cuda))
    monkeypatch.setattr(_cupy, "version", "14.2.0")
    distributions(monkeypatch, cupy_cuda12x="14.2.0")


def no_cupy(monkeypatch, why="", **packages):
    """What a machine has on which `import cupy` fails."""
    for name, value in {"cupy": None, "version": "", "import_error": why}.items():
        monkeypatch.setattr(_cupy, name, value)
    distributions(monkeypatch, **packages)


PIP = f"{shlex.quote(sys.executable)} -m pip"
INSTALL = f'{PIP} install "cupy-cuda12x[ctk]>=14" for CUDA 12'


# What it says on a machine where all is well


def test_report(read, monkeypatch):
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    code, out = read("--devices", "cpu:0,cpu:1")
    assert code == 0
    assert "\nall is well: " in out
    for name in ("Python", "minialex", "NumPy", "Pillow", "matplotlib", "tqdm", "safetensors",
                 "threadpoolctl", "BLAS", "threads", "data", "runs", "cpu:0", "cpu:1"):
        assert re.search(rf"^  {name} .*  OK$", out, re.MULTILINE), name
    assert re.search("^  CuPy ", out, re.MULTILINE)
    assert out.count("28 ops and their gradients agree") == 2
    # After a long path it takes two lines, and OK stands at the end of the first.
    assert "10,000 training and 2,000 test images" in re.sub(r"\s+(OK\s+)?", " ", out)
    assert "cpu:0, cpu:1    400,000 bytes there and back, and their gradients: the same bits" in out
    assert "cpu:0, cpu:1    two-column AlexNet: loss " in out
    assert [line for line in out.splitlines() if line and line[0] != " "][:-1] == [
        "software", "files", "devices", doctor.SELF_CHECK]


def test_lines_are_aligned_and_short(read):
    _, out = read("--devices", "cpu:0,nonsense")
    lines = [line for line in out.splitlines() if line.startswith("  ")]
    assert max(len(line) for line in lines if "-> " not in line) <= 100
    for line in lines:
        assert line[94:] in ("OK", "note", "FAIL") or line.startswith(" " * 18), line


def test_remedies_can_be_pasted(monkeypatch, read):
    """Whatever the folder of the interpreter is called; a command is never broken in two."""
    no_cupy(monkeypatch)
    monkeypatch.setattr(sys, "executable", "/home/über uns/a very long name of a folder/python")
    monkeypatch.setattr(doctor, "PACKAGES", [("NumPy", "numpy", "99.5")])
    _, out = read("--devices", "cpu:0")
    [line] = [line for line in out.splitlines() if "99.5" in line]
    assert shlex.split(line)[1:] == [sys.executable, "-m", "pip", "install", "--upgrade",
                                     "NumPy>=99.5"]


def test_json_has_the_same_findings(read):
    _, shown = read("--devices", "cpu:0,gpu:77")
    _, out = read("--json", "--devices", "cpu:0,gpu:77")
    findings = json.loads(out)["findings"]
    lines = [line for line in shown.splitlines() if re.match(r"  \S", line)]
    assert [(line[2:17].strip(), line[94:]) for line in lines] == [
        (f["name"], f["verdict"]) for f in findings]
    assert {f["section"] for f in findings} == {"software", "files", "devices", doctor.SELF_CHECK}


def test_default_devices(examine):
    findings = [f for f in examine(devices=None) if f.section == "devices"]
    assert [f.name for f in findings if ":" in f.name and "reaches" not in f.name] == [
        "cpu:0", "cpu:1", *(n for n in backend.available() if n.startswith("gpu"))]
    assert " and " in one(findings, "train uses").text


def test_a_device_named_twice_is_checked_once(examine):
    findings = examine("cpu:1, cpu:1,cpu:1", training=True)
    assert [f.name for f in findings if "cpu" in f.name] == ["cpu:1", "cpu:1", "cpu:1, cpu:1"]


def test_help_names_it(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert re.search(r"doctor +say what is installed", capsys.readouterr().out)


def test_on_simulated_gpus():
    """In a process of its own: the stand-in for CuPy, whose two devices never reach each other."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "standin")])
    done = subprocess.run(
        [sys.executable, "-m", "minialex", "doctor"], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": path})
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.count("28 ops and their gradients agree") == 4
    for text in ("CUDA            the driver knows CUDA 12", "gpu:1           stand-in",
                 "train uses      gpu:0 and gpu:1", "gpu:0 reaches   gpu:1 no", "note\n",
                 "gpu:0, gpu:1    400,000 bytes", "cpu:1, gpu:0    two-column AlexNet",
                 "gpu:0, gpu:1    two-column AlexNet"):
        assert text in done.stdout, text


# The lists it works by


def test_least_versions_are_those_of_setup_cfg():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    needed = config["options"]["install_requires"].strip().splitlines()
    assert {f"{name}>={least}".lower() for name, _, least in doctor.PACKAGES} == {
        line.lower() for line in needed}


def test_every_op_is_checked():
    assert {*selfcheck.CASES, "transfer"} == set(ops.__all__)


# Software


def test_package_missing_or_old(monkeypatch, examine):
    monkeypatch.setattr(doctor, "PACKAGES", [
        ("Nonsense", "no_such_module", "1"), ("NumPy", "numpy", "99.5"), ("tqdm", "tqdm", "4.66")])
    findings = examine()
    assert one(findings, "Nonsense").text == "ModuleNotFoundError: No module named 'no_such_module'"
    assert one(findings, "Nonsense").remedy == f"{PIP} install --upgrade 'Nonsense>=1'"
    assert one(findings, "NumPy").remedy == f"{PIP} install --upgrade 'NumPy>=99.5'"
    assert len(failures(findings)) == 2


def test_no_cupy_is_a_note(monkeypatch, examine):
    no_cupy(monkeypatch)
    findings = examine()
    found = one(findings, "CuPy")
    assert (found.text, found.verdict) == ("not installed; only GPUs need it", "note")
    assert found.remedy.startswith(INSTALL)
    assert not failures(findings) and not any(f.name == "CUDA" for f in findings)


def test_proposed_packages_are_those_of_setup_cfg():
    """The project itself is in no index, so its extras cannot be asked for."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    extras = config["options.extras_require"]
    for name in "gpu12", "gpu13":
        assert f'"{extras[name].strip()}" for CUDA {name[3:]}' in _cupy.INSTALL
    assert "minialex[" not in _cupy.INSTALL


def test_cupy_without_driver_is_a_note(monkeypatch, examine):
    cupy(monkeypatch)
    findings = examine()
    assert one(findings, "CuPy").text == "14.2.0, cupy-cuda12x 14.2.0"
    found = one(findings, "CUDA")
    assert (found.text, found.verdict) == (
        "no driver answers; CuPy is made for CUDA 12.9", "note")
    assert found.remedy.startswith("CuPy 14.2.0 finds no GPU (there is no CUDA driver)")
    assert not failures(findings)


@pytest.mark.parametrize("driver", [11040, 9000])
def test_driver_too_old(monkeypatch, examine, driver):
    """CUDA's own word for it, "insufficient", is the same as without any driver."""
    cupy(monkeypatch, driver=driver)
    said = f"the driver knows CUDA {driver // 1000}.{driver % 1000 // 10}"
    found = one(examine(), "CUDA", f"{said}; CuPy is made for CUDA 12.9")
    assert not found.ok
    assert (f"(the driver is too old: it is for CUDA {driver // 1000}, CuPy for CUDA 12): update "
            "the driver") in found.remedy
    with pytest.raises(backend.DeviceError, match="update the driver"):
        backend.device("gpu:9")


@pytest.mark.parametrize(("name", "threads", "text", "remedy"), [
    ("accelerate", "", "Accelerate; threadpoolctl does not control its threads",
     "compare with VECLIB_MAXIMUM_THREADS=1, set before the start"),
    ("Accelerate", "1", "Accelerate; VECLIB_MAXIMUM_THREADS is 1", None),
    ("essl", "", "essl, which threadpoolctl does not know", "compare --threads 1")])
def test_blas_whose_threads_cannot_be_held_back(monkeypatch, examine, name, threads, text, remedy):
    """As on macOS, where NumPy calculates with Accelerate."""
    monkeypatch.setattr(doctor, "threadpool_info", lambda: [])
    monkeypatch.setattr(np, "show_config", lambda mode: {
        "Build Dependencies": {"blas": {"name": name}}})
    monkeypatch.setenv("VECLIB_MAXIMUM_THREADS", threads)
    found = one(examine(), "BLAS", text)
    assert found.ok and found.verdict == ("note" if remedy else "OK")
    assert found.remedy.endswith(remedy or "")


@pytest.mark.parametrize(("chosen", "verdict"), [("Haswell", "note"), ("", "OK")])
def test_kernels_that_somebody_has_chosen_for_openblas(monkeypatch, examine, chosen, verdict):
    """With those for an old processor a step may take twice as long; nobody sees why."""
    monkeypatch.setattr(doctor, "threadpool_info", lambda: [
        dict(user_api="blas", internal_api="openblas", version="0.3", num_threads=2)])
    monkeypatch.setenv("OPENBLAS_CORETYPE", chosen)
    found = one(examine(), "BLAS")
    assert found.verdict == verdict
    assert ("OPENBLAS_CORETYPE is Haswell" in found.text) == bool(chosen)


@pytest.mark.parametrize("driver", [12090, 12000, 13010])
def test_driver_without_gpu(monkeypatch, examine, driver):
    cupy(monkeypatch, driver=driver)
    found = one(examine(), "CUDA")
    assert found.verdict == "note" and "CUDA_VISIBLE_DEVICES" in found.remedy
    assert "cudaErrorNoDevice" in found.remedy


def test_cuda_that_raises(monkeypatch, examine):
    cupy(monkeypatch)
    _cupy.cupy.cuda.runtime.driverGetVersion = lambda: 1 / 0
    assert failures(examine()) == [("cuda", "ZeroDivisionError: division by zero")]


@pytest.mark.parametrize(("value", "told"), [("1", True), ("2", True), ("0", False), ("", False)])
def test_variable_that_makes_products_coarse(monkeypatch, examine, value, told):
    cupy(monkeypatch, driver=12090)
    monkeypatch.setenv("CUPY_TF32", value)
    found = [f for f in examine() if f.name == "CUPY_TF32"]
    assert len(found) == told
    assert all(not f.ok and f.remedy == "unset CUPY_TF32, then start again" for f in found)


def test_two_cupy_packages(monkeypatch, examine):
    cupy(monkeypatch)
    distributions(monkeypatch, cupy_cuda12x="14.2.0", cupy_cuda13x="14.2.0", cupyish="1")
    found = one(examine(), "CuPy")
    assert found.text == ("two packages of it are installed: "
                          "cupy-cuda12x 14.2.0 and cupy-cuda13x 14.2.0")
    assert not found.ok
    assert f"({PIP} uninstall -y cupy-cuda12x cupy-cuda13x)" in found.remedy


@pytest.mark.parametrize("why", [
    "", "cannot be imported (ImportError: libcuda.so.1: cannot open shared object file)"])
def test_cupy_that_cannot_be_imported(monkeypatch, examine, why):
    no_cupy(monkeypatch, why, cupy_cuda12x="14.2.0")
    found = one(examine(), "CuPy", f"cupy-cuda12x 14.2.0 {why or 'cannot be imported'}")
    assert not found.ok and found.remedy == f"install it again: {_cupy.INSTALL}"


@pytest.mark.parametrize(("body", "text"), [
    ("raise ImportError('\\n' + '=' * 60 + '\\nFailed to import CuPy.\\n\\nOriginal error:\\n  "
     "ImportError: libcuda.so.1: no such file\\n' + '=' * 60)", "(ImportError: libcuda.so.1: no "),
    ("import no_such_module", "(No module named 'no_such_module')"),
    ("raise AttributeError('numpy has no float')", "(numpy has no float)"),
    ("raise OSError", "(OSError)"),
])
def test_whatever_importing_cupy_raises(tmp_path, body, text):
    """The CPU is there all the same, and the reason is said in one line."""
    (tmp_path / "cupy.py").write_text(body)
    done = subprocess.run(
        [sys.executable, "-c", "from minialex import backend; print(backend.available());"
         "print(backend.why_no_gpu()); backend.device('gpu:0')"], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])})
    names, why = done.stdout.splitlines()
    assert names == "['cpu:0', 'cpu:1']"
    assert why.startswith(f"CuPy cannot be imported {text}") and INSTALL in why
    assert done.stderr.splitlines()[-1].startswith(
        f"minialex.errors.DeviceError: device 'gpu:0': {why}")


# Files


@pytest.fixture
def data_folder(monkeypatch, tmp_path):
    """A copy of the embedded data set, in place of it."""
    folder = tmp_path / "fashion-mnist"
    shutil.copytree(ROOT / "data" / "fashion-mnist", folder)
    monkeypatch.setattr(doctor, "fashion_mnist",
                        lambda split: datasets.fashion_mnist(split, folder))
    return folder


def test_data_that_cannot_be_read(data_folder, examine):
    file = data_folder / "train-labels-idx1-ubyte.gz"
    file.write_bytes(file.read_bytes()[:1000])
    found = one(examine(), "data", str(file))
    assert not found.ok and "get the file again" in found.remedy


def test_data_that_is_missing(data_folder, examine):
    shutil.rmtree(data_folder)
    found = one(examine(), "data", "no such file")
    assert not found.ok and "git checkout data" in found.remedy


def test_runs_that_cannot_be_written(monkeypatch, tmp_path, examine):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").write_text("a file, not a folder")
    found = one(examine(), "runs", f"{tmp_path / 'runs'}: cannot be written (")
    assert not found.ok and "--out FOLDER" in found.remedy


@pytest.mark.parametrize("there", [True, False])
def test_runs_that_can_be_written(monkeypatch, tmp_path, examine, there):
    monkeypatch.chdir(tmp_path)
    if there:
        (tmp_path / "runs").mkdir()
    found = one(examine(), "runs")
    assert found.text.startswith(f"{tmp_path / 'runs'}: can be written, ")
    assert found.ok and [*tmp_path.rglob("*")] == [tmp_path / "runs"] * there, "nothing is left"


# Devices


@pytest.mark.parametrize(("name", "text"), [
    ("tpu:0", "unknown device 'tpu:0'"),
    ("", "unknown device ''"),
    ("cpu:99", "device 'cpu:99' does not exist: the virtual CPU devices are cpu:0 to cpu:15"),
    ("gpu:77", "device 'gpu:77': CuPy is not installed: "),
])
def test_device_that_does_not_exist(monkeypatch, examine, name, text):
    no_cupy(monkeypatch)
    findings = examine(f"cpu:1,{name}")
    found = one(findings, name, text)
    assert (found.verdict, found.remedy) == ("FAIL", "use --devices cpu:0,cpu:1")
    assert one(findings, "cpu:1", "28 ops").ok, "the others are checked all the same"


def test_gpu_that_does_not_exist(monkeypatch, examine):
    cupy(monkeypatch, gpus=1, driver=12090)
    found = one(examine("gpu:77"), "gpu:77")
    assert found.text == "device 'gpu:77' does not exist: this machine has 1 GPU(s)"
    assert found.remedy == "use --devices gpu:0,gpu:0 or gpu:0,cpu:0"


def test_gpus_that_cannot_be_asked(monkeypatch, examine):
    """The CPU is checked all the same."""
    cupy(monkeypatch, gpus=1, driver=12090)
    _cupy.cupy.cuda.runtime.getDeviceCount = lambda: 1 / 0
    findings = examine(devices=None)
    assert "finds no GPU (division by zero)" in one(findings, "CUDA").remedy
    assert one(findings, "cpu:1", "28 ops").ok


# The self-check: each planted fault is on cpu:1 only


def plant(monkeypatch, name, function):
    monkeypatch.setattr(backend.device("cpu:1").xp, name, function)


def test_function_that_is_wrong(monkeypatch, examine):
    def maximum(a, b, out):
        return np.add(np.maximum(a, b), 0.01 if out.dtype.kind == "f" else 0, out=out)

    plant(monkeypatch, "maximum", maximum)
    findings = examine("cpu:0,cpu:1", training=True)
    wrong = failures(findings)
    assert [name for name, _ in wrong] == ["cpu:1", "cpu:1", "cpu:0, cpu:1"]
    assert re.match(r"relu: value differs by 0\.0\d+, gradient 0 differs by ", wrong[0][1])
    assert wrong[1][1].startswith("max_pool2d: value differs by ")
    assert re.search(r"AlexNet: loss [\d.]+ and [\d.]+, .*; plain NumPy says [\d.]+", wrong[2][1])
    assert one(findings, "cpu:0", "28 ops").ok and one(findings, "cpu:1", "26 ops").ok


def test_function_that_gives_nan(monkeypatch, examine):
    plant(monkeypatch, "log", lambda x: np.log(x) * np.nan)
    texts = [text for _, text in failures(examine())]
    assert any(text.startswith("log: value differs by nan") for text in texts), texts


def test_function_that_raises_is_one_finding(monkeypatch, examine):
    """It is in several ops, which would all say the same."""
    def matmul(a, b, out):
        raise RuntimeError("libcublas.so.12:\n  cannot open shared object file")

    plant(monkeypatch, "matmul", matmul)
    text = "RuntimeError: libcublas.so.12: cannot open shared object file"
    assert failures(examine(training=True)) == [
        ("cpu:1", f"matmul: {text}"), ("check training", text)]


def wrong_tanh(value=lambda y: y, gradient=lambda gx: gx):
    """tanh with a fault on cpu:1."""
    @op
    def tanh(xp, x):
        y, backward = right.on_arrays(xp, x)
        if xp is not backend.device("cpu:1").xp:
            return y, backward
        return value(y), lambda gy: gradient(backward(gy))

    right = ops.tanh
    return tanh


@pytest.mark.parametrize(("fault", "text"), [
    ({"gradient": lambda gx: gx * np.float32(1.001)}, r"gradient 0 differs by 0\.001"),
    ({"gradient": lambda gx: gx.astype("f2")}, "UsageError: tanh: backward returned float16"),
    ({"value": lambda y: y * np.float32(1.001)}, r"value differs by 0\.001"),
    ({"value": lambda y: y[..., :1]}, "ValueError|value differs by inf"),
])
def test_op_that_is_wrong(monkeypatch, examine, fault, text):
    monkeypatch.setattr(ops, "tanh", wrong_tanh(**fault))
    [(name, said)] = failures(examine("cpu:0,cpu:1"))
    assert name == "cpu:1" and re.match(f"tanh: ({text})", said), said


def test_fault_below_the_tolerance_passes(monkeypatch, examine):
    monkeypatch.setattr(ops, "tanh", wrong_tanh(value=lambda y: y * np.float32(1 + 3e-5)))
    assert "(within 3e-05, tanh)" in one(examine(), "cpu:1", "28 ops").text


def test_copy_that_is_wrong(monkeypatch, examine):
    device = backend.device("cpu:1")
    monkeypatch.setattr(device, "_copy", lambda array, source: device.asarray(array + 1))
    names = [name for name, _ in failures(examine("cpu:0,cpu:1", training=True))]
    assert names == ["cpu:0, cpu:1"] * 2, "the transfer, and the training"


# Whatever happens, it is a finding


def test_check_that_raises(monkeypatch, read):
    def damaged():
        yield selfcheck.Finding("first", "is kept")
        raise KeyError("no\nsuch thing")

    monkeypatch.setattr(doctor, "_data", damaged)
    code, out = read("--devices", "cpu:1")
    assert code == 1 and "  first           is kept  " in out
    assert re.search(r"^  damaged +KeyError: 'no\\nsuch thing' +FAIL\n +-> [\s\S]*?--debug", out,
                     re.MULTILINE)
    assert out.splitlines()[-1].startswith("FAIL: 1 of ")
    assert "Traceback (most recent call last)" in read("--debug", "--devices", "cpu:1")[1]


def test_warnings_do_not_disturb_the_report(monkeypatch, read):
    def warns():
        warnings.warn("peer access has been activated", RuntimeWarning, stacklevel=1)
        yield selfcheck.Finding("fine", "")

    monkeypatch.setattr(doctor, "_runs", warns)
    code, out = read("--devices", "cpu:1")
    assert code == 0 and "  fine  " in out and "peer access" not in out
