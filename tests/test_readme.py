"""What the README shows must work as it stands."""

import re
from pathlib import Path

import numpy as np
import pytest

from minialex import Tensor, op, ops
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
    y = names["tanh"](x)
    ops.sum(y).backward()
    np.testing.assert_allclose(y.numpy(), np.tanh([-1, 0, 2]), rtol=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), 1 / np.cosh([-1, 0, 2]) ** 2, rtol=1e-6)


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
