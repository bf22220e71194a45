"""How runs ended, for the commands: what the notification tells of an end, and where it came to it.

The words are those of `lambdas.send_notification`, whether a deployment notifies or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from lambdas.send_notification import (
    DEGRADED,
    SKIPPED,
    End,
    Notification,
    Records,
    notification_of,
)
from retrain.publications import publications, published_now
from workflow.config import Config
from workflow.runs.executions import Run, executions_of, failure, last_state
from workflow.runs.history import Failure
from workflow.spelling import suggestion

_READ_AT_A_TIME = 16


@dataclass(frozen=True)
class RunEnd:
    """An execution, and how it ended.

    Attributes:
        run: The execution.
        told: What is told of its end; None while it runs.
        failure: Why it failed; None if it did not.
        skipped_at: The state at which it ended if it published nothing, and did not fail.
    """

    run: Run
    told: Notification | None = None
    failure: Failure | None = None
    skipped_at: str = ""

    @property
    def is_degraded(self) -> bool:
        """Whether it published, and something was found wrong, even if it failed then."""
        return self.told is not None and bool(self.told.degraded)

    @property
    def ended_by(self) -> str:
        """What ended it before its work was done: a state, else an error; empty if nothing did."""
        if self.failure:
            return self.failure.state or self.failure.error
        return self.skipped_at

    @property
    def remark(self) -> str:
        """Why it is degraded, or published nothing, in a clause; empty if neither, or it runs."""
        if self.told is None:
            return ""
        words = {DEGRADED: "degraded", SKIPPED: "published nothing"}
        if self.told.outcome in words:
            return f"{words[self.told.outcome]}: {self.told.reason}"
        return f"degraded: {self.told.degraded}" if self.told.degraded else ""

    def figures(self) -> Iterator[str]:
        """Yield what it published, in clauses, then where the lists are.

        Nothing of a run that runs, or failed before it published.
        """
        if self.told and (self.told.records.lists or not self.failure):
            yield from self.told.figures()
            yield from (str(each["csv"]) for each in self.told.records.lists.values())


def end_of(states: Any, s3: Any, config: Config, run: Run) -> RunEnd:
    """Return how an execution ended, or that it has not.

    Args:
        states: A boto3 `stepfunctions` client.
        s3: A boto3 `s3` client.
        config: The workflow's.
        run: The execution.
    """
    if run.ended is None:
        return RunEnd(run)
    described = states.describe_execution(executionArn=run.arn)
    try:
        records = Records.read(s3, config.bucket, run.run)
    except s3.exceptions.NoSuchBucket:  # nothing has been published there, or all is deleted
        records = Records()
    told = notification_of(End.of(described), records)
    skipped_at = last_state(states, run) if told.outcome == SKIPPED else ""
    return RunEnd(run, told, failure(states, run), skipped_at)


def ends_of(states: Any, s3: Any, config: Config, runs: Sequence[Run]) -> list[RunEnd]:
    """Return how each of several executions ended, in their order."""
    with ThreadPoolExecutor(_READ_AT_A_TIME) as threads:
        return list(threads.map(lambda run: end_of(states, s3, config, run), runs))


def published_lists(s3: Any, config: Config) -> Iterator[str]:
    """Yield which list of each recommender is published now, in a clause."""
    for each in config.each_recommender:
        if current := published_now(s3, config.bucket, each.recommender):
            whose = f"of {each.recommender} " if each.recommender else ""
            yield f"the list {whose}of run '{current.run}' is published: {current.content['csv']}"


def why_unpublished(states: Any, s3: Any, config: Config, run: str) -> str:
    """Return why there is no list of a run that could be published again, and what to do.

    Args:
        states: A boto3 `stepfunctions` client.
        s3: A boto3 `s3` client.
        config: The workflow's, of one recommender.
        run: The run, which has no record of a list.
    """
    executions = executions_of(states, config.state_machine_arn, run)
    files = any("/record/" not in f"/{path}" for path in _paths(s3, config.bucket, run))
    if not executions and not files:
        listed = publications(s3, config.bucket, config.recommender)
        others = [each.run for each in listed if not each.is_current]
        hint = suggestion(run, others, otherwise="'retrain published' lists those with a list")
        return f"there is no run '{run}'; {hint}"
    end = end_of(states, s3, config, executions[-1]) if executions else None
    if end and end.run.ended is None:
        return f"run '{run}' is in progress; 'retrain watch {end.run.name}' shows it"
    if end and end.failure:
        return (
            f"run '{run}' has no list: it ended as {end.run.status}, by '{end.ended_by}';"
            f" 'retrain explain {run}' says why"
        )
    if end and end.skipped_at:
        return f"run '{run}' {end.remark}; 'retrain published' lists the runs that have a list"
    if files:
        return f"run '{run}' has published no such list; 'retrain published' lists those that have"
    return (
        f"the files of run '{run}' are deleted, its list too: they are kept for"
        " aws.run_retention_days, or by [retention]; where the bucket is versioned, as ours is, S3"
        " has them for 30 days more. 'retrain published' lists the runs that have a list"
    )


def _paths(s3: Any, bucket: str, run: str) -> Iterator[str]:
    """Yield the files of a run, as paths below its prefix."""
    prefix = f"runs/{run}/"
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    for entry in (entry for page in pages for entry in page.get("Contents", ())):
        yield entry["Key"].removeprefix(prefix)
