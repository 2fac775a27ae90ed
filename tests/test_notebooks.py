"""The notebooks run from top to bottom in a kernel of their own, and are kept with small outputs."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LARGEST = 400_000
"""Bytes of a notebook with its outputs."""


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_its_outputs_are_kept(
    path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = nbformat.read(path, 4)
    code = [cell for cell in held.cells if cell.cell_type == "code"]
    kinds = {kind for cell in code for output in cell.outputs for kind in output.get("data", ())}
    assert kinds & {"application/vnd.plotly.v1+json", "image/png"}, "a figure is shown"
    assert not any(output.output_type == "error" for cell in code for output in cell.outputs)
    assert path.stat().st_size < LARGEST
    monkeypatch.setenv("METALAB_HOME", os.environ.get("METALAB_HOME") or str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("JUPYTER_ALLOW_INSECURE_WRITES", "true")
    client = NotebookClient(
        held, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}
    )
    client.execute()  # an error in a cell is raised
    texts = [output.get("text", "") for cell in code for output in cell.outputs]
    assert any(texts), "something is printed"
