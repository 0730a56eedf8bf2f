"""Execute the chapters: each .md is the text of a chapter, the .ipynb beside it has the outputs.

    python notebooks/execute.py 05 08      write the notebooks of two chapters anew
    python notebooks/execute.py            write all
    python notebooks/execute.py --check    execute all, write nothing, fail on any error
    python notebooks/execute.py --again    as --check, and run cells again as a reader may: in one
                                           kernel every cell, then all of them from the last to
                                           the first; in another each cell twice
A cell with the tag "once" takes long; it is not run again.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

FOLDER = Path(__file__).resolve().parent


def read(text: Path) -> nbformat.NotebookNode:
    """The notebook of a chapter without outputs; the same text gives the same notebook."""
    notebook = jupytext.read(text)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
    notebook.metadata = {
        "jupytext": {"formats": "ipynb,md"},
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"}}
    return notebook


def in_kernel(notebook: nbformat.NotebookNode, seconds: int, cells: Iterable[int]) -> None:
    """Run these cells, by number, in this folder. Raises nbclient's error at the first failure."""
    quiet = ["--log-level=ERROR"]  # else each kernel warns of its port
    client = NotebookClient(notebook, timeout=seconds, kernel_name="python3", record_timing=False,
                            resources={"metadata": {"path": str(FOLDER)}}, extra_arguments=quiet)
    with client.setup_kernel():
        for number in cells:
            client.execute_cell(notebook.cells[number], number)
    notebook.metadata["language_info"] = {"name": "python"}  # no version: it would change


def execute(notebook: nbformat.NotebookNode, seconds: int, again: bool) -> None:
    """Run all cells, the way it is read; and then again, the way a reader may go back."""
    code = [number for number, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    if not again:
        return in_kernel(notebook, seconds, code)
    short = [number for number in code
             if "once" not in notebook.cells[number].metadata.get("tags", ())]
    in_kernel(notebook, seconds, [*code, *reversed(short)])
    in_kernel(notebook, seconds, [n for number in code
                                  for n in [number] * (1 + (number in short))])


def main() -> int:
    parser = argparse.ArgumentParser(description="Execute the chapters.")
    parser.add_argument("chapters", nargs="*", help="numbers, for instance 05 (default: all)")
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--again", action="store_true", help="write nothing, and run cells again")
    parser.add_argument("--timeout", type=int, default=600, help="seconds for a cell")
    options = parser.parse_args()
    texts = sorted(FOLDER.glob("[0-9][0-9]_*.md"))
    texts = [text for text in texts if not options.chapters or text.name[:2] in options.chapters]
    failed = []
    for text in texts:
        notebook, began = read(text), time.perf_counter()
        try:
            execute(notebook, options.timeout, options.again)
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            failed.append(text.name)
            print(f"{text.name}: FAILED\n{error}", flush=True)
            continue
        print(f"{text.name}: {time.perf_counter() - began:.0f} s", flush=True)
        if not (options.check or options.again):
            nbformat.write(notebook, text.with_suffix(".ipynb"))
    if failed:
        print("failed: " + ", ".join(failed))
    return 1 if failed or not texts else 0


if __name__ == "__main__":
    sys.exit(main())
