"""Everything that is known of one run, gathered for its report.

Only reads: the execution and its history, the run's files on S3, and Personalize's metrics.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import pandas as pd

from analysis.frames import Run, RunFilesError, S3Files, list_runs, open_run
from analysis.metrics import metric_names, version_metrics
from workflow.config import Config
from workflow.runs.cost import ASSUMPTIONS, Estimate, NextWait, assume, estimate
from workflow.runs.executions import find_run, jobs_of
from workflow.runs.history import Failure, failure_of, history
from workflow.runs.prices import load_prices
from workflow.runs.progress import Progress, progress_of
from workflow.runs.usage import SOLUTION_VERSION, usage_of
from workflow.runs.visits import HistoryEvent, Visits

THIS_VERSION = "this version"
BEFORE = "the version before"


@dataclass(frozen=True)
class RunRecord:
    """Everything that a report is made of.

    Attributes:
        config: the configuration of the run.
        run: its files.
        definition: of the state machine, Amazon States Language, as JSON gives it.
        events: the execution's history, oldest first.
        metrics: who → metrics by their short names, for example `NDCG@10`: `this version`, then
            `the version before` and popularity where they are known.
        before: the recommendations of the run before; None if there was none.
        cost: what a run like this costs on AWS; None if it cannot be told.
        now: when the report is made, UTC.
    """

    config: Config
    run: Run
    definition: Mapping[str, Any]
    events: Sequence[HistoryEvent]
    metrics: Mapping[str, Mapping[str, float]]
    before: pd.DataFrame | None = None
    cost: Estimate | None = None
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @cached_property
    def visits(self) -> Visits:
        """The states that were visited."""
        return Visits(self.events)

    @cached_property
    def progress(self) -> Progress:
        """What became of each state."""
        return progress_of(self.visits, now=self.now)

    @cached_property
    def failure(self) -> Failure | None:
        """Why the execution failed."""
        return failure_of(self.visits)


def gather(
    config: Config,
    client: Callable[[str], Any],
    execution: str = "",
    *,
    before: Mapping[str, float] | None = None,
    lists_before: pd.DataFrame | None = None,
    next_wait: NextWait,
    now: datetime,
) -> RunRecord:
    """Return what is known of a run.

    Args:
        config: of the workflow.
        client: makes a boto3 client of a service.
        execution: name or ARN; the latest if left out.
        before: metrics of the run before by their short names, where they are known from
            elsewhere than Personalize.
        lists_before: the recommendations of the run before, likewise.
        next_wait: that of the function `get-status`.
        now: UTC.

    Raises:
        RunningError: there is no such execution.
    """
    states = client("stepfunctions")
    found = find_run(states, config.state_machine_arn, execution)
    events = history(states, found.arn)
    described = states.describe_state_machine(stateMachineArn=config.state_machine_arn)
    definition = json.loads(described["definition"])
    metrics = _metrics(config, client("personalize"), events)
    if before:
        metrics = {THIS_VERSION: metrics.get(THIS_VERSION, {}), BEFORE: before, **metrics}
    return RunRecord(
        config=config,
        run=_run(config, client("s3"), found.name),
        definition=definition,
        events=events,
        metrics=metrics,
        before=_before(config, client("s3"), found.name) if lists_before is None else lists_before,
        cost=_cost(config, client, definition, found.name, now, next_wait)
        if found.status == "SUCCEEDED"
        else None,
        now=now,
    )


def _run(config: Config, s3: Any, name: str) -> Run:
    try:
        return open_run(config, s3, name)
    except RunFilesError:  # it failed before it wrote anything
        return Run(name, S3Files(s3, config.bucket, name))


def _before(config: Config, s3: Any, name: str) -> pd.DataFrame | None:
    """The lists of the newest finished run that is older than this one."""
    known = list_runs(s3, config.bucket)
    finished = known[known["recommendations"]].sort_values("written", ascending=False)
    names = [str(run) for run in finished["run"]]
    older = names[names.index(name) + 1 :] if name in names else names
    return open_run(config, s3, older[0]).recommendations if older else None


def _metrics(
    config: Config, personalize: Any, events: Sequence[HistoryEvent]
) -> dict[str, Mapping[str, float]]:
    """The metrics of the version that a run trained, of the one before, and of a baseline."""
    trained = [job.arn for job in jobs_of(events) if SOLUTION_VERSION.search(job.arn)]
    if not trained:
        return {}
    found = version_metrics(personalize, config.dataset_group_arn)
    rows: list[dict[str, Any]] = [
        dict(zip(map(str, found.columns), row, strict=True)) for row in found.to_numpy()
    ]
    mine = next((row for row in rows if trained[-1].endswith(f"/{row['version']}")), None)
    if mine is None:
        return {}
    told: dict[str, Mapping[str, float]] = {THIS_VERSION: _values(mine)}
    older = [
        row
        for row in rows
        if row["solution"] == mine["solution"] and row["trained"] < mine["trained"]
    ]
    if older:
        told[BEFORE] = _values(older[0])
    baseline = next((row for row in rows if row["baseline"]), None)
    if baseline and baseline is not mine:
        told["popularity"] = _values(baseline)
    return told


def _values(row: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(row[name]) for name in metric_names() if not pd.isna(row[name])}


def _cost(
    config: Config,
    client: Callable[[str], Any],
    definition: Mapping[str, Any],
    execution: str,
    now: datetime,
    next_wait: NextWait,
) -> Estimate:
    used = usage_of(client, config, execution)
    assumptions = assume(ASSUMPTIONS, used.assumptions, origin=f"run {used.run}")
    return estimate(
        config,
        definition,
        load_prices(),
        assumptions,
        year=now.year,
        next_wait=next_wait,
        transitions=used.transitions,
    )
