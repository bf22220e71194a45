"""EventBridge's scheduled rules and EventBridge Scheduler's schedules: their targets are started.

moto keeps them and never fires. `Schedules.tick` starts each target that has become due since the
last tick, once, as AWS does. What was due while nothing ticked (a laptop that slept) is started
once, not as often as it was missed.
"""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from aws_croniter import AwsCroniter
from botocore.exceptions import ClientError

from localaws.persistence.documents import Documents
from localaws.targets import Client, deliver, deliver_event, schedule_input

_YEAR_STEP = re.compile(r"(?:\*|(\d{4})(?:-(\d{4}))?)/([1-9]\d*)")
_LONGEST_GAP = timedelta(days=1)
_COLLECTION = "schedule"


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
        is_deleted_at_end: Whether the schedule is deleted when it has run for the last time.
    """

    arn: str
    expression: str
    target: Mapping[str, Any]
    role: str = ""
    zone: str = "UTC"
    begin: datetime | None = None
    end: datetime | None = None
    is_rule: bool = False
    is_deleted_at_end: bool = False

    @property
    def name(self) -> str:
        """The last part of its ARN."""
        return self.arn.rpartition("/")[2]

    def due(self, since: datetime, until: datetime, first_seen: datetime) -> datetime | None:
        """Return the latest moment after `since` and up to `until` at which it is due, if any.

        A `rate` counts from when it was first seen, unless the schedule has a begin.

        Raises:
            ValueError: If the expression cannot be read.
        """
        since = max(since, until - _LONGEST_GAP)
        function, _, argument = self.expression.removesuffix(")").partition("(")
        if function == "at":
            moment = datetime.fromisoformat(argument).replace(tzinfo=ZoneInfo(self.zone))
            return moment if since < moment <= until else None
        if self.end:
            until = min(until, self.end)
        if function == "cron":
            return self._due_by_cron(argument, since, until)
        match = re.fullmatch(r"([1-9][0-9]{0,8}) (minute|hour|day)s?", argument)
        if function != "rate" or not match:
            raise ValueError(f"{self.expression} is no cron, rate or at expression")
        period = timedelta(**{f"{match[2]}s": int(match[1])})
        origin = self.begin or first_seen
        moment = origin + (until - origin) // period * period
        has_begun = moment >= origin if self.begin else moment > origin
        return moment if since < moment <= until and has_begun else None

    def _due_by_cron(self, argument: str, since: datetime, until: datetime) -> datetime | None:
        """Return the latest moment of a cron by its zone's clock.

        A time that the clock skips in spring does not come; one that it shows twice in autumn
        comes once, the first time.
        https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
        """
        fields = argument.split(" ")
        # aws-croniter 2.1.1 knows neither steps of years, nor the last weekday of a month, nor the
        # week's last day.
        fields[-1] = _YEAR_STEP.sub(_listed_years, fields[-1])
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


def check_expression(expression: str, zone: str = "UTC") -> None:
    """Refuse the expression or the zone of a schedule that cannot be read.

    Raises:
        ValueError: If it is no such expression, or there is no such zone; KeyError and OSError are
            raised for a zone too.
    """
    now = datetime.now(UTC)
    Schedule("", expression, {}, zone=zone).due(now - timedelta(seconds=1), now, now)


class Schedules:
    """Starts what is due.

    Args:
        client: Makes clients.
        account: Account number, for the events that are sent.
        region: Region, likewise.
        clock: Returns the time, aware.
        documents: Keeps since when a `rate` counts.
        version: Changes when a rule or a schedule may have changed; they are read again only then.
        log: Called with a line for each target that was started, or was not and why.
    """

    def __init__(
        self,
        client: Client,
        *,
        account: str,
        region: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        documents: Documents,
        version: Callable[[], object] = object,
        log: Callable[[str], None],
    ) -> None:
        self._client = client
        self._account = account
        self._region = region
        self._clock = clock
        self._documents = documents
        self._version = version
        self._log = log
        self._ticked = clock()
        self._unreadable: set[tuple[str, str]] = set()
        self._read: tuple[object, list[Schedule]] = (None, [])
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._tick_until_closed, daemon=True)

    def start(self) -> None:
        """Tick at once and then every second, until `close`."""
        self._thread.start()

    def close(self) -> None:
        """Stop ticking."""
        self._closing.set()
        self._thread.join()

    def tick(self) -> None:
        """Start every target that has become due since the last tick."""
        since, now = self._ticked, self._clock()
        version = self._version()
        if version != self._read[0]:
            self._read = (version, [*self._rules(), *self._schedules()])
        self._ticked = now
        for schedule in self._read[1]:
            try:
                moment = schedule.due(since, now, self._first_seen(schedule, now))
            except (ValueError, KeyError, OSError) as error:  # an OSError of a zone's file
                moment = None
                if (schedule.arn, schedule.expression) not in self._unreadable:
                    self._unreadable.add((schedule.arn, schedule.expression))
                    self._log(f"schedule {schedule.name} cannot be read: {error}")
            if moment:
                self._fire(schedule, moment)

    def _tick_until_closed(self) -> None:
        while not self._closing.is_set():
            try:
                self.tick()
            except Exception as error:  # the schedules of the next second go on
                self._log(f"schedules cannot be read: {error}")
            self._closing.wait(1.0)

    def _first_seen(self, schedule: Schedule, now: datetime) -> datetime:
        """Return since when its rate counts; it begins anew when the expression changes."""
        if not schedule.expression.startswith("rate("):
            return now
        document = self._documents.get(_COLLECTION, schedule.arn)
        if document is None or document["expression"] != schedule.expression:
            document = {"expression": schedule.expression, "since": now}
            self._documents.put(_COLLECTION, schedule.arn, document)
        since: datetime = document["since"]
        return since

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
            for summary in page["Schedules"]:
                schedule = scheduler.get_schedule(
                    Name=summary["Name"], GroupName=summary["GroupName"]
                )
                if schedule.get("State") != "ENABLED":
                    continue
                yield Schedule(
                    schedule["Arn"],
                    schedule["ScheduleExpression"],
                    schedule["Target"],
                    schedule["Target"].get("RoleArn", ""),
                    schedule.get("ScheduleExpressionTimezone") or "UTC",
                    schedule.get("StartDate"),
                    schedule.get("EndDate"),
                    is_deleted_at_end=schedule.get("ActionAfterCompletion") == "DELETE",
                )

    def _fire(self, schedule: Schedule, moment: datetime) -> None:
        time = f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Scheduled Event",
            "source": "aws.events" if schedule.is_rule else "aws.scheduler",
            "account": self._account,
            "time": time,
            "region": self._region,
            "resources": [schedule.arn],
            "detail": {} if schedule.is_rule else "{}",
        }
        target, arn, role = schedule.target, schedule.arn, schedule.role
        if schedule.is_rule:
            errors = deliver_event(
                self._client, target, event, rule_arn=arn, role=role, ingestion_time=time
            )
        else:
            payload = schedule_input(target, event, schedule_arn=arn, scheduled_time=time)
            errors = deliver(self._client, target, payload, source_arn=arn, role=role)
        for line in errors or [f"started {target['Arn']}"]:
            self._log(f"schedule {schedule.name} {line}")
        if schedule.is_deleted_at_end and schedule.expression.startswith("at("):
            group, name = arn.split("/")[-2:]
            with suppress(ClientError):  # somebody else was faster
                self._client("scheduler", "").delete_schedule(Name=name, GroupName=group)


def _listed_years(step: re.Match[str]) -> str:
    """Return the years of a step such as `2026/2`, `*/2` or `2026-2030/2`, with commas."""
    first, last, every = step.groups()
    years = range(int(first or 1970), int(last or 2199) + 1, int(every))
    return ",".join(map(str, years))


def _is_last_weekday(day: datetime) -> bool:
    """Return whether the next day from Monday to Friday is in another month."""
    next_weekday = day + timedelta(days=3 if day.isoweekday() == 5 else 1)
    return next_weekday.month != day.month
