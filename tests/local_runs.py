"""Whole local runs that tests check, and a view that keeps what a person would have seen."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from retrain.live import RunView, Work
from retrain.local.run import Outcome
from workflow.runs.history import Step

EXAMPLE = (Path(__file__).parents[1] / "retraining.toml").read_text(encoding="utf-8")


@dataclass
class RecordingView(RunView):
    """A view that keeps the stages and the states that were left."""

    stages: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)

    def stage(self, text: str) -> None:
        self.stages.append(text)

    def step(self, step: Step) -> None:
        if step.type == "exited":
            self.states.append(step.state)

    def work(self, work: Iterable[Work]) -> None:
        list(work)


@dataclass(frozen=True)
class WholeRun:
    """A run that succeeded: its output directory, how it ended, what was shown."""

    output: Path
    outcome: Outcome
    view: RecordingView
