"""Pictures and tables: every one can be drawn, is small, and says in words what it shows."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from analysis import data_profile, plots, recommendations
from analysis.tables import Table, readable, wide

DAY = 86_400
EVENTS = pd.DataFrame(
    {
        "USER_ID": [f"u{i % 7}" for i in range(60)],
        "ITEM_ID": [f"i{i % 11}" for i in range(60)],
        "TIMESTAMP": [1_714_953_600 + i * DAY for i in range(60)],
        "EVENT_TYPE": [f"type {i % 8}" for i in range(60)],
    }
)
LISTS = pd.DataFrame({"USER_ID": ["a", "a", "b"], "ITEM_ID": ["i1", "i2", "i1"], "RANK": [1, 2, 1]})
METRICS = pd.DataFrame(
    {
        "metric": ["coverage", "MRR@25", "coverage", "MRR@25"],
        "list": ["shop", "shop", "popular", "popular"],
        "value": [0.5, 0.2, 0.1, 0.05],
        "low": [np.nan, 0.1, np.nan, 0.01],
        "high": [np.nan, 0.3, np.nan, 0.09],
        "users": [9, 9, 9, 9],
    }
)
TREND = pd.DataFrame(
    {
        "run": ["a", "a", "b", "b"],
        "date": pd.to_datetime(["2024-06-01", "2024-06-01", "2024-06-08", "2024-06-08"], utc=True),
        "metric": ["NDCG@10"] * 4,
        "list": ["published", "most popular"] * 2,
        "value": [0.2, 0.1, 0.25, 0.11],
        "low": [0.15, np.nan, 0.2, np.nan],
        "high": [0.25, np.nan, 0.3, np.nan],
    }
)
PLOTS = {
    "trend": lambda: plots.trend(TREND, "NDCG@10"),
    "many runs": lambda: plots.trend(
        pd.concat([TREND.assign(run=TREND["run"] + str(n)) for n in range(8)]), "NDCG@10"
    ),
    "no runs": lambda: plots.trend(TREND.iloc[:0], "NDCG@10"),
    "popularity": lambda: plots.popularity_curve(data_profile.popularity(EVENTS)),
    "time": lambda: plots.events_over_time(data_profile.events_over_time(EVENTS)),
    "users": lambda: plots.events_per_user(data_profile.events_per_user(EVENTS)),
    "metrics": lambda: plots.metric_intervals(METRICS),
    "bias": lambda: plots.popularity_bias(recommendations.popularity_bias(LISTS, EVENTS)),
    "overlap": lambda: plots.overlap(recommendations.changes(LISTS, LISTS)),
    "nobody came back": lambda: plots.metric_intervals(METRICS.assign(value=np.nan, low=np.nan)),
    "nothing to compare": lambda: plots.overlap(recommendations.changes(LISTS, LISTS.iloc[:0])),
    "no events": lambda: plots.events_over_time(data_profile.events_over_time(EVENTS.iloc[:0])),
    "one event": lambda: plots.events_over_time(data_profile.events_over_time(EVENTS.iloc[:1])),
}


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_a_small_png_with_an_alternative_text(name: str) -> None:
    plot = PLOTS[name]()
    data, about = plot._repr_mimebundle_()

    assert data["image/png"].startswith(b"\x89PNG")
    assert len(data["image/png"]) < 60_000
    assert about["image/png"]["alt"] == data["text/plain"] == plot.alt
    assert plot.alt.endswith(".")
    assert about["image/png"]["width"] == 691


def test_the_same_data_give_the_same_picture() -> None:
    assert PLOTS["popularity"]().png == PLOTS["popularity"]().png


@pytest.mark.filterwarnings("error")
def test_names_in_any_letters_are_drawn_without_a_word_on_the_terminal() -> None:
    events = EVENTS.assign(EVENT_TYPE="閲覧")

    assert plots.events_over_time(data_profile.events_over_time(events)).png


def contrast(colour: str, background: float) -> float:
    """WCAG 2.2's contrast of a colour to a background of that relative luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    lighter, darker = max(luminance, background), min(luminance, background)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("colour", [plots.INK, *plots.COLOURS])
