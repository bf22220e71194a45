"""Metrics and their intervals: worked examples, exact oracles, and what an interval promises."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import boto3
import numpy as np
import pandas as pd
import pytest
from botocore import xform_name

from analysis import metrics
from recommenders import Popularity
from recommenders.evaluation.items import ranking_metrics

LISTS = pd.DataFrame(
    {
        "USER_ID": ["a"] * 5 + ["b"] * 2 + ["c"],
        "ITEM_ID": ["1", "2", "3", "4", "5", "1", "2", "1"],
        "RANK": [1, 2, 3, 4, 5, 1, 2, 1],
    }
)
LATER = pd.DataFrame({"USER_ID": ["a", "a", "a", "b", "new"], "ITEM_ID": ["2", "5", "2", "9", "1"]})


def seed() -> np.random.Generator:
    return np.random.default_rng(0)


def test_hits_at_two_and_five_score_as_personalize_documents_it() -> None:
    """The worked example of AWS's page: MRR 0.5, NDCG 0.6241, precision 0.4."""
    table = metrics.scores(LISTS, LATER).loc["a"]

    assert table["MRR@25"] == pytest.approx(0.5)
    assert table["NDCG@5"] == pytest.approx(0.6241, abs=1e-4)
    assert table["precision@5"] == pytest.approx(0.4)
    assert table["items"] == 2


def test_users_with_a_list_and_later_events_are_scored_and_no_others() -> None:
    table = metrics.scores(LISTS, LATER)

    assert table.index.to_list() == ["a", "b"]
    assert table.loc["b", metrics.metric_names()[1:]].to_list() == [0.0] * 7


def test_scores_are_those_of_the_local_personalize() -> None:
    random = np.random.default_rng(3)
    lists, later, hits, relevant = [], [], [], []
    for user in range(40):
        items = random.permutation(60)[:25]
        later_items = random.permutation(60)[: random.integers(1, 30)]
        lists += [(str(user), str(item), rank) for rank, item in enumerate(items, start=1)]
        later += [(str(user), str(item)) for item in later_items]
        hits.append(np.isin(items, later_items))
        relevant.append(len(later_items))

    table = metrics.scores(
        pd.DataFrame(lists, columns=["USER_ID", "ITEM_ID", "RANK"]),
        pd.DataFrame(later, columns=["USER_ID", "ITEM_ID"]),
    ).mean()

    expected = ranking_metrics(np.array(hits), np.array(relevant))
    for name, value in expected.items():
        assert table[metrics.short_name(name)] == pytest.approx(value)


def test_an_interval_covers_the_true_value_at_its_confidence() -> None:
    random, held = np.random.default_rng(1), 0
    for _ in range(200):
        drawn = pd.DataFrame({"precision@5": random.binomial(5, 0.3, 80) / 5})
        row = metrics.intervals(drawn, random=random, resamples=200).iloc[0]
        held += row["low"] <= 0.3 <= row["high"]

    assert 180 <= held <= 198


def test_many_users_get_the_normal_interval() -> None:
    drawn = pd.DataFrame({"precision@5": np.random.default_rng(1).random(30_000)})

    row = metrics.intervals(drawn, random=seed()).iloc[0]

    half = 1.96 * drawn["precision@5"].std() / 30_000**0.5
    assert row["high"] - row["value"] == pytest.approx(half, rel=1e-3)


def test_without_returning_users_metrics_are_missing_not_zero() -> None:
    table = metrics.intervals(metrics.scores(LISTS, LATER.iloc[:0]), random=seed())

    assert table["users"].to_list() == [0] * 7
    assert table[["value", "low", "high"]].isna().all(axis=None)


def test_a_gain_is_measured_user_by_user() -> None:
    """Users differ widely, the gain hardly: its interval is narrow."""
    base = pd.DataFrame({"NDCG@5": np.linspace(0, 0.8, 50)}, index=[str(i) for i in range(50)])
    better = base + 0.1

    row = metrics.gain(better, base, random=seed()).iloc[0]

    assert row["value"] == pytest.approx(0.1)
    assert row["high"] - row["low"] == pytest.approx(0, abs=1e-9)


def test_the_bound_holds_for_any_values_between_zero_and_one() -> None:
    random = np.random.default_rng(2)
    for values in (random.random(50), random.integers(0, 2, 50), random.beta(0.2, 2, 50)):
        low, high = metrics.bounded(float(values.mean()), 50)
        assert high - values.mean() >= 1.95 * values.std() / 50**0.5 or high == 1.0
        assert low <= values.mean() <= high


