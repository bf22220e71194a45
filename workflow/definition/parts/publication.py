"""The publication of a list: a newer one that is published stays, and that is no failure."""

from __future__ import annotations

from workflow.definition.stage import JOB, Stage, stage_of
from workflow.sdk import Catch, State, Succeed

_NEWER = "NewerListPublished"  # by which the function names it


def published(task: State) -> Stage:
    """Return the stage of a task that publishes; the run ends where a newer list is published."""
    stays = Succeed("Newer List Stays Published")
    task.add_catch(Catch(error_equals=[_NEWER], result_path=JOB, next_step=stays))
    return stage_of("Publish", task)
