"""`minialex chapters`: all of the course comes, and nothing of the learner's goes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minialex import files

ROOT = Path(__file__).resolve().parents[1]


def names(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def course(minialex, tmp_path):
    folder = tmp_path / "a course"
    assert minialex("chapters", folder).code == 0
    return folder


def test_every_chapter_comes_with_its_exercises_and_checks(course):
    there = names(course)
    for text in (ROOT / "notebooks").glob("[0-9][0-9]_*.md"):
        assert f"{text.stem}.ipynb" in there
        if (number := text.name[:2]) != "00":
            assert {f"exercises/ch{number}.py", f"exercises/solutions/ch{number}.py",
                    f"exercises/hints/ch{number}.md",
                    f"tests/exercises/test_ch{number}.py"} <= there
    beside = {path.name for path in (ROOT / "notebooks").glob("*.py")}
    assert beside - there == {"execute.py"}, "what the chapters import"
    recorded = names(ROOT / "notebooks" / "results")
    assert recorded and {f"results/{name}" for name in recorded} <= there
    assert not [name for name in there if name.endswith((".part", ".lock", ".md.ipynb", ".pyc"))]


def test_files_are_those_of_the_clone(course):
    for name in names(course) - {"pytest.ini"}:
        inside = name if name.startswith("tests/") else f"notebooks/{name}"
        assert (course / name).read_bytes() == (ROOT / inside).read_bytes()


def test_answers_are_checked_there(course):
    """By the functions of the chapters, and by pytest with the marker of a chapter."""
    for solved in (["exercises", "ch08", "--answers", "exercises/solutions"],
                   ["pytest", "-q", "--answers=exercises/solutions"]):
        done = subprocess.run([sys.executable, "-m", *solved], cwd=course, capture_output=True,
                              text=True)
        assert done.returncode == 0 and "not" not in done.stdout, done.stdout
    asked = [sys.executable, "-m", "pytest", "-q", "-m", "ch08"]
    done = subprocess.run([*asked, "-rs"], cwd=course, capture_output=True, text=True)
    assert done.returncode == 0 and "write bytes_owned in ch08.py" in done.stdout
    assert "passed" not in done.stdout and "warning" not in done.stdout.lower()
    wrong = (course / "exercises" / "ch08.py").read_text(encoding="utf-8").replace(
        "raise NotImplementedError", "return 1")
    (course / "exercises" / "ch08.py").write_text(wrong, encoding="utf-8")
    assert subprocess.run(asked, cwd=course, capture_output=True).returncode == 1


def test_what_is_there_stays(minialex, course):
    mine = course / "exercises" / "ch05.py"
    mine.write_text("mine = 1\n", encoding="utf-8")
    (course / "notes.txt").write_text("mine too", encoding="utf-8")
    (course / "figures.py").unlink()
    before = {name: (course / name).stat().st_mtime_ns for name in names(course)}
    result = minialex("chapters", course)
    assert result.code == 0 and "1 files written" in result.out
    assert result.out.count("stays as it is") == 1 and "exercises/ch05.py was there" in result.out
    assert before == {name: (course / name).stat().st_mtime_ns for name in before}
    assert names(course) == {*before, "figures.py"}


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="links need a right on Windows")
@pytest.mark.parametrize("there", [True, False], ids=["to a file", "to nothing"])
def test_link_is_neither_replaced_nor_followed(minialex, tmp_path, there):
    victim = tmp_path / "thesis"
    if there:
        victim.write_text("years of work", encoding="utf-8")
    (tmp_path / "course").mkdir()
    (tmp_path / "course" / "figures.py").symlink_to(victim)
    result = minialex("chapters", tmp_path / "course")
    assert result.code == 0 and "figures.py was there and differs" in result.out
    assert (tmp_path / "course" / "figures.py").is_symlink()
    assert victim.exists() == there
    assert not there or victim.read_text(encoding="utf-8") == "years of work"


def test_what_was_begun_is_finished_by_the_same_command(minialex, course, monkeypatch, tmp_path):
    def stopped(*paths):
        if len(names(new)) > 20:  # with the one that is not finished
            raise KeyboardInterrupt
        real(*paths)

    real, new = files._rename, tmp_path / "new"
    monkeypatch.setattr(files, "_rename", stopped)
    assert minialex("chapters", new).code == 130
    assert len(names(new)) == 20, "each of them whole, and no other"
    monkeypatch.undo()
    assert minialex("chapters", new).code == 0
    assert names(new) == names(course)


def test_folder_that_is_a_file_is_refused_in_one_line(minialex, tmp_path):
    (tmp_path / "notes").write_text("mine", encoding="utf-8")
    result = minialex("chapters", tmp_path / "notes")
    assert result.code == 2 and result.out == "" and len(result.err.splitlines()) == 1
    assert f"{tmp_path / 'notes'}: cannot be written" in result.err
    assert (tmp_path / "notes").read_text(encoding="utf-8") == "mine"


def test_next_step_can_be_pasted(minialex, tmp_path, monkeypatch):
    from minialex.tools import chapters

    for there, line in ((True, f"-m jupyter lab {tmp_path / 'new'}"),
                        (False, "-m pip install 'minialex[notebooks]'")):
        monkeypatch.setattr(chapters, "find_spec", lambda name, there=there: there or None)
        said = minialex("chapters", tmp_path / "new").out.splitlines()[-1]
        assert said.startswith("  next: ") and said.endswith(line)


@pytest.mark.parametrize(("answers", "code", "said"), [
    (["--answers", "exercises/solutions"], 0, " right\n"), ([], 1, " not written: ")])
def test_terminal_is_told_by_the_exit_code_whether_all_is_right(course, answers, code, said):
    done = subprocess.run([sys.executable, "-m", "exercises", "ch01", *answers], cwd=course,
                          capture_output=True, text=True)
    assert (done.returncode, done.stdout.count(said)) == (code, 5), done.stdout
