"""Whether a run fits into an execution's history, however long its jobs take.

Step Functions ends an execution whose history would grow past 25,000 events, whatever it waits for.
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
"""

from __future__ import annotations

from collections.abc import Callable

from workflow.config import Config
from workflow.mistakes import Mistake

MOST_EVENTS = 25_000
EXPECTING_POLLS = 70
"""Polls around a job's expected end, at most, beside those of a job of which nothing is known."""
POLL_EVENTS = 9
"""Of one poll: 2 of the Wait, 5 of the Task, 2 of the Choice."""
OTHER_EVENTS = 250
"""Of all other states, and of retries of theirs; of several recommenders so many for each."""
_SECONDS_PER_HOUR = 3_600

NextWait = Callable[[float, int, int, float | None], int]
"""Seconds waited, `polling.min_seconds` and `max_seconds`, seconds that the job is expected to
take, if that is known → seconds until the next poll."""


def most_events(config: Config, *, next_wait: NextWait) -> int:
    """Return the events of the longest history that a run can have within `timeout_hours`.

    The jobs share the run's time so that it is polled most often: soon after its begin a job is
    polled more often than later, and imports, or recommenders, that run at a time are all polled.

    Args:
        config: Says how often to poll, and how long.
        next_wait: That of `lambdas.polling`.
    """
    polling, loops = config.polling, _loops(config)
    waited, events = [0.0] * len(loops), float(_least_events(config))
    left = config.timeout_hours * _SECONDS_PER_HOUR
    while left > 0 and events <= MOST_EVENTS:
        pauses = [
            next_wait(each, polling.min_seconds, polling.max_seconds, None) for each in waited
        ]
        busiest = max(range(len(loops)), key=lambda loop: loops[loop] / pauses[loop])
        waited[busiest] += pauses[busiest]
        left -= pauses[busiest]
        events += loops[busiest] * POLL_EVENTS
    return round(events)


def _loops(config: Config) -> list[int]:
    """Return how many jobs are polled at a time, of each type in each round of its Map."""
    trained = _rounds(len(config.each_recommender), config.recommender_concurrency)
    loops = [*_rounds(len(config.data_sets), config.import_concurrency), *trained, *trained]
    return loops + [len(config.campaigns)] * bool(config.campaigns)


def _least_events(config: Config) -> int:
    """Return the events that a run can have however seldom jobs are polled at their begin."""
    polls = sum(_loops(config)) * EXPECTING_POLLS
    return OTHER_EVENTS * len(config.each_recommender) + polls * POLL_EVENTS


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
    rule = (
        f"a run of timeout_hours = {config.timeout_hours} can be polled until its history holds"
        f" {MOST_EVENTS:,} events, and Step Functions ends it then"
    )
    fix = "raise polling.max_seconds and polling.min_seconds, or lower timeout_hours"
    seconds = str(config.polling.max_seconds)
    return [Mistake("polling.max_seconds", seconds, rule, fix)]
