"""The pauses between two polls, and how long a job is expected to take."""

import itertools
import logging
import math
import random
import statistics
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from lambdas.jobs import Job
from lambdas.polling import (
    USUAL_SPREAD,
    Expected,
    created_response,
    expected_duration,
    next_wait,
)

NEW = Job("a", "CREATE PENDING")
BEGUN = datetime(2024, 6, 1, tzinfo=UTC)


def jobs(*minutes: float, **members: Any) -> list[dict[str, Any]]:
    """Return jobs of Personalize's lists, a day apart, that took so many minutes."""
    return [
        {
            "datasetImportJobArn": f"job/{day}",
            "status": "ACTIVE",
            "creationDateTime": BEGUN + timedelta(days=day),
            "lastUpdatedDateTime": BEGUN + timedelta(days=day, minutes=took),
            **members,
        }
        for day, took in enumerate(minutes)
    ]


def polls(seconds: float, least: int, most: int, *expected: float) -> list[int]:
    """Return the seconds at which a job is polled until it ends."""
    clock = [0]
    while clock[-1] < seconds:
        clock.append(clock[-1] + next_wait(clock[-1], least, most, *expected))
    return clock[1:]


@pytest.mark.parametrize(
    ("waited", "wait"), [(-5, 15), (0, 15), (150, 15), (600, 60), (3_000, 300), (90_000, 300)]
)
def test_without_a_history_the_pause_is_a_tenth_of_the_time_waited(
    waited: float, wait: int
) -> None:
    assert next_wait(waited, 15, 300) == wait


def test_polls_are_dense_around_the_expected_end_and_sparse_before_and_after_it() -> None:
    """Training of 50 minutes: first poll after half an hour, then every two minutes at its end."""
    clock = polls(10 * 3_600, 15, 3_600, 3_000, USUAL_SPREAD)
    pauses = {begin: end - begin for begin, end in itertools.pairwise([0, *clock])}

    assert 0.6 * 3_000 < clock[0] < 0.75 * 3_000
    assert all(
        pause < 0.03 * 3_000 + 15 for begin, pause in pauses.items() if 2_700 < begin < 3_300
    )
    assert [pause for begin, pause in pauses.items() if begin > 2 * 3_000] == sorted(
        pause for begin, pause in pauses.items() if begin > 2 * 3_000
    )
    assert pauses[clock[-2]] > 0.09 * clock[-2]


def test_a_job_far_past_its_expected_end_is_polled_as_one_of_which_nothing_is_known() -> None:
    assert next_wait(9_000, 15, 3_600, 3_000) == next_wait(9_000, 15, 3_600) == 900


@pytest.mark.parametrize("expected", [0.5, 20, 3_000, 1e6])
@pytest.mark.parametrize("spread", [0.03, USUAL_SPREAD, 0.5])
def test_no_pause_is_shorter_or_longer_than_the_bounds(expected: float, spread: float) -> None:
    for waited in (-30, 0, 1, 700, 2_999, 3_000, 10_000, 1e7):
        assert 15 <= next_wait(waited, 15, 900, expected, spread) <= 900


def test_the_schedule_costs_no_more_than_any_other_that_is_as_dense_everywhere() -> None:
    """Against an exact oracle: the same polls, each moved, or all closer or farther, cost more."""
    chance = random.Random(0)
    durations = [
        3_000 * math.exp(USUAL_SPREAD * math.log(share / (1 - share)))
        for share in (chance.random() for _ in range(20_000))
    ]

    def cost(factor: float) -> float:
        """Return what polls cost and lose, with steps so many times as wide as ours."""
        step = factor * math.sqrt(0.002 / (2 * USUAL_SPREAD))
        times = [3_000 * math.sinh(k * step) ** (2 * USUAL_SPREAD) for k in range(1, 400)]
        total = 0.0
        for seconds in durations:
            number = next(index for index, at in enumerate(times) if at >= seconds)
            total += (times[number] - seconds) / seconds + 0.002 * (number + 1)
        return total / len(durations)

    ours = cost(1.0)
    assert ours < cost(0.6)
    assert ours < cost(1.6)
    dense = polls(3_000 * 1.3, 1, 86_400, 3_000, USUAL_SPREAD)
    step = math.sqrt(0.002 / (2 * USUAL_SPREAD))
    closed = [3_000 * math.sinh(k * step) ** (2 * USUAL_SPREAD) for k in range(1, len(dense) + 1)]
    assert dense == pytest.approx(closed, abs=len(dense))


