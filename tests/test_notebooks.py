"""Every notebook runs whole, and shows what it showed when it was saved."""

import copy
import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]


def shown(notebook: nbformat.NotebookNode) -> list[str]:
    """Everything that the cells put out, as text."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output.get("text") or output["data"]["text/plain"] for output in outputs]


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem)
def test_a_notebook_runs_and_its_saved_output_is_fresh(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The kernel is a process of its own: it must find the project without an installation.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    saved = nbformat.read(path, as_version=4)
    fresh = copy.deepcopy(saved)

    NotebookClient(
        fresh, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    ).execute()

    assert shown(fresh) == shown(saved)
    assert shown(saved), "saved with its outputs"
