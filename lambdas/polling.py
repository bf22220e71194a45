"""When to poll a job: by how long the last jobs like it took.

A poll costs transitions, and a job that has ended costs time until it is polled. A job ends sooner
or later by a factor, not by seconds, so both are counted as shares of its duration, on the
logarithm of time. Their sum is least if the pause, as a share of the time waited so far, is
`sqrt(2 * POLL_COST / hazard)`. The hazard is the chance, for each unit of that logarithm, that a
job which still runs ends: polls are dense where its end is likely, and sparse elsewhere.
Keller, "Optimum checking schedules for systems subject to random failure", Management Science 21
(1974), https://doi.org/10.1287/mnsc.21.3.256

Durations are taken as log-logistic around the expected one: like log-normal ones, with a longer
tail, and with a hazard whose square root has an integral in closed form. Poll number k is then made
at `seconds * sinh(k * step) ** (2 * spread)`, where `step` is `sqrt(POLL_COST / (2 * spread))`.
Of a job of which nothing is known, any duration is as likely as twice it: the hazard is the same at
all times, and so is the pause as a share.
"""

from __future__ import annotations

import logging
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from lambdas.errors import NO_ANSWER
from lambdas.jobs import Job, job_response

POLL_COST = 0.002
"""What a poll may cost, as a share of the job's duration that is lost instead: six seconds of 50
minutes. About as much is lost then as eleven polls cost."""

BACK_OFF = 0.1
"""The pause of a job of which nothing is known, as a share of the time waited so far."""

_LAST_JOBS = 10
_WORTH_OF_USUAL = 5  # so many jobs' deviations are the usual one
_USUAL_DEVIATION = 0.15  # of the logarithms of one data set's durations
_MOST_SPREAD = 0.5  # durations that differ by more than a factor of two and a half say nothing
_MEAN_TO_STANDARD = math.sqrt(math.pi / 2)  # from the mean to the standard deviation, and error
_LOGISTIC_SCALE = math.sqrt(3) / math.pi

USUAL_SPREAD = _USUAL_DEVIATION * _LOGISTIC_SCALE
"""The scale of log-logistic durations that vary as much as log-normal ones by 15 %."""

_log = logging.getLogger(__name__)


class Expected(NamedTuple):
    """How long a job will take.

    Attributes:
        seconds: As many jobs take longer as take less.
        spread: The scale of the durations' logarithms, for example `USUAL_SPREAD`.
    """

    seconds: float
    spread: float = USUAL_SPREAD

    @property
    def longest(self) -> float:
        """The seconds that 99 of 100 jobs do not reach; one that does is unlike the last ones."""
        return self.seconds * math.exp(self.spread * math.log(99))

    def poll_after(self, waited: float) -> float:
        """Return the seconds from a job's creation to the poll after the one at `waited`."""
        polls = math.asinh(math.pow(max(waited, 0.0) / self.seconds, 0.5 / self.spread))
        step = math.sqrt(POLL_COST / (2 * self.spread))
        return self.seconds * math.pow(math.sinh(polls + step), 2 * self.spread)


def next_wait(
    waited: float,
    least: int,
    most: int,
    seconds: float | None = None,
    spread: float = USUAL_SPREAD,
) -> int:
    """Return the seconds until the next poll of a job.

    Args:
        waited: Seconds since the job was created.
        least: Shortest wait, seconds.
        most: Longest wait, seconds.
        seconds: That it will take, as of `Expected`; None if nothing is known of jobs like it.
        spread: As of `Expected`.
    """
    pause = waited * BACK_OFF
    if seconds:
        expected = Expected(seconds, spread)
        if waited < expected.longest:
            pause = expected.poll_after(waited) - waited
    return int(min(max(pause, least), most))


def expected_duration(jobs: Iterable[Mapping[str, Any]]) -> Expected | None:
    """Return how long a job will take by the last ones that became ACTIVE; None if there is none.

    It is their median, and their mean deviation from it, so that one odd job changes little.
    Nothing updates these jobs once they are ACTIVE: `lastUpdatedDateTime` is when "the status was
    last updated".
    https://docs.aws.amazon.com/personalize/latest/dg/API_DatasetImportJobSummary.html

    Args:
        jobs: Summaries, as Personalize's lists hold them, in any order.
    """
    ended = sorted(
        (job["creationDateTime"], job["lastUpdatedDateTime"])
        for job in jobs
        if job.get("status") == "ACTIVE" and {"creationDateTime", "lastUpdatedDateTime"} <= {*job}
    )
    seconds = [(end - begin).total_seconds() for begin, end in ended[-_LAST_JOBS:]]
    logarithms = [math.log(each) for each in seconds if each >= 1]
    if not logarithms:
        return None
    count, median = len(logarithms), statistics.median(logarithms)
    deviations = sum(abs(each - median) for each in logarithms) * _MEAN_TO_STANDARD
    deviation = (_WORTH_OF_USUAL * _USUAL_DEVIATION + deviations) / (_WORTH_OF_USUAL + count)
    # The median of a few jobs is off too: a variance of pi / (2 * count) of one job's.
    spread = deviation * math.sqrt(1 + math.pi / (2 * count)) * _LOGISTIC_SCALE
    if spread > _MOST_SPREAD:
        return None
    return Expected(round(math.exp(median)), round(spread, 3))


def known_jobs(jobs: Iterable[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Return jobs that a list of Personalize holds; none if it cannot be read.

    A job that is created already does not fail for that: it is polled as one without a history.
    """
    try:
        return list(jobs)
    except (ClientError, *NO_ANSWER) as error:
        _log.warning("how long the last jobs took cannot be read: %s", error)
        return []


def created_response(
    job: Job, alike: Iterable[Mapping[str, Any]], event: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    """Return what the poll loop keeps of a job that was created, with the first wait.

    Args:
        job: It; ACTIVE already if an earlier execution of the run created it.
        alike: Summaries of the jobs like it; it may be among them.
        event: Bounds the wait by `waitSeconds` and `maxSeconds`.
        now: UTC.
    """
    if job.status == "ACTIVE":
        return job_response(job.arn, job.status, 0)
    known = known_jobs(alike)
    expected = expected_duration(known)
    begun = next((each["creationDateTime"] for each in known if job.arn in each.values()), now)
    waited, least = (now - begun).total_seconds(), event["waitSeconds"]
    wait = next_wait(waited, least, event.get("maxSeconds", least), *(expected or ()))
    return job_response(
        job.arn, job.status, wait, job.failure_reason, expected=expected and expected._asdict()
    )
