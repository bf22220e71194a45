"""The permissions of the state machine's role: what its definition calls, and what is configured.

derive(config)          the statements, and what could not be derived or names no resource
check_derived(config)   the same, refused while a permission is missing
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from workflow.config import Config
from workflow.definition.asl import Definition
from workflow.definition.graph import retraining_graph
from workflow.deployment.task_permissions import Gap, Need, Wide, calling, task_permissions
from workflow.errors import WorkflowError
from workflow.extensions import PermissionSettings

Statement = dict[str, Any]


@dataclass(frozen=True)
class Derived:
    """What the state machine's role is allowed for the tasks of its definition.

    Attributes:
        statements: The derived ones, and those of `[workflow] permissions`.
        gaps: What cannot be derived, and the configuration does not allow.
        wide: What is allowed on all resources, since the definition names none.
        is_own: Whether the role is made of it; else it is somebody else's.
    """

    statements: list[Statement]
    gaps: tuple[Gap, ...]
    wide: tuple[Wide, ...]
    is_own: bool = True

    @property
    def notes(self) -> list[str]:
        """What a person should know of it, a line each."""
        if not self.is_own:
            return [f"{each}; the role in aws.roles has to allow it" for each in self.gaps]
        return [
            f"{each}, and so every resource (*) is allowed; workflow.permissions can name some"
            for each in self.wide
        ]


class UnderivedPermissionsError(WorkflowError, ValueError):
    """Permissions of the state machine's role that nothing says; the text names each."""

    def __init__(self, gaps: Iterable[Gap]) -> None:
        self.gaps = tuple(gaps)
        lines = "\n".join(f"  {gap}" for gap in self.gaps)
        known = [gap.action for gap in self.gaps if not gap.action.endswith("*")]
        example = known[0] if known else "SERVICE:Action"
        super().__init__(
            "what the state machine's role needs does not all follow from the definition:\n"
            f"{lines}\n  name it in the configuration, for example [workflow] permissions ="
            f' [{{ actions = ["{example}"], resources = ["arn:…"] }}]'
        )


def derive(config: Config, definition: Definition | None = None) -> Derived:
    """Return what the state machine's role is allowed for the tasks of its definition.

    Actions of `[workflow] permissions` are allowed as they stand there, and not on all resources
    besides.

    Args:
        config: The configuration.
        definition: The state machine's; made from the configuration if left out.
    """
    definition = retraining_graph(config).to_dict() if definition is None else definition
    configured = config.workflow.permissions
    allowed = [action for permission in configured for action in permission.actions]
    needs, gaps, wide = list[Need](), list[Gap](), list[Wide]()
    for each in task_permissions(definition, config):
        if isinstance(each, Need):
            needs.append(each)
        elif not _covers(allowed, each.action):
            (gaps if isinstance(each, Gap) else wide).append(each)  # type: ignore[arg-type]
    needs += [calling(each.action, ("*",)) for each in wide]
    statements = [*_merged(needs), *configured_statements("Configured", configured)]
    is_own = not config.aws.roles.get("states", "").startswith("arn:")
    return Derived(statements, tuple(dict.fromkeys(gaps)), tuple(dict.fromkeys(wide)), is_own)


def check_derived(config: Config, definition: Definition | None = None) -> Derived:
    """Return `derive`, if nothing is missing or the role is somebody else's.

    Raises:
        UnderivedPermissionsError: If something is.
    """
    derived = derive(config, definition)
    if derived.gaps and derived.is_own:
        raise UnderivedPermissionsError(derived.gaps)
    return derived


def _covers(allowed: Iterable[str], action: str) -> bool:
    """Return whether configured actions hold one; of one that is not known, any of its service."""
    prefix, _, name = action.partition(":")
    return any(
        fnmatchcase(action.lower(), each.lower())
        or (name in {"", "*"} and (prefix == "*" or each.startswith(f"{prefix}:")))
        for each in allowed
    )


def _merged(needs: Iterable[Need]) -> Iterator[Statement]:
    """Yield needs as few statements, in the order of their Sids."""
    resources: dict[tuple[str, tuple[str, ...], str], set[str]] = {}
    conditions = {json.dumps(need.condition, sort_keys=True): need.condition for need in needs}
    for need in needs:
        key = (need.sid, need.actions, json.dumps(need.condition, sort_keys=True))
        resources.setdefault(key, set()).update(need.resources)
    actions: dict[tuple[str, tuple[str, ...], str], set[str]] = {}
    for (sid, of_sid, condition), arns in resources.items():
        actions.setdefault((sid, tuple(sorted(arns)), condition), set()).update(of_sid)
    numbers: Counter[str] = Counter()
    for (sid, in_order, condition), names in sorted(actions.items()):
        numbers[sid] += 1
        statement: Statement = {
            "Sid": sid if numbers[sid] == 1 else f"{sid}{numbers[sid]}",
            "Effect": "Allow",
            "Action": sorted(names),
            "Resource": list(in_order),
        }
        yield statement | ({"Condition": conditions[condition]} if conditions[condition] else {})


def configured_statements(
    sid: str, permissions: Iterable[PermissionSettings]
) -> Iterator[Statement]:
    """Yield permissions of the configuration as statements, with numbered Sids."""
    for number, permission in enumerate(permissions, start=1):
        statement: Statement = {
            "Sid": sid if number == 1 else f"{sid}{number}",
            "Effect": "Allow",
            "Action": list(permission.actions),
            "Resource": list(permission.resources),
        }
        yield statement | ({"Condition": permission.condition} if permission.condition else {})
