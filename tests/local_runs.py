"""Whole local runs that tests look at, and a view that keeps what a person would have seen."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from retrain.local.run import Outcome

EXAMPLE = (Path(__file__).parents[1] / "retraining.toml").read_text(encoding="utf-8")


@dataclass
class RecordingView:
    """Keeps what a person would have seen."""

    stages: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)

    def stage(self, text: str) -> None:
        self.stages.append(text)

    def step(self, step: Any) -> None:
        if step.kind == "exited":
            self.states.append(step.state)

    def work(self, work: Any) -> None:
        list(work)


@dataclass(frozen=True)
class WholeRun:
    """A run that succeeded: what it left, how it ended, what was shown."""

    output: Path
    outcome: Outcome
    view: RecordingView
