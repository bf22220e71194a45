"""Schedule expressions: what EventBridge Scheduler accepts, and how many runs they start."""

from pathlib import Path

import pytest

from workflow.config import ConfigError, parse_config
from workflow.schedule import ScheduleError, read_expression, runs_a_month

EXAMPLE = Path(__file__).parents[2] / "retraining.toml"
ACCEPTED = [
    # AWS's user guides.
    "cron(0 10 * * ? *)",
    "cron(15 12 * * ? *)",
    "cron(0 18 ? * MON-FRI *)",
    "cron(0 8 1 * ? *)",
    "cron(0/15 * * * ? *)",
    "cron(0/10 * ? * MON-FRI *)",
    "cron(0/5 8-17 ? * MON-FRI *)",
    "cron(0/30 20-2 ? * MON-FRI *)",
    "cron(0 12 * * ? *)",
    "cron(5,35 14 * * ? *)",
    "cron(15 10 ? * 6L 2022-2023)",
    "cron(30 2 * * ? *)",
    "cron(0 9 3W JAN,FEB,MAR ? *)",
    "cron(0 9 ? * 3#2 *)",
    "cron(1/10 9 7 * ? 1970-2199)",
    "rate(5 minutes)",
    "rate(1 days)",
    "rate(1 hour)",
    "at(2022-11-20T13:00:00)",
    # Recorded responses of AWS: PutRule and CreateSchedule accepted them.
    "cron(0 2 ? * SAT#3 *)",
    "cron(* * ? * SAT#3 *)",
    "cron(0/5 5 ? JAN 1-5 2022)",
    "cron(0-15/1 8-8 ? * 2,3,4,5,6,7 *)",
    "cron(30-30 13-13 ? * 2,4,6 *)",
    "cron(1-31/30 1-1 ? * 1,7 *)",
    "cron(*/15 * * * ? *)",
    "cron(0-59/10 0-23/2 ? * * *)",
]
REFUSED = [
    # Recorded responses of AWS: CreateSchedule's ValidationException.
    "cron(0 1 * * * *)",
    "cron(7 20 * * NOT *)",
    "cron(INVALID)",
    "cron(0 dummy ? * MON-FRI *)",
    "cron(71 8 1 * ? *)",
    "cron()",
    "rate(10 seconds)",
    "rate(10 years)",
    "rate()",
    "rate(10)",
    "rate(10 minutess)",
    "rate(foo minutes)",
    "rate(-10 minutes)",
    "rate( 10 minutes )",
    " rate(10 minutes)",
    "at(2021-12-31T23:59:59Z)",
    "at(2021-12-31)",
    # The user guides: wildcards and values of each field, and what they call invalid.
    "cron(0 4 ? * ? *)",
    "cron(? 4 * * ? *)",
    "cron(0 4 ? ? * *)",
    "cron(0 24 * * ? *)",
    "cron(0 4 32 * ? *)",
    "cron(0 4 * 13 ? *)",
    "cron(0 4 ? * 0 *)",
    "cron(0 4 ? * 8 *)",
    "cron(0 4 ? * 1-5/2 *)",
    "cron(0 4 ? * 3#1,6#3 *)",
    "cron(0 4 ? * 3#6 *)",
    "cron(0 4 ? * 3W *)",
    "cron(0 4 * * ? 1969)",
    "cron(0 4 * * ? 2200)",
    "rate(0 minutes)",
]


@pytest.mark.parametrize("expression", ACCEPTED)
def test_an_expression_that_aws_accepts_is_accepted(expression):
    read_expression(expression)


@pytest.mark.parametrize("expression", REFUSED)
def test_an_expression_that_aws_refuses_is_refused(expression):
    with pytest.raises(ScheduleError):
        read_expression(expression)


def test_a_configuration_with_such_a_schedule_is_refused_with_its_other_mistakes():
    """The expression is judged even where other keys of its table are wrong too."""
    text = EXAMPLE.read_text(encoding="utf-8").replace("timezone =", "timezon =")
    with pytest.raises(ConfigError) as caught:
        parse_config(text.replace("cron(0 4 * * ? *)", "cron(0 4 * * * *)"))

    expression, key = caught.value.mistakes
    assert (expression.key, expression.value, expression.rule, expression.fix) == (
        "schedule.expression",
        '"cron(0 4 * * * *)"',
        "exactly one of day-of-month and day-of-week is ?",
        "write ? for the day that does not matter, as in cron(0 4 * * ? *)",
    )
    assert key.key == "schedule.timezon"


@pytest.mark.parametrize(
    ("expression", "a_year"),
    [
        ("cron(0 4 * * ? *)", 366),
        ("cron(0 4,16 * * ? *)", 732),
        ("cron(0/30 8-9 ? * MON-FRI *)", 4 * 262),
        ("cron(0 4 1 * ? *)", 12),
        ("cron(0 4 31 * ? *)", 7),
        ("cron(0 4 L * ? *)", 12),
        ("cron(0 4 15W * ? *)", 12),
        ("cron(0 4 ? * SUN *)", 52),
        ("cron(0 4 ? * L *)", 52),
        ("cron(0 4 LW * ? *)", 12),
        ("cron(0/30 20-2 ? * MON-FRI *)", 14 * 262),
        ("cron(* * * * ? *)", 366 * 1_440),
        ("cron(5,5 4 * * ? *)", 366),
        ("cron(0 4 ? * 6L *)", 12),
        ("cron(0 4 ? * 3#5 *)", 5),  # the months of 2024 with five Tuesdays
        ("cron(0 4 1 JAN-JUN/2 ? *)", 3),
        ("cron(0 4 * * ? 2025)", 0),
        ("cron(0 4 * * ? 2022/2)", 366),
        ("cron(0 4 * * ? 2023/2)", 0),
        ("cron(0 4 * * ? */4)", 0),  # 1970, 1974, …
        ("at(2024-06-01T04:00:00)", 0),
    ],
)
def test_runs_of_a_schedule_in_2024(expression, a_year):
    assert runs_a_month(expression, year=2024) * 12 == pytest.approx(a_year)


def test_a_rate_counts_by_the_length_of_an_average_month():
    assert runs_a_month("rate(1 days)", year=2024) == pytest.approx(30.4375)
    assert runs_a_month("rate(12 hours)", year=2024) == pytest.approx(60.875)


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("cron(0 4 * * *)", "6 fields"),
        ("cron(0 4 * * * *)", "exactly one"),
        ("cron(61 4 * * ? *)", "Invalid minute value '61'"),
        ("cron(0 4 * FOO ? *)", "Invalid month value 'FOO'"),
        ("cron(0/0 4 * * ? *)", "a range or a step"),
        ("at(2024-02-30T04:00:00)", "day is out of range"),
        ("rate(daily)", "write .*rate"),
        ("daily", "write cron"),
    ],
)
def test_a_schedule_that_cannot_be_read_is_refused(expression, complaint):
    with pytest.raises(ScheduleError, match=complaint):
        runs_a_month(expression, year=2024)
