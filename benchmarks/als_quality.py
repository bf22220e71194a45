"""Quality of Spark's matrix factorization, `builtin = "als"`, on MovieLens-100k.

    python benchmarks/als_quality.py [--wheel recbole-1.2.1-py3-none-any.whl]

Data and protocols are those of `recommenders_quality`, but for the held-out users: als knows no
user whom it was not trained on.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  the name that every Spark reader knows
from recommenders_quality import measure, movielens, split

from etl.factorization import Factorization, train
from etl.session import local_spark
from recommenders import Histories, Interactions


class Factors:
    """What `measure` asks of a model: the histories are those of the users, in their order."""

    def __init__(
        self, data: Interactions, users: NDArray[np.float32], items: NDArray[np.float32]
    ) -> None:
        self.item_ids, self._users, self._items, self._row = data.item_ids, users, items, 0

    def scores(self, block: Histories) -> NDArray[np.float32]:
        """Return the scores of the next users, of all items."""
        begin, self._row = self._row, self._row + len(block)
        return self._users[begin : self._row] @ self._items.T


def fitted(spark: SparkSession, data: Interactions) -> Factors:
    """Train on the events as the job does, which numbers users and items itself."""
    events = data.histories
    rows = zip(events.rows.tolist(), events.items.tolist(), strict=True)
    frame = spark.createDataFrame(list(rows), "USER_ID int, ITEM_ID int")
    pairs = frame.groupBy("USER_ID", "ITEM_ID").agg(F.count(F.lit(1)).alias("times")).persist()

    def numbered(name: str) -> DataFrame:
        return pairs.select(name, F.col(name).alias(f"{name} number")).distinct()

    model = train(pairs, numbered("USER_ID"), numbered("ITEM_ID"), Factorization())
    found = Factors(
        data,
        vectors(model.userFactors, len(events)),
        vectors(model.itemFactors, len(data.item_ids)),
    )
    pairs.unpersist()
    return found


def vectors(frame: DataFrame, length: int) -> NDArray[np.float32]:
    """Return the vectors by their numbers; those without events are zero."""
    found = frame.collect()
    table = np.zeros((length, len(found[0]["features"])), dtype=np.float32)
    for row in found:
        table[row["id"]] = row["features"]
    return table


def main() -> None:
    """Print the figures of both protocols."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheel", type=Path)
    data = movielens(parser.parse_args().wheel)
    protocols: dict[str, Callable[[NDArray[np.int64]], NDArray[np.int64]]] = {
        "newest tenth": lambda lengths: np.maximum(1, lengths // 10),
        "leave one out": np.ones_like,
    }
    with tempfile.TemporaryDirectory() as directory:
        spark = local_spark(Path(directory), drivers={})
        spark.sparkContext.setCheckpointDir(directory)
        for name, newest in protocols.items():
            part, inputs, targets = split(data, newest)
            begun = time.perf_counter()
            model = fitted(spark, part)
            seconds = time.perf_counter() - begun
            metrics, coverage, hit_rate = measure(model, inputs, targets)  # type: ignore[arg-type]
            ndcg = metrics["normalized_discounted_cumulative_gain_at_10"]
            reciprocal = metrics["mean_reciprocal_rank_at_25"]
            print(
                f"{name}: NDCG@10 {ndcg:.3f}, MRR@25 {reciprocal:.3f}, HR@10 {hit_rate:.3f},"
                f" coverage {coverage:.2f}, fit {seconds:.1f} s"
            )
        spark.stop()


if __name__ == "__main__":
    main()
