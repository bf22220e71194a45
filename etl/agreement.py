"""Whether data sets and lists speak of the same users, items and types of events.

A column that is written otherwise in one table than in another (`7` and `007`, `view` and a padded
`view`) matches nothing, and nothing fails: everybody would get the same list. So the shares of ids
that are found where they must be are counted before anything is imported.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeAlias

from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812  the name that every Spark reader knows

from etl.datasets import DATASET_TYPES, Agreement, JobSpec
from etl.errors import EtlError, listing
from etl.projection import quote_name
from etl.sources import of_recommender, recommender_key

_EVENT_TYPE = "EVENT_TYPE"
_ID, _SIDE = "id", "side"
_SIDES: Mapping[str, tuple[str, str]] = {
    "USER_ID": ("users", "USERS"),
    "ITEM_ID": ("items", "ITEMS"),
}
_DESCRIBED = "described"
# Most event types that are named.
_EVENT_TYPES = 100


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


@dataclass(frozen=True)
class EventTypes:
    """The event types of the interactions.

    Attributes:
        rows: Event type → its rows, the most frequent first, at most a hundred.
        number: How many event types there are.
    """

    rows: Mapping[str, int]
    number: int


def shares(
    spec: JobSpec, frames: Mapping[str, DataFrame], *, is_partial: bool = False
) -> tuple[list[Share], EventTypes]:
    """Run a Spark job: count what is found where it must be, and the types of events.

    Args:
        spec: The job's specification.
        frames: Source name → its accepted rows.
        is_partial: Whether the interactions are not all of them. What does not occur in a part of
            them is not missing: such a share is left out.
    """
    by_owner, event_types = _counts(frames, ["", *spec.recommenders])
    first, counts = of_recommender(frames, ""), by_owner[""]
    found = [
        *_batch_shares(spec, first, counts),
        *_interaction_shares(first, counts),
        *_filter_shares(first, counts),
        *_event_type_shares(spec, event_types.rows),
    ]
    for name in spec.recommenders:
        own, counts = of_recommender(frames, name), by_owner[name]
        found += _batch_shares(spec.of_recommender(name), own, counts, name)
        found += _filter_shares(own, counts, name)
    if is_partial:
        found = [share for share in found if share.of and not share.needs_all_interactions]
    return found, event_types


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


def _counts(
    frames: Mapping[str, DataFrame], owners: Collection[str]
) -> tuple[dict[str, dict[str, dict[str, int]]], EventTypes]:
    """Return by recommender and the column of an id: counts of ids and of rows; by one pass."""
    counted = ["INTERACTIONS", _DESCRIBED, *(name for name in frames if name not in DATASET_TYPES)]
    by_id = (
        reduce(DataFrame.unionByName, _ids(frames, counted))
        .groupBy(_SIDE, _ID)
        .agg(*(F.sum(quote_name(name)).alias(name) for name in counted))
    )
    is_type = (F.col(_SIDE) == _EVENT_TYPE) & F.col(_ID).isNotNull()
    types = F.array_agg(F.when(is_type, F.struct(F.col("INTERACTIONS"), F.col(_ID))))
    rows = (
        by_id.groupBy(_SIDE)
        .agg(
            *(
                count.alias(f"{owner}.{name}")
                for owner in owners
                for name, count in _counts_of(owner, counted).items()
            ),
            F.count_if(is_type).alias("number"),
            F.slice(F.sort_array(types, asc=False), 1, _EVENT_TYPES).alias("types"),
        )
        .collect()
    )
    by_side: dict[str, dict[str, Any]] = {row[_SIDE]: row.asDict() for row in rows}
    of_types = by_side.pop(_EVENT_TYPE, {"types": (), "number": 0})
    counts = {
        owner: {
            side: {name: row[f"{owner}.{name}"] for name in _counts_of(owner, counted)}
            for side, row in by_side.items()
        }
        for owner in owners
    }
    return counts, EventTypes({name: n for n, name in of_types["types"]}, of_types["number"])


def _ids(frames: Mapping[str, DataFrame], counted: Collection[str]) -> Iterator[DataFrame]:
    """Yield by frame and column of ids: the column, the id, and its rows in what it counts as."""
    for source, frame in frames.items():
        sides = [name for name, (_, described) in _SIDES.items() if source in {described, *counted}]
        counts_as = _DESCRIBED if source in ("USERS", "ITEMS") else source
        if source == "INTERACTIONS":
            sides.append(_EVENT_TYPE)
        for side in sides:
            if side in frame.columns:
                ids = frame.select(F.lit(side).alias(_SIDE), F.col(side).alias(_ID))
                rows: Expression = F.lit(1)
                if source == "INTERACTIONS":  # so many that a row has to cost little
                    ids, rows = ids.groupBy(_ID).agg(F.count(F.lit(1)).alias("rows")), F.col("rows")
                yield ids.select(
                    F.lit(side).alias(_SIDE),
                    _ID,
                    *((rows if each == counts_as else F.lit(0)).alias(each) for each in counted),
                )


def _counts_of(owner: str, counted: Collection[str]) -> dict[str, Expression]:
    """Return what is counted of the ids of a recommender: name → an aggregate."""

    def rows(name: str) -> Expression:
        return F.col(quote_name(name)) if name in counted else F.lit(0)

    def rows_of_list(name: str) -> Expression:
        return rows(f"{owner}.{name}".removeprefix("."))

    events, pairs = rows("INTERACTIONS"), rows_of_list("exclusions")
    is_active, is_described = events > 0, rows(_DESCRIBED) > 0
    in_batch, is_eligible = rows_of_list("batchInput") > 0, rows_of_list("eligibleItems") > 0
    is_known = is_active | is_described | in_batch
    return {
        "events": F.sum(events),
        "described events": F.sum(F.when(is_described, events).otherwise(0)),
        "batch": F.count_if(in_batch),
        "batch active": F.count_if(in_batch & is_active),
        "batch known": F.count_if(in_batch & (is_active | is_described)),
        "eligible": F.count_if(is_eligible),
        "eligible active": F.count_if(is_eligible & is_active),
        "eligible described": F.count_if(is_eligible & is_described),
        "pairs": F.sum(pairs),
        "known pairs": F.sum(F.when(is_known, pairs).otherwise(0)),
    }


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
