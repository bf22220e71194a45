"""What exists in the local Personalize: creating, describing, listing, deleting any resource.

`kinds` describes each kind of resource; the code here is the same for all of them. Which members
an answer has is read from the service model.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from localaws.http.errors import ServiceError
from localaws.http.paging import page
from localaws.http.service_names import service_model
from localaws.persistence.documents import Documents
from localaws.personalize.resources.quotas import Quotas
from localaws.personalize.resources.resource_types import (
    BY_ARN_MEMBER,
    CHANGING,
    DELETE_PENDING,
    DELETING,
    KINDS,
    PENDING,
    SOLUTION,
    SOLUTION_VERSION,
    Kind,
    Link,
)

KEPT_AS = "personalize resource"
_ENDED = "The local Personalize ended while this was under way; create it again."
_PAGE = 100


@dataclass(frozen=True)
class Resource:
    """One resource as it is at one moment.

    Args:
        kind: Its kind.
        arn: Its ARN.
        number: How many resources were created before it; the order of lists.
        details: The members that Describe knows, among them `status`, and what else is to be
            known of it; JSON values and datetimes.
        tags: Values by key.
    """

    kind: Kind
    arn: str
    number: int
    details: Mapping[str, Any]
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """E.g. `CREATE PENDING`; what has no life cycle is always `ACTIVE`."""
        return str(self.details["status"]) if self.kind.life else "ACTIVE"


class Registry:
    """All resources of one account and region; safe to use from many threads.

    Args:
        account: 12 digits.
        region: E.g. `ap-northeast-1`; decides the partition of ARNs too.
        clock: The time of creation and change, aware.
        quotas: How many of each kind there may be.
        documents: Where resources are kept; the ones that are there already are taken up. What was
            under way when they were left is CREATE FAILED with its reason, what was being deleted
            is gone. None forgets them.
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
        self._model = service_model("personalize")
        self._take_up()
        self._created = max((one.number for one in self._resources.values()), default=-1) + 1

    @property
    def created(self) -> int:
        """How many resources were ever created."""
        return self._created

    def create(self, kind: Kind, name: str, request: Mapping[str, Any], **details: Any) -> Resource:
        """Enter a new resource, CREATE PENDING.

        Args:
            kind: Its kind.
            name: The ARN's last part, e.g. `labbase/ITEMS`.
            request: The create request; its members are taken over.
            details: Further members.

        Raises:
            ServiceError: If a parent is missing or not ACTIVE, the name is taken, or a quota
                is reached. Nothing is entered then.
        """
        with self.lock:
            arn = f"{self._prefix}:{kind.path}/{name}"
            members = {key: value for key, value in request.items() if key != "tags"} | details
            for parent in kind.parents:
                self.active(members[parent], BY_ARN_MEMBER[parent])
            if arn in self._resources:
                raise ServiceError(
                    "ResourceAlreadyExistsException",
                    f"Another resource with Arn {arn} already exists.",
                )
            self._check_quota(kind, members)
            tags = self._tags({}, request.get("tags", ()))
            now = self._clock()
            members |= {
                kind.arn_member: arn,
                "creationDateTime": now,
                "lastUpdatedDateTime": now,
            }
            if kind.life:
                members["status"] = kind.life.pending
            resource = Resource(kind, arn, self._created, members, tags)
            self._put(resource)
            self._created += 1
            return resource

    def get(self, arn: str, kind: Kind | None = None) -> Resource:
        """The resource of this ARN.

        Raises:
            ServiceError: ResourceNotFoundException if there is none of this kind.
        """
        with self.lock:
            resource = self._resources.get(arn)
        if resource is None or (kind is not None and resource.kind != kind):
            raise ServiceError("ResourceNotFoundException", f"Resource Arn {arn} does not exist.")
        return resource

    def active(self, arn: str, kind: Kind | None = None) -> Resource:
        """The resource of this ARN, which can be used by others.

        Raises:
            ServiceError: ResourceNotFoundException, or ResourceInUseException if not ACTIVE.
        """
        resource = self.get(arn, kind)
        if resource.status != "ACTIVE":
            advice = {"INACTIVE": "Start it."}.get(resource.status, "Create another one.")
            if resource.status in PENDING:
                advice = "Wait for it."
            raise ServiceError(
                "ResourceInUseException",
                f"Resource {arn} is {resource.status}; it must be ACTIVE. {advice}",
            )
        return resource

    def find(self, kind: Kind, **members: Any) -> list[Resource]:
        """Resources of a kind whose members have these values, oldest first."""
        with self.lock:
            return [
                resource
                for resource in self._resources.values()
                if resource.kind == kind
                and all(resource.details.get(name) == value for name, value in members.items())
            ]

    def update(self, arn: str, **members: Any) -> None:
        """Change members of a resource; one that was deleted meanwhile stays deleted."""
        with self.lock:
            if resource := self._resources.get(arn):
                changed = {**resource.details, "lastUpdatedDateTime": self._clock(), **members}
                self._put(replace(resource, details=changed))

    def describe(self, kind: Kind, arn: str) -> dict[str, Any]:
        """The answer of the kind's Describe operation."""
        answer: Any = self._model.operation_model(f"Describe{kind.name}").output_shape
        return {kind.member: _members(self.get(arn, kind).details, answer.members[kind.member])}

    def summary(self, resource: Resource) -> dict[str, Any]:
        """The resource's entry in the answer of its List operation."""
        kind = resource.kind
        answer: Any = self._model.operation_model(f"List{kind.name}s").output_shape
        return _members(resource.details, answer.members[self._list_member(kind)].member)

    def page(self, kind: Kind, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of the kind's List operation: one page and the token of the next.

        Raises:
            ServiceError: InvalidNextTokenException if the token is not one of ours;
                ResourceNotFoundException if there is no such solution (of a missing parent of
                other kinds, the service model knows no such error: their lists are empty).
        """
        parent = request.get(kind.listed_by) if kind.listed_by else None
        if parent and kind is SOLUTION_VERSION:
            self.get(parent, SOLUTION)
        found = self.find(kind, **({str(kind.listed_by): parent} if parent else {}))
        summaries = [(resource.number, self.summary(resource)) for resource in found]
        return paged(self._list_member(kind), summaries, request, scope=f"{kind.name} {parent}")

    def delete(self, kind: Kind, arn: str) -> list[Resource]:
        """Mark a resource and what belongs to it as DELETE PENDING; what has no status is gone.

        Returns:
            All that shall go, the resource itself first.

        Raises:
            ServiceError: ResourceInUseException if others need it, or its status is about to
                change.
        """
        with self.lock:
            resource = self.get(arn, kind)
            if resource.status in CHANGING:
                raise ServiceError(
                    "ResourceInUseException",
                    f"{arn} is {resource.status} and cannot be deleted now; wait for it.",
                )
            for link in kind.blocked_by:
                for other in self._linked(resource, link):
                    if not link.while_pending or other.status in PENDING:
                        advice = (
                            "wait for it."
                            if link.while_pending or other.status in CHANGING
                            else "delete that first."
                        )
                        raise ServiceError(
                            "ResourceInUseException",
                            f"{arn} is used by {other.arn} ({other.status}); {advice}",
                        )
            along = [other for link in kind.takes_along for other in self._linked(resource, link)]
            going = [resource, *along]
            if kind.life is None:
                self.remove(*(one.arn for one in going))
            else:
                for one in going:
                    self.update(one.arn, status=DELETE_PENDING)
            return going

    def remove(self, *arns: str) -> None:
        """Forget resources."""
        with self.lock:
            for arn in arns:
                self._resources.pop(arn, None)
                self._documents.drop(KEPT_AS, arn)

    def tag(self, arn: str, add: list[dict[str, str]]) -> None:
        """Add or change tags, each `{"tagKey": …, "tagValue": …}`."""
        with self.lock:
            resource = self.get(arn)
            self._put(replace(resource, tags=self._tags(resource.tags, add)))

    def untag(self, arn: str, keys: list[str]) -> None:
        """Remove tags by key; a key that is not there is no error."""
        with self.lock:
            resource = self.get(arn)
            kept = {key: value for key, value in resource.tags.items() if key not in keys}
            self._put(replace(resource, tags=kept))

    def _put(self, resource: Resource) -> None:
        """Keep a resource in place of the one with its ARN."""
        self._resources[resource.arn] = resource
        document = {
            "type": resource.kind.name,
            "number": resource.number,
            "details": resource.details,
            "tags": resource.tags,
        }
        self._documents.put(KEPT_AS, resource.arn, document)

    def _take_up(self) -> None:
        """Take up the resources that are kept, as they are when nobody works for them."""
        for arn, document in self._documents.all(KEPT_AS):
            kind = KINDS[document["type"]]
            found = Resource(kind, arn, document["number"], document["details"], document["tags"])
            if found.status in DELETING:
                self._documents.drop(KEPT_AS, arn)
            elif (details := _ended(found)) == found.details:
                self._resources[arn] = found
            else:
                self._put(replace(found, details=details))

    def _list_member(self, kind: Kind) -> str:
        """The member that holds the list in the answer of the kind's List operation."""
        answer: Any = self._model.operation_model(f"List{kind.name}s").output_shape
        # ListFilters has Filters, all others are in camelCase.
        wanted = f"{kind.member}s".lower()
        return next(str(name) for name in answer.members if name.lower() == wanted)

    def _tags(self, tags: Mapping[str, str], add: Any) -> dict[str, str]:
        merged = {**tags, **{tag["tagKey"]: tag["tagValue"] for tag in add}}
        if len(merged) > self.quotas.tags:
            raise ServiceError(
                "TooManyTagsException",
                f"{len(merged)} tags; a resource has at most {self.quotas.tags}.",
            )
        return merged

    def _linked(self, resource: Resource, link: Link) -> list[Resource]:
        if link.dataset_types and resource.details.get("datasetType") not in link.dataset_types:
            return []
        return self.find(KINDS[link.kind], **{link.member: resource.details.get(link.own)})

    def _check_quota(self, kind: Kind, members: Mapping[str, Any]) -> None:
        if kind.pending_quota is not None:
            most = self.quotas.of(kind.pending_quota)
            scope = {kind.pending_per: members[kind.pending_per]} if kind.pending_per else {}
            if sum(other.status in PENDING for other in self.find(kind, **scope)) >= most:
                raise ServiceError(
                    "LimitExceededException",
                    f"More than {most} resources with PENDING or IN_PROGRESS status.",
                )
        if kind.quota is not None:
            most = self.quotas.of(kind.quota)
            scope = {kind.quota_per: members[kind.quota_per]} if kind.quota_per else {}
            there = [one for one in self.find(kind, **scope) if one.status not in DELETING]
            if len(there) >= most:
                plural = kind.path if most == 1 else f"{kind.path}s"
                raise ServiceError(
                    "LimitExceededException",
                    f"The quota of {most} {plural} is reached; delete one first.",
                )


def paged(
    member: str, entries: Sequence[tuple[int, Any]], request: Mapping[str, Any], *, scope: str
) -> dict[str, Any]:
    """One page of a list, as a List operation answers.

    Args:
        member: The list's name in the answer.
        entries: A number that never changes, and what the list shows; by ascending number.
        request: With `maxResults` and `nextToken`, if given.
        scope: Ties a token to the list that it belongs to.

    Raises:
        ServiceError: InvalidNextTokenException if the token is not one of this list.
    """
    size = request.get("maxResults", _PAGE)
    found, more = page(entries, token=request.get("nextToken"), size=size, scope=scope)
    return {member: found, "nextToken": more}


def _ended(resource: Resource) -> dict[str, Any]:
    """A resource's details after what was under way for it, and for its update, has ended."""
    details = dict(resource.details)
    if resource.kind.life and resource.status in CHANGING:
        stopping = resource.status == "CREATE STOPPING"
        details["status"] = "CREATE STOPPED" if stopping else resource.kind.life.failed
        if not stopping:
            details["failureReason"] = _ENDED
    for member, value in resource.details.items():
        if isinstance(value, Mapping) and value.get("status") in CHANGING:
            details[member] = {**value, "status": "CREATE FAILED", "failureReason": _ENDED}
    return details


def _members(details: Mapping[str, Any], shape: Any) -> dict[str, Any]:
    """The members of `details` that the shape has."""
    return {name: details[name] for name in shape.members if name in details}
