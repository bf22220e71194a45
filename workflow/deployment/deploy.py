"""From the model to AWS: look, compare, plan; then do exactly what the plan says.

The stages, each with its rule:
    `plan`      reads AWS and compares it with the model; makes no call that changes anything
    `apply`     carries out a plan in the order of dependencies, under a lock, or refuses it whole
                where AWS is no longer as planned; nothing changed means no changing call at all
    `destroy_plan`, then `apply` too: the same in reverse order; never empties a bucket unless told
A failure stops: what was done, what was not, and how to go on are in the error. Running the same
again goes on, because it plans anew from what is there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from workflow.config import OWNER_TAG, Config
from workflow.deployment.account import Clients, check_identity, explained
from workflow.deployment.adapters import ADAPTERS, Adapter, Bucket, Site, TakenError
from workflow.deployment.adapters.adapter import touched
from workflow.deployment.artefacts import Artefacts, build_artefacts
from workflow.deployment.differences import Difference
from workflow.deployment.lock import DeploymentLock
from workflow.deployment.resources import Resource, resources
from workflow.errors import DeployError

Action = Literal["create", "update", "replace", "unchanged", "blocked", "delete", "keep", "skip"]

_PARALLEL_READS = 8
_BUCKET = "AWS::S3::Bucket"
_IAM_PREFIX = {"stepfunctions": "states"}


@dataclass(frozen=True)
class Change:
    """What is to be done with one resource.

    Attributes:
        resource: as it is meant to be.
        action: what is done; `blocked` cannot be, and `note` says why and what to do instead;
            `keep` stays because it holds something, `skip` because it is not ours.
        differences: between AWS and the model.
        destructive: something is lost that cannot be brought back.
        note: what a person should know of it.
    """

    resource: Resource
    action: Action
    differences: tuple[Difference, ...] = ()
    destructive: bool = False
    note: str = ""


@dataclass(frozen=True)
class Plan:
    """What a deployment will do, in its order.

    Attributes:
        config: the configuration that it deploys.
        changes: one for each resource of the model.
        bodies: what is uploaded, by S3 key.
        identity: ARN of who planned.
        destroys: whether it takes the deployment away.
    """

    config: Config
    changes: tuple[Change, ...]
    bodies: Mapping[str, bytes]
    identity: str
    destroys: bool = False

    @property
    def pending(self) -> tuple[Change, ...]:
        """What there is to do."""
        idle = {"unchanged", "keep", "skip"}
        return tuple(change for change in self.changes if change.action not in idle)

    @property
    def blocked(self) -> tuple[Change, ...]:
        """What cannot be done; a plan with any of it is never begun."""
        return tuple(change for change in self.changes if change.action == "blocked")

    @property
    def destructive(self) -> bool:
        """Whether anything is lost that cannot be brought back."""
        return any(change.destructive for change in self.pending)


@dataclass(frozen=True)
class Outcome:
    """How far a plan was carried out.

    Attributes:
        done: in the order in which it was done.
        left: what was not done; the first of it is what failed, where something did.
    """

    done: tuple[Change, ...]
    left: tuple[Change, ...] = ()


class ApplyError(DeployError):
    """A plan stopped on the way; `outcome` says how far it came."""

    def __init__(self, reason: str, outcome: Outcome, *, again: str) -> None:
        self.outcome = outcome
        done = ", ".join(_named(change) for change in outcome.done) or "nothing"
        left = ", ".join(_named(change) for change in outcome.left)
        where = f"{_named(outcome.left[0])}: " if outcome.left else ""
        super().__init__(
            f"{where}{reason}\n  done: {done}\n  not done: {left or 'nothing'}\n"
            f"  {again} goes on from there"
        )


Progress = Callable[[Change, bool], None]
"""Called with each change as it begins (False) and when it is done (True)."""


def plan(config: Config, clients: Clients, *, artefacts: Artefacts | None = None) -> Plan:
    """Compare the model of `config` with what is on AWS; changes nothing.

    Args:
        config: what is wanted.
        clients: of the account, for example from `workflow.deployment.account.clients_of`.
        artefacts: what is uploaded; built from the installed packages if left out.

    Raises:
        DeployError: AWS cannot be read, with the action and the ARN where a permission is missing.
    """
    built = artefacts or build_artefacts(config)
    return plan_resources(config, clients, resources(config, built), _bodies(built))


def plan_resources(
    config: Config,
    clients: Clients,
    wanted: Sequence[Resource],
    bodies: Mapping[str, bytes] | None = None,
) -> Plan:
    """Compare any model with what is on AWS; `wanted` is in the order of dependencies."""
    identity = check_identity(config, clients)
    site = _site(config, clients, wanted, bodies or {})
    changes: dict[str, Change] = {}
    for resource, adapter, read in _readings(site, wanted):
        blocked = [need for need in resource.needs if changes[need].action == "blocked"]
        if blocked:
            note = f"needs {', '.join(changes[need].resource.name for need in blocked)}"
            changes[resource.id] = Change(resource, "blocked", note=note)
        else:
            changes[resource.id] = _compared(resource, adapter, read)
    return Plan(config, tuple(changes.values()), dict(bodies or {}), identity)


def destroy_plan(config: Config, clients: Clients, *, empty_bucket: bool = False) -> Plan:
    """Plan to take everything away that is ours; changes nothing.

    Args:
        config: whose resources.
        clients: of the account.
        empty_bucket: delete the bucket with every version of everything in it; otherwise a bucket
            that holds anything is kept, with its policy.

    Raises:
        DeployError: AWS cannot be read.
    """
    identity = check_identity(config, clients)
    wanted = resources(config, built := build_artefacts(config))
    site = _site(config, clients, wanted, _bodies(built))
    taken_away = [
        change
        for resource, adapter, read in _readings(site, wanted)
        if (change := _deletion(resource, adapter, read, empty_bucket=empty_bucket))
    ]
    kept = {change.resource.name for change in taken_away if change.action == "keep"}
    changes = [
        # What lies in a bucket goes and stays with it.
        Change(change.resource, "keep") if _container(change.resource) in kept else change
        for change in reversed(taken_away)
    ]
    return Plan(config, tuple(changes), site.bodies, identity, destroys=True)


def apply(
    plan: Plan,
    clients: Clients,
    *,
    now: datetime,
    progress: Progress = lambda _change, _done: None,
    take_over: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Carry out exactly this plan, in its order.

    Args:
        plan: from `plan` or `destroy_plan`.
        clients: of the account.
        now: the time, aware; others who deploy are shown it.
        progress: told of each change.
        take_over: take the lock of a deployment that was killed.
        sleep: waits so many seconds while Personalize makes or deletes something.

    Raises:
        DeployError: a change is blocked, another deployment is going on, or AWS has changed since
            it was planned; nothing was touched.
        ApplyError: a change failed; the error says what was done and what was not.
    """
    if plan.blocked:
        told = "\n".join(f"  {_named(change)}: {change.note}" for change in plan.blocked)
        raise DeployError(f"nothing was touched, because some of it cannot be done:\n{told}")
    if not plan.pending:
        return Outcome(())
    site = replace(
        _site(plan.config, clients, [change.resource for change in plan.changes], plan.bodies),
        sleep=sleep,
    )
    lock = _lock(plan, site, now, take_over=take_over)
    done: list[Change] = []
    pending = list(plan.pending)

    def carry_out_next() -> None:
        _carry_out(site, pending[0], progress)
        done.append(pending.pop(0))

    try:
        if (pending[0].action, pending[0].resource.type) == ("create", _BUCKET):
            carry_out_next()  # where the lock will lie
        with lock or nullcontext():
            _check_still_so(plan, site, pending)
            while pending:
                carry_out_next()
    except (ClientError, BotoCoreError, DeployError) as error:
        if isinstance(error, DeployError) and not done:
            raise
        outcome = Outcome(tuple(done), tuple(pending))
        again = f"'retrain {'destroy' if plan.destroys else 'deploy'}'"
        if lock and lock.left_behind:
            again = f"{again[:-1]} --take-over' (the lock could not be released)"
        raise ApplyError(_told(error, site, pending), outcome, again=again) from error
    return Outcome(tuple(done))


