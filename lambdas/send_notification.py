"""Send Notification: how a run ended, as a line for people and as an event for programs.

EventBridge calls it at the end of every execution of the state machine: at its last state, at one
in the middle where the run was skipped, and at a failure, a time-out or an abort, at which no state
of the machine runs any more. What the run did is read from its records.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from lambdas.clients import client
from lambdas.errors import (
    ExecutionNotEnded,
    InvalidInputException,
    NotificationNotTaken,
    json_object,
    named_errors,
    sentence,
)
from lambdas.publication import PUBLICATION
from lambdas.records import latest_key, read_object, record_key

SUCCEEDED, DEGRADED, SKIPPED, FAILED = "succeeded", "degraded", "skipped", "failed"
SOURCE, DETAIL_TYPE = "personalize-retraining", "Retraining Ended"
"""Of the event on EventBridge."""

_CAUGHT = frozenset({"Error", "Cause"})
_EARLY_ENDS = frozenset({"AnotherRunInProgress", "NewerListPublished"})  # which are no failures
_STATUSES = {"FAILED": "failed", "TIMED_OUT": "timed out", "ABORTED": "was aborted"}
_LONGEST_SUBJECT = 99
_MOST_LISTS = 5  # in a line: there may be many recommenders
_LIST_MEMBERS = ("csv", "recommendations", "users", "solutionVersionArn", "degraded")
_LONGEST_REASON = 1_000
_MINUTE, _HOUR = 60, 3_600


@dataclass(frozen=True)
class End:
    """How an execution ended.

    Attributes:
        arn: The execution's.
        status: SUCCEEDED, FAILED, TIMED_OUT or ABORTED.
        error: The error's name, if it did not succeed and has one.
        reason: The cause of the error, as a sentence; empty without one.
        output: Of an execution that succeeded.
        begun: When it was started.
        ended: When it ended.
    """

    arn: str
    status: str
    error: str
    reason: str
    output: Mapping[str, Any]
    begun: datetime
    ended: datetime

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> End:
        """Return that of an execution, as DescribeExecution has it."""
        return cls(
            described["executionArn"],
            described["status"],
            described.get("error") or "",
            sentence(described.get("cause") or ""),
            json_object(described.get("output") or ""),
            described["startDate"],
            described["stopDate"],
        )

    @property
    def execution(self) -> str:
        """The execution's name."""
        return self.arn.rpartition(":")[2]

    @property
    def run(self) -> str:
        """The run, which has several executions if it was resumed."""
        return self.execution.partition(".")[0]

    @property
    def machine(self) -> str:
        """The state machine's name."""
        return self.arn.split(":")[6]


@dataclass(frozen=True)
class Records:
    """What a run left about itself; each is empty if it is not there.

    Attributes:
        lists: Recommender → what it published, as in `latest.json`; the first one has no name, and
            those that published nothing are left out.
        manifest: That of its Spark job.
        delivery: What became of the delivery of its list: `status`, `table`, `reason`.
        campaigns: What its campaigns serve: `degraded`, `reason`.
        comparison: That of its models: `models`, `leftOut`.
        increment: What it imported, of a run with increments: `windowLeftOut`.
        replaced: Recommender → the run whose list is published now in place of this one's.
        fault: Why they could not be read; empty if they could.
    """

    lists: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)
    delivery: Mapping[str, Any] = field(default_factory=dict)
    campaigns: Mapping[str, Any] = field(default_factory=dict)
    comparison: Mapping[str, Any] = field(default_factory=dict)
    increment: Mapping[str, Any] = field(default_factory=dict)
    replaced: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""

    @classmethod
    def read(cls, s3: Any, bucket: str, run: str) -> Records:
        """Return those of a run."""
        try:
            manifest = read_object(s3, bucket, f"runs/{run}/manifest.json") or {}
            lists = {
                name: read_object(s3, bucket, record_key(run, PUBLICATION, name))
                for name in ("", *manifest.get("recommenders", ()))
            }
            delivery, campaigns, comparison, increment = (
                read_object(s3, bucket, record_key(run, stage)) or {}
                for stage in ("delivery", "campaigns", "comparison", "increment")
            )
            published = {name: each for name, each in lists.items() if each}
            current = {
                name: (read_object(s3, bucket, latest_key(name)) or {}).get("run", run)
                for name in published
            }
        except InvalidInputException as error:
            return cls(fault=str(error))
        replaced = {name: other for name, other in current.items() if other != run}
        return cls(published, manifest, delivery, campaigns, comparison, increment, replaced)

    def degradations(self) -> Iterator[str]:
        """Yield what is wrong with what was published: the lists, their delivery, the campaigns."""
        for name, each in self.lists.items():
            if each.get("degraded"):
                yield f"{f'{name}: ' if name else ''}{each['degraded']['reason']}"
        if self.delivery.get("status") == "FAILED":
            yield str(self.delivery.get("reason") or "the list is not delivered")
        if self.campaigns.get("degraded"):
            yield str(self.campaigns.get("reason", ""))

    @property
    def backtest(self) -> Mapping[str, Any]:
        """What the lists before were worth; empty if that was not measured."""
        return self.manifest.get("backtest") or {}

    def figures(self, *, failed: bool) -> Iterator[str]:
        """Yield what a run published, and how good the lists before were, in clauses.

        Args:
            failed: Whether the run failed; then it is not taken for granted that it published.
        """
        shown = list(self.lists)[:_MOST_LISTS]
        for name in shown:
            yield self._list_figures(name, failed=failed)
        if rest := [each for name, each in self.lists.items() if name not in shown]:
            total = sum(each["recommendations"] for each in rest)
            yield f"{len(rest)} further list{'s' * (len(rest) > 1)} with {total:,} recommendations"
        if why := self.increment.get("windowLeftOut"):
            yield f"all interactions were read, not the window that was asked for: {why}"
        for model, reason in self.comparison.get("leftOut", {}).items():
            yield f"{model} was left out of the comparison: {reason}"
        if self.delivery.get("status") == "DELIVERED":
            yield f"delivered into table {self.delivery['table']}"
        elif self.delivery.get("status") == "SKIPPED":
            yield f"not delivered: {self.delivery.get('reason', '')}"
        if rate := (self.backtest.get("metrics") or {}).get("hit_rate_at_10"):
            beside = rate.get("popularity")
            popular = "" if beside is None else f", {beside:.1%} of the most popular items"
            yield f"hit_rate_at_10 of the lists before was {rate['value']:.1%}{popular}"
        if self.fault:
            yield self.fault

    def _list_figures(self, name: str, *, failed: bool) -> str:
        """Return the size of a recommender's list and the age of its data, in a clause."""
        published = self.lists[name]
        manifest = self.manifest["recommenders"][name] if name else self.manifest
        by_item = (manifest.get("batchInput") or {}).get("id") == "ITEM_ID"
        whose = f"{name}: " if name else ""
        if failed:
            other = self.replaced.get(name)
            state = f"was published before that of run '{other}'" if other else "is published"
            whose = f"{f'the list of {name}' if name else 'its list'} {state}: "
        return (
            f"{whose}{published['recommendations']:,} recommendations for"
            f" {published['users']:,} {'items' if by_item else 'users'}, of data extracted at"
            f" {published['extractedAt']}{_made_by(published)}{_error_lines(published)}"
        )


