"""Avro schemas of datasets: read, and every fault named with its line, column, field and fix.

Rules: https://docs.aws.amazon.com/personalize/latest/dg/how-it-works-dataset-schema.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from localaws.errors import suggestion
from localaws.personalize.data.dataset_types import DATASET_TYPES, DatasetType, dataset_types
from localaws.personalize.data.json_positions import Places

__all__ = [
    "DATASET_TYPES",
    "DatasetType",
    "Field",
    "Schema",
    "SchemaError",
    "parse_schema",
    "replacement_faults",
]

_NAMESPACE = "com.amazonaws.personalize.schema"
_TYPES = ("float", "double", "int", "long", "string", "boolean")
_FIELD_KEYS = ("name", "type", "categorical", "textual", "doc", "default")


@dataclass(frozen=True)
class Field:
    """One column of a dataset."""

    name: str
    type: str
    nullable: bool = False
    categorical: bool = False
    textual: bool = False


@dataclass(frozen=True)
class Schema:
    """The columns of one dataset, in the schema's order."""

    dataset: DatasetType
    fields: tuple[Field, ...]

    @property
    def by_name(self) -> Mapping[str, Field]:
        """The fields by name."""
        return {field.name: field for field in self.fields}


class SchemaError(ValueError):
    """The schema breaks Personalize's rules; the text has one line per fault."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("invalid schema: " + "\n".join(faults))


@lru_cache(512)
def parse_schema(text: str, domain: str | None = None) -> Schema:
    """Read an Avro schema.

    Args:
        text: The schema, JSON.
        domain: ``ECOMMERCE`` or ``VIDEO_ON_DEMAND`` for a schema of domain dataset groups.

    Raises:
        SchemaError: If it breaks a rule, with all faults at once.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise SchemaError([f"{place}: not JSON: {error.msg}"]) from error
    except RecursionError:
        raise SchemaError(["line 1, column 1: nested too deeply; a schema is flat"]) from None
    places = Places(text)
    if not isinstance(document, dict):
        raise SchemaError([f"{places.of()}: a schema is a JSON object of type record"])
    types = {kind.name: kind for kind in dataset_types(domain).values()}
    dataset = types.get(str(document.get("name")))
    faults = [f"{places.of(*path)}: {path[-1]!r} stands there twice" for path in places.twice]
    faults += _head_faults(document, tuple(types), places)
    entries = document.get("fields")
    if not isinstance(entries, list) or not entries:
        where = places.of("fields")
        raise SchemaError([*faults, f"{where}: fields must be a list with at least one field"])
    fields: dict[int, Field] = {}
    for position, entry in enumerate(entries):
        name = entry.get("name", position + 1) if isinstance(entry, dict) else position + 1
        field, own = _field(entry, dataset)
        faults += [f"{places.of('fields', position)}, field {name!r}: {fault}" for fault in own]
        if field:
            fields[position] = field
    if dataset:
        faults += [
            f"{places.of('fields') if place is None else places.of('fields', place)}: {fault}"
            for place, fault in _record_faults(fields, dataset)
        ]
    if faults or dataset is None:
        raise SchemaError(faults)
    return Schema(dataset, tuple(fields.values()))


def replacement_faults(before: Schema, after: Schema) -> Iterator[str]:
    """Yield why a dataset with data of `before` cannot take `after`: it may only gain null fields.

    https://docs.aws.amazon.com/personalize/latest/dg/updating-dataset-schema.html
    """
    if before.dataset != after.dataset:
        yield f"it describes {after.dataset.name}, not {before.dataset.name}"
        return
    known, there = before.by_name, after.by_name
    for name, field in known.items():
        if name not in there:
            yield f"field {name} is missing; a field can only be added"
        elif there[name] != field:
            yield f"field {name} is another one than before; declare it as it was"
    for name, field in there.items():
        if name not in known and not field.nullable:
            yield f"field {name} is new and never null; make its type a union with null"


def _head_faults(
    document: Mapping[str, Any], names: tuple[str, ...], places: Places
) -> Iterator[str]:
    expected = {"type": ("record",), "name": names, "namespace": (_NAMESPACE,), "version": ("1.0",)}
    for key, legal in expected.items():
        if document.get(key) not in legal:
            said = f"is {document[key]!r}" if key in document else "is missing"
            yield f"{places.of(key)}: {key} {said}; write {' or '.join(map(repr, legal))}"