def test_less_than_a_fiftieth_is_lost_with_fewer_than_twelve_polls() -> None:
    chance, lost, made = random.Random(1), [], []
    for median in (720, 3_000, 1_680):
        for _ in range(400):
            seconds = [median * math.exp(chance.gauss(0, 0.15)) for _ in range(11)]
            expected = expected_duration(jobs(*(each / 60 for each in seconds[:10]))) or ()
            clock = polls(seconds[10], 15, 900, *expected)
            lost.append((clock[-1] - seconds[10]) / seconds[10])
            made.append(len(clock))

    assert statistics.mean(lost) < 0.02
    assert statistics.mean(made) < 12


def test_the_median_of_the_last_ten_is_expected() -> None:
    expected = expected_duration(jobs(500, 500, 500, 10, 10, 10, 10, 11, 12, 12, 12, 12, 12))

    assert expected is not None
    assert expected.seconds == pytest.approx(11.5 * 60, abs=15)


def test_the_order_of_a_list_does_not_matter() -> None:
    listed = jobs(*range(10, 30))

    assert expected_duration(listed) == expected_duration(listed[::-1])


def test_one_odd_job_changes_little() -> None:
    expected = expected_duration(jobs(10, 10, 10, 300, 10, 10))

    assert expected is not None
    assert expected.seconds == 600
    assert expected.spread < 0.4


def test_durations_that_differ_more_are_expected_with_a_wider_spread() -> None:
    alike, unlike = expected_duration(jobs(*[30] * 8)), expected_duration(jobs(*[20, 45] * 4))

    assert alike is not None
    assert unlike is not None
    assert alike.spread < USUAL_SPREAD < unlike.spread


@pytest.mark.parametrize(
    "listed",
    [
        [],
        jobs(30, status="CREATE FAILED"),
        [{"status": "ACTIVE", "creationDateTime": BEGUN}],
        jobs(0),
        jobs(1, 100, 2, 800, 1, 300, 5, 1000),
    ],
)
def test_nothing_is_expected_of_jobs_that_tell_nothing(listed: list[dict[str, Any]]) -> None:
    """None has ended well, has its times, took a second, or is like another."""
    assert expected_duration(listed) is None


def test_a_job_that_was_created_earlier_is_not_waited_for_as_a_new_one() -> None:
    """A try of the creation whose answer was lost, or another execution of the run."""
    running = jobs(0, status="CREATE IN_PROGRESS", datasetImportJobArn="this")
    bounds = {"waitSeconds": 15, "maxSeconds": 3_600}
    listed = [*jobs(*[50] * 5), *running]

    new, earlier = (
        created_response(Job(arn, "CREATE PENDING"), listed, bounds, BEGUN + timedelta(minutes=45))
        for arn in ("another", "this")
    )

    assert new["expected"] == earlier["expected"]
    assert new["waitSeconds"] > 1_500
    assert earlier["waitSeconds"] < 200


def test_a_job_that_an_earlier_execution_finished_is_not_waited_for() -> None:
    response = created_response(Job("a", "ACTIVE"), jobs(50), {"waitSeconds": 15}, BEGUN)

    assert (response["status"], response["waitSeconds"]) == ("ACTIVE", 0)


def test_why_nothing_is_known_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def listed() -> Any:
        yield from jobs(30)
        raise ReadTimeoutError(endpoint_url="https://personalize")

    with caplog.at_level(logging.WARNING):
        response = created_response(NEW, listed(), {"waitSeconds": 15}, BEGUN)

    assert response["expected"] is None
    assert "how long the last jobs took cannot be read: Read timeout" in caplog.text


def test_an_expectation_reads_as_json() -> None:
    assert created_response(NEW, jobs(50), {"waitSeconds": 15}, BEGUN)["expected"] == {
        "seconds": 3_000,
        "spread": pytest.approx(0.11, abs=0.01),
    }
    assert Expected(3_000).longest > 3_900
