"""What is there against what is wanted: differences, each with its path, as a reviewer reads them.

Both sides speak CloudFormation's property names. Absent, empty, zero and false are one and the
same, as they are on AWS; lists of named things are compared by name, policies by meaning, and JSON
inside of strings exactly.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_NAMES = ("PolicyName", "Sid", "Id", "Key", "Name")
_JSON_TEXT = frozenset({"DefinitionString", "Schema", "Input"})
_POLICY = frozenset({"PolicyDocument", "AssumeRolePolicyDocument"})
_ORDER_MEANS_NOTHING = frozenset(
    {"SubnetIds", "SecurityGroupIds", "ManagedPolicyArns", "AlarmActions", "OKActions"}
)
_SHOWN = 70


@dataclass(frozen=True)
class Difference:
    """One property that is not as wanted.

    Attributes:
        path: For example `Environment.Variables.BUCKET`.
        was: Its value on AWS, None if absent.
        wanted: Its value in the model, None if it is to be absent.
    """

    path: str
    was: Any
    wanted: Any

    def __str__(self) -> str:
        was, wanted = _apart(self.was, self.wanted)
        return f"{self.path}: {_shown(was)} → {_shown(wanted)}"


def differences(was: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Return what has to change so that `was` becomes `wanted`.

    Tags that the model does not know are somebody's own and stay.
    """
    there, model = _canonical("", was), _canonical("", wanted)
    if "Tags" in there:
        own = model.get("Tags", {})
        there = {**there, "Tags": {k: v for k, v in there["Tags"].items() if k in own}}
    return tuple(_walk("", there, model))


def changed_properties(changes: Iterable[Difference]) -> frozenset[str]:
    """Return the resource's properties that differences lie in, for example `Environment`."""
    return frozenset(change.path.split(".")[0] for change in changes)


def tags_of(properties: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags among a resource's properties, by key, whatever shape they have."""
    tags = properties.get("Tags") or {}
    return dict(tags) if isinstance(tags, Mapping) else {t["Key"]: t["Value"] for t in tags}


def _walk(path: str, was: Any, wanted: Any) -> Iterator[Difference]:
    if isinstance(was, dict) and isinstance(wanted, dict):
        for key in sorted(was.keys() | wanted.keys()):
            yield from _walk(f"{path}.{key}" if path else key, was.get(key), wanted.get(key))
    elif was != wanted:
        yield Difference(path, was, wanted)


def _canonical(name: str, value: Any) -> Any:
    if name in _JSON_TEXT and isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    if name in _POLICY:
        return _policy(json.loads(value) if isinstance(value, str) else value)
    if isinstance(value, Mapping):
        inner = {key: _canonical(key, part) for key, part in value.items()}
        return {key: part for key, part in inner.items() if part}
    if isinstance(value, (list, tuple)):
        return _listed(name, [_canonical("", inner) for inner in value])
    return value


def _listed(name: str, values: list[Any]) -> Any:
    """A list of named things as a mapping, any other list as it is."""
    if name == "Tags":
        return {tag["Key"]: tag["Value"] for tag in values}
    if name in _ORDER_MEANS_NOTHING:
        return sorted(values)
    if values and all(isinstance(value, dict) for value in values):
        for key in _NAMES:
            names = [value.get(key) for value in values]
            if all(isinstance(n, str) for n in names) and len(set(names)) == len(names):
                return dict(zip(names, values, strict=True))
    return values


def _policy(value: Any) -> Any:
    """A policy document with every list sorted and every single value a list."""
    if isinstance(value, Mapping):
        inner = {key: _policy(part) for key, part in value.items()}
        if "Statement" in inner:
            found = value["Statement"]
            statements = found if isinstance(found, (list, tuple)) else [found]
            inner["Statement"] = _listed("", [_statement(part) for part in statements])
        return inner
    return value


def _statement(statement: Mapping[str, Any]) -> dict[str, Any]:
    def values(part: Any) -> Any:
        if isinstance(part, Mapping):
            return {key: values(inner) for key, inner in part.items()}
        if isinstance(part, (list, tuple)):
            return sorted(str(one) for one in part)
        return [str(part).lower() if isinstance(part, bool) else str(part)]

    kept = {"Sid", "Effect"}
    return {key: part if key in kept else values(part) for key, part in statement.items()}


def _apart(was: Any, wanted: Any) -> tuple[Any, Any]:
    """Two long texts without what they begin with alike, so that the difference is seen."""
    if not (isinstance(was, str) and isinstance(wanted, str)):
        return was, wanted
    pairs = itertools.zip_longest(was, wanted)
    common = next((place for place, (one, other) in enumerate(pairs) if one != other), 0)
    start = max(was.rfind(sign, 0, common) + 1 for sign in "/:")
    if start < _SHOWN // 2 or max(len(was), len(wanted)) <= _SHOWN:
        return was, wanted
    return f"…{was[start:]}", f"…{wanted[start:]}"


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
