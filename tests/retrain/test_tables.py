"""The tables that a run prints."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from retrain.tables import show_comparison, show_metrics, show_recommendations
from tests.analysis.test_comparisons import COMPARISON


@pytest.mark.parametrize(
    ("titles", "rows"),
    [
        ({"7": "Tea", "8": "Cups (8)"}, [["u1", "1", "7", "Tea"], ["2", "8", "Cups"]]),
        ({"7": "7", "8": "8"}, [["u1", "1", "7"], ["2", "8"]]),
        ({}, [["u1", "1", "7"], ["2", "8"]]),
        ({"7": "7 · hot", "8": "8 · red"}, [["u1", "1", "7", "hot"], ["2", "8", "red"]]),
    ],
)
def test_the_first_items_have_a_title_that_says_more_than_the_id(
    tmp_path: Path, titles: Mapping[str, str], rows: list[list[str]]
) -> None:
    path = tmp_path / "recommendations.csv"
    path.write_text("USER_ID,ITEM_ID,RANK,SCORE\nu1,7,1,0.5\nu1,8,2,0.4\n", "utf-8")
    console = Console(width=80, file=io.StringIO(), record=True)

    show_recommendations(console, path, titles)

    text = console.export_text()
    found = [[c.strip() for c in line.split("│") if c.strip()] for line in text.splitlines()]
    assert [cells for cells in found if cells and cells[-1] != "title" and "7" in cells] == rows[:1]
    assert [cells for cells in found if "8" in cells] == rows[1:]
    assert ("title" in text) == (len(rows[0]) == 4)


def printed(show: Callable[[Console, Any], None], what: Any) -> str:
    console = Console(width=120, file=io.StringIO(), record=True)
    show(console, what)
    return console.export_text()


def test_the_comparison_of_models_names_the_best_and_has_all_beside_the_most_popular() -> None:
    text = printed(show_comparison, COMPARISON)

    assert f"users; the best is {COMPARISON['best']}" in text
    assert all(name in text for name in [*COMPARISON["models"], "most popular", "NDCG@25"])


def test_a_model_that_measured_nothing_has_no_table_of_metrics() -> None:
    assert printed(show_metrics, {"run": "night", "model": {"name": "als"}, "metrics": {}}) == ""