def describe(plan: Plan) -> Iterator[str]:
    """Yield the plan as lines of text, one for each resource and each difference."""
    for change in plan.changes:
        mark = "  DESTRUCTIVE" if change.destructive else ""
        note = f"  ({change.note})" if change.note else ""
        yield f"{change.action:<10}{_named(change)}  {change.resource.name}{mark}{note}"
        yield from (f"            {difference}" for difference in change.differences)
    counted = dict.fromkeys(("create", "update", "replace", "delete", "blocked"), 0)
    for change in plan.pending:
        counted[change.action] += 1
    told = ", ".join(f"{number} to {action}" for action, number in counted.items() if number)
    yield told.replace("to blocked", "blocked") or "nothing to do"


# Reading and comparing


def _readings(
    site: Site, wanted: Sequence[Resource]
) -> Iterator[tuple[Resource, Adapter, Future[Mapping[str, Any] | None]]]:
    """Yield each resource with its adapter and what is being read of it, several at a time."""
    adapters = [_adapter(site, resource) for resource in wanted]
    # boto3 makes clients one at a time, and reads safely on many threads.
    for adapter in adapters:
        _ = adapter.client
    with ThreadPoolExecutor(_PARALLEL_READS) as pool:
        reads = [
            pool.submit(adapter.read, resource)
            for adapter, resource in zip(adapters, wanted, strict=True)
        ]
        try:
            yield from zip(wanted, adapters, reads, strict=True)
        finally:
            pool.shutdown(cancel_futures=True)


