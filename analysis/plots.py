"""Small plots of tables, by matplotlib; each with an alternative text.

Every function takes a frame of this package and returns a `Plot`. The background is transparent;
colours and letters have enough contrast on light and on dark pages.
"""

from __future__ import annotations

import base64
import html
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, get_font_names
from matplotlib.ticker import FuncFormatter, PercentFormatter

# Greys and colours of medium lightness: their contrast to white and to black is about the same.
INK = "#7a7a7a"
GRID = "#8f8f8f40"
COLOURS = ("#2f7ed8", "#d9731a", "#2f9e5b", "#a35bc4", "#c94f6d", "#8a8a8a")

# The usual ones of Linux, macOS and Windows that have Japanese, Chinese and Korean letters.
_FONTS = (
    "DejaVu Sans", "Noto Sans CJK JP", "Noto Sans JP", "IPAexGothic", "IPAGothic", "TakaoGothic",
    "Hiragino Sans", "PingFang SC", "Apple SD Gothic Neo", "Yu Gothic", "Meiryo", "MS Gothic",
    "Microsoft YaHei", "Malgun Gothic", "WenQuanYi Zen Hei",
)  # fmt: skip

_WIDTH, _HEIGHT = 7.2, 2.9  # inches, of 96 pixels where it is shown
_MOST_DATES = 8  # that stand side by side
_FEW_DAYS = 5
_DPI = 168  # more than is shown: sharp on every screen


@dataclass(frozen=True)
class Plot:
    """A figure that shows itself in Jupyter, with its alternative text.

    Attributes:
        figure: Of matplotlib.
        alt: What it shows, in a sentence.
    """

    figure: Figure
    alt: str

    @cached_property
    def png(self) -> bytes:
        """The picture, with a transparent background."""
        buffer = io.BytesIO()
        FigureCanvasAgg(self.figure)
        with warnings.catch_warnings():
            # Where no font of the machine has a letter, a box stands in its place.
            warnings.filterwarnings("ignore", r"Glyph \d+ .* missing")
            # No date and no version: the same data give the same bytes.
            self.figure.savefig(
                buffer, format="png", dpi=_DPI, transparent=True, metadata={"Software": None}
            )
        return buffer.getvalue()

    def _repr_mimebundle_(
        self, include: Any = None, exclude: Any = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        width, height = (round(inches * 96) for inches in self.figure.get_size_inches())
        about = {"alt": self.alt, "width": width, "height": height}
        return {"image/png": self.png, "text/plain": self.alt}, {"image/png": about}

    def __html__(self) -> str:  # for templates
        data = base64.b64encode(self.png).decode("ascii")
        return f'<img src="data:image/png;base64,{data}" alt="{html.escape(self.alt)}">'

    def __repr__(self) -> str:
        return self.alt


def popularity_curve(popular: pd.DataFrame) -> Plot:
    """Plot the table of `data_profile.popularity`: which share of the events so many items have."""
    figure, axes = _axes()
    items = np.concatenate([[0.0], popular["share of items"].to_numpy()])
    events = np.concatenate([[0.0], popular["share of events"].to_numpy()])
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=":", label="all equally popular")
    axes.plot(items, events, color=COLOURS[0], linewidth=2, label="items")
    axes.fill_between(items, items, events, color=COLOURS[0], alpha=0.15, linewidth=0)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="items, the most popular first", ylabel="events")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    _legend(axes)
    fifth = float(np.interp(0.2, items, events))
    return Plot(figure, f"The most popular fifth of the items has {fifth:.0%} of the events.")