def _field(entry: Any, dataset: DatasetType | None) -> tuple[Field | None, list[str]]:
    """The field that a JSON value describes, as far as it does, and its faults."""
    if not isinstance(entry, dict):
        return None, ["a field is an object with name and type"]
    faults = []
    for key in entry:
        if key not in _FIELD_KEYS:
            hint = suggestion(key, _FIELD_KEYS, f"known are {', '.join(_FIELD_KEYS)}", show=repr)
            faults.append(f"unknown attribute {key!r}; {hint}")
    for flag in ("categorical", "textual"):
        if not isinstance(entry.get(flag, False), bool):
            faults.append(f"{flag} must be true or false, not {entry[flag]!r}")
    name = entry.get("name")
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        return None, [*faults, "name must be letters, digits and _, not starting with a digit"]
    declared = entry.get("type")
    union = declared if isinstance(declared, list) else [declared]
    types = [one for one in union if one != "null"]
    if len(types) != 1 or types[0] not in _TYPES or len(union) > 2:
        legal = f"one of {', '.join(_TYPES)}, or a pair of it and null"
        values = "; join several values of one field by | in a string"
        return None, [*faults, f"type {declared!r} is not supported; use {legal}{values}"]
    field = Field(
        name,
        types[0],
        nullable="null" in union,
        categorical=entry.get("categorical") is True,
        textual=entry.get("textual") is True,
    )
    return field, [*faults, *_field_faults(field, dataset)]


def _field_faults(field: Field, dataset: DatasetType | None) -> Iterator[str]:
    """Where a field breaks the rules of its dataset."""
    if (field.categorical or field.textual) and field.type != "string":
        yield f"only a string can be categorical or textual, not {field.type}"
    if field.categorical and field.textual:
        yield "categorical and textual exclude each other; keep one"
    if dataset is None:
        return
    if field.textual and not dataset.textual:
        yield f"{dataset.name} cannot have a textual field; only Items can"
    wanted = dataset.required.get(field.name)
    if wanted and (field.type != wanted or field.nullable):
        yield f'must be of type {wanted} without null; write "type": "{wanted}"'
    legal = dataset.reserved.get(field.name)
    if legal and not wanted and (field.type, field.nullable) not in legal:
        types = " or ".join(sorted({kind for kind, _ in legal}))
        yield f"is reserved and must be of type {types}, or a pair of it and null"
    for flag, named in (("categorical", dataset.categorical), ("textual", dataset.free_text)):
        if field.name in named and not getattr(field, flag):
            yield f'must be {flag} in this domain; add "{flag}": true'
    if field.categorical and (field.name == "EVENT_TYPE" or wanted):
        yield 'must not be categorical; remove "categorical"'


def _record_faults(
    by_position: Mapping[int, Field], dataset: DatasetType
) -> Iterator[tuple[int | None, str]]:
    """Where the fields together break the rules of their dataset; and which of them, if one."""
    names = {field.name for field in by_position.values()}
    for name, kind in dataset.required.items():
        if name not in names:
            yield None, f'{name} is missing; add {{"name": "{name}", "type": "{kind}"}}'
    for name in dataset.demanded:
        if name not in names:
            (kind, _), *_ = sorted(dataset.reserved[name])
            flag = ', "categorical": true' if name in dataset.categorical else ""
            yield None, f'{name} is missing; add {{"name": "{name}", "type": "{kind}"{flag}}}'
    reduced: dict[str, str] = {}
    for position, field in by_position.items():
        key = re.sub(r"[^A-Za-z0-9]", "", field.name)
        if key in reduced:
            yield position, f"{reduced[key]} and {field.name} are the same without _; rename one"
        reduced.setdefault(key, field.name)
    further = {n: f for n, f in by_position.items() if f.name not in dataset.required}
    metadata = [n for n, field in further.items() if field.name not in dataset.reserved]
    if dataset.needs_metadata and not further:
        yield None, f"{dataset.name} needs a metadata field besides {dataset.key}"
    most = dataset.most_metadata
    if len(metadata) > most:
        yield (
            metadata[most],
            f"{len(metadata)} metadata fields; {dataset.name} has at most {most}",
        )
    textual = [(n, field.name) for n, field in by_position.items() if field.textual]
    if len(textual) > 1:
        listed = ", ".join(name for _, name in textual)
        yield textual[1][0], f"{listed} are textual; only one field can be"