@dataclass(frozen=True)
class Notification:
    """What is told of the end of a run.

    Attributes:
        end: How its execution ended.
        outcome: `succeeded`, `degraded`, `skipped` or `failed`.
        reason: Why it did not simply succeed.
        records: What the run left about itself.
        degraded: What is wrong with what was published, whether the run failed then or not; empty
            if nothing is, or if the reason of the failure says it.
    """

    end: End
    outcome: str
    reason: str
    records: Records
    degraded: str = ""

    @property
    def subject(self) -> str:
        """The subject of a mail."""
        return f"{self.end.machine}: {self.outcome}"[:_LONGEST_SUBJECT]

    @property
    def line(self) -> str:
        """All of it in one line."""
        end = self.end
        took = duration((end.ended - end.begun).total_seconds())
        who = f"Run {end.execution} of {end.machine}"
        if self.outcome == FAILED:
            error = f" with {end.error}" if end.error else ""
            happened = f"{who} {_STATUSES[end.status]} after {took}{error}"
        elif self.outcome == SKIPPED:
            happened = f"{who} published nothing"
        else:
            degraded = ", degraded" * (self.outcome == DEGRADED)
            happened = f"{who} succeeded{degraded}, in {took}"
        reason = f": {self.reason}" if self.reason else ""
        return "; ".join([f"{happened}{reason}", *self.figures()])

    def figures(self) -> Iterator[str]:
        """Yield what is wrong with what a run published that failed then, and its figures."""
        failed = self.outcome == FAILED
        if failed and self.degraded:
            yield f"degraded: {self.degraded}"
        yield from self.records.figures(failed=failed)

    def detail(self) -> dict[str, Any]:
        """Return all of it as the detail of an event."""
        end = self.end
        return {
            "run": end.run,
            "execution": end.arn,
            "outcome": self.outcome,
            "status": end.status,
            "error": end.error,
            "reason": self.reason,
            "degraded": self.degraded,
            "begunAt": _utc(end.begun),
            "endedAt": _utc(end.ended),
            "published": dict(self.records.lists.get("", {})),
            "recommenders": {
                name: {member: each[member] for member in _LIST_MEMBERS if member in each}
                for name, each in self.records.lists.items()
                if name
            },
            "delivery": dict(self.records.delivery),
            "backtest": dict(self.records.backtest),
            "message": self.line,
        }


