"""What has changed since the last import, training and publication, and what follows from it.

A data set whose content is that of the last import is not imported again. A solution version is
trained if an import follows the newest one. Lists are made if a version is trained, or the
published one is not what would be made now, or not where it belongs (`next_step`). Whatever AWS
knows is asked, and not kept a second time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from lambdas.errors import ResourceNotFoundException
from lambdas.next_step import TRAINING, Version, read_publication, step_after
from lambdas.plan_increment import (
    FULL,
    INCREMENT,
    INCREMENTAL,
    INTERACTIONS,
    OTHER_COLUMNS,
    PLAN,
    RECORD_VERSION,
)
from lambdas.records import read_object, record_key, write_object

UPDATE = "UPDATE"


def compared_data_sets(
    manifest: Mapping[str, Any], plan: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return what is imported of each data set of a run, and why.

    Returns:
        By dataset type `mode` (FULL or INCREMENTAL; None if it is left out), `why`, `description`,
        `contentHash`, `rows`; of interactions also `since`, `until`, `next`: where the next
        increment begins, and `isGrown`: whether more were found there than before.
    """
    compared = {}
    for dataset_type, entry in manifest["datasets"].items():
        planned = plan["datasets"][dataset_type]
        mode: str | None = FULL
        why, last = planned["why"], planned["last"]
        if dataset_type == INTERACTIONS and entry.get("since"):
            mode = INCREMENTAL
        elif planned["mode"] == INCREMENTAL:
            why = "the increment is too small or too large for Personalize"
        elif planned["unchanged"]:
            why = f"its content is another than that of run '{last['run']}'"
        if planned["unchanged"] == entry["contentHash"]:
            mode, why = None, f"nothing is new since run '{last['run']}'"
        compared[dataset_type] = {
            "mode": mode,
            "why": why,
            "description": planned["description"],
            "contentHash": entry["contentHash"],
            "rows": entry["rows"],
        }
        if dataset_type == INTERACTIONS:
            compared[dataset_type] |= {
                "since": entry.get("since"),
                "until": entry.get("until"),
                "next": _continuation(entry, mode, last),
                "isGrown": _is_grown(entry, last),
            }
    return compared


def _continuation(
    entry: Mapping[str, Any], mode: str | None, last: Mapping[str, Any] | None
) -> Any:
    """Return where the next increment begins: a window of the past does not move it back."""
    before = (last or {}).get("next")
    if mode == FULL or before is None:
        return entry.get("next")
    # What lies between two windows that do not touch is not imported yet.
    goes_on = entry["since"] <= before["since"] if entry.get("since") else False
    found = entry.get("next")
    return found if goes_on and found and found["since"] >= before["since"] else before


def _is_grown(entry: Mapping[str, Any], last: Mapping[str, Any] | None) -> bool:
    """Return whether a window has more interactions than the run before has found in it."""
    before = (last or {}).get("next") or {"since": ""}
    return before["since"] != entry.get("since") or bool(entry["rows"] > before["rows"])


def lists_hash(manifest: Mapping[str, Any], settings: str) -> str:
    """Return a hash of what a list is made of, besides the solution version.

    Args:
        manifest: Of the run: whom to recommend to, and which items, by their content.
        settings: A digest of the settings.
    """
    sources = [manifest["batchInput"], *manifest["filter"].values()]
    content = [settings, *(source and source["contentHash"] for source in sources)]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def training_of(
    data_sets: Mapping[str, Mapping[str, Any]],
    plan: Mapping[str, Any],
    versions: Sequence[Version],
    *,
    updates: bool,
    full_every: int,
) -> tuple[str | None, str]:
    """Return the mode of the training, None if the newest version knows all data; and why.

    Args:
        data_sets: What `compared_data_sets` returned.
        plan: The run's plan.
        versions: The ACTIVE versions of the solution, newest first.
        updates: Whether the recipe and the configuration allow UPDATE.
        full_every: Of so many trainings one is in full.
    """
    why = _why_training(data_sets, plan, versions)
    if not why:
        return None, "the newest version was trained on the same data"
    why_full = _why_full_training(data_sets, plan, versions, updates, full_every)
    return (FULL, f"{why}{why_full}") if why_full is not None else (UPDATE, why)


