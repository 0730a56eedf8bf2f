"""Puts the pages of the site together, from the files of this repository, into one folder.

The text of a page stays where it is at home: the chapters in notebooks/, this project's story in
README.md. Here each gets its place on the site, and its links are set to lead there.
"""

import json
import os.path
import posixpath
import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Where on the site a file goes. `*` stands for the same on both sides.
PLACES = {
    "docs/index.md": "index.md",
    "docs/live.md": "live.md",
    "docs/pytorch.md": "pytorch.md",
    "docs/architecture.md": "architecture.md",
    "docs/teaching.md": "teaching.md",
    "docs/api/*.md": "api/*.md",
    "notebooks/*.ipynb": "chapters/*.ipynb",
    "README.md": "readme.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "data/README.md": "data/index.md",
    "data/fashion-mnist/README.md": "data/fashion-mnist.md",
    "data/clothing-mini/README.md": "data/clothing-mini.md",
    "tests/README.md": "tests.md",
    "benchmarks/RESULTS.md": "results/speed.md",
    "notebooks/results/clothing-alexnet/README.md": "results/clothing-alexnet.md",
}
LINK = r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s#:]+)(#[^()\s]*)?\)"
NEIGHBOURS = r"^(\[(?:Previous: [^\]]*|Map|Next: [^\]]*)\]\([^)]*\)( ·)?\n?)+"


def places() -> dict[str, str]:
    """{file in the repository: its place on the site} for all files that are there."""
    found = {}
    for source, target in PLACES.items():
        for path in sorted(ROOT.glob(source)):
            found[path.relative_to(ROOT).as_posix()] = target.replace("*", path.stem)
    return found


def write(folder: Path, texts: dict[str, str]) -> None:
    """Write all pages anew. texts: what to put in place of <!-- NAME -->."""
    shutil.rmtree(folder, ignore_errors=True)
    known = places()
    for source, target in known.items():
        path = folder / target
        path.parent.mkdir(parents=True, exist_ok=True)
        text = (ROOT / source).read_text(encoding="utf-8")
        if source.endswith(".ipynb"):
            notebook = json.loads(text)
            for cell in notebook["cells"]:
                if cell["cell_type"] == "markdown":
                    cell["source"] = _moved(_without_neighbours("".join(cell["source"])), source,
                                            known, folder)
            text = json.dumps(notebook)
        else:
            for name, new in texts.items():
                text = text.replace(f"<!-- {name} -->", new)
            for page in set(PLACES.values()) - set(known.values()):  # so not in the contents
                text = re.sub(rf"^{re.escape(page.removesuffix('.md'))}\n", "", text, flags=re.M)
            text = _moved(text, source, known, folder)
        path.write_text(text, encoding="utf-8")


def _without_neighbours(text: str) -> str:
    """Without the line of links to the previous and the next chapter: the theme has its own."""
    return re.sub(NEIGHBOURS, "", text, flags=re.MULTILINE)


def _moved(text: str, source: str, known: dict[str, str], folder: Path) -> str:
    """The text of a page with its links set for the place to which it goes."""
    here = posixpath.dirname(known[source])

    def lead(match: re.Match) -> str:
        picture, words, link, part = match.groups()
        words = re.sub(LINK, lead, words)  # a picture may be a link
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
        if target in known:
            return f"{picture}[{words}]({posixpath.relpath(known[target], here)}{part or ''})"
        path = ROOT / target
        if picture and path.is_file():
            copy = folder / "pictures" / target.replace("/", "-")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            return f"![{words}]({os.path.relpath(copy, folder / here).replace(os.sep, '/')})"
        # What is not on the site stays a name; what is no file was no link, but code.
        return words if path.exists() or target in PLACES else match[0]

    return re.sub(LINK, lead, text)
