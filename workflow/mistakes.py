"""The mistakes in a retraining.toml, each with its key path, value, rule and fix."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from workflow.errors import WorkflowError
from workflow.settings import (
    BrokenRulesError,
    ColumnSettings,
    Rule,
    Settings,
    expression_or_table,
)
from workflow.spelling import suggestion

_KEY = "[key]"
_NO_TABLE = frozenset({"dict_type", "model_type"})  # a value where a table is expected
_SECRETS = frozenset({"url", "database_url", "password", "user", "host"})
_SECRETS_FIX = (
    "take it out of the file; pass --database-url or set DATABASE_URL for local runs,"
    " on AWS the Glue connection holds it"
)


@dataclass(frozen=True)
class Mistake:
    """A mistake in the configuration: the key path, the value, the rule and the fix."""

    key: str
    value: str
    rule: str
    fix: str

    def __str__(self) -> str:
        value = f" = {self.value}" if self.value else ""
        return f"{self.key}{value}\n    {self.rule}\n    fix: {self.fix}"


class ConfigError(WorkflowError, ValueError):
    """The configuration cannot be used; `mistakes` holds every reason."""

    def __init__(self, source: str, mistakes: Sequence[Mistake]) -> None:
        self.source = source
        self.mistakes = tuple(mistakes)
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        super().__init__(f"{source}: {count}\n" + "\n".join(f"  {mistake}" for mistake in mistakes))


def mistakes_of(
    error: ValidationError, raw: Mapping[str, Any], root: type[Settings]
) -> list[Mistake]:
    """Return every mistake of a configuration.

    Args:
        error: Pydantic's.
        raw: The configuration as it was read.
        root: The model that it was validated against.
    """
    return [*_mistakes(error, raw, root), *_hidden_mistakes(error, raw, root)]


def _mistakes(
    error: ValidationError, raw: Mapping[str, Any], root: type[Settings]
) -> Iterator[Mistake]:
    for details in error.errors():
        path = _path_of(details)
        if rules := _rules_of(details):
            yield from _broken(rules, path, raw)
        else:
            value = "" if details["type"] == "missing" else _toml_value(details["input"])
            yield Mistake(_dotted_path(path), value, _rule(details), _fix(details, path, root))


def _hidden_mistakes(
    error: ValidationError, raw: Mapping[str, Any], root: type[Settings]
) -> Iterator[Mistake]:
    """Yield the rules that a table breaks as a whole when one of its values is wrong too.

    Pydantic validates a table, and the file, as a whole only once each of its values is sound. What
    is broken with the wrong values as well as without them does not depend on them; all else is
    left for when they are mended, and so are the rules of the file if a required value is wrong.
    """
    errors = [(_path_of(details), _rules_of(details)) for details in error.errors()]
    checked = [path for path, rules in errors if rules]
    faulty = [
        *(path for path, rules in errors if not rules),
        *(path + below for path, rules in errors for below, _, _ in rules),
    ]
    is_whole = not any(_is_required(path, root) for path in faulty)
    without = _without(raw, faulty)
    for path, settings in _tables(root, raw):
        is_faulty = any(each[: len(path)] == path for each in faulty)
        if is_faulty and path not in checked and (path or is_whole):
            broken = _sound_faults(settings, _value(raw, path))
            still_broken = {below for below, _, _ in _sound_faults(settings, _value(without, path))}
            told = (
                rule for rule in broken if rule[0] in still_broken and path + rule[0] not in faulty
            )
            yield from _broken(told, path, raw)


def _without(raw: Any, paths: Iterable[tuple[str, ...]]) -> Any:
    """Return a configuration without some of its values; a list goes with its wrong item."""
    left = deepcopy(raw)
    for path in filter(None, paths):
        tables = [at for at in range(len(path)) if isinstance(_value(left, path[:at]), dict)]
        _value(left, path[: tables[-1]]).pop(path[tables[-1]], None)
    return left


def _is_required(path: tuple[str, ...], root: type[Settings]) -> bool:
    """Return whether a configuration has to have a value."""
    model = _model(path[:-1], root) if path else None
    fields = model.model_fields.items() if model else ()
    return any(field.is_required() for name, field in fields if path[-1] in {name, field.alias})


def _sound_faults(settings: type[Settings], raw: Any) -> Iterator[Rule]:
    """Yield the rules that a table breaks, up to one that makes no sense of its values."""
    with suppress(TypeError, ValueError, AttributeError, LookupError):
        yield from _as_written(settings, raw).own_faults()


def _tables(
    annotation: Any, raw: Any, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], type[Settings]]]:
    """Yield the tables of a configuration as they are written: their paths, and what they are."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        if isinstance(raw, Mapping):
            yield path, annotation
            for name, field in annotation.model_fields.items():
                key = field.alias or name
                yield from _tables(field.annotation, raw.get(key), (*path, key))
        return
    kinds = get_args(annotation)
    if get_origin(annotation) is dict and isinstance(raw, Mapping):
        for key, value in raw.items():
            yield from _tables(kinds[1], value, (*path, key))
    elif get_origin(annotation) is list and isinstance(raw, list):
        for number, value in enumerate(raw):
            yield from _tables(kinds[0], value, (*path, str(number)))
    elif get_origin(annotation) not in {dict, list}:
        for kind in kinds:
            yield from _tables(kind, raw, path)


