"""`[notification]`: who is told of the end of each run, and of which ends."""

from __future__ import annotations

from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from workflow.settings import Settings, unless_broken

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

    @model_validator(mode="after")
    def _somebody_is_told(self) -> Self:
        if "failed" in self.outcomes or self.events:
            return self
        rule = "nobody is told why a run failed: with this table no state reports it either"
        fix = 'add "failed" to outcomes, write events = true, or leave [notification] out'
        return unless_broken(self, [(("outcomes",), rule, fix)])
