"""What Spark's parser and its analysed plan say of expressions, before a row is read.

pyspark has no interface to a plan's expressions; these are Spark's own, by py4j.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyspark.errors import ParseException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812  the name that every Spark reader knows

from etl.datasets import beyond_the_row

_SUBQUERIES = frozenset({"ScalarSubquery", "Exists", "ListQuery"})


def beyond_the_parsed_row(expression: str) -> str | None:
    """Return what `beyond_the_row` does, as Spark's own parser finds it; None if it finds none."""
    try:
        nodes = list(_tree(F.expr(expression)._jc.expr()))
    except ParseException:
        return None  # Spark says so later
    for node in nodes:
        node_class = node.getClass().getSimpleName()
        if node_class in _SUBQUERIES:
            return "a subquery"
        if node_class == "ExpressionWithUnresolvedIdentifier":
            return "identifier(…)"
        if node_class == "UnresolvedFunction":
            name = _list(node.nameParts())[-1]
            if found := beyond_the_row(f"{name}("):
                return found
    return None


def makes_rows(frame: DataFrame) -> bool:
    """Return whether an expression makes several rows of one, as `explode` does."""
    return any(plan.nodeName() == "Generate" for plan in _tree(_analysed(frame)))


def unreadable_literals(filtered: DataFrame) -> list[str]:
    """Return the texts in a filter's condition that are not of the type that is compared.

    Spark makes null of them, and of the comparison: `at > 'yesterday'` holds for no row.

    Returns:
        For example `'yesterday' is no timestamp`.
    """
    problems: dict[str, None] = {}
    for expression in _list(_analysed(filtered).expressions()):
        for node in _tree(expression):
            if node.getClass().getSimpleName() != "Cast":
                continue
            literal = node.child()
            if literal.getClass().getSimpleName() != "Literal" or literal.value() is None:
                continue
            if literal.dataType().simpleString() == "string" and node.eval(None) is None:
                target = node.dataType().simpleString()
                problems.setdefault(f"'{literal.value().toString()}' is no {target}")
    return list(problems)


def _analysed(frame: DataFrame) -> Any:
    return frame._jdf.queryExecution().analyzed()


def _tree(node: Any) -> Iterator[Any]:
    """Yield a plan, or an expression, and all below it."""
    yield node
    for child in _list(node.children()):
        yield from _tree(child)


def _list(sequence: Any) -> list[Any]:
    """Return a Scala sequence as a list."""
    return [sequence.apply(number) for number in range(sequence.size())]