def notification_of(end: End, records: Records) -> Notification:
    """Return what is told of the end of a run.

    Args:
        end: How its execution ended.
        records: What the run left about itself.
    """
    outcome, reason, degraded = SUCCEEDED, "", ""
    job, increment = end.output.get("job"), end.output.get("increment")
    newer = _newer_lists(end.output)
    if end.status != "SUCCEEDED":
        outcome, reason = FAILED, end.reason
        degraded = "; ".join(each for each in records.degradations() if each not in reason)
    elif isinstance(job, Mapping) and job.get("Error") in _EARLY_ENDS:
        outcome, reason = SKIPPED, sentence(str(job.get("Cause", "")))
    elif isinstance(increment, Mapping) and increment.get("step") == "nothing":
        outcome, reason = SKIPPED, str(increment.get("why", ""))
    elif newer and not records.lists:
        outcome, reason = SKIPPED, newer[0]
    else:
        caught = _caught(end.output)  # its words are those of the record, if it left one
        found = (each for each in records.degradations() if each not in caught)
        unpublished = "nothing is published" if caught and not records.lists else ""
        degraded = "; ".join(filter(None, (unpublished, *found, caught)))
        outcome = DEGRADED if degraded else SUCCEEDED
        reason = "; ".join(filter(None, (degraded, *newer)))
    if outcome == SKIPPED:  # what is there, an earlier execution of the run has published
        records = replace(records, lists={}, delivery={}, campaigns={})
    return Notification(end, outcome, _shortened(reason), records, _shortened(degraded))


def _caught(output: Mapping[str, Any]) -> str:
    """Return the error that a Catch wrote, wherever in the data; empty if none did."""
    for found in (output, *output.values()):
        if isinstance(found, Mapping) and found.get("Error") and found.keys() <= _CAUGHT:
            cause = sentence(str(found.get("Cause", "")))
            return ": ".join(filter(None, (str(found["Error"]), cause)))
    return ""


def _error_lines(published: Mapping[str, Any]) -> str:
    """Return how many lines of the batch output gave no list; empty if each did."""
    lines = published.get("errorLines", 0)
    return f", with {lines:,} error line{'s' * (lines > 1)} in the batch output" if lines else ""


def _made_by(published: Mapping[str, Any]) -> str:
    """Return which model of one's own, or which version in place of a refused one, made a list."""
    if model := published.get("model"):
        return f", by model {model['name']}"
    refused = (published.get("degraded") or {}).get("refusedSolutionVersionArn")
    if not refused:
        return ""
    made, instead = (
        arn.rpartition(":solution/")[2] for arn in (published["solutionVersionArn"], refused)
    )
    return f", by solution version {made} as before, in place of {instead}"


def _newer_lists(output: Mapping[str, Any]) -> list[str]:
    """Return why recommenders did not publish, where newer lists stay published."""
    outcomes = output.get("outcomes")
    older = outcomes.get("older") if isinstance(outcomes, Mapping) else None
    return [
        sentence(str(each.get("Cause", "")))
        for each in (older if isinstance(older, list) else ())
        if isinstance(each, Mapping)
    ]


def duration(seconds: float) -> str:
    """Return a duration in words: `42 s`, `7 min`, `1 h 42 min`."""
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    hours, rest = divmod(round(seconds / _MINUTE) * _MINUTE, _HOUR)
    return f"{hours:.0f} h {rest / _MINUTE:.0f} min" if hours else f"{rest / _MINUTE:.0f} min"


def notify(s3: Any, states: Any, sns: Any, events: Any, event: Mapping[str, Any]) -> dict[str, Any]:
    """Send what is told of the end of an execution, and return it.

    Raises:
        ExecutionNotEnded: If Step Functions still describes it as RUNNING: Lambda calls again.
        NotificationNotTaken: If EventBridge does not take the event.
    """
    described = states.describe_execution(executionArn=event["execution"])
    if described["status"] == "RUNNING":
        raise ExecutionNotEnded(f"{event['execution']} is RUNNING, and was {event['status']}")
    end = End.of(described)
    told = notification_of(end, Records.read(s3, event["bucket"], end.run))
    if event["events"]:
        _put_event(events, told)
    if told.outcome in event["outcomes"]:
        attributes = {"outcome": told.outcome, "run": end.run}
        sns.publish(
            TopicArn=event["topicArn"],
            Subject=told.subject,
            Message=told.line,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value}
                for name, value in attributes.items()
            },
        )
    return told.detail()


def _put_event(events: Any, told: Notification) -> None:
    entry = {
        "Source": SOURCE,
        "DetailType": DETAIL_TYPE,
        "Time": told.end.ended,
        "Resources": [told.end.arn],
        "Detail": json.dumps(told.detail(), ensure_ascii=False),
    }
    (answer,) = events.put_events(Entries=[entry])["Entries"]
    if "ErrorCode" in answer:
        raise NotificationNotTaken(f"{answer['ErrorCode']}: {answer.get('ErrorMessage', '')}")


def _shortened(reason: str) -> str:
    """Return a reason in one line that people read."""
    line = " ".join(reason.split())
    return line if len(line) <= _LONGEST_REASON else f"{line[: _LONGEST_REASON - 1]}…"


def _utc(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


@named_errors
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Notify of the end of an `execution`, which had this `status`.

    Event: besides these `bucket`, `topicArn`, `outcomes` (those that are sent to the topic) and
    `events` (whether each is an event too).
    """
    clients = (client("s3"), client("stepfunctions"), client("sns"), client("events"))
    return notify(*clients, event)
