"""`minialex doctor`: what is installed, which devices there are, and whether they calculate right.

Each check is a function that yields findings; one that raises is a finding as well.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import os
import platform
import re
import shutil
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

from .. import __version__, backend
from ..backend import Device, DeviceError
from ..datasets import fashion_mnist, find_set
from ..errors import FileError
from ..files import check_writable
from .devices import choose_devices
from .selfcheck import Finding, check_ops, check_training, check_transfer
from .text import command, count, pip, say, say_json

__all__ = ["DESCRIPTION", "SUMMARY", "add_arguments", "run"]

SUMMARY = "say what is installed, and check that every device calculates right"
DESCRIPTION = ("List versions, files and devices, and check each device against plain NumPy: every "
               "op, copies between devices, and a training step. The exit code is 1 if a check "
               "fails; a missing GPU is not a failure.")

# As setup.cfg asks for them: name, module, least version.
PACKAGES = [("NumPy", "numpy", "2"), ("Pillow", "PIL", "10"), ("matplotlib", "matplotlib", "3.8"),
            ("tqdm", "tqdm", "4.66"), ("safetensors", "safetensors", "0.4"),
            ("threadpoolctl", "threadpoolctl", "3.5"), ("pooch", "pooch", "1.8"),
            ("requests", "requests", "2.31"), ("filelock", "filelock", "3.13")]

GIB = 2**30
CORETYPE = "OPENBLAS_CORETYPE"  # for which processor OpenBLAS calculates; else it looks
VECLIB = "VECLIB_MAXIMUM_THREADS"  # Accelerate reads it when it is loaded
SELF_CHECK = "self-check (some seconds; a GPU takes longer the first time)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--devices", metavar="A,B,...",
                        help="devices to check (default: every GPU, cpu:0 and cpu:1)")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(options: argparse.Namespace) -> int:
    """Print the report. Exit code 0, or 1 if something that users need fails."""
    findings, previous = [], ""
    for section, check, *arguments in _plan(options.devices):
        if section != previous and not options.json:
            say(*[""] * bool(previous), section)
        previous = section
        for finding in _findings(check, *arguments):
            if not options.debug:
                finding = finding._replace(trace="")
            if not options.json:
                say(*_lines(finding), *finding.trace.splitlines())
            findings.append({"section": section, **finding._asdict(), "verdict": finding.verdict})
    failed = sum(not finding["ok"] for finding in findings)
    if options.json:
        say_json({"ok": not failed, "findings": findings})
    elif failed:
        say("", f"FAIL: {failed} of {len(findings)} findings; the line below each says what to do")
    else:
        say("", f"all is well: {len(findings)} findings, none fails")
    return 1 if failed else 0


def _lines(finding: Finding) -> list[str]:
    """At most 100 columns: name, text, verdict. The remedy below is one line, to be pasted."""
    first, *more = textwrap.wrap(finding.text, 74, break_on_hyphens=False) or [""]
    if finding.remedy:
        more.append(f"-> {finding.remedy}")
    return [f"  {finding.name:15} {first:74}  {finding.verdict}",
            *(" " * 18 + line for line in more)]


def _plan(wanted: str | None) -> Iterator[tuple]:
    """Section, check and its arguments; the check of the devices finds those for the later ones."""
    devices: list[Device] = []
    for check in (_python, _packages, _blas, _gpu_package, _cuda):
        yield "software", check
    yield "files", _data
    yield "files", _runs
    yield "devices", _devices, wanted.split(",") if wanted else ["cpu:0", "cpu:1"], devices
    if not wanted:
        yield "devices", _gpus, devices
    yield "devices", _peer_access, devices
    for device in devices:
        yield SELF_CHECK, check_ops, device
    for a, b in itertools.combinations(devices, 2):
        yield SELF_CHECK, check_transfer, a, b
    for a, b in zip(devices, devices[1:] or devices, strict=False):
        yield SELF_CHECK, check_training, a, b


def _findings(check: Callable[..., Iterator[Finding]], *arguments: Any) -> Iterator[Finding]:
    """What a check finds; never an exception."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the findings say what matters
        try:
            yield from check(*arguments)
        except Exception as error:
            yield Finding.of(check.__name__.strip("_").replace("_", " "), error,
                             f"report it, with what this prints: {command('doctor', '--debug')}")


# Software


def _python() -> Iterator[Finding]:
    yield Finding("Python", f"{platform.python_version()}, {sys.executable}, "
                            f"{platform.system()} {platform.machine()}")
    yield Finding("minialex", f"{__version__}, {Path(__file__).resolve().parents[1]}")


def _packages() -> Iterator[Finding]:
    for name, module, least in PACKAGES:
        remedy = pip("install", "--upgrade", f"{name}>={least}")
        try:
            version = importlib.import_module(module).__version__
        except ImportError as error:
            yield Finding.of(name, error, remedy)
            continue
        old = _numbers(version) < _numbers(least)
        yield Finding(name, version, not old, remedy if old else "")


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:2]]


def _blas() -> Iterator[Finding]:
    libraries = [x for x in threadpool_info() if x["user_api"] == "blas"]
    for x in libraries:
        text = f"{x['internal_api']} {x['version']}, {count(x['num_threads'], 'thread')}"
        chosen = os.environ.get(CORETYPE) if x["internal_api"] == "openblas" else None
        yield Finding("BLAS", f"{text}, {CORETYPE} is {chosen}" if chosen else text,
                      remedy="another kind of kernels may be faster: compare without it, or with "
                      "another kind, set before the start" if chosen else "")
    if not libraries:
        yield _unknown_blas()
    yield Finding("threads", f"{backend.threads()} share the work on a batch")


