"""Back-tests: what published lists were worth, run after run.

The Spark job of a run compares the lists that were published before it with what people did since,
and writes that into its manifest (`etl/backtest.py`). Here it is read: of one run as a table, of
all runs as a trend.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd

from analysis.frames import Run, RunFilesError, list_runs, run_on_s3
from analysis.metrics import on_later_events, short_name
from workflow.config import Config

PUBLISHED = "published"
POPULAR = "most popular"
DIFFERENCE = "difference"

COLUMNS = ["metric", "list", "value", "low", "high", "users"]
_ABOUT = ["run", "date"]


def backtest_table(manifest: Mapping[str, Any]) -> pd.DataFrame:
    """Return the back-test of a manifest.

    Returns:
        `metric`, `list` (`published`, `most popular`, `difference`), `value`, `low`, `high`,
        `users`; no rows if there is no back-test.
    """
    measured = manifest.get("backtest") or {}
    rows: list[tuple[Any, ...]] = []
    for name, metric in measured.get("metrics", {}).items():
        lists = {
            PUBLISHED: metric,
            POPULAR: {"value": metric.get("popularity")},
            DIFFERENCE: metric.get("difference", {}),
        }
        rows += [
            (short_name(name), which, *interval(values), measured["users"])
            for which, values in lists.items()
            if values.get("value") is not None
        ]
    return pd.DataFrame(rows, columns=COLUMNS)


def interval(values: Mapping[str, float]) -> tuple[float, float, float]:
    """Return `value`, `low` and `high`; the last two are nan of a metric without an interval."""
    nothing = float("nan")
    return values["value"], values.get("low", nothing), values.get("high", nothing)


def trend(
    config: Config, s3: Any, *, random: np.random.Generator | None = None, most: int = 30
) -> pd.DataFrame:
    """Return the back-tests of the newest runs, the oldest first.

    Args:
        config: Names the bucket.
        s3: A boto3 client.
        random: Given, lists of runs before `[backtest]` was switched on are compared here, with the
            files of the run after them: by `metrics.on_later_events`, of which NDCG is the same.
        most: Most runs.

    Returns:
        `run` that published the lists, `date` of them (UTC), and the columns of `backtest_table`.
    """
    known = list_runs(s3, config.bucket).sort_values(["written", "run"])
    names = known.loc[known["data sets"], "run"].tail(most + 1)
    tables: dict[str, pd.DataFrame] = {}
    runs = [run_on_s3(config, s3, str(name)) for name in names]
    for before, run in zip([None, *runs], runs, strict=False):
        with suppress(RunFilesError):  # a file was deleted meanwhile, or nothing was published
            for table in _tables(before, run, config, random):
                tables[str(table["run"].iloc[0])] = table
    if not tables:
        return pd.DataFrame(columns=[*_ABOUT, *COLUMNS])
    joined = pd.concat(tables.values(), ignore_index=True)
    return joined.sort_values("date", kind="stable", ignore_index=True)


def _tables(
    before: Run | None, run: Run, config: Config, random: np.random.Generator | None
) -> Iterator[pd.DataFrame]:
    """Yield the back-test that a run made, or the one that can be made of its files."""
    measured = run.manifest.get("backtest") or {}
    if "metrics" in measured:
        date = pd.Timestamp(measured["publishedAt"])
        yield _about(backtest_table(run.manifest), measured["run"], date)
    elif random is not None and before is not None and not config.batch_inference.item_id:
        table = on_later_events(before, run, keep=config.filter.keep, random=random)
        if table["users"].any():
            date = pd.Timestamp(before.newest_event, unit="s", tz="UTC")
            yield _about(table, before.name, date)


def _about(table: pd.DataFrame, run: str, date: pd.Timestamp) -> pd.DataFrame:
    return table.assign(run=run, date=date)[[*_ABOUT, *COLUMNS]]


def gate_rules(gate: Mapping[str, Any]) -> pd.DataFrame:
    """Return the rules of a run's quality gate: `metric`, `rule`, `value`, `bound`, `judgement`."""
    words = {True: "met", False: "broken", None: "not judged"}
    rows = [
        {
            "metric": short_name(rule["metric"]),
            "rule": rule["rule"].replace("_", " "),
            "value": rule["value"],
            "bound": rule["bound"],
            "judgement": words[rule["met"]],
        }
        for rule in gate["rules"]
    ]
    return pd.DataFrame(rows).astype({"value": float, "bound": float})
