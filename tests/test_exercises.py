"""The exercises: their tests accept the solutions, and nothing that was not written."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent
STUBS = ROOT / "notebooks" / "exercises"
CHAPTERS = sorted(path.stem for path in STUBS.glob("ch*.py"))


def functions_of(folder, chapter):
    text = (folder / f"{chapter}.py").read_text(encoding="utf-8")
    return re.findall(r"^def ([a-z]\w*)", text, re.MULTILINE)


def outcome(folder):
    """How many tests of the exercises passed, failed and were skipped with these answers."""
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", HERE / "exercises",
         "--answers", folder], cwd=ROOT, capture_output=True, text=True)
    last = result.stdout.strip().splitlines()[-1]
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|skipped|error)", last)}
    return counts, result.stdout


def test_solutions_are_accepted():
    counts, out = outcome(STUBS / "solutions")
    assert counts.keys() == {"passed"}, out


def test_empty_answers_are_rejected(tmp_path):
    for chapter in CHAPTERS:
        empty = [f"def {name}(*_, **__):\n    return None\n"
                 for name in functions_of(STUBS, chapter)]
        (tmp_path / f"{chapter}.py").write_text("\n\n".join(empty))
    counts, out = outcome(tmp_path)
    assert counts.keys() == {"failed"}, out


def test_unwritten_answers_are_skipped_with_a_hint(tmp_path):
    for chapter in CHAPTERS:
        stubs = [f"def {name}(*_, **__):\n    raise NotImplementedError\n"
                 for name in functions_of(STUBS, chapter)]
        (tmp_path / f"{chapter}.py").write_text("\n\n".join(stubs))
    counts, out = outcome(tmp_path)
    assert counts.keys() == {"skipped"}, out


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_exercise_has_a_stub_a_solution_and_a_test(chapter):
    stubs = functions_of(STUBS, chapter)
    assert 4 <= len(stubs) <= 6
    assert set(stubs) <= set(functions_of(STUBS / "solutions", chapter))
    tests = (HERE / "exercises" / f"test_{chapter}.py").read_text(encoding="utf-8")
    assert all(f"answers.{name}(" in tests for name in stubs)
    assert f"pytestmark = pytest.mark.{chapter}" in tests


WRONG = """
import numpy as np


def places(side, size):
    return (side - size) ** 2 * 2.0


def central_square(height, width):
    side = np.minimum(height, width)
    return (width - side) // 2, (height - side) // 2, side


def mirror(images):
    return images[:, :, ::-1]
"""


def test_a_learner_reads_what_came_and_what_is_right(tmp_path):
    """Numbers are shown as Python writes them, though they came from NumPy."""
    (tmp_path / "ch10.py").write_text(WRONG)
    call = f"from exercises import check; check('ch10', answers={str(tmp_path)!r})"
    done = subprocess.run([sys.executable, "-c", call], cwd=STUBS.parent, capture_output=True,
                          text=True, check=True)
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "places(256, 227) gives 1682; right is 1800." in lines["places"]
    assert "gives (0, 50, 200); right is (50, 0, 200)." in lines["central_square"]
    assert lines["mirror"].split()[1:] == ["right"]
    assert "write average in ch10.py" in lines["average"]
