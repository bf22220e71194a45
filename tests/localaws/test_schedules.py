"""Schedules fire their targets when they are due, by a clock that the test sets."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.functions.service import Functions
from localaws.http.endpoint import Endpoint
from localaws.persistence.documents import Documents
from localaws.schedules import Schedule, Schedules
from tests.recorder import Recorder

ACCOUNT, REGION = "123456789012", "us-east-1"
ROLE = "arn:aws:iam::123456789012:role/starter"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:"
DEFINITION = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def due(
    expression: str,
    since: str,
    until: str,
    *,
    zone: str = "UTC",
    first: str = "2026-01-01",
    **more: Any,
) -> datetime | None:
    schedule = Schedule("arn/nightly", expression, {}, zone=zone, **more)
    return schedule.due(at(since), at(until), at(first))


@pytest.mark.parametrize(
    ("expression", "moment"),
    [
        ("cron(0 4 * * ? *)", "2026-03-02T04:00"),
        ("cron(*/15 8-17 ? * MON-FRI *)", "2026-03-02T17:45"),
        ("cron(0/15 8 ? * 2 2026)", "2026-03-02T08:45"),
        ("cron(30 9 L * ? *)", "2026-03-31T09:30"),
        ("cron(0 10 15W * ? *)", "2026-03-16T10:00"),  # the 15th is a Sunday
        ("cron(0 10 LW JAN ? *)", "2026-01-30T10:00"),
        ("cron(0 10 ? * MON#2 *)", "2026-03-09T10:00"),
        ("cron(0 10 ? * 6L *)", "2026-03-27T10:00"),
        ("cron(0 10 ? 3,4 SUN *)", "2026-03-29T10:00"),
        ("cron(0 10 LW * ? *)", "2026-03-31T10:00"),
        ("cron(0 10 ? * L *)", "2026-03-07T10:00"),
        ("cron(15 20-2 ? * MON-FRI *)", "2026-03-03T02:15"),
        ("cron(0 4 1 7 ? 2026/2)", "2028-07-01T04:00"),
        ("cron(0 4 1 7 ? 2020-2030/3)", "2029-07-01T04:00"),
    ],
)
def test_a_cron_is_due_in_its_minute(expression: str, moment: str) -> None:
    then = at(moment)
    before, after = then - timedelta(seconds=1), then + timedelta(seconds=1)
    schedule = Schedule("arn/nightly", expression, {})

    assert schedule.due(before, after, before) == then
    assert schedule.due(then, after, before) is None
    assert schedule.due(before - timedelta(minutes=5), before, before) in {
        None,
        then - timedelta(minutes=15),
    }


def test_a_cron_runs_in_its_time_zone_and_once_in_an_hour_that_comes_twice() -> None:
    nightly = "cron(30 2 * * ? *)"
    tokyo = due(nightly, "2026-06-01T17:29", "2026-06-01T17:31", zone="Asia/Tokyo")
    first = due(nightly, "2026-10-25T00:29", "2026-10-25T00:31", zone="Europe/Berlin")
    second = due(nightly, "2026-10-25T01:29", "2026-10-25T01:31", zone="Europe/Berlin")
    skipped = due(nightly, "2026-03-29T00:00", "2026-03-29T05:00", zone="Europe/Berlin")

    assert tokyo == at("2026-06-01T17:30")
    assert (first, second, skipped) == (at("2026-10-25T00:30"), None, None)


def test_the_clock_of_los_angeles_changes_as_the_user_guide_says() -> None:
    """See https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html."""
    zone = "America/Los_Angeles"

    def moments(since: str, days: int) -> list[datetime | None]:
        begin = at(since)
        ends = [begin + timedelta(days=day) for day in range(1, days + 1)]
        schedule = Schedule("arn/nightly", "cron(30 2 * * ? *)", {}, zone=zone)
        return [schedule.due(end - timedelta(days=1), end, begin) for end in ends]

    assert moments("2026-03-07T08:00", 3) == [
        at("2026-03-07T10:30"),
        None,  # from 1:59 the clock goes to 3:00
        at("2026-03-09T09:30"),
    ]
    assert moments("2026-10-31T08:00", 3) == [
        at("2026-10-31T09:30"),
        at("2026-11-01T10:30"),  # 1:30 would come twice, 2:30 comes once
        at("2026-11-02T10:30"),
    ]
    twice = Schedule("arn/nightly", "cron(0/30 1 * * ? *)", {}, zone=zone)
    begin = at("2026-11-01T07:59")
    ticks = [begin + timedelta(minutes=15 * n) for n in range(13)]
    due = [twice.due(since, until, begin) for since, until in pairwise(ticks)]
    assert [moment for moment in due if moment] == [
        at("2026-11-01T08:00"),
        at("2026-11-01T08:30"),
    ]


def test_a_one_time_schedule_ignores_its_end() -> None:
    once = "at(2026-06-01T09:00:00)"
    end = at("2026-05-01T00:00")
    assert due(once, "2026-06-01T08:59", "2026-06-01T09:00", end=end) == at("2026-06-01T09:00")


def test_a_rate_counts_from_its_begin_and_ends() -> None:
    assert due("rate(5 minutes)", "2026-01-01T00:04", "2026-01-01T00:05") == at("2026-01-01T00:05")
    assert due("rate(5 minutes)", "2026-01-01T00:05", "2026-01-01T00:09") is None
    assert due("rate(1 day)", "2025-12-31T23:59", "2026-01-01T00:00:30") is None
    begin = at("2026-01-01T12:00")
    assert due("rate(1 hour)", "2026-01-01T11:59", "2026-01-01T12:01", begin=begin) == begin
    assert due("rate(1 hour)", "2026-01-01T10:59", "2026-01-01T11:01", begin=begin) is None
    assert due("rate(1 hour)", "2026-01-01T13:59", "2026-01-01T14:01", end=begin) is None


def test_a_schedule_due_while_nothing_ticked_runs_once() -> None:
    assert due("cron(0 * * * ? *)", "2026-01-01T00:30", "2026-01-01T09:10") == at(
        "2026-01-01T09:00"
    )


def test_a_moment_comes_once_in_its_time_zone() -> None:
    once = "at(2026-06-01T09:00:00)"
    assert due(once, "2026-05-31T23:59:59", "2026-06-01T00:00", zone="Asia/Tokyo") == at(
        "2026-06-01T00:00"
    )
    assert due(once, "2026-06-01T00:00", "2026-06-01T00:01", zone="Asia/Tokyo") is None


def test_an_invalid_expression_is_refused_with_a_reason() -> None:
    with pytest.raises(ValueError, match=r"combination of day-of-month .* and day-of-week"):
        due("cron(0 4 * * * *)", "2026-01-01T03:59", "2026-01-01T04:01")


class Clock:
    """The time, as the test sets it."""

    now = at("2025-12-31T23:59")

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with Endpoint(account=ACCOUNT, region=REGION, port=None) as endpoint:
        directory = tmp_path_factory.mktemp("functions")
        functions = Functions(account=ACCOUNT, region=REGION, directory=directory)
        endpoint.mount("lambda", functions)
        functions.register("count", lambda event, _: INVOKED.append(event))
        functions.register("guarded", lambda event, _: GUARDED.append(event))
        yield endpoint


INVOKED: list[Any] = []
GUARDED: list[Any] = []


class Fired:
    """Schedules of the endpoint, ticked by the test."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.clock, self.lines = Clock(), list[str]()
        self.documents = Documents()
        self.endpoint = endpoint
        self.schedules = self._made()

    def _made(self) -> Schedules:
        return Schedules(
            self.endpoint.client,
            account=ACCOUNT,
            region=REGION,
            clock=self.clock,
            documents=self.documents,
            log=self.lines.append,
        )

    def restart(self) -> None:
        self.schedules = self._made()

    def tick_at(self, text: str) -> list[str]:
        self.clock.now = at(text)
        self.lines.clear()
        self.schedules.tick()
        return list(self.lines)


