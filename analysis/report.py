"""The report of a run: one self-contained HTML page.

The graph with durations, the data and the rejected rows, metrics beside those of the baseline and
of the run before, lists of some users, the cost, the configuration and the versions. No script, and
nothing is fetched: it can be mailed and kept.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from analysis import plots
from analysis.data_profile import (
    agreement,
    counts,
    events_over_time,
    minimums,
    popularity,
    rejected_rows,
    truncated_values,
)
from analysis.frames import RunFilesError
from analysis.metrics import metric_names
from analysis.recommendations import beside_history, change_summary, example_users, item_labels
from analysis.run_record import THIS_VERSION, RunRecord
from analysis.tables import Table
from workflow.durations import duration
from workflow.picture import picture
from workflow.runs.advice import advice
from workflow.runs.cost import NOT_COUNTED, Estimate, columns, rows

PACKAGES = (
    "personalize-retraining",
    "stepfunctions",
    "boto3",
    "pyspark",
    "moto",
    "implicit",
    "numpy",
    "pandas",
)
"""The packages whose versions a report names, where they are installed."""

_LIST_LENGTH = 6
_FIRST_METRICS = ("NDCG@10", "MRR@25", "precision@10", "coverage")


def report(record: RunRecord) -> str:
    """Return the page of a run as HTML; it names the parts that a failed run lacks."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("analysis", "pages"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.jinja")
    return page.render(
        config=record.config,
        run=record.run.name,
        status=record.progress.status,
        begun=record.visits.began or record.now,
        took=duration(record.progress.seconds or 0.0),
        failure=record.failure,
        advice=_advice(record),
        headline=list(_headline(record)),
        graph=Markup(  # noqa: S704  every text in it is escaped there
            picture(record.definition, record.progress, title=record.run.name)
        ),
        data=_data(record),
        metrics=_metrics_table(record.metrics),
        lists=_lists(record),
        changes=_changes(record),
        cost=record.cost,
        cost_table=_cost_table(record.cost),
        not_counted=NOT_COUNTED,
        settings=json.dumps(
            record.config.model_dump(mode="json", exclude_defaults=True),
            ensure_ascii=False,
            indent=2,
        ),
        versions=list(_versions()),
        made=record.now,
    )


def _advice(record: RunRecord) -> str:
    if record.failure is None:
        return ""
    return advice(
        record.failure.error,
        record.failure.cause,
        bucket=record.config.bucket,
        run=record.run.name,
        connection=record.config.source.connection,
    )


def _headline(record: RunRecord) -> Iterator[tuple[str, str]]:
    """Yield the most important figures: name, value."""
    try:
        lists = record.run.recommendations
    except RunFilesError:
        return
    by_item = record.config.batch_inference.item_id
    yield f"{'items' if by_item else 'users'} with a list", f"{lists['USER_ID'].nunique():,}"
    yield "recommendations", f"{len(lists):,}"
    yield "items recommended", f"{lists['ITEM_ID'].nunique():,}"
    scores = {name: each["NDCG@10"] for name, each in record.metrics.items() if "NDCG@10" in each}
    score = scores.pop(THIS_VERSION, None)
    if score is None:
        return
    yield "NDCG@10", f"{score:.3f}"
    for name, other in scores.items():
        if other:
            yield f"times that of {name}", f"{score / other:.2f}"


def _data(record: RunRecord) -> dict[str, Any]:
    """Return the tables of the run's data; empty if its Spark job did not finish."""
    run, solution = record.run, record.config.solution
    try:
        sizes = counts(run.users, run.items, run.interactions)
        checks = minimums(
            run.interactions,
            run.items,
            recipe=solution.recipe,
            event_type=solution.event_type,
            event_value=solution.event_value_threshold,
        )
        rejected = rejected_rows(run.manifest)
        rejected = rejected[rejected["reason"] != ""].set_index("data set")
        agreed = agreement(run.manifest)
        truncated = truncated_values(run.manifest).set_index("data set")
        drawn = [
            plots.popularity_curve(popularity(run.interactions, run.items)),
            plots.events_over_time(events_over_time(run.interactions)),
        ]
    except RunFilesError:
        return {}
    return {
        "counts": Table(sizes, ["sparsity", "repeat rate"]),
        "checks": Table(checks.drop(columns="source")),
        "agreement": None if agreed.empty else Table(agreed, ["share", "least"]),
        "plots": drawn,
        "rejected": None if rejected.empty else Table(rejected, ["share"]),
        "truncated": None if truncated.empty else Table(truncated, ["share"]),
    }


def _metrics_table(metrics: Mapping[str, Mapping[str, float]]) -> Table | None:
    if not metrics:
        return None
    frame = pd.DataFrame(metrics).rename_axis("metric")
    version, *others = frame.columns
    names = dict.fromkeys([*_FIRST_METRICS, *metric_names()])
    frame = frame.loc[[name for name in names if name in metrics[version]]]
    for other in others:
        ratio = frame[version] / frame[other]
        frame[f"× {other}"] = [f"{value:.2f}" if pd.notna(value) else "–" for value in ratio]
    return Table(frame)


def _lists(record: RunRecord) -> list[tuple[str, Table]]:
    """Return some users, each with a list beside the history."""
    try:
        lists, events = record.run.recommendations, record.run.interactions
        labels = item_labels(record.run.items, record.config)
    except RunFilesError:
        return []
    return [
        (user, Table(beside_history(user, lists, events, labels, length=_LIST_LENGTH)))
        for user in example_users(lists, events)
    ]


def _changes(record: RunRecord) -> Table | None:
    if record.before is None:
        return None
    try:
        changes = change_summary(record.before, record.run.recommendations)
    except RunFilesError:
        return None
    return Table(changes, ["overlap", "unchanged"])


def _cost_table(cost: Estimate | None) -> Table | None:
    if cost is None:
        return None
    frame = pd.DataFrame(rows(cost), columns=list(columns(cost)))
    return Table(frame.set_index("what"))


def _versions() -> Iterator[tuple[str, str]]:
    yield "Python", platform.python_version()
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            yield package, version(package)
