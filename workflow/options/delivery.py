"""`[delivery]`: where the published list goes besides the bucket."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from etl.datasets import Delivery
from workflow.settings import Rule, Settings
from workflow.spelling import suggestion

_PAIRS = ("USER_ID", "ITEM_ID", "RANK", "SCORE")
_RELATED_PAIRS = ("ITEM_ID", "RELATED_ITEM_ID", "RANK", "SCORE")
_RUN = "RUN"
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
_DYNAMODB_NAME = re.compile(r"[a-zA-Z0-9_.-]{3,255}")


class DeliverySettings(Settings):
    """The table that the published list goes into, in place of the list before."""

    to: Literal["database", "dynamodb"] = Field(
        examples=["database"],
        description="database: a table of the source database, by the Spark job; dynamodb: a table"
        " of DynamoDB, by a function",
    )
    table: str = Field(
        min_length=1,
        max_length=255,
        examples=["recommendations"],
        description="of the database: table, or schema.table; it is there already, and the list"
        " replaces all of its rows",
    )
    columns: dict[str, str] = Field(
        {},
        examples=[{"USER_ID": "student_id", "RUN": "run"}],
        description="column of the list = column of the database's table, where it is not the same"
        " in small letters; RUN, the run's name, is written only if it is here",
    )
    expire_days: int | None = Field(
        None,
        ge=2,
        le=3_650,
        description="days after which DynamoDB deletes an item; 30 if left out",
    )

    def table_columns(self, *, are_related: bool) -> dict[str, str]:
        """Return the column of the table for each of the list's, which may be of related items."""
        names = _RELATED_PAIRS if are_related else _PAIRS
        return {**{name: name.lower() for name in names}, **self.columns}

    def delivery(self, *, are_related: bool) -> Delivery | None:
        """Return the table as the Spark job knows it; None if it is DynamoDB's."""
        if self.to != "database":
            return None
        return Delivery(self.table, self.table_columns(are_related=are_related))

    @property
    def days(self) -> int:
        """The days after which DynamoDB deletes an item."""
        return self.expire_days or 30

    def faults(self, *, are_related: bool) -> Iterator[Rule]:
        """Yield columns that the list does not have, or that share one of the table."""
        known = (*(_RELATED_PAIRS if are_related else _PAIRS), _RUN)
        for name in self.columns:
            if name not in known:
                fix = suggestion(name, known, otherwise=f"write one of {', '.join(known)}")
                yield ("columns", name), "the list has no such column", fix
        taken: dict[str, tuple[str, str]] = {}
        for name, to in self.table_columns(are_related=are_related).items():
            if not to:
                yield (
                    ("columns", name),
                    "the name of a column is empty",
                    "write the name of one, or leave it out",
                )
            elif to.casefold() in taken:
                other, column = taken[to.casefold()]
                rule = f"{other} goes into the column '{column}' already"
                if column != to:
                    rule += ", and Spark's columns know no case"
                yield ("columns", name), rule, "name another column"
            taken.setdefault(to.casefold(), (name, to))

    def own_faults(self) -> Iterator[Rule]:
        """Yield what the target has not."""
        if self.to == "database" and self.expire_days is not None:
            rule = "rows of a database do not expire: the next list replaces them"
            yield ("expire_days",), rule, "leave it out"
        if self.to == "dynamodb" and self.columns:
            yield ("columns",), "an item has the list's own names", "leave them out"
        if self.to == "dynamodb" and not _DYNAMODB_NAME.fullmatch(self.table):
            fix = "write 3 to 255 letters, digits and the signs _ . -"
            yield ("table",), "DynamoDB has no table of such a name", fix
