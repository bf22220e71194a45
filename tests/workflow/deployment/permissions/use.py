"""What recorded calls use of the policy of the role, or person, that made them."""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any

from localaws.http.calls import Call
from workflow import Config
from workflow.deployment.permissions import (
    PEOPLE,
    SERVICE,
    Person,
    bucket_policy,
    permission_policy,
)
from workflow.settings import RoleName

from .evaluator import evaluate
from .requests import Request, requests_of


def requests_by(calls: Iterable[Call], config: Config, who: RoleName | Person) -> list[Request]:
    """Return the authorization requests of a role's calls; of all calls, if a person made them."""
    role = "" if who in PEOPLE else config.role_arn(who).rpartition("/")[2]  # type: ignore[arg-type]
    made = [call for call in calls if not role or call.principal == role]
    return sorted({each for call in made for each in requests_of(call)}, key=repr)


def denied(calls: Iterable[Call], config: Config, who: RoleName | Person) -> list[str]:
    """Return the requests that the policy does not allow; there must be some that it does."""
    requests = requests_by(calls, config, who)
    assert requests
    decisions = evaluate(
        permission_policy(config, who), requests, bucket_policy=bucket_policy(config)
    )
    return [
        f"{decision.result} {request.action} on {request.resource} {decision.error}"
        for request, decision in decisions.items()
        if decision.result != "Allowed"
    ]


def unused(
    requests: Iterable[Request],
    config: Config,
    who: RoleName | Person,
    *,
    besides: Config | None = None,
) -> list[str]:
    """Return the actions and resources that no request uses, each after its statement's Sid.

    Statements named Service… are what AWS does by itself; none of our calls shows it.

    Args:
        requests: Those that were made.
        config: The configuration.
        who: The role or person.
        besides: A configuration; what is allowed by its policy already may be unused.
    """
    made = list(requests)
    base = permission_policy(besides, who)["Statement"] if besides else []
    known = {each["Sid"]: {*each["Action"], *each["Resource"]} for each in base}
    return [
        f"{statement['Sid']}: {value}"
        for statement in permission_policy(config, who)["Statement"]
        if not statement["Sid"].startswith(SERVICE)
        for value in _unused_of(statement, made)
        if value not in known.get(statement["Sid"], ())
    ]


def unused_by(
    calls: Iterable[Call], config: Config, who: RoleName | Person, *, besides: Config
) -> list[str]:
    """Return what no call of a role uses, beside what another configuration allows already."""
    return unused(requests_by(calls, config, who), config, who, besides=besides)


def _unused_of(statement: dict[str, Any], requests: list[Request]) -> Iterator[str]:
    used = [
        (request.action, resource)
        for request in requests
        for resource in statement["Resource"]
        if request.action in statement["Action"] and fnmatchcase(request.resource, resource)
    ]
    actions, resources = {action for action, _ in used}, {resource for _, resource in used}
    yield from (action for action in statement["Action"] if action not in actions)
    yield from (resource for resource in statement["Resource"] if resource not in resources)
