"""Send Notification: what is told of the end of a run, as Step Functions describes it."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from lambdas.errors import ExecutionNotEnded, NotificationNotTaken
from lambdas.records import latest_key, record_key
from lambdas.send_notification import (
    DEGRADED,
    FAILED,
    SKIPPED,
    SUCCEEDED,
    End,
    Records,
    duration,
    notification_of,
    notify,
)

BEGUN = datetime(2024, 6, 1, 4, tzinfo=UTC)
MACHINE = "labbase-retraining"
PUBLISHED = {
    "run": "nightly",
    "users": 5_000,
    "recommendations": 124_980,
    "extractedAt": "2024-06-01T04:12:00Z",
}
MANIFEST = {
    "backtest": {"metrics": {"hit_rate_at_10": {"value": 0.0812, "popularity": 0.064}}},
    "batchInput": {"id": "USER_ID"},
}


def end_of(status: str = "SUCCEEDED", *, minutes: float = 102, **members: Any) -> End:
    """Return the end of an execution; the members are DescribeExecution's."""
    return End.of(
        {
            "executionArn": f"arn:aws:states:r:1:execution:{MACHINE}:nightly.2",
            "status": status,
            "startDate": BEGUN,
            "stopDate": BEGUN + timedelta(minutes=minutes),
            **members,
        }
    )


def test_a_success_is_one_line_of_figures() -> None:
    told = notification_of(end_of(output="{}"), Records({"": PUBLISHED}, MANIFEST))

    assert told.outcome == SUCCEEDED
    assert told.line == (
        "Run nightly.2 of labbase-retraining succeeded, in 1 h 42 min; 124,980 recommendations for"
        " 5,000 users, of data extracted at 2024-06-01T04:12:00Z; hit_rate_at_10 of the lists"
        " before was 8.1%, 6.4% of the most popular items"
    )
    assert (told.end.run, told.detail()["begunAt"]) == ("nightly", "2024-06-01T04:00:00Z")


@pytest.mark.parametrize(("number", "told"), [(1, "1 error line"), (1_950, "1,950 error lines")])
def test_lines_that_gave_no_list_are_told(number: int, told: str) -> None:
    line = notification_of(
        end_of(output="{}"), Records({"": PUBLISHED | {"errorLines": number}})
    ).line

    assert line.endswith(f" extracted at 2024-06-01T04:12:00Z, with {told} in the batch output")


def test_a_workflow_that_publishes_nothing_and_has_any_output_succeeds() -> None:
    for output in ("[1, 2]", '{"job": "done"}', '{"increment": 3}', ""):
        told = notification_of(end_of(output=output), Records())
        assert told.line == "Run nightly.2 of labbase-retraining succeeded, in 1 h 42 min"


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (
            {"job": {"Error": "AnotherRunInProgress", "Cause": '{"errorMessage": "x is"}'}},
            "x is",
        ),
        ({"job": {"Error": "NewerListPublished", "Cause": "a newer one"}}, "a newer one"),
        ({"increment": {"step": "nothing", "why": "nothing has changed"}}, "nothing has changed"),
    ],
)
def test_an_end_that_published_nothing_is_skipped(output: dict[str, Any], reason: str) -> None:
    told = notification_of(end_of(output=json.dumps(output)), Records())

    assert (told.outcome, told.reason) == (SKIPPED, reason)
    assert told.line == f"Run nightly.2 of labbase-retraining published nothing: {reason}"


def test_a_run_that_trained_nothing_and_published_is_no_skip() -> None:
    output = json.dumps({"increment": {"step": "inference", "why": "the filters have changed"}})

    assert notification_of(end_of(output=output), Records({"": PUBLISHED})).outcome == SUCCEEDED


