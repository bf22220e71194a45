"""The permissions that the tasks of a definition need: derived from the ASL, task by task.

    task_permissions(definition, config)

Integrations that AWS documents are rows of `task_permissions.toml` beside this module; SDK
integrations follow from IAM's own reference, in `sdk_permissions`. A resource is named exactly
where the definition names it. What cannot be derived is a `Gap`, and an action on a resource that
the definition does not name a `Wide`: neither is passed over in silence. Nothing here calls AWS.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from itertools import product
from typing import Any

from workflow.config import Config
from workflow.definition import asl
from workflow.definition.asl import Definition, Integration, State
from workflow.deployment.sdk_permissions import (
    iam_prefix,
    sdk_action,
    sdk_resources,
    tagging_action,
)
from workflow.deployment.task_resources import FILTERS, NotDerivableError, without_qualifier

EVENT_RULE_ACTIONS = ("events:DescribeRule", "events:PutRule", "events:PutTargets")
PASS_ROLE = "iam:PassRole"  # noqa: S105 - an action
_PLACEHOLDER = re.compile(
    r"\{(?P<path>[\w.\[\]]+)(?P<any>\*)?(=(?P<default>\w+))?(\|(?P<filter>\w+))?\}"
)
# An intrinsic function, or an expression of JSONata that begins with a text.
_FORMAT = re.compile(r"(States\.Format\(|\{%\s*)'(?P<beginning>[\w-]*)")
_ROLE = re.compile(r"arn:[\w-]+:iam::\d*:role/.+")


@dataclass(frozen=True)
class Need:
    """Some actions on some resources that a task needs.

    Attributes:
        sid: Names the statement.
        actions: Of IAM.
        resources: ARNs, or `*`.
        condition: Under which; empty if always.
    """

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    condition: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Gap:
    """A permission that cannot be derived.

    Attributes:
        state: The state that needs it.
        action: The action of IAM; `SERVICE:*` where it is not known.
        reason: Why it cannot be derived.
    """

    state: str
    action: str
    reason: str

    def __str__(self) -> str:
        return f"'{self.state}': {self.action}: {self.reason}"


@dataclass(frozen=True)
class Wide:
    """An action on a resource that the task does not name by its ARN.

    Attributes:
        state: The state that needs it.
        action: The action of IAM.
    """

    state: str
    action: str

    def __str__(self) -> str:
        return f"'{self.state}': {self.action}: the task names no ARN"


def task_permissions(definition: Definition, config: Config) -> Iterator[Need | Gap | Wide]:
    """Yield what each task of a definition needs, in the order of the states."""
    for _, name, state in asl.states(definition):
        if state.get("Type") == "Map" and _is_distributed(state):
            yield Gap(name, "states:*", "it is a distributed Map, which starts executions")
        if state.get("Type") != "Task":
            continue
        called = asl.integration(state)
        if called is None:
            yield Gap(name, "*", f"nothing is known of its Resource {state.get('Resource')}")
        elif called.service != "activity":
            yield from _Task(name, state, called, config).needs()


@dataclass(frozen=True)
class _Task:
    name: str
    state: State
    called: Integration
    config: Config

    @property
    def request(self) -> Mapping[str, Any]:
        if self.called.arn:
            return {"FunctionName": self.called.arn}
        return asl.arguments(self.state)

    def needs(self) -> Iterator[Need | Gap | Wide]:
        if "Credentials" in self.state:
            yield from self._assumed_role()
        elif (row := self._row()) is not None:
            yield from self._of_row(row)
        elif self.called.is_sdk:
            yield from self._of_sdk()
        else:
            reason = f"it is not known here what {self.called.name} needs"
            yield Gap(self.name, f"{self.called.service}:*", reason)

    def _row(self) -> Mapping[str, Any] | None:
        """Return what is known of the integration; an SDK's call needs what another one's does."""
        row: Mapping[str, Any] | None = _table().get(self.called.name)
        if row is None and self.called.is_sdk:
            row = _table().get(f"{iam_prefix(self.called.service)}:{self.called.api}")
        return row

    def _assumed_role(self) -> Iterator[Need | Gap]:
        """Yield the assumption of the role of `Credentials`, which makes the call."""
        for role in self._roles(["RoleArn"], self.state["Credentials"], action="sts:AssumeRole"):
            yield role if isinstance(role, Gap) else Need("AssumeRoles", ("sts:AssumeRole",), role)

    def _of_row(self, row: Mapping[str, Any]) -> Iterator[Need | Gap]:
        entries = list(row.get("call", ()))
        if self.called.pattern.startswith("sync"):
            entries += row.get("sync", [])
        for entry in filter(self._applies, entries):
            patterns = entry.get("resources", row["call"][0].get("resources"))
            try:
                resources = tuple(self._resources(patterns))
            except NotDerivableError as error:
                yield from (Gap(self.name, action, str(error)) for action in entry["actions"])
            else:
                yield Need(entry["sid"], tuple(entry["actions"]), resources)
        for role in self._roles(row.get("roles", ()), self.request, action=PASS_ROLE):
            yield role if isinstance(role, Gap) else _passing(role, row["passed_to"])
        if unnamed := row.get("unnamed"):
            yield Gap(self.name, unnamed["action"], unnamed["why"])
        if "rule" in row and self.called.pattern.startswith("sync"):
            rule = self.config.arn("events", f"rule/{row['rule']}")
            yield Need("ServiceHearsOfEnds", EVENT_RULE_ACTIONS, (rule,))

    def _applies(self, entry: Mapping[str, Any]) -> bool:
        """Return whether the request has what an entry is for, and not what it is not for."""
        is_for = not entry.get("if") or any(map(self._has, entry["if"]))
        return is_for and not any(map(self._has, entry.get("unless", ())))

    def _has(self, member: str) -> bool:
        """Return whether the request has a MEMBER, or a MEMBER:TEXT that holds the text."""
        name, _, text = member.partition(":")
        value = self.request.get(_key_of(self.request, name), False)
        return value is not False and text in str(value)

    def _of_sdk(self) -> Iterator[Need | Gap | Wide]:
        action = sdk_action(self.called.service, self.called.api)
        if not action.name:
            yield Gap(self.name, f"{action.prefix or self.called.service}:*", action.reason)
            return
        texts = tuple(map(without_qualifier, _static_texts(self.request)))
        resources = sdk_resources(action, texts)
        yield calling(action.name, resources) if resources else Wide(self.name, action.name)
        if self._has("Tags") and (tagging := tagging_action(action.prefix)) not in {
            "",
            action.name,
        }:
            yield Wide(self.name, tagging)
        roles = sorted({text for text in texts if _ROLE.fullmatch(text)} - {*resources})
        for role in roles:
            yield _passing((role,), f"{action.prefix}.amazonaws.com")
        if action.passes_role and not roles:
            yield Gap(self.name, PASS_ROLE, "the task hands a role on that it does not name")

    def _roles(
        self, paths: Iterable[str], request: Any, *, action: str
    ) -> Iterator[tuple[str, ...] | Gap]:
        """Yield the ARN of each role in a request, or why it is not known."""
        for path in paths:
            try:
                values = _values(request, path.split("."))
            except NotDerivableError as error:
                yield Gap(self.name, action, str(error))
                continue
            for value in values:
                is_arn = value.startswith("arn:")
                yield (
                    value if is_arn else self.config.arn("iam", f"role/{value}", regional=False),
                )

    def _resources(self, patterns: Sequence[str]) -> Iterator[str]:
        """Yield the ARNs that a row's patterns stand for."""
        arns = [arn for pattern in patterns for arn in self._expanded(pattern)]
        if not arns:
            members = " or ".join(
                f"{match['path']}" for match in map(_PLACEHOLDER.search, patterns) if match
            )
            raise NotDerivableError(f"the task names no {members}")
        yield from arns

    def _expanded(self, pattern: str) -> Iterator[str]:
        """Yield a pattern once for each combination of the values of its members."""
        matches = list(_PLACEHOLDER.finditer(pattern))
        lists = [list(self._member(match)) for match in matches]
        for combination in product(*lists):
            text = pattern
            for match, value in zip(matches, combination, strict=True):
                before, _, after = text.partition(match[0])
                text = f"{value}{after}" if value.startswith("arn:") else f"{before}{value}{after}"
            yield self._arn(text)

    def _member(self, match: re.Match[str]) -> Iterator[str]:
        try:
            values = _values(self.request, match["path"].split("."), default=match["default"])
        except NotDerivableError:
            if not match["any"]:
                raise
            values = [f"{_beginning(self.request, match['path'])}*"]
        convert = FILTERS.get(match["filter"])
        yield from (
            convert(self.config, self.request, value) if convert else value for value in values
        )

    def _arn(self, text: str) -> str:
        if text == "*" or text.startswith("arn:"):
            return text
        if text.startswith("s3:::"):
            return f"arn:{self.config.partition}:{text}"
        service, _, resource = text.partition(":")
        if not resource:
            raise NotDerivableError(f"{text} is no ARN")
        return self.config.arn(service, resource)


def calling(action: str, resources: tuple[str, ...]) -> Need:
    """Return an action of an SDK integration on some resources."""
    sid = "".join(map(_capitalized, re.split(r"[:-]", action)))
    return Need(f"Call{sid}", (action,), resources)


def _passing(roles: tuple[str, ...], service: str) -> Need:
    name = "".join(map(_capitalized, re.split(r"[.-]", service.removesuffix(".amazonaws.com"))))
    condition = {"StringEquals": {"iam:PassedToService": service}}
    return Need(f"PassRoleTo{name}", (PASS_ROLE,), roles, condition)


def _values(request: Any, path: Sequence[str], *, default: str | None = None) -> list[str]:
    """Return the texts at a path of a request; the default, or none, where there is no such member.

    Raises:
        NotDerivableError: If the execution chooses one of them.
    """
    if not path:
        if asl.is_chosen(request):
            raise NotDerivableError(f"the execution chooses it ({asl.expression(request)})")
        return [str(request)]
    name, each = path[0].removesuffix("[]"), path[0].endswith("[]")
    if asl.is_chosen(request):
        raise NotDerivableError(f"the execution chooses {name} ({asl.expression(request)})")
    if not isinstance(request, Mapping):
        return []
    key = _key_of(request, name)
    if key not in request:
        return [default] if default is not None else []
    if key.endswith(".$") or asl.is_chosen(request[key]):
        raise NotDerivableError(f"the execution chooses {name} ({asl.expression(request[key])})")
    members = request[key] if each else [request[key]]
    return [text for member in members for text in _values(member, path[1:], default=default)]


