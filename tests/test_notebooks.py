"""The form of the chapters. That they run is checked by `make check-notebooks`."""

import ast
import base64
import builtins
import dis
import importlib.util
import itertools
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from types import CodeType

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


def words(text):
    """How many a reader reads who unfolds no answer."""
    prose = "\n".join(source for kind, source in cells(text) if kind == "markdown")
    return len(re.sub(r"<details>.*?</details>", "", prose, flags=re.DOTALL).split())


@chapter
def test_length_of_text_and_code(text):
    lines = [len(code_lines(source)) for source in code(text)]
    assert 1000 <= words(text) <= 2200
    assert 50 <= sum(lines) <= 110 or text.name.startswith("00")
    assert max(lines) <= 25
    assert max(len(line) for source in code(text) for line in source.splitlines()) <= 100


def test_the_map_says_how_long_it_takes_to_read_each_chapter():
    rows = re.findall(r"^\| (\d\d) \| .* \| (\d+) \| \d+ \|$", TEXTS[0].read_text(), re.MULTILINE)
    assert [number for number, _ in rows] == [text.name[:2] for text in TEXTS[1:]]
    for text, (_, minutes) in zip(TEXTS[1:], rows, strict=True):
        assert abs(int(minutes) - words(text) / 100) < 1.5, text.name


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


def sections(text):
    """Of each section the title, what its line "Run first" names, and its code cells."""
    found = [["", "", []]]
    for kind, source in cells(text):
        for part in re.split(r"^(?=## )", source, flags=re.MULTILINE) if kind == "markdown" else ():
            if title := re.match(r"## (.*)", part):
                found.append([title[1], "", []])
            for first in re.findall(r"\*Run first: (.*?)\.\*", part, re.DOTALL):
                found[-1][1] += " ".join(first.split())
        if kind == "code":
            found[-1][2].append(source)
    return found


def named(first, before):
    """The cells that a line "Run first" names, of the sections that stand before it."""
    every = [source for _, _, sources in before for source in sources]
    if "everything above" in first:
        return every
    titles = [title for title, _, _ in before]
    for start, end in re.findall(r'all sections from "(.*?)" to "(.*?)"', first):
        between = titles[titles.index(start) : titles.index(end) + 1]
        first += "".join(f' "{title}"' for title in between)
    some = every[: 2 if re.search("the first two cells(?! of)", first) else 1]
    for many, title in re.findall(r'(the first cell of |the first two cells of |)"(.*?),?"', first):
        sources = before[titles.index(title)][2]
        some += sources[: {"the first cell of ": 1, "the first two cells of ": 2}.get(many)]
    return some


def names(sources):
    """The global names that these cells read, and those that they set."""
    read, stored = set(), set()
    codes = [compile(source, "cell", "exec") for source in sources]
    for code in codes:
        for step in dis.get_instructions(code):
            if step.opname in ("LOAD_NAME", "LOAD_GLOBAL"):
                read.add(step.argval)
            elif step.opname in ("STORE_NAME", "STORE_GLOBAL"):
                stored.add(step.argval)
        codes += [inner for inner in code.co_consts if isinstance(inner, CodeType)]
    return read, stored


def missing(parts, number, first):
    """The names that section `number` needs and nobody sets, if run after what `first` names."""
    read, stored = names([*named(first, parts[:number]), *parts[number][2]])
    return {name for name in read - stored if not hasattr(builtins, name) and name[:2] != "__"}


@chapter
def test_a_section_names_what_must_be_run_first(text):
    parts = sections(text)
    lacks = {title: missing(parts, number, first)
             for number, (title, first, _) in enumerate(parts) if number}
    assert {title: lack for title, lack in lacks.items() if lack} == {}


def test_a_section_that_names_too_little_is_found():
    parts = sections(next(text for text in TEXTS if text.name[:2] == "04"))
    number = [title for title, _, _ in parts].index("What it has learnt")
    assert missing(parts, number, 'the first cell, "The pictures"') == {"train"}


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
@pytest.mark.parametrize("sources", [
    ["x = 2", "x = x / 2; assert x == 1"],  # fails at its second run
    ["x = 1", "assert x == 1", "x = 2"]], ids=["twice", "backwards"])  # fails after the last one
def test_check_finds_a_cell_that_cannot_be_run_again(sources):
    nbclient = pytest.importorskip("nbclient", reason="pip install 'minialex[notebooks]'")
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="AssertionError"):
        run_again(sources, tags=[])


@pytest.mark.slow
def test_check_runs_a_cell_with_the_tag_long_only_once():
    run_again(["x = 2", "x = x / 2; assert x == 1"], tags=["long"])


def test_only_code_cells_have_tags_and_only_one_that_the_check_knows():
    jupytext = pytest.importorskip("jupytext", reason="pip install 'minialex[notebooks]'")
    tags = [(text.name[:2], cell.cell_type, *cell.metadata["tags"]) for text in TEXTS
            for cell in jupytext.read(text).cells if cell.metadata.get("tags")]
    assert ("11", "code", "long") in tags  # the sixty steps of the whole network
    assert {tag[1:] for tag in tags} == {("code", "long")}


def run_again(sources, tags):
    """Execute a notebook of these cells as the check does; the last has `tags`."""
    pytest.importorskip("ipykernel", reason="pip install 'minialex[notebooks]'")
    nbformat = pytest.importorskip("nbformat", reason="pip install 'minialex[notebooks]'")
    pytest.importorskip("jupytext", reason="pip install 'minialex[notebooks]'")
    spec = importlib.util.spec_from_file_location("execute", FOLDER / "execute.py")
    execute = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(execute)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for s in sources])
    notebook.cells[-1].metadata["tags"] = tags
    execute.execute(notebook, seconds=60, again=False)
    execute.execute(notebook, seconds=60, again=True)


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
