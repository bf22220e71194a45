"""The report of a run: one self-contained HTML page, for the product's owner first.

Its name, date and verdict; lists by the items' titles, and the catalogue's view; warnings; then the
data, the metrics beside those of the baseline and of the run before, the cost, the configuration,
and at its end the graph. No script, and nothing is fetched: it can be mailed and kept.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from zoneinfo import ZoneInfo

import jinja2
import pandas as pd
from markupsafe import Markup

from analysis import plots
from analysis.backtests import backtest_table, gate_rules
from analysis.comparisons import comparison_table, tied_with_best
from analysis.data_profile import (
    agreement,
    counts,
    events_over_time,
    popularity,
    rejected_rows,
    truncated_values,
)
from analysis.frames import RunFilesError
from analysis.metrics import metric_names, short_name
from analysis.recommendations import (
    change_summary,
    example_users,
    most_recommended,
    never_recommended,
    newest_events,
    top_of_list,
)
from analysis.run_record import POPULARITY, THIS_VERSION, RunRecord
from analysis.tables import Table, wide
from analysis.verdict import findings, verdict
from workflow.config import Config
from workflow.durations import duration
from workflow.picture import picture
from workflow.runs.cost import columns, price_notes, rows, star_note
from workflow.runs.diagnosis import advice_on
from workflow.spelling import counted

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

_BYTES_IN_A_MEGABYTE = 1_000_000
_LIST_LENGTH = 6
_CATALOGUE_LENGTH = 8
_FIRST_METRICS = ("NDCG@10", "MRR@25", "precision@10", "coverage")


@dataclass(frozen=True)
class ListOf:
    """A user's list, or that of related items, beside what the user did last.

    Attributes:
        title: Whose it is.
        top: Its first items.
        events: The user's newest events; None of related items, or if there are none.
    """

    title: str
    top: Table
    events: Table | None


def report(record: RunRecord) -> str:
    """Return the page of a run as HTML; it names the parts that a failed run lacks."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("analysis", "pages"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.jinja")
    found, begun = findings(record), _local(record.visits.began or record.now, record.config)
    failure, run = record.failure, record.run.name
    return page.render(
        config=record.config,
        name=" / ".join(filter(None, [record.config.name, record.config.recommender])),
        run=run,
        date=f"{begun.day} {begun:%B %Y}",
        verdict=verdict(record, found),
        findings=found,
        status=record.progress.status,
        begun=f"{begun:%Y-%m-%d %H:%M} {begun.tzname()}",
        took=duration(record.progress.seconds or 0.0),
        failure=failure,
        advice=advice_on(failure, record.visits, record.config, run) if failure else "",
        execution=record.execution,
        is_over=record.is_over,
        executions=_executions(record),
        headline=list(_headline(record)),
        graph=Markup(  # noqa: S704  every text in it is escaped there
            picture(record.definition, record.progress, title=record.run.name)
        ),
        increment=_increment(record),
        data=_data(record),
        metrics=_metrics_table(record.metrics),
        maker=record.maker,
        trainings=_trainings(record),
        comparison=_comparison(record),
        gate=_gate(record),
        campaigns=_campaigns(record),
        backtest=_backtest(record),
        retention=_retention(record),
        recommenders=_recommenders(record),
        lists=_lists(record),
        catalogue=_catalogue(record),
        changes=_changes(record),
        cost=_cost(record),
        not_counted=record.cost.not_counted if record.cost else "",
        settings=json.dumps(
            record.config.model_dump(mode="json", exclude_defaults=True),
            ensure_ascii=False,
            indent=2,
        ),
        versions=list(_versions()),
        made=f"{_local(record.now, record.config):%Y-%m-%d %H:%M %Z}",
    )


def _local(time: datetime, config: Config) -> datetime:
    """Return a time in the schedule's zone: a run at night is of the day that people expect."""
    return time.astimezone(ZoneInfo(config.schedule.timezone) if config.schedule else UTC)


def _executions(record: RunRecord) -> Table | None:
    """Return the executions of a run that was resumed; None of any other."""
    if not record.executions:
        return None
    rows = [
        (
            each.execution.name,
            f"{_local(each.execution.begun, record.config):%Y-%m-%d %H:%M}",
            duration(each.execution.seconds(record.now)),
            each.execution.status,
            each.reason,
        )
        for each in record.executions
    ]
    return _texts(rows, ("execution", "begun", "took", "status", "why it failed"))