def _beginning(request: Mapping[str, Any], name: str) -> str:
    """Return how a text begins that the execution chooses, where its format says it."""
    value = request.get(f"{name}.$", request.get(name, ""))
    match = _FORMAT.match(value) if isinstance(value, str) else None
    return match["beginning"] if match else ""


def _key_of(request: Mapping[str, Any], name: str) -> str:
    """Return the key of a member: acronyms have capitals, or one alone (`ACL`, `Acl`)."""
    return next((key for key in request if key.removesuffix(".$").lower() == name.lower()), name)


def _static_texts(value: Any) -> Iterator[str]:
    """Yield the texts of a request that the definition itself holds."""
    if isinstance(value, Mapping):
        for name, member in value.items():
            if not str(name).endswith(".$"):
                yield from _static_texts(member)
    elif isinstance(value, list):
        for member in value:
            yield from _static_texts(member)
    elif isinstance(value, str) and not asl.is_chosen(value):
        yield value


def _is_distributed(state: State) -> bool:
    processor = state.get("ItemProcessor", {}).get("ProcessorConfig", {})
    return bool(processor.get("Mode") == "DISTRIBUTED")


def _capitalized(word: str) -> str:
    return word[:1].upper() + word[1:]


@cache
def _table() -> Mapping[str, Any]:
    file = files("workflow.deployment") / "task_permissions.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))