def test_colours_have_contrast_on_light_and_dark_pages(colour: str) -> None:
    dark = 0.0056  # of #111111, Jupyter's dark page
    assert contrast(colour, 1.0) >= 3
    assert contrast(colour, dark) >= 3


def test_the_alternative_text_has_the_numbers() -> None:
    assert PLOTS["metrics"]().alt == (
        "Metrics with intervals. shop: coverage 0.500, MRR@25 0.200;"
        " popular: coverage 0.100, MRR@25 0.050."
    )
    assert PLOTS["overlap"]().alt == (
        "On average 100% of a list stayed, for half of the users 100% or more."
    )


@pytest.mark.parametrize(
    ("periods", "every"), [(1, "D"), (3, "D"), (4, "D"), (5, "D"), (90, "D"), (36, "MS")]
)
def test_dates_do_not_overlap(periods: int, every: str) -> None:
    days = pd.date_range("2024-05-27", periods=periods, freq=every, tz="UTC")
    figure = plots.events_over_time(pd.DataFrame({"view": 1}, index=days)).figure
    figure.canvas.draw()

    labels = figure.axes[0].xaxis.get_ticklabels()
    boxes = [label.get_window_extent() for label in labels if label.get_text()]

    assert len(boxes) > 1
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_many_event_types_share_the_last_colour() -> None:
    figure = PLOTS["time"]().figure

    names = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert len(names) == 5
    assert names[-1] == "others"


@pytest.mark.parametrize(
    ("value", "percent", "expected"),
    [
        (12_345, False, "12,345"),
        (12.0, False, "12"),
        (0.031_25, False, "0.0312"),
        (86.53, False, "86.5"),
        (0.031_25, True, "3.1 %"),
        (True, False, "yes"),
        (np.int64(7), False, "7"),
        (float("nan"), False, "–"),
        (None, False, "–"),
        (pd.NA, False, "–"),
        (pd.NaT, False, "–"),
        (pd.Timestamp("2024-06-01 04:00", tz="UTC"), False, "2024-06-01 04:00"),
        ({"名": None}, False, '{"名": null}'),
    ],
)
def test_values_read_as_a_person_writes_them(value: object, percent: bool, expected: str) -> None:
    assert readable(value, percent=percent) == expected


def test_a_table_shows_shares_as_percentages_and_escapes_texts() -> None:
    frame = pd.DataFrame({"name": ["<b>"], "share": [0.5]}, index=pd.Index(["x"], name="key"))

    shown = Table(frame, percent=["share"], caption="A & B")._repr_html_()

    assert "<b>A &amp; B</b>" in shown
    assert '<th align="left" style="text-align:left">key</th>' in shown
    assert '<td align="left" style="text-align:left">&lt;b&gt;</td>' in shown
    assert '<td align="right" style="text-align:right">50.0 %</td>' in shown
    assert "A & B\n" in repr(Table(frame, caption="A & B"))


def test_a_table_without_rows_says_so() -> None:
    table = Table(pd.DataFrame({"item": [], "users": []}), caption="Beside it")

    assert '<td colspan="2" align="left">none</td>' in table._repr_html_()
    assert repr(table) == "Beside it\nnone"


def test_an_index_without_a_name_is_not_shown() -> None:
    assert "<th" in (shown := Table(pd.DataFrame({"a": [1]}))._repr_html_())
    assert shown.count("<th ") == 1


def test_metrics_become_a_column_for_each_list() -> None:
    table = wide(METRICS)

    assert table.columns.to_list() == ["shop", "popular"]
    assert table.loc["MRR@25"].to_list() == ["0.200 (0.100–0.300)", "0.050 (0.010–0.090)"]
    assert table.loc["coverage", "shop"] == "0.500"


def test_no_metrics_become_an_empty_table() -> None:
    assert wide(METRICS.iloc[:0]).empty
