"""Outputs in a real JupyterLab: of a cloned notebook, which it does not trust, and of one's own."""

from itertools import groupby

import nbformat
import pandas as pd
import pytest

from analysis.notebooks import DIRECTORY
from analysis.tables import Table
from tests.jupyterlab import Output, open_notebooks
from tests.workflow.picture.test_display import DEFINITION, events
from workflow.picture.display import execution_page, workflow_page

# A reader of JSONPath and of prices sees dollar signs, MathJax sees formulas.
CAUSE = "$.job.status is not $.expected, <b> and $5 or $6 cost $$x$$ \\(y\\)\n  at line 2"
PRICES = pd.DataFrame({"plan": ["$5 to $9", "\\(free\\)"], "users": [1, 2]})


def with_outputs(*shown: object) -> nbformat.NotebookNode:
    """Return a notebook in which objects were shown."""
    cells = []
    for each in shown:
        bundle = getattr(each, "_repr_mimebundle_", None)
        forms = bundle() if bundle else {"text/html": each._repr_html_()}
        output = nbformat.v4.new_output("display_data", forms)
        cells.append(nbformat.v4.new_code_cell("show()", outputs=[output]))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def failing() -> nbformat.NotebookNode:
    """Return a notebook with each form of our outputs, and dollar signs wherever texts come in."""
    failed = [
        {**event, "executionFailedEventDetails": {"error": "TooFew", "cause": CAUSE}}
        if event["type"] == "ExecutionFailed"
        else event
        for event in events()
    ]
    return with_outputs(
        workflow_page(DEFINITION, title="from $.a to $.b"),
        execution_page(DEFINITION, failed, title="night $1 of $2"),
        Table(PRICES, caption="Between $1 and $2"),
    )


def saved_outputs() -> list[nbformat.NotebookNode]:
    """Return all outputs of our notebooks, as they are saved; JupyterLab joins adjacent texts."""
    notebooks = (nbformat.read(path, as_version=4) for path in sorted(DIRECTORY.glob("*.ipynb")))
    outputs = [
        output
        for notebook in notebooks
        for cell in notebook.cells
        for output in cell.get("outputs", ())
    ]
    return [next(group) for _, group in groupby(outputs, _stream_or_itself)]


def _stream_or_itself(output: nbformat.NotebookNode) -> object:
    return output.get("name") or id(output)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Output]]:
    """Open one notebook with all outputs twice: as a cloned one, and as one's own."""
    notebook = failing()
    saved = nbformat.v4.new_code_cell("saved()", outputs=saved_outputs())
    notebook.cells.append(saved)
    return open_notebooks(
        {"cloned.ipynb": notebook, "own.ipynb": notebook},
        tmp_path_factory.mktemp("jupyterlab"),
        trusted={"own.ipynb"},
    )


@pytest.fixture(params=["cloned", "own"])
def outputs(request: pytest.FixtureRequest, opened: dict[str, list[Output]]) -> list[Output]:
    return opened[f"{request.param}.ipynb"]


def test_jupyterlab_distrusts_a_cloned_notebook_and_typesets_formulas(
    opened: dict[str, list[Output]],
) -> None:
    """Without this the other tests would show nothing."""
    cloned, own = (opened[name][-1] for name in ("cloned.ipynb", "own.ipynb"))

    assert (cloned.inlined, cloned.formulas) == (0, 1)
    assert (own.inlined, own.formulas) == (1, 1)


def test_saved_outputs_show_every_picture_and_no_formula(outputs: list[Output]) -> None:
    forms = [output.get("data", {}) for output in saved_outputs()]
    shown = outputs[3:-1]

    assert [len(output.images) for output in shown] == [
        int("image/png" in form) + form.get("text/html", "").count("<img ") for form in forms
    ]
    assert [output.tables for output in shown] == [
        form.get("text/html", "").count("<table") for form in forms
    ]
    assert [output for output in shown if output.broken or output.formulas] == []
    assert sum(len(output.images) for output in shown) >= 9


def test_a_failure_is_told_whole_with_picture_and_states(outputs: list[Output]) -> None:
    workflow, execution, *_ = outputs

    assert workflow.images[0].startswith("from $.a to $.b: 4 states: ")
    assert execution.images[0].startswith("night $1 of $2: FAILED after 15 s, TooFew")
    assert "night $1 of $2 ✗ FAILED after 15 s" in execution.text
    assert f"TooFew in state 'Train': {CAUSE}" in execution.text
    assert "✓ 2 succeeded, ✗ 2 failed. " in execution.text
    assert "Train\t✗ failed\t1\t2\t\t5 s" in execution.text
    assert workflow.formulas == execution.formulas == 0
    assert all(width > 100 for width in (*workflow.widths, *execution.widths))


def test_dollar_signs_in_a_table_stay(outputs: list[Output]) -> None:
    table = outputs[2]

    assert table.formulas == 0
    assert table.text.splitlines()[0] == "Between $1 and $2"
    assert "$5 to $9\t1" in table.text
    assert "\\(free\\)\t2" in table.text
