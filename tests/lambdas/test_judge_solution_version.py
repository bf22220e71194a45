"""The quality gate: each rule, the decision, the record, and what is published of it."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.stub import Stubber

from lambdas.errors import InvalidInputException, QualityGateFailed
from lambdas.filter_recommendations import degradation
from lambdas.judge_solution_version import judge_solution_version
from tests.lambdas.sample_run import MANIFEST, RUN, SOLUTION, get, put

NDCG = "normalized_discounted_cumulative_gain_at_10"
NEW, LAST = f"{SOLUTION}/new", f"{SOLUTION}-v1/last"
NOW = datetime(2024, 6, 2, 4, 0, 7, tzinfo=UTC)


def publish(s3: Any, *, record: dict[str, Any] | None = None) -> None:
    """Put the publication of an earlier run, and the record of its gate."""
    latest = {"run": "2024-05-31", "solutionVersionArn": LAST}
    s3.put_object(Bucket="bucket", Key="recommendations/latest.json", Body=json.dumps(latest))
    if record is not None:
        key = "runs/2024-05-31/record/gate.json"
        s3.put_object(Bucket="bucket", Key=key, Body=json.dumps(record))


def expect(calls: Stubber, arn: str, **metrics: float) -> None:
    response = {"solutionVersionArn": arn, "metrics": metrics}
    calls.add_response("get_solution_metrics", response, {"solutionVersionArn": arn})


def expect_deleted(calls: Stubber, arn: str) -> None:
    calls.add_client_error(
        "get_solution_metrics",
        "ResourceNotFoundException",
        expected_params={"solutionVersionArn": arn},
    )


def judge(
    s3: Any,
    personalize: Any,
    metrics: dict[str, Any] | None = None,
    backtest: dict[str, Any] | None = None,
    *,
    on_failure: str = "keep",
    has_rivals: bool = False,
    measured: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Judge a version; `measured` is what the Spark job added to the manifest."""
    put(s3, "manifest.json", json.dumps(MANIFEST | (measured or {})))
    event = {
        "bucket": "bucket",
        "run": RUN,
        "solutionVersionArn": NEW,
        "onFailure": on_failure,
        "metrics": metrics or {},
        "backtest": backtest or {},
        "hasRivals": has_rivals,
    }
    return judge_solution_version(s3, personalize, event, now=NOW)


def record(s3: Any) -> Any:
    return json.loads(get(s3, f"runs/{RUN}/record/gate.json"))


def test_a_version_that_meets_every_rule_is_served(
    s3: Any, personalize: Any, calls: Stubber
) -> None:
    publish(s3)
    expect(calls, NEW, **{NDCG: 0.18, "coverage": 0.5})
    expect(calls, LAST, **{NDCG: 0.2, "coverage": 0.4})

    decided = judge(
        s3,
        personalize,
        {
            NDCG: {"minimum": 0.18, "greatest_drop": 0.1, "better_than_popularity": True},
            "coverage": {"greatest_drop": 0},
        },
        measured={"popularityBaseline": {"users": 100, "metrics": {NDCG: 0.17}}},
    )

    assert decided == {"decision": "publish", "reason": "", "served": {"arn": NEW}}
    written = record(s3)
    assert [(rule["rule"], rule["bound"], rule["met"]) for rule in written.pop("rules")] == [
        ("minimum", 0.18, True),
        ("greatest_drop", 0.18, True),
        ("better_than_popularity", 0.17, True),
        ("greatest_drop", 0.4, True),
    ]
    assert written == {
        "run": RUN,
        "decision": "publish",
        "reason": "",
        "degraded": False,
        "solutionVersionArn": NEW,
        "metrics": {NDCG: 0.18, "coverage": 0.5},
        "served": {"solutionVersionArn": NEW, "metrics": {NDCG: 0.18, "coverage": 0.5}},
        "published": {
            "run": "2024-05-31",
            "arn": LAST,
            "metrics": {NDCG: 0.2, "coverage": 0.4},
            "source": "Personalize",
            "exists": True,
        },
        "popularity": {"run": RUN, "users": 100, "metrics": {NDCG: 0.17}},
        "judgedBy": {
            "metrics": {
                NDCG: {"minimum": 0.18, "greatest_drop": 0.1, "better_than_popularity": True},
                "coverage": {"greatest_drop": 0},
            },
            "backtest": {},
        },
        "judgedAt": "2024-06-02T04:00:07Z",
    }
    assert degradation(s3, "bucket", RUN) == {}


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"minimum": 0.2}, f"{NDCG} is 0.1500, minimum 0.2"),
        (
            {"greatest_drop": 0.1},
            f"{NDCG} is 0.1500, 25.0% less than the 0.2000 of the last published version,"
            " greatest_drop 10.0%",
        ),
        (
            {"better_than_popularity": True},
            f"{NDCG} is 0.1500, that of the most popular items 0.1500",
        ),
    ],
)
def test_a_worse_version_leaves_the_place_to_the_last_one(
    s3: Any, personalize: Any, calls: Stubber, rule: dict[str, Any], reason: str
) -> None:
    publish(s3)
    expect(calls, NEW, **{NDCG: 0.15})
    expect(calls, LAST, **{NDCG: 0.2})
    popular = {"popularityBaseline": {"metrics": {NDCG: 0.15}}}

    decided = judge(s3, personalize, {NDCG: rule}, measured=popular)

    assert decided == {"decision": "keep", "reason": reason, "served": {"arn": LAST}}
    assert record(s3)["served"] == {"solutionVersionArn": LAST, "metrics": {NDCG: 0.2}}
    assert degradation(s3, "bucket", RUN) == {
        "degraded": {"reason": reason, "refusedSolutionVersionArn": NEW}
    }


