"""What is wrong in a retraining.toml: every mistake with its key path, value, rule and fix."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import ValidationError

from workflow.errors import WorkflowError
from workflow.settings import (
    BrokenRulesError,
    ColumnSettings,
    InteractionsData,
    ItemsData,
    Settings,
    UsersData,
    broken_rules,
    expression_or_table,
)
from workflow.spelling import suggestion

_SECRETS_BELONG_ELSEWHERE = (
    "take it out of the file; pass --database-url or set DATABASE_URL for local runs,"
    " on AWS the Glue connection holds it"
)
_KNOWN_STRANGERS = dict.fromkeys(
    ("url", "database_url", "password", "user", "host"), _SECRETS_BELONG_ELSEWHERE
)


@dataclass(frozen=True)
class Mistake:
    """One mistake in the configuration: where, what stands there, the rule and the fix."""

    key: str
    value: str
    rule: str
    fix: str

    def __str__(self) -> str:
        found = f" = {self.value}" if self.value else ""
        return f"{self.key}{found}\n    {self.rule}\n    fix: {self.fix}"


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
        error: What pydantic says.
        raw: The configuration as it was read.
        root: The model that it was validated against.
    """
    return [*_mistakes(error, raw, root), *_mistakes_behind(error, raw)]


def _mistakes(
    error: ValidationError, raw: Mapping[str, Any], root: type[Settings]
) -> Iterator[Mistake]:
    for found in error.errors():
        path = tuple(str(part) for part in found["loc"])
        rules = found.get("ctx", {}).get("error")
        if isinstance(rules, BrokenRulesError):
            for below, rule, fix in rules.broken:
                yield Mistake(_dotted(path + below), _shown(_value(raw, path + below)), rule, fix)
            continue
        value = "" if found["type"] == "missing" else _shown(found["input"])
        yield Mistake(_dotted(path), value, _rule(found), _fix(found, path, root))


def _mistakes_behind(error: ValidationError, raw: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yield the rules that a data set's columns break when something else in it is wrong too.

    Pydantic looks at a table as a whole only once each of its values is sound.
    """
    faulty = {".".join(map(str, found["loc"][:2])) for found in error.errors()}
    checked = {
        ".".join(map(str, found["loc"]))
        for found in error.errors()
        if isinstance(found.get("ctx", {}).get("error"), BrokenRulesError)
    }
    for settings in (UsersData, ItemsData, InteractionsData):
        path = ("datasets", settings.kind.lower())
        columns = _value(raw, (*path, "columns"))
        if _dotted(path) not in faulty - checked or not isinstance(columns, Mapping):
            continue
        sound = {name: _sound_column(value) for name, value in columns.items()}
        for below, rule, fix in broken_rules(
            settings.model_construct(table="", columns=sound).data_set()
        ):
            yield Mistake(_dotted(path + below), _shown(_value(raw, path + below)), rule, fix)


def _sound_column(value: Any) -> ColumnSettings:
    try:
        return ColumnSettings.model_validate(expression_or_table(value))
    except ValidationError:
        return ColumnSettings(source="unknown")


def _rule(found: Mapping[str, Any]) -> str:
    if found["type"] == "extra_forbidden":
        return "there is no such key"
    if found["type"] == "missing":
        return "this key is required"
    message = str(found["msg"]).replace("Input should", "the value should")
    return message[0].lower() + message[1:]


def _fix(found: Mapping[str, Any], path: tuple[str, ...], root: type[Settings]) -> str:
    model = _model(path[:-1], root)
    field = model.model_fields.get(path[-1]) if model else None
    if found["type"] == "extra_forbidden":
        if path[-1] in _KNOWN_STRANGERS:
            return _KNOWN_STRANGERS[path[-1]]
        known = sorted(model.model_fields) if model else []
        unknown = f"take it out; known keys: {', '.join(known)}"
        return suggestion(path[-1], known, otherwise=unknown)
    if found["type"] == "literal_error":
        known = str(found["ctx"]["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        return suggestion(str(found["input"]), known, otherwise=f"write one of {', '.join(known)}")
    examples = field.examples if field else None
    example = f"for example {path[-1]} = {_shown(examples[0])}" if examples else ""
    meaning = f"{path[-1]}: {field.description}" if field and field.description else ""
    if found["type"] == "missing":
        return f"add it; {example or meaning}" if example or meaning else "add it"
    return example or meaning or "give a value that keeps the rule"


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


def _shown(value: Any) -> str:
    """Return a value as TOML shows it, cut where it is long; nothing for a table."""
    if value is None or isinstance(value, Mapping):
        return "" if not isinstance(value, Mapping) or len(str(value)) > 80 else str(value)
    shown = json.dumps(value, ensure_ascii=False, default=str)
    return shown if len(shown) <= 80 else f"{shown[:77]}…"


def _dotted(path: tuple[str, ...]) -> str:
    dotted = ""
    for part in path:
        dotted += f"[{part}]" if part.isdecimal() else f".{part}"
    return dotted.removeprefix(".")
