"""The input of an execution: what `retrain start` asks of this one run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from workflow.config import Config
from workflow.runs.executions import RunningError


def with_increment(
    config: Config, inputs: Any, *, full: bool = False, since: str = "", until: str = ""
) -> Any:
    """Return an execution's input that also says what `Plan Increment` is to do.

    Args:
        config: The configuration.
        inputs: The input without it; an object.
        full: Whether everything is imported and trained.
        since: The first moment of the interactions; ISO 8601, without a zone in UTC.
        until: The moment after the last one.

    Raises:
        RunningError: If the workflow does everything in each run, the input is no object, or the
            window is none.
    """
    if not (full or since or until):
        return inputs
    if config.increments is None:
        option = "--full" if full else "--since" if since else "--until"
        raise RunningError(
            f"{option} needs the table [increments] in the configuration: without it each run"
            " imports and trains everything"
        )
    if not isinstance(inputs, dict):
        raise RunningError(f"--input: {inputs!r} is no JSON object, so that nothing can be added")
    if full and (since or until):
        raise RunningError("--full reads all interactions; leave --since and --until out")
    if until and not since:
        raise RunningError("--until needs --since, the first moment of the interactions")
    begin, end = _time("--since", since), _time("--until", until)
    if begin and end and begin >= end:
        raise RunningError(f"--since {since} is not before --until {until}; exchange the two")
    window = {name: text for name, text in (("since", begin), ("until", end)) if text}
    return {**inputs, "increments": {"full": True} if full else window}


def _time(option: str, text: str) -> str:
    """Return a time as `2024-06-01T04:00:00Z`; empty of an empty text."""
    if not text:
        return ""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise RunningError(
            f"{option} {text}: write a time such as 2024-06-01T04:00:00Z, or a day"
        ) from None
    return f"{time.astimezone(UTC) if time.tzinfo else time:%Y-%m-%dT%H:%M:%SZ}"