def test_a_worse_version_fails_the_run_if_it_is_to(
    s3: Any, personalize: Any, calls: Stubber
) -> None:
    publish(s3)
    expect(calls, NEW, **{NDCG: 0.15})
    expect(calls, LAST, **{NDCG: 0.2})

    with pytest.raises(QualityGateFailed) as caught:
        judge(s3, personalize, {NDCG: {"minimum": 0.2}}, on_failure="fail")

    assert str(caught.value) == (
        f"{NDCG} is 0.1500, minimum 0.2; the published lists stay as they were"
    )
    assert (record(s3)["decision"], record(s3)["served"]) == ("fail", None)


def test_the_first_run_is_judged_by_the_minimum_alone(
    s3: Any, personalize: Any, calls: Stubber
) -> None:
    rules = {NDCG: {"minimum": 0.1, "greatest_drop": 0.1}}
    expect(calls, NEW, **{NDCG: 0.15})

    assert judge(s3, personalize, rules)["decision"] == "publish"
    (_, dropped) = record(s3)["rules"]
    assert dropped["met"] is None
    assert dropped["text"] == f"{NDCG}: nothing is published yet that it could have dropped from"

    expect(calls, NEW, **{NDCG: 0.05})
    with pytest.raises(QualityGateFailed) as caught:
        judge(s3, personalize, rules)
    assert str(caught.value) == (
        f"{NDCG} is 0.0500, minimum 0.1; no version of Personalize is published, so that there is"
        " none to keep"
    )


def test_a_deleted_version_is_known_by_its_run_s_record_and_cannot_be_kept(
    s3: Any, personalize: Any, calls: Stubber
) -> None:
    rules = {NDCG: {"greatest_drop": 0.1}}
    publish(s3, record={"served": {"solutionVersionArn": LAST, "metrics": {NDCG: 0.2}}})
    expect(calls, NEW, **{NDCG: 0.19})
    expect_deleted(calls, LAST)

    assert judge(s3, personalize, rules)["decision"] == "publish"
    assert record(s3)["published"] == {
        "run": "2024-05-31",
        "arn": LAST,
        "metrics": {NDCG: 0.2},
        "source": "runs/2024-05-31/record/gate.json",
        "exists": False,
    }

    expect(calls, NEW, **{NDCG: 0.1})
    expect_deleted(calls, LAST)
    with pytest.raises(QualityGateFailed, match=f"version published last, {LAST}, is deleted and"):
        judge(s3, personalize, rules)


def test_beside_other_models_a_refused_version_without_one_to_keep_is_left_out(
    s3: Any, personalize: Any, calls: Stubber
) -> None:
    rules = {NDCG: {"minimum": 0.1}}
    reason = (
        f"{NDCG} is 0.0500, minimum 0.1; no version of Personalize is published, so that there is"
        " none to keep"
    )
    expect(calls, NEW, **{NDCG: 0.05})
    left_out = {"decision": "leave out", "reason": reason, "served": {"arn": ""}}
    assert judge(s3, personalize, rules, has_rivals=True) == left_out
    assert (record(s3)["decision"], record(s3)["served"]) == ("leave out", None)

    latest = {"run": "2024-05-31", "model": {"name": "own"}}  # another model's list is published
    s3.put_object(Bucket="bucket", Key="recommendations/latest.json", Body=json.dumps(latest))
    expect(calls, NEW, **{NDCG: 0.05})
    assert judge(s3, personalize, rules, has_rivals=True) == left_out

    publish(s3)
    expect(calls, NEW, **{NDCG: 0.05})
    expect(calls, LAST, **{NDCG: 0.2})
    assert judge(s3, personalize, rules, has_rivals=True)["decision"] == "keep"

    expect(calls, NEW, **{NDCG: 0.05})
    expect(calls, LAST, **{NDCG: 0.2})
    with pytest.raises(QualityGateFailed, match="the published lists stay as they were"):
        judge(s3, personalize, rules, on_failure="fail", has_rivals=True)


