"""Rules of the database's tables that a configuration reads: their names, and their expressions.

Spark takes names that differ by case alone for one, of columns as of tables in expressions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from etl.datasets import beyond_the_row
from workflow.settings import DataSetSettings, JoinSettings, RelationSettings, Rule

if TYPE_CHECKING:
    from workflow.config import Config

Path = tuple[str, ...]
_PART = re.compile(r'"((?:[^"]|"")*)"|`((?:[^`]|``)*)`|([^."`]+)')


def source_table_faults(config: Config) -> Iterator[Rule]:
    """Yield names in a relation that Spark takes for one, and a source that is delivered into.

    Expressions that read something else than their row, too.
    """
    for path, relation in relations(config):
        yield from _name_faults(path, relation)
        for key, expression in _expressions(relation):
            if found := beyond_the_row(expression):
                rule = f"{found} reads something else than the columns of its row"
                yield (*path, *key), rule, "make a view in the database that has the value"
    yield from _delivered_faults(config)


def relations(config: Config) -> Iterator[tuple[Path, RelationSettings]]:
    """Yield the key path and the table of each relation that the Spark job reads."""
    for name, settings in config.datasets:
        if settings:
            yield ("datasets", name), settings
    for each in config.each_recommender:
        above = ("recommenders", each.recommender) if each.recommender else ()
        yield (*above, "batch_inference"), each.batch_inference
        for name in ("eligible_items", "exclusions"):
            if lookup := getattr(each.filter, name):
                yield (*above, "filter", name), lookup


def _expressions(relation: RelationSettings) -> Iterator[tuple[Path, str]]:
    """Yield key path and text of each Spark SQL expression of a relation."""
    yield ("filter",), relation.filter
    if isinstance(relation, DataSetSettings):
        for name, column in relation.columns.items():
            yield ("columns", name), column.source
    for key in ("user_id", "item_id"):
        yield (key,), getattr(relation, key, "")


def same_names(names: Iterable[str]) -> Iterator[tuple[int, str, str]]:
    """Yield position and name of each that is one with an earlier name but for case, and that."""
    taken: dict[str, str] = {}
    for number, name in enumerate(names):
        if name.casefold() in taken:
            yield number, name, taken[name.casefold()]
        taken.setdefault(name.casefold(), name)


def _name_faults(path: Path, relation: RelationSettings) -> Iterator[Rule]:
    uses: list[RelationSettings | JoinSettings] = [relation, *relation.joins]
    paths = [path, *((*path, "joins", str(number)) for number in range(len(relation.joins)))]
    aliases = [use.alias or _parts(use.table)[-1] for use in uses]
    for number, alias, other in same_names(aliases):
        rule = f"'{alias}' stands for a table already{_by_case(alias, other)}"
        yield (*paths[number], "alias"), rule, 'give one of them another alias = "…"'
    for above, use in zip(paths, uses, strict=True):
        yield from _rename_faults((*above, "rename"), use.rename)


def _rename_faults(path: Path, rename: Mapping[str, str]) -> Iterator[Rule]:
    for number, name, other in same_names(rename.values()):
        rule = f"two columns get the name '{name}'{_by_case(name, other)}"
        yield (*path, list(rename)[number]), rule, "name another one"


def _by_case(name: str, other: str) -> str:
    return f", as '{other}', which Spark takes for the same name" if name != other else ""


def _delivered_faults(config: Config) -> Iterator[Rule]:
    """Yield which source the list would replace, as `delivery.table` is one."""
    if config.delivery is None or config.delivery.to != "database":
        return
    into = _parts(config.delivery.table)
    for path, relation in relations(config):
        for table in (relation.table, *(join.table for join in relation.joins)):
            read = _parts(table)
            if _may_be_one(into, read, is_folded=config.source.engine == "mysql"):
                fix = "name a table that is there for the lists alone"
                if len(into) != len(read):
                    fix += ", or write the schema of both if they are two"
                yield (
                    ("delivery", "table"),
                    f"{'.'.join(path)} reads it, and the list replaces all of its rows",
                    fix,
                )
                return


def _may_be_one(into: Path, read: Path, *, is_folded: bool) -> bool:
    """Return whether two names may be of one table: one has no schema, or they have the same."""
    if is_folded:  # whether case counts in MySQL is the server's setting
        into, read = (tuple(part.casefold() for part in name) for name in (into, read))
    return into[-1:] == read[-1:] and (into == read or len(into) != len(read))


def _parts(table: str) -> Path:
    """Return schema and table, or table alone, without quotes, as the Spark job reads a name."""
    parts = (
        double.replace('""', '"') or tick.replace("``", "`") or plain
        for double, tick, plain in _PART.findall(table.strip())
    )
    return tuple(parts) or (table,)