def test_a_list_that_the_gate_found_wrong_is_degraded() -> None:
    degraded = {"reason": "coverage is 0.0310, minimum 0.1", "refusedSolutionVersionArn": "arn:x"}

    told = notification_of(end_of(output="{}"), Records({"": {**PUBLISHED, "degraded": degraded}}))

    assert (told.outcome, told.reason) == (DEGRADED, "coverage is 0.0310, minimum 0.1")


def test_the_model_that_made_the_list_is_named_and_those_that_were_not_compared() -> None:
    published = PUBLISHED | {"model": {"name": "hybrid"}}
    comparison = {"models": {"hybrid": {}}, "leftOut": {"personalize": "its version was refused"}}
    records = Records({"": published}, comparison=comparison)

    assert notification_of(end_of(output="{}"), records).line.endswith(
        " extracted at 2024-06-01T04:12:00Z, by model hybrid; personalize was left out of the"
        " comparison: its version was refused"
    )


def test_a_window_that_was_not_what_was_read_is_told() -> None:
    increment = {"windowLeftOut": "nothing was imported before"}

    told = notification_of(end_of(output="{}"), Records({"": PUBLISHED}, increment=increment))

    assert told.line.endswith(
        "; all interactions were read, not the window that was asked for: nothing was imported"
        " before"
    )


@pytest.mark.parametrize(
    ("status", "error", "cause", "line"),
    [
        (
            "FAILED",
            "States.TaskFailed",
            json.dumps({"JobRunId": "jr", "ErrorMessage": "table 'orders'\ndoes not exist"}),
            "failed after 1 h 42 min with States.TaskFailed: table 'orders' does not exist",
        ),
        ("TIMED_OUT", "States.Timeout", None, "timed out after 1 h 42 min with States.Timeout"),
        ("TIMED_OUT", None, None, "timed out after 1 h 42 min"),
        (
            "ABORTED",
            "StoppedByHand",
            "oops",
            "was aborted after 1 h 42 min with StoppedByHand: oops",
        ),
    ],
)
def test_a_failure_names_its_error_and_reason(
    status: str, error: str | None, cause: str | None, line: str
) -> None:
    told = notification_of(end_of(status, error=error, cause=cause), Records())

    assert told.outcome == FAILED
    assert told.line == f"Run nightly.2 of labbase-retraining {line}"


def test_a_failure_after_the_publication_says_that_the_list_is_published() -> None:
    end = end_of("FAILED", error="DeliveryFailed", cause="no table")

    told = notification_of(end, Records({"": PUBLISHED}))

    assert "DeliveryFailed: no table; its list is published: 124,980 recommendations" in told.line


def test_related_items_are_counted_as_items() -> None:
    manifest = {"batchInput": {"id": "ITEM_ID"}}

    told = notification_of(end_of(output="{}"), Records({"": PUBLISHED}, manifest))

    assert "124,980 recommendations for 5,000 items, of data" in told.line


@pytest.mark.parametrize(
    ("delivery", "clause"),
    [
        ({"status": "DELIVERED", "table": "lists", "rows": 5}, "delivered into table lists"),
        (
            {"status": "SKIPPED", "table": "lists", "reason": "the published list is that of 'x'"},
            "not delivered: the published list is that of 'x'",
        ),
    ],
)
def test_a_line_says_what_became_of_the_delivery(delivery: dict[str, Any], clause: str) -> None:
    told = notification_of(end_of(output="{}"), Records({"": PUBLISHED}, delivery=delivery))

    assert told.line.endswith(f"2024-06-01T04:12:00Z; {clause}")
    assert told.detail()["delivery"] == delivery


DEGRADED_BY = {"reason": "coverage is 0.0310, minimum 0.1", "refusedSolutionVersionArn": None}
SIMILAR = {
    "run": "nightly",
    "recommender": "similar",
    "csv": "s3://bucket/runs/nightly/recommenders/similar/recommendations/recommendations.csv",
    "users": 400,
    "recommendations": 4_000,
    "solutionVersionArn": "arn:version",
    "extractedAt": "2024-06-01T04:12:00Z",
}


