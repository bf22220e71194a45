"""Profiles of the data sets, and whether they are enough for Personalize.

Every function takes frames of a `Run`: `users` and `items`, which add those without events, and the
events, `interactions` (`USER_ID`, `ITEM_ID` text, `TIMESTAMP` UTC epoch seconds). It returns a new
frame; nothing is read or changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

# https://docs.aws.amazon.com/personalize/latest/dg/limits.html
QUOTAS = "quotas"
# https://docs.aws.amazon.com/personalize/latest/dg/readiness-checklist.html
READINESS = "readiness checklist"

LEAST_EVENTS = 1_000
LEAST_USERS = 25
LEAST_PER_CENT = 1
ADVISED_EVENTS = 50_000
ADVISED_USERS = 1_000
MOST_TYPES_AND_COLUMNS = 10
_V2 = {"aws-user-personalization-v2", "aws-personalized-ranking-v2"}
# https://docs.aws.amazon.com/personalize/latest/dg/interactions-dataset-requirements.html: the
# columns EVENT_TYPE and EVENT_VALUE count, the other reserved ones do not.
_NOT_COUNTED = {
    "USER_ID",
    "ITEM_ID",
    "TIMESTAMP",
    "IMPRESSION",
    "RECOMMENDATION_ID",
    "EVENT_ATTRIBUTION_SOURCE",
}
_LISTS = {"eligibleItems": "eligible items", "exclusions": "exclusions"}
# In a list it is no fault: a left join gives it.
NULL_ID = "null id"
_BUCKETS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)


def counts(users: pd.DataFrame, items: pd.DataFrame, interactions: pd.DataFrame) -> pd.DataFrame:
    """Return the size, density and age of the data sets.

    Users or items without a row are no data set of the run, whose job fails without rows.

    Returns:
        Index `measure`; `value` (int, float share or UTC timestamp) and `meaning`.
    """
    per_user = interactions["USER_ID"].value_counts()
    per_item = interactions["ITEM_ID"].value_counts()
    active, touched = len(per_user), len(per_item)
    repeated = repeat_rate(interactions)
    pairs = round(len(interactions) * (1 - repeated))
    cells = active * touched
    begin, end = times(interactions["TIMESTAMP"].agg(["min", "max"])) if active else (None, None)
    rows: list[tuple[str, Any, str]] = [
        *(
            (name, len(frame), f"rows of the data set {name.upper()}")
            for name, frame in (("users", users), ("items", items))
            if len(frame)
        ),
        ("events", len(interactions), "rows of the data set INTERACTIONS"),
        ("users with events", active, "they are what a model learns from"),
        ("items with events", touched, "the others can be recommended by their description alone"),
        ("sparsity", 1 - pairs / cells if cells else 1.0, "pairs of them without any event"),
        ("events per user, median", per_user.median() if active else 0.0, "of those with events"),
        ("events per item, median", per_item.median() if active else 0.0, "of those with events"),
        ("repeat rate", repeated, "events whose user and item had an earlier one"),
        ("Gini of items", gini(per_item.to_numpy()), "0: equally popular, near 1: few have most"),
        ("first event", begin, "UTC"),
        ("newest event", end, "UTC; the model does not know later events"),
    ]
    names, values, meanings = zip(*rows, strict=True)
    return pd.DataFrame(
        # Numbers beside times: as objects they keep their types.
        {"value": pd.Series(values, dtype=object), "meaning": meanings},
    ).set_axis(pd.Index(names, name="measure"))


def gini(values: NDArray[Any]) -> float:
    """Return the Gini coefficient of amounts: 0 if all are equal, near 1 if one is nearly all.

    Half the mean absolute difference over the mean, https://en.wikipedia.org/wiki/Gini_coefficient.
    """
    amounts = np.sort(np.asarray(values, dtype=np.float64))
    total = amounts.sum()
    if not len(amounts) or total == 0:
        return 0.0
    ranks = np.arange(1, len(amounts) + 1)
    return float((2 * ranks - len(amounts) - 1) @ amounts / (len(amounts) * total))


def popularity(interactions: pd.DataFrame, items: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return every item, the most popular first.

    Returns:
        Index `ITEM_ID`; `rank` (from 1), `events`, `users`, `share` (of all events),
        `share of items` and `share of events` (both from the top down to this item, 0..1).
    """
    grouped = interactions.groupby("ITEM_ID", sort=True)["USER_ID"].agg(["size", "nunique"])
    grouped.columns = pd.Index(["events", "users"])
    if items is not None:
        grouped = grouped.reindex(
            grouped.index.union(pd.Index(items["ITEM_ID"].unique())), fill_value=0
        )
    grouped.index.name = "ITEM_ID"
    ordered = grouped.sort_values("events", ascending=False, kind="stable")
    total = max(int(ordered["events"].sum()), 1)
    ordered.insert(0, "rank", np.arange(1, len(ordered) + 1))
    ordered["share"] = ordered["events"] / total
    ordered["share of items"] = ordered["rank"] / max(len(ordered), 1)
    ordered["share of events"] = ordered["events"].cumsum() / total
    return ordered