def events_over_time(table: pd.DataFrame) -> Plot:
    """Plot the table of `data_profile.events_over_time` as stacked bars.

    Of more than five event types the rarest are one.
    """
    figure, axes = _axes()
    shown = _at_most(table, len(COLOURS) - 1)
    days = np.diff(table.index.to_numpy()).astype("timedelta64[h]").astype(float) / 24
    width = float(days.min()) * 0.85 if len(days) else 0.85
    bottom = np.zeros(len(shown))
    for name, colour in zip(shown, COLOURS, strict=False):
        values = shown[name].to_numpy()
        begins = pd.DatetimeIndex(shown.index).tz_localize(None).to_numpy()
        axes.bar(begins, values, width, bottom=bottom, color=colour, label=str(name), align="edge")
        bottom += values
    axes.set(ylabel="events")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    if np.ptp(axes.get_xlim()) < _FEW_DAYS:  # then hours are marked, whose long names overlap
        locator = axes.xaxis.get_major_locator()
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    figure.autofmt_xdate(rotation=0, ha="center")
    _legend(axes)
    if not len(table):
        return Plot(figure, "No events.")
    sums = table.sum(axis=1)
    return Plot(
        figure,
        f"{sums.sum():,.0f} events from {table.index[0]:%Y-%m-%d} on, between {sums.min():,.0f} and"
        f" {sums.max():,.0f} in each period.",
    )


def events_per_user(table: pd.DataFrame) -> Plot:
    """Plot the table of `data_profile.events_per_user`: shares of users by number of events."""
    figure, axes = _axes()
    bars = axes.bar(table.index.astype(str), table["share"].to_numpy(), color=COLOURS[0])
    users = [f"{users:,}" for users in table["users"]]
    axes.bar_label(bars, users, color=INK, fontsize=8.5, padding=2)
    axes.set(xlabel="events of a user", ylabel="users")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.margins(y=0.14)
    biggest = table["share"].idxmax()
    return Plot(
        figure, f"Most users, {table['share'].max():.0%}, have {biggest} events; the figure above"
        " each bar is the number of users."
    )  # fmt: skip


