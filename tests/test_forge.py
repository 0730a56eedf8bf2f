"""Workflows and hooks say the same as the Makefile and setup.cfg; what runs them is not here."""

import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = [*(ROOT / ".github" / "workflows").glob("*.yml"), ROOT / "docs" / "classroom.yml"]


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def setup(section, key):
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    return config[section][key]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_is_short_and_calls_what_is_there(workflow):
    said = workflow.read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE)
    for line in re.findall(r"- run: (.*)", said):
        called, _, arguments = line.partition("#")[0].partition('ARGS="')
        for target in called.split()[1:] if called.startswith("make ") else []:
            assert target in targets, line
        for named in re.findall(r"tests/\w+\.py", arguments):
            assert (ROOT / named).is_file(), line
    assert len(said.splitlines()) <= 60
    assert "permissions:" in said, "as few rights as it needs"


def test_tests_run_on_every_python_that_setup_cfg_names_and_three_systems():
    said = text(".github/workflows/tests.yml")
    versions = re.findall(r'"(3\.\d+)"', said)
    assert setup("options", "python_requires") == f">={versions[0]}"
    assert versions == [f"3.{minor}" for minor in range(10, 10 + len(versions))]
    assert all(f"{system}-latest" in said for system in ("ubuntu", "macos", "windows"))
    [alone] = re.findall(r"matrix\.os \}\}(.*?)\n\n", said, re.DOTALL)
    assert "make" not in alone.replace("no make", ""), "Windows has none"


def test_hooks_use_the_versions_of_setup_cfg():
    asked = re.findall(r'"([\w-]+[=>][^"]+)"', text(".pre-commit-config.yaml"))
    extras = [setup("options.extras_require", extra) for extra in ("dev", "onnx")]
    known = "\n".join([setup("options", "install_requires"), *extras]).split()
    assert len(asked) >= 4 and set(asked) <= set(known)


def test_release_publishes_what_make_dist_checks():
    """Nothing is built after the check, and no password is kept."""
    said = text(".github/workflows/release.yml")
    assert said.index("make dist") < said.index("upload-artifact") < said.index("pypi-publish")
    assert "id-token: write" in said and "password" not in said.partition("name:")[2]
    assert "MINIALEX_HOME" in said and "MINIALEX_HOME" in text("setup.py")
