"""The comparison of models by what was held out from all of them, as the Spark job records it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.backtests import COLUMNS, POPULAR, interval
from analysis.metrics import short_name


def comparison_table(record: Mapping[str, Any]) -> pd.DataFrame:
    """Return the metrics of each model, the best one first, and of the most popular items last.

    Args:
        record: `record/comparison.json` of a run.

    Returns:
        `metric`, `list` (a model, or `most popular`), `value`, `low`, `high`, `users`; the
        popular items, and coverage, have no interval.
    """
    models, best = record["models"], record["best"]
    order = sorted(models, key=lambda name: name != best)
    lists = {name: models[name]["metrics"] for name in order}
    lists[POPULAR] = {
        metric: {"value": values["popularity"]}
        for metric, values in models[best]["metrics"].items()
        if "popularity" in values
    }
    rows = [
        (short_name(metric), name, *interval(values), record["users"])
        for name, metrics in lists.items()
        for metric, values in metrics.items()
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def no_better_than_popular(record: Mapping[str, Any]) -> bool:
    """Return whether the best model may be better than the most popular items by chance alone."""
    metric = record["models"][record["best"]]["metrics"][record["by"]]
    return bool(metric["difference"]["low"] <= 0)


def tied_with_best(record: Mapping[str, Any]) -> list[str]:
    """Return the other models whose value of the deciding metric is that of the best one."""
    models, best, by = record["models"], record["best"], record["by"]
    greatest = models[best]["metrics"][by]["value"]
    return [
        name for name in models if name != best and models[name]["metrics"][by]["value"] == greatest
    ]
