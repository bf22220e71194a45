"""What two versions of a project differ in beside the workflow: columns, permissions, cost.

Pure: configurations, policies and estimates in, lines for a reviewer out.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from etl.datasets import Column
from workflow.config import Config
from workflow.definition.review import field_changes
from workflow.deployment.policies import Policy
from workflow.durations import duration
from workflow.runs.cost import Estimate, Line
from workflow.settings import RoleName

Permission = tuple[str, str, str, str]
"""A role, an effect, a resource and a condition; what it is about are the actions."""

_COLUMN_FLAGS = ("required", "categorical", "textual", "item_name")


def data_changes(before: Config, after: Config) -> Iterator[str]:
    """Yield what differs in the data sets: `+ ITEMS.PRICE: float, from items.price`.

    First the columns, then what else the Spark job reads: tables, joins, filters, limits.
    """
    old, new = (
        {
            f"{data_set.type}.{column.name}": column
            for data_set in config.data_sets
            for column in data_set.columns
        }
        for config in (before, after)
    )
    for name in {**old, **new}:
        was, now = old.get(name), new.get(name)
        if was is None and now is not None:
            yield f"+ {name}: {_type(now)}, from {now.source}"
        elif now is None and was is not None:
            yield f"- {name}: {_type(was)}, from {was.source}"
        elif was and now and was != now:
            parts = ((_type(was), _type(now)), (f"from {was.source}", f"from {now.source}"))
            changed = (f"{earlier} → {later}" for earlier, later in parts if earlier != later)
            yield f"~ {name}: {', '.join(changed)}"
    for change in field_changes(_without_columns(before), _without_columns(after)):
        yield f"~ {change}"


def permission_changes(
    before: Mapping[RoleName, Policy], after: Mapping[RoleName, Policy]
) -> Iterator[str]:
    """Yield what the roles may do more and less: `+ states: glue:StartJobRun on arn:…`.

    Args:
        before: The policies of the earlier version's roles.
        after: Those of the later one's.
    """
    old, new = _permissions(before), _permissions(after)
    for key in {**old, **new}:
        role, effect, resource, condition = key
        denied = "" if effect == "Allow" else f"{effect.lower()} "
        under = f" if {condition}" if condition else ""
        for sign, more, less in (("-", old, new), ("+", new, old)):
            if actions := [action for action in more[key] if action not in less[key]]:
                yield f"{sign} {role}: {denied}{', '.join(actions)} on {resource}{under}"


def cost_changes(before: Estimate, after: Estimate) -> Iterator[str]:
    """Yield the duration and cost of a run, that of a month, and lines of the bill that differ."""
    hours = [duration(estimate.run_hours * 3_600) for estimate in (before, after)]
    if hours[0] != hours[1]:
        yield f"~ duration of a run: {hours[0]} → {hours[1]}"
    sums = (
        ("a run", before.usd_a_run, after.usd_a_run, 4),
        ("a month", before.usd_a_month, after.usd_a_month, 2),
    )
    changed = [
        *sums,
        *_lines(before.lines, after.lines, "", 4),
        *_lines(before.standing, after.standing, " a month", 2),
    ]
    for what, was, now, digits in changed:
        texts = [f"{usd:,.{digits}f}" for usd in (was, now)]
        if texts[0] != texts[1]:
            yield f"~ {what}: {texts[0]} → {texts[1]} USD"
    for sign, more, less in (("-", before, after), ("+", after, before)):
        for state in more.unpriced:
            if state not in less.unpriced:
                yield f"{sign} not counted: what is called by {state}"


def _lines(
    before: Sequence[Line], after: Sequence[Line], suffix: str, digits: int
) -> list[tuple[str, float, float, int]]:
    """Return the lines of two bills: what it is, US dollars before and after, digits."""
    was, now = ({line.what: line.usd for line in lines} for lines in (before, after))
    return [
        (what + suffix, was.get(what, 0.0), now.get(what, 0.0), digits) for what in {**was, **now}
    ]


def _type(column: Column) -> str:
    flags = [flag.replace("_", " ") for flag in _COLUMN_FLAGS if getattr(column, flag)]
    return " ".join([column.type, *flags])


def _without_columns(config: Config) -> dict[str, Any]:
    """Return the Spark job's specification by data set, the columns left out."""
    spec: dict[str, Any] = json.loads(config.job_spec().to_json())
    relations = {each["type"]: each["relation"] for each in spec.pop("datasets")}
    return {**relations, **spec}


def _permissions(policies: Mapping[RoleName, Policy]) -> defaultdict[Permission, list[str]]:
    """Return the actions of each role, by role, effect, resource and condition."""
    found: defaultdict[Permission, list[str]] = defaultdict(list)
    for role, policy in policies.items():
        for statement in policy["Statement"]:
            condition = statement.get("Condition")
            under = json.dumps(condition, sort_keys=True) if condition else ""
            for target in statement["Resource"]:
                found[role, statement["Effect"], target, under] += statement["Action"]
    return found
