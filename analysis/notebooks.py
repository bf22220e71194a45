"""Execute the notebooks whole, and save them with what they showed.

What is saved holds each output once, in the form that every viewer knows, and nothing of the
machine on which it was made.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

_PROJECT = Path(__file__).resolve().parents[1]
DIRECTORY = _PROJECT / "notebooks"
CONFIG = _PROJECT / "retraining.toml"

# The same thing again in forms that a viewer of the first one does not need.
_REPEATED = {"text/html": ("image/svg+xml", "text/markdown")}
_HEAD = re.compile(r"<thead>(.*?)</thead>", re.DOTALL)
_CELL = re.compile(r"<th[^>]*>(.*?)</th>", re.DOTALL)


class NotebookError(Exception):
    """A cell of a notebook failed; says which and why."""


def execute(path: Path, *, environment: Mapping[str, str]) -> nbformat.NotebookNode:
    """Return a notebook as it is after all of its cells ran; the file is left alone.

    Args:
        path: the notebook; its directory is where the kernel runs.
        environment: the kernel's.

    Raises:
        NotebookError: a cell failed.
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
    for output in _outputs(notebook):
        for kept, repeated in _REPEATED.items():
            if kept in output.get("data", {}):
                for form in repeated:
                    output["data"].pop(form, None)
    notebook["metadata"] = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def execute_and_save(path: Path, *, environment: Mapping[str, str]) -> None:
    """Execute a notebook in place; arguments and errors as of `execute`."""
    nbformat.write(execute(path, environment=environment), path)  # type: ignore[no-untyped-call]


def structure(notebook: nbformat.NotebookNode) -> list[list[tuple[str, ...]]]:
    """Return what kinds of output each code cell has, without their contents.

    Two executions of the same cells with other data have the same structure: kinds and forms of
    outputs, and the heads of tables.
    """
    return [
        [_kind(output) for output in cell["outputs"]]
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
    ]


def _kind(output: Mapping[str, Any]) -> tuple[str, ...]:
    if output["output_type"] in {"stream", "error"}:
        return (output["output_type"], output.get("name", output.get("ename", "")))
    forms = output.get("data", {})
    head = _HEAD.search(forms.get("text/html", ""))
    return ("shown", *sorted(forms), *(_CELL.findall(head[1]) if head else ()))


def _outputs(notebook: nbformat.NotebookNode) -> list[Any]:
    return [output for cell in notebook["cells"] for output in cell.get("outputs", ())]
