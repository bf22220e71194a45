"""The hold-out: the newest interactions of some users, which no model is trained on.

    interactions ─┬─ of nine tenths of the users ────────────────┐
                  └─ of a tenth of the users ─┬─ all but newest ─┴─ interactions/, for all trainings
                                              └─ newest tenth ───── holdout/, what lists should have

By it models of any kind are compared (`etl.comparison`): each infers for users of whom it has not
seen what they did last. Which users these are follows from their ids, so that a user is tested in
each run, or in none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812  the name that every Spark reader knows

from etl.datasets import LearnedEvents
from etl.output import log_schema
from etl.popularity import catalogue_size, fold_of_user, is_learned, is_of_newest_tenth
from etl.ranking import DEPTH
from etl.runtime import Runtime
from etl.validation import REASON

PREFIX = "holdout/"
PAIRS = "USER_ID string, ITEM_ID string"

_HELD_OUT = "held out"


def marked(interactions: DataFrame) -> DataFrame:
    """Add what `held_out` and `trained_on` tell the interactions apart by.

    Of a tenth of the users the newest tenth is held out, at least one interaction; of a user with
    a single one there would be nothing left to learn from.

    Args:
        interactions: Validated rows; those that are rejected are on neither side.
    """
    accepted = F.col(REASON).isNull()
    # So that of several at one moment it is the same ones in each run.
    ties = sorted({"ITEM_ID", "EVENT_TYPE"} & set(interactions.columns))
    of_user = Window.partitionBy("USER_ID", accepted)
    is_newest = is_of_newest_tenth(of_user, *map(F.col, ties))
    return interactions.withColumn(_HELD_OUT, accepted & (fold_of_user() == 0) & is_newest)


def trained_on(interactions: DataFrame) -> DataFrame:
    """Return the marked rows that trainings get, and all that are rejected."""
    return interactions.filter(~_is_held_out()).drop(_HELD_OUT)


def held_out(interactions: DataFrame) -> DataFrame:
    """Return the marked rows that no training gets."""
    return interactions.filter(_is_held_out()).drop(_HELD_OUT)


def _is_held_out() -> Expression:
    return F.coalesce(F.col(_HELD_OUT), F.lit(False))


def write_hold_out(
    runtime: Runtime,
    held: DataFrame,
    trained: DataFrame,
    items: DataFrame | None,
    learned: LearnedEvents,
    *,
    log: Callable[[str], None],
) -> dict[str, Any]:
    """Run Spark jobs: write what lists should have, the held out items of each user, as CSV.

    Args:
        runtime: The job's runtime.
        held: What is held out: USER_ID, ITEM_ID, and what `learned` chooses by.
        trained: The interactions that trainings get, likewise.
        items: The rows of `ITEMS`; None without such a data set.
        learned: The interactions that count: those that a solution learns from.
        log: Called with each line of the log.

    Returns:
        The manifest's entry: `path`; `interactions` that are held out, and of those that count the
        `rows` (different pairs) and `users`; `catalogue`, the number of items that there are, and
        `popular`, the items with most interactions that trainings get.
    """
    counted = held.filter(is_learned(learned))
    pairs = counted.select("USER_ID", "ITEM_ID").distinct().persist()
    try:
        (size,) = pairs.agg(
            F.count(F.lit(1)).alias("rows"), F.countDistinct("USER_ID").alias("users")
        ).collect()
        log_schema(pairs, f"write {PREFIX}, {size['rows']:,} rows", log=log)
        runtime.write_csv(pairs, PREFIX)
    finally:
        pairs.unpersist()
    learned_from = trained.filter(is_learned(learned))
    popular = learned_from.groupBy("ITEM_ID").count().orderBy(F.col("count").desc(), "ITEM_ID")
    return {
        "path": PREFIX,
        "interactions": held.count(),
        "rows": size["rows"],
        "users": size["users"],
        "catalogue": catalogue_size(trained, {"ITEMS": items} if items is not None else {}),
        "popular": [row["ITEM_ID"] for row in popular.limit(DEPTH).collect()],
    }
