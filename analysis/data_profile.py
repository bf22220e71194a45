"""What the data sets look like, and whether they are enough for Personalize.

Every function takes the frames of a `Run` (`USER_ID`, `ITEM_ID` text, `TIMESTAMP` UTC epoch
seconds) and returns a new frame; nothing is read or changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
_RESERVED = {
    "USER_ID",
    "ITEM_ID",
    "TIMESTAMP",
    "EVENT_TYPE",
    "EVENT_VALUE",
    "IMPRESSION",
    "RECOMMENDATION_ID",
    "EVENT_ATTRIBUTION_SOURCE",
}
_BUCKETS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)


def counts(users: pd.DataFrame, items: pd.DataFrame, interactions: pd.DataFrame) -> pd.DataFrame:
    """Return how much there is.

    Returns:
        index `measure`; `value` (int, float share or UTC timestamp) and `meaning`.
    """
    active, touched = interactions["USER_ID"].nunique(), interactions["ITEM_ID"].nunique()
    pairs = len(interactions[["USER_ID", "ITEM_ID"]].drop_duplicates())
    cells = active * touched
    per_user = interactions["USER_ID"].value_counts()
    per_item = interactions["ITEM_ID"].value_counts()
    begin, end = _period(interactions)
    rows: list[tuple[str, Any, str]] = [
        ("users", len(users), "rows of the data set USERS"),
        ("items", len(items), "rows of the data set ITEMS"),
        ("events", len(interactions), "rows of the data set INTERACTIONS"),
        ("users with events", active, "they are what a model learns from"),
        ("items with events", touched, "the others can be recommended by their description alone"),
        ("sparsity", 1 - pairs / cells if cells else 1.0, "pairs of them that never met"),
        ("events per user, median", _median(per_user), "of the users with events"),
        ("events per item, median", _median(per_item), "of the items with events"),
        ("repeat rate", repeat_rate(interactions), "events whose user and item had met before"),
        ("Gini of items", gini(per_item.to_numpy()), "0: all equally popular, 1: one has it all"),
        ("first event", begin, "UTC"),
        ("newest event", end, "UTC; what happened since is unknown to the model"),
    ]
    names, values, meanings = zip(*rows, strict=True)
    return pd.DataFrame(
        # Numbers beside times: as objects each stays what it is.
        {"value": pd.Series(values, dtype=object), "meaning": meanings},
    ).set_axis(pd.Index(names, name="measure"))


def gini(values: NDArray[Any]) -> float:
    """Return the Gini coefficient of amounts: 0 if all are equal, towards 1 if one has it all.

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

    Args:
        interactions: the events.
        items: adds items without events.

    Returns:
        index `ITEM_ID`; `rank` (from 1), `events`, `users`, `share` (of all events),
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
    """Return how many events of each type there were.

    Args:
        interactions: the events; without `EVENT_TYPE` all are of one, `events`.
        every: a pandas period, for example `D`, `W-MON` (weeks that begin on Monday) or `MS`.

    Returns:
        index `from` (UTC, when the period begins; none is left out), one column for each event
        type, the most frequent first.
    """
    kinds = (
        interactions["EVENT_TYPE"]
        if "EVENT_TYPE" in interactions
        else pd.Series("events", index=interactions.index)
    )
    begun = times(interactions["TIMESTAMP"])
    grouped = pd.DataFrame({"from": begun, "kind": kinds}).groupby(
        [pd.Grouper(key="from", freq=every, label="left", closed="left"), "kind"]
    )
    table = grouped.size().unstack(fill_value=0)
    # Periods without any event are a finding, not to be passed over.
    table = table.resample(every, label="left", closed="left").sum()
    order = table.sum().sort_values(ascending=False, kind="stable").index
    return table[order].rename_axis(columns=None)


