"""`[notification]`: who is told of the end of each run, and of which ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

from pydantic import Field

from workflow.settings import Rule, Settings

Outcome = Literal["succeeded", "degraded", "skipped", "failed"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


class NotificationSettings(Settings):
    """Notifies of the end of each run; without this table only failures are reported."""

    outcomes: list[Outcome] = Field(
        list(OUTCOMES),
        examples=[["degraded", "failed"]],
        description="the ends that are sent to the topic of failed runs, each with the message"
        " attribute `outcome`, by which a subscription can filter: succeeded; degraded, the gate"
        " found something wrong with the published list; skipped, nothing was published and"
        " nothing failed; failed, timed out and aborted runs too",
    )
    events: bool = Field(
        True,
        description="each end is an event on EventBridge's default bus too, of source"
        " personalize-retraining",
    )

    def own_faults(self) -> Iterator[Rule]:
        """Yield that nobody is told of a failure."""
        if "failed" not in self.outcomes and not self.events:
            rule = "nobody is told why a run failed: with this table no state reports it either"
            fix = 'add "failed" to outcomes, write events = true, or leave [notification] out'
            yield ("outcomes",), rule, fix
