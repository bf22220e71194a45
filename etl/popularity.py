"""The most popular items of a run: a list to compare with later, and how good it is now.

`popular_items` goes into the manifest, so that the next run's back-test needs no old rows.
`popularity_baseline` measures the same recommendation, the most popular items for everybody, as
Personalize measures a solution version: the metrics of both can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812  the name that every Spark reader knows

from etl.datasets import LearnedEvents
from etl.ranking import COVERAGE, DEPTH, MRR, NDCG, PRECISION, list_metrics

POPULAR_ITEMS = 100
"""Items that are kept: four lists' length, as some of them are excluded for a user."""

_FOLDS = 10


def popular_items(
    interactions: DataFrame,
    rows: Mapping[str, DataFrame],
    *,
    before: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Run Spark jobs: return the items with most interactions that may be recommended.

    Args:
        interactions: Those that count: ITEM_ID.
        rows: Source name → accepted rows: `ITEMS` and `eligibleItems`, those that there are.
        before: The same of an earlier run, to whose counts those of newer interactions are added;
            None if the interactions are all there are.

    Returns:
        `items`, how many different items may be recommended, and `top`, the first of them: pairs of
        an item and its interactions, ties in the order of the ids.
    """
    earlier = before or {}
    counts = interactions.select("ITEM_ID", F.lit(1).cast("long").alias("n"))
    if earlier.get("top"):
        known = interactions.sparkSession.createDataFrame(
            [(str(item), int(n)) for item, n in earlier["top"]], "ITEM_ID string, n long"
        )
        counts = counts.unionByName(known)
    counted = counts.groupBy("ITEM_ID").agg(F.sum("n").alias("n"))
    if "eligibleItems" in rows:
        counted = counted.join(rows["eligibleItems"].select("ITEM_ID"), "ITEM_ID", "left_semi")
        items = rows["eligibleItems"].count()
    else:
        items = max(catalogue_size(counts, rows), int(earlier.get("items", 0)))
    first = counted.orderBy(F.col("n").desc(), "ITEM_ID").limit(POPULAR_ITEMS).collect()
    return {"items": items, "top": [[row["ITEM_ID"], row["n"]] for row in first]}


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
        F.pmod(F.xxhash64("USER_ID"), F.lit(_FOLDS)).alias("fold"),
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


def _newest_tenths(events: DataFrame) -> DataFrame:
    """Return USER_ID, ITEM_ID, fold: items of the newest tenth of each user's events, at least one.

    A user with a single event has nothing to learn from, and is left out.
    """
    of_user = Window.partitionBy("USER_ID")
    newest = of_user.orderBy(F.col("TIMESTAMP").desc(), F.col("ITEM_ID").desc())
    held_out = F.greatest(F.lit(1), F.floor(F.col("events") / 10))
    return (
        events.withColumn("age", F.row_number().over(newest))
        .withColumn("events", F.count(F.lit(1)).over(of_user))
        .filter((F.col("events") > 1) & (F.col("age") <= held_out))
        .select("USER_ID", "ITEM_ID", "fold")
        .distinct()
    )


def _popular_without_each_fold(events: DataFrame) -> DataFrame:
    """Return ITEM_ID, fold, RANK: the most popular items of the events of all other folds."""
    by_fold = events.groupBy("ITEM_ID", "fold").agg(F.count(F.lit(1)).alias("own"))
    totals = by_fold.groupBy("ITEM_ID").agg(F.sum("own").alias("all"))
    folds = events.sparkSession.range(_FOLDS).select(F.col("id").alias("fold"))
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
