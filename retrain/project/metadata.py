"""The users and the items: their table, the tables joined to it, and the columns made of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from etl.datasets import (
    METADATA_LIMIT,
    RESERVED_COLUMNS,
    Column,
    DataSet,
    DatasetType,
    Join,
    JoinType,
    Relation,
)
from retrain.project import sql
from retrain.project.database.schema import ColumnFacts, Reference, Schema, TableFacts
from retrain.project.features import Feature, LeftOut, features
from retrain.project.latin_names import latin
from retrain.project.parts import Part
from retrain.project.roles import event_type_columns, time_unit, times_of
from retrain.project.words import CREATED, LABELS, USERS, base_of_reference, has, title_of, words

UNNAMED = "COLUMN"
"""The name of a column whose own cannot be written in Latin letters."""

_MAX_JOINS = 4
_MAX_DEPTH = 2
_RESERVED = {"USER_ID", "ITEM_ID", "TIMESTAMP", "CREATION_TIMESTAMP"}.union(
    *RESERVED_COLUMNS.values()
)


@dataclass(frozen=True)
class _Joined:
    """A table of a data set.

    Attributes:
        alias: Its name in expressions.
        table: The table.
        label: What its rows are to the data set, for example `department`.
        joins: The joins that lead to it, itself the last one.
        is_about_it: Whether it has at most one row of each, as a profile has of a user.
    """

    alias: str
    table: TableFacts
    label: str
    joins: tuple[Join, ...] = ()
    is_about_it: bool = False


def described(
    schema: Schema,
    data_set: DatasetType,
    base: TableFacts,
    key: str,
    *,
    conditions: Sequence[str],
    used: Collection[str],
    avoid: Collection[str],
) -> Part | None:
    """Return the data set of users or items; None if there is nothing to learn from.

    Args:
        schema: The database.
        data_set: `USERS` or `ITEMS`.
        base: The table of the users or items.
        key: Its column with the id.
        conditions: The conditions on its rows.
        used: Its columns that are used otherwise.
        avoid: Names of tables that are not joined: the events, and the other ones of the two.
    """
    is_person = data_set == "USERS"
    alias = base.own_name
    columns = [Column(f"{data_set[:-1]}_ID", id_source(alias, base.by_name[key]), required=True)]
    created = None if is_person else creation_time(alias, base)
    joins: list[Join] = []
    left_out = {sql.column(alias, column): "says which rows count" for column in used}
    used = {*used, key, *(created.columns if created else ())}
    texts: list[Feature] = []
    title_name = ""
    for joined in _joined(schema, base, avoid):
        is_base = joined.table is base
        found = list(
            features(
                joined.alias,
                joined.table,
                is_person=is_base or joined.is_about_it
                if is_person
                else has(joined.table.name_words[-1], USERS),
                rows=base.rows,
                used=used if is_base else (),
                is_lookup=not (is_base or joined.is_about_it),
                codes=_codes(schema, joined.table, avoid),
            )
        )
        left_out |= {each.column: each.reason for each in found if isinstance(each, LeftOut)}
        learned = [each for each in found if isinstance(each, Feature) and not each.is_text]
        of_table = [each for each in found if isinstance(each, Feature) and each.is_text]
        if is_base:
            texts = of_table
        else:
            left_out |= {each.source: "free text of a joined table" for each in of_table}
        if not learned and not is_base:
            continue
        joins += [join for join in joined.joins if join not in joins]
        for feature in learned:
            name = _column_name(feature, joined.label, {column.name for column in columns})
            flags = Column(name, feature.source, feature.type, categorical=feature.categorical)
            columns.append(flags)
    if is_person:
        left_out |= {text.source: "free text" for text in texts}
    elif texts:
        title, body = _title_and_body(texts)
        if title and body:  # by which the report names items
            name = _column_name(title, "", {column.name for column in columns})
            columns.append(Column(name, title.source))
        columns.append(_textual(title, body, {column.name for column in columns}))
        if title:  # alone it is the textual column
            title_name = columns[-2 if body else -1].name
        left_out |= {
            each.source: "a text; one is imported" for each in texts if each not in (title, body)
        }
    most = METADATA_LIMIT[data_set]
    left_out |= {each.source: f"more than {most} columns" for each in columns[most + 1 :]}
    columns = columns[: most + 1]
    if created:
        columns.append(Column("CREATION_TIMESTAMP", created.source, "long", required=True))
    relation = Relation(base.name, joins=tuple(joins), filter=" AND ".join(conditions))
    proposed = DataSet(data_set, relation, tuple(columns))
    if any(True for _ in proposed.problems()):
        return None
    is_in = any(column.name == title_name for column in columns)
    return Part(proposed, (), left_out, title_name if is_in else "")


def id_source(alias: str, column: ColumnFacts) -> str:
    """Return the expression of an id; a binary one as its digits."""
    expression = sql.column(alias, column.name)
    return f"hex({expression})" if column.kind == "binary" else expression


def _codes(schema: Schema, table: TableFacts, avoid: Collection[str]) -> list[str]:
    """Return the references to a table whose key is the label itself: `crime` of categories."""
    return [
        reference.column
        for reference in table.references
        if table.by_name[reference.column].kind in ("text", "enum")
        for target in [schema.by_name.get(reference.target)]
        if target and target.name not in avoid
        if not any(title_of(c.name) is not None for c in target.columns if c.name != reference.key)
    ]


# ── Joins ──────────────────────────────────────────────────────────────────────────────────────


def _joined(schema: Schema, base: TableFacts, avoid: Collection[str]) -> Iterator[_Joined]:
    """Yield the table itself, then those of which each of its rows has at most one."""
    first = _Joined(base.own_name, base, "")
    aliases, waiting = {first.alias}, [first]
    yield first
    found = 0
    while waiting:
        before = waiting.pop(0)
        for table, reference, join in _partners(schema, before, is_base=before is first):
            if table.name in avoid or table.name == base.name or found >= _MAX_JOINS:
                continue
            label = base_of_reference(reference.column) or "_".join(table.name_words)
            alias = table.own_name if table.own_name not in aliases else label
            if alias in aliases:
                continue
            aliases.add(alias)
            found += 1
            named = replace(join, alias=alias if alias != table.own_name else "")
            is_about_it = not reference.column
            joined = _Joined(alias, table, label, (*before.joins, named), is_about_it)
            yield joined
            if len(joined.joins) < _MAX_DEPTH:
                waiting.append(joined)


def _partners(
    schema: Schema, before: _Joined, *, is_base: bool
) -> Iterator[tuple[TableFacts, Reference, Join]]:
    for reference in before.table.references:
        target = schema.by_name.get(reference.target)
        if target is None:
            continue
        column = before.table.by_name[reference.column]
        is_certain = reference.declared and not column.nullable
        how: JoinType = "inner" if is_certain and is_base else "left"
        left = reference.column if is_base else f"{before.alias}.{reference.column}"
        yield target, reference, Join(target.name, how, {left: reference.key})
    if not is_base:
        return
    for table, reference in schema.referring(before.table.name):
        is_one_to_one = reference.column in table.unique
        if is_one_to_one and not (times_of(table) and event_type_columns(table)):
            own = Reference("", table.name, reference.column)
            yield table, own, Join(table.name, "left", {reference.key: reference.column})


# ── Columns ────────────────────────────────────────────────────────────────────────────────────


def _column_name(feature: Feature, of: str, taken: Collection[str]) -> str:
    """Return a name that Personalize accepts: that of the column, or of what it is the label of."""
    label = upper_name(of)
    plain = upper_name(feature.name) or UNNAMED
    is_label = bool(label) and set(words(feature.name)) <= LABELS
    choices = [label if is_label else plain]
    if label:
        choices.append(f"{label}_{plain}")
    choices += [f"{choices[0]}_{number}" for number in range(2, 200)]
    same = {_reduced(name) for name in {*taken, *_RESERVED}}
    return next(choice for choice in choices if choice and _reduced(choice) not in same)


def upper_name(name: str) -> str:
    """Return a name as Personalize takes it: Latin capitals; empty if it cannot be one."""
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", latin(name))
    text = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_").upper()
    return f"C_{text}" if text[:1].isdigit() else text


def _reduced(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _title_and_body(texts: Sequence[Feature]) -> tuple[Feature | None, Feature | None]:
    """Return the text that names an item, and the longest other one; None for what is not there."""
    titles = [text for text in texts if text.is_title]
    title = min(titles, key=lambda text: len(words(text.name)), default=None)
    others = [text for text in texts if text is not title]
    return title, max(others, key=lambda text: text.length, default=None)


def _textual(title: Feature | None, body: Feature | None, taken: Collection[str]) -> Column:
    """Return the one textual column: the title and the longest text."""
    chosen = [text for text in (title, body) if text]
    sources = [text.source for text in chosen]
    source = sources[0] if len(sources) == 1 else f"concat_ws(' ', {', '.join(sources)})"
    return Column(_column_name(chosen[-1], "", taken), source, textual=True)


@dataclass(frozen=True)
class CreationTime:
    """The expression of an item's creation, and the columns in it."""

    source: str
    columns: tuple[str, ...]


def creation_time(alias: str, table: TableFacts) -> CreationTime | None:
    """Return when an item came to be; None if nothing says it of every item."""
    found = []
    for column in table.columns:
        rank = next((n for n, group in enumerate(CREATED) if has(column.name, group)), None)
        unit = time_unit(column)
        is_old = any(value < "1970" for value in column.present) and column.kind != "integer"
        if rank is not None and unit and not is_old and column.nulls < 1:
            found.append((rank, column, unit))
    found.sort(key=lambda each: each[0])
    for number, (_, column, _) in enumerate(found):
        if column.nulls == 0:
            chosen = found[: number + 1]
            sources = [seconds(alias, each, unit) for _, each, unit in chosen]
            source = sources[0] if len(sources) == 1 else f"coalesce({', '.join(sources)})"
            return CreationTime(source, tuple(each.name for _, each, _ in chosen))
    return None


def seconds(alias: str, column: ColumnFacts, unit: int) -> str:
    """Return the expression of a time; of a number that counts parts of a second, the seconds."""
    expression = sql.column(alias, column.name)
    return expression if unit == 1 else f"{expression} div {unit}"
