"""What exists in the local Personalize: every resource, its parents, its life cycle.

One table (`KINDS`) describes each kind of resource; creating, describing, listing and deleting
are the same code for all of them. Which members an answer has is read from the service model.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import botocore.session
import orjson

from localaws.protocol import ServiceError

PENDING = frozenset({"CREATE PENDING", "CREATE IN_PROGRESS", "CREATE STOPPING"})
_MAX_TAGS = 50  # https://docs.aws.amazon.com/personalize/latest/dg/tagging-resources.html


@dataclass(frozen=True)
class Link:
    """Resources of `kind` whose `member` equals this resource's `own` member."""

    kind: str
    member: str
    own: str
    while_pending: bool = False


@dataclass(frozen=True)
class Kind:
    """One kind of resource.

    Args:
        name: As the service model says it, e.g. ``DatasetGroup`` in ``CreateDatasetGroup``.
        path: The ARN's path in front of the name, e.g. ``dataset-group``.
        parents: Members of the create request with ARNs that must exist and be ACTIVE.
        listed_by: The member by which the list operation filters.
        blocked_by: What forbids deletion.
        takes_along: What is deleted together with it.
        most: Quota of all resources of this kind (per `most_per` member, if given).
        most_pending: Quota of resources pending or in progress.
        has_status: False for schemas, which have no life cycle.
    """

    name: str
    path: str
    parents: tuple[str, ...] = ()
    listed_by: str | None = None
    blocked_by: tuple[Link, ...] = ()
    takes_along: tuple[Link, ...] = ()
    most: int | None = None
    most_per: str | None = None
    most_pending: int | None = None
    has_status: bool = True

    @property
    def member(self) -> str:
        """The kind in camelCase, as members of requests and answers have it."""
        return self.name[0].lower() + self.name[1:]

    @property
    def arn_member(self) -> str:
        """The member that holds its ARN, e.g. ``datasetGroupArn``."""
        return f"{self.member}Arn"


SCHEMA = Kind(
    "Schema",
    "schema",
    blocked_by=(Link("Dataset", "schemaArn", "schemaArn"),),
    most=500,
    has_status=False,
)
DATASET_GROUP = Kind(
    "DatasetGroup",
    "dataset-group",
    blocked_by=(
        Link("Dataset", "datasetGroupArn", "datasetGroupArn"),
        Link("Solution", "datasetGroupArn", "datasetGroupArn"),
        Link("Filter", "datasetGroupArn", "datasetGroupArn"),
    ),
    most=5,
)
DATASET = Kind(
    "Dataset",
    "dataset",
    parents=("schemaArn", "datasetGroupArn"),
    listed_by="datasetGroupArn",
    blocked_by=(
        Link("DatasetImportJob", "datasetArn", "datasetArn", while_pending=True),
        Link("SolutionVersion", "datasetGroupArn", "datasetGroupArn", while_pending=True),
    ),
    takes_along=(Link("DatasetImportJob", "datasetArn", "datasetArn"),),
)
DATASET_IMPORT_JOB = Kind(
    "DatasetImportJob",
    "dataset-import-job",
    parents=("datasetArn",),
    listed_by="datasetArn",
    most_pending=5,
)
SOLUTION = Kind(
    "Solution",
    "solution",
    parents=("datasetGroupArn",),
    listed_by="datasetGroupArn",
    blocked_by=(Link("SolutionVersion", "solutionArn", "solutionArn", while_pending=True),),
    takes_along=(Link("SolutionVersion", "solutionArn", "solutionArn"),),
    most=10,
    most_per="datasetGroupArn",
)
SOLUTION_VERSION = Kind(
    "SolutionVersion",
    "solution",
    parents=("solutionArn",),
    listed_by="solutionArn",
    most_pending=20,
)
BATCH_INFERENCE_JOB = Kind(
    "BatchInferenceJob",
    "batch-inference-job",
    parents=("solutionVersionArn",),
    listed_by="solutionVersionArn",
    most_pending=5,
)
FILTER = Kind(
    "Filter",
    "filter",
    parents=("datasetGroupArn",),
    listed_by="datasetGroupArn",
    blocked_by=(Link("BatchInferenceJob", "filterArn", "filterArn", while_pending=True),),
    most=10,
    most_per="datasetGroupArn",
)
KINDS = {
    kind.name: kind
    for kind in (
        SCHEMA,
        DATASET_GROUP,
        DATASET,
        DATASET_IMPORT_JOB,
        SOLUTION,
        SOLUTION_VERSION,
        BATCH_INFERENCE_JOB,
        FILTER,
    )
}