def of_recommenders(*names: str) -> dict[str, Any]:
    """Return the manifest of a run with further recommenders, whose lists are of items."""
    return {"recommenders": {name: {"batchInput": {"id": "ITEM_ID"}} for name in names}}


def test_the_lists_of_all_recommenders_are_told() -> None:
    records = Records({"": PUBLISHED, "similar": SIMILAR}, of_recommenders("similar"))

    told = notification_of(end_of(output="{}"), records)

    assert told.outcome == SUCCEEDED
    assert told.line == (
        "Run nightly.2 of labbase-retraining succeeded, in 1 h 42 min; 124,980 recommendations for"
        " 5,000 users, of data extracted at 2024-06-01T04:12:00Z; similar: 4,000 recommendations"
        " for 400 items, of data extracted at 2024-06-01T04:12:00Z"
    )
    assert told.detail()["published"] == PUBLISHED
    assert told.detail()["recommenders"] == {
        "similar": {
            "csv": SIMILAR["csv"],
            "recommendations": 4_000,
            "users": 400,
            "solutionVersionArn": "arn:version",
        }
    }


def test_a_run_is_degraded_if_any_list_is() -> None:
    lists = {"": PUBLISHED, "similar": {**SIMILAR, "degraded": DEGRADED_BY}}

    told = notification_of(end_of(output="{}"), Records(lists, of_recommenders("similar")))

    assert (told.outcome, told.reason) == (DEGRADED, "similar: coverage is 0.0310, minimum 0.1")
    assert told.detail()["recommenders"]["similar"]["degraded"] == DEGRADED_BY
    both = {"": {**PUBLISHED, "degraded": DEGRADED_BY}, "similar": lists["similar"]}
    told = notification_of(end_of(output="{}"), Records(both, of_recommenders("similar")))
    assert told.reason == (
        "coverage is 0.0310, minimum 0.1; similar: coverage is 0.0310, minimum 0.1"
    )


def test_a_failure_of_some_recommenders_says_whose_lists_are_published() -> None:
    end = end_of("FAILED", error="RecommendersFailed", cause="1 of 2 recommenders failed")

    told = notification_of(end, Records({"similar": SIMILAR}, of_recommenders("similar")))

    assert told.line.endswith(
        "1 of 2 recommenders failed; the list of similar is published: 4,000 recommendations for"
        " 400 items, of data extracted at 2024-06-01T04:12:00Z"
    )


def test_the_reasons_of_recommenders_are_sentences_and_a_replaced_list_is_said_to_be() -> None:
    cause = {"errorMessage": "coverage is 0.0310, minimum 0.1", "stackTrace": ["  File x"]}
    failed = [
        {"failed": "labbase-sem", "Error": "QualityGateFailed", "Cause": json.dumps(cause)},
        {"failed": "labbase-new", "Error": "States.Timeout", "Cause": "after 1 h"},
    ]
    said = "2 of 3 recommenders failed, and the lists of the others are published: "
    end = end_of("FAILED", error="RecommendersFailed", cause=said + json.dumps(failed))
    records = Records(
        {"similar": SIMILAR}, of_recommenders("similar"), replaced={"similar": "next"}
    )

    told = notification_of(end, records)

    assert told.reason == (
        f"{said}labbase-sem: QualityGateFailed: coverage is 0.0310, minimum 0.1; labbase-new:"
        " States.Timeout: after 1 h"
    )
    assert "the list of similar was published before that of run 'next': 4,000" in told.line


def test_whose_list_is_published_now_is_read_of_each_recommender(s3: Any) -> None:
    def put(key: str, **content: Any) -> None:
        s3.put_object(Bucket="bucket", Key=key, Body=json.dumps(content))

    put("runs/nightly/manifest.json", recommenders={"similar": MANIFEST})
    for name in ("", "similar"):
        put(record_key("nightly", "publication", name), **PUBLISHED)
        put(latest_key(name), **PUBLISHED)
    assert Records.read(s3, "bucket", "nightly").replaced == {}

    put("recommendations/similar/latest.json", **{**PUBLISHED, "run": "next"})
    assert Records.read(s3, "bucket", "nightly").replaced == {"similar": "next"}