def _unknown_blas() -> Finding:
    """One whose threads we cannot hold back while ours share out a batch."""
    name = str(np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"])
    if name.lower() != "accelerate":  # Apple's
        return Finding("BLAS", f"{name}, which threadpoolctl does not know", remedy="training may "
                       "be slow, because its threads fight with ours: compare --threads 1")
    number = os.environ.get(VECLIB, "")
    text = f"{VECLIB} is {number}" if number else "threadpoolctl does not control its threads"
    return Finding("BLAS", f"Accelerate; {text}", remedy="" if number else
                   f"they may fight with ours: compare with {VECLIB}=1, set before the start")


def _gpu_package() -> Iterator[Finding]:
    cuda = backend.cuda()
    packages = {d.name: d.version for d in metadata.distributions()
                if re.fullmatch(cuda.PACKAGES, d.name or "")}
    shown = " and ".join(f"{name} {version}" for name, version in sorted(packages.items()))
    if len(packages) > 1:
        yield Finding("CuPy", f"two packages of it are installed: {shown}", False,
                      "remove one. They share files, so remove both "
                      f"({pip('uninstall', '-y', *sorted(packages))}), and install the one for "
                      "your CUDA again")
    elif cuda.version:
        yield Finding("CuPy", f"{cuda.version}, {shown}" if shown else cuda.version)
    elif packages or cuda.import_error:
        yield Finding("CuPy", f"{shown} {cuda.import_error or 'cannot be imported'}", False,
                      f"install it again: {cuda.INSTALL}")
    else:
        yield Finding("CuPy", "not installed; only GPUs need it", remedy=cuda.INSTALL)


def _cuda() -> Iterator[Finding]:
    cuda = backend.cuda()
    if not cuda.version:
        return
    driver, made_for = cuda.runtime().driverGetVersion(), cuda.runtime().runtimeGetVersion()
    answers = f"the driver knows {_release(driver)}" if driver else "no driver answers"
    yield Finding("CUDA", f"{answers}; CuPy is made for {_release(made_for)}",
                  not 0 < driver // 1000 < made_for // 1000, backend.why_no_gpu())
    if os.environ.get(cuda.TF32, "0") not in ("", "0"):
        yield Finding(cuda.TF32, "this variable is set: products of float32 keep 10 bits after the "
                      "point instead of 23", False, f"unset {cuda.TF32}, then start again")


def _release(version: int) -> str:
    return f"CUDA {version // 1000}.{version % 1000 // 10}"


# Files


def _data() -> Iterator[Finding]:
    try:
        train, test = (len(fashion_mnist(split)[0]) for split in ("train", "test"))
        yield Finding("data", f"{find_set('fashion-mnist')}: {train:,} training and {test:,} test "
                              "images")
    except ValueError as error:
        text, _, remedy = str(error).rpartition("; ")
        yield Finding("data", text, False,
                      f"{remedy} (git checkout data, or install minialex again)")


def _runs() -> Iterator[Finding]:
    folder = Path("runs").resolve()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        check_writable(existing)
    except FileError as error:
        yield Finding("runs", str(error).rpartition("; ")[0], False, "go to a folder of your own, "
                      f"or name one: {command('train', '--out', 'FOLDER')}")
        return
    free = shutil.disk_usage(existing).free / GIB
    yield Finding("runs", f"{folder}: can be written, {free:,.1f} GiB free")


# Devices


def _devices(names: Sequence[str], found: list[Device]) -> Iterator[Finding]:
    for name in map(str.strip, names):
        try:
            device = backend.device(name)
        except DeviceError as error:
            pairs = "cpu:0,cpu:1" if backend.why_no_gpu() else "gpu:0,gpu:0 or gpu:0,cpu:0"
            yield Finding(name, str(error).split(";")[0], False, f"use --devices {pairs}")
            continue
        if device in found:
            continue
        found.append(device)
        yield Finding(device.name, _describe(device))


def _gpus(found: list[Device]) -> Iterator[Finding]:
    yield from _devices([name for name in backend.available() if name.startswith("gpu")], found)
    yield Finding("train uses", " and ".join(choose_devices(None)[0]))


def _describe(device: Device) -> str:
    """What it is, and its memory."""
    if device.kind == "gpu":
        with device:
            free, total = backend.cuda().runtime().memGetInfo()
        what = backend.cuda().runtime().getDeviceProperties(device.index)["name"].decode()
    else:
        what, meminfo = "virtual device on the processor", Path("/proc/meminfo")
        if not meminfo.exists():  # only Linux has it
            return what
        kibibytes = dict(re.findall(r"(\w+): +(\d+) kB", meminfo.read_text(encoding="utf-8")))
        free, total = (1024 * int(kibibytes[name]) for name in ("MemAvailable", "MemTotal"))
    return f"{what}; {free / GIB:,.1f} of {total / GIB:,.1f} GiB free"


def _peer_access(devices: Sequence[Device]) -> Iterator[Finding]:
    """The matrix: which GPU reaches the memory of which other one directly."""
    gpus = [device for device in devices if device.kind == "gpu"]
    for a in gpus if len(gpus) > 1 else []:
        reached = {b.name: backend.cuda().runtime().deviceCanAccessPeer(a.index, b.index)
                   for b in gpus if b is not a}
        row = ", ".join(f"{name} {'yes' if direct else 'no'}" for name, direct in reached.items())
        yield Finding(f"{a} reaches", row, remedy="" if all(reached.values()) else
                      "copies go through the host: right but slower; many GPUs allow nothing else")
