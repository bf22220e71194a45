"""From the model to AWS: compare, plan, and apply exactly the plan.

The stages, each with its rule:
    `plan`      reads AWS and compares it with the model; makes no call that changes anything
    `apply`     carries out a plan in the order of dependencies, under a lock, or refuses it whole
                where AWS is no longer as planned; nothing changed means no changing call at all
    `destroy_plan`, then `apply` too: in reverse order; a bucket is emptied only by `empty_bucket`
A failure stops: what was done, what was not, and how to go on are in the error. Running the same
again goes on, because it plans anew from what is there.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from workflow.config import Config
from workflow.definition.asl import Definition
from workflow.deployment.account import Clients, check_identity, explain_error
from workflow.deployment.adapters import ADAPTERS, Adapter, Bucket, Deployment, TakenError
from workflow.deployment.artefacts import Artefacts, build_artefacts
from workflow.deployment.derived_permissions import check_derived
from workflow.deployment.differences import Difference, changed_properties
from workflow.deployment.former_functions import former_functions
from workflow.deployment.lock import DeploymentLock
from workflow.deployment.models_of_runs import models_of_runs
from workflow.deployment.resources import Resource, resources
from workflow.errors import DeployError
from workflow.mistakes import ConfigError
from workflow.names import OWNER_TAG
from workflow.personalize import REGIONS

Action = Literal["create", "update", "replace", "unchanged", "blocked", "delete", "keep", "skip"]

_PARALLEL_READS = 8
_BUCKET = "AWS::S3::Bucket"


@dataclass(frozen=True)
class Change:
    """The planned action on a resource.

    Attributes:
        resource: As the model has it.
        action: What is done; `blocked` cannot be, and `note` says why and what to do instead;
            `keep` stays because it holds something, `skip` because it is not ours.
        differences: Between AWS and the model.
        destructive: Whether something is lost that cannot be brought back.
        note: What a person should know of it.
    """

    resource: Resource
    action: Action
    differences: tuple[Difference, ...] = ()
    destructive: bool = False
    note: str = ""


@dataclass(frozen=True)
class Plan:
    """The planned changes of a deployment, in its order.

    Attributes:
        config: The configuration that it deploys.
        changes: One for each resource of the model, and the deletion of each function that it had.
        bodies: What is uploaded, by S3 key.
        identity: ARN of who planned.
        destroys: Whether it deletes the deployment.
    """

    config: Config
    changes: tuple[Change, ...]
    bodies: Mapping[str, bytes]
    identity: str
    destroys: bool = False

    @property
    def pending(self) -> tuple[Change, ...]:
        """The changes to make."""
        idle = {"unchanged", "keep", "skip"}
        return tuple(change for change in self.changes if change.action not in idle)

    @property
    def blocked(self) -> tuple[Change, ...]:
        """The changes that cannot be made; a plan with any of them is never begun."""
        return tuple(change for change in self.changes if change.action == "blocked")

    @property
    def destructive(self) -> bool:
        """Whether anything is lost that cannot be brought back."""
        return any(change.destructive for change in self.pending)


@dataclass(frozen=True)
class Outcome:
    """The changes of a plan that were made, and those that were not.

    Attributes:
        done: In the order in which it was done.
        left: What was not done; the first of it is what failed, where something did.
    """

    done: tuple[Change, ...]
    left: tuple[Change, ...] = ()


class ApplyError(DeployError):
    """A plan that stopped before its end; `outcome` says how far it came."""

    def __init__(self, reason: str, outcome: Outcome, *, again: str) -> None:
        self.outcome = outcome
        done = [change.resource.id for change in outcome.done] or ["nothing"]
        left = [change.resource.id for change in outcome.left]
        failed = f"{left[0]}: " if left else ""
        super().__init__(
            f"{failed}{reason}\n  done: {', '.join(done)}\n"
            f"  not done: {', '.join(left) or 'nothing'}\n  {again} goes on from there"
        )


Progress = Callable[[Change, bool], None]
"""Called with each change as it begins (False) and when it is done (True)."""


def plan(
    config: Config,
    clients: Clients,
    *,
    artefacts: Artefacts | None = None,
    definition: Definition | None = None,
) -> Plan:
    """Compare the model of `config` with what is on AWS; changes nothing.

    Args:
        config: The configuration to deploy.
        clients: Of the account, for example from `workflow.deployment.account.clients_of`.
        artefacts: What is uploaded; built from the installed packages if left out.
        definition: The state machine's; made from the configuration if left out.

    Raises:
        DeployError: If AWS cannot be read, with the action and the ARN where a permission is
            missing.
        ConfigError: If a source of a team's function cannot be packaged.
        UnderivedPermissionsError: If the state machine's role would lack a permission.
    """
    check_derived(config, definition)
    built = artefacts or build_artefacts(config)
    model = resources(config, built, definition)
    planned = plan_resources(config, clients, model, built.bodies)
    removals, left = _removals(config, clients, model), _left_by_personalize(config, clients)
    return replace(planned, changes=(*planned.changes, *removals, *left))


def plan_resources(
    config: Config,
    clients: Clients,
    model: Sequence[Resource],
    bodies: Mapping[str, bytes] | None = None,
) -> Plan:
    """Compare any model with what is on AWS; `model` is in the order of dependencies."""
    identity = check_identity(config, clients)
    deployment = _deployment(config, clients, model, bodies or {})
    changes: dict[str, Change] = {}
    for reading in _readings(deployment, model):
        resource = reading.resource
        blocked = [need for need in resource.needs if changes[need].action == "blocked"]
        if blocked:
            note = f"needs {', '.join(changes[need].resource.name for need in blocked)}"
            changes[resource.id] = Change(resource, "blocked", note=note)
        else:
            changes[resource.id] = _compare(reading)
    return Plan(config, tuple(changes.values()), deployment.bodies, identity)


def destroy_plan(config: Config, clients: Clients, *, empty_bucket: bool = False) -> Plan:
    """Plan to delete everything that is ours; changes nothing.

    Args:
        config: Whose resources.
        clients: Of the account.
        empty_bucket: Delete the bucket with every version of everything in it; otherwise a bucket
            that holds anything is kept, with its policy.

    Raises:
        DeployError: If AWS cannot be read.
    """
    identity = check_identity(config, clients)
    try:
        built = build_artefacts(config)
    except ConfigError:  # a source that is gone, for example; the function goes by its name
        built = build_artefacts(config, own_functions=False)
    model = [  # in reverse, models go when nothing can make another one
        *models_of_runs(config, clients),
        *resources(config, built),
        *former_functions(config, clients),
    ]
    deployment = _deployment(config, clients, model, built.bodies)
    deletions = [
        change
        for reading in _readings(deployment, model)
        if (change := _deletion(reading, empty_bucket=empty_bucket))
    ]
    kept = {change.resource.name for change in deletions if change.action == "keep"}
    changes = [
        # What lies in a bucket is deleted and kept with it.
        Change(change.resource, "keep")
        if change.resource.properties.get("Bucket") in kept
        else change
        for change in reversed(deletions)
    ]
    changes += _left_by_personalize(config, clients)
    return Plan(config, tuple(changes), deployment.bodies, identity, destroys=True)


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
        plan: From `plan` or `destroy_plan`.
        clients: Of the account.
        now: The time, aware; others who deploy are shown it.
        progress: Called with each change.
        take_over: Take the lock of a deployment that was killed.
        sleep: Waits so many seconds while Personalize creates or deletes something.

    Raises:
        DeployError: If a change is blocked, another deployment is going on, or AWS has changed
            since it was planned; nothing was touched.
        ApplyError: If a change failed; the error says what was done and what was not.
    """
    if plan.blocked:
        notes = "\n".join(f"  {change.resource.id}: {change.note}" for change in plan.blocked)
        raise DeployError(f"nothing was touched, because some of it cannot be done:\n{notes}")
    if not plan.pending:
        return Outcome(())
    model = [change.resource for change in plan.changes]
    deployment = _deployment(plan.config, clients, model, plan.bodies, sleep=sleep)
    lock = _lock(plan, clients, now, take_over=take_over)
    done: list[Change] = []
    pending = list(plan.pending)

    def carry_out_next() -> None:
        _carry_out(deployment, pending[0], progress)
        done.append(pending.pop(0))

    try:
        if (pending[0].action, pending[0].resource.type) == ("create", _BUCKET):
            carry_out_next()  # the lock will lie in it
        with lock or nullcontext():
            _check_still_as_planned(plan, deployment, pending)
            while pending:
                carry_out_next()
    except (ClientError, BotoCoreError, DeployError) as error:
        if isinstance(error, DeployError) and not done:
            raise
        outcome = Outcome(tuple(done), tuple(pending))
        again = f"'retrain {'destroy' if plan.destroys else 'deploy'}'"
        if lock and lock.left_behind:
            again = f"{again[:-1]} --take-over' (the lock could not be released)"
        raise ApplyError(_reason(error, deployment, pending), outcome, again=again) from error
    return Outcome(tuple(done))


