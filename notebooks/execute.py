"""Execute the chapters: each .md is the text of a chapter, the .ipynb beside it has the outputs.

    python notebooks/execute.py 05 08      write the notebooks of two chapters anew
    python notebooks/execute.py            write all
    python notebooks/execute.py --check    write nothing, and run cells again as a reader may

--check runs a chapter in the order of its text. Then, in the same kernel, it runs every cell
twice, and then all cells from the last to the first. A cell that the text marks as long, by
```python tags=["long"], is not run again.
"""

from __future__ import annotations

import argparse
import sys
import time
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


def tags(cell: nbformat.NotebookNode) -> list[str]:
    """Of a cell; the text has them in the line that opens it."""
    return cell.metadata.get("tags", [])


def execute(notebook: nbformat.NotebookNode, seconds: int, again: bool) -> float:
    """Run all cells in order, and `again` as a reader may go back; return the seconds in order.

    Raises nbclient's error at the first cell that fails or takes more than `seconds`.
    """
    quiet = ["--log-level=ERROR"]  # else each kernel warns of its port
    client = NotebookClient(notebook, timeout=seconds, kernel_name="python3", record_timing=False,
                            resources={"metadata": {"path": str(FOLDER)}}, extra_arguments=quiet)
    code = [number for number, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    short = [number for number in code if "long" not in tags(notebook.cells[number])]
    began = time.perf_counter()
    with client.setup_kernel():
        for number in code:
            client.execute_cell(notebook.cells[number], number)
        in_order = time.perf_counter() - began
        for number in [n for n in short for _ in range(2)] + short[::-1] if again else ():
            client.execute_cell(notebook.cells[number], number)
    notebook.metadata["language_info"] = {"name": "python"}  # no version: it would change
    return in_order


def main() -> int:
    parser = argparse.ArgumentParser(description="Execute the chapters.")
    parser.add_argument("chapters", nargs="*", help="numbers, for instance 05 (default: all)")
    parser.add_argument("--check", action="store_true", help="write nothing, run cells again")
    parser.add_argument("--timeout", type=int, default=600, help="seconds for a cell")
    options = parser.parse_args()
    texts = sorted(FOLDER.glob("[0-9][0-9]_*.md"))
    texts = [text for text in texts if not options.chapters or text.name[:2] in options.chapters]
    failed, start = [], time.perf_counter()
    for text in texts:
        notebook, began = read(text), time.perf_counter()
        try:
            in_order = execute(notebook, options.timeout, options.check)
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            failed.append(text.name)
            print(f"{text.name}: FAILED\n{error}", flush=True)
            continue
        print(f"{text.name}: {time.perf_counter() - began:.0f} s, "
              f"of these {in_order:.0f} s in order", flush=True)
        if not options.check:
            nbformat.write(notebook, text.with_suffix(".ipynb"))
    print(f"all: {time.perf_counter() - start:.0f} s")
    if failed:
        print("failed: " + ", ".join(failed))
    return 1 if failed or not texts else 0


if __name__ == "__main__":
    sys.exit(main())
