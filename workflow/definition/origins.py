"""Where what a state finds in the data comes from, on each way by which a run can reach it.

`origins` follows a definition from its start and says of each state, for each of some places, who
may have put there what the state finds: a stage, a state of a team's own, or nobody. A place is a
path of the data, or the title of a stage: what that one did, which needs no data. What a state
leaves out of the data is lost behind it: a result that takes the place of the data, an output that
selects a part of it, a Catch, what happens inside a Map or a Parallel whose result leaves it out.
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-input-output-filtering.html

Where only the execution knows what a state's result holds, as with a function's, what is read is
taken to be there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workflow.definition.asl import Scope, State, Transition, ends, integration, transitions


@dataclass(frozen=True, order=True)
class Origin:
    """Who put what is at a place.

    Attributes:
        stage: The stage's title; empty for a state of a team's own.
        state: The state; empty for nobody.
        is_lost: Whether that state has left it out of the data, rather than put it there.
    """

    stage: str = ""
    state: str = ""
    is_lost: bool = False


NOBODY = Origin()
"""What is at a place that no state has written."""

Facts = Mapping[str, frozenset[Origin]]
"""Place → who may have put there what is there."""

_BRANCH = re.compile(r"\$\[(\d+)\](?:\.|$)")
# What these return is another's answer, which nobody knows before the execution does.
_ANSWERING = frozenset({"activity", "states"})


@dataclass(frozen=True)
class Owner:
    """The stage to which a state belongs.

    Attributes:
        title: The stage's.
        entry: Its first state.
        leaves: The paths at which it leaves what others need.
        is_own: Whether a state of a team's own stands for it, which does with the data as it says.
    """

    title: str
    entry: str
    leaves: tuple[str, ...] = ()
    is_own: bool = False


def origins(
    machine: Scope, owners: Mapping[str, Owner], places: Iterable[str], *, of_items: str = ""
) -> Mapping[str, Facts]:
    """Return, for each state that a run can reach, what it finds at each place.

    Args:
        machine: The whole definition.
        owners: State → the stage that it belongs to; a state of a stage changes nothing in the data
            but what that leaves.
        places: Paths, for example `$.job`, and titles of stages.
        of_items: The path that any Map's items may have; what they hold is known to nobody.
    """
    walk = _Walk(owners, tuple(places), of_items)
    walk.ends_of(machine, dict.fromkeys(walk.places, frozenset({NOBODY})))
    return walk.found


class _Walk:
    def __init__(self, owners: Mapping[str, Owner], places: Sequence[str], of_items: str) -> None:
        self.places = places
        self.found: dict[str, Facts] = {}
        self._owners = owners
        self._of_items = of_items
        self._paths = [place for place in places if place.startswith("$")]

    def ends_of(self, scope: Scope, begin: Facts) -> Facts | None:
        """Return what is there at the ends of a scope; None if it has none without an error."""
        at: dict[str, Facts] = {scope.start: begin}
        waiting, end = [scope.start], None
        while waiting:
            name = waiting.pop()
            if name not in scope.states:
                continue
            facts, state = at[name], scope.states[name]
            self.found[name] = _joined(self.found.get(name), facts)
            left = self._left(scope, name, facts)
            for way in transitions(name, state):
                carried = self._caught(name, way, facts) if way.type == "catch" else left
                owner = self._owners.get(name)
                is_again = owner is not None and owner.entry == way.target
                if carried is None or is_again:  # a stage knows what it comes back with
                    continue
                joined = _joined(at.get(way.target), carried)
                if joined != at.get(way.target):
                    at[way.target] = joined
                    waiting.append(way.target)
            if left is not None and ends(state) and state.get("Type") != "Fail":
                end = _joined(end, left)
        return end

    def _left(self, scope: Scope, name: str, facts: Facts) -> Facts | None:
        """Return what is there once a run has left a state; None if it cannot without an error."""
        inner = [
            self.ends_of(each, self._begin(name, scope.states[name], facts))
            for each in scope.inside(name)
        ]
        branches = [each for each in inner if each is not None]
        if len(branches) < len(inner):
            return None
        owner = self._owners.get(name)
        left = dict(facts)
        if owner is None or owner.is_own:
            left |= self._passed_on(name, scope.states[name], facts, branches)
        left |= self._done(facts, branches, is_known=owner is not None)
        if owner:
            is_early = (
                scope.states[name].get("Type") == "Succeed"
            )  # it ends before its work is done
            this = frozenset({NOBODY if is_early else Origin(owner.title, name)})
            if owner.title in left:
                left[owner.title] = this
            if not owner.is_own:
                left |= {path: this for path in self._paths if _is_any_touched(path, owner.leaves)}
        return left

    def _done(self, facts: Facts, branches: Sequence[Facts], *, is_known: bool) -> Facts:
        """Return what the stages inside a state have done: all branches run, each to its end."""
        done = {}
        for place in self.places if branches else ():
            if place not in self._paths:
                each = [branch[place] for branch in branches]
                whole = [origins for origins in each if NOBODY not in origins]
                done[place] = frozenset[Origin]().union(*(whole or each), facts[place] - {NOBODY})
                if is_known and done[place] != {NOBODY}:
                    done[place] -= {NOBODY}  # `recommenders` goes on past one that fails
        return done

    def _begin(self, name: str, state: State, facts: Facts) -> Facts:
        """Return what is there at the start of what a Map or Parallel contains."""
        facts = {**facts, **self._part(name, state.get("InputPath", "$"), facts, [])}
        template = state.get("ItemSelector", state.get("Parameters"))
        if template is not None:
            return {**facts, **self._selected(name, template, facts, [])}
        if state.get("Type") == "Parallel":
            return facts
        # What a Map repeats gets an item alone, and nothing of the data around it.
        item = {self._of_items: frozenset({Origin("", name)})} if self._of_items else {}
        return {**facts, **self._all(frozenset({NOBODY})), **item}

    def _caught(self, name: str, way: Transition, facts: Facts) -> Facts:
        """Return what is there once an error of a state is caught: its reason, at a path."""
        if "Output" in way.rule:
            return {**facts, **self._selected(name, way.rule["Output"], facts, [])}
        return {**facts, **self._placed(way.rule.get("ResultPath", "$"), _lost(name), facts, {})}

    def _passed_on(self, name: str, state: State, facts: Facts, branches: Sequence[Facts]) -> Facts:
        """Return what is at the paths once a state of a team's own has put its result there."""
        if "Output" in state:
            return self._selected(name, state["Output"], facts, branches)
        own = frozenset({Origin("", name)})
        read = self._part(name, state.get("InputPath", "$"), facts, [])
        placed, path = read, None
        if state.get("Type") in {"Task", "Pass", "Map", "Parallel"}:
            path = state.get("ResultPath", "$")
            placed = self._placed(path, own, facts, self._made(name, state, read, branches))
        output = state.get("OutputPath", "$")
        is_made = path and state.get("Type") != "Pass"
        if is_made and output and output != "$" and f"{output}.".startswith(f"{path}."):
            # A part of the result alone, which nobody knows but of branches.
            is_known = state.get("Type") == "Parallel" and path == "$"
            return self._part(name, output, {}, branches) if is_known else self._all(own)
        return self._part(name, output, placed, [])

    def _part(self, name: str, path: str | None, facts: Facts, branches: Sequence[Facts]) -> Facts:
        """Return what is at the paths of a part of the data, or of the results of branches."""
        if path == "$":
            return facts
        match = _BRANCH.match(path or "")
        if match and int(match[1]) < len(branches):
            return {place: branches[int(match[1])][place] for place in self._paths}
        # What an earlier state has put there in a list is known to nobody.
        return self._all(frozenset({Origin("", name)}) if path and "[" in path else _lost(name))

    def _all(self, origins: frozenset[Origin]) -> Facts:
        return dict.fromkeys(self._paths, origins)

    def _placed(
        self, path: str | None, writer: frozenset[Origin], facts: Facts, made: Facts
    ) -> Facts:
        """Return what is at the paths once a result is put at one; `made` if it replaces all."""
        if path == "$":
            return {place: made.get(place, writer) for place in self._paths}
        return {
            place: writer if path and _is_written(place, path) else facts[place]
            for place in self._paths
        }

    def _made(self, name: str, state: State, facts: Facts, branches: Sequence[Facts]) -> Facts:
        """Return what is at the paths of a state's own result."""
        template = state.get("ResultSelector")
        match state.get("Type"):
            case "Pass":
                template = state.get("Parameters", state.get("Result"))
                if template is None:
                    return facts
            case "Task" if template is None and _is_another_ones(state):
                return self._all(frozenset({Origin("", name)}))
        return self._selected(name, template, facts, branches)

    def _selected(self, name: str, template: Any, facts: Facts, branches: Sequence[Facts]) -> Facts:
        """Return what is at the paths of data that a template makes; without one, nothing is."""
        return {place: _at(place, name, template, facts, branches) for place in self._paths}


