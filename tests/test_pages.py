"""The pages of the site before Sphinx sees them, and how it is told to read our docstrings."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def load(name):
    """A script of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pages = load("pages")
RESULTS = "notebooks-results-clothing-alexnet-"  # how pictures of that folder are called


def prose(path):
    """The Markdown of a page, without its code."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = "\n\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"]
                           if cell["cell_type"] == "markdown")
    return re.sub(r"^```(?!\{).*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site") / "source"
    pages.write(folder, {"pictures": "PICTURES", "live": "LIVE", "story": "STORY"})
    return folder


def test_all_chapters_are_there_without_their_own_line_of_neighbours(written):
    for chapter in CHAPTERS:
        text = prose(written / "chapters" / f"{chapter}.ipynb")
        assert not re.search(r"\[(Previous: |Next: |Map\])", text)
        assert re.search(r"^> .*\?", text, re.MULTILINE), "the question stays"
        before = json.loads((ROOT / "notebooks" / f"{chapter}.ipynb").read_text(encoding="utf-8"))
        after = json.loads((written / "chapters" / f"{chapter}.ipynb").read_text(encoding="utf-8"))
        assert [cell.get("outputs") for cell in after["cells"]] == \
               [cell.get("outputs") for cell in before["cells"]]


def test_links_between_pages_lead_to_pages(written):
    count = 0
    for path in written.rglob("*"):
        if path.suffix in (".md", ".ipynb"):
            for link in re.findall(r"\]\(([^()\s#:]+)[#)]", prose(path)):
                assert (path.parent / link).is_file(), (path.name, link)
                count += 1
    assert count > 40


def test_marks_are_filled(written):
    assert "PICTURES" in prose(written / "index.md")
    assert "LIVE" in prose(written / "live.md") and "STORY" in prose(written / "live.md")
    assert not any("<!--" in prose(path) for path in written.glob("*.md"))


@pytest.mark.parametrize("text, moved", [
    ("[speed](../../../benchmarks/RESULTS.md#cpu)", "[speed](speed.md#cpu)"),
    ("[chapter 5](../../05_convolution.ipynb)", "[chapter 5](../chapters/05_convolution.ipynb)"),
    ("[all of it](config.json), [code](../../../minialex/tensor.py)", "all of it, code"),
    ("[a site](https://example.org/a.md)", "[a site](https://example.org/a.md)"),
    ("[here](#errors)", "[here](#errors)"),
    ("layers[0](x) and [no file](nowhere.md)", "layers[0](x) and [no file](nowhere.md)"),
    ("![The errors fall\nfrom 80 to 20 %](curves.png)",
     f"![The errors fall\nfrom 80 to 20 %](../pictures/{RESULTS}curves.png)"),
    ("[![The errors fall](curves.png)](../../11_training.ipynb)",
     f"[![The errors fall](../pictures/{RESULTS}curves.png)](../chapters/11_training.ipynb)"),
])
def test_a_link_is_set_for_the_place_of_its_page(tmp_path, text, moved):
    source = "notebooks/results/clothing-alexnet/README.md"
    assert pages._moved(text, source, pages.places(), tmp_path) == moved


def test_docstrings_keep_their_lines_where_they_mean_something():
    pytest.importorskip("docutils", reason="pip install 'minialex[docs]'")
    rst = load("conf").docstring_to_rst([
        "Divide every activation", "by its neighbours.", "",
        "    s = k + alpha * x**2", "    y = x / s", "",
        "x, y: (N, H, W, C), any unit;", "    in float32.", "size: `int`, |size| > 0.",
        "Keeps x.", "Raises ShapeError_ if not.", ""])
    assert rst == [
        "Divide every activation by its neighbours.", "",
        ".. code-block:: text", "", "    s = k + alpha * x**2", "    y = x / s", "",
        "x, y: (N, H, W, C), any unit; in float32.", "",
        "size: \\ ``int``\\ , \\|size\\| > 0.", "",
        "Keeps x.", "", "Raises ShapeError\\_ if not.", ""]


@pytest.fixture
def build_site(monkeypatch, tmp_path):
    """docs/build_site.py, with a folder of its own to build in."""
    monkeypatch.setitem(sys.modules, "pages", pages)
    module = load("build_site")
    monkeypatch.setattr(module, "BUILD", tmp_path)
    monkeypatch.setattr(module, "LIVE", tmp_path / "live")
    return module


def test_without_npm_it_says_what_to_do(build_site, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(build_site.CannotFetchError, match="There is no npm here.*Install Node.js, "
                       r"which brings npm, or put onnxruntime-web-[\d.]+\.tgz into docs/_build"):
        build_site.fetch_runtime()


def test_without_a_network_it_says_what_to_do(build_site, monkeypatch, tmp_path):
    """A program that fails stands for npm without a network."""
    monkeypatch.setattr("shutil.which", lambda name: sys.executable)
    with pytest.raises(build_site.CannotFetchError, match=r"is there a network.*docs/_build"):
        build_site.fetch_runtime()


def test_another_file_than_expected_is_not_unpacked(build_site, tmp_path):
    (tmp_path / build_site.RUNTIME).write_bytes(b"something else")
    with pytest.raises(build_site.CannotFetchError, match=r"another checksum.*Build again"):
        build_site.fetch_runtime()
    assert not list(tmp_path.iterdir())
