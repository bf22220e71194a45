"""The comparison of models: as a table, in the report, and what a person is told of it."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

from analysis.comparisons import comparison_table
from analysis.report import report
from analysis.verdict import findings
from tests.analysis.run_records import Given
from tests.analysis.test_backtests import GATE
from tests.analysis.test_report import check, headings, texts

NDCG = "normalized_discounted_cumulative_gain_at_25"


def _metric(value: float, difference: float) -> dict[str, Any]:
    return {
        "value": value,
        "low": round(value - 0.02, 6),
        "high": round(value + 0.02, 6),
        "popularity": 0.1,
        "difference": {"value": difference, "low": difference - 0.02, "high": difference + 0.02},
    }


COMPARISON: dict[str, Any] = {
    "run": "20240601T040000Z-3fa9c1",
    "best": "hybrid",
    "by": NDCG,
    "users": 1_200,
    "heldOut": {"interactions": 5_400, "users": 1_300},
    "models": {
        "personalize": {
            "lists": 1_200,
            "metrics": {NDCG: _metric(0.2, 0.1), "coverage": {"value": 0.7, "popularity": 0.03}},
        },
        "hybrid": {
            "lists": 1_150,
            "metrics": {NDCG: _metric(0.25, 0.15), "coverage": {"value": 0.6, "popularity": 0.03}},
        },
    },
    "intervals": {"confidence": 0.95},
}


def given(comparison: dict[str, Any]) -> Given:
    """Return a run in which models were compared."""
    run = Given()
    run.files["record/comparison.json"] = json.dumps(comparison)
    return run


def told(comparison: dict[str, Any], level: str) -> list[str]:
    """Return what a person is told of it, beside what is said of every run."""
    usual = [each.text for each in findings(Given().record())]
    found = findings(given(comparison).record())
    return [each.text for each in found if each.level == level and each.text not in usual]


def test_the_best_model_comes_first_and_the_most_popular_items_last() -> None:
    table = comparison_table(COMPARISON)

    assert table.fillna(-1).to_numpy().tolist() == [
        ["NDCG@25", "hybrid", 0.25, 0.23, 0.27, 1_200],
        ["coverage", "hybrid", 0.6, -1, -1, 1_200],
        ["NDCG@25", "personalize", 0.2, 0.18, 0.22, 1_200],
        ["coverage", "personalize", 0.7, -1, -1, 1_200],
        ["NDCG@25", "most popular", 0.1, -1, -1, 1_200],
        ["coverage", "most popular", 0.03, -1, -1, 1_200],
    ]


def test_the_report_shows_the_models_side_by_side(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    page = report(given(COMPARISON).record())
    file.write_text(page, encoding="utf-8")

    assert "Models: which one made the best lists?" in headings(page)
    words = texts(page)
    assert "hybrid has the greatest NDCG@25 and made the published lists." in words
    assert "0.250 (0.230–0.270)" in words
    assert "hybrid has no list for 50 of these users, which counts as a miss." in words
    assert "5,400 newest interactions of 1,300 users" in words
    check(file)


def test_a_person_is_told_which_model_made_the_lists() -> None:
    assert told(COMPARISON, "note") == [
        "The lists are those of hybrid: they were better than those of personalize."
    ]
    assert told(COMPARISON, "warning") == []


def test_a_model_that_may_be_the_best_one_the_next_time_is_named() -> None:
    close = deepcopy(COMPARISON)
    close["models"]["personalize"]["metrics"][NDCG] = _metric(0.22, 0.12)

    assert told(close, "note") == [
        "The lists are those of hybrid: they were better than those of personalize. Chance may"
        " explain that: personalize may win the next time."
    ]


def test_models_that_tie_are_said_to(tmp_path: Path) -> None:
    tied = deepcopy(COMPARISON) | {"best": "personalize"}
    tied["models"]["hybrid"]["metrics"][NDCG] = tied["models"]["personalize"]["metrics"][NDCG]
    words = texts(report(given(tied).record()))

    assert (
        "personalize and hybrid have the same NDCG@25, the greatest; personalize comes first of"
        " them and made the published lists."
    ) in words
    assert told(tied, "note") == [
        "The lists are those of personalize: those of hybrid were as good, and it comes first."
    ]


def test_models_that_chance_may_have_made_better_than_popularity_are_to_be_looked_at() -> None:
    close = deepcopy(COMPARISON)
    close["models"]["hybrid"]["metrics"][NDCG] = _metric(0.11, 0.01)

    assert told(close, "warning") == [
        "No model is certainly better than the most popular items:"
        f" {NDCG} of the best, hybrid, is 0.110, theirs 0.100, and chance may explain the"
        " difference."
    ]


def test_a_model_that_was_left_out_is_told_with_the_reason(tmp_path: Path) -> None:
    reason = "the quality gate refused its version: coverage is 0.01, minimum 0.1"
    alone = {"hybrid": COMPARISON["models"]["hybrid"]}
    comparison = COMPARISON | {"models": alone, "leftOut": {"personalize": reason}}

    assert told(comparison, "note") == [
        "The lists are those of hybrid: personalize was left out of the comparison."
    ]
    page = texts(report(given(comparison).record()))
    assert f"personalize was left out: {reason}." in page


def test_a_refused_version_is_said_to_have_been_compared_or_not() -> None:
    for decision, sentence in {
        "keep": "Its lists for the comparison were made by version labbase/old, which run",
        "leave out": "Personalize was left out of the comparison.",
    }.items():
        run = given(COMPARISON)
        run.files["record/gate.json"] = json.dumps(GATE | {"decision": decision})
        (refused,) = [each.text for each in findings(run.record()) if "refused" in each.text]
        assert sentence in refused
