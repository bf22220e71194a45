"""What is wrong with a filter expression of Personalize, before anything is deployed.

The grammar itself is Personalize's; here is checked what a configuration can tell: the beginning,
placeholders, and whether the columns are those of the data sets.
https://docs.aws.amazon.com/personalize/latest/dg/filter-expressions.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from etl.datasets import DataSet, DatasetType
from workflow.spelling import suggestion

DataSets = Mapping[DatasetType, DataSet]

_BEGINNING = re.compile(r"\s*(INCLUDE|EXCLUDE)\s+ItemID\s+WHERE\b", re.IGNORECASE)
_TABLES: Mapping[str, tuple[str, DatasetType]] = {
    "items": ("Items", "ITEMS"),
    "currentitem": ("CurrentItem", "ITEMS"),
    "interactions": ("Interactions", "INTERACTIONS"),
    "currentuser": ("CurrentUser", "USERS"),
}


def filter_problems(expression: str, data_sets: DataSets) -> Iterator[tuple[str, str]]:
    """Yield rule and fix of what Personalize would refuse.

    Args:
        expression: The filter expression.
        data_sets: Type → data set, of those that are imported.
    """
    if expression.count('"') % 2:
        yield "a text in it has no second double quote", "close it"
        return
    code = re.sub(r'"[^"]*"', '""', expression)
    if not _BEGINNING.match(code):
        yield (
            "a filter of items begins with INCLUDE ItemID WHERE or with EXCLUDE ItemID WHERE",
            'write, for example, EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("apply")',
        )
        return
    for placeholder in dict.fromkeys(re.findall(r"\$\w+", code)):
        yield f"the workflow has no value for {placeholder}", "write the value itself, in quotes"
    columns = re.findall(r"\b([A-Za-z_]\w*)\.([A-Za-z_]\w*)", code)
    for table, name in {
        f"{table}.{name}".lower(): (table, name) for table, name in columns
    }.values():
        yield from _column_problems(table, name, data_sets)


def _column_problems(table: str, name: str, data_sets: DataSets) -> Iterator[tuple[str, str]]:
    if table.lower() not in _TABLES:
        names = [word for word, _ in _TABLES.values()]
        fix = suggestion(table, names, otherwise=f"write one of {', '.join(names)}")
        yield f"Personalize filters by nothing that is called {table}", fix
        return
    _, dataset_type = _TABLES[table.lower()]
    data_set = data_sets.get(dataset_type)
    if data_set is None:
        rule = f"{table}.{name} is of the data set {dataset_type}, which is not imported"
        yield rule, f"describe it in [datasets.{dataset_type.lower()}], or leave the condition out"
        return
    columns = {column.name.lower(): column for column in data_set.columns}
    column = columns.get(name.lower())
    if column is None:
        known = f"its columns are {', '.join(data_set.header)}"
        fix = suggestion(name, data_set.header, otherwise=known)
        yield f"{dataset_type} has no column {name}", fix
    elif column.textual:
        yield f"{name} is textual, and Personalize filters by no such column", "name another one"