def test_a_deleted_version_without_a_record_is_not_compared_with(
    s3: Any, personalize: Any, calls: Stubber
) -> None:
    publish(s3)
    expect(calls, NEW, **{NDCG: 0.1})
    expect_deleted(calls, LAST)

    assert judge(s3, personalize, {NDCG: {"greatest_drop": 0.1}})["decision"] == "publish"
    (rule,) = record(s3)["rules"]
    assert rule["met"] is None
    assert "Personalize has deleted it, and the record of its run lacks it" in rule["text"]


def test_a_metric_that_personalize_does_not_give_is_no_good_one(
    s3: Any, personalize: Any, calls: Stubber
) -> None:
    publish(s3)
    expect(calls, NEW, coverage=0.5)
    expect(calls, LAST, coverage=0.5)

    decided = judge(s3, personalize, {NDCG: {"minimum": 0.0}})

    assert decided["reason"] == f"Personalize gives no {NDCG} of this version"


def test_what_was_popular_is_that_of_the_run_before_where_it_is_not_measured(
    s3: Any, personalize: Any, calls: Stubber
) -> None:
    rules = {NDCG: {"better_than_popularity": True}}
    measured = {"popularityBaseline": {"reason": "new interactions alone were read"}}
    before = {"run": "2024-05-01", "metrics": {NDCG: 0.3}}
    publish(s3, record={"served": None, "popularity": before})
    for value, decision in ((0.31, "publish"), (0.3, "keep")):
        expect(calls, NEW, **{NDCG: value})
        expect(calls, LAST, **{NDCG: 0.2})
        decided = judge(s3, personalize, rules, measured=measured)
        assert (decided["decision"], record(s3)["popularity"]) == (decision, before)

    publish(s3, record={"served": None, "popularity": {}})
    expect(calls, NEW, **{NDCG: 0.1})
    expect(calls, LAST, **{NDCG: 0.2})
    assert judge(s3, personalize, rules, measured=measured)["decision"] == "publish"
    (rule,) = record(s3)["rules"]
    assert rule["text"] == (
        f"{NDCG} of the most popular items is not known: new interactions alone were read"
    )


MEASURED = {
    "value": 0.2,
    "low": 0.15,
    "high": 0.26,
    "popularity": 0.22,
    "difference": {"value": -0.02, "low": -0.05, "high": 0.01},
}


@pytest.mark.parametrize(
    ("rule", "difference", "reason"),
    [
        ({"minimum": 0.26}, 0.01, ""),
        ({"minimum": 0.27}, 0.01, "was 0.2000, minimum 0.27"),
        ({"no_worse_than_popularity": True}, 0.01, ""),
        (
            {"no_worse_than_popularity": True},
            -0.01,
            "was 0.2000, the most popular items of that time 0.2200",
        ),
    ],
)
def test_the_back_test_is_judged_by_its_interval_and_keeps_no_version_that_did_badly(
    s3: Any,
    personalize: Any,
    calls: Stubber,
    rule: dict[str, Any],
    difference: float,
    reason: str,
) -> None:
    reason = reason and f"hit_rate_at_10 of the lists published last {reason}"
    hit_rate = MEASURED | {"difference": {"value": -0.02, "low": -0.05, "high": difference}}
    measured = {"backtest": {"metrics": {"hit_rate_at_10": hit_rate}}}
    rules = {"hit_rate_at_10": rule}
    publish(s3)
    expect(calls, NEW, **{NDCG: 0.2})
    expect(calls, LAST, **{NDCG: 0.2})

    decided = judge(s3, personalize, {}, rules, measured=measured)

    assert decided == {"decision": "publish", "reason": reason, "served": {"arn": NEW}}
    assert degradation(s3, "bucket", RUN) == (
        {"degraded": {"reason": reason, "refusedSolutionVersionArn": None}} if reason else {}
    )
    if reason:
        expect(calls, NEW, **{NDCG: 0.2})
        expect(calls, LAST, **{NDCG: 0.2})
        with pytest.raises(QualityGateFailed, match=reason):
            judge(s3, personalize, {}, rules, on_failure="fail", measured=measured)


def test_no_back_test_breaks_no_rule(s3: Any, personalize: Any, calls: Stubber) -> None:
    expect(calls, NEW)
    measured = {"backtest": {"reason": "nobody came back"}}

    decided = judge(s3, personalize, {}, {"coverage": {"minimum": 1}}, measured=measured)

    assert decided["decision"] == "publish"
    (rule,) = record(s3)["rules"]
    assert rule["text"] == "coverage of the lists published last is not known: nobody came back"


def test_a_publication_that_cannot_be_read_is_named(
    s3: Any, personalize: Any, calls: Stubber
) -> None:
    s3.put_object(Bucket="bucket", Key="recommendations/latest.json", Body=b"[1]")
    expect(calls, NEW, **{NDCG: 0.2})

    with pytest.raises(InvalidInputException, match=r"latest\.json is not what a run wrote"):
        judge(s3, personalize, {NDCG: {"minimum": 0.1}})
