"""The notebooks run from top to bottom on the contract's own columns, and carry no outputs."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.tables import write_table_for

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_on_a_table_that_follows_the_contract(path: Path, tmp_path: Path) -> None:
    for folder in ("conf", "notebooks"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    data = tmp_path / "azureml" / "data"
    data.mkdir(parents=True)
    table = write_table_for(ROOT / "conf" / "contract.yml", tmp_path / "table.parquet", rows=600)
    (data / "training.yml").write_text(f"path: ../../{table.name}\n", encoding="utf-8")
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(tmp_path / "notebooks")}}
    ).execute()
    kinds = {
        kind
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        for kind in output.get("data", {})
    }
    assert "image/png" in kinds


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert cells
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)
