"""The table `[runs]`: what a run does while another one is in progress."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from workflow.settings import Settings

RETRY_SECONDS, LONGEST_RETRY_SECONDS = 30, 300
"""Until a run that waits for another one tries again: at first, and at last; a random share of it,
half in the mean."""


class RunsSettings(Settings):
    """Runs that overlap."""

    overlap: Literal["skip", "wait", "fail"] = Field(
        "skip",
        description="what a run does that starts while another one is in progress: skip ends it"
        " without an error, wait begins it when the other has ended, fail ends it as a failure",
    )
