"""Which table is the events, and who are the users and the items.

Events are rows with two references, to a user and to an item, and a time. User and time may stand
in the row's own container: an order of which the row is a line; and so may the item: a copy that
was lent, of a book. Everything that could be events is ranked; the words of names, the number of
rows and what the tables hold decide.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from retrain.project.database.schema import ColumnFacts, Reference, Schema, TableFacts
from retrain.project.personal import personal_by_name
from retrain.project.words import (
    CONTEXTS,
    EVENT_NAMES,
    EVENT_TYPES,
    EVENTS,
    ITEMS,
    NO_TIMES,
    STATUSES,
    TEXTS,
    TIMES,
    TITLES,
    USERS,
    base_of_reference,
    has,
    words,
)

_SECONDS = (10**9 // 2, 10**10)  # 1985 to 2286
_AS_USER, _AS_ITEM = 3.0, 3.0


@dataclass(frozen=True)
class Place:
    """A column, and the container of the events' table that has it.

    Attributes:
        table: The table that has the column.
        column: The column.
        via: The events' own column that refers to that table; None if it is the events' own.
    """

    table: TableFacts
    column: ColumnFacts
    via: Reference | None = None


@dataclass(frozen=True)
class Events:
    """A table that can be the events.

    Attributes:
        table: The table.
        user: Where its user is.
        item: Where its item is.
        time: Where its time is.
        users: The users' table and its key; None if the database has no such table.
        items: The items' table and its key; None likewise.
        score: How well it fits; more is better.
    """

    table: TableFacts
    user: Place
    item: Place
    time: Place
    users: tuple[TableFacts, str] | None
    items: tuple[TableFacts, str] | None
    score: float


def possible_events(schema: Schema) -> list[Events]:
    """Return the best reading of each table that can be the events, the best one first."""
    best: dict[str, Events] = {}
    for table in schema.tables:
        for events in _readings(schema, table):
            if table.name not in best or events.score > best[table.name].score:
                best[table.name] = events
    return sorted(best.values(), key=lambda events: -events.score)


def _readings(schema: Schema, table: TableFacts) -> Iterator[Events]:
    own = [(Place(table, table.by_name[r.column]), r) for r in _references(table)]
    inherited = [
        (Place(parent, parent.by_name[r.column], via), r)
        for via in table.references
        if (parent := schema.by_name.get(via.target)) and parent.name != table.name
        if not has(parent.name_words[-1], ITEMS | USERS)
        for r in _references(parent)
    ]
    times = [Place(table, column) for column in times_of(table)]
    for user, user_reference in (*own, *inherited):
        for item, item_reference in (*own, *([] if user.via else inherited)):
            if user.column is item.column and user.table is item.table:
                continue
            users = _target(schema, user_reference)
            items = _target(schema, item_reference)
            if users and items and users[0].name == items[0].name:
                continue
            container = user.via.target if user.via else ""
            if items and items[0].name == container:
                continue  # the owner of an item is not somebody who did something with it
            if item.via and users and users[0].name == item.via.target:
                continue  # what belongs to a user is not what the user did something with
            time = next(iter(times), None) or _time_of_container(schema, table, user)
            if time is None:
                continue
            roles = (
                _role(user_reference, users, is_user=True)
                + _role(item_reference, items, is_user=False)
                - (1.0 if user.via or item.via else 0.0)
            )
            score = roles + _fitness(schema, table)
            if roles > 0 and score > 0:
                yield Events(table, user, item, time, users, items, score)


def _references(table: TableFacts) -> Iterator[Reference]:
    """Yield a table's references, and the columns that are named like one without a table."""
    yield from table.references
    for column in table.columns:
        base = base_of_reference(column.name)
        is_free = table.reference(column.name) is None and column.name != table.single_key
        is_telling = has(base, USERS | ITEMS)
        if base and is_free and is_telling and column.kind in ("integer", "text", "uuid", "binary"):
            yield Reference(column.name, "", "", declared=False)


def _target(schema: Schema, reference: Reference) -> tuple[TableFacts, str] | None:
    target = schema.by_name.get(reference.target)
    return (target, reference.key) if target else None