def test_a_run_none_of_whose_lists_is_published_for_newer_ones_is_skipped() -> None:
    older = [{"Error": "NewerListPublished", "Cause": '{"errorMessage": "a newer one is there"}'}]
    output = json.dumps({"outcomes": {"published": [], "older": older, "failed": []}})

    told = notification_of(end_of(output=output), Records())
    assert (told.outcome, told.reason) == (SKIPPED, "a newer one is there")

    of_one = Records({"similar": SIMILAR}, of_recommenders("similar"))
    told = notification_of(end_of(output=output), of_one)
    assert (told.outcome, told.reason) == (SUCCEEDED, "a newer one is there")


BEHIND = "campaign 'live' still serves v1: no capacity"
CAMPAIGNS = {"degraded": True, "reason": BEHIND}
UNDELIVERED = "the list of run 'nightly' is not delivered into table 'lists': no such table"
DELIVERY = {"status": "FAILED", "table": "lists", "reason": UNDELIVERED}


def test_a_campaign_that_does_not_follow_is_degraded() -> None:
    told = notification_of(end_of(output="{}"), Records({"": PUBLISHED}, campaigns=CAMPAIGNS))
    assert (told.outcome, told.reason) == (DEGRADED, BEHIND)

    both = Records({"": {**PUBLISHED, "degraded": DEGRADED_BY}}, campaigns=CAMPAIGNS)
    assert notification_of(end_of(output="{}"), both).reason == (
        f"coverage is 0.0310, minimum 0.1; {BEHIND}"
    )
    fine = Records({"": PUBLISHED}, campaigns={"degraded": False, "reason": ""})
    assert notification_of(end_of(output="{}"), fine).outcome == SUCCEEDED


def test_a_failed_delivery_that_was_caught_is_degraded_and_said_once() -> None:
    cause = json.dumps({"errorType": "DeliveryFailed", "errorMessage": UNDELIVERED})
    caught = json.dumps({"job": {"Error": "DeliveryFailed", "Cause": cause}})

    for output, reason in (("{}", UNDELIVERED), (caught, f"DeliveryFailed: {UNDELIVERED}")):
        told = notification_of(end_of(output=output), Records({"": PUBLISHED}, delivery=DELIVERY))

        assert (told.outcome, told.reason) == (DEGRADED, reason)
        assert told.line.count(UNDELIVERED) == 1


@pytest.mark.parametrize("place", ["", "mail"])
def test_an_error_that_was_caught_anywhere_in_the_data_is_degraded(place: str) -> None:
    error = {"Error": "Refused", "Cause": "no such address"}
    output = json.dumps({place: error} if place else error)

    told = notification_of(end_of(output=output), Records({"": PUBLISHED}))

    assert (told.outcome, told.reason) == (DEGRADED, "Refused: no such address")


def test_a_run_that_ended_without_a_list_after_a_caught_failure_says_so() -> None:
    caught = json.dumps({"job": {"Error": "RuntimeError", "Cause": "no training today"}})
    told = notification_of(end_of(output=caught), Records())

    assert told.outcome == DEGRADED
    assert told.reason == "nothing is published; RuntimeError: no training today"


def test_any_error_that_was_caught_is_degraded_but_no_job_that_came_to_its_end() -> None:
    caught = {"job": {"Error": "States.Timeout", "Cause": ""}}
    done = {"job": {"arn": "arn:x", "status": "ACTIVE", "Error": "BatchInferenceFailed"}}

    degraded, succeeded = (
        notification_of(end_of(output=json.dumps(output)), Records({"": PUBLISHED}))
        for output in (caught, done)
    )

    assert (degraded.outcome, degraded.reason) == (DEGRADED, "States.Timeout")
    assert succeeded.outcome == SUCCEEDED


