"""Metrics of a training, by the regular expressions of its definitions.

https://docs.aws.amazon.com/sagemaker/latest/dg/define-train-metrics.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from localaws.sagemaker.errors import invalid


def check_definitions(definitions: Sequence[dict[str, str]]) -> None:
    """Refuse definitions whose expressions cannot be compiled or have no group.

    Raises:
        ServiceError: ValidationException that names the first one.
    """
    for definition in definitions:
        name, pattern = definition["Name"], definition["Regex"]
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise invalid(f"metric definition {name!r}: {pattern!r}: {error}") from error
        if not groups:
            raise invalid(f"metric definition {name!r}: {pattern!r} has no (group) for the value")


def final_metrics(
    definitions: Sequence[dict[str, str]], log: Iterable[str], now: datetime
) -> list[dict[str, Any]]:
    """Return the last value of each metric that a log's lines have, as FinalMetricDataList."""
    patterns = {one["Name"]: re.compile(one["Regex"]) for one in definitions}
    values: dict[str, float] = {}
    if patterns:
        for line in log:
            for name, pattern in patterns.items():
                for match in pattern.finditer(line.rstrip("\n")):
                    with suppress(TypeError, ValueError):
                        values[name] = float(match[1])
    return [
        {"MetricName": name, "Value": values[name], "Timestamp": now}
        for name in patterns
        if name in values
    ]