def describe(plan: Plan, *, unchanged: bool = False) -> Iterator[str]:
    """Yield the plan as lines of text, one for each resource and each difference, and the numbers.

    Args:
        plan: From `plan` or `destroy_plan`.
        unchanged: Whether to name the resources that do not change too.
    """
    shown = [change for change in plan.changes if unchanged or change.action != "unchanged"]
    width = max((len(change.resource.id) for change in shown), default=0)
    for change in shown:
        mark = "  DESTRUCTIVE" if change.destructive else ""
        note = f"  ({change.note})" if change.note else ""
        named = f"{change.resource.id:<{width}}  {change.resource.name}"
        yield f"{change.action:<10}{named}{mark}{note}"
        yield from (f"            {difference}" for difference in change.differences)
    counts = Counter(change.action for change in plan.changes)
    order: tuple[Action, ...] = ("create", "update", "replace", "delete", "blocked")
    summary = ", ".join(f"{counts[action]} to {action}" for action in order if counts[action])
    same = f", {counts['unchanged']} unchanged" if counts["unchanged"] else ""
    yield (summary.replace("to blocked", "blocked") or "nothing to do") + same


# Reading and comparing


@dataclass(frozen=True)
class _Reading:
    """A resource, its adapter, and its state on AWS, which is being read."""

    resource: Resource
    adapter: Adapter
    future: Future[Mapping[str, Any] | None]

    def current(self) -> Mapping[str, Any] | None:
        """Return the state on AWS, None if there is none."""
        try:
            return self.future.result()
        except (ClientError, BotoCoreError) as error:
            raise DeployError(_explain(error, self.adapter, self.resource)) from error


