"""A preview on the console: the columns of a data set, some rows of its file, rejected rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from etl.datasets import Column as DataSetColumn
    from etl.preview import ColumnPreview, Preview

WIDTH = 100
_WIDTHS = (24, 32, 11, 6, 9)  # of all cells but the last, which takes the rest
_NUMBERS = (3, 4)  # the cells that are aligned to the right


def show_preview(console: Console, preview: Preview, remarks: Iterable[str]) -> None:
    """Print a preview, at most 100 columns wide.

    Args:
        console: Where to print.
        preview: Of a data set or a list.
        remarks: Sentences on what is hardly meant so.
    """
    source = preview.source
    console.print(f"[bold]{escape(source.title)}[/]  {escape(_counts(preview))}")
    header = ("column", "source", "type", "empty", "different", "for example")
    rows = [
        (
            column.column.name,
            column.column.source,
            _type(column.column),
            f"{column.nulls:.1%}" if preview.accepted else "",
            f"{column.distinct:,}" if preview.accepted else "",
            _example(column),
        )
        for column in preview.columns
    ]
    for line in _aligned([header, *rows]):
        console.print(f"  {escape(line)}")
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
    text = f"{preview.read:,} rows read of {preview.source.relation.table}"
    if preview.selected != preview.read:
        text += f", {preview.selected:,} left by joins and filter"
    noun = "different " if preview.source.is_list else ""
    return f"{text}, {preview.accepted:,} {noun}accepted"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield rows as lines with aligned cells, each cut to its share of the width."""
    widest = [max(cell_len(row[number]) for row in rows) for number in range(len(rows[0]))]
    widths = [min(pair) for pair in zip(widest, _WIDTHS, strict=False)]
    widths.append(WIDTH - 2 - sum(widths) - 2 * len(widths))
    for row in rows:
        cells = [_cell(*pair) for pair in zip(row, widths, strict=True)]
        for number in _NUMBERS:
            cells[number] = row[number].rjust(widths[number])
        yield "  ".join(cells).rstrip()


def _cell(text: str, width: int) -> str:
    return set_cell_size(text, width) if cell_len(text) <= width else _cut(text, width)


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


def _cut(text: str, width: int = WIDTH - 4) -> str:
    return text if cell_len(text) <= width else f"{set_cell_size(text, width - 1)}…"
