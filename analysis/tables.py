"""Frames as a person reads them: thousands separated, shares as percentages, dates as dates.

    Table(counts(…))
    Table(cold(…), percent=["share"])

A `Table` shows itself in Jupyter and as text; `frame` is what it was made of.
"""

from __future__ import annotations

import html
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Table:
    """A frame and how to show it.

    Attributes:
        frame: what to show.
        percent: columns, or index labels, whose numbers are shares (0..1).
        caption: said above it.
    """

    frame: pd.DataFrame
    percent: Collection[str] = ()
    caption: str = ""

    def shown(self) -> pd.DataFrame:
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
        shown = self.shown()
        columns = [(str(name), shown[name], _is_text(self.frame[name])) for name in shown]
        if shown.index.name is not None or not isinstance(shown.index, pd.RangeIndex):
            index = pd.Series([readable(label) for label in shown.index], index=shown.index)
            columns.insert(0, (str(shown.index.name or ""), index, True))
        head = "".join(_cell("th", name, left=left) for name, _, left in columns)
        body = "\n".join(
            f"<tr>{''.join(cells)}</tr>"
            for cells in zip(
                *([_cell("td", text, left=left) for text in texts] for _, texts, left in columns),
                strict=True,
            )
        )
        caption = f"<p><b>{html.escape(self.caption)}</b></p>\n" if self.caption else ""
        return (
            f"{caption}<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
        )

    def __repr__(self) -> str:
        shown = self.shown().to_string()
        return f"{self.caption}\n{shown}" if self.caption else shown


def readable(value: Any, *, percent: bool = False) -> str:
    """Return a value as text: `12,345`, `0.0312`, `3.1 %`, `yes`, `2024-06-01 04:00`, `–`.

    Args:
        value: of a cell.
        percent: a share (0..1).
    """
    if (
        value is None
        or value is pd.NA
        or value is pd.NaT
        or (isinstance(value, float) and np.isnan(value))
    ):
        return "–"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, (int, float, np.integer, np.floating)):
        number = float(value)
        if percent:
            return f"{number:.1%}".replace("%", " %")
        if number.is_integer():
            return f"{number:,.0f}"
        return f"{number:,.1f}" if abs(number) >= 10 else f"{number:.4f}"
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _is_text(column: pd.Series[Any]) -> bool:
    """Whether a column reads from the left: it holds something else than numbers."""
    numbers = (int, float, np.integer, np.floating)
    return any(
        isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers) for value in column
    )


def _cell(tag: str, text: str, *, left: bool) -> str:
    # Inline: notebooks align every cell to the right, and keep no style sheet of ours.
    side = "left" if left else "right"
    return f'<{tag} style="text-align:{side}">{html.escape(text)}</{tag}>'


def wide(table: pd.DataFrame) -> pd.DataFrame:
    """Return metrics side by side: `metric`, `list`, `value`, `low`, `high` → a column a list.

    Returns:
        index `metric`, one column for each `list` in its order, texts such as
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
    found = table.assign(text=texts).pivot(index="metric", columns="list", values="text")
    return found.loc[metrics, order].rename_axis(columns=None)
