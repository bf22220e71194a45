"""A proposal → the text of its retraining.toml, with a comment for each guess."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping

from etl.datasets import Column, DataSet, Join, Lookup, Relation
from retrain.project.metadata import UNNAMED
from retrain.project.parts import Part, Proposal

_WIDTH = 100
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BACKTICKED = re.compile(r"`([^`\n]+)`")
_TYPED = ("TIMESTAMP", "CREATION_TIMESTAMP", "EVENT_VALUE")


def toml_text(proposal: Proposal, *, account: str, region: str) -> str:
    """Return a configuration's text.

    Args:
        proposal: The configuration.
        account: Number of the AWS account.
        region: Its region.
    """
    return "\n".join(_lines(proposal, account, region)) + "\n"


def _lines(proposal: Proposal, account: str, region: str) -> Iterator[str]:
    yield from _comment(
        "Proposed by `retrain init` from the database: what it guessed stands beside it as a"
        " comment. Sources and filters are Spark SQL; columns are named alias.column, the alias is"
        " the table's name. `retrain preview` shows the rows that it gives. Keys are not listed"
        " among what is left out."
    )
    yield ""
    yield f"name = {_value(proposal.name)}"
    yield "stale_hours = 36  # an alarm if no run has succeeded for so long"
    yield from ("", "[aws]")
    yield f"account = {_value(account)}  # yours, before you deploy; local runs need none"
    yield f"region = {_value(region)}"
    yield from ("", "[source]")
    yield f"engine = {_value(proposal.engine)}"
    yield f"connection = {_value(f'{proposal.name}-db')}" + (
        "  # the Glue connection; local runs take --database-url or DATABASE_URL"
    )
    yield from _heading("Data sets: what Personalize imports")
    for key, part in (("users", proposal.users), ("items", proposal.items)):
        if part is None:
            yield ""
            yield from _comment(
                f"No data set of {key}: the database has no such table, or nothing in it to learn"
                " from."
            )
        else:
            yield from _part(f"datasets.{key}", part)
    yield from _part("datasets.interactions", proposal.interactions)
    yield from _heading("What Personalize trains")
    yield from ("", "[solution]", 'recipe = "aws-user-personalization"')
    yield from _heading("Whom to recommend for, and what is left out")
    yield from _part("batch_inference", proposal.batch_input)
    yield "num_results = 100  # more than are kept: the filters below take some away"
    if proposal.excluded_types:
        types = ", ".join(json.dumps(kind, ensure_ascii=False) for kind in proposal.excluded_types)
        expression = f"EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ({types})"
        yield "# Personalize's own filter, by the data that it imported; [filter] reads newer rows."
        yield f"personalize_filter = {_value(expression)}"
    yield from ("", "[filter]", "keep = 25")
    if proposal.eligible_items:
        yield from _part("filter.eligible_items", proposal.eligible_items)
    if proposal.exclusions:
        yield from _part("filter.exclusions", proposal.exclusions)
    if proposal.items and proposal.items.title:
        title = _value(proposal.items.title)
        yield from ("", "[report]", f"title = {title}  # by which people know the items")
    yield from _heading("Running")
    yield from ("", "[schedule]", 'expression = "cron(0 4 * * ? *)"  # every day at four')
    yield 'timezone = "UTC"'


def _heading(text: str) -> Iterator[str]:
    yield ""
    yield f"# ── {text} {'─' * (_WIDTH - len(text) - 6)}"


def _comment(text: str) -> Iterator[str]:
    plain = re.sub(r"[\x00-\x1f\x7f]+", " ", text)
    for line in textwrap.wrap(plain, _WIDTH - 2, break_on_hyphens=False, break_long_words=False):
        yield f"# {line}"


def _part(key: str, part: Part) -> Iterator[str]:
    yield ""
    for guess in part.guesses:
        yield from _comment(f"Guess: {guess}.")
    yield f"[{key}]"
    yield from _relation(part.what.relation)
    if isinstance(part.what, Lookup):
        for name, source in part.what.columns.items():
            yield f"{name.lower()} = {_value(source)}"
        return
    yield from _columns(key, part.what, part.left_out)


def _relation(relation: Relation) -> Iterator[str]:
    yield f"table = {_value(relation.table)}"
    if relation.partition_column:
        yield f"partition_column = {_value(relation.partition_column)}"
    if relation.filter:
        yield f"filter = {_value(relation.filter)}"
    joins = [_join(join) for join in relation.joins]
    if len(joins) == 1:
        yield f"joins = [{joins[0]}]"
    elif joins:
        yield "joins = ["
        yield from (f"    {join}," for join in joins)
        yield "]"


def _join(join: Join) -> str:
    on = ", ".join(f"{_key(left)} = {_value(right)}" for left, right in join.on.items())
    alias = f"alias = {_value(join.alias)}, " if join.alias else ""
    table = f"table = {_value(join.table)}"
    return f"{{ {table}, {alias}how = {_value(join.how)}, on = {{ {on} }} }}"


def _columns(key: str, data_set: DataSet, left_out: Mapping[str, str]) -> Iterator[str]:
    yield ""
    yield f"[{key}.columns]"
    for column in data_set.columns:
        yield f"{column.name} = {_column(column)}{_origin(column)}"
    if left_out:
        yield "# Left out:"
        width = max(map(len, left_out))
        for name, reason in left_out.items():
            yield f"#   {' '.join(name.split()):<{width}}  {' '.join(reason.split())}"


def _origin(column: Column) -> str:
    """Return a comment with what a nameless column is called in the database."""
    is_unnamed = column.name.rstrip("_0123456789") == UNNAMED and not column.source.isascii()
    named = _BACKTICKED.findall(column.source) if is_unnamed else []
    return f"  # {named[-1]}: give it a name in letters A to Z" if named else ""


def _column(column: Column) -> str:
    flags = []
    if column.type != "string" and column.name not in _TYPED:
        flags.append(f"type = {_value(column.type)}")
    if column.categorical:
        flags.append("categorical = true")
    if column.textual:
        flags.append("textual = true")
    if not flags:
        return _value(column.source)
    return f"{{ source = {_value(column.source)}, {', '.join(flags)} }}"


def _key(text: str) -> str:
    return text if _BARE_KEY.fullmatch(text) else _value(text)


def _value(text: str) -> str:
    """Return a text as a TOML string: with single quotes where it holds double ones."""
    if ('"' in text or "\\" in text) and "'" not in text and text.isprintable():
        return f"'{text}'"
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
