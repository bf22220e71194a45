"""The tables that a run prints."""

import io
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.console import Console

from retrain.tables import show_recommendations


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