def events_over_time(interactions: pd.DataFrame, every: str = "W-MON") -> pd.DataFrame:
    """Return the number of events of each type in each period.

    Without the column `EVENT_TYPE` all are of the type `events`. A period is one of pandas, for
    example `D`, `W-MON` (weeks that begin on Monday) or `MS`.

    Returns:
        Index `from` (UTC, begin of the period; none is left out), one column for each event type,
        the most frequent first.
    """
    event_types = (
        interactions["EVENT_TYPE"]
        if "EVENT_TYPE" in interactions
        else pd.Series("events", index=interactions.index)
    )
    events = pd.DataFrame({"from": times(interactions["TIMESTAMP"]), "type": event_types})
    grouped = events.groupby(
        [pd.Grouper(key="from", freq=every, label="left", closed="left"), "type"]
    )
    table = grouped.size().unstack(fill_value=0)
    # Periods without any event must show.
    table = table.resample(every, label="left", closed="left").sum()
    order = table.sum().sort_values(ascending=False, kind="stable").index
    return table[order].rename_axis(columns=None)


def events_per_user(interactions: pd.DataFrame, users: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the distribution of events per user.

    Returns:
        Index `events` (`0`, `1`, `2–4`, …); `users` and `share`, of all classes up to the last that
        is not empty.
    """
    per_user = interactions["USER_ID"].value_counts()
    if users is not None:
        per_user = per_user.reindex(
            per_user.index.union(pd.Index(users["USER_ID"].unique())), fill_value=0
        )
    highest = int(per_user.max()) if len(per_user) else 0
    begins = [edge for edge in _BUCKETS if edge <= max(highest, 1)]
    class_of = np.searchsorted(begins, per_user.to_numpy(), side="right") - 1
    found = np.bincount(class_of, minlength=len(begins))
    labels = [
        _label(begin, after) for begin, after in zip(begins, [*begins[1:], None], strict=True)
    ]
    return pd.DataFrame(
        {"users": found, "share": found / max(found.sum(), 1)},
        index=pd.Index(labels, name="events"),
    )


def cold(
    users: pd.DataFrame, items: pd.DataFrame, interactions: pd.DataFrame, *, days: int = 30
) -> pd.DataFrame:
    """Return the numbers of users and items that a model knows little of.

    Returns:
        Index `users`, `items`; `in data set`, `without events` and its `share`, `idle` (events,
        but none in the last `days`), `only in events` (events, but no row in the data set).
    """
    newest = interactions["TIMESTAMP"].max() if len(interactions) else 0
    recent = interactions[interactions["TIMESTAMP"] > newest - days * 86_400]
    rows = {}
    for name, frame, key in (("users", users, "USER_ID"), ("items", items, "ITEM_ID")):
        described, seen = set(frame[key]), set(interactions[key])
        without = len(described - seen)
        rows[name] = {
            "in data set": len(described),
            "without events": without,
            "share": without / max(len(described), 1),
            "idle": len(seen - set(recent[key])),
            "only in events": len(seen - described),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def repeat_rate(interactions: pd.DataFrame) -> float:
    """Return the share of events whose user and item had an earlier one; 0 without events."""
    if interactions.empty:
        return 0.0
    return float(interactions.duplicated(["USER_ID", "ITEM_ID"]).mean())


@dataclass(frozen=True)
class Rejected:
    """The rows of a data set or list that the Spark job left out.

    Attributes:
        name: Of the data set or list, for example `exclusions`.
        faults: Reason → rows that break a rule; too many of them fail the job.
        nulls: Rows of a list without an id, which are no fault.
        total: All rows but those.
    """

    name: str
    faults: Mapping[str, int]
    nulls: int
    total: int

    @property
    def share(self) -> float:
        """The share of rows that break a rule, 0..1."""
        return sum(self.faults.values()) / max(self.total, 1)


def rejected(manifest: Mapping[str, Any]) -> list[Rejected]:
    """Return the rows that the Spark job rejected, of every data set and list."""
    filter_lists = manifest.get("filter", {})
    lists = {"batch input": manifest.get("batchInput")} | {
        title: filter_lists.get(name) for name, title in _LISTS.items()
    }
    found = []
    for name, written in {**manifest["datasets"], **lists}.items():
        if written:
            faults = dict(written.get("rejected", {}))
            nulls = faults.pop(NULL_ID, 0) if name in lists else 0
            found.append(Rejected(name, faults, nulls, written["rows"] + sum(faults.values())))
    return found


def rejected_rows(manifest: Mapping[str, Any]) -> pd.DataFrame:
    """Return the number of rows that the Spark job rejected, by data set and reason.

    Returns:
        `data set`, `reason`, `rows` and `share` (of all rows of the data set); one line with an
        empty reason for a data set without rejected rows. Lists only if rows are rejected.
    """
    rows = []
    for each in rejected(manifest):
        reasons = {**each.faults, **({NULL_ID: each.nulls} if each.nulls else {})}
        if not reasons and each.name in manifest["datasets"]:
            reasons = {"": 0}
        for reason, number in reasons.items():
            rows.append((each.name, reason, number, number / max(each.total + each.nulls, 1)))
    return pd.DataFrame(rows, columns=["data set", "reason", "rows", "share"])


def truncated_values(manifest: Mapping[str, Any]) -> pd.DataFrame:
    """Return how many texts the Spark job cut to the length that Personalize takes.

    Returns:
        `data set`, `column`, `values` and `share` (of the rows of the data set).
    """
    rows = [
        (dataset_type, column, values, values / max(written["rows"], 1))
        for dataset_type, written in manifest["datasets"].items()
        for column, values in written.get("truncated", {}).items()
    ]
    return pd.DataFrame(rows, columns=["data set", "column", "values", "share"])


def agreement(manifest: Mapping[str, Any]) -> pd.DataFrame:
    """Return how far data sets, lists and filters speak of the same ids and types of events.

    Returns:
        Index `check`; `found`, `of`, `share`, `least` (below it the Spark job fails) and `warning`
        (empty if the share is high enough).
    """
    columns = ["check", "found", "of", "share", "least", "warning"]
    return pd.DataFrame(manifest.get("agreement", []), columns=columns).set_index("check")


def minimums(
    interactions: pd.DataFrame,
    items: pd.DataFrame | None = None,
    *,
    recipe: str = "aws-user-personalization",
    event_type: str = "",
    event_value: float | None = None,
) -> pd.DataFrame:
    """Return Personalize's documented limits as a check list.

    The limits depend on the recipe; the solution trains on events of `event_type` (of any, if
    empty) with a value of at least `event_value`.

    Returns:
        Index `check`; `found` (a number), `wanted` (text), `met` (bool), `otherwise` (what
        happens if it is not met) and `source` (the page of AWS that says so; empty: ours).
    """
    used = interactions
    if event_type:
        used = used[used["EVENT_TYPE"] == event_type]
    if event_value is not None:
        used = used[used["EVENT_VALUE"] >= event_value]
    per_user = used["USER_ID"].value_counts()
    twice = int((per_user >= 2).sum())
    per_cent = round(100 * twice / max(len(per_user), 1), 1)
    catalogue = set(interactions["ITEM_ID"]) | (set() if items is None else set(items["ITEM_ID"]))
    is_v2 = recipe in _V2
    most_items = 5_000_000 if is_v2 else 750_000
    most_events = 3_000_000_000 if is_v2 else 500_000_000
    event_types = interactions["EVENT_TYPE"].nunique() if "EVENT_TYPE" in interactions else 0
    columns = event_types + len(set(interactions.columns) - _NOT_COUNTED)
    n_times, is_single = interactions["TIMESTAMP"].nunique(), len(interactions) == 1
    no_import, no_training = "the import fails", "training fails"
    ignored, weak = "the rest is ignored", "weaker recommendations"
    no_order = "no order to learn from: is TIMESTAMP the time of the export?"
    checks = [
        _at_least("events imported", len(interactions), LEAST_EVENTS, no_import),
        _at_least("events trained on", len(used), LEAST_EVENTS, no_training),
        _at_least("users with two events or more", twice, LEAST_USERS, no_training),
        _at_least("the same, per cent of users", per_cent, LEAST_PER_CENT, no_training),
        _at_most("event types and columns", columns, MOST_TYPES_AND_COLUMNS, no_import),
        _at_most("events that a model considers", len(used), most_events, ignored),
        _at_most("items that a model considers", len(catalogue), most_items, ignored),
        _at_least("events, advised", len(used), ADVISED_EVENTS, weak, READINESS),
        _at_least("users with two events, advised", twice, ADVISED_USERS, weak, READINESS),
        ("different times", n_times, "more than 1", n_times != 1 or is_single, no_order, ""),
    ]
    columns_of_table = ["check", "found", "wanted", "met", "otherwise", "source"]
    table = pd.DataFrame(checks, columns=columns_of_table).set_index("check")
    table["otherwise"] = table["otherwise"].mask(table["met"], "")
    return table


def times(seconds: pd.Series[int]) -> pd.Series[pd.Timestamp]:
    """Return UTC timestamps of UTC epoch seconds."""
    return pd.to_datetime(seconds, unit="s", utc=True)


def _at_least(
    name: str, found: float, least: int, otherwise: str, source: str = QUOTAS
) -> tuple[str, float, str, bool, str, str]:
    return name, found, f"at least {least:,}", found >= least, otherwise, source


def _at_most(
    name: str, found: int, most: int, otherwise: str
) -> tuple[str, float, str, bool, str, str]:
    return name, found, f"at most {most:,}", found <= most, otherwise, QUOTAS


def _label(begin: int, after: int | None) -> str:
    if after is None:
        return f"{begin}+" if begin > 1 else str(begin)
    return str(begin) if after - begin == 1 else f"{begin}–{after - 1}"
