"""The record of a run, for its report.

Only reads: the execution and its history, the run's files on S3, and Personalize's metrics.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import pandas as pd

from analysis.backtests import trend
from analysis.data_profile import minimums
from analysis.frames import Run, list_runs, run_on_s3
from analysis.metrics import metric_names, short_name, training_metrics, version_metrics
from analysis.recommendations import item_labels
from workflow.config import Config
from workflow.definition.limits import NextWait
from workflow.runs.cost import CostError, Estimate, assume, assumptions_for, estimate
from workflow.runs.executions import Run as Execution
from workflow.runs.executions import executions_of, find_run, jobs_of, models_of
from workflow.runs.history import Failure, failure_of, history
from workflow.runs.prices import load_prices
from workflow.runs.progress import Progress, progress_of
from workflow.runs.usage import SOLUTION_VERSION, usage_of
from workflow.runs.visits import HistoryEvent, Visits

THIS_VERSION = "this version"
REFUSED = "the refused version"
BEFORE = "the version before"
POPULARITY = "popularity"


@dataclass(frozen=True)
class Ended:
    """An execution of a run that was resumed.

    Attributes:
        execution: Its name, times and status.
        reason: Why it failed, in one line; empty if it did not.
    """

    execution: Execution
    reason: str


@dataclass(frozen=True)
class RunRecord:
    """The data of a report.

    Attributes:
        config: The configuration of the run.
        run: Its files.
        definition: Of the state machine, Amazon States Language, as JSON gives it.
        events: The execution's history, oldest first.
        metrics: `this version`, which made the lists, and where they are known `the version
            before`, `the refused version` and `popularity`, → metrics by their short names, for
            example `NDCG@10`; empty where a script made the lists.
        before: The recommendations of the run before; None if there was none.
        cost: What a run like this costs on AWS; None if the run did not succeed, the number of its
            transitions cannot be foreseen, or the page is one of several recommenders' but not of
            the first.
        now: When the report is made, UTC.
        backtests: What published lists were worth, run after run: `backtests.trend`.
        execution: The name of the execution of which the events are.
        executions: All of the run's, in their order; empty if it was never resumed.
        trainings: Each model of one's own whose training measured something of its own choice →
            the metrics by the names that it gave them.
        is_over: Whether the AWS that the run was on has ended with it, as a local run's has: then
            it cannot be resumed.
    """

    config: Config
    run: Run
    definition: Mapping[str, Any]
    events: Sequence[HistoryEvent]
    metrics: Mapping[str, Mapping[str, float]]
    before: pd.DataFrame | None
    cost: Estimate | None
    now: datetime
    backtests: pd.DataFrame = field(default_factory=pd.DataFrame)
    execution: str = ""
    executions: Sequence[Ended] = ()
    trainings: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    is_over: bool = False

    @cached_property
    def visits(self) -> Visits:
        """The states that were visited."""
        return Visits(self.events)

    @cached_property
    def progress(self) -> Progress:
        """The progress of each state."""
        return progress_of(self.visits, self.definition, now=self.now)

    @cached_property
    def failure(self) -> Failure | None:
        """Why the execution failed."""
        return failure_of(self.visits, self.definition)

    @cached_property
    def maker(self) -> str:
        """The model of one's own that made the lists; empty for Personalize, or of no lists."""
        publication = self.run.record("publication") or {}
        return str(publication.get("model", {}).get("name", ""))

    @cached_property
    def checks(self) -> pd.DataFrame:
        """Personalize's limits for the run's events and items: `data_profile.minimums`.

        Raises:
            RunFilesError: If the Spark job did not finish.
        """
        solution = self.config.solution
        return minimums(
            self.run.interactions,
            self.run.items,
            recipe=solution.recipe,
            event_type=solution.event_type,
            event_value=solution.event_value_threshold,
        )

    @cached_property
    def labels(self) -> dict[str, str]:
        """A short text for each item: `recommendations.item_labels`."""
        return item_labels(self.run.items, self.config)

    @cached_property
    def catalogue(self) -> frozenset[str]:
        """The ids of all items: of the data set ITEMS, or without one those with events."""
        items = self.run.items if len(self.run.items) else self.run.interactions
        return frozenset(items["ITEM_ID"])


