"""`[retention]`: which old runs keep their files, and what becomes of former solutions."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from workflow.settings import Settings


class RetentionSettings(Settings):
    """Deletes what old runs left, at the end of each run that published; without it nothing is."""

    runs: int = Field(
        10,
        ge=1,
        le=1_000,
        description="so many of the newest runs keep their files, and so many of the newest lists"
        " that were published, to which `retrain publish RUN` goes back; besides them what is"
        " published, in progress, or used by a job of Personalize",
    )
    former_solutions: Literal["keep", "delete"] = Field(
        "keep",
        description="what becomes of solutions that an earlier `solution.name` made, with their"
        " versions: delete those that neither a campaign, a job nor a kept list uses",
    )