@pytest.fixture
def fired(endpoint: Endpoint) -> Iterator[Fired]:
    yield Fired(endpoint)
    events, scheduler = endpoint.client("events"), endpoint.client("scheduler")
    for rule in events.list_rules()["Rules"]:
        targets = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
        events.remove_targets(Rule=rule["Name"], Ids=[target["Id"] for target in targets])
        events.delete_rule(Name=rule["Name"])
    for schedule in scheduler.list_schedules()["Schedules"]:
        scheduler.delete_schedule(Name=schedule["Name"])


def queue(endpoint: Endpoint, name: str) -> str:
    endpoint.client("sqs").create_queue(QueueName=name)
    return QUEUE + name


def messages(endpoint: Endpoint, name: str) -> list[dict[str, Any]]:
    sqs = endpoint.client("sqs")
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    response = sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
    )
    return list(response.get("Messages", []))


def test_a_rule_starts_all_its_targets(endpoint: Endpoint, fired: Fired) -> None:
    events, steps = endpoint.client("events"), endpoint.client("stepfunctions")
    machine = steps.create_state_machine(name="done", roleArn=ROLE, definition=DEFINITION)
    topic = endpoint.client("sns").create_topic(Name="news")["TopicArn"]
    endpoint.client("sns").subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=queue(endpoint, "subscriber")
    )
    rule = events.put_rule(Name="nightly", ScheduleExpression="cron(0 4 * * ? *)")["RuleArn"]
    template = {
        "InputPathsMap": {"at": "$.time"},
        "InputTemplate": '{"at": <at>, "of": "r <at>", "rule": <aws.events.rule-arn>,'
        ' "name": "<aws.events.rule-name>", "event": <aws.events.event.json>}',
    }
    targets = [
        {"Id": "1", "Arn": machine["stateMachineArn"], "RoleArn": ROLE, "Input": '{"n": 1}'},
        {"Id": "2", "Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:count"},
        {"Id": "3", "Arn": topic, "InputPath": "$.source"},
        {"Id": "4", "Arn": queue(endpoint, "direct"), "InputTransformer": template},
    ]
    events.put_targets(Rule="nightly", Targets=targets)
    endpoint.client("lambda").add_permission(
        FunctionName="count",
        StatementId="nightly",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=rule,
    )

    assert fired.tick_at("2026-01-01T03:59:59") == []
    with endpoint.wrap_all(Recorder).recorded() as calls:
        lines = fired.tick_at("2026-01-01T04:00:01")
    assert lines == [f"schedule nightly started {target['Arn']}" for target in targets]
    starter = [call.principal for call in calls if call.operation == "StartExecution"]
    assert starter == ["starter"]
    (run,) = steps.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]
    assert steps.describe_execution(executionArn=run["executionArn"])["input"] == '{"n": 1}'
    (message,) = messages(endpoint, "direct")
    moment = "2026-01-01T04:00:00Z"
    body = json.loads(message["Body"])
    assert body.pop("event")["resources"] == [rule]
    assert body == {"at": moment, "of": f"r {moment}", "rule": rule, "name": "nightly"}
    (notice,) = messages(endpoint, "subscriber")
    assert json.loads(notice["Body"])["Message"] == '"aws.events"'
    while not INVOKED:
        pass
    event = INVOKED[0]
    assert (event["time"], event["resources"], event["detail-type"]) == (
        moment,
        [rule],
        "Scheduled Event",
    )

    events.disable_rule(Name="nightly")
    assert fired.tick_at("2026-01-02T04:00:01") == []


