"""Agreement of data sets and lists: what is found, what is warned of, what ends the job."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from pyspark.sql import DataFrame, SparkSession

from etl.agreement import judge, shares
from etl.datasets import (
    Agreement,
    Column,
    DataSet,
    JobSpec,
    Lookup,
    RecommenderLists,
    Relation,
)
from etl.errors import EtlError

SPEC = JobSpec(
    engine="postgresql",
    datasets=(DataSet("INTERACTIONS", Relation("events"), (Column("USER_ID", "u"),)),),
    batch_input=Lookup("batch-input/", Relation("users"), {"USER_ID": "id"}),
    event_types={"batch_inference.personalize_filter": ("buy", "aply")},
)


def users(spark: SparkSession, ids: Sequence[str]) -> DataFrame:
    return spark.createDataFrame([(each,) for each in ids], "USER_ID string")


def items(spark: SparkSession, ids: Sequence[str]) -> DataFrame:
    return spark.createDataFrame([(each,) for each in ids], "ITEM_ID string")


def events(spark: SparkSession, *rows: tuple[str, str, str | None]) -> DataFrame:
    return spark.createDataFrame(list(rows), "USER_ID string, ITEM_ID string, EVENT_TYPE string")


def pairs(spark: SparkSession, *rows: tuple[str, str]) -> DataFrame:
    return spark.createDataFrame(list(rows), "USER_ID string, ITEM_ID string")


def frames(spark: SparkSession) -> dict[str, DataFrame]:
    return {
        "USERS": users(spark, ["1", "2", "3"]),
        "ITEMS": items(spark, ["a", "b", "c"]),
        "INTERACTIONS": events(
            spark,
            ("1", "a", "view"),
            ("1", "b", "buy"),
            ("1", "z", "view"),
            ("9", "a", "view"),
            ("2", "z", None),
        ),
        "batchInput": users(spark, ["1", "2", "3", "9", "10"]),
        "eligibleItems": items(spark, ["a", "b", "z", "y"]),
        "exclusions": pairs(spark, ("1", "a"), ("3", "z"), ("77", "a"), ("77", "b "), ("77", "a ")),
    }


def test_every_share_is_counted_in_one_pass(spark: SparkSession) -> None:
    found, event_types = shares(SPEC, frames(spark))
    assert (list(event_types.rows.items()), event_types.number) == ([("view", 3), ("buy", 1)], 2)
    assert [(share.check, share.found, share.of) for share in found] == [
        ("users of the batch input that have interactions", 3, 5),
        ("interactions whose user is in USERS", 4, 5),
        ("interactions whose item is in ITEMS", 3, 5),
        ("eligible items that are in ITEMS", 2, 4),
        ("exclusions whose user is known", 2, 5),
        ("exclusions whose item is known", 3, 5),
        ("event types of batch_inference.personalize_filter that occur", 1, 2),
    ]


def test_items_may_be_known_by_their_description_alone(spark: SparkSession) -> None:
    spec = replace(SPEC, batch_input=Lookup("batch-input/", Relation("i"), {"ITEM_ID": "id"}))
    given = {**frames(spark), "batchInput": items(spark, ["a", "c", "z", "new"])}
    first = shares(spec, given)[0][0]
    assert (first.check, first.found, first.of) == (
        "items of the batch input that have interactions or are in ITEMS",
        3,
        4,
    )


def test_a_low_share_warns_and_one_below_its_bound_ends_the_job(spark: SparkSession) -> None:
    found, _ = shares(SPEC, frames(spark))
    warnings = [warning for _, warning in judge(found, Agreement(warn_below=0.6)) if warning]
    assert warnings == [
        "eligible items that are in ITEMS: 2 of 4 (50.0%); check filter.eligible_items: is its"
        " item_id written as in the data sets, and does its filter let items through?",
        "exclusions whose user is known: 2 of 5 (40.0%); check filter.exclusions.user_id: is it"
        " written as in the data sets?",
        "event types of batch_inference.personalize_filter that occur: 1 of 2 (50.0%); no"
        " interaction is of the type aply; there are buy, view",
    ]
    with pytest.raises(EtlError) as caught:
        list(judge(found, Agreement(batch_input=0.61, event_types=0.5)))
    assert caught.value.problems == (
        "users of the batch input that have interactions: 3 of 5 (60.0%), less than"
        " agreement.batch_input = 61.0%; check batch_inference.user_id: is the id written as in"
        " datasets.interactions.columns.USER_ID?; lower agreement.batch_input if it is right so",
    )


def test_ids_that_are_padded_in_one_table_match_nothing(spark: SparkSession) -> None:
    """As `CHAR(n)` gives them: every user would have got the same list, and the run was green."""
    given = {**frames(spark), "batchInput": users(spark, ["1   ", "2   ", "9   "])}
    with pytest.raises(EtlError, match=r"0 of 3 \(0\.0%\), less than agreement\.batch_input"):
        list(judge(shares(SPEC, given)[0], Agreement(batch_input=0.1)))


def test_what_does_not_occur_in_a_part_of_the_interactions_is_not_missing(
    spark: SparkSession,
) -> None:
    given = frames(spark)
    found, _ = shares(SPEC, given, is_partial=True)
    assert [share.check for share in found] == [
        "interactions whose user is in USERS",
        "interactions whose item is in ITEMS",
        "eligible items that are in ITEMS",
        "exclusions whose user is known",
        "exclusions whose item is known",
    ]
    described = {name: given[name] for name in given if name not in {"USERS", "ITEMS"}}
    assert shares(SPEC, described, is_partial=True)[0] == []


def test_lists_of_each_recommender_are_counted_by_themselves(spark: SparkSession) -> None:
    given = frames(spark)
    own = RecommenderLists(
        batch_input=Lookup("similar/batch-input/", Relation("i"), {"ITEM_ID": "id"})
    )
    given |= {"similar.batchInput": items(spark, ["a", "z", "new"])}
    found, _ = shares(replace(SPEC, event_types={}, recommenders={"similar": own}), given)
    assert [(share.check, share.found, share.of) for share in found[:1] + found[-1:]] == [
        ("users of the batch input that have interactions", 3, 5),
        ("items of the batch input of similar that have interactions or are in ITEMS", 2, 3),
    ]
