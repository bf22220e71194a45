"""The most popular items of a run: a list to compare with later, and how good it is now.

`popular_items` goes into the manifest, so that the next run's back-test needs no old rows.
`popularity_baseline` measures the same recommendation, the most popular items for everybody, as
Personalize measures a solution version: the metrics of both can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame, Window, WindowSpec
from pyspark.sql import functions as F  # noqa: N812  the name that every Spark reader knows

from etl.datasets import LearnedEvents
from etl.ranking import COVERAGE, DEPTH, MRR, NDCG, PRECISION, list_metrics
from etl.validation import WATERMARK

POPULAR_ITEMS = 100
"""Items that are kept: four lists' length, as some of them are excluded for a user."""

_TENTH = 10


@dataclass(frozen=True)
class Reading:
    """Which interactions a run has read, by the watermark, in UTC epoch seconds.

    Attributes:
        since: The first moment; None for all interactions.
        until: The moment after the last one; None for no end.
        after: The run whose import they follow; empty if unknown.
        newest: The newest watermark, which is not in the future; None without one.
    """

    since: int | None = None
    until: int | None = None
    after: str = ""
    newest: int | None = None


ALL = Reading()


def popular_items(
    interactions: DataFrame,
    rows: Mapping[str, DataFrame],
    *,
    reading: Reading = ALL,
    earlier: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Run Spark jobs: return the items with most interactions that may be recommended.

    Each interaction counts once, however often it is read: a run goes on where the counts of an
    earlier one are settled, at its newest watermark. What is older and was not there then, because
    it came late or was corrected, counts when all interactions are read again.

    Args:
        interactions: Those that count: ITEM_ID; `WATERMARK`, if there is one.
        rows: Source name → accepted rows: `ITEMS` and `eligibleItems`, those that there are.
        reading: Which interactions these are.
        earlier: The same of earlier runs, the first that fits is gone on from.

    Returns:
        `items`, how many different items may be recommended; `top`, the first of them: pairs of
        an item and its interactions, ties in the order of the ids; with a watermark `settled`:
        `until`, and the `top` of what is older than that. If nothing can be gone on from, the
        `reason`.
    """
    until, before = reading.newest, None
    if reading.since is not None:
        before = next((each for each in earlier if _reaches(each, reading.since)), None)
        if before is None:
            return {"reason": "new interactions alone were read, and those before not counted"}
        settled = int(before["settled"]["until"])
        if reading.until is not None and reading.until <= settled:
            return {**before}  # a window of the past, which has been counted
        until = max(settled, until or settled)
    counts = _counts(interactions, until, before["settled"] if before else None)
    counted = counts.groupBy("ITEM_ID").agg(F.sum("n").alias("n"), F.sum("old").alias("old"))
    if "eligibleItems" in rows:
        counted = counted.join(rows["eligibleItems"].select("ITEM_ID"), "ITEM_ID", "left_semi")
        items = rows["eligibleItems"].count()
    else:
        items = max(catalogue_size(counts, rows), int((before or {}).get("items", 0)))
    first = counted.orderBy(F.col("n").desc(), "ITEM_ID").limit(POPULAR_ITEMS).collect()
    found: dict[str, Any] = {"items": items, "top": [[row["ITEM_ID"], row["n"]] for row in first]}
    if until is not None:
        older = [[row["ITEM_ID"], row["old"]] for row in first]
        found["settled"] = {"until": until, "top": older}
    return found


def _counts(
    interactions: DataFrame, until: int | None, settled: Mapping[str, Any] | None
) -> DataFrame:
    """Return ITEM_ID and what to add up: n, and of those older than `until` alone, old.

    Args:
        interactions: ITEM_ID, and `WATERMARK` if there is an `until`.
        until: UTC epoch seconds; None for all.
        settled: The counts to go on from; interactions that are in them are left out.
    """
    one, is_old = F.lit(1).cast("long"), F.lit(True)
    if until is not None:  # rows without a watermark are read with all others alone
        is_old = F.coalesce(F.col(WATERMARK) < until, is_old)
    if settled:
        interactions = interactions.filter(F.col(WATERMARK) >= int(settled["until"]))
    counts = interactions.select("ITEM_ID", one.alias("n"), is_old.cast("long").alias("old"))
    if not settled or not settled["top"]:
        return counts
    known = [(str(item), int(n), int(n)) for item, n in settled["top"]]
    schema = "ITEM_ID string, n long, old long"
    return counts.unionByName(interactions.sparkSession.createDataFrame(known, schema))


def _reaches(popularity: Mapping[str, Any], since: int) -> bool:
    """Return whether nothing lies between what was counted and what is read."""
    settled = popularity.get("settled")
    return settled is not None and int(settled["until"]) >= since


def catalogue_size(interactions: DataFrame, rows: Mapping[str, DataFrame]) -> int:
    """Run a Spark job: count the different items of the interactions and of `ITEMS`."""
    frames = [interactions, *([rows["ITEMS"]] if "ITEMS" in rows else [])]
    ids = reduce(DataFrame.unionByName, [frame.select("ITEM_ID") for frame in frames])
    return ids.distinct().count()


def popularity_baseline(
    interactions: DataFrame, rows: Mapping[str, DataFrame], learned: LearnedEvents
) -> dict[str, Any]:
    """Run Spark jobs: return Personalize's metrics of recommending the most popular items.

    Personalize tests a tenth of the users: the newest tenth of the events of each, against what the
    other users' events taught. Here every user is tested so, in ten such tenths, which is the same
    in the mean and depends less on which users are drawn.

    Args:
        interactions: All of them: USER_ID, ITEM_ID, TIMESTAMP, and what `learned` chooses by.
        rows: Source name → accepted rows: `ITEMS`, if there are any.
        learned: The interactions that the solution learns from.

    Returns:
        `metrics` by Personalize's names, and `users`, the number of tested ones; or `reason`.
    """
    events = interactions.filter(is_learned(learned)).select(
        "USER_ID",
        "ITEM_ID",
        "TIMESTAMP",
        fold_of_user().alias("fold"),
    )
    targets = _newest_tenths(events).persist()
    try:
        ranked = F.broadcast(_popular_without_each_fold(events))
        hits = targets.join(ranked, ["fold", "ITEM_ID"]).select("USER_ID", "RANK")
        names = (MRR, *NDCG, *PRECISION)
        means = (
            list_metrics(targets, hits)
            .agg(F.count(F.lit(1)).alias("users"), *(F.avg(name).alias(name) for name in names))
            .first()
        )
        size = catalogue_size(interactions, rows)
    finally:
        targets.unpersist()
    if means is None or not means["users"]:
        return {"reason": "no user has two interactions, of which the newer one could be held out"}
    coverage = min(DEPTH, size) / size
    metrics = {COVERAGE: coverage, **{name: means[name] for name in names}}
    return {
        "users": means["users"],
        "metrics": {name: round(value, 6) for name, value in metrics.items()},
    }


def is_learned(learned: LearnedEvents) -> Expression:
    """Return the condition on interactions that a solution learns from them."""
    condition = F.lit(True)
    if learned.event_type:
        condition &= F.col("EVENT_TYPE") == learned.event_type
    if learned.least_value is not None:
        condition &= F.col("EVENT_VALUE") >= learned.least_value
    return condition


def fold_of_user() -> Expression:
    """Return which tenth of the users a row's USER_ID is of, from 0; it follows from the id."""
    return F.pmod(F.xxhash64("USER_ID"), F.lit(_TENTH))


def is_of_newest_tenth(of_user: WindowSpec, *ties: Expression) -> Expression:
    """Return whether an event is of the newest tenth of its user's, of which there is at least one.

    A user with a single event has nothing else to learn from: it is not.

    Args:
        of_user: The events of each user, with TIMESTAMP.
        ties: What orders events of one moment.
    """
    events = F.count(F.lit(1)).over(of_user)
    age = F.row_number().over(of_user.orderBy(F.col("TIMESTAMP").desc(), *ties))
    return (events > 1) & (age <= F.greatest(F.lit(1), F.floor(events / _TENTH)))


def _newest_tenths(events: DataFrame) -> DataFrame:
    """Return USER_ID, ITEM_ID, fold: the different items of the newest tenth of each user."""
    is_newest = is_of_newest_tenth(Window.partitionBy("USER_ID"), F.col("ITEM_ID").desc())
    newest = events.withColumn("is newest", is_newest).filter("`is newest`")
    return newest.select("USER_ID", "ITEM_ID", "fold").distinct()


def _popular_without_each_fold(events: DataFrame) -> DataFrame:
    """Return ITEM_ID, fold, RANK: the most popular items of the events of all other folds."""
    by_fold = events.groupBy("ITEM_ID", "fold").agg(F.count(F.lit(1)).alias("own"))
    totals = by_fold.groupBy("ITEM_ID").agg(F.sum("own").alias("all"))
    folds = events.sparkSession.range(_TENTH).select(F.col("id").alias("fold"))
    others = totals.crossJoin(F.broadcast(folds)).join(by_fold, ["ITEM_ID", "fold"], "left")
    n = F.col("all") - F.coalesce(F.col("own"), F.lit(0))
    ranks = Window.partitionBy("fold").orderBy(F.col("n").desc(), F.col("ITEM_ID"))
    return (
        others.select("ITEM_ID", "fold", n.alias("n"))
        .filter("n > 0")
        .withColumn("RANK", F.row_number().over(ranks))
        .filter(F.col("RANK") <= DEPTH)
        .select("ITEM_ID", "fold", "RANK")
    )
