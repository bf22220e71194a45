"""How long a list and old runs stay, and whether the next list comes before they are gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from workflow.schedule import longest_pause
from workflow.settings import Rule

if TYPE_CHECKING:
    from workflow.config import Config

_DAY = timedelta(days=1)
_USUAL_RUN = timedelta(hours=12)
"""The next list may be so much later than the start of its run."""


def lifetimes(config: Config) -> Mapping[tuple[str, ...], int]:
    """Return after how many days a published list is gone, by the key that says so."""
    days: dict[tuple[str, ...], int] = {
        ("aws", "run_retention_days"): config.aws.run_retention_days
    }
    if config.delivery and config.delivery.to == "dynamodb":
        days["delivery", "expire_days"] = config.delivery.days
    return days


def pause_between_runs(config: Config) -> tuple[timedelta, str] | None:
    """Return the longest time between two runs, and what says so; None if nothing does."""
    schedule = config.schedule
    pause = longest_pause(schedule.expression) if schedule and schedule.enabled else None
    if pause:
        return pause, f"the schedule leaves {_words(pause)} between two runs"
    if config.stale_hours:
        pause = timedelta(hours=config.stale_hours)
        return pause, f"stale_hours allows {_words(pause)} between two runs"
    return None


def renewal(config: Config) -> timedelta:
    """Return how old a published list may be before an unchanged one is made again.

    Of its time there is left then what two runs need, of which one may fail; half of it where
    nothing says how often runs are.
    """
    kept = timedelta(days=min(lifetimes(config).values()))
    pause = pause_between_runs(config)
    needed = 2 * (pause[0] + _USUAL_RUN) if pause else kept / 2
    return max(timedelta(), min(kept / 2, kept - needed))


def _words(pause: timedelta) -> str:
    hours = -(-pause // timedelta(hours=1))
    if hours % 24 or hours == 24:
        return f"{hours} hour{'s' * (hours > 1)}"
    return f"{hours // 24} days"


def lifetime_faults(config: Config) -> Iterator[Rule]:
    """Yield what is gone before the next run replaces it, or that [retention] promises to keep.

    A list has to outlast two runs, of which one may fail.
    """
    pause = pause_between_runs(config)
    for key, days in lifetimes(config).items():
        if key[0] == "aws" and not config.is_own_bucket:
            continue  # its rules are its owner's
        least = -(-2 * (pause[0] + _USUAL_RUN) // _DAY) if pause else 0
        if pause and days < least:
            yield (
                key,
                f"{pause[1]}, and the published list would be gone after {days} days: it has to"
                " outlast two of them, as one may fail",
                f"write {least} or more",
            )
        elif config.stale_hours and timedelta(days=days) <= timedelta(hours=config.stale_hours):
            yield (
                key,
                f"the published list would be gone after {days} days, before the alarm of"
                f" stale_hours = {config.stale_hours} says that no run succeeds",
                f"write {config.stale_hours // 24 + 1} or more, or lower stale_hours",
            )
    if config.retention and config.is_own_bucket and pause:
        kept, needed = config.aws.run_retention_days, -(-config.retention.runs * pause[0] // _DAY)
        if kept < needed:
            yield (
                ("retention", "runs"),
                f"{pause[1]}, and the bucket deletes the files of runs after"
                f" aws.run_retention_days = {kept}: it does not keep the last"
                f" {config.retention.runs}",
                f"write {max(timedelta(days=kept) // pause[0], 1)} or fewer, or"
                f" run_retention_days = {needed}",
            )
