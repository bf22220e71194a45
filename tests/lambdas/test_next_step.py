"""What a run goes on with: what the published list is, where it is, and what follows."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.stub import Stubber

from lambdas.next_step import Publication, Version, read_publication, step_after
from tests.lambdas.sample_run import ARN, RUN, SOLUTION, put

V1, V2 = f"{SOLUTION}/v1", f"{SOLUTION}/v2"
RULES = {"metrics": {"coverage": {"minimum": 0.1}}, "backtest": {}}
OTHER_RULES = {"metrics": {"coverage": {"minimum": 0.2}}, "backtest": {}}
DELIVERY = {"to": "database", "table": "lists", "columns": {"USER_ID": "user_id"}}
HOME = {"name": "home", "campaignArn": f"{ARN}campaign/home"}


def at(hour: int) -> datetime:
    return datetime(2024, 6, 1, hour, tzinfo=UTC)


NEWEST = Version(V2, "UPDATE", at(7), at(8))


def step(
    publication: Publication | None,
    training: str | None = None,
    *,
    renewed_after: int = 45,
    now: datetime | None = None,
) -> tuple[str, str | None]:
    made, why, version = step_after(
        training,
        NEWEST,
        publication,
        "same",
        rules=RULES,
        renewed_after=timedelta(days=renewed_after),
        now=now or at(10),
    )
    assert why
    return made, version


@pytest.mark.parametrize(
    ("training", "publication", "expected"),
    [
        ("FULL", None, ("training", None)),
        (None, None, ("inference", V2)),
        (None, Publication(V1, "same", at(5)), ("inference", V2)),
        # an earlier list was published again: its version goes on
        (None, Publication(V1, "others", at(9)), ("inference", V1)),
        (None, Publication(V1, None, at(9)), ("inference", V1)),
        (None, Publication(V1, "same", at(9), missing="table 'lists'"), ("inference", V1)),
        (None, Publication(V1, "same", at(9)), ("nothing", None)),
    ],
)
def test_lists_are_made_if_anything_changed_that_they_are_made_of(
    training: str | None, publication: Publication | None, expected: tuple[str, str | None]
) -> None:
    assert step(publication, training) == expected


@pytest.mark.parametrize(
    ("publication", "expected"),
    [
        (Publication(V1, "same", at(9), V2, RULES), ("nothing", None)),
        (Publication(V1, "same", at(9), V2, OTHER_RULES), ("inference", V2)),
        (Publication(V1, "same", at(9), V2, None), ("inference", V2)),
        (Publication(V1, "others", at(9), V2, RULES), ("inference", V2)),
        # refused before the newest one was trained
        (Publication(V1, "same", at(9), f"{SOLUTION}/v0", OTHER_RULES), ("nothing", None)),
    ],
)
def test_a_version_that_the_gate_has_refused_is_judged_again(
    publication: Publication, expected: tuple[str, str | None]
) -> None:
    assert step(publication) == expected


@pytest.mark.parametrize("days", [45, 1, 0])
def test_a_list_is_published_again_before_it_is_gone(days: int) -> None:
    publication = Publication(V1, "same", at(9))
    due = at(9) + timedelta(days=days)
    before = due - timedelta(seconds=1)
    assert step(publication, renewed_after=days, now=before) == ("nothing", None)
    assert step(publication, renewed_after=days, now=due) == ("inference", V1)


def read(s3: Any, personalize: Any, **settings: Any) -> Publication:
    name = SOLUTION.rpartition("/")[2]
    settings = {"delivery": None, "campaigns": [], "solutionName": name, **settings}
    publication = read_publication(personalize, s3, "bucket", settings)
    assert publication is not None
    return publication


def publish(s3: Any, **members: Any) -> None:
    latest = {"run": RUN, "solutionVersionArn": V1, **members}
    s3.put_object(Bucket="bucket", Key="recommendations/latest.json", Body=json.dumps(latest))


def test_nothing_may_be_published(s3: Any, personalize: Any) -> None:
    assert read_publication(personalize, s3, "bucket", {}) is None


def test_the_list_of_another_solution_is_made_anew_by_the_configured_one(
    s3: Any, personalize: Any
) -> None:
    publish(s3)
    other = read(s3, personalize, solutionName="trial")

    assert not read(s3, personalize).is_of_another
    assert other.is_of_another
    assert step(other) == ("inference", V2)


def test_the_list_of_a_model_of_one_s_own_is_none_of_personalize(s3: Any, personalize: Any) -> None:
    latest = {"run": RUN, "model": {"name": "own", "trainingJobArn": "arn:t"}}
    s3.put_object(Bucket="bucket", Key="recommendations/latest.json", Body=json.dumps(latest))

    assert read_publication(personalize, s3, "bucket", {}) is None


def test_what_the_gate_refused_is_known_with_its_rules(s3: Any, personalize: Any) -> None:
    publish(s3, degraded={"reason": "coverage …", "refusedSolutionVersionArn": V2})
    put(s3, "record/gate.json", json.dumps({"judgedBy": RULES}))
    put(s3, "record/increment.json", json.dumps({"lists": "same"}))

    found = read(s3, personalize)

    assert (found.version, found.lists, found.refused, found.rules) == (V1, "same", V2, RULES)
    publish(s3, degraded={"reason": "of the back-test", "refusedSolutionVersionArn": None})
    assert read(s3, personalize).refused == ""


NOT_DELIVERED = "the published list was not delivered into table 'lists'"
DELIVERED = {**DELIVERY, "status": "DELIVERED", "createdAt": "2999-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("record", "missing"),
    [
        (None, NOT_DELIVERED),
        (DELIVERED, ""),
        (DELIVERED | {"status": "FAILED"}, NOT_DELIVERED),
        (DELIVERED | {"status": "SKIPPED"}, NOT_DELIVERED),
        (DELIVERED | {"table": "others"}, NOT_DELIVERED),
        (DELIVERED | {"columns": {"USER_ID": "student"}}, NOT_DELIVERED),  # then they were others
        # it was delivered, then another one, and then `retrain publish` went back to it
        (DELIVERED | {"createdAt": "2024-06-01T00:00:00Z"}, NOT_DELIVERED),
    ],
)
def test_a_published_list_that_is_not_in_the_table_is_missing_there(
    s3: Any, personalize: Any, record: Any, missing: str
) -> None:
    publish(s3)
    if record:
        put(s3, "record/delivery.json", json.dumps(record))
    assert read(s3, personalize, delivery=DELIVERY).missing == missing
    assert read(s3, personalize).missing == ""


def campaign(status: str, version: str, update: str = "") -> dict[str, Any]:
    """Return a campaign, whose last update is one to the published version."""
    described = {"campaignArn": HOME["campaignArn"], "status": status}
    last = {"latestCampaignUpdate": {"status": update, "solutionVersionArn": V1}} if update else {}
    return {**described, "solutionVersionArn": version, **last}


@pytest.mark.parametrize(
    ("described", "is_behind"),
    [
        (None, True),
        (campaign("ACTIVE", V1), False),
        (campaign("CREATE IN_PROGRESS", V1), False),
        (campaign("CREATE FAILED", V1), True),
        (campaign("ACTIVE", V2), True),
        (campaign("ACTIVE", V2, "CREATE IN_PROGRESS"), False),
        (campaign("ACTIVE", V2, "CREATE FAILED"), True),
        (campaign("ACTIVE", f"{SOLUTION}-other/v1"), False),
    ],
)
def test_a_campaign_that_could_serve_the_version_and_does_not_is_behind(
    s3: Any, personalize: Any, calls: Stubber, described: Any, is_behind: bool
) -> None:
    publish(s3)
    request = {"campaignArn": HOME["campaignArn"]}
    if described is None:
        calls.add_client_error(
            "describe_campaign", "ResourceNotFoundException", expected_params=request
        )
    else:
        calls.add_response("describe_campaign", {"campaign": described}, request)
    missing = "campaign 'home' does not serve the published list's version" if is_behind else ""
    assert read(s3, personalize, campaigns=[HOME]).missing == missing
