"""The interactions: the events' table, what it is a part of, and the columns made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from etl.datasets import MAX_EVENT_TYPES_AND_COLUMNS, Column, DataSet, Join, Relation
from retrain.project import sql
from retrain.project.conditions import Condition, conditions
from retrain.project.database.schema import ColumnFacts, Schema, TableFacts
from retrain.project.features import LeftOut, features
from retrain.project.metadata import id_source, seconds, upper_name
from retrain.project.parts import Part
from retrain.project.roles import Events, Place, event_type_columns, time_unit
from retrain.project.words import CONTEXTS, EVENT_VALUES, FINAL_EVENTS, NO_TIMES, has, words

_FEW_NULLS = 0.005  # rows with more nulls are filtered out: the job fails at one row in a hundred
_MAX_CONTEXTS = 2

# Words of a table's name → what its rows are, where no column says it.
_TYPES = {
    "purchase": "order purchase sale transaction checkout bought invoice receipt 注文 購入",
    "watch": "watch stream session 視聴",
    "play": "play playback 再生",
    "listen": "listen",
    "rate": "rating review score",
    "like": "like favourite favorite bookmark wishlist save swipe",
    "cart": "cart basket",
    "click": "click",
    "book": "booking reservation 予約",
    "borrow": "borrow loan rental 貸出",
    "apply": "application 応募",
    "enrol": "enrolment enrollment",
    "view": "view visit impression history read browse 閲覧",
}
_FINAL_TYPES = ("purchase", "book", "borrow", "apply", "enrol")


@dataclass(frozen=True)
class ProposedEvents:
    """The interactions, and what exclusions need of them.

    Attributes:
        part: The data set.
        user: The expression of the user's id.
        item: The expression of the item's id.
        type_column: The expression of the type of an event, a plain column; empty if it is none.
        final_types: Types of events after which an item is not recommended again.
        are_all_final: Whether every event is such a one.
        filters: Conditions that every row with a user and an item must meet.
    """

    part: Part
    user: str
    item: str
    type_column: str
    final_types: tuple[str, ...]
    are_all_final: bool
    filters: tuple[str, ...]

    @property
    def relation(self) -> Relation:
        """The source of the rows."""
        assert isinstance(self.part.what, DataSet)  # noqa: S101
        return self.part.what.relation


def proposed_events(schema: Schema, events: Events) -> ProposedEvents:
    """Return the interactions that a table of events gives."""
    table = events.table
    containers = _containers(schema, events)
    joins = tuple(Join(container.name, "inner", {via: key}) for container, via, key in containers)
    tables = [table, *(container for container, *_ in containers)]
    found = [(each, rule) for each in tables for rule in _conditions(each)]
    rules = [rule.sql for _, rule in found]
    kinds = [(each, column) for each in tables for column in event_type_columns(each)][:1]
    value = _value(table)
    n_types, column, type_guess = _event_type(kinds, table, has_value=value is not None)
    columns = [
        Column("USER_ID", _id(events.user), required=True),
        Column("ITEM_ID", _id(events.item), required=True),
        Column("TIMESTAMP", _time(events.time), "long", required=True),
        column,
    ]
    if value:
        source = sql.column(table.own_name, value.name)
        columns.append(Column("EVENT_VALUE", source, "float"))
    free = MAX_EVENT_TYPES_AND_COLUMNS - n_types - len(columns) + 3
    used = {(of.name, each.name) for of, each in kinds}
    used |= {(place.table.name, place.column.name) for place in _places(events)}
    used |= {(table.name, value.name)} if value else set()
    left_out = {sql.column(of.own_name, rule.column): "says which rows count" for of, rule in found}
    used |= {(of.name, rule.column) for of, rule in found}
    contexts, without = _contexts(tables, used, at_most=min(free, _MAX_CONTEXTS))
    columns += contexts
    null_ids, null_times = (
        [
            f"{sql.column(place.table.own_name, place.column.name)} IS NOT NULL"
            for place in places
            if place.column.nulls > _FEW_NULLS
        ]
        for places in (_places(events)[:2], [events.time])
    )
    nulls = [*null_ids, *null_times]
    relation = Relation(
        table.name,
        joins=joins,
        filter=" AND ".join([*nulls, *rules]),
        partition_column=_partition_column(table),
    )
    proposed = DataSet("INTERACTIONS", relation, tuple(columns))
    final = tuple(
        kind
        for _, each in kinds
        for kind in each.counts
        if any(w in FINAL_EVENTS for w in words(kind))
    )
    is_plain = bool(kinds) and column.source == sql.column(kinds[0][0].own_name, kinds[0][1].name)
    constant = "" if kinds else column.source.strip("'")
    return ProposedEvents(
        part=Part(proposed, tuple(_guesses(events, rules, nulls, type_guess)), left_out | without),
        user=_id(events.user),
        item=_id(events.item),
        type_column=column.source if is_plain else "",
        final_types=final if is_plain else (),
        are_all_final=constant in _FINAL_TYPES,
        filters=(*null_ids, *rules),
    )


def _places(events: Events) -> list[Place]:
    return [events.user, events.item, events.time]


def _conditions(table: TableFacts) -> Iterator[Condition]:
    return conditions(table.own_name, table, of="events")


def _guesses(events: Events, rules: list[str], nulls: list[str], type_guess: str) -> list[str]:
    users = events.users[0].name if events.users else "no table"
    items = events.items[0].name if events.items else "no table"
    guesses = [
        f"the events are the rows of {events.table.name}: {events.user.column.name} is the user"
        f" ({users}), {events.item.column.name} the item ({items}), {events.time.column.name} the"
        " time",
        type_guess,
    ]
    if any(place.column.kind == "binary" for place in (events.user, events.item)):
        guesses.append("binary ids are written by hex(), as HEX() of the database does")
    guesses += [f"events count only where {rule}" for rule in rules]
    guesses += [f"rows are left out unless {rule}" for rule in nulls]
    undeclared = [
        place.column.name
        for place, target in ((events.user, events.users), (events.item, events.items))
        for reference in [place.table.reference(place.column.name)]
        if target and reference and not reference.declared
    ]
    if undeclared:
        names = " and ".join(dict.fromkeys(undeclared))
        guesses.append(
            f"{names}: no foreign key is declared; names and values say what it refers to"
        )
    return guesses


def _containers(schema: Schema, events: Events) -> list[tuple[TableFacts, str, str]]:
    """Return the tables that hold user, item or time, each with the columns that are equal."""
    found = {}
    for place in _places(events):
        if place.via is not None:
            found[place.table.name] = (place.table, place.via.column, place.via.key)
    return list(found.values())


def _id(place: Place) -> str:
    return id_source(place.table.own_name, place.column)


def _time(place: Place) -> str:
    return seconds(place.table.own_name, place.column, time_unit(place.column))


def _partition_column(table: TableFacts) -> str:
    key = table.single_key
    is_number = key and table.by_name[key].kind == "integer"
    return key if is_number and not table.is_view else ""


def _event_type(
    kinds: list[tuple[TableFacts, ColumnFacts]], table: TableFacts, *, has_value: bool
) -> tuple[int, Column, str]:
    """Return how many types there are, the column EVENT_TYPE, and what was guessed."""
    if not kinds:
        own = table.name_words
        known = (kind for kind, group in _TYPES.items() if has(table.own_name, group.split()))
        kind = next(known, own[-1])
        source = sql.literal(kind)
        guess = f"no column says what an event is: all of them are '{kind}'"
        return 1, Column("EVENT_TYPE", source, required=True), guess
    (of, column), *_ = kinds
    expression = sql.column(of.own_name, column.name)
    most = MAX_EVENT_TYPES_AND_COLUMNS - 1 - has_value
    types = [*column.counts, *(label for label in column.labels if label not in column.counts)]
    frequent = [kind for kind, _ in Counter(column.counts).most_common(most - 1)]
    source = expression
    if len(types) > most:
        kept = sql.one_of(expression, frequent)
        source = f"CASE WHEN {kept} THEN {expression} ELSE 'other' END"
        types = [*frequent, "other"]
    elif column.nulls:
        source = f"coalesce({expression}, 'other')"
        types.append("other")
    shown = ", ".join(types[:8])
    return (
        len(types),
        Column("EVENT_TYPE", source, required=True),
        f"{column.name} is what an event is: {shown}",
    )


def _value(table: TableFacts) -> ColumnFacts | None:
    """Return the column that says how much an event weighs."""
    for group in EVENT_VALUES:
        for column in table.columns:
            is_number = column.kind in ("integer", "decimal", "float") and column.present
            is_key = column.name in table.key or table.reference(column.name) is not None
            varies = len(column.counts) > 1
            if is_number and varies and not is_key and has(column.name, group):
                return None if has(column.name, NO_TIMES) else column
    return None


def _contexts(
    tables: list[TableFacts], used: Collection[tuple[str, str]], *, at_most: int
) -> tuple[list[Column], dict[str, str]]:
    """Return what is known of the circumstances of an event, by which Personalize learns too.

    With it, what else the tables have, and why that is left out.
    """
    contexts: list[Column] = []
    left_out: dict[str, str] = {}
    for table in tables:
        of_table = {column for name, column in used if name == table.name}
        for each in features(
            table.own_name, table, is_person=True, rows=max(table.rows, 1), used=of_table
        ):
            if isinstance(each, LeftOut):
                left_out[each.column] = each.reason
            elif not each.categorical or not (
                has(each.name, CONTEXTS) or has(each.source.partition(".")[2], CONTEXTS)
            ):
                left_out[each.source] = "no context by its name, such as device or channel"
            elif len(contexts) >= at_most:
                left_out[each.source] = f"more than {at_most} columns of context"
            else:
                name = upper_name(each.name) or f"CONTEXT_{len(contexts) + 1}"
                contexts.append(Column(name, each.source, categorical=True))
    return contexts, left_out
