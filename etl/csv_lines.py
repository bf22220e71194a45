"""A data set's rows → CSV as the developer guide of Personalize describes it.

An unquoted header, one record on one line, texts in double quotes, quotes and backslashes escaped
by a backslash, null empty.
https://docs.aws.amazon.com/personalize/latest/dg/preparing-training-data.html
https://docs.aws.amazon.com/personalize/latest/dg/items-datasets.html#text-data

Spark's own quoting is not the guide's: it leaves a backslash alone where no quote stands beside it.
So a row becomes one text column whose name is the header line, and Spark writes that as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812  the name that every Spark reader knows
from pyspark.sql import types as T  # noqa: N812

# None of the three characters occurs: of control characters `validate_rows` leaves the tab alone.
WRITER_OPTIONS: Mapping[str, Any] = {
    "header": True,
    "sep": "\x01",
    "quote": "\x02",
    "comment": "\x03",  # else a line that begins with # is quoted
    "escapeQuotes": False,
    "ignoreLeadingWhiteSpace": False,
    "ignoreTrailingWhiteSpace": False,
    "encoding": "UTF-8",
    "lineSep": "\n",
}

PLAIN: Mapping[str, Any] = {"plain": True}
"""The metadata of a text column that holds numbers or times alone: nothing in it is quoted."""

# What is not plain: separators, quotes and backslashes, blanks that a reader may take away.
_QUOTED = r'[",\\]|^\s|\s$'
# Only a text with one of these can be quoted; a class is found in a third of the time.
_PERHAPS_QUOTED = r'[",\\\s]'


def csv_lines(frame: DataFrame, texts: Collection[str] = ()) -> DataFrame:
    """Return a frame of one text column: its name is the header, its values are the records.

    Args:
        frame: Columns whose texts hold no line breaks.
        texts: The columns that are always quoted.
    """
    return frame.select(csv_line(frame.schema.fields, texts).alias(",".join(frame.columns)))


def csv_line(fields: Iterable[T.StructField], texts: Collection[str] = ()) -> Expression:
    """Return the record of some columns, one text.

    Args:
        fields: The columns, whose texts hold no line breaks.
        texts: Those that are always quoted.
    """
    values = (
        F.coalesce(_field(F.col(f"`{field.name}`"), field, field.name in texts), F.lit(""))
        for field in fields
    )
    return F.concat_ws(",", *values)


def _field(value: Expression, field: T.StructField, is_text: bool) -> Expression:
    if not isinstance(field.dataType, T.StringType):
        return value.cast("string")
    if field.metadata == PLAIN and not is_text:
        return value
    escaped = F.regexp_replace(value, r'(["\\])', r"\\$1")
    quoted = F.concat(F.lit('"'), escaped, F.lit('"'))
    is_quoted = value.rlike(_PERHAPS_QUOTED) & value.rlike(_QUOTED)
    return quoted if is_text else F.when(is_quoted, quoted).otherwise(value)