def test_a_rule_invokes_a_function_by_the_function_s_policy(
    endpoint: Endpoint, fired: Fired
) -> None:
    """The rule of EventBridge: eb-use-resource-based.html of its guide."""
    events, functions = endpoint.client("events"), endpoint.client("lambda")
    for name in ("allowed", "other"):
        events.put_rule(Name=name, ScheduleExpression="rate(1 minute)")
        target = {"Id": "1", "Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:guarded"}
        events.put_targets(Rule=name, Targets=[target])
    functions.add_permission(
        FunctionName="guarded",
        StatementId="rule",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=f"arn:aws:events:{REGION}:{ACCOUNT}:rule/allowed",
    )
    fired.tick_at("2026-01-01T00:00:00")

    allowed, other = fired.tick_at("2026-01-01T00:01:00")

    assert allowed.startswith("schedule allowed started")
    assert "its policy does not let events.amazonaws.com invoke it" in other
    while not GUARDED:
        pass
    assert len(GUARDED) == 1


def test_a_schedule_starts_its_target_once_and_goes(endpoint: Endpoint, fired: Fired) -> None:
    scheduler = endpoint.client("scheduler")
    endpoint.client("sqs").create_queue(QueueName="sdk")
    url = endpoint.client("sqs").get_queue_url(QueueName="sdk")["QueueUrl"]
    scheduler.create_schedule(
        Name="once",
        ScheduleExpression="at(2026-01-01T09:00:00)",
        ScheduleExpressionTimezone="Asia/Tokyo",
        FlexibleTimeWindow={"Mode": "OFF"},
        ActionAfterCompletion="DELETE",
        Target={
            "Arn": "arn:aws:scheduler:::aws-sdk:sqs:sendMessage",
            "RoleArn": ROLE,
            "Input": json.dumps({"QueueUrl": url, "MessageBody": "<aws.scheduler.scheduled-time>"}),
        },
    )

    lines = fired.tick_at("2026-01-01T00:00:01")

    assert lines == ["schedule once started arn:aws:scheduler:::aws-sdk:sqs:sendMessage"]
    assert [message["Body"] for message in messages(endpoint, "sdk")] == ["2026-01-01T00:00:00Z"]
    assert scheduler.list_schedules()["Schedules"] == []


