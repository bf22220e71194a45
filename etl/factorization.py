"""Recommendations by Spark's own matrix factorization, for data that one machine is too small for.

    recommend(runtime, spec, Factorization(), output="models/als/", num_results=100, log=…)

    interactions/ ─ how often a user had an item ─ implicit ALS ─┐
    batch-input/ ────────────────────────────────────────────────┴─ JSON lines as of batch inference

A user without interactions gets the most popular items, without scores. An item without
interactions is in no list.

Hu, Koren, Volinsky (2008): Collaborative filtering for implicit feedback datasets.
https://spark.apache.org/docs/3.5.6/ml-collaborative-filtering.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from pyspark import Broadcast
from pyspark.ml.recommendation import ALS
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F  # noqa: N812  the name that every Spark reader knows

from etl.batch_files import FIELDS, INPUT, ORDER, requested_users
from etl.datasets import JobSpec
from etl.errors import EtlError
from etl.runtime import Runtime

OUTPUT = "part-00000.json.out"
"""The file below the output's prefix; inference of others names its files likewise."""

_CHECKPOINT_INTERVAL = 3
_USER = FIELDS["USER_ID"]


@dataclass(frozen=True)
class Factorization:
    """The hyperparameters.

    Attributes:
        factors: Length of the vectors of users and items.
        iterations: Times that users and items are solved for in turn.
        regularization: Weight of the vectors' squared length in the loss.
        alpha: Confidence that each interaction adds to a pair.
        seed: Of the first vectors.
    """

    factors: int = 64
    iterations: int = 15
    regularization: float = 0.05
    alpha: float = 2.0
    seed: int = 7

    @classmethod
    def of(cls, hyperparameters: Mapping[str, Any]) -> Factorization:
        """Return the hyperparameters of these names; those left out have their usual value.

        Raises:
            EtlError: If there is none of a name, or a value is no number.
        """
        usual = cls()
        types = {each.name: type(getattr(usual, each.name)) for each in fields(cls)}
        if unknown := sorted(hyperparameters.keys() - types.keys()):
            raise EtlError(
                f"hyperparameters {', '.join(unknown)}: als has {', '.join(types)} alone"
            )
        try:
            return cls(**{name: types[name](value) for name, value in hyperparameters.items()})
        except (TypeError, ValueError) as error:
            raise EtlError(f"hyperparameters of als: {error}") from None


def recommend(
    runtime: Runtime,
    spec: JobSpec,
    model: Factorization,
    *,
    output: str,
    num_results: int,
    log: Callable[[str], None],
) -> dict[str, Any]:
    """Run Spark jobs: train on the run's interactions, and write a list for each batch user.

    Args:
        runtime: The job's runtime; its folder is the run's.
        spec: The job's specification: the columns of the interactions.
        model: The hyperparameters.
        output: Prefix of the output below the run's.
        num_results: Items of a list.
        log: Called with each line of the log.

    Returns:
        `users` and `items` that were trained on, and `lists` that were written.

    Raises:
        EtlError: If there are no interactions, or no users to recommend for.
    """
    folder = runtime.folder
    (columns,) = (each.header for each in spec.datasets if each.type == "INTERACTIONS")
    schema = ", ".join(f"`{name}` string" for name in columns)
    with runtime.checkpoints(), ExitStack() as stack:

        def kept(frame: DataFrame) -> DataFrame:
            stack.callback(frame.unpersist)
            return frame.persist()

        requests = kept(requested_users(runtime))
        written = requests.count()
        if not written:
            raise EtlError(f"no users at {folder.uri(INPUT)}: nobody to recommend for")
        log("progress 0/2 training")
        folder.delete(output)  # what the run has of another model, or of other settings
        events = runtime.read_csv(folder.uri("interactions/"), schema, escape="\\")
        pairs = kept(events.groupBy("USER_ID", "ITEM_ID").agg(F.count(F.lit(1)).alias("times")))
        users, items = kept(_numbered(pairs, "USER_ID")), kept(_numbered(pairs, "ITEM_ID"))
        ids = [row["ITEM_ID"] for row in items.orderBy("ITEM_ID number").collect()]
        if not ids:
            raise EtlError(f"no interactions at {folder.uri('interactions/')}: nothing to train on")
        trained = train(pairs, users, items, model)
        n_users = users.count()
        log(f"── trained on {n_users:,} users and {len(ids):,} items")
        log("progress 1/2 recommending")
        known = requests.join(users, "USER_ID", "left")
        subset = known.select("USER_ID number").filter("`USER_ID number` IS NOT NULL").distinct()
        lists = trained.recommendForUserSubset(subset, num_results)
        ordered = known.join(lists, "USER_ID number", "left").orderBy(*ORDER)
        context = events.sparkSession.sparkContext
        line_of = partial(_lines, ids=context.broadcast(ids), popular=_popular(pairs, num_results))
        rows = ordered.select("USER_ID", "recommendations").rdd.mapPartitions(line_of)
        folder.upload(f"{output}{OUTPUT}", rows.toLocalIterator(prefetchPartitions=True))
        log(f"progress 2/2 done: {written:,} lists")
        return {"users": n_users, "items": len(ids), "lists": written}


def _numbered(pairs: DataFrame, name: str) -> DataFrame:
    """Return the different values of a column, and `NAME number` from 0, in their order."""
    ordered = pairs.select(name).distinct().orderBy(name).rdd.zipWithIndex()
    rows = ordered.map(lambda each: (each[0][0], each[1]))
    return pairs.sparkSession.createDataFrame(rows, f"`{name}` string, `{name} number` int")


def train(pairs: DataFrame, users: DataFrame, items: DataFrame, model: Factorization) -> Any:
    """Return the model of pairs; Spark's checkpoint directory is set.

    Args:
        pairs: `USER_ID`, `ITEM_ID` and `times`.
        users: `USER_ID` and `USER_ID number`, from 0.
        items: The same of `ITEM_ID`.
        model: The hyperparameters.
    """
    ratings = pairs.join(users, "USER_ID").join(items, "ITEM_ID")
    return ALS(
        userCol="USER_ID number",
        itemCol="ITEM_ID number",
        ratingCol="times",
        implicitPrefs=True,
        rank=model.factors,
        maxIter=model.iterations,
        regParam=model.regularization,
        alpha=model.alpha,
        seed=model.seed,
        # Each iteration's plan holds all before it; without checkpoints Java's stack overflows.
        checkpointInterval=_CHECKPOINT_INTERVAL,
    ).fit(ratings.withColumn("times", F.col("times").cast("float")).checkpoint())


def _popular(pairs: DataFrame, length: int) -> Sequence[str]:
    counts = pairs.groupBy("ITEM_ID").agg(F.sum("times").alias("times"))
    first = counts.orderBy(F.col("times").desc(), "ITEM_ID").limit(length)
    return [row["ITEM_ID"] for row in first.collect()]


def _lines(
    rows: Iterable[Row], *, ids: Broadcast[Sequence[str]], popular: Sequence[str]
) -> Iterator[bytes]:
    """Yield the lines of a partition's users, in a worker of Spark."""
    for user, recommendations in rows:
        output: dict[str, Any] = {"recommendedItems": popular}
        if recommendations is not None:
            output = {
                "recommendedItems": [ids.value[number] for number, _ in recommendations],
                "scores": [round(score, 7) for _, score in recommendations],
            }
        line = {"input": {_USER: user}, "output": output, "error": None}
        yield f"{json.dumps(line, ensure_ascii=False)}\n".encode()
