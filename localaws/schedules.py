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
from botocore.exceptions import BotoCoreError, ClientError

from localaws.persistence.documents import Documents
from localaws.targets import Client, deliver, deliver_event, schedule_input

_LONGEST_GAP = timedelta(days=1)
_KIND = "schedule"


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
        since = max(since, until - _LONGEST_GAP)
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
        client: Makes clients.
        account: Account number, for the events that are sent.
        region: Likewise.
        clock: The time, aware.
        documents: Where it is kept since when a `rate` counts.
        version: Changes when a rule or a schedule may have changed; they are read again only then.
        say: Gets a line for what was started, or why it was not.
    """

    def __init__(
        self,
        client: Client,
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
        self._ticked = clock()
        self._unreadable: set[tuple[str, str]] = set()
        self._read: tuple[object, list[Schedule]] = (None, [])
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def start(self, *, seconds: float = 1.0) -> None:
        """Tick at once and then every so many seconds, until `close`."""
        self._seconds = seconds
        self._thread.start()

    def close(self) -> None:
        """Stop ticking."""
        self._closing.set()
        if self._thread.ident is not None:
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
                found = scheduler.get_schedule(Name=listed["Name"], GroupName=listed["GroupName"])
                if found.get("State") != "ENABLED":
                    continue
                yield Schedule(
                    found["Arn"],
                    found["ScheduleExpression"],
                    found["Target"],
                    found["Target"].get("RoleArn", ""),
                    found.get("ScheduleExpressionTimezone") or "UTC",
                    found.get("StartDate"),
                    found.get("EndDate"),
                    vanishes=found.get("ActionAfterCompletion") == "DELETE",
                )

    # What is started

    def _fire(self, schedule: Schedule, moment: datetime) -> None:
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
        target, arn, role = schedule.target, schedule.arn, schedule.role
        if schedule.is_rule:
            failed = deliver_event(
                self._client, target, event, rule_arn=arn, role=role, ingestion_time=at
            )
        else:
            payload = schedule_input(target, event, schedule_arn=arn, scheduled_time=at)
            failed = deliver(self._client, target, payload, source_arn=arn, role=role)
        for line in failed or [f"started {target['Arn']}"]:
            self._say(f"schedule {schedule.name} {line}")
        if schedule.vanishes and schedule.expression.startswith("at("):
            group, name = arn.split("/")[-2:]
            with suppress(ClientError):  # somebody else was faster
                self._client("scheduler", "").delete_schedule(Name=name, GroupName=group)


def _local(text: str, zone: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def _is_last_weekday(at: datetime) -> bool:
    """Whether the next day from Monday to Friday is in another month."""
    next_weekday = at + timedelta(days=3 if at.isoweekday() == 5 else 1)
    return next_weekday.month != at.month
