"""Avro schemas of data sets: read, and every fault named with its line, field, rule and fix.

Rules: https://docs.aws.amazon.com/personalize/latest/dg/how-it-works-dataset-schema.html
"""

from __future__ import annotations

import json
import json.decoder
import json.scanner
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

_NAMESPACE = "com.amazonaws.personalize.schema"
_TYPES = ("float", "double", "int", "long", "string", "boolean")
_FIELD_KEYS = ("name", "type", "categorical", "textual", "doc", "default")
_NULLABLE_STRING = {("string", False), ("string", True)}


@dataclass(frozen=True)
class DatasetType:
    """What Personalize demands of one type of data set.

    Args:
        name: The schema's record name, e.g. ``Interactions``.
        required: Type by name of the fields that must be there and never null.
        reserved: Legal (type, nullable) pairs by name of the fields with a fixed meaning.
        most_metadata: How many further fields there may be.
        needs_metadata: Whether one further field is demanded.
        textual: Whether one field of free text is allowed.
    """

    name: str
    required: Mapping[str, str]
    reserved: Mapping[str, set[tuple[str, bool]]]
    most_metadata: int
    needs_metadata: bool = True
    textual: bool = False

    @property
    def key(self) -> str | None:
        """The column that identifies a row; None where rows are events."""
        return None if "TIMESTAMP" in self.required else next(iter(self.required))


DATASET_TYPES: Mapping[str, DatasetType] = {
    kind.name.upper(): kind
    for kind in (
        DatasetType(
            "Interactions",
            {"USER_ID": "string", "ITEM_ID": "string", "TIMESTAMP": "long"},
            {
                "EVENT_TYPE": _NULLABLE_STRING,
                "EVENT_VALUE": {("float", False), ("float", True)},
                "IMPRESSION": _NULLABLE_STRING,
                "RECOMMENDATION_ID": _NULLABLE_STRING,
                "EVENT_ATTRIBUTION_SOURCE": _NULLABLE_STRING,
            },
            most_metadata=5,
            needs_metadata=False,
        ),
        DatasetType("Users", {"USER_ID": "string"}, {}, most_metadata=25),
        DatasetType(
            "Items",
            {"ITEM_ID": "string"},
            {"CREATION_TIMESTAMP": {("long", False), ("long", True)}},
            most_metadata=100,
            textual=True,
        ),
    )
}


@dataclass(frozen=True)
class Field:
    """One column of a data set."""

    name: str
    type: str
    nullable: bool = False
    categorical: bool = False
    textual: bool = False


@dataclass(frozen=True)
class Schema:
    """The columns of one data set, in the schema's order."""

    dataset: DatasetType
    fields: tuple[Field, ...]