def _readings(deployment: Deployment, model: Sequence[Resource]) -> Iterator[_Reading]:
    """Yield the resources while they are read, several at a time."""
    adapters = [_adapter(deployment, resource) for resource in model]
    # boto3 makes clients one at a time, and reads safely on many threads.
    for adapter in adapters:
        _ = adapter.client
    with ThreadPoolExecutor(_PARALLEL_READS) as pool:
        readings = [
            _Reading(resource, adapter, pool.submit(adapter.read, resource))
            for resource, adapter in zip(model, adapters, strict=True)
        ]
        try:
            yield from readings
        finally:
            pool.shutdown(cancel_futures=True)


def _compare(reading: _Reading) -> Change:
    resource, adapter = reading.resource, reading.adapter
    try:
        current = reading.current()
    except TakenError as error:
        return Change(resource, "blocked", note=str(error))
    if current is None:
        return Change(resource, "create")
    if foreign := _foreign(resource, adapter, current):
        return Change(resource, "blocked", note=foreign)
    changes = adapter.compare(resource, current)
    if not changes:
        return Change(resource, "unchanged")
    if objection := adapter.objection(resource, current, changes):
        return Change(resource, "blocked", changes, note=objection)
    if not changed_properties(changes) & adapter.replaced_by:
        return Change(resource, "update", changes)
    if adapter.irreplaceable:
        return Change(resource, "blocked", changes, note=adapter.irreplaceable)
    return Change(resource, "replace", changes, destructive=bool(adapter.loses))


def _foreign(resource: Resource, adapter: Adapter, current: Mapping[str, Any]) -> str:
    """Return the owner of a resource and the remedy, empty if it is ours."""
    ours, owner = adapter.config.name, adapter.owner(resource, current)
    if owner == ours:
        return ""
    whose = f"belongs to the deployment '{owner}'" if owner else "is nobody's that we know"
    return (
        f"the name is taken, by something that {whose}: give another one in the configuration"
        f" (name, or the name of this resource in [aws]); if it is to be ours, tag it"
        f" {OWNER_TAG}={ours} first"
    )


def _deletion(reading: _Reading, *, empty_bucket: bool) -> Change | None:
    """Return the deletion of a resource, None if it does not exist."""
    resource, adapter = reading.resource, reading.adapter
    try:
        current = reading.current()
    except TakenError as error:
        return Change(resource, "skip", note=str(error))
    if current is None:
        return None
    if _foreign(resource, adapter, current):
        return Change(resource, "skip", note="not ours")
    if obstacle := adapter.obstacle(resource):
        return Change(resource, "blocked", note=obstacle)
    note = adapter.remark(resource) or (adapter.loses and f"with {adapter.loses}")
    if isinstance(adapter, Bucket) and (contents := adapter.contents(resource)):
        if not empty_bucket:
            return Change(resource, "keep", note=f"holds {contents}; --empty-bucket deletes them")
        note = f"with {contents}"
    return Change(resource, "delete", destructive=bool(adapter.loses), note=note)


