"""The pages for teachers and contributors name what is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*(ROOT / "docs").glob("*.md"), ROOT / "CONTRIBUTING.md", ROOT / "tests" / "README.md"]
TEACHING = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8")
CHAPTERS = re.findall(r"^### (\d\d) ([^\n]+) \((\d+) minutes\)\n(.*?)(?=^##)", TEACHING,
                      re.MULTILINE | re.DOTALL)


def test_every_chapter_has_its_section_for_teachers():
    chapters = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.md"))[1:]
    assert [number for number, *_ in CHAPTERS] == [path.name[:2] for path in chapters]


@pytest.mark.parametrize(("number", "title", "minutes", "section"), CHAPTERS,
                         ids=[number for number, *_ in CHAPTERS])
def test_section_for_teachers_fits_its_chapter(number, title, minutes, section):
    [chapter] = (ROOT / "notebooks").glob(f"{number}_*.md")
    assert chapter.read_text(encoding="utf-8").startswith(f"# {number} {title.split(' (')[0]}")
    parts = dict(re.findall(r"^- \*\*(.+?):\*\* (.*?)(?=\n- |\Z)", section.strip(),
                            re.MULTILINE | re.DOTALL))
    assert list(parts) == ["Needs", "Students get wrong", "Discuss", "Grade"]
    assert parts["Discuss"].count("?") == 3
    graded = re.findall(r"`(\w+)`", parts["Grade"])
    written = (ROOT / "notebooks" / "exercises" / f"ch{number}.py").read_text(encoding="utf-8")
    assert len(graded) >= 2 and all(f"def {name}(" in written for name in graded)
    # As the page says: three times what the map says of reading, rounded to quarters of an hour.
    map_ = (ROOT / "notebooks" / "00_map.md").read_text(encoding="utf-8")
    reading = int(re.search(rf"^\| {number} \|.*\| (\d+) \| \d+ \|$", map_, re.MULTILINE)[1])
    assert abs(int(minutes) - 3 * reading) <= 25 and int(minutes) % 15 == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_of_a_page_lead_to_files(page):
    targets = [target for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
               if "://" not in target]
    for target in targets:
        assert (page.parent / target).exists(), target


def test_architecture_names_every_part_of_the_package():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^  (\w+(?:\.py|/))", page, re.MULTILINE))
    there = {path.name + ("/" if path.is_dir() else "") for path in (ROOT / "minialex").iterdir()
             if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert listed == there - {"__init__.py", "__main__.py"}


def test_nothing_refers_to_a_document_that_readers_do_not_have():
    folders = ("minialex", "tests", "notebooks", "benchmarks", "docs", "data")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.[mp][dy]")
             if path != Path(__file__)]
    assert len(files) > 200
    assert not [path for path in files if "DESIGN" in path.read_text(encoding="utf-8")]