class SchemaError(ValueError):
    """The schema breaks Personalize's rules; the text has one line per fault."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("invalid schema: " + "\n".join(faults))


class _Record(dict[str, Any]):
    """A JSON object that knows where it began in the text."""

    start = 0


class _LocatingDecoder(json.JSONDecoder):
    """Decodes objects to `_Record`."""

    def __init__(self) -> None:
        super().__init__()
        self.parse_object = self._located
        # Only the scanner written in Python calls parse_object.
        self.scan_once = json.scanner.py_make_scanner(self)  # type: ignore[attr-defined]

    @staticmethod
    def _located(text_and_end: tuple[str, int], *rest: Any) -> tuple[_Record, int]:
        value, end = json.decoder.JSONObject(text_and_end, *rest)  # type: ignore[attr-defined]
        record = _Record(value)
        record.start = text_and_end[1] - 1
        return record, end


def parse_schema(text: str) -> Schema:
    """Read an Avro schema.

    Args:
        text: The schema, JSON.

    Raises:
        SchemaError: If it breaks a rule, with all faults at once.
    """
    try:
        document = _LocatingDecoder().decode(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise SchemaError([f"{place}: not JSON: {error.msg}"]) from error
    if not isinstance(document, _Record):
        raise SchemaError(["line 1, column 1: a schema is a JSON object of type record"])
    faults = list(_head_faults(document))
    dataset = DATASET_TYPES.get(str(document.get("name")).upper())
    entries = document.get("fields")
    if not isinstance(entries, list) or not entries:
        raise SchemaError([*faults, "fields: must be a list with at least one field"])
    fields: list[Field] = []
    for position, entry in enumerate(entries, start=1):
        place = f"fields[{position}]"
        if isinstance(entry, _Record):
            line = text.count("\n", 0, entry.start) + 1
            column = entry.start - text.rfind("\n", 0, entry.start)
            place = f"line {line}, column {column}, field {entry.get('name', position)!r}"
        field, own = _field(entry, dataset)
        faults += [f"{place}: {fault}" for fault in own]
        if field:
            fields.append(field)
    if dataset:
        faults += _record_faults(fields, dataset)
    if faults or dataset is None:
        raise SchemaError(faults)
    return Schema(dataset, tuple(fields))


def replacement_faults(before: Schema, after: Schema) -> Iterator[str]:
    """Yield why a dataset with data of `before` cannot take `after`: it may only gain null fields.

    https://docs.aws.amazon.com/personalize/latest/dg/updating-dataset-schema.html
    """
    if before.dataset != after.dataset:
        yield f"it describes {after.dataset.name}, not {before.dataset.name}"
        return
    known = {field.name: field for field in before.fields}
    there = {field.name: field for field in after.fields}
    for name, field in known.items():
        if name not in there:
            yield f"field {name} is missing; a field can only be added"
        elif there[name] != field:
            yield f"field {name} is another one than before; declare it as it was"
    for name in there.keys() - known.keys():
        if not there[name].nullable:
            yield f"field {name} is new and never null; make its type a union with null"


def _head_faults(document: Mapping[str, Any]) -> Iterator[str]:
    names = [kind.name for kind in DATASET_TYPES.values()]
    expected = {"type": ["record"], "name": names, "namespace": [_NAMESPACE], "version": ["1.0"]}
    for key, legal in expected.items():
        if document.get(key) not in legal:
            said = f"is {document[key]!r}" if key in document else "is missing"
            yield f"{key}: {said}; write {' or '.join(map(repr, legal))}"


def _field(entry: Any, dataset: DatasetType | None) -> tuple[Field | None, list[str]]:
    """The field that a JSON value describes, as far as it does, and its faults."""
    if not isinstance(entry, dict):
        return None, ["a field is an object with name and type"]
    faults = []
    for key in entry:
        if key not in _FIELD_KEYS:
            near = get_close_matches(key, _FIELD_KEYS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(_FIELD_KEYS)}"
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
    """Where a field breaks the rules of its data set."""
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
    if legal and (field.type, field.nullable) not in legal:
        yield f"is reserved and must be of type {next(iter(legal))[0]}, or a pair of it and null"
    if field.categorical and (field.name == "EVENT_TYPE" or wanted):
        yield 'must not be categorical; remove "categorical"'


def _record_faults(fields: list[Field], dataset: DatasetType) -> Iterator[str]:
    """Where the fields together break the rules of their data set."""
    names = [field.name for field in fields]
    for name, kind in dataset.required.items():
        if name not in names:
            yield f'fields: {name} is missing; add {{"name": "{name}", "type": "{kind}"}}'
    reduced: dict[str, str] = {}
    for name in names:
        key = re.sub(r"[^A-Za-z0-9]", "", name)
        if key in reduced:
            yield f"fields: {reduced[key]} and {name} are the same without _; rename one"
        reduced.setdefault(key, name)
    further = [name for name in names if name not in dataset.required]
    metadata = [name for name in further if name not in dataset.reserved]
    if dataset.needs_metadata and not further:
        yield f"fields: {dataset.name} needs a metadata field besides {dataset.key}"
    if len(metadata) > dataset.most_metadata:
        yield (
            f"fields: {len(metadata)} metadata fields; {dataset.name} has at most "
            f"{dataset.most_metadata}"
        )
    textual = [field.name for field in fields if field.textual]
    if len(textual) > 1:
        yield f"fields: {', '.join(textual)} are textual; only one field can be"
