"""How long lists and old runs stay, beside how often runs come."""

import pytest

from tests.workflow.test_config import MINIMAL, mistakes
from workflow import parse_config
from workflow.definition.graph import build
from workflow.definition.parts.increments import comparison

DYNAMODB = '\n[delivery]\nto = "dynamodb"\ntable = "lists"\n'
WEEKLY, MONTHLY = "cron(0 4 ? * MON *)", "cron(0 4 1 * ? *)"


def scheduled(expression: str, more: str = "", *, before: str = MINIMAL) -> str:
    return f'{before}\n[schedule]\nexpression = "{expression}"\n{more}'


def retained(days: int) -> str:
    return MINIMAL.replace("[aws]", f"[aws]\nrun_retention_days = {days}")


@pytest.mark.parametrize(
    ("text", "rule", "fix"),
    [
        (
            scheduled("rate(1 days)", f"{DYNAMODB}expire_days = 2\n"),
            "the schedule leaves 24 hours between two runs, and the published list would be gone"
            " after 2 days: it has to outlast two of them, as one may fail",
            "write 3 or more",
        ),
        (
            scheduled(MONTHLY, DYNAMODB),
            "the schedule leaves 31 days between two runs, and the published list would be gone"
            " after 30 days: it has to outlast two of them, as one may fail",
            "write 63 or more",
        ),
        (
            f"stale_hours = 36\n{MINIMAL}{DYNAMODB}expire_days = 2\n",
            "stale_hours allows 36 hours between two runs, and the published list would be gone"
            " after 2 days: it has to outlast two of them, as one may fail",
            "write 4 or more",
        ),
        (
            f"stale_hours = 120\n{scheduled('rate(1 days)', f'{DYNAMODB}expire_days = 5')}",
            "the published list would be gone after 5 days, before the alarm of stale_hours = 120"
            " says that no run succeeds",
            "write 6 or more, or lower stale_hours",
        ),
    ],
)
def test_items_that_expire_before_the_next_list_are_a_mistake(
    text: str, rule: str, fix: str
) -> None:
    assert mistakes(text) == {"delivery.expire_days": (rule, fix)}


@pytest.mark.parametrize(
    "text",
    [
        scheduled("rate(1 hours)", f"{DYNAMODB}expire_days = 2\n"),
        scheduled(WEEKLY, f"{DYNAMODB}expire_days = 15\n"),
        scheduled(MONTHLY, f"enabled = false\n{DYNAMODB}"),
        scheduled("at(2030-01-01T00:00:00)", f"{DYNAMODB}expire_days = 2\n"),
        f"{MINIMAL}{DYNAMODB}expire_days = 2\n",
    ],
)
def test_items_that_outlast_two_runs_are_none(text: str) -> None:
    assert parse_config(text).delivery is not None


def test_files_that_are_deleted_before_the_next_list_are_a_mistake() -> None:
    assert mistakes(scheduled(WEEKLY, before=retained(14))) == {
        "aws.run_retention_days": (
            "the schedule leaves 7 days between two runs, and the published list would be gone"
            " after 14 days: it has to outlast two of them, as one may fail",
            "write 15 or more",
        )
    }
    shared = retained(1).replace("[aws]", '[aws]\nbucket = "arn:aws:s3:::our-data-lake"')
    assert parse_config(scheduled(WEEKLY, before=shared))


def test_more_runs_than_the_bucket_keeps_are_a_mistake() -> None:
    assert mistakes(scheduled("rate(1 days)", "[retention]\nruns = 100\n")) == {
        "retention.runs": (
            "the schedule leaves 24 hours between two runs, and the bucket deletes the files of"
            " runs after aws.run_retention_days = 90: it does not keep the last 100",
            "write 90 or fewer, or run_retention_days = 100",
        )
    }
    assert parse_config(scheduled("rate(1 days)", "[retention]\nruns = 90\n"))
    assert parse_config(f"{MINIMAL}[retention]\nruns = 1_000\n"), "nothing says how often it runs"


@pytest.mark.parametrize(
    ("delivery", "days"),
    [("", 90), (DYNAMODB, 30), ('\n[delivery]\nto = "database"\ntable = "lists"\n', 90)],
)
def test_an_unchanged_list_is_renewed_by_the_shorter_of_its_lives(delivery: str, days: int) -> None:
    config = parse_config(f"{MINIMAL}\n[increments]\n{delivery}")
    assert comparison(config)["increments"]["keptDays"] == days
    assert f'"keptDays": {days}' in str(build(config).to_json())
