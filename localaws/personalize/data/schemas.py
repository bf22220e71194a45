"""Avro schemas of datasets, and every fault of one with its line, column, field and fix.

Rules: https://docs.aws.amazon.com/personalize/latest/dg/how-it-works-dataset-schema.html
AWS takes more than the guide shows: published schemas that it accepted have another version or
none, and names in other case.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from localaws.errors import suggestion
from localaws.personalize.data.dataset_types import DOMAINS, DatasetType
from localaws.personalize.data.json_positions import Positions

_NAMESPACE = "com.amazonaws.personalize.schema"
_TYPES = ("float", "double", "int", "long", "string", "boolean")
MOST_EVENT_TYPES_AND_FIELDS = 10
"""https://docs.aws.amazon.com/personalize/latest/dg/limits.html"""
_FLAGS = ("categorical", "textual", "itemName")
_FIELD_KEYS = ("name", "type", *_FLAGS, "doc", "default")


@dataclass(frozen=True)
class Field:
    """One column of a dataset.

    A field with a fixed meaning has the guide's name, in whatever case the schema writes it.
    """

    name: str
    type: str
    nullable: bool = False
    categorical: bool = False
    textual: bool = False
    item_name: bool = False


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
        domain: `ECOMMERCE` or `VIDEO_ON_DEMAND` for a schema of domain dataset groups.

    Raises:
        SchemaError: If it breaks a rule, with all faults at once.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        position = f"line {error.lineno}, column {error.colno}"
        raise SchemaError([f"{position}: not JSON: {error.msg}"]) from error
    except RecursionError:
        raise SchemaError(["line 1, column 1: nested too deeply; a schema is flat"]) from None
    positions = Positions(text)
    if not isinstance(document, dict):
        raise SchemaError([f"{positions.of()}: a schema is a JSON object of type record"])
    types = {dataset_type.name: dataset_type for dataset_type in DOMAINS[domain].values()}
    given = str(document.get("name")).lower()
    dataset = next((each for name, each in types.items() if name.lower() == given), None)
    faults = [
        f"{positions.of(*path)}: {path[-1]!r} stands there twice" for path in positions.repeated
    ]
    expected = {"type": ("record",), "name": tuple(types), "namespace": (_NAMESPACE,)}
    for key, legal in expected.items():
        if document.get(key) not in legal and not (key == "name" and dataset):
            problem = f"is {document[key]!r}" if key in document else "is missing"
            fix = f"write {' or '.join(map(repr, legal))}"
            faults.append(f"{positions.of(key)}: {key} {problem}; {fix}")
    version = document.get("version", "1.0")
    if isinstance(version, bool) or not isinstance(version, str | int | float):
        faults.append(f"{positions.of('version')}: version is {version!r}; write '1.0'")
    entries = document.get("fields")
    if not isinstance(entries, list) or not entries:
        fault = f"{positions.of('fields')}: fields must be a list with at least one field"
        raise SchemaError([*faults, fault])
    fields: dict[int, Field] = {}
    for index, entry in enumerate(entries):
        name = entry.get("name", index + 1) if isinstance(entry, dict) else index + 1
        field, field_faults = _field(entry, dataset)
        position = positions.of("fields", index)
        faults += [f"{position}, field {name!r}: {fault}" for fault in field_faults]
        if field:
            fields[index] = field
    if dataset:
        faults += [
            f"{positions.of('fields', *path)}: {fault}"
            for path, fault in _record_faults(fields, dataset)
        ]
    if faults or dataset is None:
        raise SchemaError(faults)
    return Schema(dataset, tuple(fields.values()))


def data_faults(schema: Schema, event_types: Collection[str]) -> Iterator[str]:
    """Yield why a dataset of this schema, with events of these types, cannot be trained on.

    The guide names these requirements of the data; when AWS checks them is not documented.
    https://docs.aws.amazon.com/personalize/latest/dg/items-datasets.html#item-data-requirements
    https://docs.aws.amazon.com/personalize/latest/dg/interactions-dataset-requirements.html
    """
    dataset = schema.dataset
    if dataset.type in {"USERS", "ITEMS"} and not any(
        field.categorical or field.type not in {"string", "boolean"} for field in schema.fields
    ):
        yield (
            f"{dataset.name} needs at least one categorical or numerical field besides"
            f" {dataset.key}; texts, plain strings and booleans are none"
        )
    if dataset.type == "INTERACTIONS":
        fixed = {*dataset.required, *dataset.reserved} - {"EVENT_TYPE", "EVENT_VALUE"}
        fields = [field.name for field in schema.fields if field.name not in fixed]
        if len(event_types) + len(fields) > MOST_EVENT_TYPES_AND_FIELDS:
            yield (
                f"{len(event_types)} event types and {len(fields)} fields ({', '.join(fields)});"
                f" Interactions has at most {MOST_EVENT_TYPES_AND_FIELDS} of both together"
            )


