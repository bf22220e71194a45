"""Tables between items and something else, many to many: the view that makes a column of them.

A join would give an item as often as it has rows there. A view of the database gives it once, with
the values joined by `|`, as Personalize takes several categories.
"""

from __future__ import annotations

from collections.abc import Iterator

from etl.database import TableName
from etl.datasets import Engine
from retrain.project.database.schema import Reference, Schema, TableFacts
from retrain.project.metadata import upper_name
from retrain.project.roles import Events, possible_events
from retrain.project.words import LABELS, words


def bridge_notes(schema: Schema, events: Events, items: TableFacts) -> Iterator[str]:
    """Yield a sentence for each such table: why it is not joined, and the view to create."""
    of_users = {each.table.name for each in possible_events(schema)}
    users = events.users[0].name if events.users else ""
    for table, reference in schema.referring(items.name):
        targets = {each.target for each in table.references}
        is_of_users = users in targets or table.name in of_users
        if reference.column in table.unique or is_of_users or len(targets) != 2:
            continue
        other = next(each for each in table.references if each.target != items.name)
        view = _view(schema, items, table, reference, other)
        yield (
            f"{table.name}: holds several rows of one item, and a join would multiply it; {view}"
        )


def _view(
    schema: Schema, items: TableFacts, table: TableFacts, to_item: Reference, to_other: Reference
) -> str:
    other = schema.by_name.get(to_other.target)
    labels = [c.name for c in other.columns if set(words(c.name)) <= LABELS] if other else []
    if other is None or not labels:
        return "to use it, name a view with one row an item, its values joined by |"
    value = upper_name(other.own_name) or "CATEGORIES"
    name = f"{value}_of_{upper_name(items.own_name) or 'ITEMS'}".lower()
    label, item = (_quoted(column, schema.engine) for column in (labels[0], to_item.column))
    several = (
        f"string_agg(o.{label}, '|' ORDER BY o.{label})"
        if schema.engine == "postgresql"
        else f"group_concat(o.{label} ORDER BY o.{label} SEPARATOR '|')"
    )
    between, others = (TableName.parse(t.name).quote(schema.engine) for t in (table, other))
    query = (
        f"CREATE VIEW {name} AS SELECT b.{item} AS item, {several} AS {value.lower()}"
        f" FROM {between} b JOIN {others} o ON o.{_quoted(to_other.key, schema.engine)} ="
        f" b.{_quoted(to_other.column, schema.engine)} GROUP BY b.{item};"
    )
    return (
        f"to use it, create a view, {query} and write"
        f' {{ table = "{name}", how = "left", on = {{ "{to_item.key}" = "item" }} }} into joins,'
        f' {value} = {{ source = "{name}.{value.lower()}", categorical = true }} into columns'
    )


def _quoted(name: str, engine: Engine) -> str:
    return TableName((name,)).quote(engine)