def test_a_degraded_run_that_failed_then_says_both() -> None:
    end = end_of("FAILED", error="CleanUpFailed", cause="x cannot be deleted")

    told = notification_of(end, Records({"": PUBLISHED}, campaigns=CAMPAIGNS))

    assert (told.outcome, told.reason) == (FAILED, "x cannot be deleted")
    assert told.degraded == told.detail()["degraded"] == BEHIND
    assert f"CleanUpFailed: x cannot be deleted; degraded: {BEHIND}; its list is" in told.line


def test_a_failure_says_once_what_degraded_the_run() -> None:
    end = end_of("FAILED", error="States.TaskFailed", cause=f"ERROR: {UNDELIVERED}")

    told = notification_of(end, Records({"": PUBLISHED}, delivery=DELIVERY))

    assert told.degraded == ""
    assert told.line.count(UNDELIVERED) == 1


def test_what_an_earlier_execution_of_the_run_published_is_not_the_skipped_ones() -> None:
    output = json.dumps({"job": {"Error": "AnotherRunInProgress", "Cause": "x is in progress"}})
    left = Records({"": PUBLISHED}, delivery={"status": "DELIVERED", "table": "lists"})

    told = notification_of(end_of(output=output), left)

    assert told.line == "Run nightly.2 of labbase-retraining published nothing: x is in progress"
    assert told.detail()["published"] == {}


def test_what_is_told_of_many_recommenders_stays_small() -> None:
    names = [f"a-recommender-number-{number:03}" for number in range(20)]
    degraded = {"reason": "x" * 900, "refusedSolutionVersionArn": None}
    lists = {"": PUBLISHED, **{name: {**SIMILAR, "degraded": degraded} for name in names}}

    told = notification_of(end_of(output="{}"), Records(lists, of_recommenders(*names)))

    assert told.line.endswith("; 16 further lists with 64,000 recommendations")
    assert len(told.line) < 2_000
    assert len(json.dumps(told.detail())) < 32_768


def test_a_long_cause_is_cut() -> None:
    told = notification_of(end_of("FAILED", error="E", cause="x" * 32_768), Records())

    assert len(told.line) < 1_200
    assert told.reason.endswith("x…")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59, "59 s"), (89, "1 min"), (3_599, "1 h 0 min"), (90_061, "25 h 1 min")],
)
def test_a_duration_is_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.fixture
def local_aws_options() -> dict[str, Any]:
    return {"time_scale": 1.0}


class Ends:
    """Executions that end, a topic, and a rule on our events, each with a queue behind it."""

    def __init__(self, aws: Any) -> None:
        self.aws = aws
        self.s3, self.states = aws.client("s3"), aws.client("stepfunctions")
        self.s3.create_bucket(Bucket="bucket")
        self.topic = aws.client("sns").create_topic(Name="news")["TopicArn"]
        for name in ("mails", "events"):
            aws.client("sqs").create_queue(QueueName=name)
        arn = "arn:aws:sqs:us-east-1:123456789012:"
        aws.client("sns").subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=f"{arn}mails")
        pattern = {"source": ["personalize-retraining"], "detail-type": ["Retraining Ended"]}
        aws.client("events").put_rule(Name="ours", EventPattern=json.dumps(pattern))
        aws.client("events").put_targets(Rule="ours", Targets=[{"Id": "q", "Arn": f"{arn}events"}])

    def start(self, name: str, state: dict[str, Any]) -> str:
        machine = self.states.create_state_machine(
            name=f"{name}-machine",
            definition=json.dumps({"StartAt": "A", "States": {"A": state}}),
            roleArn="arn:aws:iam::123456789012:role/states",
        )["stateMachineArn"]
        arn = self.states.start_execution(stateMachineArn=machine, name=name)["executionArn"]
        return str(arn)

    def wait(self, arn: str) -> str:
        while self.states.describe_execution(executionArn=arn)["status"] == "RUNNING":
            time.sleep(0.01)
        return arn

    def notify(self, arn: str, **settings: Any) -> Any:
        event = {
            "execution": arn,
            "status": "SUCCEEDED",
            "bucket": "bucket",
            "topicArn": self.topic,
            "outcomes": [SUCCEEDED, FAILED],
            "events": True,
            **settings,
        }
        clients = (self.s3, self.states, self.aws.client("sns"), self.aws.client("events"))
        return notify(*clients, event)

    def received(self, name: str) -> list[Any]:
        sqs = self.aws.client("sqs")
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", ())
        return [json.loads(message["Body"]) for message in messages]