def _removals(config: Config, clients: Clients, model: Sequence[Resource]) -> Iterator[Change]:
    """Yield the deletion of each function that was taken out of the configuration.

    The state machine comes before them in a plan, so that no new run calls them. One that the
    definition still names stays.
    """
    definitions = [resource.properties.get("DefinitionString") for resource in model]
    former = [
        resource
        for resource in former_functions(config, clients)
        if not any(resource.name in str(definition) for definition in definitions)
    ]
    for reading in _readings(_deployment(config, clients, former, {}), former):
        change = _deletion(reading, empty_bucket=False)
        if change is not None and change.action == "delete":
            log = f"/aws/lambda/{change.resource.name}"
            yield replace(change, note=f"not in the configuration any more; its log {log} stays")


def _left_by_personalize(config: Config, clients: Clients) -> Iterator[Change]:
    """Yield the dataset group of a workflow that has left Personalize: it stays, and is named."""
    if config.has_personalize or config.aws.region not in REGIONS:
        return
    properties = {"Name": config.dataset_group_arn.rpartition("/")[2]}
    group = Resource(
        "DatasetGroup", "AWS::Personalize::DatasetGroup", config.dataset_group_arn, properties
    )
    for reading in _readings(_deployment(config, clients, [group], {}), [group]):
        current = reading.current()
        if current is not None and not _foreign(group, reading.adapter, current):
            note = (
                "[publish] from leaves Personalize out: this stays with its data, what was trained"
                " and campaigns, which cost; delete it in the console if you do not go back"
            )
            yield Change(group, "keep", note=note)


# Carrying out


def _carry_out(deployment: Deployment, change: Change, progress: Progress) -> None:
    adapter, resource = _adapter(deployment, change.resource), change.resource
    progress(change, False)
    if change.action in {"delete", "replace"}:
        adapter.delete(resource)
    if change.action in {"create", "replace"}:
        adapter.create(resource)
    if change.action == "update":
        adapter.update(resource, change.differences)
    progress(change, True)


def _lock(plan: Plan, clients: Clients, now: datetime, *, take_over: bool) -> DeploymentLock | None:
    """Return the lock, None where the bucket that it would lie in is deleted, or is not ours.

    A bucket that the configuration names by its ARN is somebody else's, and meant for us.
    """
    bucket = next((c for c in plan.changes if c.resource.type == _BUCKET), None)
    if plan.config.is_own_bucket and (bucket is None or bucket.action in {"delete", "skip"}):
        return None
    name, owner = plan.config.bucket, plan.identity
    return DeploymentLock(clients("s3"), name, owner=owner, now=now, take_over=take_over)


def _check_still_as_planned(plan: Plan, deployment: Deployment, pending: Sequence[Change]) -> None:
    """Compare once more, now that nobody else deploys.

    Raises:
        DeployError: If something is not as it was when the plan was made.
    """
    readings = _readings(deployment, [change.resource for change in pending])
    for change, reading in zip(pending, readings, strict=True):
        if change.action == "delete":
            resource, adapter, current = reading.resource, reading.adapter, reading.current()
            same = current is not None and not _foreign(resource, adapter, current)
        else:
            now = _compare(reading)
            same = (now.action, now.differences) == (change.action, change.differences)
        if not same:
            raise DeployError(
                f"{change.resource.id} has changed since the plan was made: nothing more was"
                " touched. Run 'retrain plan' again"
            )


def _deployment(
    config: Config,
    clients: Clients,
    model: Iterable[Resource],
    bodies: Mapping[str, bytes],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Deployment:
    by_name = {resource.name: resource for resource in model}
    return Deployment(config, clients, bodies, by_name, sleep)


def _adapter(deployment: Deployment, resource: Resource) -> Adapter:
    adapter = ADAPTERS.get(resource.type)
    if adapter is None:
        raise DeployError(f"{resource.id}: there is no adapter for {resource.type}")
    if unknown := sorted(resource.properties.keys() - adapter.properties):
        raise DeployError(
            f"{resource.id}: {resource.type} is not deployed with {', '.join(unknown)}"
        )
    return adapter(deployment)


def _reason(error: Exception, deployment: Deployment, pending: Sequence[Change]) -> str:
    if isinstance(error, DeployError):
        return str(error)
    if not pending:
        return explain_error(error, "s3", "the lock")
    resource = pending[0].resource
    return _explain(error, _adapter(deployment, resource), resource)


def _explain(error: Exception, adapter: Adapter, resource: Resource) -> str:
    if isinstance(error, WaiterError):
        return f"{resource.name} did not come up: {error}"
    return explain_error(error, adapter.signing_name, resource.name)