def _at(
    place: str, name: str, template: Any, facts: Facts, branches: Sequence[Facts]
) -> frozenset[Origin]:
    """Return who put what a template has at a path."""
    member = place.split(".")[1]
    own = frozenset({Origin("", name)})
    if isinstance(template, str):  # an expression: it may keep what it reads, and add to it
        if re.search(rf"['\"]{member}['\"]", template):
            return own
        if re.match(r"\{%\s*(\$states\.input\s*%|\$merge\(\s*\[\s*\$states\.input\b)", template):
            return facts[place]
        return _lost(name) if re.match(r"\{%\s*\{", template) else own
    if not isinstance(template, Mapping):
        return _lost(name)
    value = template.get(f"{member}.$", template.get(member))
    if value is None:
        return _lost(name)
    text = re.sub(r"^\{%\s*|\s*%\}$", "", value) if isinstance(value, str) else ""
    text = text.replace("$states.input", "$", 1)
    if (match := _BRANCH.match(text)) and int(match[1]) < len(branches):
        text, facts = f"${text[match.end() - 1 :]}", branches[int(match[1])]
    return facts[place] if text == f"$.{member}" else own


def _is_written(place: str, path: str) -> bool:
    """Return whether a result at a path takes the place of what is at another: `$.job.arn` does.

    Other members that are added to an object leave whose it is.
    """
    return f"{place}.".startswith(f"{path}.") or path == f"{place}.arn"


def _is_any_touched(place: str, paths: Iterable[str]) -> bool:
    """Return whether what is left at paths, or at members of them, is at a place."""
    return any(f"{place}.".startswith(f"{path}.") or path.startswith(f"{place}.") for path in paths)


def _is_another_ones(state: State) -> bool:
    """Return whether a Task's result is made by somebody whose answer a definition cannot know."""
    called = integration(state)
    is_answered = called is None or called.waits or bool(called.arn)
    return is_answered or (called is not None and called.service in _ANSWERING)


def _lost(name: str) -> frozenset[Origin]:
    return frozenset({Origin("", name, is_lost=True)})


def _joined(one: Facts | None, other: Facts) -> Facts:
    """Return who may have put what is there, by one way or another."""
    return other if one is None else {place: one[place] | other[place] for place in other}