def _lasts(plan: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {name: each["last"] for name, each in plan["datasets"].items() if each["last"]}


def _why_training(
    data_sets: Mapping[str, Mapping[str, Any]], plan: Mapping[str, Any], versions: Sequence[Version]
) -> str:
    """Return why a version is trained; empty if none is."""
    imported = [name for name, each in data_sets.items() if each["mode"]]
    newest_import = max((_time(last["ended"]) for last in _lasts(plan).values()), default=None)
    if plan["isFull"]:
        return "it was asked for"
    if not versions:
        return "the solution has no version"
    if imported:
        return f"{', '.join(imported)} changed"
    if newest_import and versions[0].created < newest_import:
        return "what was imported before was not trained"
    return ""


def _why_full_training(
    data_sets: Mapping[str, Mapping[str, Any]],
    plan: Mapping[str, Any],
    versions: Sequence[Version],
    updates: bool,
    full_every: int,
) -> str | None:
    """Return why a training is in full, as an addition; None if it can be an update."""
    if plan["isFull"] or not updates or not versions:
        return ""
    full = next((number for number, each in enumerate(versions) if each.mode == FULL), None)
    if full is None:
        return ", and the solution has no version trained in full"
    interactions, last = data_sets[INTERACTIONS], _lasts(plan).get(INTERACTIONS, {})
    ended = last.get("fullEnded")
    has_other_columns = any(
        each["mode"] and plan["datasets"][name]["why"].startswith(OTHER_COLUMNS)
        for name, each in data_sets.items()
    )
    reasons = (
        (interactions["mode"] == FULL, ", and all interactions are imported"),
        (plan["isWindow"], ", in the window that was asked for"),
        # Corrected or deleted alone: Personalize refuses an update that has nothing new.
        (interactions["mode"] and not interactions["isGrown"], ", and none was added"),
        (
            not ended or versions[full].created < _time(ended),
            ", and the last full import was not trained in full",
        ),
        (has_other_columns, ", and with other columns"),
        (
            full + 1 >= full_every,
            f"; updates since the last full training: {full}, of {full_every - 1}",
        ),
    )
    return next((reason for applies, reason in reasons if applies), None)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def decide(
    personalize: Any,
    s3: Any,
    event: Mapping[str, Any],
    manifest: Mapping[str, Any],
    *,
    now: datetime,
) -> dict[str, Any]:
    """Decide what a run imports, trains and publishes, and record it; a run decides once.

    Args:
        personalize: A client.
        s3: A client.
        event: `bucket`, `run`, `datasetGroupArn` and `increments`: `solutionName`, `updates`,
            `fullEvery`, `renewAfterHours` (how old a list may become before it is made again),
            `settings`, a digest of those by which lists are made, `rules`, those of the gate, and
            what `read_publication` takes.
        manifest: The run's.
        now: The time, UTC.

    Returns:
        The content of `runs/RUN/record/increment.json`.

    Raises:
        ResourceNotFoundException: If the run has no plan.
    """
    bucket, run, settings = event["bucket"], event["run"], event["increments"]
    key = record_key(run, INCREMENT)
    record = read_object(s3, bucket, key)
    if record is not None and record["manifest"] == manifest.get("createdAt"):
        return record
    plan = read_object(s3, bucket, record_key(run, PLAN))
    if plan is None:
        raise ResourceNotFoundException(
            f"s3://{bucket}/{record_key(run, PLAN)} is not there: 'Plan Increment' comes before the"
            " Spark job; start a new execution"
        )
    data_sets = compared_data_sets(manifest, plan)
    versions = active_versions(personalize, event["datasetGroupArn"], settings["solutionName"])
    training, training_why = training_of(
        data_sets,
        plan,
        versions,
        updates=settings["updates"],
        full_every=settings["fullEvery"],
    )
    lists = lists_hash(manifest, settings["settings"])
    newest = versions[0] if versions else None
    step, why, version = step_after(
        training,
        newest,
        read_publication(personalize, s3, bucket, settings),
        lists,
        rules=settings["rules"],
        renewed_after=timedelta(hours=settings["renewAfterHours"]),
        now=now,
    )
    record = {
        "version": RECORD_VERSION,
        "run": run,
        "manifest": manifest.get("createdAt"),
        "step": step,
        "why": training_why if step == TRAINING else why,
        "mode": plan["mode"],
        # Why all interactions are read where a window of them was asked for.
        "windowLeftOut": plan["why"] if plan["isWindow"] and plan["mode"] == FULL else "",
        "since": data_sets.get(INTERACTIONS, {}).get("since"),
        "until": data_sets.get(INTERACTIONS, {}).get("until"),
        "datasets": data_sets,
        "trainingMode": training,
        "trainingWhy": training_why,
        "solutionVersionArn": version,
        "lists": lists,
    }
    write_object(s3, bucket, key, record)
    return record


def active_versions(personalize: Any, group_arn: str, name: str) -> list[Version]:
    """Return the ACTIVE versions of a solution, newest first; none if there is no solution."""
    solutions = personalize.get_paginator("list_solutions").paginate(datasetGroupArn=group_arn)
    arn = next(
        (each["solutionArn"] for each in solutions.search("solutions") if each["name"] == name),
        None,
    )
    if arn is None:
        return []
    pages = personalize.get_paginator("list_solution_versions").paginate(solutionArn=arn)
    versions = [
        Version(
            each["solutionVersionArn"],
            each.get("trainingMode", FULL),
            each["creationDateTime"],
            each["lastUpdatedDateTime"],
        )
        for each in pages.search("solutionVersions")
        if each["status"] == "ACTIVE"
    ]
    return sorted(versions, key=lambda version: version.created, reverse=True)