@dataclass(frozen=True)
class Resource:
    """One resource as it is at one moment.

    Args:
        kind: Its kind.
        arn: Its ARN.
        number: How many resources were created before it; the order of lists.
        details: The members that Describe knows, among them ``status``.
        tags: Values by key.
    """

    kind: Kind
    arn: str
    number: int
    details: Mapping[str, Any]
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """E.g. ``CREATE PENDING``; what has no life cycle is always ``ACTIVE``."""
        return str(self.details["status"]) if self.kind.has_status else "ACTIVE"


class Registry:
    """All resources of one account and region; safe to use from many threads.

    Args:
        account: 12 digits.
        region: E.g. ``ap-northeast-1``; decides the partition of ARNs too.
        clock: The time of creation and change, aware.
        secret: Signs page tokens, so that a forged one is told apart.
    """

    def __init__(
        self, *, account: str, region: str, clock: Callable[[], datetime], secret: bytes
    ) -> None:
        self.lock = threading.RLock()
        self.partition = next(
            (name for name in ("aws-cn", "aws-us-gov") if region.startswith(name[4:] + "-")), "aws"
        )
        self._prefix = f"arn:{self.partition}:personalize:{region}:{account}"
        self._clock = clock
        self._secret = secret
        self._resources: dict[str, Resource] = {}
        self._created = 0
        self._model = botocore.session.Session().get_service_model("personalize")

    @property
    def created(self) -> int:
        """How many resources were ever created."""
        return self._created

    def create(self, kind: Kind, name: str, request: Mapping[str, Any], **details: Any) -> Resource:
        """Enter a new resource, CREATE PENDING.

        Args:
            kind: Its kind.
            name: The ARN's last part, e.g. ``labbase/ITEMS``.
            request: The create request; its members are taken over.
            details: Further members.

        Raises:
            ServiceError: If a parent is missing or not ACTIVE, the name is taken, or a quota
                is reached.
        """
        with self.lock:
            arn = f"{self._prefix}:{kind.path}/{name}"
            for parent in kind.parents:
                self.active(request[parent])
            if arn in self._resources:
                raise ServiceError(
                    "ResourceAlreadyExistsException",
                    f"Another resource with Arn {arn} already exists.",
                )
            self._check_quota(kind, request)
            tags = self._tags({}, request.get("tags", ()))
            now = self._clock()
            members = {key: value for key, value in request.items() if key != "tags"} | details
            members |= {
                kind.arn_member: arn,
                "creationDateTime": now,
                "lastUpdatedDateTime": now,
            }
            if kind.has_status:
                members["status"] = "CREATE PENDING"
            resource = Resource(kind, arn, self._created, members, tags)
            self._resources[arn] = resource
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
            advice = "Wait for it." if resource.status in PENDING else "Create another one."
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
                self._resources[arn] = replace(resource, details=changed)

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
        member = self._list_member(kind)
        return self.paged(member, summaries, request, scope=f"{kind.name} {parent}")

    def paged(
        self,
        member: str,
        entries: list[tuple[int, dict[str, Any]]],
        request: Mapping[str, Any],
        *,
        scope: str,
    ) -> dict[str, Any]:
        """One page of numbered entries; `scope` ties a token to the list that it belongs to."""
        start = self._number_of(request["nextToken"], scope) if "nextToken" in request else 0
        rest = [entry for entry in entries if entry[0] >= start]
        size = request.get("maxResults", 100)
        answer: dict[str, Any] = {member: [summary for _, summary in rest[:size]]}
        if len(rest) > size:
            answer["nextToken"] = self._token(rest[size][0], scope)
        return answer

    def delete(self, kind: Kind, arn: str) -> list[Resource]:
        """Delete a resource and what belongs to it; returns all that is gone.

        Raises:
            ServiceError: ResourceInUseException if others need it.
        """
        with self.lock:
            resource = self.get(arn, kind)
            for link in kind.blocked_by:
                for other in self._linked(resource, link):
                    if not link.while_pending or other.status in PENDING:
                        raise ServiceError(
                            "ResourceInUseException",
                            f"{arn} is used by {other.arn} ({other.status}); "
                            + ("wait for it." if link.while_pending else "delete that first."),
                        )
            along = [other for link in kind.takes_along for other in self._linked(resource, link)]
            gone = [resource, *along]
            for one in gone:
                del self._resources[one.arn]
            return gone

    def tag(self, arn: str, add: list[dict[str, str]]) -> None:
        """Add or change tags, each ``{"tagKey": …, "tagValue": …}``."""
        with self.lock:
            resource = self.get(arn)
            self._resources[arn] = replace(resource, tags=self._tags(resource.tags, add))

    def untag(self, arn: str, keys: list[str]) -> None:
        """Remove tags by key; a key that is not there is no error."""
        with self.lock:
            resource = self.get(arn)
            kept = {key: value for key, value in resource.tags.items() if key not in keys}
            self._resources[arn] = replace(resource, tags=kept)

    def _list_member(self, kind: Kind) -> str:
        """The member that holds the list in the answer of the kind's List operation."""
        answer: Any = self._model.operation_model(f"List{kind.name}s").output_shape
        # ListFilters has Filters, all others are in camelCase.
        wanted = f"{kind.member}s".lower()
        return next(str(name) for name in answer.members if name.lower() == wanted)

    @staticmethod
    def _tags(tags: Mapping[str, str], add: Any) -> dict[str, str]:
        merged = {**tags, **{tag["tagKey"]: tag["tagValue"] for tag in add}}
        if len(merged) > _MAX_TAGS:
            raise ServiceError(
                "TooManyTagsException", f"{len(merged)} tags; a resource has at most {_MAX_TAGS}."
            )
        return merged

    def _linked(self, resource: Resource, link: Link) -> list[Resource]:
        return self.find(KINDS[link.kind], **{link.member: resource.details[link.own]})

    def _check_quota(self, kind: Kind, request: Mapping[str, Any]) -> None:
        if kind.most_pending is not None:
            pending = sum(other.status in PENDING for other in self.find(kind))
            if pending >= kind.most_pending:
                raise ServiceError(
                    "LimitExceededException",
                    f"More than {kind.most_pending} resources with PENDING or IN_PROGRESS status.",
                )
        if kind.most is not None:
            scope = {kind.most_per: request[kind.most_per]} if kind.most_per else {}
            if len(self.find(kind, **scope)) >= kind.most:
                raise ServiceError(
                    "LimitExceededException",
                    f"The quota of {kind.most} {kind.path}s is reached; delete one first.",
                )

    def _token(self, number: int, scope: str) -> str:
        body = orjson.dumps([number, scope])
        return base64.urlsafe_b64encode(self._signature(body) + body).decode("ascii")

    def _number_of(self, token: str, scope: str) -> int:
        try:
            raw = base64.urlsafe_b64decode(token)
            signature, body = raw[:32], raw[32:]
            if hmac.compare_digest(signature, self._signature(body)):
                number, owner = orjson.loads(body)
                if owner == scope:
                    return int(number)
        except ValueError:
            pass
        raise ServiceError(
            "InvalidNextTokenException",
            "nextToken is not one that this list returned; start again without it.",
        )

    def _signature(self, body: bytes) -> bytes:
        return hmac.new(self._secret, body, hashlib.sha256).digest()


def _members(details: Mapping[str, Any], shape: Any) -> dict[str, Any]:
    """The members of `details` that the shape has."""
    return {name: details[name] for name in shape.members if name in details}
