"""A preview on the console: the columns of a data set, some rows of its file, rejected rows."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape
from rich.table import Column

from retrain.whole_table import plain_table
from workflow.spelling import counted

if TYPE_CHECKING:
    from etl.datasets import Column as DataSetColumn
    from etl.preview import ColumnPreview, Preview

_LINE = 96  # cells of a row as it is written
_EXAMPLE = 24  # cells of a value


def show_preview(console: Console, preview: Preview, remarks: Iterable[str]) -> None:
    """Print a preview: columns and reasons whole, of rows and values their begin.

    Args:
        console: Where to print.
        preview: Of a data set or a list.
        remarks: Sentences on what is hardly meant so.
    """
    source = preview.source
    console.print(f"[bold]{escape(source.title)}[/]  {escape(_counts(preview))}")
    numbers = (Column(title, justify="right", no_wrap=True) for title in ("empty", "different"))
    table = plain_table("", "column", Column("source"), "type", *numbers, "for example")
    for column in preview.columns:
        table.add_row(
            "",  # sets the others off
            escape(column.column.name),
            escape(column.column.source),
            _type(column.column),
            f"{column.nulls:.1%}" if preview.accepted else "",
            f"{column.distinct:,}" if preview.accepted else "",
            escape(_cut(_example(column), _EXAMPLE)),
        )
    console.print(table)
    for line in preview.lines:
        console.print(f"    [dim]{escape(_cut(line))}[/]")
    if preview.rejected:
        reasons = ", ".join(
            f"{reason} ({column}) {count:,}" for (reason, column), count in preview.reasons.items()
        )
        console.print(f"  [yellow]rejected {len(preview.rejected):,}[/]: {escape(reasons)}")
        for row in preview.rejected[:2]:
            console.print(f"    [dim]{escape(_cut(json.dumps(row['row'], ensure_ascii=False)))}[/]")
    for remark in remarks:
        console.print(f"  [yellow]![/] {escape(remark)}")
    console.print()


def _counts(preview: Preview) -> str:
    text = f"{counted(preview.read, 'row')} read of {preview.source.relation.table}"
    if preview.selected != preview.read:
        text += f", {preview.selected:,} left by joins and filter"
    noun = "different " if preview.source.is_list else ""
    return f"{text}, {preview.accepted:,} {noun}accepted"


def _type(column: DataSetColumn) -> str:
    if column.textual:
        return "textual"
    if column.item_name:
        return "item name"
    if column.categorical:
        return "categorical"
    return column.type


def _example(column: ColumnPreview) -> str:
    return next((value for value in column.values if value), "")


def _cut(text: str, width: int = _LINE) -> str:
    return text if cell_len(text) <= width else f"{set_cell_size(text, width - 1)}…"
