"""The columns that a relation and its expressions name: no others are read from the database.

A column that nobody names may have any type and any value, and costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pyspark.errors import ParseException
from pyspark.sql import functions as F  # noqa: N812  the name that every Spark reader knows

from etl.database import TableName
from etl.datasets import Join, Relation

# What compares values → the column with the text of a value that it names and cannot compare.
UNCOMPARABLE: Mapping[str, str] = {
    "filter": "unreadable in the filter",
    "joins": "unreadable in the joins",
}


@dataclass(frozen=True)
class TableUse:
    """A table as a relation uses it, under an alias and with columns renamed."""

    table: str
    alias: str
    rename: Mapping[str, str]


def tables_of(relation: Relation) -> Iterator[TableUse]:
    """Yield the relation's tables in the order of its joins."""
    first = Join(relation.table, "inner", {}, relation.alias, relation.rename)
    for join in (first, *relation.joins):
        yield TableUse(join.table, join.alias or TableName.parse(join.table).alias, join.rename)


def named_columns(
    relation: Relation, sources: Iterable[str], tables: Mapping[str, Sequence[str]]
) -> dict[str, set[str]]:
    """Return the columns that a relation names: in its renames, joins, filter and expressions.

    Args:
        relation: The relation.
        sources: The Spark SQL expressions over it.
        tables: Table name → all its columns.

    Returns:
        Table name → those of its columns that are named. A name that several tables have counts
        for each of them.
    """
    references: set[tuple[str, ...]] = set()
    for expression in filter(None, (relation.filter, *sources)):
        references |= column_references(expression)
    for join in relation.joins:
        for name in (*join.on, *join.on.values()):
            references.add(tuple(unquoted(name).split(".")))
            references.add((unquoted(name),))
    named: dict[str, set[str]] = {}
    for use in tables_of(relation):
        columns = named.setdefault(use.table, set())
        for column in tables[use.table]:
            new_name = use.rename.get(column, column)
            if column in use.rename or is_named(references, use.alias, new_name):
                columns.add(column)
    return named


def unreadable(column: str) -> str:
    """Return the name of the column with the texts of values that Spark cannot hold in `column`."""
    return f"{column} (unreadable)"


def unquoted(name: str) -> str:
    """Return a name of a join, `column` or `alias.column`, in lower case and without quotes."""
    return name.replace("`", "").replace('"', "").lower()


def is_named(references: Iterable[tuple[str, ...]], alias: str, column: str) -> bool:
    """Return whether one of the references may mean a table's column."""
    qualified = (alias.lower(), column.lower())
    return any(
        parts[:2] == qualified or parts[:1] in (qualified[1:], ("*",)) for parts in references
    )


def column_references(expression: str) -> set[tuple[str, ...]]:
    """Return the column names in a Spark SQL expression, as Spark's own parser finds them.

    Returns:
        Names in lower case, by their parts: `("book", "price")`; `("*",)` for a star or a
        subquery, which may mean any column. None if it is no expression: Spark says so later.
    """
    try:
        leaves = F.expr(expression)._jc.expr().collectLeaves()
    except ParseException:
        return set()
    references: set[tuple[str, ...]] = set()
    for number in range(leaves.size()):
        leaf = leaves.apply(number)
        kind = leaf.getClass().getSimpleName()
        if kind == "UnresolvedAttribute":
            parts = leaf.nameParts()
            references.add(tuple(parts.apply(n).lower() for n in range(parts.size())))
        elif "Star" in kind or "Subquery" in kind:
            references.add(("*",))
    return references
