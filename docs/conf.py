"""Settings of Sphinx for the site, which build_site.py builds from the pages of pages.py."""

import base64
import hashlib
import html
import json
import os
import re
from importlib import metadata
from pathlib import Path

from docutils import nodes

project = "minialex"
copyright = "minialex contributors"
release = metadata.version("minialex")
root_doc = "index"
smartquotes = False  # "..." stands for sizes, not for a pause
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
nb_execution_mode = "off"  # the outputs of the chapters are stored in them
myst_heading_anchors = 3

html_theme = "furo"
html_title = "minialex"
html_favicon = "icon.svg"
html_static_path = ["_build/static"]
html_css_files = ["site.css"]
html_copy_source = False
html_theme_options = {
    "navigation_with_keys": True,
    # As in the pictures: the first device is blue, what crosses is orange.
    "light_css_variables": {"color-brand-primary": "#2b6cb0", "color-brand-content": "#2b6cb0",
                            "color-crossing": "#c05621"},
    "dark_css_variables": {"color-brand-primary": "#90cdf4", "color-brand-content": "#90cdf4",
                           "color-crossing": "#f6ad55"},
}

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
add_module_names = False

# What begins a paragraph of its own: "x, y: (N, H, W, C), any unit", and "Keeps x".
NAMES_FIRST = r"[\w*]+(, [\w*]+)*( \([^()]*\))?( and [\w*]+)?:( |$)"
WORDS_FIRST = r"(Keeps|Paper:|Built in|Returns|Gives|Raises|Source:|Not 2012:)\b"


def docstring_to_rst(lines: list[str]) -> list[str]:
    """Our docstrings as reStructuredText: formulas as they are, a paragraph for each argument."""
    blocks: list[list[str]] = []  # each of lines; those that start with a blank are formulas
    fresh, formula = True, True
    for line in lines:
        indented = line.startswith("    ")
        if not line.strip():
            fresh = True
        elif fresh:
            blocks.append([line])
            fresh, formula = False, indented
        elif formula:
            blocks[-1].append(line)
        elif not indented and re.match(f"{NAMES_FIRST}|{WORDS_FIRST}", line):
            blocks.append([line])
        else:
            blocks[-1].append(line.strip())
    rst: list[str] = []
    for block in blocks:
        if block[0].startswith("    "):
            rst += [".. code-block:: text", "", *block, ""]
        else:
            rst += [_escaped(" ".join(block)), ""]
    return rst


def _escaped(text: str) -> str:
    """`code` becomes code, and nothing else is markup."""
    parts = re.split(r"`+([^`]+)`+", text)  # text, code, text, ...
    return "".join(f"\\ ``{part}``\\ " if odd else re.sub(r"([\\*|_`])", r"\\\1", part)
                   for i, part in enumerate(parts) for odd in [i % 2])


def _plain_docstring(app, what, name, obj, options, lines):
    lines[:] = docstring_to_rst(lines)


def _texts_of_pictures(app, doctree):
    """Give the pictures of a chapter the texts that stand beside them in the notebook.

    MyST-NB leaves them out. It calls the file of a picture by the hash of its bytes.
    """
    path = Path(app.env.doc2path(app.env.docname))
    if path.suffix == ".ipynb":
        texts = picture_texts(json.loads(path.read_text(encoding="utf-8")))
        for picture in doctree.findall(nodes.image):
            name = picture["uri"].rpartition("/")[2].partition(".")[0]
            if name in texts:
                picture["alt"] = texts[name]


def picture_texts(notebook: dict) -> dict[str, str]:
    """The alternative text of each picture among the outputs, by the hash of the picture."""
    texts = {}
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            for kind, data in output.get("data", {}).items():
                text = output.get("metadata", {}).get(kind, {}).get("alt")
                if kind == "image/svg+xml":  # as MyST-NB writes it: without the last line break
                    content = os.linesep.join("".join(data).splitlines()).encode()
                    title = re.search(r"<title>([^<]*)</title>", "".join(data))
                    text = text or (title and html.unescape(title[1]))
                elif kind.startswith("image/"):
                    content = base64.b64decode("".join(data))
                if text:
                    texts[hashlib.sha256(content).hexdigest()] = text
    return texts


def setup(app):
    app.connect("autodoc-process-docstring", _plain_docstring)
    app.connect("doctree-read", _texts_of_pictures)
