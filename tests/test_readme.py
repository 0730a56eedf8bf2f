"""What the README shows must work as it stands."""

import configparser
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from minialex import Tensor, __version__, op, ops
from minialex.tools.cli import make_parser

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_complete_example_runs(capsys):
    example = next(block for block in BLOCKS if block.startswith("import"))
    exec(compile(example, "README.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert "14 transfers" in printed[-3]
    assert printed[-2] == "cpu:0"
    assert float(printed[-1]) < 1e-6


def test_example_of_an_op_is_an_op():
    names = {"op": op}
    exec(next(block for block in BLOCKS if block.startswith("@op")), names)
    x = Tensor([-1.0, 0.0, 2.0], requires_grad=True)
    y = names["exp"](x)
    ops.sum(y).backward()
    np.testing.assert_allclose(y.numpy(), np.exp([-1, 0, 2]), rtol=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), np.exp([-1, 0, 2]), rtol=1e-6)


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md"])
def test_example_of_an_op_is_the_one_of_the_library(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    (shown,) = re.findall(r"```python\n(@op\n.*?)```", text, re.DOTALL)
    assert shown in (ROOT / "minialex/ops/arithmetic.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("target", sorted(set(re.findall(
    r"(?:`|^    )make (\w+)", README, re.MULTILINE))))
def test_make_targets_exist(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("line", re.findall(
    r"(?:`|^    \S*)minialex ([^`\n]+)", README, re.MULTILINE))
def test_command_lines_are_understood(line):
    make_parser().parse_args(line.split())


def test_files_that_are_named_exist():
    named = re.findall(r"`((?:minialex|tests)/[\w/]+\.py)`", README)
    linked = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert named and linked
    for path in named + linked:
        assert (ROOT / path).exists(), path


# As the page of a package index shows it


@pytest.fixture(scope="module")
def for_an_index():
    pytest.importorskip("setuptools", reason="pip install setuptools")
    spec = importlib.util.spec_from_file_location("setup", ROOT / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.for_an_index


def targets(text):
    return [target for target in re.findall(r"\]\(([^)]+)\)", text) if target[0] != "#"]


def test_links_of_the_index_page_lead_to_the_repository(for_an_index):
    home = "https://example.org/somebody/minialex"
    shown = for_an_index(README, home)
    assert len(targets(shown)) == len(targets(README)) > 20
    for link, target in zip(targets(README), targets(shown), strict=True):
        assert target == link if "://" in link else target in (
            f"{home}/blob/HEAD/{link}", f"{home}/raw/HEAD/{link}")
    assert f"({home}/raw/HEAD/docs/alexnet.png)" in shown, "a picture, not the page about it"


def test_index_page_has_no_dead_link_while_the_repository_is_not_public(for_an_index):
    assert all("://" in target for target in targets(for_an_index(README, "")))
    assert for_an_index("see [the data](data/README.md), [home](https://a.b) and ![a\nb](c.png)",
                        "") == "see the data, [home](https://a.b) and "
    assert BLOCKS and all(for_an_index(block, "") == block for block in BLOCKS), "no link is code"


def test_version_stands_in_one_place():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    assert config["metadata"]["version"] == "attr: minialex.__version__"
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \[([\d.]+)\]", changes, re.MULTILINE)[1] == __version__
    assert not re.search(r"^version", (ROOT / "CITATION.cff").read_text(encoding="utf-8"),
                         re.MULTILINE)
