"""The configuration reference: the JSON schema of the pydantic models as a page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from docs.reference.markdown import anchor, code, prose, table, toml

Schema = Mapping[str, Any]

_HEADER = ("key", "meaning", "type", "default")
_TYPES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "`true` or `false`",
}
_TITLES = {
    "JoinSettings": "A join",
    "ColumnSettings": "A column",
    "PermissionSettings": "A permission",
}
# What stands for such a table as a bare text.
_AS_TEXT = {
    "A column": "its source alone",
    "A permission": "an action, on all resources",
}
_INTRODUCTION = """\
# Configuration

<!-- Written by `python -m docs.reference` from workflow/settings.py, options/ and config.py. -->

One file in [TOML](https://toml.io) describes everything; the example, `retraining.toml`, is
[at the end of this page](#the-example). `retrain check` reads it, reports the mistakes of all
its tables at once, then where they do not fit each other, and calls nothing.

Unknown keys are mistakes. No key holds a password: the database's URL comes from `--database-url`
or `DATABASE_URL` in local runs, and from the Glue connection on AWS. Sources and filters are
[Spark SQL](https://spark.apache.org/docs/latest/sql-ref.html), in which a column is written
`alias.column`.

"""


@dataclass
class Section:
    """A section of the page: the tables with the same keys.

    Attributes:
        title: Its heading.
        schema: The schema of the keys.
        tables: TOML name of each table → its description.
    """

    title: str
    schema: Schema
    tables: dict[str, str]


def configuration_page(schema: Schema, example: str) -> str:
    """Return the configuration reference.

    Args:
        schema: `Config.model_json_schema()`.
        example: The text of a whole configuration.
    """
    sections = _sections(schema)
    titles = {json.dumps(s.schema["properties"], sort_keys=True): s.title for s in sections}
    text = _INTRODUCTION
    for section in sections:
        text += f"## {section.title}\n\n"
        if len(section.tables) > 1:
            text += "".join(
                f"- {', '.join(map(code, names))}{f': {prose(meaning)}' if meaning else ''}\n"
                for names, meaning in _alike(section.tables)
            )
        else:
            text += "".join(f"{prose(meaning)}\n" for meaning in section.tables.values() if meaning)
        rows = [_row(name, key, section.schema, schema, titles) for name, key in _keys(section)]
        text += f"\n{table(_HEADER, rows)}\n"
    return f"{text}## The example\n\n```toml\n{example.rstrip()}\n```\n"


def _alike(tables: Mapping[str, str]) -> Iterator[tuple[list[str], str]]:
    """Yield tables with their description; those of the same one together, others alone."""
    for meaning, of_meaning in groupby(tables.items(), key=itemgetter(1)):
        names = [name for name, _ in of_meaning]
        yield from [(names, meaning)] if meaning else [([name], "") for name in names]


def _keys(section: Section) -> Iterator[tuple[str, Schema]]:
    """Yield the keys, the required ones first."""
    required = section.schema.get("required", ())
    keys: Mapping[str, Schema] = section.schema["properties"]
    yield from sorted(keys.items(), key=lambda item: item[0] not in required)


def _sections(schema: Schema) -> list[Section]:
    """Return the sections in the order of their first tables; equal keys make one section."""
    sections: dict[str, Section] = {}

    def visit(node: Schema, path: str, meaning: str, title: str) -> None:
        properties = json.dumps(node["properties"], sort_keys=True)
        if path.endswith(".NAME") or not _holds_tables_alone(node, schema):
            section = sections.setdefault(properties, Section(title, node, {}))
            section.tables.setdefault(path, meaning)
            if section.title != title and section.title.startswith("datasets"):
                section.title = "Data sets"
        for name, key in node["properties"].items():
            inner, repeated = _inner(key, schema)
            if inner is None:
                continue
            below = f"{path}.{name}".removeprefix(".")
            title = _TITLES.get(inner["title"], "")
            if repeated == "*" and not title:  # each table has a name and a heading of its own
                below, repeated = f"{below}.NAME", ""
            # A table of tables, or a list of them, as TOML writes it.
            path_of = {"": below, "*": f"[{below}]", "[]": f"{below} = [{{ … }}]"}
            description = "" if repeated else inner.get("description", "")
            visit(inner, path_of[repeated], description, title or below)

    visit(schema, "", "", "Top level")
    for section in sections.values():
        section.tables = {
            path if path.startswith("[") or "=" in path else f"[{path}]": meaning
            for path, meaning in section.tables.items()
        }
        if section.tables.keys() == {"[]"}:
            section.tables = {"": "Keys before the first table, and the tables there are."}
    return list(sections.values())


def _holds_tables_alone(node: Schema, schema: Schema) -> bool:
    """Return whether a table holds nothing but tables, each with a section of its own."""
    return "name" not in node["properties"] and all(
        _inner(key, schema)[0] is not None for key in node["properties"].values()
    )


def _inner(key: Schema, schema: Schema) -> tuple[Schema | None, str]:
    """Return the schema of the table that a key holds, and `*` or `[]` if it holds several."""
    for candidate in (key, *key.get("anyOf", ()), *key.get("allOf", ())):
        if "$ref" in candidate:
            return schema["$defs"][candidate["$ref"].rpartition("/")[2]], ""
        for member, mark in (("items", "[]"), ("additionalProperties", "*")):
            inside = candidate.get(member)
            if isinstance(inside, Mapping) and "$ref" in inside:
                return schema["$defs"][inside["$ref"].rpartition("/")[2]], mark
    return None, ""


def _row(
    name: str, key: Schema, owner: Schema, schema: Schema, titles: Mapping[str, str]
) -> tuple[str, str, str, str]:
    inner, repeated = _inner(key, schema)
    if inner is not None:
        title = titles.get(json.dumps(inner["properties"], sort_keys=True))
        type_text = {"": "table", "*": "table of tables", "[]": "list of tables"}[repeated]
        if title:
            type_text = f"{type_text}: [{title}](#{anchor(title)})"
        else:
            links = [_link(name, member, titles, inner, schema) for member in inner["properties"]]
            type_text = f"table: {', '.join(links)}"
        if short := _AS_TEXT.get(_TITLES.get(inner["title"], "")):
            type_text += f", or text: {short}"
    else:
        type_text = _type(key)
    description = key.get("description", "")
    meaning = f"{prose(description[0].upper() + description[1:])}." if description else ""
    examples = [code(f"{name} = {toml(value)}") for value in key.get("examples", ())]
    if examples:
        meaning += f" Example: {' or '.join(examples)}"
    return f"`{name}`", meaning.strip(), type_text, _default(name, key, owner, inner)


def _link(name: str, member: str, titles: Mapping[str, str], table: Schema, schema: Schema) -> str:
    inner, _ = _inner(table["properties"][member], schema)
    title = titles[json.dumps(inner["properties"], sort_keys=True)] if inner else member
    return f"[{name}.{member}](#{anchor(title)})"


def _default(name: str, key: Schema, owner: Schema, inner: Schema | None) -> str:
    if name in owner.get("required", ()):
        return "**required**"
    default = key.get("default")
    if inner is not None or default in (None, {}, []):
        return "–"
    return code(toml(default))


def _type(key: Schema) -> str:
    choices = [choice for choice in key.get("anyOf", ()) if choice.get("type") != "null"]
    if choices:
        return " or ".join(dict.fromkeys(map(_type, choices)))
    if "enum" in key:
        return f"one of {', '.join(code(toml(value)) for value in key['enum'])}"
    match key.get("type"):
        case "array":
            most = f", at most {key['maxItems']}" if "maxItems" in key else ""
            return f"list of {_type(key['items'])}{most}"
        case "object":
            names = key.get("propertyNames", {}).get("enum")
            keys = f"; keys {', '.join(map(code, names))}" if names else ""
            return f"table of {_type(key['additionalProperties'])}{keys}"
    return f"{_TYPES[key['type']]}{_bounds(key)}"


def _bounds(key: Schema) -> str:
    if "pattern" in key:
        return f", as {code(key['pattern'])}"
    if "maxLength" in key:
        return f", at most {key['maxLength']:,} characters"
    least = key.get("minimum")
    if "exclusiveMinimum" in key:
        return f", above {key['exclusiveMinimum']:g}"
    if least is None:
        return ""
    return f", {least:,g} to {key['maximum']:,g}" if "maximum" in key else f", {least:,g} or more"
