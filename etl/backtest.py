"""The back-test: the lists published last, against what people did since.

    lists of latest.json ─┐
    interactions since ───┴─ users who came back ─ hit rate, NDCG, coverage
    most popular items of that run's manifest ─────── the same, beside it

Only interactions after the publication are needed, so that a run that reads new ones alone can do
it. No row leaves Spark: a handful of sums is collected. What cannot be compared is said in the
result, and fails nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F  # noqa: N812  the name that every Spark reader knows

from etl.datasets import JobSpec
from etl.popularity import ALL, Reading, popular_items, popularity_baseline
from etl.published import Publication, exists, last_publication, manifest_of
from etl.ranking import COVERAGE, DEPTH, HIT_RATE, INTERVALS, compared
from etl.runtime import Runtime

_LISTS = "USER_ID string, ITEM_ID string, RANK int, SCORE double"
_PAIRS = "USER_ID string, ITEM_ID string"


def measure(
    runtime: Runtime,
    spec: JobSpec,
    rows: Mapping[str, DataFrame],
    *,
    trained: DataFrame,
    reading: Reading = ALL,
    log: Callable[[str], None],
) -> dict[str, Any]:
    """Run Spark jobs: return what the manifest says of the lists published last.

    Args:
        runtime: Reads what was published.
        spec: Says what is measured.
        rows: Source name → its accepted rows; they are best cached. Interactions have the column
            `WATERMARK` too, if the specification has one.
        trained: The interactions without those that are held out.
        reading: Which interactions are there.
        log: Called with a line on the result.

    Returns:
        `backtest`, and `popularity` for the next run's; `popularityBaseline`; those that are asked
        for.
    """
    found: dict[str, Any] = {}
    if spec.backtest is not None:
        counted = counted_events(rows["INTERACTIONS"], spec.backtest.event_types)
        published = last_publication(runtime.folder)
        compared = (
            {"reason": published}
            if isinstance(published, str)
            else backtest(runtime, published, counted)
        )
        log(f"── back-test: {compared.get('reason') or _in_words(compared)}")
        found["backtest"] = compared
        manifests = [manifest_of(runtime.folder.of(reading.after))] if reading.after else []
        manifests += [] if isinstance(published, str) else [published.manifest]
        found["popularity"] = {
            **popular_items(counted, rows, reading=reading, earlier=_popularity(manifests, spec)),
            "eventTypes": [*spec.backtest.event_types],
        }
    if spec.baseline is not None:
        found["popularityBaseline"] = (
            popularity_baseline(trained, rows, spec.baseline)
            if reading.since is None
            else {"reason": "new interactions alone were read"}
        )
    return found


def _popularity(manifests: Iterable[Mapping[str, Any]], spec: JobSpec) -> list[Mapping[str, Any]]:
    """Return the counts of earlier runs in which the same events counted."""
    counted = (manifest.get("popularity") or {} for manifest in manifests)
    event_types = [*spec.backtest.event_types] if spec.backtest else []
    return [each for each in counted if each.get("eventTypes") == event_types]


def _in_words(compared: Mapping[str, Any]) -> str:
    rate = compared["metrics"][HIT_RATE[1]]
    beside = f", {rate['popularity']:.1%} of the most popular items" if "popularity" in rate else ""
    return (
        f"{compared['users']:,} users came back since run '{compared['run']}';"
        f" {HIT_RATE[1]} {rate['value']:.1%}{beside}"
    )


def backtest(runtime: Runtime, published: Publication, interactions: DataFrame) -> dict[str, Any]:
    """Run Spark jobs: compare published lists with what their users did since.

    A user who came back has a list, and interactions that are newer than the publication; a hit is
    an item of the list among them.

    Args:
        runtime: Reads the lists.
        published: What was published.
        interactions: Those that count: USER_ID, ITEM_ID, TIMESTAMP; older ones do no harm.

    Returns:
        `run`, `publishedAt`, `solutionVersionArn`, `usersWithList`; and `users`, `interactions`,
        `metrics` and `intervals`, or the `reason` why there are none. Each metric has `value`,
        `low`, `high`, `popularity` and `difference`, the last with an interval of its own, as both
        lists are compared user by user; coverage has `value` and `popularity` alone.
    """
    about = {
        "run": published.run,
        "publishedAt": f"{published.at:%Y-%m-%dT%H:%M:%SZ}",
        "solutionVersionArn": published.version,
        "usersWithList": published.users,
    }
    with ExitStack() as stack:

        def kept(frame: DataFrame) -> DataFrame:
            stack.callback(frame.unpersist)
            return frame.persist()

        since = interactions.filter(F.col("TIMESTAMP") > published.timestamp)
        since = kept(since.select("USER_ID", "ITEM_ID"))
        lists = runtime.read_csv(published.csv, _LISTS, escape='"').filter(F.col("RANK") <= DEPTH)
        came_back = kept(lists.join(since.select("USER_ID").distinct(), "USER_ID", "left_semi"))
        (size,) = came_back.agg(
            F.countDistinct("ITEM_ID").alias("items"), F.max("RANK").alias("length")
        ).collect()
        if not size["items"]:
            return about | {"reason": _nobody(since.count())}
        events = kept(since.join(came_back.select("USER_ID").distinct(), "USER_ID", "left_semi"))
        wanted = kept(events.distinct())
        hits = came_back.join(wanted, ["USER_ID", "ITEM_ID"]).select("USER_ID", "RANK")
        popular = _popular_hits(runtime, published, wanted, size["length"])
        users, metrics = compared(wanted, hits, popular)
        return {
            **about,
            "users": users,
            "interactions": events.count(),
            "metrics": metrics | _coverage(published, size),
            "intervals": INTERVALS,
        }


def _nobody(interactions: int) -> str:
    if not interactions:
        return "there are no interactions since: nobody came back"
    return f"none of the users of the {interactions:,} interactions since has a list"


def _popular_hits(
    runtime: Runtime, published: Publication, wanted: DataFrame, length: int
) -> DataFrame | None:
    """Return USER_ID and RANK of the wanted items among the most popular ones of that time.

    The list of a user has no item that was excluded for the user: what is behind it moves up.
    None if the run that published did not keep its most popular items.
    """
    top = (published.manifest.get("popularity") or {}).get("top")
    if not top:
        return None
    ranks = wanted.sparkSession.createDataFrame(
        [(str(item), rank) for rank, (item, _) in enumerate(top, start=1)],
        "ITEM_ID string, place int",
    )
    found = wanted.join(F.broadcast(ranks), "ITEM_ID").select("USER_ID", "place")
    entry = (published.manifest.get("filter") or {}).get("exclusions")
    uri = runtime.folder.of(published.run).uri(entry["path"]) if entry else ""
    if not entry or not entry["rows"] or not exists(runtime.folder, uri):
        return found.filter(F.col("place") <= length).withColumnRenamed("place", "RANK")
    excluded = (
        runtime.read_csv(uri, _PAIRS, escape="\\")
        .join(F.broadcast(ranks), "ITEM_ID")
        .groupBy("USER_ID")
        .agg(F.collect_set("place").alias("without"))
    )
    before = F.size(F.filter("without", lambda place: place < F.col("place")))
    rank = F.col("place") - F.when(F.col("without").isNull(), 0).otherwise(before)
    return (
        found.join(excluded, "USER_ID", "left")
        .filter(~F.coalesce(F.array_contains("without", F.col("place")), F.lit(False)))
        .select("USER_ID", rank.alias("RANK"))
        .filter(F.col("RANK") <= length)
    )


def _coverage(published: Publication, size: Row) -> dict[str, Any]:
    """Return the share of that time's items in the lists of users who came back, if it is known."""
    popularity = published.manifest.get("popularity") or {}
    catalogue = popularity.get("items")
    if not catalogue:
        return {}
    popular = min(size["length"], len(popularity["top"]))
    shares = {"value": size["items"] / catalogue, "popularity": popular / catalogue}
    return {COVERAGE: {name: round(share, 6) for name, share in shares.items()}}


def counted_events(interactions: DataFrame, event_types: tuple[str, ...]) -> DataFrame:
    """Return the interactions that count as success: those of some types, or all of them."""
    if not event_types:
        return interactions
    return interactions.filter(F.col("EVENT_TYPE").isin(*event_types))
