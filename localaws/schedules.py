"""EventBridge's scheduled rules and EventBridge Scheduler's schedules: their targets are started.

moto keeps them and never fires. `Schedules.tick` looks at what is enabled and due since the last
look, and starts each target once, as AWS does: with the target's input, signed by the target's
role, and what fails goes to its dead-letter queue. What was due while nobody looked (a laptop that
slept) is started once, not as often as it was missed.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import boto3
from aws_croniter import AwsCroniter
from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError

from localaws.persistence.documents import Documents

_LONGEST_LOOK_BACK = timedelta(days=1)
_KIND = "schedule"
_SDK = {"sfn": "stepfunctions", "eventbridge": "events", "cloudwatchlogs": "logs"}
"""Names of services in the ARN of a universal target → boto3's."""


@dataclass(frozen=True)
class Schedule:
    """A rule or a schedule with one target.

    Attributes:
        arn: The rule's or the schedule's.
        expression: `cron(…)`, `rate(…)` or `at(…)`.
        target: As its API describes it.
        role: ARN of the role that starts the target; empty if none is named.
        zone: The time zone of `cron` and `at`.
        begin: Nothing is started before it.
        end: Nothing is started after it.
        is_rule: Whether it is EventBridge's rule; else EventBridge Scheduler's schedule.
        vanishes: Whether the schedule is deleted when it has run for the last time.
    """

    arn: str
    expression: str
    target: Mapping[str, Any]
    role: str = ""
    zone: str = "UTC"
    begin: datetime | None = None
    end: datetime | None = None
    is_rule: bool = False
    vanishes: bool = False

    @property
    def name(self) -> str:
        """As a person calls it."""
        return self.arn.rpartition("/")[2]

    def due(self, since: datetime, until: datetime, first_seen: datetime) -> datetime | None:
        """Return the latest moment after `since` and up to `until` at which it is due, if any.

        Args:
            since: Aware.
            until: Aware.
            first_seen: From when a `rate` counts, unless the schedule says when it begins.

        Raises:
            ValueError: The expression cannot be read.
        """
        since = max(since, until - _LONGEST_LOOK_BACK)
        kind, _, inside = self.expression.removesuffix(")").partition("(")
        if kind == "at":
            moment = _local(inside, self.zone)
            return moment if since < moment <= until else None
        if self.end:
            until = min(until, self.end)
        if kind == "cron":
            return self._due_by_cron(inside, since, until)
        found = re.fullmatch(r"([1-9][0-9]{0,8}) (minute|hour|day)s?", inside)
        if kind != "rate" or not found:
            raise ValueError(f"{self.expression} is no cron, rate or at expression")
        period = timedelta(**{f"{found[2]}s": int(found[1])})
        origin = self.begin or first_seen
        moment = origin + (until - origin) // period * period
        has_begun = moment >= origin if self.begin else moment > origin
        return moment if since < moment <= until and has_begun else None

    def _due_by_cron(self, inside: str, since: datetime, until: datetime) -> datetime | None:
        """Return the latest moment of a cron, whose fields are `inside`, by its zone's clock.

        A time that the clock skips in spring does not come; one that it shows twice in autumn
        comes once, the first time.
        https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
        """
        fields = inside.split(" ")
        # aws-croniter 2.1.1 knows neither the last weekday of a month nor the week's last day.
        on_last_weekday = len(fields) == 6 and (fields[2], fields[4]) == ("LW", "?")
        if on_last_weekday:
            fields[2], fields[4] = "?", "MON-FRI"
        elif len(fields) == 6 and fields[4] == "L":
            fields[4] = "SAT"
        cron, zone = AwsCroniter(" ".join(fields)), ZoneInfo(self.zone)
        clock: datetime | None = since.astimezone(zone).replace(tzinfo=UTC)  # it takes UTC alone
        latest = None
        while clock := cron.get_next(clock)[0]:
            moment = clock.replace(tzinfo=zone).astimezone(UTC)
            if moment > until:
                break
            exists = moment.astimezone(zone).replace(tzinfo=UTC) == clock
            has_begun = moment > since and (self.begin is None or moment >= self.begin)
            if exists and has_begun and (not on_last_weekday or _is_last_weekday(clock)):
                latest = moment
        return latest