def test_a_bound_stays_between_zero_and_one() -> None:
    assert metrics.bounded(0.01, 5) == (0.0, pytest.approx(0.0972, abs=1e-4))
    assert metrics.bounded(0.0, 5) == (0.0, 0.0)


def test_popular_lists_keep_the_same_rules() -> None:
    events = pd.DataFrame({"USER_ID": list("aaabbc"), "ITEM_ID": ["1", "2", "3", "1", "2", "1"]})

    table = metrics.popular_lists(
        events,
        ["a", "b"],
        keep=2,
        eligible=frozenset({"1", "3", "2"}),
        exclusions=pd.DataFrame({"USER_ID": ["b"], "ITEM_ID": ["1"]}),
    )

    assert list(table.itertuples(index=False, name=None)) == [
        ("a", "1", 1),
        ("a", "2", 2),
        ("b", "2", 1),
        ("b", "3", 2),
    ]


def run(events: pd.DataFrame, lists: pd.DataFrame, newest: int) -> Any:
    return SimpleNamespace(
        interactions=events,
        recommendations=lists,
        newest_event=newest,
        eligible_items=None,
        exclusions=pd.DataFrame({"USER_ID": [], "ITEM_ID": []}),
    )


def test_the_earlier_lists_are_judged_by_later_events_alone() -> None:
    known = pd.DataFrame({"USER_ID": ["a", "b"], "ITEM_ID": ["9", "9"], "TIMESTAMP": [10, 20]})
    came = pd.DataFrame({"USER_ID": ["a", "b"], "ITEM_ID": ["1", "2"], "TIMESTAMP": [30, 31]})
    previous = run(known, LISTS, 20)
    latest = run(pd.concat([known, came]), LISTS, 31)

    table = metrics.on_later_events(previous, latest, keep=25, random=seed()).set_index(
        ["list", "metric"]
    )

    assert table.loc[("published", "MRR@25"), "value"] == pytest.approx((1 + 1 / 2) / 2)
    assert table.loc[("most popular", "MRR@25"), "value"] == 0
    assert table.loc[("difference", "MRR@25"), "value"] == pytest.approx(0.75)
    assert table.loc[("published", "MRR@25"), "users"] == 2


def test_a_run_compared_with_itself_has_no_later_events() -> None:
    known = pd.DataFrame({"USER_ID": ["a"], "ITEM_ID": ["9"], "TIMESTAMP": [10]})
    only = run(known, LISTS, 10)

    assert metrics.on_later_events(only, only, keep=25, random=seed())["users"].max() == 0


def cycles(users: int, *, turns: int) -> pd.DataFrame:
    """Return events of users who take the items of their own half of ten in turn, a second apart.

    Who they are and what they take is foreign to the sample database.
    """
    rows = [
        (f"user {user}", f"sku-{user % 2}{(user + turn) % 5}", turn * users + user)
        for turn in range(turns)
        for user in range(users)
    ]
    return pd.DataFrame(rows, columns=["USER_ID", "ITEM_ID", "TIMESTAMP"])


def test_a_split_in_time_leaves_the_newest_share_of_the_events() -> None:
    interactions = cycles(60, turns=10)

    split = metrics.split_time(interactions, share=0.1)

    assert (interactions["TIMESTAMP"] > split).sum() == 60
    assert metrics.split_time(interactions.assign(TIMESTAMP=7)) == 7


def test_a_trained_model_is_judged_on_what_came_after_the_split() -> None:
    """Each user's next item is known from the user's own half, popularity knows no halves."""
    interactions = cycles(60, turns=10)

    table = metrics.on_time_split(
        interactions, metrics.split_time(interactions, share=0.1), random=seed()
    ).set_index(["list", "metric"])

    assert table.loc[("trained model", "precision@5"), "value"] == pytest.approx(1 / 5)
    assert table.loc[("most popular", "precision@5"), "value"] == pytest.approx(1 / 10)
    assert table.loc[("difference", "precision@5"), "low"] > 0
    assert table.loc[("difference", "precision@5"), "users"] == 60


