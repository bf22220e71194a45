"""The configuration reference: the pydantic models, by way of their JSON schema, as a page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
}
_INTRODUCTION = """\
# Configuration

<!-- Written by `python -m docs.reference` from workflow/settings.py and workflow/config.py. -->

One file in [TOML](https://toml.io) describes everything; `retraining.toml` is the example, and
stands [at the end of this page](#the-example). `retrain check` reads it, reports every mistake at
once, and calls nothing.

Unknown keys are mistakes. No key holds a password: the database's URL is told by `--database-url`
or `DATABASE_URL` in local runs, and stands in the Glue connection on AWS. Sources and filters are
[Spark SQL](https://spark.apache.org/docs/latest/sql-ref.html), in which a column is written
`alias.column`.

"""


@dataclass
class Section:
    """One kind of table, wherever it stands.

    Attributes:
        title: its heading.
        schema: of its keys.
        places: the tables that are of this kind, each with what it is for.
    """

    title: str
    schema: Schema
    places: dict[str, str]


def configuration_page(schema: Schema, example: str) -> str:
    """Return the page.

    Args:
        schema: `Config.model_json_schema()`.
        example: the text of a whole configuration.
    """
    sections = _sections(schema)
    found = {json.dumps(s.schema["properties"], sort_keys=True): s.title for s in sections}
    text = _INTRODUCTION
    for section in sections:
        text += f"## {section.title}\n\n"
        if len(section.places) > 1:
            text += "".join(
                f"- {code(place)}{f': {prose(meaning)}' if meaning else ''}\n"
                for place, meaning in section.places.items()
            )
        else:
            text += "".join(f"{prose(meaning)}\n" for meaning in section.places.values() if meaning)
        rows = [_row(name, key, section.schema, schema, found) for name, key in _keys(section)]
        text += f"\n{table(_HEADER, rows)}\n"
    return f"{text}## The example\n\n```toml\n{example.rstrip()}\n```\n"


def _keys(section: Section) -> Iterator[tuple[str, Schema]]:
    """Yield the keys, those that have to be there first."""
    required = section.schema.get("required", ())
    keys: Mapping[str, Schema] = section.schema["properties"]
    yield from sorted(keys.items(), key=lambda item: item[0] not in required)


def _sections(schema: Schema) -> list[Section]:
    sections: dict[str, Section] = {}

    def visit(node: Schema, place: str, meaning: str, title: str) -> None:
        known = json.dumps(node["properties"], sort_keys=True)
        if not _is_mere_folder(node, schema):
            section = sections.setdefault(known, Section(title, node, {}))
            if place not in section.places:
                section.places[place] = meaning
            if section.title != title:
                section.title = _common(section.title, title)
        for name, key in node["properties"].items():
            inner, repeated = _inner(key, schema)
            if inner is None:
                continue
            below = f"{place}.{name}".removeprefix(".")
            # How a table of tables, or a list of them, is written.
            place_of = {"": f"[{below}]", "*": f"[{below}]", "[]": f"{below} = [{{ … }}]"}
            told = inner.get("description", "")
            title_of = _TITLES.get(inner["title"], below)
            visit_place = below if not repeated else place_of[repeated]
            visit(inner, visit_place, "" if repeated else told, title_of)

    visit(schema, "", "", "Top level")
    for section in sections.values():
        section.places = {
            place if place.startswith("[") or "=" in place else f"[{place}]": meaning
            for place, meaning in section.places.items()
        }
        if section.places.keys() == {"[]"}:
            section.places = {"": "Keys before the first table, and the tables there are."}
    return list(sections.values())


def _common(one: str, other: str) -> str:
    """Return one heading for tables of the same kind: what they have in common, or the first."""
    return "Data sets" if one.startswith("datasets") or one == "Data sets" else one or other


def _is_mere_folder(node: Schema, schema: Schema) -> bool:
    """Whether a table holds nothing but tables, of which each has a section of its own."""
    return "name" not in node["properties"] and all(
        _inner(key, schema)[0] is not None for key in node["properties"].values()
    )


def _inner(key: Schema, schema: Schema) -> tuple[Schema | None, str]:
    """Return the schema of the table that a key holds, and how often: once, `*` or `[]`."""
    for candidate in (key, *key.get("anyOf", ()), *key.get("allOf", ())):
        if "$ref" in candidate:
            return schema["$defs"][candidate["$ref"].rpartition("/")[2]], ""
        for member, mark in (("items", "[]"), ("additionalProperties", "*")):
            inside = candidate.get(member)
            if isinstance(inside, Mapping) and "$ref" in inside:
                return schema["$defs"][inside["$ref"].rpartition("/")[2]], mark
    return None, ""


def _row(
    name: str, key: Schema, owner: Schema, schema: Schema, found: Mapping[str, str]
) -> tuple[str, str, str, str]:
    inner, repeated = _inner(key, schema)
    if inner is not None:
        title = found.get(json.dumps(inner["properties"], sort_keys=True))
        kind = {"": "table", "*": "table of tables", "[]": "list of tables"}[repeated]
        if title:
            kind = f"{kind}: [{title}](#{anchor(title)})"
        else:
            parts = [f"[{_title(name, part, found, inner, schema)}" for part in inner["properties"]]
            kind = f"table: {', '.join(parts)}"
        if _TITLES.get(inner["title"]) == "A column":
            kind += ", or text: its source alone"
    else:
        kind = _kind(key)
    told = key.get("description", "")
    meaning = f"{prose(told[0].upper() + told[1:])}." if told else ""
    shown = [code(f"{name} = {toml(one)}") for one in key.get("examples", ())]
    if shown:
        meaning += f" Example: {' or '.join(shown)}"
    return f"`{name}`", meaning.strip(), kind, _default(name, key, owner, inner)


def _title(name: str, part: str, found: Mapping[str, str], folder: Schema, schema: Schema) -> str:
    inner, _ = _inner(folder["properties"][part], schema)
    title = found[json.dumps(inner["properties"], sort_keys=True)] if inner else part
    return f"{name}.{part}](#{anchor(title)})"


def _default(name: str, key: Schema, owner: Schema, inner: Schema | None) -> str:
    if name in owner.get("required", ()):
        return "**required**"
    default = key.get("default")
    if inner is not None or default in (None, {}, []):
        return "–"
    return code(toml(default))


def _kind(key: Schema) -> str:
    choices = [one for one in key.get("anyOf", ()) if one.get("type") != "null"]
    if choices:
        return " or ".join(dict.fromkeys(_kind(one) for one in choices))
    if "enum" in key:
        return f"one of {', '.join(code(toml(one)) for one in key['enum'])}"
    match key.get("type"):
        case "array":
            most = f", at most {key['maxItems']}" if "maxItems" in key else ""
            return f"list of {_kind(key['items'])}{most}"
        case "object":
            names = key.get("propertyNames", {}).get("enum")
            of = f"; keys {', '.join(code(one) for one in names)}" if names else ""
            return f"table of {_kind(key['additionalProperties'])}{of}"
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