def _read(
    resource: Resource, adapter: Adapter, read: Future[Mapping[str, Any] | None]
) -> Mapping[str, Any] | None:
    try:
        return read.result()
    except (ClientError, BotoCoreError) as error:
        raise DeployError(_explained(error, adapter, resource)) from error


def _compared(
    resource: Resource, adapter: Adapter, read: Future[Mapping[str, Any] | None]
) -> Change:
    try:
        was = _read(resource, adapter, read)
    except TakenError as error:
        return Change(resource, "blocked", note=str(error))
    if was is None:
        return Change(resource, "create")
    if foreign := _foreign(resource, adapter, was):
        return Change(resource, "blocked", note=foreign)
    changes = adapter.compare(resource, was)
    if not changes:
        return Change(resource, "unchanged")
    if objection := adapter.objection(resource, was, changes):
        return Change(resource, "blocked", changes, note=objection)
    if not touched(changes) & adapter.replaced_by:
        return Change(resource, "update", changes)
    if adapter.irreplaceable:
        return Change(resource, "blocked", changes, note=adapter.irreplaceable)
    return Change(resource, "replace", changes, destructive=bool(adapter.loses))


def _foreign(resource: Resource, adapter: Adapter, was: Mapping[str, Any]) -> str:
    """Whose a resource is and what to do, empty if it is ours."""
    ours, owner = adapter.site.config.name, adapter.owner(resource, was)
    if owner == ours:
        return ""
    whose = f"belongs to the deployment '{owner}'" if owner else "is nobody's that we know"
    return (
        f"the name is taken, by something that {whose}: give another one in the configuration"
        f" (name, or the name of this resource in [aws]); if it is to be ours, tag it"
        f" {OWNER_TAG}={ours} first"
    )