def _headline(record: RunRecord) -> Iterator[tuple[str, str]]:
    """Yield the most important figures: name, value."""
    try:
        lists = record.run.recommendations
    except RunFilesError:
        return
    if record.maker:
        yield "made the lists", record.maker
    by_item = record.config.batch_inference.item_id
    yield f"{'items' if by_item else 'users'} with a list", f"{lists['USER_ID'].nunique():,}"
    yield "items recommended", f"{lists['ITEM_ID'].nunique():,}"
    scores = {name: each["NDCG@10"] for name, each in record.metrics.items() if "NDCG@10" in each}
    score = scores.pop(THIS_VERSION, None)
    if score is None:
        return
    yield "quality (NDCG@10)", f"{score:.3f}"
    for name, other in scores.items():
        if other:
            what = "the most popular items" if name == POPULARITY else name
            yield f"times as good as {what}", f"{score / other:.2f}"


def _increment(record: RunRecord) -> dict[str, Any]:
    """Return what the run imported and trained, and why; empty if each run does everything."""
    found = record.run.record("increment")
    if found is None:
        return {}
    rows = [
        (name, (each["mode"] or "left out").lower(), f"{each['rows']:,}", each["why"])
        for name, each in found["datasets"].items()
    ]
    return {
        "data_sets": _texts(rows, ("data set", "import", "rows read", "why")),
        "since": found["since"] or "",
        "until": found["until"] or "",
        "training": (found["trainingMode"] or "none").lower(),
        "training_why": found["trainingWhy"],
        "step": found["step"],
        "why": found["why"],
    }


def _recommenders(record: RunRecord) -> Table | None:
    """Return what each recommender has published in the run; None if there is one alone."""
    views = record.config.each_recommender
    if len(views) == 1:
        return None
    rows = []
    for view in views:
        published = record.run.of_recommender(view.recommender).record("publication") or {}
        rows.append(
            (
                view.solution_name,
                "chosen by Personalize" if view.solution.auto_ml else view.solution.recipe,
                "items" if view.batch_inference.item_id else "users",
                f"{published['users']:,}" if published else "none published",
                f"{published['recommendations']:,}" if published else "",
                published.get("csv", ""),
            )
        )
    return _texts(rows, ("solution", "recipe", "lists of", "lists", "recommendations", "CSV"))


def _data(record: RunRecord) -> dict[str, Any]:
    """Return the tables of the run's data; empty if its Spark job did not finish."""
    run = record.run
    try:
        sizes = counts(run.users, run.items, run.interactions)
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
        "checks": Table(record.checks.drop(columns="source"))
        if record.config.has_personalize
        else None,
        "agreement": None if agreed.empty else Table(_without_empty(agreed), ["share", "least"]),
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


def _trainings(record: RunRecord) -> Table | None:
    """Return what the trainings of the team's own models measured, a column each."""
    if not record.trainings:
        return None
    return Table(pd.DataFrame(record.trainings).rename_axis("metric"))


def _comparison(record: RunRecord) -> dict[str, Any]:
    """Return how the models compare by what was held out; empty if there is one alone."""
    found = record.run.record("comparison")
    if found is None:
        return {}
    behind = {
        name: found["users"] - model["lists"]
        for name, model in found["models"].items()
        if model["lists"] < found["users"]
    }
    return {
        **found,
        "metric": short_name(found["by"]),
        "behind": behind,
        "tied": tied_with_best(found),
        "table": Table(wide(comparison_table(found))),
    }


def _gate(record: RunRecord) -> dict[str, Any]:
    """Return what the quality gate decided; empty if there is none."""
    gate = record.run.gate
    if gate is None:
        return {}
    lists = "its lists for the comparison" if record.run.record("comparison") else "the lists"
    decisions = {
        "publish": f"The new version made {lists}.",
        "keep": f"The new version was refused: the last published one made {lists}.",
        "leave out": "The new version was refused: Personalize was left out of the comparison.",
        "fail": "The new version was refused, and the run failed.",
    }
    return {
        "decision": decisions[gate["decision"]],
        "reason": gate["reason"],
        "rules": Table(gate_rules(gate).set_index("metric")),
    }


def _campaigns(record: RunRecord) -> Table | None:
    """Return what each campaign serves after the run; None if the run had none."""
    found = record.run.record("campaigns")
    if found is None:
        return None
    serves = {False: "the version before", True: "the version of this list"}
    rows = [
        (
            each["name"],
            serves[each["follows"]] if each["solutionVersionArn"] else "nothing",
            each["reason"],
        )
        for each in found["campaigns"]
    ]
    return _texts(rows, ("campaign", "serves", "why"))