def events_per_user(interactions: pd.DataFrame, users: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return how many users have how many events.

    Args:
        interactions: the events.
        users: adds users without events.

    Returns:
        index `events` (`0`, `1`, `2–4`, …); `users` and `share`, each class up to the last that
        anybody is in.
    """
    per_user = interactions["USER_ID"].value_counts()
    if users is not None:
        per_user = per_user.reindex(
            per_user.index.union(pd.Index(users["USER_ID"].unique())), fill_value=0
        )
    highest = int(per_user.max()) if len(per_user) else 0
    begins = [edge for edge in _BUCKETS if edge <= max(highest, 1)]
    places = np.searchsorted(begins, per_user.to_numpy(), side="right") - 1
    found = np.bincount(places, minlength=len(begins))
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
    """Return who and what a model knows little of.

    Args:
        users: the data set USERS.
        items: the data set ITEMS.
        interactions: the events.
        days: how far back from the newest event something counts as recent.

    Returns:
        index `users`, `items`; `in data set`, `without events` and its `share`, `idle` (events,
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
    """Return the share of events whose user and item had met before; 0 without events."""
    if interactions.empty:
        return 0.0
    return float(interactions.duplicated(["USER_ID", "ITEM_ID"]).mean())


def rejected_rows(manifest: Mapping[str, Any]) -> pd.DataFrame:
    """Return what the Spark job left out.

    Returns:
        `data set`, `reason`, `rows` and `share` (of the data set's rows, good and bad); one line
        with an empty reason for a data set without rejected rows.
    """
    rows = []
    for kind, written in manifest["datasets"].items():
        rejected = written.get("rejected") or {"": 0}
        total = written["rows"] + sum(rejected.values())
        for reason, number in rejected.items():
            rows.append((kind, reason, number, number / max(total, 1)))
    return pd.DataFrame(rows, columns=["data set", "reason", "rows", "share"])


@dataclass(frozen=True)
class _Check:
    """A limit: what there is, what is wanted, and what happens if it is not met."""

    name: str
    found: float
    wanted: str
    met: bool
    weight: str
    source: str


def minimums(
    interactions: pd.DataFrame,
    items: pd.DataFrame | None = None,
    *,
    recipe: str = "aws-user-personalization",
    event_type: str = "",
    event_value: float | None = None,
) -> pd.DataFrame:
    """Return Personalize's documented limits as a check list.

    Args:
        interactions: the events.
        items: adds items without events to the catalogue.
        recipe: the recipe's name; version 2 recipes take more.
        event_type: what the solution trains on, if not on all of them.
        event_value: the least value of what it trains on.

    Returns:
        index `check`; `found` (a number), `wanted` (text), `met` (bool), `otherwise` (what
        happens if it is not met) and `source` (which page of AWS says so; empty: ours).
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
    newest_version = recipe in _V2
    most_items = 5_000_000 if newest_version else 750_000
    most_events = 3_000_000_000 if newest_version else 500_000_000
    kinds = interactions["EVENT_TYPE"].nunique() if "EVENT_TYPE" in interactions else 0
    columns = len(set(interactions.columns) - _RESERVED)
    same_time = len(interactions) > 1 and interactions["TIMESTAMP"].nunique() == 1
    fails, ignored, weak = "training fails", "the rest is ignored", "weaker recommendations"
    checks = [
        _at_least("events imported", len(interactions), LEAST_EVENTS, "the import fails", QUOTAS),
        _at_least("events trained on", len(used), LEAST_EVENTS, fails, QUOTAS),
        _at_least("users with two events or more", twice, LEAST_USERS, fails, QUOTAS),
        _at_least("the same, per cent of users", per_cent, LEAST_PER_CENT, fails, QUOTAS),
        _at_most(
            "event types and further columns",
            kinds + columns,
            MOST_TYPES_AND_COLUMNS,
            "the import fails",
            QUOTAS,
        ),
        _at_most("events that a model considers", len(used), most_events, ignored, QUOTAS),
        _at_most("items that a model considers", len(catalogue), most_items, ignored, QUOTAS),
        _at_least("events, advised", len(used), ADVISED_EVENTS, weak, READINESS),
        _at_least("users with two events, advised", twice, ADVISED_USERS, weak, READINESS),
        _Check(
            "different times",
            interactions["TIMESTAMP"].nunique(),
            "more than 1",
            not same_time,
            "no order to learn from: is TIMESTAMP the time of the export?",
            "",
        ),
    ]
    return pd.DataFrame(
        [(c.name, c.found, c.wanted, c.met, "" if c.met else c.weight, c.source) for c in checks],
        columns=["check", "found", "wanted", "met", "otherwise", "source"],
    ).set_index("check")


def times(seconds: pd.Series[int]) -> pd.Series[pd.Timestamp]:
    """Return UTC timestamps of UTC epoch seconds."""
    return pd.to_datetime(seconds, unit="s", utc=True)


def _at_least(name: str, found: float, least: int, weight: str, source: str) -> _Check:
    return _Check(name, found, f"at least {least:,}", found >= least, weight, source)


def _at_most(name: str, found: int, most: int, weight: str, source: str) -> _Check:
    return _Check(name, found, f"at most {most:,}", found <= most, weight, source)


def _period(interactions: pd.DataFrame) -> Sequence[pd.Timestamp | None]:
    if interactions.empty:
        return None, None
    ends = times(interactions["TIMESTAMP"].agg(["min", "max"]))
    return ends["min"], ends["max"]


def _median(values: pd.Series[int]) -> float:
    return float(values.median()) if len(values) else 0.0


def _label(begin: int, after: int | None) -> str:
    if after is None:
        return f"{begin}+" if begin > 1 else str(begin)
    return str(begin) if after - begin == 1 else f"{begin}–{after - 1}"
