"""Notebooks are thin, hold no outputs, and run twice in one kernel."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from edukit.reproducibility import bundled

NOTEBOOKS = sorted(bundled("notebooks").glob("*.ipynb"))
MOST_CELLS, LONGEST_DEF = 15, 5


def python(cell: dict[str, Any]) -> ast.Module:
    """The cell without the lines that only IPython understands."""
    lines = "".join(cell["source"]).splitlines()
    return ast.parse("\n".join("pass" if line.lstrip().startswith(("%", "!")) else line for line in lines))


def thickness(cells: list[dict[str, Any]]) -> list[str]:
    """What makes a notebook, given its code cells, more than a question and its answer."""
    found = [f"{len(cells)} code cells; {MOST_CELLS} is the most"] if len(cells) > MOST_CELLS else []
    for number, cell in enumerate(cells, start=1):
        for node in ast.walk(python(cell)):
            if isinstance(node, ast.ClassDef):
                found.append(f"code cell {number} defines the class {node.name}: move it into the package")
            elif isinstance(node, ast.FunctionDef) and (lines := (node.end_lineno or 0) - node.lineno + 1) > LONGEST_DEF:
                found.append(f"code cell {number} defines {node.name} in {lines} lines: move it into the package")
        if cell["outputs"] or cell["execution_count"] is not None:
            found.append(f"code cell {number} holds outputs: run nbstripout on the file")
    return found


def run_twice(path: Path, folder: Path) -> None:
    """Run all cells from top to bottom, then all again in the same kernel, in ``folder``."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    with client.setup_kernel():
        for _ in range(2):
            for position, cell in enumerate(notebook.cells):
                client.execute_cell(cell, position)


def code(*sources: str) -> list[dict[str, Any]]:
    return [
        {"cell_type": "code", "id": f"cell{n}", "source": source, "outputs": [], "execution_count": None, "metadata": {}}
        for n, source in enumerate(sources)
    ]


def test_notebooks_were_found():
    assert NOTEBOOKS, "no notebooks"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_thin(path: Path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert thickness([cell for cell in cells if cell["cell_type"] == "code"]) == []


@pytest.mark.notebook
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_twice_in_one_kernel(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EDUKIT_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("EDUKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MPLBACKEND", raising=False)  # the kernel chooses its own
    before = sorted(path.parent.iterdir())
    run_twice(path, tmp_path)
    assert sorted(path.parent.iterdir()) == before, "the notebook wrote beside itself"


def test_a_thick_notebook_is_found():
    cells = code("%matplotlib inline\nclass A: pass", "def f():\n" + "    x = 1\n" * 6, *["1"] * 14)
    cells[2]["execution_count"] = 1
    assert [fault.split(":")[0] for fault in thickness(cells)] == [
        "16 code cells; 15 is the most",
        "code cell 1 defines the class A",
        "code cell 2 defines f in 7 lines",
        "code cell 3 holds outputs",
    ]


@pytest.mark.notebook
def test_a_notebook_that_runs_only_once_is_found(tmp_path: Path):
    from nbclient.exceptions import CellExecutionError

    cells = code("import os", "os.mkdir('once')")
    path = tmp_path / "once.ipynb"
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}))
    with pytest.raises(CellExecutionError, match="FileExistsError"):
        run_twice(path, tmp_path)