@pytest.fixture
def ends(local_aws: Any) -> Ends:
    return Ends(local_aws)


DONE = {"Type": "Succeed"}


def test_only_the_outcomes_that_are_asked_for_are_sent_to_the_topic(ends: Ends) -> None:
    arn = ends.wait(ends.start("good", DONE))

    ends.notify(arn, outcomes=[FAILED])
    assert ends.received("mails") == []
    (event,) = ends.received("events")
    assert event["detail"]["outcome"] == SUCCEEDED

    ends.notify(arn, events=False)
    (mail,) = ends.received("mails")
    assert mail["Subject"] == "good-machine: succeeded"
    assert ends.received("events") == []


def test_records_that_cannot_be_read_do_not_keep_the_notification_back(ends: Ends) -> None:
    arn = ends.wait(ends.start("good", DONE))
    ends.s3.put_object(Bucket="bucket", Key="runs/good/record/publication.json", Body=b"[]")

    told = ends.notify(arn)

    assert told["message"].endswith("publication.json is no JSON object")
    assert len(ends.received("mails")) == 1


def test_the_records_of_all_recommenders_of_the_manifest_are_read(ends: Ends) -> None:
    arn = ends.wait(ends.start("good", DONE))
    objects = {
        "manifest.json": of_recommenders("similar", "silent"),
        "record/publication.json": PUBLISHED,
        "recommenders/similar/record/publication.json": {**SIMILAR, "degraded": DEGRADED_BY},
    }
    for path, content in objects.items():
        body = json.dumps(content).encode()
        ends.s3.put_object(Bucket="bucket", Key=f"runs/good/{path}", Body=body)

    told = ends.notify(arn)

    assert told["outcome"] == DEGRADED
    assert list(told["recommenders"]) == ["similar"]


def test_an_execution_that_still_runs_is_not_told_of(ends: Ends) -> None:
    """Step Functions' answers are eventually consistent, and Lambda calls again in a minute."""
    arn = ends.start("long", {"Type": "Wait", "Seconds": 3_600, "End": True})

    with pytest.raises(ExecutionNotEnded, match="is RUNNING"):
        ends.notify(arn, status="FAILED")

    ends.states.stop_execution(executionArn=arn)


def test_an_event_that_is_not_taken_is_an_error(ends: Ends) -> None:
    arn = ends.wait(ends.start("good", DONE))
    events = ends.aws.client("events")
    refused = {"ErrorCode": "InternalFailure", "ErrorMessage": "later"}
    with Stubber(events) as stubber:
        answer = {"FailedEntryCount": 1, "Entries": [refused]}
        stubber.add_response("put_events", answer, {"Entries": ANY})
        event = {
            "execution": arn,
            "status": "SUCCEEDED",
            "bucket": "bucket",
            "topicArn": ends.topic,
            "outcomes": [SUCCEEDED],
            "events": True,
        }
        with pytest.raises(NotificationNotTaken, match="InternalFailure: later"):
            notify(ends.s3, ends.states, ends.aws.client("sns"), events, event)
