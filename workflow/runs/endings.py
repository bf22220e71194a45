"""How people take the end of a visit: what failed, and what only reports the failure.

One judgement for the terminal, the picture and the tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from workflow.definition.asl import Definition, states, transitions
from workflow.runs.visits import Status, Visit

_ANY_ERROR = frozenset({"States.ALL", "States.TaskFailed"})


@dataclass(frozen=True)
class Endings:
    """Which states lead to a failure: the one that failed is told from those that report it.

    Attributes:
        doomed: States after which no execution succeeds, for example one that reports a failure.
        catchers: Of each state with a Catch, the errors and the state that each leads to.
    """

    doomed: frozenset[str] = frozenset()
    catchers: Mapping[str, Sequence[tuple[Sequence[str], str]]] = field(default_factory=dict)

    @classmethod
    def of(cls, definition: Definition | None) -> Endings:
        """Return those of a definition; none if there is no definition."""
        if definition is None:
            return cls()
        ways = {name: list(transitions(name, state)) for _, name, state in states(definition)}
        succeeding = {
            name
            for _, name, state in states(definition)
            if state["Type"] == "Succeed" or any(way.type == "end" for way in ways[name])
        } - {name for _, name, state in states(definition) if state["Type"] == "Fail"}
        while more := {
            name
            for name in ways.keys() - succeeding
            if any(way.target in succeeding for way in ways[name])
        }:
            succeeding |= more
        doomed = frozenset(ways.keys() - succeeding)
        catchers = {
            name: [(way.rule["ErrorEquals"], way.target) for way in each if way.type == "catch"]
            for name, each in ways.items()
        }
        return cls(doomed, catchers)

    def status(self, visit: Visit, failed: Visit | None = None) -> Status:
        """Return the status of a visit as people take it.

        An error that is caught only to end the execution is a failure; a state that does its work
        on the way there is no success.

        Args:
            visit: The visit.
            failed: The visit in which the execution's failure began; None if none is known.
        """
        ended = visit.status in {"succeeded", "caught"}
        if ended and (visit is failed or (visit.status == "caught" and self._is_fatal(visit))):
            return "failed"
        if visit.status == "succeeded" and visit.state in self.doomed:
            return "caught"
        return visit.status

    def _is_fatal(self, visit: Visit) -> bool:
        """Return whether the catcher that took a visit's error ends the execution."""
        matching = (
            target
            for errors, target in self.catchers.get(visit.state, ())
            if visit.error in errors or set(errors) & _ANY_ERROR
        )
        return next(matching, "") in self.doomed
