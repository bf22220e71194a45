"""The difference of two workflow definitions, state by state, as a reviewer reads it.

Pure: definitions in, frozen data and text out. Order of keys, indentation and the position of a
state in the file do not count; what a state does and its transitions do.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from workflow.definition.asl import (
    BESIDE_THE_TEST,
    Address,
    Definition,
    Scope,
    State,
    Transition,
    ends,
    exact_condition,
    states,
    transitions,
)
from workflow.definition.wording import doing, limits, request

Status = Literal["added", "removed", "renamed", "changed"]

ABSENT = object()
"""Stands for a field that did not exist before, or does not exist after."""

_LONGEST_VALUE, _LONGEST_REQUEST = 120, 240
_TRANSITION_FIELDS = frozenset({"Next", "End", "Default", "Choices", "Catch"})
_INNER = ("Iterator", "ItemProcessor", "Branches")
SIGNS: Mapping[Status, str] = {"added": "+", "removed": "-", "renamed": "~", "changed": "~"}


@dataclass(frozen=True)
class FieldChange:
    """A field whose value differs; `was` or `now` may be `ABSENT`.

    Attributes:
        path: Of the field within its state, for example `Parameters.Payload.keep`.
        was: The value before.
        now: The value after.
    """

    path: str
    was: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.path}: {_shorten(self.was)} → {_shorten(self.now)}"


@dataclass(frozen=True)
class StateTransition:
    """A condition and target: `next`, `when $.x = "y"`, `otherwise`, `on States.ALL`."""

    when: str
    target: str

    def __str__(self) -> str:
        return f"{self.when} → {self.target}"


@dataclass(frozen=True)
class StateChange:
    """A state that was added, removed, renamed or changed.

    Attributes:
        status: Which of these.
        state: Its name, after a renaming the new one.
        state_type: `Task`, `Choice`, ….
        scope: The Map or the branch that it belongs to; empty for the machine itself.
        does: What it does, in a line or two; empty for a state that was there and still is.
        fields: What differs in what it does; empty for a state that was added or removed.
        removed: The transitions that it had and has no more.
        added: The transitions that it has and had not.
        reordered: The transitions in their new order, where only the order of some changed.
        former_name: Before a renaming.
        address: Where it is; empty for a state that was removed.
        former_address: Where it was; empty for a state that was added.
    """

    status: Status
    state: str
    state_type: str
    scope: str = ""
    fields: tuple[FieldChange, ...] = ()
    removed: tuple[StateTransition, ...] = ()
    added: tuple[StateTransition, ...] = ()
    reordered: tuple[StateTransition, ...] = ()
    former_name: str = ""
    address: Address = field(default=(), compare=False)
    former_address: Address = field(default=(), compare=False)
    does: tuple[str, ...] = ()


@dataclass(frozen=True)
class Review:
    """Everything that differs between two definitions; false if nothing does.

    Attributes:
        machine: Fields of the machine itself, for example `TimeoutSeconds`.
        states: Removed states first, then those of the later definition in its order.
    """

    machine: tuple[FieldChange, ...] = ()
    states: tuple[StateChange, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.machine or self.states)

    def headline(self) -> str:
        """Return one line: `1 state added, 2 changed, the machine's settings changed`."""
        counts = Counter(change.status for change in self.states)
        texts = [f"{counts[status]} {status}" for status in SIGNS if counts[status]]
        if texts:
            count, _, status = texts[0].partition(" ")
            texts[0] = f"{count} state{'' if count == '1' else 's'} {status}"
        if self.machine:
            texts.append("the machine's settings changed")
        return ", ".join(texts) or "no difference"


@dataclass(frozen=True)
class _Located:
    """A state in its scope."""

    scope: Scope
    name: str
    state: State

    @property
    def address(self) -> Address:
        return (*self.scope.address, self.name)

    @property
    def state_type(self) -> str:
        return str(self.state.get("Type", ""))


def review(before: Definition, after: Definition) -> Review:
    """Return the changes from `before` to `after`.

    Args:
        before: A definition in Amazon States Language; empty if there was none.
        after: Another.
    """
    old = [_Located(*state) for state in states(before)]
    new = [_Located(*state) for state in states(after)]
    earlier = _earlier(old, new)
    kept = {was.address for was in earlier.values()}
    names = {
        earlier[now.address].address: now.name
        for now in new
        if now.address in earlier and earlier[now.address].name != now.name
    }
    changes = [
        StateChange(
            "removed",
            was.name,
            was.state_type,
            _scope_name(was.scope, {}),
            former_address=was.address,
            does=tuple(_does(was.state)),
        )
        for was in old
        if was.address not in kept
    ]
    for now in new:
        if now.address not in earlier:
            added = StateChange(
                "added",
                now.name,
                now.state_type,
                _scope_name(now.scope, {}),
                added=tuple(_transitions(now, {})),
                address=now.address,
                does=tuple(_does(now.state)),
            )
            changes.append(added)
        elif change := _state_change(earlier[now.address], now, names):
            changes.append(change)
    machine = field_changes(_settings(Scope(before), names), _settings(Scope(after), {}))
    return Review(tuple(machine), tuple(changes))


def _scope_name(scope: Scope, names: Mapping[Address, str]) -> str:
    """Return the name of a scope, by the present name of its Map or Parallel."""
    if scope.parent is None:
        return ""
    container = names.get((*scope.parent.address, scope.container), scope.container)
    return f"branch {scope.branch} of {container}" if scope.branch else container


def _settings(scope: Scope, names: Mapping[Address, str]) -> dict[str, Any]:
    """Return a scope without its states, its first state by the present name."""
    settings = {key: value for key, value in scope.definition.items() if key != "States"}
    if "StartAt" in settings:
        settings["StartAt"] = names.get((*scope.address, scope.start), scope.start)
    return settings


def _doing(located: _Located, names: Mapping[Address, str]) -> dict[str, Any]:
    """Return the fields of a state but its transitions and the states inside it."""
    state = located.state
    doing = {key: value for key, value in state.items() if key not in _TRANSITION_FIELDS}
    inner = [_settings(scope, names) for scope in located.scope.inside(located.name)]
    for key in _INNER:
        if key in doing:
            doing[key] = inner if key == "Branches" else inner[0]
    # Rules and catchers are transitions by their targets; what they assign and where they write an
    # error belongs to what the state does.
    rules = {
        exact_condition(rule): {key: rule[key] for key in BESIDE_THE_TEST if key in rule}
        for rule in state.get("Choices", ())
    }
    if any(rules.values()):
        doing["Choices"] = rules
    catchers = [
        {key: value for key, value in catcher.items() if key != "Next"}
        for catcher in state.get("Catch", ())
    ]
    if any(catcher.keys() - {"ErrorEquals"} for catcher in catchers):
        doing["Catch"] = catchers
    return doing


def _earlier(old: Sequence[_Located], new: Sequence[_Located]) -> dict[Address, _Located]:
    """Return the earlier state of each state, by its present address; new states have no entry.

    A state is the same one if it has the same address; else if it alone has the same name; else if
    it alone does the same, so that it only got another name.
    """
    earlier: dict[Address, _Located] = {}
    keys: tuple[Callable[[_Located], Any], ...] = (
        lambda state: state.address,
        lambda state: state.name,
        _fingerprint,
    )
    for key in keys:
        matched = {was.address for was in earlier.values()}
        removed = _unique(key, (was for was in old if was.address not in matched))
        added = _unique(key, (now for now in new if now.address not in earlier))
        earlier |= {added[value].address: removed[value] for value in added.keys() & removed.keys()}
    return earlier


def _unique(key: Callable[[_Located], Any], located: Iterable[_Located]) -> dict[Any, _Located]:
    """Return states by a key, without those whose key another one has too."""
    keyed = [(key(state), state) for state in located]
    counts = Counter(value for value, _ in keyed)
    return {value: state for value, state in keyed if counts[value] == 1}


def _fingerprint(located: _Located) -> str:
    doing = {key: value for key, value in _doing(located, {}).items() if key not in _INNER}
    conditions = [transition.when for transition in _transitions(located, {})]
    return json.dumps([doing, conditions], sort_keys=True)


def _state_change(was: _Located, now: _Located, names: Mapping[Address, str]) -> StateChange | None:
    fields = list(field_changes(_doing(was, names), _doing(now, {})))
    old_scope, new_scope = _scope_name(was.scope, names), _scope_name(now.scope, {})
    if old_scope != new_scope:
        change = FieldChange("scope", old_scope or "the machine", new_scope or "the machine")
        fields.insert(0, change)
    before, after = list(_transitions(was, names)), list(_transitions(now, {}))
    removed = tuple(transition for transition in before if transition not in after)
    added = tuple(transition for transition in after if transition not in before)
    same_order = [transition for transition in before if transition in after] == [
        transition for transition in after if transition in before
    ]
    former_name = was.name if was.name != now.name else ""
    if not (fields or removed or added or former_name) and same_order:
        return None
    return StateChange(
        status="renamed" if former_name else "changed",
        state=now.name,
        state_type=now.state_type,
        scope=new_scope,
        fields=tuple(fields),
        removed=removed,
        added=added,
        reordered=() if same_order else tuple(after),
        former_name=former_name,
        address=now.address,
        former_address=was.address,
    )


def _does(state: State) -> Iterator[str]:
    """Yield what a state does, and what it passes on, a line for each."""
    does = doing(state) if doing(state) != state.get("Type") else ""
    if does or limits(state):
        yield ", ".join(filter(None, (does, limits(state))))
    if passed := request(state):
        yield f"with {_shorten(passed, _LONGEST_REQUEST)}"


def _transitions(located: _Located, names: Mapping[Address, str]) -> Iterator[StateTransition]:
    """Yield the transitions of a state, their targets by their present names."""
    if ends(located.state):
        yield StateTransition("next", "the end")
    for transition in transitions(located.name, located.state):
        if transition.type != "end":
            address = (*located.scope.address, transition.target)
            yield StateTransition(_when(transition), names.get(address, transition.target))


def _when(transition: Transition) -> str:
    match transition.type:
        case "choice":
            return f"when {exact_condition(transition.rule)}"
        case "catch":
            return f"on {', '.join(transition.rule.get('ErrorEquals', ()))}"
        case "default":
            return "otherwise"
        case _:
            return "next"


def field_changes(was: Any, now: Any, path: str = "") -> Iterator[FieldChange]:
    """Yield the differences of two JSON values, as deep as both are of the same shape."""
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        for key in {**was, **now}:
            below = f"{path}.{key}" if path else str(key)
            yield from field_changes(was.get(key, ABSENT), now.get(key, ABSENT), below)
    elif (was_named := _by_errors(was)) and (now_named := _by_errors(now)):
        for errors in {**was_named, **now_named}:
            inner = was_named.get(errors, ABSENT), now_named.get(errors, ABSENT)
            yield from field_changes(*inner, f"{path}[{errors}]")
        if set(was_named) == set(now_named) and list(was_named) != list(now_named):
            yield FieldChange(f"{path} order", list(was_named), list(now_named))
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for index, values in enumerate(zip(was, now, strict=True)):
            yield from field_changes(*values, f"{path}[{index}]")
    elif not _same(was, now):
        yield FieldChange(path, was, now)


def _by_errors(value: Any) -> dict[str, Any]:
    """Return retriers and catchers by the errors that they match; empty for any other value."""
    if not isinstance(value, list) or not all(
        isinstance(rule, Mapping) and "ErrorEquals" in rule for rule in value
    ):
        return {}
    named = {}
    for rule in value:
        first, *more = rule["ErrorEquals"]
        name = f"{first} and {len(more)} more" if more else first
        if name in named:
            return {}
        named[name] = rule
    return named


def _same(was: Any, now: Any) -> bool:
    """Return whether two values are the same JSON: 2 is 2.0, and true is not 1."""
    return was == now and isinstance(was, bool) == isinstance(now, bool)


def _shorten(value: Any, longest: int = _LONGEST_VALUE) -> str:
    if value is ABSENT:
        return "(none)"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
