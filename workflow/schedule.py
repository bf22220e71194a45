"""How often a schedule begins a run, for EventBridge Scheduler's `rate`, `cron` and `at`.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta

from workflow.errors import WorkflowError

MONTHS_IN_A_YEAR = 12
DAYS_IN_A_MONTH = 365.25 / MONTHS_IN_A_YEAR
_MINUTES = {"minute": 1, "hour": 60, "day": 1_440}
_MONTHS = {name.upper(): str(number) for number, name in enumerate(calendar.month_abbr) if name}
# AWS counts Sunday as 1.
_DAYS = dict(zip(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), "1234567", strict=True))


class ScheduleError(WorkflowError, ValueError):
    """A schedule expression that cannot be read; the text says which part."""


def runs_a_month(expression: str, *, year: int) -> float:
    """Return how many runs a schedule begins in a month, on an average of a year.

    Args:
        expression: such as `cron(0 4 * * ? *)`, `rate(1 days)` or `at(2024-06-01T04:00:00)`, which
            runs once and so does not recur: 0.
        year: whose calendar is counted for `cron`.

    Raises:
        ScheduleError: the expression cannot be read.
    """
    kind, inside = _parts(expression)
    if kind == "at":
        return 0.0
    if kind == "rate":
        return DAYS_IN_A_MONTH * 1_440 / minutes_between(expression)
    fields = _fields(expression, inside)
    try:
        return _cron_runs(fields, year) / MONTHS_IN_A_YEAR
    except ValueError as error:
        raise ScheduleError(f"{expression}: {error}") from None


def minutes_between(expression: str) -> int:
    """Return the minutes between two runs of a `rate(…)`.

    Raises:
        ScheduleError: it is none, or cannot be read.
    """
    _, inside = _parts(expression)
    found = re.fullmatch(r"(\d+) (minute|hour|day)s?", inside.strip())
    if not found or not int(found[1]):
        raise ScheduleError(f"{expression}: write rate(NUMBER minutes|hours|days)")
    return int(found[1]) * _MINUTES[found[2]]


def cron_runs_at(expression: str, at: datetime) -> bool:
    """Return whether a `cron(…)` begins a run in a minute.

    Args:
        expression: such as `cron(0 4 ? * MON#1 *)`.
        at: a moment within the minute, in the schedule's time zone.

    Raises:
        ScheduleError: the expression cannot be read.
    """
    _, inside = _parts(expression)
    minute, hour, day, month, weekday, years = _fields(expression, inside)
    try:
        return (
            at.minute in _values(minute, 0, 59)
            and at.hour in _values(hour, 0, 23)
            and at.month in _values(month, 1, 12)
            and at.year in _values(years, 1970, 2199)
            and _is_due(at.date(), day, weekday)
        )
    except ValueError as error:
        raise ScheduleError(f"{expression}: {error}") from None


def _parts(expression: str) -> tuple[str, str]:
    kind, _, inside = expression.strip().removesuffix(")").partition("(")
    if kind not in {"cron", "rate", "at"}:
        raise ScheduleError(f"{expression}: write cron(…), rate(…) or at(…)")
    return kind, inside


def _fields(expression: str, inside: str) -> list[str]:
    """Return a cron's six fields, months and weekdays as numbers."""
    fields = inside.upper().split()
    if len(fields) != 6:
        raise ScheduleError(
            f"{expression}: cron takes 6 fields (minute hour day month weekday year),"
            f" there are {len(fields)}"
        )
    if (fields[2] == "?") == (fields[4] == "?"):
        raise ScheduleError(f"{expression}: exactly one of day of month and day of week is '?'")
    fields[3], fields[4] = _named(fields[3], _MONTHS), _named(fields[4], _DAYS)
    return fields


def _cron_runs(fields: Sequence[str], year: int) -> int:
    minute, hour, day, month, weekday, years = fields
    if year not in _values(years, 1970, 2199):
        return 0
    months = _values(month, 1, 12)
    times = len(_values(minute, 0, 59)) * len(_values(hour, 0, 23))
    first = date(year, 1, 1)
    days = (first + timedelta(days=n) for n in range(366 if calendar.isleap(year) else 365))
    return times * sum(_is_due(at, day, weekday) for at in days if at.month in months)


def _is_due(at: date, day: str, weekday: str) -> bool:
    if weekday == "?":
        return at.day in _days_of_month(day, at)
    number = at.isoweekday() % 7 + 1
    if last := re.fullmatch(r"([1-7])L", weekday):
        return number == int(last[1]) and at.day > calendar.monthrange(at.year, at.month)[1] - 7
    if nth := re.fullmatch(r"([1-7])#([1-5])", weekday):
        return number == int(nth[1]) and (at.day - 1) // 7 + 1 == int(nth[2])
    return number in _values("7" if weekday == "L" else weekday, 1, 7)


def _days_of_month(day: str, at: date) -> set[int]:
    last = calendar.monthrange(at.year, at.month)[1]
    if day == "L":
        return {last}
    if nearest := re.fullmatch(r"(\d+|L)W", day):
        wanted = last if nearest[1] == "L" else int(nearest[1])
        return {_nearest_working_day(at.replace(day=min(wanted, last)), last)}
    return _values(day, 1, 31)


def _nearest_working_day(at: date, last: int) -> int:
    """Return the working day next to a date, within its month."""
    shift = {6: -1, 7: 1}.get(at.isoweekday(), 0)
    if not 1 <= at.day + shift <= last:
        shift *= -2
    return at.day + shift


def _named(field: str, names: dict[str, str]) -> str:
    return re.sub(r"[A-Z]{3}", lambda found: names.get(found[0], found[0]), field)


def _values(field: str, least: int, most: int) -> set[int]:
    """Return the numbers that a field names: `*`, `5`, `1-5`, `0/15`, `1-10/2`, and lists of them.

    Raises:
        ValueError: it is none of these, or beyond its bounds.
    """
    chosen: set[int] = set()
    for part in field.split(","):
        found = re.fullmatch(r"(?:(\*)|(\d+)(?:-(\d+))?)(?:/(\d+))?", part)
        if not found:
            raise ValueError(f"'{part}' is no number, range or step")
        every, low, high, step = found.groups()
        begin = least if every else int(low)
        end = most if every or (step and not high) else int(high or low)
        if not least <= begin <= end <= most or step == "0":
            raise ValueError(f"'{part}' is beyond {least} to {most}")
        chosen.update(range(begin, end + 1, int(step or 1)))
    return chosen
