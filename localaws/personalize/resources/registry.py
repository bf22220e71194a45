"""The resources of the local Personalize: creating, describing, listing, deleting any of them.

`types` describes each type of resource; the code here is the same for all of them.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from localaws.http.errors import ServiceError
from localaws.http.paging import page
from localaws.persistence.documents import Documents
from localaws.personalize.resources.quotas import Quotas
from localaws.personalize.resources.types import (
    CHANGING,
    DATASET,
    DELETE_PENDING,
    DELETING,
    PENDING,
    RESOURCE_TYPES,
    SOLUTION,
    SOLUTION_VERSION,
    ResourceType,
)

COLLECTION = "personalize resource"
"""The collection of documents that keeps the resources."""

_INTERRUPTED = "The local Personalize ended while this was in progress; create it again."
_PAGE_SIZE = 100


@dataclass(frozen=True)
class Resource:
    """One resource as it is at one moment.

    Attributes:
        type: Its type.
        arn: Its ARN.
        number: How many resources were created before it; the order of lists.
        details: The members that Describe returns, among them `status`, and further members that
            operations need; JSON values and datetimes.
        tags: Values by key.
    """

    type: ResourceType
    arn: str
    number: int
    details: Mapping[str, Any]
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """E.g. `CREATE PENDING`; a resource without a lifecycle is always `ACTIVE`."""
        return str(self.details["status"]) if self.type.lifecycle else "ACTIVE"


class Registry:
    """All resources of one account and region; safe to use from many threads.

    Args:
        account: 12 digits.
        region: E.g. `ap-northeast-1`; decides the partition of ARNs too.
        clock: The time of creation and change, aware.
        quotas: How many resources of each type there may be.
        documents: Where resources are kept and read from. Those for which work was in progress are
            CREATE FAILED with the reason, those that were being deleted are gone. None keeps them
            in memory alone.
    """

    def __init__(
        self,
        *,
        account: str,
        region: str,
        clock: Callable[[], datetime],
        quotas: Quotas,
        documents: Documents | None = None,
    ) -> None:
        self.lock = threading.RLock()
        self.partition = next(
            (name for name in ("aws-cn", "aws-us-gov") if region.startswith(name[4:] + "-")), "aws"
        )
        self.account = account
        self.quotas = quotas
        self._prefix = f"arn:{self.partition}:personalize:{region}:{account}"
        self._clock = clock
        self._documents = documents or Documents()
        self._resources: dict[str, Resource] = {}
        self._load()
        self._created = (
            max((resource.number for resource in self._resources.values()), default=-1) + 1
        )

    def new_id(self, text: str) -> str:
        """Return 64 hexadecimal digits for a text, others once a further resource is created."""
        return hashlib.sha256(f"{text} {self._created}".encode()).hexdigest()

    def create(
        self, type_: ResourceType, name: str, request: Mapping[str, Any], **details: Any
    ) -> Resource:
        """Add a new resource, CREATE PENDING.

        Args:
            type_: Its type.
            name: The ARN's last part, e.g. `labbase/ITEMS`.
            request: The create request, whose members the resource gets.
            details: Further members.

        Raises:
            ServiceError: If a parent is missing or not ACTIVE, the name is taken, or a quota
                is reached.
        """
        with self.lock:
            arn = f"{self._prefix}:{type_.path}/{name}"
            members = {key: value for key, value in request.items() if key != "tags"} | details
            for parent in type_.parents:
                self.active(members[parent.arn_member], parent)
            if arn in self._resources:
                raise ServiceError(
                    "ResourceAlreadyExistsException",
                    f"Another resource with Arn {arn} already exists.",
                )
            self._check_quotas(type_, members)
            now = self._clock()
            members |= {
                type_.arn_member: arn,
                "creationDateTime": now,
                "lastUpdatedDateTime": now,
            }
            if type_.lifecycle:
                members["status"] = type_.lifecycle.pending
            tags = self._add_tags({}, request.get("tags", ()))
            resource = Resource(type_, arn, self._created, members, tags)
            self._put(resource)
            self._created += 1
            return resource

    def get(self, arn: str, type_: ResourceType | None = None) -> Resource:
        """Return the resource of this ARN.

        Raises:
            ServiceError: ResourceNotFoundException if there is none of this type.
        """
        with self.lock:
            resource = self._resources.get(arn)
        if resource is None or type_ not in {None, resource.type}:
            raise ServiceError("ResourceNotFoundException", f"Resource Arn {arn} does not exist.")
        return resource

    def active(self, arn: str, type_: ResourceType | None = None) -> Resource:
        """Return the resource of this ARN, which can be used by others.

        Raises:
            ServiceError: ResourceNotFoundException, or ResourceInUseException if not ACTIVE.
        """
        resource = self.get(arn, type_)
        if resource.status != "ACTIVE":
            advice = {"INACTIVE": "Start it."}.get(resource.status, "Create another one.")
            if resource.status in PENDING:
                advice = "Wait for it."
            raise ServiceError(
                "ResourceInUseException",
                f"Resource {arn} is {resource.status}; it must be ACTIVE. {advice}",
            )
        return resource

    def find(self, type_: ResourceType, **members: Any) -> list[Resource]:
        """Return the resources of a type whose members have these values, oldest first."""
        with self.lock:
            return [
                resource
                for resource in self._resources.values()
                if resource.type is type_
                and all(resource.details.get(name) == value for name, value in members.items())
            ]

    def update(self, arn: str, **members: Any) -> None:
        """Change members of a resource; one that was deleted meanwhile stays deleted."""
        with self.lock:
            if resource := self._resources.get(arn):
                changed = {**resource.details, "lastUpdatedDateTime": self._clock(), **members}
                self._put(replace(resource, details=changed), can_wait=True)

    def begin_update(
        self, arn: str, member: str, update: Mapping[str, Any], **changes: Any
    ) -> None:
        """Change members of a resource, one of which describes an update that begins now."""
        now = self._clock()
        update = {**update, "creationDateTime": now, "lastUpdatedDateTime": now}
        self.update(arn, **changes, **{member: update})

    def describe(self, type_: ResourceType, arn: str) -> dict[str, Any]:
        """Return the response of the type's Describe operation."""
        return {type_.member: select(self.get(arn, type_).details, type_.described)}

    def page(self, type_: ResourceType, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the response of the type's List operation: one page, and the token of the next.

        Raises:
            ServiceError: InvalidNextTokenException if the token is not one of ours;
                ResourceNotFoundException if there is no such solution (of a missing parent of
                other types, the service model knows no such error: their lists are empty).
        """
        parent = request.get(type_.listed_by or "")
        if parent and type_ is SOLUTION_VERSION:
            self.get(parent, SOLUTION)
        resources = self.find(type_, **({str(type_.listed_by): parent} if parent else {}))
        summaries = [
            (resource.number, select(resource.details, type_.summarized)) for resource in resources
        ]
        return page_response(type_.list_member, summaries, request, scope=f"{type_.name} {parent}")

    def delete(self, type_: ResourceType, arn: str) -> list[Resource]:
        """Mark a resource and those that belong to it as DELETE PENDING.

        A resource without a status is deleted at once.

        Returns:
            All resources to delete, the one of this ARN first.

        Raises:
            ServiceError: ResourceInUseException if others need it, or its status is about to
                change.
        """
        with self.lock:
            resource = self.get(arn, type_)
            if resource.status in CHANGING:
                raise ServiceError(
                    "ResourceInUseException",
                    f"{arn} is {resource.status} and cannot be deleted now; wait for it.",
                )
            for other in self._blockers(resource):
                advice = "wait for it." if other.status in CHANGING else "delete that first."
                raise ServiceError(
                    "ResourceInUseException",
                    f"{arn} is used by {other.arn} ({other.status}); {advice}",
                )
            if type_.lifecycle is None:
                self.remove([resource])
                return [resource]
            children = self._naming(resource, type_.arn_member, type_.deleted_with)
            resources = [resource, *children]
            for deleted in resources:
                self.update(deleted.arn, status=DELETE_PENDING)
            return resources

    def remove(self, resources: Iterable[Resource]) -> None:
        """Delete resources from the registry."""
        with self.lock:
            for resource in resources:
                self._documents.drop(COLLECTION, resource.arn, can_wait=True)
                self._resources.pop(resource.arn, None)

    def tag(self, arn: str, tags: list[dict[str, str]]) -> None:
        """Add or change tags, each `{"tagKey": …, "tagValue": …}`."""
        with self.lock:
            resource = self.get(arn)
            self._put(replace(resource, tags=self._add_tags(resource.tags, tags)))

    def untag(self, arn: str, keys: list[str]) -> None:
        """Remove tags by key; a missing key is no error."""
        with self.lock:
            resource = self.get(arn)
            kept = {key: value for key, value in resource.tags.items() if key not in keys}
            self._put(replace(resource, tags=kept))

    def _put(self, resource: Resource, *, can_wait: bool = False) -> None:
        """Keep a resource in place of the one with its ARN."""
        document = {
            "type": resource.type.name,
            "number": resource.number,
            "details": resource.details,
            "tags": resource.tags,
        }
        self._documents.put(COLLECTION, resource.arn, document, can_wait=can_wait)
        self._resources[resource.arn] = resource

    def _load(self) -> None:
        """Load the resources that are kept; work that was in progress for them has ended."""
        for arn, document in self._documents.all(COLLECTION):
            type_ = RESOURCE_TYPES[document.pop("type")]
            resource = Resource(type_, arn, **document)
            if resource.status in DELETING:
                self._documents.drop(COLLECTION, arn)
            elif (details := _interruption(resource)) == resource.details:
                self._resources[arn] = resource
            else:
                self._put(replace(resource, details=details))

    def _add_tags(self, tags: Mapping[str, str], more: Any) -> dict[str, str]:
        merged = {**tags, **{tag["tagKey"]: tag["tagValue"] for tag in more}}
        if len(merged) > self.quotas.tags:
            raise ServiceError(
                "TooManyTagsException",
                f"{len(merged)} tags; a resource has at most {self.quotas.tags}.",
            )
        return merged

    def _blockers(self, resource: Resource) -> Iterator[Resource]:
        """Yield the resources that forbid the deletion of another."""
        type_ = resource.type
        for member, names in type_.blocked_while_pending.items():
            yield from (
                user for user in self._naming(resource, member, names) if user.status in PENDING
            )
        for member, names in type_.blocked_by.items():
            for other in self._naming(resource, member, names):
                used = other.type.dataset_types
                if type_ is not DATASET or not used or resource.details["datasetType"] in used:
                    yield other

    def _naming(self, resource: Resource, member: str, names: tuple[str, ...]) -> list[Resource]:
        """Return the resources of these types with the same value in a member as another."""
        value = resource.details[member]
        return [
            user for name in names for user in self.find(RESOURCE_TYPES[name], **{member: value})
        ]

    def _check_quotas(self, type_: ResourceType, members: Mapping[str, Any]) -> None:
        if type_.pending_quota is not None:
            most = getattr(self.quotas, type_.pending_quota)
            scope = {type_.pending_per: members[type_.pending_per]} if type_.pending_per else {}
            if sum(other.status in PENDING for other in self.find(type_, **scope)) >= most:
                raise ServiceError(
                    "LimitExceededException",
                    f"More than {most} resources with PENDING or IN_PROGRESS status.",
                )
        if type_.quota is not None:
            most = getattr(self.quotas, type_.quota)
            scope = {name: members[name] for name in ("datasetGroupArn",) if name in members}
            if sum(other.status not in DELETING for other in self.find(type_, **scope)) >= most:
                plural = type_.path if most == 1 else f"{type_.path}s"
                raise ServiceError(
                    "LimitExceededException",
                    f"The quota of {most} {plural} is reached; delete one first.",
                )


def page_response(
    member: str, entries: Sequence[tuple[int, Any]], request: Mapping[str, Any], *, scope: str
) -> dict[str, Any]:
    """Return one page of a list, as the response of a List operation.

    Args:
        member: The list's name in the response.
        entries: A number that never changes, and what the list shows; by ascending number.
        request: With `maxResults` and `nextToken`, if it has them.
        scope: Ties a token to the list that it belongs to.

    Raises:
        ServiceError: InvalidNextTokenException if the token is not one of this list.
    """
    size = request.get("maxResults", _PAGE_SIZE)
    shown, token = page(entries, token=request.get("nextToken"), size=size, scope=scope)
    return {member: shown, "nextToken": token}


def select(details: Mapping[str, Any], members: Iterable[str]) -> dict[str, Any]:
    """Return these members, as far as they exist."""
    return {name: details[name] for name in members if name in details}


def _interruption(resource: Resource) -> dict[str, Any]:
    """Return a resource's details once the work for it, and for its update, was interrupted."""
    details = dict(resource.details)
    if resource.type.lifecycle and resource.status in CHANGING:
        stopping = resource.status == "CREATE STOPPING"
        details["status"] = "CREATE STOPPED" if stopping else resource.type.lifecycle.failed
        if not stopping:
            details["failureReason"] = _INTERRUPTED
    for member, value in resource.details.items():
        if isinstance(value, Mapping) and value.get("status") in CHANGING:
            details[member] = {**value, "status": "CREATE FAILED", "failureReason": _INTERRUPTED}
    return details
