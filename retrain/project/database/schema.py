"""A database as a plain description: tables, columns, keys, references, and some values.

Nothing here knows how it is read. The values are those of a few hundred rows, as texts.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from etl.database import TableName
from etl.datasets import Engine
from retrain.project.words import words

_VIEWS = ("v", "vw", "view", "mv")

Kind = Literal[
    "integer", "decimal", "float", "boolean", "text", "enum", "uuid", "date", "time", "json",
    "array", "binary", "other",
]  # fmt: skip
"""What a type is: `time` is a point in time, `other` what stands for nothing of these."""


@dataclass(frozen=True)
class ColumnFacts:
    """A column.

    Attributes:
        name: Its name.
        type: Its type as the database writes it, for example `numeric(10,2)`.
        kind: What that is.
        nullable: Whether it may be null.
        values: Its values in the sampled rows as texts, None for null; of bytes the hex digits.
        labels: The labels of an enum.
    """

    name: str
    type: str
    kind: Kind
    nullable: bool = True
    values: tuple[str | None, ...] = ()
    labels: tuple[str, ...] = ()

    @cached_property
    def present(self) -> tuple[str, ...]:
        """The values that are neither null nor empty."""
        return tuple(value for value in self.values if value)

    @cached_property
    def counts(self) -> Counter[str]:
        """Value → how often it occurs."""
        return Counter(self.present)

    @property
    def nulls(self) -> float:
        """The share of nulls and empty texts, 0..1; 0 if nothing was sampled."""
        return 1 - len(self.present) / len(self.values) if self.values else 0.0

    @property
    def mean_length(self) -> float:
        """The mean length of the values, in characters."""
        return sum(map(len, self.present)) / len(self.present) if self.present else 0.0

    @cached_property
    def documents(self) -> tuple[Mapping[str, Any], ...]:
        """The values that are JSON objects; none unless nearly all are."""
        found = []
        for value in self.present:
            try:
                document = json.loads(value) if value.startswith("{") else None
            except ValueError:  # longer than what is sampled of a value
                continue
            if isinstance(document, dict):
                found.append(document)
        return tuple(found) if len(found) >= 0.8 * len(self.present) else ()

    def share_of(self, pattern: re.Pattern[str]) -> float:
        """Return the share of values that a pattern matches as a whole."""
        matching = sum(1 for value in self.present if pattern.fullmatch(value))
        return matching / len(self.present) if self.present else 0.0


@dataclass(frozen=True)
class Reference:
    """A column that holds the keys of another table.

    Attributes:
        column: The column.
        target: The other table's name; empty if the database has none that fits.
        key: The other table's column.
        declared: Whether the database declares it as a foreign key.
    """

    column: str
    target: str
    key: str
    declared: bool = True


@dataclass(frozen=True)
class TableFacts:
    """A table or a view.

    Attributes:
        name: Its name as the configuration writes it, `table` or `schema.table`.
        columns: Its columns, in their order.
        key: The columns of its primary key; where none is declared, the one that is like one.
        unique: The columns that are unique by themselves.
        references: The columns that hold other tables' keys.
        rows: How many rows it has; beyond a limit the database's estimate.
        is_view: Whether it is a view.
    """

    name: str
    columns: tuple[ColumnFacts, ...]
    key: tuple[str, ...] = ()
    unique: frozenset[str] = frozenset()
    references: tuple[Reference, ...] = ()
    rows: int = 0
    is_view: bool = False

    @cached_property
    def name_words(self) -> list[str]:
        """The words of its own name, of a view without those that say so."""
        own = words(self.own_name)
        return [word for word in own if not (self.is_view and word in _VIEWS)] or own

    @property
    def own_name(self) -> str:
        """The name without its schema."""
        return TableName.parse(self.name).alias

    @cached_property
    def by_name(self) -> Mapping[str, ColumnFacts]:
        """Name → column."""
        return {column.name: column for column in self.columns}

    @property
    def single_key(self) -> str:
        """The column that is the primary key by itself; empty if there is none."""
        return self.key[0] if len(self.key) == 1 else ""

    def reference(self, column: str) -> Reference | None:
        """Return the reference of a column."""
        return next((each for each in self.references if each.column == column), None)


@dataclass(frozen=True)
class Schema:
    """A database.

    Attributes:
        engine: Its engine.
        database: Its name.
        tables: Its tables, without those of the system and those that the user may not read.
        active_users: Table that could be the events → share of its users that have any, 0..1.
    """

    engine: Engine
    database: str
    tables: tuple[TableFacts, ...]
    active_users: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def by_name(self) -> Mapping[str, TableFacts]:
        """Name → table."""
        return {table.name: table for table in self.tables}

    def referring(self, target: str) -> Iterator[tuple[TableFacts, Reference]]:
        """Yield the references to a table, each with the table that has it."""
        for table in self.tables:
            for reference in table.references:
                if reference.target == target:
                    yield table, reference