def _as_written(annotation: Any, raw: Any) -> Any:
    """Return a value with its tables as settings, sound or not; of what is missing, the default."""
    origin, kinds = get_origin(annotation), get_args(annotation)
    if origin is dict and isinstance(raw, Mapping):
        return {key: _as_written(kinds[1], value) for key, value in raw.items()}
    if origin is list and isinstance(raw, list):
        return [_as_written(kinds[0], value) for value in raw]
    settings = None if origin in {dict, list} else next(_models_in(annotation), None)
    table = expression_or_table(raw) if settings is ColumnSettings else raw
    if settings is None:
        return raw
    given, values = table if isinstance(table, Mapping) else {}, dict[str, Any]()
    for name, field in settings.model_fields.items():
        key = field.alias or name
        if key in given:
            values[key] = _as_written(field.annotation, given[key])
        elif field.is_required():
            values[key] = ""
    return settings.model_construct(**values)


def _path_of(details: Mapping[str, Any]) -> tuple[str, ...]:
    # Pydantic adds a part of its own where the key of a table is what is wrong.
    return tuple(str(part) for part in details["loc"] if part != _KEY)


def _rules_of(details: Mapping[str, Any]) -> Sequence[Rule]:
    """Return the rules that a table breaks as a whole; none if a value is wrong."""
    broken = details.get("ctx", {}).get("error")
    return broken.broken if isinstance(broken, BrokenRulesError) else ()


def _broken(rules: Iterable[Rule], path: tuple[str, ...], raw: Any) -> Iterator[Mistake]:
    """Yield broken rules as mistakes; their key paths begin at `path`."""
    for below, rule, fix in rules:
        key = path + below
        yield Mistake(_dotted_path(key), _toml_value(_value(raw, key)), rule, fix)


def _rule(details: Mapping[str, Any]) -> str:
    is_unknown = details["type"] == "literal_error" and details["loc"][-1] == _KEY
    if details["type"] == "extra_forbidden" or is_unknown:
        return "there is no such key"
    if details["type"] == "missing":
        return "this key is required"
    if details["type"] in _NO_TABLE:
        return "the value should be a table"
    message = str(details["msg"]).replace("Input should", "the value should")
    return message[0].lower() + message[1:]


def _fix(details: Mapping[str, Any], path: tuple[str, ...], root: type[Settings]) -> str:
    while path[-1].isdecimal():  # an item of a list is described by the list
        path = path[:-1]
    model, key = _model(path[:-1], root), path[-1]
    field = model.model_fields.get(key) if model else None
    if details["type"] == "extra_forbidden":
        if key in _SECRETS:
            return _SECRETS_FIX
        known = sorted(model.model_fields) if model else []
        return suggestion(key, known, otherwise=f"take it out; known keys: {', '.join(known)}")
    if details["type"] in _NO_TABLE and _is_named(root.model_fields.get(path[0])):
        return f"each has a table of its own, by its name: [{path[0]}.NAME]"
    if details["type"] == "literal_error":
        known = str(details["ctx"]["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        choices = f"write one of {', '.join(known)}"
        return suggestion(str(details["input"]), known, otherwise=choices)
    examples = field.examples if field else None
    example = f"for example {key} = {_toml_value(examples[0])}" if examples else ""
    meaning = f"{key}: {field.description}" if field and field.description else ""
    if details["type"] == "missing":
        return f"add it; {example or meaning}" if example or meaning else "add it"
    return example or meaning or "give a value that keeps the rule"


def _is_named(field: FieldInfo | None) -> bool:
    """Return whether a field holds tables by names, as `[functions.NAME]`."""
    kinds = get_args(field.annotation) if field else ()
    return len(kinds) > 1 and isinstance(kinds[1], type) and issubclass(kinds[1], Settings)


def _model(path: tuple[str, ...], root: type[Settings]) -> type[Settings] | None:
    """Return the model that describes the table at `path`, None for free tables."""
    model: type[Settings] | None = root
    for part in path:
        if model is None:
            return None
        if part.isdecimal():
            continue
        field = model.model_fields.get(part)
        if field is None:  # a free key, such as a column's name
            continue
        model = next(iter(_models_in(field.annotation)), None)
    return model


def _models_in(annotation: Any) -> Iterator[type[Settings]]:
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _value(raw: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        if isinstance(raw, Mapping):
            raw = raw.get(part)
        elif isinstance(raw, list) and part.isdecimal():
            raw = raw[int(part)]
    return raw


def _toml_value(value: Any) -> str:
    """Return a value as TOML writes it, cut where it is long; nothing for a long table."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return str(value) if len(str(value)) <= 80 else ""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _dotted_path(path: tuple[str, ...]) -> str:
    dotted = ""
    for part in path:
        dotted += f"[{part}]" if part.isdecimal() else f".{part}"
    return dotted.removeprefix(".")
