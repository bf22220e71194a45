"""Execute whole notebooks, and save them with their outputs.

What is saved holds nothing of the machine on which it was made.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

_PROJECT = Path(__file__).resolve().parents[1]
DIRECTORY = _PROJECT / "notebooks"
CONFIG = _PROJECT / "retraining.toml"


class NotebookError(Exception):
    """A cell of a notebook failed; the message says which and why."""


def execute(path: Path, *, environment: Mapping[str, str]) -> nbformat.NotebookNode:
    """Return a notebook as it is after all of its cells ran; the file does not change.

    Args:
        path: The notebook; the kernel runs in its directory.
        environment: The kernel's environment.

    Raises:
        NotebookError: If a cell fails.
    """
    notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
    )
    # The kernel must find the project without an installation.
    paths = [str(_PROJECT), *filter(None, [environment.get("PYTHONPATH")])]
    try:
        client.execute(env={**environment, "PYTHONPATH": os.pathsep.join(paths)})
    except CellExecutionError as error:
        raise NotebookError(
            f"{path.name}: code cell {client.code_cells_executed} failed: {error.ename}:"
            f" {error.evalue}; open the notebook and run its cells up to that one"
        ) from None
    notebook["metadata"] = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook
