"""The differences between AWS and the model, each with its path, as a reviewer reads them.

Both sides have CloudFormation's property names. Absent, empty, zero and false are the same, as they
are on AWS; lists of members with names are compared by name, policies by meaning, and JSON in
strings exactly.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_NAMES = ("PolicyName", "Sid", "Id", "Key", "Name", "Endpoint")
_JSON_TEXT = frozenset({"DefinitionString", "Schema", "Input"})
_POLICY = frozenset({"PolicyDocument", "AssumeRolePolicyDocument"})
_UNORDERED = frozenset(
    {"SubnetIds", "SecurityGroupIds", "ManagedPolicyArns", "AlarmActions", "OKActions"}
)
_LONGEST = 70


@dataclass(frozen=True)
class Difference:
    """One property that differs; its fields are keys of `retrain plan --json`.

    Attributes:
        path: For example `Environment.Variables.BUCKET`.
        was: Its value on AWS, None if absent.
        wanted: Its value in the model, None if absent.
    """

    path: str
    was: Any
    wanted: Any

    def __str__(self) -> str:
        was, wanted = _without_prefix(self.was, self.wanted)
        return f"{self.path}: {_shorten(was)} → {_shorten(wanted)}"


def differences(was: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Return the changes that make `was` into `wanted`.

    Tags that the model does not have are somebody else's and stay.
    """
    current, model = _canonical("", was), _canonical("", wanted)
    if "Tags" in current:
        own = model.get("Tags", {})
        current = {**current, "Tags": {k: v for k, v in current["Tags"].items() if k in own}}
    return tuple(_walk("", current, model))


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
        return _canonical_policy(json.loads(value) if isinstance(value, str) else value)
    if isinstance(value, Mapping):
        members = {key: _canonical(key, member) for key, member in value.items()}
        return {key: member for key, member in members.items() if member}
    if isinstance(value, (list, tuple)):
        return _canonical_list(name, [_canonical("", member) for member in value])
    return value


def _canonical_list(name: str, values: list[Any]) -> Any:
    """Return a list of members with names as a mapping, any other list as it is."""
    if name == "Tags":
        return {tag["Key"]: tag["Value"] for tag in values}
    if name in _UNORDERED:
        return sorted(values)
    if values and all(isinstance(value, dict) for value in values):
        for key in _NAMES:
            names = [value.get(key) for value in values]
            if all(isinstance(n, str) for n in names) and len(set(names)) == len(names):
                return dict(zip(names, values, strict=True))
    return values


def _canonical_policy(policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return a policy document with its statements by Sid, where they have one."""
    statements = policy.get("Statement", [])
    if isinstance(statements, Mapping):
        statements = [statements]
    return {
        **policy,
        "Statement": _canonical_list("", [_canonical_statement(each) for each in statements]),
    }


def _canonical_statement(statement: Mapping[str, Any]) -> dict[str, Any]:
    """Return a statement with every list sorted and every single value a list."""

    def values(member: Any) -> Any:
        if isinstance(member, Mapping):
            return {key: values(inner) for key, inner in member.items()}
        if isinstance(member, (list, tuple)):
            return sorted(map(str, member))
        return [str(member).lower() if isinstance(member, bool) else str(member)]

    same = {"Sid", "Effect"}
    return {key: member if key in same else values(member) for key, member in statement.items()}


def _without_prefix(was: Any, wanted: Any) -> tuple[Any, Any]:
    """Return two long texts without the beginning that they share, so that they differ at once."""
    if not (isinstance(was, str) and isinstance(wanted, str)):
        return was, wanted
    pairs = itertools.zip_longest(was, wanted)
    common = next((index for index, (old, new) in enumerate(pairs) if old != new), 0)
    start = max(was.rfind(separator, 0, common) + 1 for separator in "/:")
    if start < _LONGEST // 2 or max(len(was), len(wanted)) <= _LONGEST:
        return was, wanted
    return f"…{was[start:]}", f"…{wanted[start:]}"


def _shorten(value: Any) -> str:
    if value is None:
        return "–"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
