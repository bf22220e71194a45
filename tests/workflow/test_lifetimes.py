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
            scheduled("cron(0 3 1 1 ? 2026/2)", DYNAMODB, before=retained(1463)),
            "the schedule leaves 731 days between two runs, and the published list would be gone"
            " after 30 days: it has to outlast two of them, as one may fail",
            "write 1463 or more",
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


IN_THE_DATABASE = '\n[delivery]\nto = "database"\ntable = "lists"\n'


@pytest.mark.parametrize(
    ("text", "days"),
    [
        # The half of what is shorter, the bucket's files or the table's items, …
        (f"{MINIMAL}", 45),
        (f"{MINIMAL}{DYNAMODB}", 15),
        (f"{MINIMAL}{IN_THE_DATABASE}", 45),
        (scheduled("rate(1 days)", DYNAMODB), 15),
        # … or so early that two runs more are in time, of which one may fail.
        (scheduled("rate(1 days)", f"{DYNAMODB}expire_days = 4\n"), 1),
        (scheduled(MONTHLY, ""), 27),
        (scheduled(WEEKLY, f"{DYNAMODB}expire_days = 15\n"), 0),
    ],
)
def test_an_unchanged_list_is_renewed_in_time(text: str, days: int) -> None:
    config = parse_config(f"{text}\n[increments]\n")
    assert comparison(config)["increments"]["renewAfterHours"] == 24 * days
    assert f'"renewAfterHours": {24 * days}' in str(build(config).to_json())


@pytest.mark.parametrize("cron", ["cron(0 * * * ? *)", "cron(0 */6 * * ? *)"])
def test_runs_of_one_day_are_counted_by_hours(cron: str) -> None:
    """A hundred runs are four days, and twenty-five."""
    assert parse_config(scheduled(cron, "[retention]\nruns = 100\n"))
    assert parse_config(scheduled(cron, f"{DYNAMODB}expire_days = 2\n"))
