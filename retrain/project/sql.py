"""Spark SQL of the proposed expressions: names, texts and conditions."""

from __future__ import annotations

import re
from collections.abc import Iterable

from retrain.project.database.schema import ColumnFacts

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Words that Spark SQL reads as something else at the place of a name.
_KEYWORDS = re.compile(
    r"anti|cross|except|full|inner|intersect|join|lateral|left|natural|on|right|semi|minus|union"
    r"|using|case|cast|interval|exists|not|null|true|false|select|from|where|and|or|in|is|end"
    r"|current_date|current_timestamp|current_user|current_time|user|date|timestamp",
    re.IGNORECASE,
)


def name(text: str) -> str:
    """Return a name as Spark SQL takes it, in backticks where it must be."""
    is_plain = _PLAIN.fullmatch(text) and not _KEYWORDS.fullmatch(text)
    return text if is_plain else "`" + text.replace("`", "``") + "`"


def column(alias: str, column_name: str) -> str:
    """Return `alias.column`."""
    return f"{name(alias)}.{name(column_name)}"


def literal(text: str) -> str:
    """Return a text as a literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def one_of(expression: str, values: Iterable[str], *, is_negated: bool = False) -> str:
    """Return the condition that an expression is (not) one of the values."""
    texts = [literal(value) for value in values]
    if len(texts) == 1:
        return f"{expression} {'<>' if is_negated else '='} {texts[0]}"
    return f"{expression} {'NOT IN' if is_negated else 'IN'} ({', '.join(texts)})"


def is_true(alias: str, flag: ColumnFacts) -> str:
    """Return the condition that a flag is set; MySQL's is a number."""
    expression = column(alias, flag.name)
    return f"{expression} <> 0" if _is_number(flag) else expression


def is_false(alias: str, flag: ColumnFacts) -> str:
    """Return the condition that a flag is not set; null is not."""
    expression = column(alias, flag.name)
    if _is_number(flag):
        return f"coalesce({expression}, 0) = 0" if flag.nullable else f"{expression} = 0"
    return f"NOT coalesce({expression}, false)" if flag.nullable else f"NOT {expression}"


def _is_number(flag: ColumnFacts) -> bool:
    return flag.type.lower().startswith("tinyint")