class Schedules:
    """Starts what is due.

    Args:
        client: A service, and the ARN of the role that signs → boto3's client.
        account: Account number, for the events that are sent.
        region: Likewise.
        clock: The time, aware.
        documents: Where it is kept since when a `rate` counts.
        version: Changes when a rule or a schedule may have changed; they are read again only then.
        say: Told what was started, or why it was not.
    """

    def __init__(
        self,
        client: Callable[[str, str], Any],
        *,
        account: str,
        region: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        documents: Documents | None = None,
        version: Callable[[], object] = object,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._client = client
        self._account = account
        self._region = region
        self._clock = clock
        self._documents = documents or Documents()
        self._version = version
        self._say = say
        self._looked = clock()
        self._unreadable: set[tuple[str, str]] = set()
        self._read: tuple[object, list[Schedule]] = (None, [])
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def start(self, *, seconds: float = 1.0) -> None:
        """Look at once and then every so many seconds, until `close`."""
        self._seconds = seconds
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join()

    def tick(self) -> None:
        """Start every target that has become due since the last look."""
        since, now = self._looked, self._clock()
        version = self._version()
        if version != self._read[0]:
            self._read = (version, [*self._rules(), *self._schedules()])
        self._looked = now
        for schedule in self._read[1]:
            try:
                moment = schedule.due(since, now, self._first_seen(schedule, now))
            except (ValueError, KeyError) as error:
                moment = None
                if (schedule.arn, schedule.expression) not in self._unreadable:
                    self._unreadable.add((schedule.arn, schedule.expression))
                    self._say(f"schedule {schedule.name} cannot be read: {error}")
            if moment:
                self._fire(schedule, moment)

    def _follow(self) -> None:
        while not self._closing.is_set():
            try:
                self.tick()
            except (ClientError, BotoCoreError) as error:
                self._say(f"schedules cannot be read: {error}")
            self._closing.wait(self._seconds)

    def _first_seen(self, schedule: Schedule, now: datetime) -> datetime:
        """Since when its rate counts; it begins anew when the expression changes."""
        if not schedule.expression.startswith("rate("):
            return now
        kept = self._documents.get(_KIND, schedule.arn)
        if kept is None or kept["expression"] != schedule.expression:
            kept = {"expression": schedule.expression, "since": now}
            self._documents.put(_KIND, schedule.arn, kept)
        since: datetime = kept["since"]
        return since

    # What there is

    def _rules(self) -> Iterator[Schedule]:
        events = self._client("events", "")
        for page in events.get_paginator("list_rules").paginate():
            for rule in page["Rules"]:
                if rule.get("State") != "ENABLED" or not rule.get("ScheduleExpression"):
                    continue
                for target in events.list_targets_by_rule(Rule=rule["Name"])["Targets"]:
                    role = target.get("RoleArn") or rule.get("RoleArn", "")
                    yield Schedule(
                        rule["Arn"], rule["ScheduleExpression"], target, role, is_rule=True
                    )

    def _schedules(self) -> Iterator[Schedule]:
        scheduler = self._client("scheduler", "")
        for page in scheduler.get_paginator("list_schedules").paginate():
            for listed in page["Schedules"]:
                told = scheduler.get_schedule(Name=listed["Name"], GroupName=listed["GroupName"])
                if told.get("State") != "ENABLED":
                    continue
                yield Schedule(
                    told["Arn"],
                    told["ScheduleExpression"],
                    told["Target"],
                    told["Target"].get("RoleArn", ""),
                    told.get("ScheduleExpressionTimezone") or "UTC",
                    told.get("StartDate"),
                    told.get("EndDate"),
                    vanishes=told.get("ActionAfterCompletion") == "DELETE",
                )

    # What is started

    def _fire(self, schedule: Schedule, moment: datetime) -> None:
        payload = self._input(schedule, moment)
        arn = schedule.target["Arn"]
        try:
            self._send(schedule, payload)
        except (ClientError, BotoCoreError, ValueError) as error:
            self._say(f"schedule {schedule.name} could not start {arn}: {error}")
            self._bury(schedule, payload, error)
        else:
            self._say(f"schedule {schedule.name} started {arn}")
        if schedule.vanishes and schedule.expression.startswith("at("):
            group, name = schedule.arn.split("/")[-2:]
            with suppress(ClientError):  # somebody else was faster
                self._client("scheduler", "").delete_schedule(Name=name, GroupName=group)

    def _send(self, schedule: Schedule, payload: str) -> None:
        """Start the target.

        Raises:
            ValueError: It is a kind of target that is not supported, or its input is no JSON.
        """
        target, role = schedule.target, schedule.role
        arn = str(target["Arn"])
        match arn.split(":")[2:6]:
            case ["scheduler", _, _, "aws-sdk"]:
                self._call(arn, payload, role)
            case ["states", *_]:
                self._client("stepfunctions", role).start_execution(
                    stateMachineArn=arn, input=payload
                )
            case ["lambda", *_]:
                self._client("lambda", role).invoke(
                    FunctionName=arn, InvocationType="Event", Payload=payload.encode()
                )
            case ["sns", *_]:
                self._client("sns", role).publish(TopicArn=arn, Message=payload)
            case ["sqs", *_]:
                group = target.get("SqsParameters", {}).get("MessageGroupId")
                self._queue(arn, payload, role, **({"MessageGroupId": group} if group else {}))
            case _:
                raise ValueError(
                    f"target {arn!r} is not supported; supported are state machines, Lambda"
                    " functions, SNS topics, SQS queues and aws-sdk targets"
                )

    def _call(self, arn: str, payload: str, role: str) -> None:
        """Call the API that a universal target names, `arn:aws:scheduler:::aws-sdk:sfn:start…`."""
        name, operation = arn.split(":")[6:8]
        service = _SDK.get(name, name)
        if service not in boto3.Session().get_available_services():
            raise ValueError(f"target {arn!r} names no service")
        client = self._client(service, role)
        model = client.meta.service_model
        names = {known.lower(): known for known in model.operation_names}
        if operation.lower() not in names:
            raise ValueError(f"target {arn!r} names no operation of {service}")
        shape = model.operation_model(names[operation.lower()]).input_shape
        members = {known.lower(): known for known in (shape.members if shape else {})}
        given = json.loads(payload)
        if not isinstance(given, dict):
            raise ValueError(f"target {arn!r}: its input is no JSON object")
        told = {members.get(str(name).lower(), str(name)): given[name] for name in given}
        getattr(client, xform_name(names[operation.lower()]))(**told)

    def _queue(self, arn: str, payload: str, role: str, **more: Any) -> None:
        sqs = self._client("sqs", role)
        url = sqs.get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody=payload, **more)

    def _bury(self, schedule: Schedule, payload: str, error: Exception) -> None:
        """Leave what could not be delivered in the target's dead-letter queue, if it has one."""
        queue = schedule.target.get("DeadLetterConfig", {}).get("Arn")
        if not queue:
            return
        code = error.response["Error"]["Code"] if isinstance(error, ClientError) else "SDK_ERROR"
        told = {
            "ERROR_CODE": code,
            "ERROR_MESSAGE": str(error),
            "RULE_ARN" if schedule.is_rule else "SCHEDULE_ARN": schedule.arn,
            "TARGET_ARN": schedule.target["Arn"],
        }
        attributes = {
            name: {"DataType": "String", "StringValue": text} for name, text in told.items()
        }
        try:
            self._queue(queue, payload, "", MessageAttributes=attributes)
        except (ClientError, BotoCoreError) as failure:
            self._say(f"schedule {schedule.name}: dead-letter queue {queue}: {failure}")

    def _input(self, schedule: Schedule, moment: datetime) -> str:
        """What the target gets: its own input, or else the event that AWS sends."""
        at = f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Scheduled Event",
            "source": "aws.events" if schedule.is_rule else "aws.scheduler",
            "account": self._account,
            "time": at,
            "region": self._region,
            "resources": [schedule.arn],
            "detail": {} if schedule.is_rule else "{}",
        }
        given = schedule.target.get("Input")
        if not schedule.is_rule:
            # https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
            context = {
                "schedule-arn": schedule.arn,
                "scheduled-time": at,
                "execution-id": uuid.uuid4().hex[:16],
                "attempt-number": "1",
            }
            for name, value in context.items():
                given = given.replace(f"<aws.scheduler.{name}>", value) if given else given
            return given or json.dumps(event)
        if given is not None:
            return str(given)
        if path := schedule.target.get("InputPath"):
            return json.dumps(_at(event, path))
        if transformer := schedule.target.get("InputTransformer"):
            paths = transformer.get("InputPathsMap", {})
            values = {name: _at(event, path) for name, path in paths.items()}
            values |= {
                "aws.events.rule-arn": schedule.arn,
                "aws.events.rule-name": schedule.name,
                "aws.events.event.ingestion-time": at,
                "aws.events.event": event,
                "aws.events.event.json": event,
            }
            return _filled(transformer["InputTemplate"], values)
        return json.dumps(event)


def _local(text: str, zone: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def _is_last_weekday(at: datetime) -> bool:
    """Whether the next day from Monday to Friday is in another month."""
    next_weekday = at + timedelta(days=3 if at.isoweekday() == 5 else 1)
    return next_weekday.month != at.month


def _at(event: Any, path: str) -> Any:
    """What a path like `$.detail.state` names; None if it names nothing."""
    for name in path.removeprefix("$").split("."):
        if name:
            event = event.get(name) if isinstance(event, dict) else None
    return event


def _filled(template: str, values: Mapping[str, Any]) -> str:
    """A template with each `<name>`: as it is within a JSON text, as a JSON value elsewhere."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            return found[0]
        chosen = values[found[1]]
        within_text = len(re.findall(r'(?<!\\)"', template[: found.start()])) % 2 == 1
        return chosen if within_text and isinstance(chosen, str) else json.dumps(chosen)

    return re.sub(r"<([\w.-]+)>", value, template)
