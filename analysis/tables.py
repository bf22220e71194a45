"""Frames as a person reads them: thousands separated, shares as percentages, dates as dates.

    Table(counts(…))
    Table(cold(…), percent=["share"])

A `Table` shows itself in Jupyter, in templates and as text.
"""

from __future__ import annotations

import html
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from workflow.picture.display import NO_MATHS

_NARROW = 3  # columns that fit on a telephone
_NUMBER = ' class="number"'
_NUMBERS = (int, float, np.integer, np.floating)


@dataclass(frozen=True)
class Table:
    """A frame and how to show it.

    Attributes:
        frame: The frame.
        percent: Columns, or index labels, whose numbers are shares (0..1).
        caption: A line above it.
    """

    frame: pd.DataFrame
    percent: Collection[str] = ()
    caption: str = ""

    def texts(self) -> pd.DataFrame:
        """Return the frame with a text in every cell."""
        columns: Iterable[tuple[Any, pd.Series[Any]]] = self.frame.items()
        return pd.DataFrame(
            {
                name: [
                    readable(value, percent=name in self.percent or label in self.percent)
                    for label, value in column.items()
                ]
                for name, column in columns
            },
            index=self.frame.index,
        )

    def _repr_html_(self) -> str:
        # Inline: notebooks align every cell to the right, and keep no style sheet of ours.
        columns = self._columns()
        head = "".join(_cell("th", name, _style(left=left)) for name, _, left in columns)
        body = "\n".join(
            "<tr>"
            + "".join(
                _cell("td", text, _style(left=left))
                for text, (_, _, left) in zip(row, columns, strict=True)
            )
            + "</tr>"
            for row in zip(*(cells for _, cells, _ in columns), strict=True)
        )
        body = body or f'<tr><td colspan="{len(columns)}" align="left">none</td></tr>'
        caption = f"<p><b>{html.escape(self.caption)}</b></p>\n" if self.caption else ""
        return f'<div class="{NO_MATHS}">\n{caption}{_table("", head, body)}\n</div>'

    def __html__(self) -> str:
        """Return it for a page: classes for its style sheet, and each cell with its column's name.

        A wide one has the class `wide`, so that a narrow screen can show a row as a block.
        """
        columns = self._columns()
        head = "".join(
            _cell("th", name, f'scope="col"{"" if left else _NUMBER}') for name, _, left in columns
        )
        body = "\n".join(
            "<tr>"
            + "".join(
                _cell(
                    "th" if self._has_index() and number == 0 else "td",
                    text,
                    ('scope="row" ' if self._has_index() and number == 0 else "")
                    + f'data-label="{html.escape(name)}"{"" if left else _NUMBER}',
                )
                for number, (text, (name, _, left)) in enumerate(zip(row, columns, strict=True))
            )
            + "</tr>"
            for row in zip(*(cells for _, cells, _ in columns), strict=True)
        )
        return _table(' class="wide"' if len(columns) > _NARROW else "", head, body)

    def _has_index(self) -> bool:
        index = self.frame.index
        return index.name is not None or not isinstance(index, pd.RangeIndex)

    def _columns(self) -> list[tuple[str, Sequence[str], bool]]:
        """Return of each column the name, the texts, and whether it is aligned to the left."""
        texts = self.texts()
        columns: list[tuple[str, Sequence[str], bool]] = [
            (str(name), list(texts[name]), _is_text(self.frame[name])) for name in texts
        ]
        if self._has_index():
            labels = [readable(label) for label in texts.index]
            columns.insert(0, (str(texts.index.name or ""), labels, True))
        return columns

    def __repr__(self) -> str:
        text = "none" if self.frame.empty else self.texts().to_string()
        return f"{self.caption}\n{text}" if self.caption else text


def readable(value: Any, *, percent: bool = False) -> str:
    """Return a value as text: `12,345`, `0.0312`, `3.1 %`, `yes`, `2024-06-01 04:00`, `–`.

    Args:
        value: Of a cell.
        percent: Whether it is a share (0..1).
    """
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    if pd.isna(value):
        return "–"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, _NUMBERS):
        number = float(value)
        if percent:
            return f"{number:.1%}".replace("%", " %")
        if number.is_integer():
            return f"{number:,.0f}"
        return f"{number:,.1f}" if abs(number) >= 10 else f"{number:.4f}"
    return str(value)


def _is_text(column: pd.Series[Any]) -> bool:
    """Return whether a column is aligned to the left: it holds something else than numbers."""
    return any(
        isinstance(value, (bool, np.bool_)) or not isinstance(value, _NUMBERS) for value in column
    )


def _cell(tag: str, text: str, attributes: str) -> str:
    return f"<{tag} {attributes}>{html.escape(text)}</{tag}>"


def _style(*, left: bool) -> str:
    side = "left" if left else "right"
    return f'align="{side}" style="text-align:{side}"'  # viewers that take styles leave the former


def _table(attributes: str, head: str, body: str) -> str:
    return (
        f"<table{attributes}>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    )


def wide(table: pd.DataFrame) -> pd.DataFrame:
    """Return metrics side by side: `metric`, `list`, `value`, `low`, `high` → a column a list.

    Returns:
        Index `metric`, one column for each `list` in its order, texts such as
        `0.195 (0.171–0.219)`; without an interval the value alone.
    """
    texts = [
        f"{row['value']:.3f}"
        if np.isnan(row["low"])
        else f"{row['value']:.3f} ({row['low']:.3f}–{row['high']:.3f})"
        for row in table.to_dict("records")
    ]
    order = list(dict.fromkeys(table["list"]))
    metrics = list(dict.fromkeys(table["metric"]))
    pivoted = table.assign(text=texts).pivot(index="metric", columns="list", values="text")
    return pivoted.loc[metrics, order].rename_axis(columns=None)