def _backtest(record: RunRecord) -> dict[str, Any]:
    """Return what the lists published last were worth; empty if that was not measured."""
    try:
        measured = record.run.manifest.get("backtest") or {}
    except RunFilesError:
        return {}
    if "metrics" not in measured:
        return measured
    past = record.backtests
    has_trend = not past.empty and past["run"].nunique() > 1
    return {
        **measured,
        "table": Table(wide(backtest_table(record.run.manifest))),
        "trend": plots.trend(past, "hit rate@10") if has_trend else None,
    }


def _retention(record: RunRecord) -> dict[str, Any]:
    """Return what of old runs has gone; empty if the run did not clean up."""
    found = record.run.record("retention")
    if found is None:
        return {}
    return {**found, "size": f"{found['bytes'] / _BYTES_IN_A_MEGABYTE:,.1f} MB"}


def _lists(record: RunRecord) -> list[ListOf]:
    """Return some users, or items, each with the list beside the newest events."""
    try:
        lists, events = record.run.recommendations, record.run.interactions
        labels = record.labels
    except RunFilesError:
        return []
    if record.config.batch_inference.item_id:
        # Related items: whose list it is, is an item.
        events = events.assign(USER_ID=events["ITEM_ID"])
        tops = {
            item: top_of_list(item, lists, events, labels, length=_LIST_LENGTH)[["recommended"]]
            for item in example_users(lists, events)
        }
        return [
            ListOf(f"Related to {labels.get(item, item)}", Table(top), None)
            for item, top in tops.items()
        ]
    shown, users = [], example_users(lists, events)
    lists, events = (frame[frame["USER_ID"].isin(users)] for frame in (lists, events))
    for user in users:
        top = _without_empty(top_of_list(user, lists, events, labels, length=_LIST_LENGTH))
        newest = _without_empty(newest_events(user, events, labels, length=_LIST_LENGTH))
        newest = newest.assign(when=newest["when"].str[: len("2024-06-01")]).set_index("when")
        number = int((events["USER_ID"] == user).sum())
        noun = "event" if number == 1 else "events"
        title = f"User {user}, {f'{number:,} {noun}' if number else 'without any event'}"
        shown.append(ListOf(title, Table(top), Table(newest) if number else None))
    return shown


def _without_empty(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table without the columns that say nothing."""
    return table.loc[:, (table != "").any() | table.empty]


def _catalogue(record: RunRecord) -> dict[str, Any]:
    """Return how the lists use the catalogue; empty if there are no lists."""
    run = record.run
    try:
        lists, events = run.recommendations, run.interactions
        labels, everything = record.labels, record.catalogue
        eligible = run.eligible_items
    except RunFilesError:
        return {}
    possible = everything if eligible is None else eligible
    most = most_recommended(lists, events, labels, length=_CATALOGUE_LENGTH)
    never = never_recommended(lists, events, possible, labels)
    return {
        "items": len(everything),
        "eligible": None if eligible is None else len(eligible),
        "shown": lists["ITEM_ID"].nunique(),
        "most": Table(most.set_index("item")[["lists", "of all lists"]], ["of all lists"]),
        "never": len(never),
        "never_first": Table(never.head(_CATALOGUE_LENGTH).set_index("item")),
    }


def _changes(record: RunRecord) -> Table | None:
    if record.before is None:
        return None
    try:
        changes = change_summary(record.before, record.run.recommendations)
    except RunFilesError:
        return None
    return Table(changes, ["overlap", "unchanged"])


def _cost(record: RunRecord) -> dict[str, Any]:
    """Return the tables of what a run costs; empty if it is unknown."""
    cost = record.cost
    if cost is None:
        return {}
    assumed = [
        (each.name, f"{each.value:,.4g} {each.unit}", each.meaning, each.origin)
        for each in cost.assumptions
    ]
    return {
        "lines": _texts(rows(cost), columns(cost)),
        "prices": _texts(price_notes(cost), ("price", "of", "source")),
        "assumptions": _texts(assumed, ("assumption", "value", "meaning", "origin")),
        "star": star_note(cost),
        "month": f"{counted(cost.runs_a_month, 'run', '.4g')} a month by the schedule."
        if cost.runs_a_month
        else "",
        "region": cost.region,
    }


def _texts(rows: Sequence[Sequence[str]], columns: Sequence[str]) -> Table:
    return Table(pd.DataFrame(rows, columns=list(columns)).set_index(columns[0]))


def _versions() -> Iterator[tuple[str, str]]:
    yield "Python", platform.python_version()
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            yield package, version(package)
