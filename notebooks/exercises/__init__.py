"""Check your answers to the exercises, and ask for hints, in a cell of a chapter or in a terminal.

    from exercises import check, hint, solution
    check("ch05")              # one line for each exercise of chapter 05
    hint("output_size")        # the first of three hints; call it again for the next one
    solution("output_size")    # one way to write it, with comments

In the folder of the notebooks, `python -m exercises ch05` does the same as check("ch05"); its exit
code is 0 if all are right. `--answers FOLDER` checks the ch05.py of another folder.
"""

import inspect
import re
from collections import Counter
from contextlib import redirect_stdout
from importlib.util import module_from_spec, spec_from_file_location
from io import StringIO
from pathlib import Path

__all__ = ["check", "hint", "solution"]

HERE = Path(__file__).resolve().parent
TESTS = next(folder / "tests" / "exercises" for folder in HERE.parents
             if (folder / "tests" / "exercises").is_dir())
RIGHT, WRONG, MISSING = "right", "not right", "not written"

_asked: Counter[str] = Counter()  # how many hints of each exercise were shown


def check(chapter, answers=HERE):
    """Test the answers to one chapter, "ch05", and print what is right and what is not.

    answers: the folder with ch05.py and its like. Each call reads the file anew.
    """
    all_right(chapter, answers)  # of which a notebook would print the result


def all_right(chapter, answers=HERE):
    """As check; returns whether all answers are right."""
    import pytest

    names = _exercises(chapter)
    found = _Found(names)
    with redirect_stdout(StringIO()) as report:  # it is for developers
        done = pytest.main([
            str(TESTS / f"test_{chapter}.py"), "--answers", str(answers), "--override-ini",
            "addopts=", "--override-ini", "faulthandler_timeout=0", "-p", "no:cacheprovider"],
            plugins=[found])
    if done not in (0, 1) and not found.trouble:
        found.trouble = report.getvalue().strip().splitlines()[-1]
    width, right = max(map(len, names)), True
    for name in names:
        verdict, text = found.verdicts.get(name, (WRONG, found.trouble or "was not tested"))
        print(f"{name:{width}}  {verdict}{': ' * bool(text)}{text}")
        right = right and verdict == RIGHT
    return right


def hint(name):
    """Print the next hint for an exercise; there are three, from a nudge to nearly the answer."""
    chapter = _chapter_of(name)
    text = (HERE / "hints" / f"{chapter}.md").read_text(encoding="utf-8")
    section = text.split(f"\n## {name}\n")[1].split("\n## ")[0]
    hints = re.split(r"^\d\. ", section.strip(), flags=re.MULTILINE)[1:]
    number = min(_asked[name], len(hints) - 1)
    _asked[name] += 1
    print(f"Hint {number + 1} of {len(hints)}: {' '.join(hints[number].split())}")


def solution(name):
    """Print one way to write an exercise."""
    module = _load(HERE / "solutions" / f"{_chapter_of(name)}.py")
    print(inspect.getsource(getattr(module, name)))


class _Found:
    """Collects what pytest finds: for each exercise its verdict, and the first thing wrong."""

    def __init__(self, names):
        self.names, self.verdicts, self.trouble = names, {}, ""

    def pytest_collectreport(self, report):
        if report.failed:
            self.trouble = str(report.longrepr).strip().splitlines()[-1]

    def pytest_runtest_logreport(self, report):
        test = report.location[2].removeprefix("test_")
        name = max((name for name in self.names if test.startswith(name)), key=len, default=None)
        if name is None or self.verdicts.get(name, (RIGHT, ""))[0] != RIGHT:
            return  # the first thing wrong is enough
        if report.skipped:
            self.verdicts[name] = MISSING, report.longrepr[2].removeprefix("Skipped: ")
        elif report.failed:
            self.verdicts[name] = WRONG, _reason(report.longrepr)
        elif report.when == "call":
            self.verdicts[name] = RIGHT, ""


def _reason(trouble):
    """What a test said, or where the answer raised an error."""
    crash = getattr(trouble, "reprcrash", None)
    if crash is None:
        return str(trouble).strip()
    message = crash.message.splitlines()[0]
    if message.startswith("Failed: "):  # the test says it in its own words
        return crash.message.removeprefix("Failed: ")
    here = Path(crash.path)
    return message if here.parent == TESTS else f"{message} ({here.name}, line {crash.lineno})"


def _exercises(chapter):
    """The names of the exercises of a chapter, in their order."""
    stubs = HERE / "solutions" / f"{chapter}.py"
    if not stubs.is_file():
        known = ", ".join(sorted(path.stem for path in stubs.parent.glob("ch*.py")))
        raise ValueError(f"check: there is no chapter {chapter!r}; use one of {known}")
    asked = (HERE / "hints" / f"{chapter}.md").read_text(encoding="utf-8")
    return re.findall(r"^## (\w+)$", asked, re.MULTILINE)


def _chapter_of(name):
    for path in sorted((HERE / "hints").glob("ch*.md")):
        if f"\n## {name}\n" in path.read_text(encoding="utf-8"):
            return path.stem
    raise ValueError(f"there is no exercise {name!r}; its name stands at the end of the chapter")


def _load(path):
    spec = spec_from_file_location(path.stem, path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
