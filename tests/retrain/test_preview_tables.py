"""The preview of a data set, on a terminal of 80 columns and in a pipe."""

import io
from dataclasses import replace

import pytest
from rich.console import Console
from rich.text import Text

from etl.preview import ColumnPreview, Preview
from etl.sources import sources_from_spec
from retrain.preview_tables import show_preview
from tests.projects import EXAMPLE
from workflow import parse_config

NAME = "THE_LONGEST_NAME_OF_ALL_COLUMNS"
EXPRESSION = "coalesce(students.department, students.faculty, students.prefecture)"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_names_and_expressions_are_whole_and_a_value_has_its_begin(is_terminal: bool) -> None:
    source = sources_from_spec(parse_config(EXAMPLE).job_spec())["USERS"]
    column = replace(source.columns[1], name=NAME, source=EXPRESSION)
    preview = Preview(source, 1, 1, (ColumnPreview(column, "string", (99 * "x",)),), (), ())
    file = io.StringIO()

    console = Console(
        file=file, width=80, force_terminal=is_terminal, highlight=False, soft_wrap=True
    )
    show_preview(console, preview, [])

    title, _, *rows = Text.from_ansi(file.getvalue()).plain.splitlines()
    assert title.endswith("  1 row read of students, 1 accepted")
    shown = "".join("".join(row.split()) for row in rows)
    assert NAME in shown
    assert f"{23 * 'x'}…" in shown
    if is_terminal:
        assert len(rows) > 2
        assert all(word.strip() in shown for word in EXPRESSION.split())
    else:
        assert EXPRESSION in rows[0]
