"""A run as lines of text: each state as it is entered and left, of a poll loop one round."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from workflow.runs.endings import Endings
from workflow.runs.history import Step
from workflow.runs.visits import SIGNS, Branch, Status

QUIET = frozenset({"Wait", "Choice", "Succeed", "Pass"})
"""Types of states that do no work."""


@dataclass(frozen=True)
class Line:
    """A line about a state that was entered or left.

    Attributes:
        step: The state, entered or left.
        sign: `→` entered, `⟳` polled or tried again, or that of the status in which it was left.
        text: The state's name, with the data set of the Map's item; how often it was polled; or why
            it is tried again.
        quiet: Whether the state does no work, and did not fail.
        status: Of the visit, as people take it.
    """

    step: Step
    sign: str
    text: str
    quiet: bool
    status: Status

    @property
    def indent(self) -> str:
        """Spaces that set a state inside a Map or Parallel off."""
        return "  " if self.step.visit.branch is None else "    "

    @property
    def took(self) -> str:
        """The duration of a visit that has ended; empty otherwise."""
        return f"{self.step.seconds or 0:.1f} s" if self.sign not in "→⟳" else ""

    def __str__(self) -> str:
        """Return the line as plain text, with the time of day, UTC."""
        line = f"{self.step.at:%H:%M:%S}{self.indent}{self.sign} {self.text}  {self.took}"
        return line.rstrip()


class Lines:
    """Makes lines of steps; of a poll loop it shows the first round, and counts the others.

    Args:
        endings: Which states lead to a failure.
    """

    def __init__(self, endings: Endings | None = None) -> None:
        self.endings = endings or Endings()
        self._visits: Counter[tuple[Branch | None, str]] = Counter()
        self._rounds: Counter[Branch | None] = Counter()

    def of(self, step: Step) -> Iterator[Line]:
        """Yield the lines about the next step, if there is something to show."""
        branch, visits = step.visit.branch, (step.visit.branch, step.state)
        quiet, status = step.visit.state_type in QUIET, self.endings.status(step.visit)
        if step.type == "waits":
            text = f"{_with_label(step.state, step)} is tried again: {step.reason}"
            yield Line(step, "⟳", text, quiet=True, status=status)
        elif step.type == "entered":
            self._visits[visits] += 1
            if self._visits[visits] == 1:
                if rounds := self._rounds.pop(branch, 0):
                    times = "once" if rounds == 1 else f"{rounds} times"
                    text = _with_label(f"polled again {times}", step)
                    yield Line(step, "⟳", text, quiet=True, status=status)
                yield Line(step, "→", _with_label(step.state, step), quiet, status)
            elif step.visit.state_type == "Task":
                self._rounds[branch] += 1
        elif self._visits[visits] == 1:
            quiet = quiet and status == "succeeded"
            yield Line(step, SIGNS[status], _with_label(step.state, step), quiet, status)


def _with_label(text: str, step: Step) -> str:
    return f"{text} ({step.label})" if step.label else text
