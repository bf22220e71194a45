"""Metrics of ranked lists, user by user, in Spark; and the intervals of their means.

The names and formulas are Personalize's: a hit at rank r is worth 1 / log2(1 + r), and NDCG divides
by what the best order of the user's items is worth.
https://docs.aws.amazon.com/personalize/latest/dg/working-with-training-metrics.html
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F  # noqa: N812  the name that every Spark reader knows

CUTOFFS = (5, 10, 25)
DEPTH = max(CUTOFFS)
HIT_RATE = tuple(f"hit_rate_at_{k}" for k in CUTOFFS)
NDCG = tuple(f"normalized_discounted_cumulative_gain_at_{k}" for k in CUTOFFS)
PRECISION = tuple(f"precision_at_{k}" for k in CUTOFFS)
MRR = f"mean_reciprocal_rank_at_{DEPTH}"
COVERAGE = "coverage"
COMPARED = (*HIT_RATE, *NDCG)
"""The metrics by which lists are compared, each with an interval."""

_Z95 = 1.959964
# The usual number from which on a mean is taken as normal.
_FEW = 30


def list_metrics(relevant: DataFrame, hits: DataFrame) -> DataFrame:
    """Return the metrics of each user's list.

    Args:
        relevant: USER_ID; one row for each different item that the user's list should have.
        hits: USER_ID and RANK, from 1; one row for each of these items that it has.

    Returns:
        USER_ID, and a column for each of `HIT_RATE`, `NDCG`, `PRECISION` and `MRR`.
    """
    ranked = hits.groupBy("USER_ID").agg(
        F.min(F.when(F.col("RANK") <= DEPTH, F.col("RANK"))).alias("first"),
        *(F.count_if(F.col("RANK") <= k).alias(f"hits {k}") for k in CUTOFFS),
        *(
            F.sum(F.when(F.col("RANK") <= k, F.lit(1.0) / F.log2(F.col("RANK") + F.lit(1.0))))
            .alias(f"worth {k}")
            for k in CUTOFFS
        ),
    )  # fmt: skip
    wanted = relevant.groupBy("USER_ID").agg(F.count(F.lit(1)).alias("items"))
    ideal = F.array(*map(F.lit, accumulate(1 / math.log2(1 + r) for r in range(1, DEPTH + 1))))

    def of(name: str, k: int) -> Expression:
        return F.coalesce(F.col(f"{name} {k}"), F.lit(0.0))

    def best(k: int) -> Expression:
        return F.element_at(ideal, F.least(F.col("items"), F.lit(k)).cast("int"))

    columns = {
        **{HIT_RATE[i]: (of("hits", k) > 0).cast("double") for i, k in enumerate(CUTOFFS)},
        **{NDCG[i]: of("worth", k) / best(k) for i, k in enumerate(CUTOFFS)},
        **{PRECISION[i]: of("hits", k) / F.lit(float(k)) for i, k in enumerate(CUTOFFS)},
        MRR: F.coalesce(F.lit(1.0) / F.col("first"), F.lit(0.0)),
    }
    return wanted.join(ranked, "USER_ID", "left").select(
        "USER_ID", *(column.alias(name) for name, column in columns.items())
    )


def compared(
    wanted: DataFrame, hits: DataFrame, popular: DataFrame | None
) -> tuple[int, dict[str, Any]]:
    """Run a Spark job: return the number of users, and each of `COMPARED` with its interval.

    Args:
        wanted: As `relevant` of `list_metrics`.
        hits: As of `list_metrics`.
        popular: The same of other lists of these users, by default the most popular items; None
            for none.

    Returns:
        Users, and metric → `value`, `low`, `high`; with `popular` its value, `popularity`, and the
        `difference` to it, whose interval is of the differences user by user.
    """
    table = list_metrics(wanted, hits).select("USER_ID", *COMPARED)
    if popular is not None:
        other = list_metrics(wanted, popular)
        names = [F.col(name).alias(f"popular {name}") for name in COMPARED]
        table = table.join(other.select("USER_ID", *names), "USER_ID")
    sums = [F.count(F.lit(1)).alias("users")]
    for name in COMPARED:
        sums += [F.avg(name).alias(name), F.stddev_samp(name).alias(f"deviation {name}")]
        if popular is not None:
            gain = F.col(name) - F.col(f"popular {name}")
            sums += [
                F.avg(f"popular {name}").alias(f"popular {name}"),
                F.avg(gain).alias(f"gain {name}"),
                F.stddev_samp(gain).alias(f"deviation of gain {name}"),
            ]
    (row,) = table.agg(*sums).collect()
    return row["users"], {name: _metric(row, name) for name in COMPARED}


def _metric(row: Row, name: str) -> dict[str, Any]:
    users, values = row["users"], row.asDict()
    deviation = None if name in HIT_RATE else values[f"deviation {name}"]
    measured: dict[str, Any] = interval(values[name], deviation, users)
    if f"gain {name}" in values:
        gain, spread = values[f"gain {name}"], values[f"deviation of gain {name}"]
        measured["popularity"] = round(values[f"popular {name}"], 6)
        measured["difference"] = interval(gain, spread, users, least=-1.0)
    return measured


def interval(
    mean: float, deviation: float | None, users: int, *, least: float = 0.0
) -> dict[str, float]:
    """Return `value`, `low` and `high`: the mean of values up to 1 with its 95 % interval.

    The normal interval over users. Of fewer than thirty the deviation says little, and it is
    Wilson's (1927) for the largest variance that the mean allows (Bhatia and Davis 2000).

    Args:
        mean: Over users.
        deviation: The sample's standard deviation; None for Wilson's interval, which is the right
            one for a share, whatever the number of users.
        users: Number of users, at least one.
        least: Least value that a user can have: 0, or -1 of a difference.
    """
    if deviation is not None and users >= _FEW:
        half = _Z95 * deviation / math.sqrt(users)
        low, high = max(least, mean - half), min(1.0, mean + half)
    else:
        width = 1 - least
        low, high = (least + width * end for end in wilson((mean - least) / width, users))
    return {"value": round(mean, 6), "low": round(low, 6), "high": round(high, 6)}


INTERVALS: Mapping[str, Any] = {
    "confidence": 0.95,
    "hit rate": "Wilson 1927",
    "others": f"normal over users; of fewer than {_FEW}, Wilson's with the largest variance"
    " (Bhatia and Davis 2000)",
}
"""How the intervals are made, as the manifest says it."""


def wilson(share: float, n: int) -> tuple[float, float]:
    """Return Wilson's score interval of a share of `n`, 95 %.

    Wilson, E. B. (1927): Probable inference, the law of succession, and statistical inference.
    Journal of the American Statistical Association 22, 209-212.
    """
    z = _Z95
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)
