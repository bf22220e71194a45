"""Whether a run fits into an execution's history, however long its jobs take.

Step Functions ends an execution whose history would grow past 25,000 events, whatever it waits for.
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from workflow.config import Config
from workflow.mistakes import Mistake
from workflow.options.overlap import LONGEST_RETRY_SECONDS, RETRY_SECONDS

MOST_EVENTS = 25_000
EXPECTING_POLLS = 70
"""Polls around a job's expected end, at most, beside those of a job of which nothing is known."""
POLL_EVENTS = 9
"""Of one poll: 2 of the Wait, 5 of the Task, 2 of the Choice."""
RETRY_EVENTS = 3
"""Of one try to begin while another run is in progress: scheduled, started, failed."""
OTHER_EVENTS = 250
"""Of all other states, and of retries of theirs; of several recommenders so many for each."""
_SECONDS_PER_HOUR = 3_600

NextWait = Callable[[float, int, int, float | None], int]
"""Seconds waited, `polling.min_seconds` and `max_seconds`, seconds that the job is expected to
take, if that is known → seconds until the next poll."""


@dataclass(frozen=True)
class _Waiting:
    """A time in which a run records events at intervals.

    Attributes:
        events: Those of one interval.
        pause: Seconds waited so far → seconds of the next interval.
    """

    events: int
    pause: Callable[[float], float]


def most_events(config: Config, *, next_wait: NextWait) -> int:
    """Return the events of the longest history that a run can have within `timeout_hours`.

    The jobs, and the wait for another run, share the run's time so that most events are recorded:
    soon after its begin a job is polled more often than later, and imports, or recommenders, that
    run at a time are all polled.

    Args:
        config: Says how often to poll, and how long.
        next_wait: That of `lambdas.polling`.
    """
    waitings = [_Waiting(POLL_EVENTS * count, _polls(config, next_wait)) for count in _jobs(config)]
    if config.runs.overlap == "wait":
        waitings.append(_Waiting(RETRY_EVENTS, _until_retry))
    waited = [0.0] * len(waitings)
    events = float(_least_events(config))
    left = float(config.timeout_hours * _SECONDS_PER_HOUR)
    while left > 0 and events <= MOST_EVENTS:
        pauses = [each.pause(so_far) for each, so_far in zip(waitings, waited, strict=True)]
        busiest = max(range(len(waitings)), key=lambda n: waitings[n].events / pauses[n])
        waited[busiest] += pauses[busiest]
        left -= pauses[busiest]
        events += waitings[busiest].events
    return round(events)


def _jobs(config: Config) -> list[int]:
    """Return how many jobs are polled at a time, in the order in which they run."""
    trained = _rounds(len(config.each_recommender), config.recommender_concurrency)
    imported = _rounds(len(config.data_sets), config.import_concurrency)
    campaigns = [len(config.campaigns)] * bool(config.campaigns)
    return [*imported, *trained, *trained, *campaigns]


def _least_events(config: Config) -> int:
    """Return the events that a run can have however seldom jobs are polled at their begin."""
    polls = sum(_jobs(config)) * EXPECTING_POLLS
    return OTHER_EVENTS * len(config.each_recommender) + polls * POLL_EVENTS


def _polls(config: Config, next_wait: NextWait) -> Callable[[float], float]:
    polling = config.polling
    return lambda waited: next_wait(waited, polling.min_seconds, polling.max_seconds, None)


def _until_retry(waited: float) -> float:
    """Return the seconds until the next try, in the mean: each delay is twice the one before."""
    return min(waited + RETRY_SECONDS / 2, LONGEST_RETRY_SECONDS / 2)


def _rounds(items: int, at_a_time: int) -> list[int]:
    """Return how many items of a Map are in progress in each round of it."""
    return [min(at_a_time, items - begun) for begun in range(0, items, at_a_time)]


def overfull_history(config: Config, *, next_wait: NextWait) -> list[Mistake]:
    """Return the mistake of polling so often that a run's history can fill up, if it is made."""
    if most_events(config, next_wait=next_wait) <= MOST_EVENTS:
        return []
    if (least := _least_events(config)) > MOST_EVENTS:
        number = str(len(config.each_recommender))
        rule = (
            f"the history of a run of {number} recommenders can hold {least:,} events, and Step"
            f" Functions ends it at {MOST_EVENTS:,}"
        )
        return [Mistake("recommenders", number, rule, "take some to another configuration")]
    waits = config.runs.overlap == "wait"
    rule = (
        f"a run of timeout_hours = {config.timeout_hours} can"
        f" {'wait for another one and ' if waits else ''}be polled until its history holds"
        f" {MOST_EVENTS:,} events, and Step Functions ends it then"
    )
    lower = "lower timeout_hours"
    skipping = config.model_copy(
        update={"runs": config.runs.model_copy(update={"overlap": "skip"})}
    )
    if waits and most_events(skipping, next_wait=next_wait) <= MOST_EVENTS:
        return [Mistake("runs.overlap", '"wait"', rule, f'{lower}, or write overlap = "skip"')]
    seconds = str(config.polling.max_seconds)
    fix = f"raise polling.max_seconds and polling.min_seconds, or {lower}"
    return [Mistake("polling.max_seconds", seconds, rule, fix)]
