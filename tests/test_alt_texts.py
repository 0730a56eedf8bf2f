"""Every picture has words for those who cannot see it (of chapters: test_notebooks.py)."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WORDS = 5  # "picture" or a file's name says nothing
FENCED = re.compile(r"^(```+|~~~+).*?^\1", re.MULTILINE | re.DOTALL)


def texts_of_pictures(text):
    """(picture, its words) of Markdown and of the HTML in it; code is left out."""
    text = re.sub(r"`[^`\n]*`", "", FENCED.sub("", text))
    found = [(link, words) for words, link in
             re.findall(r"!\[((?:[^\[\]]|\[[^\]]*\])*)\][(\[]([^)\]]*)[)\]]", text)]
    for tag in re.findall(r"<img\b[^>]*>", text, re.DOTALL):
        words = re.search(r"\balt\s*=\s*(\"([^\"]*)\"|'([^']*)')", tag)
        found.append((tag, (words[2] or words[3] or "") if words else ""))
    return found


def without_words(text):
    return [picture for picture, words in texts_of_pictures(text) if len(words.split()) < WORDS]


PLACES = ("*.md", "docs/*.md", "docs/api/*.md", "docs/*.html", "data/**/*.md", "tests/*.md",
          "benchmarks/*.md", "notebooks/**/*.md")
FILES = sorted(path for place in PLACES for path in ROOT.glob(place)
               if not {".venv", "runs", "node_modules"} & set(path.relative_to(ROOT).parts))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_pictures_have_words(path):
    assert not without_words(path.read_text(encoding="utf-8"))


def test_pictures_are_found():
    assert sum(len(texts_of_pictures(path.read_text(encoding="utf-8"))) for path in FILES) >= 2


@pytest.mark.parametrize("text", [
    "![](a.png)", "![a picture](a.png)", "[![curves](a.png)](b.md)", "![too few words][1]",
    '<img src="a.png">', '<p>\n<img\n  src="a.png" alt="">', "<img alt='' src=a.png>",
    "![five words\nare](a.png) and others"])
def test_a_picture_without_words_is_found(text):
    assert without_words(f"before\n\n{text}\n\nafter")


@pytest.mark.parametrize("text", [
    "![The loss falls from 2.3\nto 0.4 in ten epochs](a.png)", "```\n![](a.png)\n```", "`![](a)`",
    '<img src="a.png" alt="The loss falls in ten epochs">', "an exclamation! [a link](a.md)"])
def test_words_and_code_are_no_fault(text):
    assert not without_words(text)
