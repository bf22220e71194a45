"""Metrics of lists in plain Python: what those of the Spark job must be."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from analysis import metrics as in_pandas


def expected_metrics(
    wanted: Mapping[str, set[str]],
    lists: Mapping[str, Sequence[str]],
    popular: Mapping[str, Sequence[str]],
    *,
    catalogue: int,
    length: int = 20,
) -> dict[str, Any]:
    """Return the metrics: NDCG by pandas' implementation of it, all else by hand.

    Args:
        wanted: User → items that the list should have.
        lists: User → list.
        popular: User → list of the most popular items.
        catalogue: Items that there are.
        length: Of the lists of the most popular items.
    """
    users = sorted(wanted)
    later = pd.DataFrame(
        [(user, item) for user in users for item in wanted[user]], columns=["USER_ID", "ITEM_ID"]
    )
    ndcg = {}
    for name, each in {"lists": lists, "popular": popular}.items():
        rows = [(u, i, r) for u in users for r, i in enumerate(each[u] or [""], 1)]
        frame = pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "RANK"])
        ndcg[name] = in_pandas.scores(frame, later).loc[users]
    expected: dict[str, Any] = {}
    for k in (5, 10, 25):
        hit = {
            name: np.array([bool(wanted[u] & set(each[u][:k])) for u in users], dtype=float)
            for name, each in {"lists": lists, "popular": popular}.items()
        }
        wilson = binomtest(int(hit["lists"].sum()), len(users)).proportion_ci(method="wilson")
        expected[f"hit_rate_at_{k}"] = {
            **close(hit["lists"].mean(), wilson.low, wilson.high),
            "popularity": pytest.approx(hit["popular"].mean(), abs=1e-6),
            "difference": normal(hit["lists"] - hit["popular"]),
        }
        ours, theirs = (
            ndcg[name][f"NDCG@{k}"].to_numpy() for name in ("lists", "popular")
        )  # fmt: skip
        expected[f"normalized_discounted_cumulative_gain_at_{k}"] = {
            **normal(ours, least=0),
            "popularity": pytest.approx(theirs.mean(), abs=1e-6),
            "difference": normal(ours - theirs),
        }
    shown = {item for user in users for item in lists[user]}
    expected["coverage"] = {
        "value": pytest.approx(len(shown) / catalogue, abs=1e-6),
        "popularity": pytest.approx(length / catalogue, abs=1e-6),
    }
    return expected


def close(value: float, low: float, high: float) -> dict[str, Any]:
    """Return a mean and its interval, but for the last digit."""
    names = ("value", "low", "high")
    values = (value, low, high)
    return {n: pytest.approx(v, abs=2e-6) for n, v in zip(names, values, strict=True)}


def normal(values: Any, least: float = -1) -> dict[str, Any]:
    """Return the mean of many values with its normal interval."""
    half = 1.959964 * values.std(ddof=1) / len(values) ** 0.5
    return close(values.mean(), max(values.mean() - half, least), values.mean() + half)
