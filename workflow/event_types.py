"""Event types that a configuration names: data without them would leave a filter without effect."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workflow.config import Config

_IN_EXPRESSION = re.compile(
    r"""Interactions\.EVENT_TYPE\s*(?:=|(?:NOT\s+)?IN\s*\()\s*((?:"[^"]*"\s*,?\s*)+)""",
    re.IGNORECASE,
)
_ANY = "*"
_OF_A_RECOMMENDER = frozenset({"solution", "batch_inference", "filter"})


def named_event_types(config: Config) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield key path → event types that its value names, where it names any.

    A filter of Spark SQL names them where it compares the column that becomes EVENT_TYPE with
    texts, by `=` or `IN`. An exclusion may name events that `datasets.interactions.filter` leaves
    out.
    """
    for each in config.each_recommender:
        for key, names in _named(each):
            if not each.recommender:
                yield key, names
            elif key.partition(".")[0] in _OF_A_RECOMMENDER:
                yield f"recommenders.{each.recommender}.{key}", names


def _named(config: Config) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield key path → event types of a configuration with one recommender."""
    batch, interactions = config.batch_inference, config.datasets.interactions
    if config.solution.event_type:
        yield "solution.event_type", (config.solution.event_type,)
    if config.backtest and config.backtest.event_types:
        yield "backtest.event_types", tuple(config.backtest.event_types)
    matches = _IN_EXPRESSION.findall(batch.personalize_filter)
    names = [name for match in matches for name in re.findall('"([^"]*)"', match) if name != _ANY]
    if names:
        yield "batch_inference.personalize_filter", tuple(dict.fromkeys(names))
    column = interactions.columns.get("EVENT_TYPE")
    if column is None or not re.fullmatch(r"[\w.`]+", column.source):
        return
    filters = {"datasets.interactions.filter": interactions.filter}
    table, _, name = column.source.replace("`", "").rpartition(".")
    excluded = config.filter.exclusions
    if excluded and excluded.table == interactions.table and name not in interactions.filter:
        filters["filter.exclusions.filter"] = excluded.filter
    for key, condition in filters.items():
        if compared := _compared_texts(table, name, condition):
            yield key, compared


def _compared_texts(table: str, column: str, condition: str) -> tuple[str, ...]:
    """Return the texts of which one must be the column's, none where a NOT turns them round."""
    name = rf"(?<![\w.`])(?:`?{re.escape(table)}`?\.)?`?{re.escape(column)}`?"
    if re.search(rf"\bNOT\s*(?:\(|{name}\s*(?:=|IN\b))", condition, re.IGNORECASE):
        return ()
    quoted = r"""(?:'[^']*'|"[^"]*")"""
    compared = re.compile(rf"{name}\s*(?:==?|IN\s*\()\s*((?:{quoted}\s*,?\s*)+)", re.IGNORECASE)
    texts = [
        text[1:-1] for match in compared.findall(condition) for text in re.findall(quoted, match)
    ]
    return tuple(dict.fromkeys(texts))
