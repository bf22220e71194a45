"""Whether data sets and lists speak of the same users, items and types of events.

A column that is written otherwise in one table than in another (`7` and `007`, `view` and a padded
`view`) matches nothing, and nothing fails: everybody would get the same list. So the shares of ids
that are found where they must be are counted before anything is imported.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import TypeAlias

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F  # noqa: N812  the name that every Spark reader knows

from etl.datasets import Agreement, JobSpec
from etl.errors import EtlError, listing
from etl.sources import of_recommender, recommender_key

_ID, _SIDE = "id", "side"
_SIDES: Mapping[str, tuple[str, str]] = {
    "USER_ID": ("users", "USERS"),
    "ITEM_ID": ("items", "ITEMS"),
}
_COUNTED = ("INTERACTIONS", "described", "batchInput", "eligibleItems", "exclusions")


@dataclass(frozen=True)
class Share:
    """A share of ids, rows or names that are found where they must be.

    Attributes:
        check: What is counted, for example `users of the batch input that have interactions`.
        key: The bound's key below `agreement`.
        found: How many are found.
        of: How many there are.
        advice: What to check if too few are found.
        needs_all_interactions: Whether it is looked for in the interactions.
    """

    check: str
    key: str
    found: int
    of: int
    advice: str
    needs_all_interactions: bool = False

    @property
    def value(self) -> float:
        """The share, 0..1; 0 of nothing."""
        return self.found / self.of if self.of else 0.0

    def __str__(self) -> str:
        return f"{self.check}: {self.found:,} of {self.of:,} ({self.value:.1%})"


def shares(
    spec: JobSpec,
    frames: Mapping[str, DataFrame],
    event_types: Collection[str],
    *,
    is_partial: bool = False,
) -> list[Share]:
    """Run a Spark job: count what is found where it must be.

    Args:
        spec: The job's specification.
        frames: Source name → its accepted rows; they are best cached.
        event_types: Those of the interactions.
        is_partial: Whether the interactions are not all of them. What does not occur in a part of
            them is not missing: such a share is left out.
    """
    first = of_recommender(frames, "")
    counts = _counts(first)
    found = [
        *_batch_shares(spec, first, counts),
        *_interaction_shares(first, counts),
        *_filter_shares(first, counts),
        *_event_type_shares(spec, event_types),
    ]
    for name in spec.recommenders:
        own = of_recommender(frames, name)
        counts = _counts(own)
        found += _batch_shares(spec.of_recommender(name), own, counts, name)
        found += _filter_shares(own, counts, name)
    if not is_partial:
        return found
    return [share for share in found if share.of and not share.needs_all_interactions]


_Counts: TypeAlias = Mapping[str, Mapping[str, int]]


def _batch_shares(
    spec: JobSpec, frames: Mapping[str, DataFrame], counts: _Counts, recommender: str = ""
) -> Iterator[Share]:
    if "INTERACTIONS" not in frames:
        return
    (name,) = spec.batch_input.columns
    noun, data_set = _SIDES[name]
    # Nothing is known of a user without interactions; an item may be known by its description.
    is_item = name == "ITEM_ID"
    yield Share(
        f"{noun} of the batch input{_owner(recommender)} that have interactions"
        + (f" or are in {data_set}" if is_item else ""),
        "batch_input",
        counts[name]["batch known" if is_item else "batch active"],
        counts[name]["batch"],
        f"check {recommender_key(recommender, f'batch_inference.{name.lower()}')}:"
        " is the id written as in"
        f" datasets.interactions.columns.{name}?",
        needs_all_interactions=True,
    )


def _interaction_shares(frames: Mapping[str, DataFrame], counts: _Counts) -> Iterator[Share]:
    for name, (noun, data_set) in _SIDES.items():
        if "INTERACTIONS" in frames and data_set in frames:
            yield Share(
                f"interactions whose {noun[:-1]} is in {data_set}",
                f"interaction_{noun}",
                counts[name]["described events"],
                counts[name]["events"],
                f"check datasets.{noun}.filter, and at {name} of both data sets: are the ids"
                " written alike?",
            )


def _filter_shares(
    frames: Mapping[str, DataFrame], counts: _Counts, recommender: str = ""
) -> Iterator[Share]:
    key = recommender_key(recommender, "filter")
    if "eligibleItems" in frames:
        is_described = "ITEMS" in frames
        yield Share(
            f"eligible items{_owner(recommender)} that"
            f" {'are in ITEMS' if is_described else 'have interactions'}",
            "eligible_items",
            counts["ITEM_ID"]["eligible described" if is_described else "eligible active"],
            counts["ITEM_ID"]["eligible"],
            f"check {key}.eligible_items: is its item_id written as in the data sets, and does"
            " its filter let items through?",
            needs_all_interactions=not is_described,
        )
    for name, (noun, data_set) in _SIDES.items():
        # No pairs at all are right where nobody has bought anything yet.
        if "exclusions" in frames and counts[name]["pairs"]:
            yield Share(
                f"exclusions{_owner(recommender)} whose {noun[:-1]} is known",
                "exclusions",
                counts[name]["known pairs"],
                counts[name]["pairs"],
                f"check {key}.exclusions.{name.lower()}: is it written as in the data sets?",
                needs_all_interactions=data_set not in frames,
            )


def _owner(recommender: str) -> str:
    return f" of {recommender}" if recommender else ""


def _event_type_shares(spec: JobSpec, event_types: Collection[str]) -> Iterator[Share]:
    known = set(event_types)
    for key, names in spec.event_types.items():
        missing = sorted(set(names) - known)
        yield Share(
            f"event types of {key} that occur",
            "event_types",
            len(names) - len(missing),
            len(names),
            f"no interaction is of the type {listing(missing)}; there are"
            f" {listing(sorted(known)) or 'none'}",
            needs_all_interactions=True,
        )


def _counts(frames: Mapping[str, DataFrame]) -> dict[str, dict[str, int]]:
    """Return by the column of an id: counts of ids and of rows, by one pass over all frames."""
    columns = [
        frame.select(
            F.lit(name).alias(_SIDE),
            F.col(name).alias(_ID),
            *(
                F.lit(int(each == ("described" if source == data_set else source))).alias(each)
                for each in _COUNTED
            ),
        )
        for name, (_, data_set) in _SIDES.items()
        for source, frame in frames.items()
        if name in frame.columns
    ]
    by_id = (
        reduce(DataFrame.unionByName, columns)
        .groupBy(_SIDE, _ID)
        .agg(*(F.sum(name).alias(name) for name in _COUNTED))
    )
    is_active, is_described = F.col("INTERACTIONS") > 0, F.col("described") > 0
    in_batch, is_eligible = F.col("batchInput") > 0, F.col("eligibleItems") > 0
    is_known = is_active | is_described | in_batch
    rows: list[Row] = (
        by_id.groupBy(_SIDE)
        .agg(
            F.sum("INTERACTIONS").alias("events"),
            F.sum(F.when(is_described, F.col("INTERACTIONS")).otherwise(0)).alias(
                "described events"
            ),
            F.count_if(in_batch).alias("batch"),
            F.count_if(in_batch & is_active).alias("batch active"),
            F.count_if(in_batch & (is_active | is_described)).alias("batch known"),
            F.count_if(is_eligible).alias("eligible"),
            F.count_if(is_eligible & is_active).alias("eligible active"),
            F.count_if(is_eligible & is_described).alias("eligible described"),
            F.sum("exclusions").alias("pairs"),
            F.sum(F.when(is_known, F.col("exclusions")).otherwise(0)).alias("known pairs"),
        )
        .collect()
    )
    return {row[_SIDE]: row.asDict() for row in rows}


def judge(found: Collection[Share], bounds: Agreement) -> Iterator[tuple[Share, str]]:
    """Yield each share with a warning, empty for a share that is high enough.

    Raises:
        EtlError: If shares are below their bounds, naming all of them.
    """
    low = [share for share in found if share.value < bounds.least(share.key)]
    if low:
        raise EtlError(
            *(
                f"{share}, less than agreement.{share.key} = {bounds.least(share.key):.1%};"
                f" {share.advice}; lower agreement.{share.key} if it is right so"
                for share in low
            )
        )
    for share in found:
        warns = share.value < bounds.warn_below
        yield share, f"{share}; {share.advice}" if warns else ""
