"""EventBridge Scheduler's expressions: their meaning, and how many runs a month they start.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Set
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise

from aws_croniter import AwsCroniter
from aws_croniter.exceptions import AwsCroniterExpressionError

from workflow.errors import WorkflowError

MONTHS_IN_A_YEAR = 12
DAYS_IN_A_MONTH = 365.25 / MONTHS_IN_A_YEAR
_RATE = re.compile(r"rate\(([1-9][0-9]{0,8}) (minute|hour|day)s?\)")
_AT = re.compile(r"at\(([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})\)")
_CRON = re.compile(r"cron\((.*)\)")
_YEAR_STEP = re.compile(r"(?:\*|(\d{4})(?:-(\d{4}))?)/([1-9]\d*)")
_CRON_FIX = "write minute hour day-of-month month day-of-week year, as in cron(0 4 * * ? *)"


class ScheduleError(WorkflowError, ValueError):
    """A schedule expression that EventBridge Scheduler refuses.

    Attributes:
        rule: The rule that it breaks.
        fix: What to write instead.
    """

    def __init__(self, expression: str, rule: str, fix: str) -> None:
        self.rule = rule
        self.fix = fix
        super().__init__(f"{expression}: {rule}; {fix}")


def read_expression(expression: str) -> AwsCroniter | timedelta | datetime:
    """Return the meaning of a schedule expression.

    Args:
        expression: Such as `cron(0 4 * * ? *)`, `rate(1 days)` or `at(2024-06-01T04:00:00)`.

    Returns:
        The times of a `cron`, the time between two runs of a `rate`, or the naive time of an `at`.

    Raises:
        ScheduleError: If EventBridge Scheduler refuses the expression.
    """
    if match := _CRON.fullmatch(expression):
        return _cron(expression, match[1])
    if match := _RATE.fullmatch(expression):
        return timedelta(**{f"{match[2]}s": int(match[1])})
    if match := _AT.fullmatch(expression):
        try:
            return datetime.fromisoformat(match[1])
        except ValueError as error:
            fix = "write a time that exists, as in at(2024-06-01T04:00:00)"
            raise ScheduleError(expression, str(error), fix) from None
    raise ScheduleError(
        expression,
        "it is none of cron(…), rate(NUMBER minutes|hours|days) and at(yyyy-mm-ddThh:mm:ss)",
        "write cron(0 4 * * ? *), rate(1 days) or at(2024-06-01T04:00:00), for example",
    )


def time_zones() -> Set[str]:
    """Return the names of IANA's time zones, which EventBridge Scheduler takes.

    https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#time-zones
    """
    return zoneinfo.available_timezones()


def _cron(expression: str, inside: str) -> AwsCroniter:
    fields = inside.split(" ")
    if len(fields) != 6:
        rule = f"cron takes 6 fields with one blank between them, there are {len(fields)}"
        raise ScheduleError(expression, rule, _CRON_FIX)
    day, weekday, year = fields[2], fields[4], fields[5]
    if (day == "?") == (weekday == "?"):
        fix = "write ? for the day that does not matter, as in cron(0 4 * * ? *)"
        rule = "exactly one of day-of-month and day-of-week is ?"
        raise ScheduleError(expression, rule, fix)
    # What aws-croniter 2.1.1 lacks: steps of years, the last weekday of a month, which comes as
    # often as the last day, and the last day of the week.
    fields[5] = _YEAR_STEP.sub(_listed_years, year)
    if day == "LW":
        fields[2] = "L"
    if weekday == "L":
        fields[4] = "SAT"
    try:
        cron = AwsCroniter(" ".join(fields))
    except AwsCroniterExpressionError as error:
        raise ScheduleError(expression, str(error).removesuffix("."), _CRON_FIX) from None
    except ValueError:
        rule = "a range or a step in it cannot be read"
        raise ScheduleError(expression, rule, _CRON_FIX) from None
    if cron.get_next(datetime(1970, 1, 1, tzinfo=UTC))[0] is None:
        raise ScheduleError(expression, "no calendar has such a day", _CRON_FIX)
    return cron


def _listed_years(step: re.Match[str]) -> str:
    """Return the years of a step such as `2026/2`, `*/2` or `2026-2030/2`, with commas."""
    first, last, every = step.groups()
    years = range(int(first or 1970), int(last or 2199) + 1, int(every))
    return ",".join(map(str, years))


def runs_a_month(expression: str, *, year: int) -> float:
    """Return the number of runs that a schedule starts in a month, on an average of a year.

    Args:
        expression: As `read_expression` takes it; an `at` runs once and so does not recur: 0.
        year: Whose calendar is counted for `cron`.

    Raises:
        ScheduleError: If EventBridge Scheduler refuses the expression.
    """
    schedule = read_expression(expression)
    if isinstance(schedule, datetime):
        return 0.0
    if isinstance(schedule, timedelta):
        return timedelta(days=DAYS_IN_A_MONTH) / schedule
    days = _days(schedule, datetime(year, 1, 1, tzinfo=UTC), datetime(year, 12, 31, tzinfo=UTC))
    times_a_day = len(set(schedule.minutes)) * len(set(schedule.hours))
    return times_a_day * len(days) / MONTHS_IN_A_YEAR


@lru_cache
def longest_pause(expression: str) -> timedelta | None:
    """Return the longest time between two runs that a schedule starts.

    None if it starts no two of them within forty years. The years 2024 and 2025 stand for all
    others, unless a schedule is rarer than they show.

    Raises:
        ScheduleError: If EventBridge Scheduler refuses the expression.
    """
    schedule = read_expression(expression)
    if not isinstance(schedule, AwsCroniter):
        return schedule if isinstance(schedule, timedelta) else None
    first = datetime(2024, 1, 1, tzinfo=UTC)
    times = _times(schedule, first)
    days: list[datetime] = []
    for year in (2025, 2064):
        if len(days) < 3:
            days = _days(schedule, first, datetime(year, 12, 31, tzinfo=UTC))
    nights = [after - before - (times[-1] - times[0]) for before, after in pairwise(days)]
    return max([*nights, *(later - time for time, later in pairwise(times))], default=None)


def _times(schedule: AwsCroniter, day: datetime) -> list[datetime]:
    """Return the times of a day at which a schedule starts runs, if it does so on that day."""
    every_day = AwsCroniter(" ".join([*schedule.rules[:2], "*", "*", "?", "*"]))
    before, end = day - timedelta(minutes=1), day + timedelta(minutes=24 * 60 - 1)
    times: list[datetime] = every_day.get_all_schedule_bw_dates(before, end)
    return [time for time in times if time >= day]


def _days(schedule: AwsCroniter, first: datetime, last: datetime) -> list[datetime]:
    """Return the days on which a schedule starts runs; counting minutes would take long."""
    daily = AwsCroniter(" ".join(["0", "0", *schedule.rules[2:]]))
    days: list[datetime] = daily.get_all_schedule_bw_dates(first, last)
    return days