def test_a_model_of_ones_own_is_judged_by_a_split_too() -> None:
    interactions = cycles(60, turns=10)

    table = metrics.on_time_split(interactions, 539, model=Popularity(), random=seed()).set_index(
        ["list", "metric"]
    )

    assert table.loc["difference", "value"].abs().max() == 0


def test_events_of_one_moment_have_no_later_ones() -> None:
    table = metrics.on_time_split(cycles(60, turns=2).assign(TIMESTAMP=7), 7, random=seed())

    assert table["users"].max() == 0


def client(operations: Any) -> Any:
    """Return a boto3 client of Personalize whose requests an object handles."""
    made = boto3.client(
        "personalize",
        region_name="ap-northeast-1",
        aws_access_key_id="none",
        aws_secret_access_key="none",
    )

    def answer(model: Any, params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
        operation = getattr(operations, xform_name(model.name))
        return SimpleNamespace(status_code=200), operation(**json.loads(params["body"]))

    made.meta.events.register("before-call.personalize", answer)
    return made


class Personalize:
    """Two solutions, the first on a second page; a version that is still in training."""

    def list_solutions(self, datasetGroupArn: str, nextToken: str = "") -> dict[str, Any]:  # noqa: N803
        assert datasetGroupArn == "arn:group"
        if not nextToken:
            return {
                "solutions": [{"name": "shop-popularity", "solutionArn": "arn:popular"}],
                "nextToken": "2",
            }
        return {"solutions": [{"name": "shop", "solutionArn": "arn:shop"}]}

    def list_solution_versions(self, solutionArn: str) -> dict[str, Any]:  # noqa: N803
        def version(name: str, day: int, status: str = "ACTIVE") -> dict[str, Any]:
            return {
                "solutionVersionArn": f"{solutionArn}/{name}",
                "status": status,
                "creationDateTime": datetime(2024, 6, day, tzinfo=UTC),
            }

        if solutionArn == "arn:popular":
            return {"solutionVersions": [version("p1", 9)]}
        return {
            "solutionVersions": [
                version("v1", 1),
                version("v2", 2),
                version("v3", 3),
                version("v4", 4, "CREATE IN_PROGRESS"),
            ]
        }

    def describe_solution_version(self, solutionVersionArn: str) -> dict[str, Any]:  # noqa: N803
        name = "popularity-count" if "popular" in solutionVersionArn else "user-personalization"
        return {"solutionVersion": {"recipeArn": f"arn:aws:personalize:::recipe/aws-{name}"}}

    def get_solution_metrics(self, solutionVersionArn: str) -> dict[str, Any]:  # noqa: N803
        value = 0.1 if "popular" in solutionVersionArn else 0.2
        return {
            "metrics": {
                "coverage": 0.5,
                "mean_reciprocal_rank_at_25": value,
                **{f"normalized_discounted_cumulative_gain_at_{k}": value for k in (5, 10, 25)},
                **{f"precision_at_{k}": value for k in (5, 10, 25)},
            }
        }


def test_versions_come_newest_first_and_baselines_last() -> None:
    table = metrics.version_metrics(client(Personalize()), "arn:group", per_solution=2)

    assert table["version"].to_list() == ["v3", "v2", "p1"]
    assert table["baseline"].to_list() == [False, False, True]
    assert table["recipe"].to_list()[-1] == "aws-popularity-count"
    assert table["NDCG@10"].to_list() == [0.2, 0.2, 0.1]


def test_versions_stand_side_by_side_with_their_bounds() -> None:
    versions = metrics.version_metrics(client(Personalize()), "arn:group", per_solution=2)

    table = metrics.side_by_side(versions, test_users=100).set_index(["metric", "list"])

    row = table.loc[("MRR@25", "shop, latest")]
    assert (row["value"], row["low"], row["high"]) == pytest.approx((0.2, 0.1216, 0.2784), abs=1e-4)
    assert table.loc[("MRR@25", "shop, 1 before"), "value"] == 0.2
    assert table.loc[("MRR@25", "shop-popularity, latest"), "value"] == 0.1
    assert np.isnan(table.loc[("coverage", "shop, latest"), "low"])


def test_a_dataset_group_without_versions_gives_an_empty_table() -> None:
    nothing = SimpleNamespace(list_solutions=lambda **_: {"solutions": []})

    empty = metrics.version_metrics(client(nothing), "arn:group")

    assert empty.empty
    assert metrics.side_by_side(empty, test_users=10).empty
