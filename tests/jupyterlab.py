"""Notebooks as a real JupyterLab shows them when they are opened, and nothing is executed."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat
from jupyter_core.paths import ENV_JUPYTER_PATH
from nbformat.sign import NotebookNotary

from tests.browsing import run

SETTINGS = {
    # All cells are in the page, not only those that the window shows.
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
    },
}


@dataclass(frozen=True)
class Output:
    """An output of a cell in the browser.

    Attributes:
        text: What a reader sees, with all details opened.
        inlined: Number of inline SVGs; 0 in a notebook that is not trusted.
        formulas: Number of texts that MathJax has replaced.
        tables: Number of tables.
        images: The text of each image that is drawn.
        broken: The text of each image that is not.
        widths: The width of each image, in pixels.
    """

    text: str
    inlined: int
    formulas: int
    tables: int
    images: tuple[str, ...]
    broken: tuple[str, ...]
    widths: tuple[float, ...]


def open_notebooks(
    notebooks: Mapping[str, nbformat.NotebookNode],
    directory: Path,
    *,
    trusted: Collection[str] = (),
    pictures: Path | None = None,
) -> dict[str, list[Output]]:
    """Open notebooks as files of somebody else's, or of one's own.

    Args:
        notebooks: By the name of the file.
        directory: An empty one, for the files and all that JupyterLab writes.
        trusted: Names of those that are signed, as JupyterLab does with what was executed there.
        pictures: Directory for a screenshot of each, to look at.

    Returns:
        For each notebook its outputs; the last one is of the added control.
    """
    home, root = directory / "home", directory / "notebooks"
    settings = home / "settings"
    for folder in (settings, home / "data", root):
        folder.mkdir(parents=True)
    (settings / "overrides.json").write_text(json.dumps(SETTINGS), encoding="utf-8")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("JUPYTER")},
        **{
            f"JUPYTER_{name}_DIR": str(home / name.lower())
            for name in ("CONFIG", "DATA", "RUNTIME")
        },
        "JUPYTER_PATH": os.pathsep.join(ENV_JUPYTER_PATH),
        "IPYTHONDIR": str(home),
    }
    for name, notebook in notebooks.items():
        nbformat.write(_with_control(name, notebook), root / name)
        if name in trusted:
            notary = NotebookNotary(data_dir=str(home / "data"))
            notary.sign(nbformat.read(root / name, as_version=4))
            notary.store.close()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
            *("--ServerApp.ip=127.0.0.1", "--ServerApp.port=0", "--IdentityProvider.token="),
            *(f"--ServerApp.root_dir={root}", f"--LabApp.app_settings_dir={settings}"),
            "--LabApp.extension_manager=readonly",
        ],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=(directory / "jupyterlab.log").open("wb"),
    )
    try:
        request = {"url": _url(home / "runtime", process), "paths": list(notebooks)}
        shown = run("notebook.mjs", {**request, "pictures": pictures and str(pictures)})
    finally:
        process.terminate()  # with its kernels
        process.wait()
    return {name: [_output(each) for each in outputs] for name, outputs in shown.items()}


def _with_control(name: str, notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return the notebook with a cell that shows whether it is trusted, and one of mathematics."""
    svg = '<p>control: $x$ <svg width="8" height="8"></svg></p>'
    output = nbformat.v4.new_output("display_data", {"text/html": svg})
    control = nbformat.v4.new_code_cell(repr(name), outputs=[output])  # trust is by content
    cells = [*notebook.cells, control, nbformat.v4.new_markdown_cell("$x^2$")]
    return nbformat.from_dict({**notebook, "nbformat_minor": 5, "cells": cells})


def _url(runtime: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        for file in runtime.glob("jpserver-*.json"):
            try:
                return str(json.loads(file.read_text(encoding="utf-8"))["url"])
            except ValueError:
                pass  # it is being written
        time.sleep(0.1)
    raise AssertionError("JupyterLab does not start")


def _output(output: dict) -> Output:
    images = output["images"]
    return Output(
        text=output["text"],
        inlined=output["inlined"],
        formulas=output["formulas"],
        tables=output["tables"],
        images=tuple(image["alt"] for image in images if image["drawn"]),
        broken=tuple(image["alt"] for image in images if not image["drawn"]),
        widths=tuple(image["width"] for image in images),
    )