def gather(
    config: Config,
    client: Callable[[str], Any],
    execution: str = "",
    *,
    before: Mapping[str, float] | None = None,
    lists_before: pd.DataFrame | None = None,
    timed: bool = True,
    next_wait: NextWait,
    now: datetime,
) -> RunRecord:
    """Return the record of a run.

    Args:
        config: Of the workflow.
        client: Makes a boto3 client of a service.
        execution: Name or ARN; the latest if left out, or `latest`.
        before: Metrics of the run before by their short names, where Personalize does not have
            them.
        lists_before: Recommendations of the run before, where S3 does not have them.
        timed: Whether the run's durations are AWS's; the cost of others is of assumed ones.
        next_wait: That of the function `get-status`.
        now: UTC.

    Raises:
        RunningError: If there is no such execution.
    """
    states, s3 = client("stepfunctions"), client("s3")
    run = find_run(states, config.state_machine_arn, execution)
    events = history(states, run.arn)
    machine = states.describe_state_machine(stateMachineArn=config.state_machine_arn)
    definition = json.loads(machine["definition"])
    files = run_on_s3(config, s3, run.run)
    models = models_of(events)
    metrics = _metrics(config, client, files, events)
    if before and THIS_VERSION in metrics:
        metrics = {THIS_VERSION: metrics[THIS_VERSION], BEFORE: before, **metrics}
    if files.gate:
        metrics = _judged(metrics, files.gate)
    cost = None
    if run.status == "SUCCEEDED" and not config.recommender:
        usage = usage_of(client, config, run.arn, timed=timed)
        with suppress(CostError):  # a workflow without an end that can be computed
            cost = estimate(
                config,
                definition,
                load_prices(config.aws.region),
                assume(assumptions_for(config), usage.assumptions, origin=f"run {usage.run}"),
                year=now.year,
                next_wait=next_wait,
                made=usage.made,
            )
    return RunRecord(
        config=config,
        run=files,
        definition=definition,
        events=events,
        metrics=metrics,
        before=_lists_before(config, s3, run.run) if lists_before is None else lists_before,
        cost=cost,
        now=now,
        backtests=trend(config, s3) if config.backtest else pd.DataFrame(),
        execution=run.name,
        executions=list(_executions(states, run, definition)),
        trainings={
            name: measured
            for name, model in models.items()
            if not _is_measured_as_personalize(config, name)
            and (measured := training_metrics(client("sagemaker"), model))
        },
    )


def _executions(states: Any, run: Execution, definition: Mapping[str, Any]) -> Iterator[Ended]:
    """Yield all executions of a run that was resumed; none of any other."""
    executions = executions_of(states, run.machine_arn, run.run)
    for each in executions if len(executions) > 1 else ():
        failure = failure_of(history(states, each.arn), definition)
        yield Ended(each, failure.reason if failure else "")


def _judged(
    metrics: Mapping[str, Mapping[str, float]], gate: Mapping[str, Any]
) -> dict[str, Mapping[str, float]]:
    """Return the metrics with the gate's: a refused version's, and the most popular items'."""
    known = dict(metrics)
    served = gate["served"]
    if served and served["solutionVersionArn"] != gate["solutionVersionArn"]:
        known = {
            THIS_VERSION: _by_short_name(served["metrics"]),
            REFUSED: _by_short_name(gate["metrics"]),
            **{name: each for name, each in known.items() if name == POPULARITY},
        }
    if POPULARITY not in known and "metrics" in (gate["popularity"] or {}):
        known[POPULARITY] = _by_short_name(gate["popularity"]["metrics"])
    return known


def _is_measured_as_personalize(config: Config, model: str) -> bool:
    """Return whether a model's metrics are Personalize's, on a hold-out like Personalize's."""
    return model in config.models and config.models[model].builtin == "hybrid"


def _by_short_name(metrics: Mapping[str, float]) -> dict[str, float]:
    return {short_name(name): value for name, value in metrics.items()}


def _lists_before(config: Config, s3: Any, name: str) -> pd.DataFrame | None:
    """Return the lists of the newest finished run that is older than this one."""
    runs = list_runs(s3, config.bucket, config.recommender)
    finished = runs[runs["recommendations"]].sort_values("written", ascending=False)
    names = [str(run) for run in finished["run"]]
    older = names[names.index(name) + 1 :] if name in names else names
    return run_on_s3(config, s3, older[0]).recommendations if older else None


def _metrics(
    config: Config, client: Callable[[str], Any], files: Run, events: Sequence[HistoryEvent]
) -> dict[str, Mapping[str, float]]:
    """Return the metrics of the version that a run trained, of the one before, of a baseline.

    The packaged hybrid measures the same; what a script of one's own measures is its own affair.
    """
    made_by = (files.record("publication") or {}).get("model")
    if made_by:
        if not _is_measured_as_personalize(config, made_by["name"]):
            return {}
        measured = training_metrics(client("sagemaker"), made_by)
        return {THIS_VERSION: _by_short_name(measured)} if measured else {}
    trained = [job.arn for job in jobs_of(events) if SOLUTION_VERSION.search(job.arn)]
    # Of several recommenders each trains a solution; a single one may have another name today.
    own = f":solution/{config.solution_name}/"
    trained = [arn for arn in trained if own in arn] or trained
    if not trained:
        return {}
    versions = version_metrics(client("personalize"), config.dataset_group_arn)
    this = versions[versions["version"] == trained[-1].rpartition("/")[2]]
    if this.empty:
        return {}
    solution, time = this.iloc[0][["solution", "trained"]]
    chosen = {
        THIS_VERSION: this,
        BEFORE: versions[(versions["solution"] == solution) & (versions["trained"] < time)],
        POPULARITY: versions[versions["baseline"]].head(1).drop(this.index, errors="ignore"),
    }
    return {
        name: rows[metric_names()].iloc[0].dropna().to_dict()
        for name, rows in chosen.items()
        if len(rows)
    }