def replacement_faults(before: Schema, after: Schema) -> Iterator[str]:
    """Yield why a dataset with data of `before` cannot take `after`: it may only gain null fields.

    https://docs.aws.amazon.com/personalize/latest/dg/updating-dataset-schema.html
    """
    if before.dataset != after.dataset:
        yield f"it describes {after.dataset.name}, not {before.dataset.name}"
        return
    for name, field in before.by_name.items():
        if name not in after.by_name:
            yield f"field {name} is missing; a field can only be added"
        elif after.by_name[name] != field:
            yield f"field {name} is another one than before; declare it as it was"
    for name, field in after.by_name.items():
        if name not in before.by_name and not field.nullable:
            yield f"field {name} is new and never null; make its type a union with null"


def _field(entry: Any, dataset: DatasetType | None) -> tuple[Field | None, list[str]]:
    """Return the field that a JSON value describes, None if it describes none, and its faults."""
    if not isinstance(entry, dict):
        return None, ["a field is an object with name and type"]
    faults = []
    for key in entry:
        if key not in _FIELD_KEYS:
            hint = suggestion(key, _FIELD_KEYS, f"known are {', '.join(_FIELD_KEYS)}", show=repr)
            faults.append(f"unknown attribute {key!r}; {hint}")
    for flag in _FLAGS:
        if not isinstance(entry.get(flag, False), bool):
            faults.append(f"{flag} must be true or false, not {entry[flag]!r}")
    name = entry.get("name")
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        return None, [*faults, "name must be letters, digits and _, not starting with a digit"]
    fixed = {**dataset.required, **dataset.reserved} if dataset else {}
    name = name.upper() if name.upper() in fixed else name
    declared = entry.get("type")
    union = declared if isinstance(declared, list) else [declared]
    types = [type_ for type_ in union if type_ != "null"]
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
        item_name=entry.get("itemName") is True,
    )
    return field, [*faults, *_field_faults(field, dataset)]


def _field_faults(field: Field, dataset: DatasetType | None) -> Iterator[str]:
    if (field.categorical or field.textual) and field.type != "string":
        yield f"only a string can be categorical or textual, not {field.type}"
    if field.categorical and field.textual:
        yield "categorical and textual exclude each other; keep one"
    if dataset is None:
        return
    if field.textual and dataset.type != "ITEMS":
        yield f"{dataset.name} cannot have a textual field; only Items can"
    if field.item_name and (dataset.type != "ITEMS" or field.type != "string"):
        yield "itemName marks the name of an item: a string of Items"
    required = dataset.required.get(field.name)
    if required and (field.type != required or field.nullable):
        yield f'must be of type {required} without null; write "type": "{required}"'
    legal = dataset.reserved.get(field.name)
    if legal and not required and field.type not in legal:
        yield f"is reserved and must be of type {' or '.join(legal)}, or a pair of it and null"
    for flag, names in (("categorical", dataset.categorical), ("textual", dataset.textual)):
        if field.name in names and not getattr(field, flag):
            yield f'must be {flag} in this domain; add "{flag}": true'
    if field.categorical and (field.name == "EVENT_TYPE" or required):
        yield 'must not be categorical; remove "categorical"'


def _record_faults(
    fields: Mapping[int, Field], dataset: DatasetType
) -> Iterator[tuple[tuple[int, ...], str]]:
    """Yield the faults of all fields together, by their index, against the rules of their dataset.

    Each fault comes with the index of the field at fault, or none.
    """
    names = {field.name for field in fields.values()}
    demanded = {name: dataset.reserved[name][0] for name in dataset.demanded}
    for name, type_ in {**dataset.required, **demanded}.items():
        if name not in names:
            flag = ', "categorical": true' if name in dataset.categorical else ""
            yield (), f'{name} is missing; add {{"name": "{name}", "type": "{type_}"{flag}}}'
    similar: dict[str, str] = {}
    for index, field in fields.items():
        key = re.sub(r"[^A-Za-z0-9]", "", field.name)
        if key in similar:
            yield (index,), f"{similar[key]} and {field.name} are the same without _; rename one"
        similar.setdefault(key, field.name)
    optional = {n: field for n, field in fields.items() if field.name not in dataset.required}
    if dataset.key and not dataset.demanded and not optional:
        yield (), f"{dataset.name} needs a metadata field besides {dataset.key}"
    metadata = [n for n, field in optional.items() if field.name not in dataset.reserved]
    most = dataset.most_metadata
    if len(metadata) > most:
        fault = f"{len(metadata)} metadata fields; {dataset.name} has at most {most}"
        yield (metadata[most],), fault
    for flag, word in (("textual", "textual"), ("item_name", "itemName")):
        flagged = [index for index, field in fields.items() if getattr(field, flag)]
        if len(flagged) > 1:
            listed = ", ".join(fields[index].name for index in flagged)
            yield (flagged[1],), f"{listed} are {word}; only one field can be"