def metric_intervals(table: pd.DataFrame, *, metrics: Sequence[str] = ()) -> Plot:
    """Plot each list's metrics as dots, with their intervals as lines.

    Args:
        table: `metric`, `list`, `value`, `low`, `high`; for example from `metrics.side_by_side`.
        metrics: The metrics to show; all if left out.
    """
    shown = table[table["metric"].isin(metrics)] if metrics else table
    names = list(dict.fromkeys(shown["metric"]))
    lists = list(dict.fromkeys(shown["list"]))
    figure, axes = _axes(height=0.8 + 0.34 * len(names) + 0.08 * len(lists) * len(names))
    for number, (name, colour) in enumerate(zip(lists, COLOURS, strict=False)):
        rows = shown[shown["list"] == name].set_index("metric").reindex(names)
        at = np.arange(len(names)) + (number - (len(lists) - 1) / 2) * 0.22
        low, high = rows["low"].fillna(rows["value"]), rows["high"].fillna(rows["value"])
        axes.hlines(at, low, high, color=colour, linewidth=2, alpha=0.6)
        axes.plot(rows["value"], at, "o", color=colour, markersize=6, label=name)
    axes.set_yticks(np.arange(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(left=min(0.0, float(shown["low"].min(skipna=True) or 0.0)))
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x", color=GRID)
    _legend(axes)
    values = "; ".join(
        f"{name}: " + ", ".join(
            f"{row['metric']} {row['value']:.3f}"
            for row in shown[shown["list"] == name].to_dict("records")
        )
        for name in lists
    )  # fmt: skip
    return Plot(figure, f"Metrics with intervals. {values}.")


def trend(table: pd.DataFrame, metric: str) -> Plot:
    """Plot a metric of the table of `backtests.trend`, run after run, with its intervals.

    Args:
        table: `run`, `date`, `metric`, `list`, `value`, `low`, `high`.
        metric: For example `NDCG@10`.
    """
    shown = table[(table["metric"] == metric) & (table["list"] != "difference")]
    runs = list(dict.fromkeys(shown["run"]))
    dates = shown.drop_duplicates("run")["date"]
    figure, axes = _axes()
    for name, colour in zip(dict.fromkeys(shown["list"]), (COLOURS[0], COLOURS[5]), strict=False):
        rows = shown[shown["list"] == name].set_index("run").reindex(runs)
        low, high = rows["low"].fillna(rows["value"]), rows["high"].fillna(rows["value"])
        at = np.arange(len(runs))
        axes.vlines(at, low, high, color=colour, linewidth=2, alpha=0.6)
        axes.plot(at, rows["value"], "o-", color=colour, markersize=6, label=str(name))
    step = max(1, -(-len(runs) // _MOST_DATES))
    labels = [f"{date:%Y-%m-%d}" for date in dates][::step]
    axes.set_xticks(np.arange(0, len(runs), step), labels, fontsize=8)
    axes.set(xlabel="lists of", ylabel=metric)
    axes.set_ylim(bottom=0)
    axes.margins(x=0.1)
    _legend(axes)
    values = "; ".join(
        f"{run}: " + ", ".join(
            f"{row['list']} {row['value']:.3f}"
            for row in shown[shown["run"] == run].to_dict("records")
        )
        for run in runs
    )  # fmt: skip
    if not runs:
        return Plot(figure, "No lists have been compared with later events yet.")
    noun = "run" if len(runs) == 1 else "runs"
    return Plot(figure, f"{metric} of the lists of {len(runs)} {noun}. {values}.")


def popularity_bias(table: pd.DataFrame) -> Plot:
    """Plot the table of `recommendations.popularity_bias`: shares of events and recommendations."""
    figure, axes = _axes()
    at = np.arange(len(table))
    axes.bar(at - 0.2, table["events"], 0.38, color=COLOURS[5], alpha=0.8, label="events")
    axes.bar(at + 0.2, table["recommendations"], 0.38, color=COLOURS[0], label="recommendations")
    axes.set_xticks(at, [str(name).replace(" %", "%") for name in table.index], fontsize=8)
    axes.set(xlabel="items, the most popular first")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    _legend(axes)
    first = table.iloc[0]
    return Plot(
        figure,
        f"Of the items the {table.index[0]} has {first['events']:.0%} of the events and"
        f" {first['recommendations']:.0%} of the recommendations.",
    )


def overlap(changed: pd.DataFrame) -> Plot:
    """Plot the table of `recommendations.changes`: how much of the users' lists stayed."""
    figure, axes = _axes(height=2.4)
    values = changed["overlap"].dropna().to_numpy()
    edges = np.linspace(-0.05, 1.05, 12)
    users, _ = np.histogram(values, bins=edges)
    shares = users / max(users.sum(), 1)
    axes.bar(np.linspace(0, 1, 11), shares, 0.085, color=COLOURS[0])
    axes.set(xlabel="items that stayed in a user's list", ylabel="users", xlim=(-0.07, 1.07))
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    if not len(values):
        return Plot(figure, "No user has a list in both runs.")
    return Plot(
        figure,
        f"On average {values.mean():.0%} of a list stayed, for half of the users"
        f" {np.median(values):.0%} or more.",
    )


def _axes(height: float = _HEIGHT) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_facecolor("none")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(INK)
    axes.tick_params(colors=INK, labelsize=9.5)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set(color=INK, size=9.5)
    axes.grid(visible=True, axis="y", color=GRID)
    axes.set_axisbelow(True)
    return figure, axes


def _legend(axes: Axes) -> None:
    """Add a legend above the axes, where it covers nothing."""
    if not axes.get_legend_handles_labels()[1]:
        return
    axes.legend(
        frameon=False,
        labelcolor=INK,
        prop=FontProperties(family=_families(), size=9),
        loc="lower left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0.2,
        ncols=4,
        handlelength=1.2,
        columnspacing=1.4,
    )


@cache
def _families() -> list[str]:
    """Return the fonts of this machine in which names are looked for, letter by letter."""
    installed = set(get_font_names())
    return [name for name in _FONTS if name in installed]


def _at_most(table: pd.DataFrame, columns: int) -> pd.DataFrame:
    if len(table.columns) <= columns:
        return table
    rest = table.iloc[:, columns - 1 :].sum(axis=1).rename("others")
    return pd.concat([table.iloc[:, : columns - 1], rest], axis=1)