def test_a_universal_target_names_its_service_as_step_functions_do(
    endpoint: Endpoint, fired: Fired
) -> None:
    """Also where boto3 has a hyphen in it."""
    target = "arn:aws:scheduler:::aws-sdk:resourcegroups:createGroup"
    query = {
        "ResourceTypeFilters": ["AWS::AllSupported"],
        "TagFilters": [{"Key": "team", "Values": ["readers"]}],
    }
    group = {
        "Name": "readers",
        "ResourceQuery": {"Type": "TAG_FILTERS_1_0", "Query": json.dumps(query)},
    }
    endpoint.client("scheduler").create_schedule(
        Name="group",
        ScheduleExpression="at(2026-01-01T00:00:00)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": target, "RoleArn": ROLE, "Input": json.dumps(group)},
    )

    assert fired.tick_at("2026-01-01T00:00:01") == [f"schedule group started {target}"]
    group = endpoint.client("resource-groups").get_group(GroupName="readers")["Group"]
    assert group["Name"] == "readers"


def test_a_target_that_fails_goes_to_its_dead_letter_queue(
    endpoint: Endpoint, fired: Fired
) -> None:
    missing = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:missing"
    endpoint.client("scheduler").create_schedule(
        Name="broken",
        ScheduleExpression="rate(1 minute)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": missing,
            "RoleArn": ROLE,
            "Input": "{}",
            "DeadLetterConfig": {"Arn": queue(endpoint, "dead")},
        },
    )

    assert fired.tick_at("2026-01-01T00:00:30") == []
    (line,) = fired.tick_at("2026-01-01T00:01:30")

    assert line.startswith(f"schedule broken could not start {missing}: ")
    (message,) = messages(endpoint, "dead")
    attributes = {
        name: value["StringValue"] for name, value in message["MessageAttributes"].items()
    }
    assert (message["Body"], attributes["ERROR_CODE"], attributes["TARGET_ARN"]) == (
        "{}",
        "StateMachineDoesNotExist",
        missing,
    )


def test_a_rate_goes_on_counting_over_a_restart(endpoint: Endpoint, fired: Fired) -> None:
    events = endpoint.client("events")
    events.put_rule(Name="daily", ScheduleExpression="rate(1 day)")
    events.put_targets(Rule="daily", Targets=[{"Id": "1", "Arn": queue(endpoint, "daily")}])

    assert fired.tick_at("2026-01-01T00:00:00") == []
    fired.clock.now = at("2026-01-01T20:00:00")
    fired.restart()
    assert fired.tick_at("2026-01-01T20:00:01") == []
    assert fired.tick_at("2026-01-02T00:00:01") == [f"schedule daily started {QUEUE}daily"]


UNREADABLE = [("cron(0 4 31 * * *)", "UTC"), ("x", "UTC"), ("cron(0 4 * * ? *)", "America")]


@pytest.mark.parametrize(("expression", "zone"), UNREADABLE)
def test_an_expression_that_cannot_be_read_is_refused(
    endpoint: Endpoint, expression: str, zone: str
) -> None:
    flexible = {"Mode": "OFF"}
    target = {"RoleArn": ROLE, "Arn": queue(endpoint, "good")}
    with pytest.raises(ClientError) as refused:
        endpoint.client("scheduler").create_schedule(
            Name="broken",
            ScheduleExpression=expression,
            ScheduleExpressionTimezone=zone,
            Target=target,
            FlexibleTimeWindow=flexible,
        )
    assert refused.value.response["Error"] == {
        "Code": "ValidationException",
        "Message": f"Invalid Schedule Expression {expression}.",
    }
    if zone == "UTC":
        with pytest.raises(ClientError, match="Parameter ScheduleExpression is not valid"):
            endpoint.client("events").put_rule(Name="broken", ScheduleExpression=expression)


@pytest.mark.parametrize(("expression", "zone"), UNREADABLE)
def test_a_schedule_that_cannot_be_read_keeps_no_other_from_starting(
    endpoint: Endpoint, fired: Fired, expression: str, zone: str
) -> None:
    scheduler, good = (
        endpoint.client("scheduler"),
        {"RoleArn": ROLE, "Arn": queue(endpoint, "good")},
    )
    flexible = {"Mode": "OFF"}
    for name, text, time_zone in (
        ("a-broken", expression, zone),
        ("good", "rate(1 minute)", "UTC"),
    ):
        with endpoint.repairs.without("schedule_expressions"):
            scheduler.create_schedule(
                Name=name,
                ScheduleExpression=text,
                ScheduleExpressionTimezone=time_zone,
                Target=good,
                FlexibleTimeWindow=flexible,
            )

    (unreadable,) = fired.tick_at("2026-01-01T00:00:00")

    assert unreadable.startswith("schedule a-broken cannot be read: ")
    assert fired.tick_at("2026-01-01T00:01:01") == [f"schedule good started {QUEUE}good"]
