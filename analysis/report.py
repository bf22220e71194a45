"""What a run did, on one page: a self-contained HTML file for people who would rather look.

The graph with durations, the data and what was left out, metrics beside the baseline and the run
before, lists of some users, what it cost, the configuration and the versions. No script, and
nothing is fetched: it can be mailed and kept.
"""

from __future__ import annotations

import base64
import json
import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from analysis import plots
from analysis.data_profile import counts, events_over_time, minimums, popularity, rejected_rows
from analysis.frames import RunFilesError
from analysis.recommendations import beside_history, change_summary, example_users, item_labels
from analysis.run_record import THIS_VERSION, RunRecord
from analysis.tables import Table
from workflow.durations import duration
from workflow.picture import picture
from workflow.runs.advice import advice
from workflow.runs.cost import NOT_COUNTED, Estimate, rows

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
"""Whose versions a report tells, where they are installed."""

_LIST_LENGTH = 6
_FIRST_METRICS = ("NDCG@10", "MRR@25", "precision@10", "coverage")


def report(record: RunRecord) -> str:
    """Return the page of a run as HTML; what a failed run does not have is left out, and said."""
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
        versions=_versions(),
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
    """Yield the few figures that a person wants first: what, how much."""
    try:
        lists = record.run.recommendations
    except RunFilesError:
        return
    yield "users with a list", f"{lists['USER_ID'].nunique():,}"
    yield "recommendations", f"{len(lists):,}"
    yield "items recommended", f"{lists['ITEM_ID'].nunique():,}"
    scores = {who: found["NDCG@10"] for who, found in record.metrics.items() if "NDCG@10" in found}
    mine = scores.pop(THIS_VERSION, None)
    if mine is None:
        return
    yield "NDCG@10", f"{mine:.3f}"
    for who, beside in scores.items():
        if beside:
            yield f"times that of {who}", f"{mine / beside:.2f}"


def _data(record: RunRecord) -> dict[str, Any]:
    """The data that the run read; empty if its Spark job did not finish."""
    try:
        run = record.run
        rejected = rejected_rows(run.manifest)
        solution = record.config.solution
        return {
            "counts": _html(Table(counts(run.users, run.items, run.interactions), ["sparsity",
                "repeat rate"])),
            "checks": _html(
                Table(
                    minimums(
                        run.interactions,
                        run.items,
                        recipe=solution.recipe,
                        event_type=solution.event_type,
                        event_value=solution.event_value_threshold,
                    ).drop(columns="source")
                )
            ),
            "plots": [
                _image(plots.popularity_curve(popularity(run.interactions, run.items))),
                _image(plots.events_over_time(events_over_time(run.interactions))),
            ],
            "rejected": _html(
                Table(rejected[rejected["reason"] != ""].set_index("data set"), ["share"])
            ),
            "any_rejected": bool((rejected["reason"] != "").any()),
        }  # fmt: skip
    except RunFilesError:
        return {}


def _metrics_table(metrics: Mapping[str, Mapping[str, float]]) -> Markup | None:
    if not metrics:
        return None
    names = sorted(next(iter(metrics.values())), key=_metric_order)
    frame = pd.DataFrame(metrics).reindex(names).rename_axis("metric")
    mine = frame.columns[0]
    for other in frame.columns[1:]:
        ratio = frame[mine] / frame[other]
        frame[f"× {other}"] = [f"{value:.2f}" if value == value else "–" for value in ratio]  # noqa: PLR0124
    return _html(Table(frame))


def _metric_order(name: str) -> tuple[int, str, int]:
    """The ones that people ask for first, in their order, then the others by name."""
    stem, _, cut_off = name.partition("@")
    first = _FIRST_METRICS.index(name) if name in _FIRST_METRICS else len(_FIRST_METRICS)
    return first, stem, int(cut_off or 0)


def _lists(record: RunRecord) -> list[tuple[str, Markup]]:
    """Some users' lists beside their history."""
    try:
        lists, events = record.run.recommendations, record.run.interactions
        items = next((one for one in record.config.data_sets if one.type == "ITEMS"), None)
        labels = item_labels(record.run.items, items)
        return [
            (
                user,
                _html(Table(beside_history(user, lists, events, labels, length=_LIST_LENGTH))),
            )
            for user in example_users(lists, events)
        ]
    except RunFilesError:
        return []


def _changes(record: RunRecord) -> Markup | None:
    if record.before is None:
        return None
    try:
        found = change_summary(record.before, record.run.recommendations)
    except RunFilesError:
        return None
    return _html(Table(found, ["overlap", "unchanged"]))


def _cost_table(cost: Estimate | None) -> Markup | None:
    if cost is None:
        return None
    columns = ["what", "a run uses", "price, US dollars", "a run", "a month"]
    return _html(Table(pd.DataFrame(rows(cost), columns=columns).set_index("what")))


def _html(table: Table) -> Markup:
    return Markup(table._repr_html_())  # noqa: S704  every cell is escaped there


def _image(plot: plots.Plot) -> dict[str, str]:
    data = base64.b64encode(plot.png).decode("ascii")
    return {"source": f"data:image/png;base64,{data}", "alt": plot.alt}


def _versions() -> list[tuple[str, str]]:
    found = [("Python", platform.python_version())]
    for package in PACKAGES:
        try:
            found.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return found
