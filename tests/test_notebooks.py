"""The form of the chapters. That they run is checked by `make check-notebooks`."""

import ast
import base64
import itertools
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"
TEXTS = sorted(FOLDER.glob("[0-9][0-9]_*.md"))
IDS = [text.stem for text in TEXTS]
COMPUTE = ("01", "02", "03", "05", "08")  # run on the stand-in for CuPy as well
TWO_DEVICES = ("08", "09", "10", "11", "12", "13")
SWITCH = {False: ['backend.use("cpu:0")'],  # the line to change, and what follows from it
          True: ['devices = ("cpu:0", "cpu:1")', "backend.use(devices[0])"]}

chapter = pytest.mark.parametrize("text", TEXTS, ids=IDS)


def cells(text):
    """Kind and source of each cell of a chapter's text, as jupytext splits it."""
    jupytext = pytest.importorskip("jupytext", reason="pip install 'minialex[notebooks]'")
    return [(cell.cell_type, cell.source) for cell in jupytext.read(text).cells]


def notebook(text):
    return json.loads(text.with_suffix(".ipynb").read_text(encoding="utf-8"))


def outputs(text):
    return [output for cell in notebook(text)["cells"] for output in cell.get("outputs", [])]


def code(text):
    return [source for kind, source in cells(text) if kind == "code"]


def code_lines(source):
    return [line for line in source.splitlines() if line.strip() and line.strip()[0] != "#"]


@chapter
def test_notebook_has_the_cells_of_its_text(text):
    stored = [(cell["cell_type"], "".join(cell["source"])) for cell in notebook(text)["cells"]]
    assert stored == cells(text), f"run: python notebooks/execute.py {text.name[:2]}"


@chapter
def test_notebook_was_executed_in_order_and_without_errors(text):
    counts = [cell["execution_count"] for cell in notebook(text)["cells"]
              if cell["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert not [output for output in outputs(text)
                if output["output_type"] == "error" or output.get("name") == "stderr"]


@chapter
def test_length_of_text_and_code(text):
    prose = "\n".join(source for kind, source in cells(text) if kind == "markdown")
    words = len(re.sub(r"<details>.*?</details>", "", prose, flags=re.DOTALL).split())  # unfolded
    lines = [len(code_lines(source)) for source in code(text)]
    assert 1000 <= words <= 2200
    assert 50 <= sum(lines) <= 110 or text.name.startswith("00")
    assert max(lines) <= 25
    assert max(len(line) for source in code(text) for line in source.splitlines()) <= 100


@chapter
def test_parts_that_every_chapter_has(text):
    whole = text.read_text(encoding="utf-8")
    assert re.search(r"^# \d\d ", whole, re.MULTILINE)
    assert re.search(r"^> .*\?", whole, re.MULTILINE), "the question"
    assert all(line in code(text)[0] for line in SWITCH[text.name[:2] in TWO_DEVICES])
    assert any("assert" in source for source in code(text))
    assert any("except" in source for source in code(text)) or text.name.startswith("00")
    remember = whole.split("## Five lines to remember")[1].split("\n## ")[0]
    assert len(re.findall(r"^\d\. ", remember, re.MULTILINE)) == 5
    exercises = whole.split("## Exercises")[1]
    if not text.name.startswith("00"):
        assert 4 <= len(re.findall(r"^\d\. ", exercises, re.MULTILINE)) <= 6
        assert f'check("ch{text.name[:2]}")' in exercises


def test_links_lead_to_the_neighbours():
    for before, after in itertools.pairwise(TEXTS):
        assert f"]({after.stem}.ipynb)" in before.read_text(encoding="utf-8")
        assert f"]({before.stem}.ipynb)" in after.read_text(encoding="utf-8")


@chapter
def test_links_to_files_lead_somewhere(text):
    prose = "\n".join(source for kind, source in cells(text) if kind == "markdown")
    for target in re.findall(r"\]\(([^)#:]+)\)", prose):
        assert (FOLDER / target).exists(), target


@chapter
def test_pictures_are_there_and_small(text):
    pictures = [o["data"]["image/png"] for o in outputs(text) if "image/png" in o.get("data", {})]
    assert pictures
    assert max(len(base64.b64decode("".join(picture))) for picture in pictures) <= 150_000


@chapter
def test_pictures_have_a_text_for_those_who_cannot_see_them(text):
    alts = [o["metadata"].get("image/png", {}).get("alt", "") for o in outputs(text)
            if "image/png" in o.get("data", {})]
    assert all(len(alt.split()) >= 5 for alt in alts), alts


def test_folder_is_small():
    assert sum(path.stat().st_size for path in FOLDER.rglob("*")
               if path.is_file() and "runs" not in path.parts) <= 12_000_000


@chapter
def test_outputs_name_no_machine_and_no_path(text):
    printed = json.dumps([{k: v for k, v in o.items() if k != "data"} |
                          {"text/plain": o.get("data", {}).get("text/plain")}
                          for o in outputs(text)])
    assert not re.search(r"/home/|/root/|/tmp/|/usr/|[A-Z]:\\\\", printed)
    assert platform.node() not in printed and str(ROOT) not in printed


@pytest.mark.slow
@pytest.mark.parametrize("text", [t for t in TEXTS if t.name[:2] in COMPUTE], ids=str)
def test_one_changed_line_moves_a_chapter_to_a_gpu(text, tmp_path):
    """On the stand-in for CuPy, with a figure that is not shown."""
    pytest.importorskip("IPython", reason="pip install 'minialex[notebooks]'")
    first, *rest = code(text)
    line = SWITCH[text.name[:2] in TWO_DEVICES][0]
    assert line in first
    moved = first.replace(line, line.replace("cpu", "gpu"))
    script = tmp_path / "chapter.py"
    script.write_text("\n\n".join([moved, *rest]))
    path = [str(FOLDER), str(ROOT / "tests" / "standin")]
    ast.parse(script.read_text(encoding="utf-8"))
    result = subprocess.run(
        [sys.executable, script], cwd=FOLDER, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path), "MPLBACKEND": "Agg"})
    assert result.returncode == 0, result.stderr