def _deletion(
    resource: Resource,
    adapter: Adapter,
    read: Future[Mapping[str, Any] | None],
    *,
    empty_bucket: bool,
) -> Change | None:
    """What taking a resource away means, None where there is nothing."""
    try:
        was = _read(resource, adapter, read)
    except TakenError as error:
        return Change(resource, "skip", note=str(error))
    if was is None:
        return None
    if _foreign(resource, adapter, was):
        return Change(resource, "skip", note="not ours")
    note = adapter.remark(resource) or (adapter.loses and f"with {adapter.loses}")
    if isinstance(adapter, Bucket) and (holds := adapter.holds(resource)):
        if not empty_bucket:
            return Change(resource, "keep", note=f"holds {holds}; --empty-bucket deletes them")
        note = f"with {holds}"
    return Change(resource, "delete", destructive=bool(adapter.loses), note=note)


def _container(resource: Resource) -> str | None:
    return resource.properties.get("Bucket")


# Carrying out


def _carry_out(site: Site, change: Change, progress: Progress) -> None:
    adapter, resource = _adapter(site, change.resource), change.resource
    progress(change, False)
    if change.action in {"delete", "replace"}:
        adapter.delete(resource)
    if change.action in {"create", "replace"}:
        adapter.create(resource)
    if change.action == "update":
        adapter.update(resource, change.differences)
    progress(change, True)


def _lock(plan: Plan, site: Site, now: datetime, *, take_over: bool) -> DeploymentLock | None:
    """The lock, None where the bucket that it would lie in goes too, or is not ours."""
    bucket = next((c for c in plan.changes if c.resource.type == _BUCKET), None)
    if bucket is None or bucket.action in {"delete", "skip"}:
        return None
    name = bucket.resource.name
    return DeploymentLock(
        site.clients("s3"), name, owner=plan.identity, now=now, take_over=take_over
    )


def _check_still_so(plan: Plan, site: Site, pending: Sequence[Change]) -> None:
    """Look once more, now that nobody else deploys.

    Raises:
        DeployError: something is not as it was when the plan was made.
    """
    wanted = [change.resource for change in pending]
    for change, (resource, adapter, read) in zip(pending, _readings(site, wanted), strict=True):
        if plan.destroys:
            was = _read(resource, adapter, read)
            same = was is not None and not _foreign(resource, adapter, was)
        else:
            now = _compared(resource, adapter, read)
            same = (now.action, now.differences) == (change.action, change.differences)
        if not same:
            raise DeployError(
                f"{_named(change)} has changed since the plan was made: nothing more was touched."
                " Run 'retrain plan' and look again"
            )


def _site(
    config: Config, clients: Clients, wanted: Iterable[Resource], bodies: Mapping[str, bytes]
) -> Site:
    return Site(config, clients, bodies, {resource.name: resource for resource in wanted})


def _adapter(site: Site, resource: Resource) -> Adapter:
    adapter = ADAPTERS.get(resource.type)
    if adapter is None:
        raise DeployError(f"{resource.id}: there is no adapter for {resource.type}")
    unknown = sorted(resource.properties.keys() - adapter.properties)
    if unknown:
        raise DeployError(
            f"{resource.id}: {resource.type} is not deployed with {', '.join(unknown)}"
        )
    return adapter(site)


def _bodies(artefacts: Artefacts) -> dict[str, bytes]:
    return {artefact.key: artefact.body for artefact in artefacts}


def _told(error: Exception, site: Site, pending: Sequence[Change]) -> str:
    if isinstance(error, DeployError):
        return str(error)
    if not pending:
        return explained(error, "s3", "the lock")
    return _explained(error, _adapter(site, pending[0].resource), pending[0].resource)


def _explained(error: Exception, adapter: Adapter, resource: Resource) -> str:
    if isinstance(error, WaiterError):
        return f"{resource.name} did not come up: {error}"
    service = _IAM_PREFIX.get(adapter.service, adapter.service)
    return explained(error, service, resource.name)


def _named(change: Change) -> str:
    return change.resource.id