def _time_of_container(schema: Schema, table: TableFacts, user: Place) -> Place | None:
    via = [user.via] if user.via else []
    for reference in (*via, *table.references):
        container = schema.by_name.get(reference.target)
        if container is None or container.name == table.name:
            continue
        if not user.via and not has(container.name_words[-1], EVENTS):
            continue
        for column in times_of(container):
            return Place(container, column, reference)
    return None


def _role(reference: Reference, target: tuple[TableFacts, str] | None, *, is_user: bool) -> float:
    """Return how much a reference is one to users (or to items) rather than the other."""
    users, items = _likeness(reference, target)
    return users - items if is_user else items - users


def _likeness(reference: Reference, target: tuple[TableFacts, str] | None) -> tuple[float, float]:
    name = base_of_reference(reference.column) or reference.column
    users = 1.0 if has(words(name)[-1], USERS) else 0.0
    items = 1.0 if has(words(name)[-1], ITEMS) else 0.0
    if target is None:
        return users * _AS_USER, items * _AS_ITEM
    table = target[0]
    last = table.name_words[-1]
    users += _AS_USER if last in USERS else 0.0
    items += _AS_ITEM if last in ITEMS else 0.0
    personal = {what for column in table.columns for what in [personal_by_name(column.name)]}
    users += 0.7 * len(personal - {None, "a location", "a secret"})
    if not users:
        items += 0.7 * any(has(column.name, TITLES) for column in table.columns)
        items += 0.7 * any(has(column.name, TEXTS) for column in table.columns)
        items += 0.2 * math.log10(1 + table.rows)
    return users, items


def _fitness(schema: Schema, table: TableFacts) -> float:
    """Return how much a table is like events: many rows, a telling name, a type of event."""
    own = table.name_words
    score = 1.5 * math.log10(1 + table.rows)
    score += 2.0 if any(word in EVENTS for word in own) else 0.0
    score += 1.0 if event_type_columns(table) else 0.0
    score -= 4.0 if own[-1] in USERS | ITEMS and not any(w in EVENTS for w in own) else 0.0
    score -= 2.0 if any(True for _ in schema.referring(table.name)) else 0.0
    score -= 1.0 if table.is_view else 0.0
    return score


def times_of(table: TableFacts) -> list[ColumnFacts]:
    """Return the columns that say when a row happened, the best one first."""
    found = []
    for column in table.columns:
        if has(column.name, NO_TIMES) or not time_unit(column):
            continue
        rank = next((n for n, group in enumerate(TIMES) if has(column.name, group)), len(TIMES))
        if column.kind not in ("date", "time") and rank == len(TIMES):
            continue
        found.append((rank, column.kind == "date", column.nulls > 0.5, column))
    return [column for *_, column in sorted(found, key=lambda each: each[:3])]


def time_unit(column: ColumnFacts) -> int:
    """Return in how many parts of a second a column counts its time: 1 of dates; 0 for no time."""
    if column.kind in ("date", "time"):
        return 1
    if column.kind != "integer" or not column.present:
        return 0
    numbers = [int(value) for value in column.present]
    for unit in (1, 1_000, 1_000_000):
        if all(_SECONDS[0] * unit < number < _SECONDS[1] * unit for number in numbers):
            return unit
    return 0


def event_type_columns(table: TableFacts) -> list[ColumnFacts]:
    """Return the columns that say what kind of event a row is, the best one first.

    A column's name says so, or, of one whose name says nothing, most of its values.
    """
    found = []
    for column in table.columns:
        few = 1 < len(column.counts) <= 30 and column.mean_length <= 40
        if column.kind not in ("text", "enum") or not (few or column.kind == "enum"):
            continue
        own = words(column.name)
        is_named_so = has(own[-1], EVENT_TYPES) or own[0] in ("event", "action")
        values = column.labels or tuple(column.counts)
        named = sum(has(value, EVENT_NAMES) for value in values)
        is_told_by_values = named > 1 and named > len(values) / 2 and not has(column.name, STATUSES)
        if (is_named_so or is_told_by_values) and not has(column.name, CONTEXTS):
            rank = (not is_named_so, column.kind != "enum", len(column.counts))
            found.append((rank, column))
    return [column for _, column in sorted(found, key=lambda each: each[0])]
