"""What changed between two workflow definitions, state by state, as a reviewer reads it.

Pure: definitions in, frozen data and text out. Order of keys, indentation and the place of a state
in the file do not count; what a state does, and the ways that lead out of it, do.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from workflow.definition.asl import (
    BESIDE_THE_TEST,
    Definition,
    Scope,
    State,
    Transition,
    ends,
    exact_condition,
    states,
    transitions,
)
from workflow.definition.mermaid import mermaid

Kind = Literal["added", "removed", "renamed", "changed"]

ABSENT = object()
"""Stands for a field that was not there, or is not any more."""

COMMENT_MARK = "<!-- retraining-workflow-review -->"
"""First line of the pull-request comment, by which the next one finds and replaces it."""

_LONGEST_COMMENT = 60_000  # GitHub refuses 65,536 characters
_LONGEST_VALUE = 120
_WAYS = frozenset({"Next", "End", "Default", "Choices", "Catch"})
_INNER = ("Iterator", "ItemProcessor", "Branches")
_END = "the end"


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
        return f"{self.path}: {_shown(self.was)} → {_shown(self.now)}"


@dataclass(frozen=True)
class Way:
    """Where a state may lead, and when: `next`, `when $.x = "y"`, `otherwise`, `on States.ALL`."""

    when: str
    target: str

    def __str__(self) -> str:
        return f"{self.when} → {self.target}"


@dataclass(frozen=True)
class StateChange:
    """A state that was added, removed, renamed or changed.

    Attributes:
        kind: Which of these.
        state: Its name, after a renaming the new one.
        state_type: `Task`, `Choice`, ….
        place: The Map or the branch that it belongs to; empty for the machine itself.
        fields: What differs in what it does; the whole of it is new or gone otherwise.
        ways_gone: The ways that led out of it and do not any more.
        ways_new: The ways that lead out of it now and did not.
        reordered: The ways in their new order, where only the order of some of them changed.
        former_name: Before a renaming.
    """

    kind: Kind
    state: str
    state_type: str
    place: str = ""
    fields: tuple[FieldChange, ...] = ()
    ways_gone: tuple[Way, ...] = ()
    ways_new: tuple[Way, ...] = ()
    reordered: tuple[Way, ...] = ()
    former_name: str = ""


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
        order: tuple[Kind, ...] = ("added", "removed", "renamed", "changed")
        counts = {kind: sum(change.kind == kind for change in self.states) for kind in order}
        told = [f"{count} {kind}" for kind, count in counts.items() if count]
        if told:
            count, _, kind = told[0].partition(" ")
            told[0] = f"{count} state{'' if count == '1' else 's'} {kind}"
        if self.machine:
            told.append("the machine's settings changed")
        return ", ".join(told) or "no difference"


Address = tuple[str | int, ...]
"""The names of the Maps and Parallels around a state, each with the branch, and its own name."""


@dataclass(frozen=True)
class _Located:
    """A state and where it stands."""

    scope: Scope
    name: str
    state: State

    @property
    def address(self) -> Address:
        return (*_address(self.scope), self.name)

    @property
    def state_type(self) -> str:
        return str(self.state.get("Type", ""))


def review(before: Definition, after: Definition) -> Review:
    """Return what changed from `before` to `after`.

    Args:
        before: A definition in Amazon States Language; empty if there was none.
        after: Another.
    """
    old = [_Located(*found) for found in states(before)]
    new = [_Located(*found) for found in states(after)]
    earlier = _earlier(old, new)
    kept = {found.address for found in earlier.values()}
    names = {
        earlier[now.address].address: now.name
        for now in new
        if now.address in earlier and earlier[now.address].name != now.name
    }
    changes = [
        StateChange("removed", was.name, was.state_type, _place(was.scope, {}))
        for was in old
        if was.address not in kept
    ]
    for now in new:
        if now.address not in earlier:
            place, ways = _place(now.scope, {}), tuple(_ways(now, {}))
            changes.append(StateChange("added", now.name, now.state_type, place, ways_new=ways))
        elif change := _changed(earlier[now.address], now, names):
            changes.append(change)
    machine = _field_changes(_settings(Scope(before), names), _settings(Scope(after), {}))
    return Review(tuple(machine), tuple(changes))


def as_text(found: Review, *, before: str, after: str) -> str:
    """Return a review as lines for a terminal.

    Args:
        found: What differs.
        before: What the earlier definition is called, for example `deployed`.
        after: What the later one is called.
    """
    lines = [f"{before} → {after}: {found.headline()}"]
    lines += [f"~ the machine: {change}" for change in found.machine]
    for change in found.states:
        lines.append(f"{_SIGNS[change.kind]} {_title(change)}")
        lines += [f"    {line}" for line in _details(change)]
    return "\n".join(lines) + "\n"


_SIGNS: Mapping[Kind, str] = {"added": "+", "removed": "-", "renamed": "~", "changed": "~"}


def as_markdown(
    found: Review, *, before: Definition, after: Definition, title: str = "Workflow"
) -> str:
    """Return a review as a pull-request comment with the picture of both definitions.

    Args:
        found: `review(before, after)`.
        before: The earlier definition; empty if there was none.
        after: The later one.
        title: Of the comment.
    """
    lines = [COMMENT_MARK, f"### {title}: {found.headline()}", ""]
    lines += [f"- **the machine**: {_code(str(change))}" for change in found.machine]
    for change in found.states:
        lines.append(f"- {change.kind} **{_plain(_title(change))}**")
        lines += [f"  - {_code(line)}" for line in _details(change)]
    if not found:
        return "\n".join([*lines, "The workflow is the same, state by state.", ""])
    pictures = [
        *_picture("Before", before),
        *_picture("After", after),
    ]
    body = "\n".join(lines)
    if len(body) > _LONGEST_COMMENT:
        kept = body[:_LONGEST_COMMENT].rpartition("\n")[0]
        return f"{kept}\n- … and more: too much for a comment; run `retrain diff` to see it all\n"
    picture = "\n".join(pictures)
    if len(body) + len(picture) > _LONGEST_COMMENT:
        picture = "\nThe pictures are too large for a comment; see `asl/retraining.md`."
    return f"{body}\n{picture}\n"


def _picture(title: str, definition: Definition) -> list[str]:
    if not definition:
        return ["", f"{title}: there was no workflow."]
    return [
        "",
        f"<details><summary>{title}</summary>",
        "",
        f"```mermaid\n{mermaid(definition)}```",
        "",
        "</details>",
    ]


def _title(change: StateChange) -> str:
    inside = f", in {change.place}" if change.place else ""
    former = f", formerly {change.former_name}" if change.former_name else ""
    return f"{change.state} ({change.state_type}{inside}{former})"


def _details(change: StateChange) -> Iterator[str]:
    yield from map(str, change.fields)
    by_condition = {way.when: way.target for way in change.ways_new}
    moved = {way.when for way in change.ways_gone if way.when in by_condition}
    for way in change.ways_gone:
        if way.when in moved:
            yield f"way {way.when}: {way.target} → {by_condition[way.when]}"
        else:
            yield f"way gone: {way}"
    for way in change.ways_new:
        if way.when not in moved:
            yield f"{'way' if change.kind == 'added' else 'way new'}: {way}"
    if change.reordered:
        yield f"ways in another order: {'; '.join(map(str, change.reordered))}"


def _address(scope: Scope) -> Address:
    if scope.parent is None:
        return ()
    return (*_address(scope.parent), scope.container, scope.branch)


def _place(scope: Scope, names: Mapping[Address, str]) -> str:
    """Return what a scope is called, by the present name of its Map or Parallel."""
    if scope.parent is None:
        return ""
    container = names.get((*_address(scope.parent), scope.container), scope.container)
    return f"branch {scope.branch} of {container}" if scope.branch else container


def _settings(scope: Scope, names: Mapping[Address, str]) -> dict[str, Any]:
    """Return a scope without its states, its first state by the present name."""
    settings = {key: value for key, value in scope.definition.items() if key != "States"}
    if "StartAt" in settings:
        settings["StartAt"] = names.get((*_address(scope), scope.start), scope.start)
    return settings


def _doing(found: _Located, names: Mapping[Address, str]) -> dict[str, Any]:
    """Return what a state does: all but the ways out of it and the states inside it."""
    doing = {key: value for key, value in found.state.items() if key not in _WAYS}
    inner = [_settings(scope, names) for scope in found.scope.inside(found.name)]
    for key in _INNER:
        if key in doing:
            doing[key] = inner if key == "Branches" else inner[0]
    # A rule and a catcher are ways by their targets; what they keep belongs to what the state does.
    rules = {
        exact_condition(rule): {key: rule[key] for key in BESIDE_THE_TEST if key in rule}
        for rule in found.state.get("Choices", ())
    }
    if any(rules.values()):
        doing["Choices"] = rules
    if caught := found.state.get("Catch"):
        kept = [{key: value for key, value in one.items() if key != "Next"} for one in caught]
        if any(set(one) - {"ErrorEquals"} for one in kept):
            doing["Catch"] = kept
    return doing


def _earlier(old: Sequence[_Located], new: Sequence[_Located]) -> dict[Address, _Located]:
    """Return what each state was before, by its present address; new states have no entry.

    A state is the same one if it stands where it stood; else if it alone has the same name; else if
    it alone does the same, so that it only got another name.
    """
    found: dict[Address, _Located] = {}
    keys: tuple[Callable[[_Located], Any], ...] = (
        lambda state: state.address,
        lambda state: state.name,
        _fingerprint,
    )
    for key in keys:
        taken = {was.address for was in found.values()}
        gone = _unique(key, (was for was in old if was.address not in taken))
        come = _unique(key, (now for now in new if now.address not in found))
        found |= {come[mark].address: gone[mark] for mark in come.keys() & gone.keys()}
    return found


def _unique(key: Callable[[_Located], Any], found: Iterable[_Located]) -> dict[Any, _Located]:
    """Return states by a key, without those whose key another one has too."""
    keyed = [(key(state), state) for state in found]
    counts = Counter(mark for mark, _ in keyed)
    return {mark: state for mark, state in keyed if counts[mark] == 1}


def _fingerprint(found: _Located) -> str:
    doing = {key: value for key, value in _doing(found, {}).items() if key not in _INNER}
    ways = [way.when for way in _ways(found, {})]
    return json.dumps([doing, ways], sort_keys=True)


def _changed(was: _Located, now: _Located, names: Mapping[Address, str]) -> StateChange | None:
    fields = list(_field_changes(_doing(was, names), _doing(now, {})))
    places = _place(was.scope, names), _place(now.scope, {})
    if places[0] != places[1]:
        fields.insert(0, FieldChange("place", *(place or "the machine" for place in places)))
    before, after = list(_ways(was, names)), list(_ways(now, {}))
    gone = tuple(way for way in before if way not in after)
    come = tuple(way for way in after if way not in before)
    kept_before = [way for way in before if way in after]
    kept_after = [way for way in after if way in before]
    reordered = tuple(after) if kept_before != kept_after else ()
    former_name = was.name if was.name != now.name else ""
    if not (fields or gone or come or reordered or former_name):
        return None
    return StateChange(
        kind="renamed" if former_name else "changed",
        state=now.name,
        state_type=now.state_type,
        place=places[1],
        fields=tuple(fields),
        ways_gone=gone,
        ways_new=come,
        reordered=reordered,
        former_name=former_name,
    )


def _ways(found: _Located, names: Mapping[Address, str]) -> Iterator[Way]:
    """Yield the ways out of a state, their targets by their present names."""
    if ends(found.state):
        yield Way("next", _END)
    for way in transitions(found.name, found.state):
        if way.kind != "end":
            target = names.get((*_address(found.scope), way.target), way.target)
            yield Way(_when(way), target)


def _when(way: Transition) -> str:
    if way.kind == "choice":
        return f"when {exact_condition(way.rule)}"
    if way.kind == "catch":
        return f"on {', '.join(way.rule.get('ErrorEquals', ()))}"
    return "otherwise" if way.kind == "default" else "next"


def _field_changes(was: Any, now: Any, path: str = "") -> Iterator[FieldChange]:
    """Yield what differs, as deep as both are of the same shape."""
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        for key in [*was, *(key for key in now if key not in was)]:
            below = f"{path}.{key}" if path else str(key)
            yield from _field_changes(was.get(key, ABSENT), now.get(key, ABSENT), below)
    elif (was_named := _by_errors(was)) and (now_named := _by_errors(now)):
        for errors in [*was_named, *(errors for errors in now_named if errors not in was_named)]:
            yield from _field_changes(
                was_named.get(errors, ABSENT), now_named.get(errors, ABSENT), f"{path}[{errors}]"
            )
        if set(was_named) == set(now_named) and list(was_named) != list(now_named):
            yield FieldChange(f"{path} order", list(was_named), list(now_named))
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for index, (one, other) in enumerate(zip(was, now, strict=True)):
            yield from _field_changes(one, other, f"{path}[{index}]")
    elif not _same(was, now):
        yield FieldChange(path, was, now)


def _by_errors(value: Any) -> dict[str, Any]:
    """Return retriers and catchers by the errors that they match; empty for any other value."""
    if not isinstance(value, list) or not all(
        isinstance(one, Mapping) and "ErrorEquals" in one for one in value
    ):
        return {}
    named = {}
    for one in value:
        first, *more = one["ErrorEquals"]
        name = f"{first} and {len(more)} more" if more else first
        if name in named:
            return {}
        named[name] = one
    return named


def _same(was: Any, now: Any) -> bool:
    """Return whether two values are the same JSON: 2 is 2.0, and true is not 1."""
    return was == now and isinstance(was, bool) == isinstance(now, bool)


def _shown(value: Any) -> str:
    if value is ABSENT:
        return "(none)"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def _code(text: str) -> str:
    """Return text as Markdown code, whatever backticks stand in it."""
    runs: Sequence[str] = re.findall(r"`+", text)
    fence = "`" * (1 + max(map(len, runs), default=0))
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


def _plain(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return re.sub(r"([\\`*_{}\[\]<>#|@])", r"\\\1", text)
