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
from urllib.parse import unquote

from workflow.config import Config
from workflow.definition import asl
from workflow.definition.asl import Definition, Integration, State
from workflow.deployment.sdk_permissions import iam_prefix, sdk_action, sdk_resources

EVENT_RULE_ACTIONS = ("events:DescribeRule", "events:PutRule", "events:PutTargets")
PASS_ROLE = "iam:PassRole"  # noqa: S105 - an action
_PLACEHOLDER = re.compile(
    r"\{(?P<path>[\w.\[\]]+)(?P<any>\*)?(=(?P<default>\w+))?(\|(?P<filter>\w+))?\}"
)
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


class _NotDerivableError(Exception):
    """A resource that the definition does not name; the text says why."""


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
        if "tags" in row and self.request.keys() & {"Tags", "Tags.$"}:
            entries.append({"sid": f"{entries[0]['sid']}WithTags", "actions": [row["tags"]]})
        for entry in entries:
            patterns = entry.get("resources", row["call"][0].get("resources"))
            try:
                resources = tuple(self._resources(patterns))
            except _NotDerivableError as error:
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

    def _of_sdk(self) -> Iterator[Need | Gap | Wide]:
        action = sdk_action(self.called.service, self.called.api)
        if not action.name:
            yield Gap(self.name, f"{action.prefix or self.called.service}:*", action.reason)
            return
        texts = tuple(_static_texts(self.request))
        resources = sdk_resources(action, texts)
        yield calling(action.name, resources) if resources else Wide(self.name, action.name)
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
            except _NotDerivableError as error:
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
            raise _NotDerivableError(f"the task names no {members}")
        yield from arns

    def _expanded(self, pattern: str) -> Iterator[str]:
        """Yield a pattern once for each combination of the values of its members."""
        matches = list(_PLACEHOLDER.finditer(pattern))
        lists = [list(self._member(match)) for match in matches]
        for combination in product(*lists):
            text = pattern
            for match, value in zip(matches, combination, strict=True):
                if value.startswith("arn:"):
                    text = value
                    break
                text = text.replace(match[0], value, 1)
            yield self._arn(text)

    def _member(self, match: re.Match[str]) -> Iterator[str]:
        try:
            values = _values(self.request, match["path"].split("."), default=match["default"])
        except _NotDerivableError:
            if not match["any"]:
                raise
            values = ["*"]
        convert = _FILTERS.get(match["filter"])
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
            raise _NotDerivableError(f"{text} is no ARN")
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
        _NotDerivableError: If the execution chooses one of them.
    """
    if not path:
        if asl.is_chosen(request):
            raise _NotDerivableError(f"the execution chooses it ({asl.expression(request)})")
        return [str(request)]
    name, each = path[0].removesuffix("[]"), path[0].endswith("[]")
    if asl.is_chosen(request):
        raise _NotDerivableError(f"the execution chooses {name} ({asl.expression(request)})")
    if not isinstance(request, Mapping):
        return []
    if f"{name}.$" in request or asl.is_chosen(request.get(name)):
        value = request.get(f"{name}.$", request.get(name))
        raise _NotDerivableError(f"the execution chooses {name} ({asl.expression(value)})")
    if name not in request:
        return [default] if default is not None else []
    members = request[name] if each else [request[name]]
    return [text for member in members for text in _values(member, path[1:], default=default)]


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


# What makes the ARN of a resource of a member that names it otherwise.


def _function(config: Config, request: Mapping[str, Any], value: str) -> str:
    """Return a function's ARN for its name, ACCOUNT:function:NAME, or the whole ARN."""
    account, _, name = value.rpartition(":function:")
    arn = value if value.startswith("arn:") else config.arn("lambda", f"function:{name}")
    if account.isdecimal():
        arn = arn.replace(f":{config.aws.account}:", f":{account}:")
    if "Qualifier.$" in request or asl.is_chosen(request.get("Qualifier")):
        return f"{arn}:*"
    return f"{arn}:{request['Qualifier']}" if "Qualifier" in request else arn


def _queue(config: Config, request: Mapping[str, Any], value: str) -> str:
    """Return a queue's ARN for its URL."""
    match = re.fullmatch(
        r"https?://(?:sqs\.(?P<region>[\w-]+)\.)?[^/]+/(?P<account>\d{12})/(?P<name>[^/]+)", value
    )
    if match is None:
        raise _NotDerivableError(f"QueueUrl {value} is no URL of a queue")
    region = match["region"] or config.aws.region
    return f"arn:{config.partition}:sqs:{region}:{match['account']}:{match['name']}"


def _machine(config: Config, request: Mapping[str, Any], value: str) -> str:
    """Return a state machine's ARN without the version or alias, on which IAM decides apart."""
    return ":".join(value.split(":")[:7])


def _executions(config: Config, request: Mapping[str, Any], value: str) -> str:
    """Return the ARNs of a state machine's executions."""
    return _machine(config, request, value).replace(":stateMachine:", ":execution:") + ":*"


def _task(config: Config, request: Mapping[str, Any], value: str) -> str:
    """Return a task definition's ARN; of a family any revision, as ECS takes the latest."""
    arn = value if value.startswith("arn:") else config.arn("ecs", f"task-definition/{value}")
    return arn if re.search(r":\d+$", arn) else f"{arn}:*"


def _object(config: Config, request: Mapping[str, Any], value: str) -> str:
    """Return bucket and key of CopySource, which may be encoded and name a version."""
    return unquote(value).lstrip("/").partition("?")[0]


_FILTERS: Mapping[str | None, Any] = {
    "object": _object,
    "function": _function,
    "queue": _queue,
    "machine": _machine,
    "executions": _executions,
    "task": _task,
}


@cache
def _table() -> Mapping[str, Any]:
    file = files("workflow.deployment") / "task_permissions.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))
