"""The resources of the local SageMaker: jobs and models, with their tags and lists.

What Describe and List show of a resource are the members that botocore's model has for them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import Any

from localaws.http.paging import page
from localaws.http.service_names import service_model
from localaws.persistence.documents import Documents
from localaws.sagemaker.errors import invalid

IN_PROGRESS, STOPPING = "InProgress", "Stopping"
RUNNING = frozenset({IN_PROGRESS, STOPPING})

_PAGE, _TAGS_PAGE, _MOST_TAGS = 10, 50, 50


@dataclass(frozen=True)
class ResourceType:
    """A type of resource.

    Attributes:
        name: As in the names of its operations, e.g. `TrainingJob`.
        path: Its word in ARNs, e.g. `training-job`.
        list_member: The member of the list's response, e.g. `TrainingJobSummaries`.
        phase: The word before `StartTime` and `EndTime`, e.g. `Training`; empty if it is no job.
        order: Of lists, if a request names none.
    """

    name: str
    path: str
    list_member: str
    phase: str = ""
    order: str = "Ascending"

    @property
    def name_member(self) -> str:
        """The member with a resource's name, e.g. `TrainingJobName`."""
        return f"{self.name}Name"

    @property
    def status_member(self) -> str:
        """The member with a job's status, e.g. `TrainingJobStatus`."""
        return f"{self.name}Status"

    @property
    def collection(self) -> str:
        """The collection of documents that keeps the resources."""
        return f"sagemaker {self.path}"


TRAINING_JOB = ResourceType("TrainingJob", "training-job", "TrainingJobSummaries", "Training")
PROCESSING_JOB = ResourceType(
    "ProcessingJob", "processing-job", "ProcessingJobSummaries", "Processing"
)
TRANSFORM_JOB = ResourceType(
    "TransformJob", "transform-job", "TransformJobSummaries", "Transform", "Descending"
)
MODEL = ResourceType("Model", "model", "Models", order="Descending")
RESOURCE_TYPES = (TRAINING_JOB, PROCESSING_JOB, TRANSFORM_JOB, MODEL)
COLLECTIONS = tuple(type_.collection for type_ in RESOURCE_TYPES)
"""The collections of documents that keep them."""


@dataclass(frozen=True)
class Resource:
    """One resource as it is at one moment.

    Attributes:
        type: Its type.
        number: How many of its type were created before it.
        details: The members that Describe returns.
        tags: Values by key.
        process: The id of the process that does a job's work, if one does.
    """

    type: ResourceType
    number: int
    details: Mapping[str, Any]
    tags: Mapping[str, str] = field(default_factory=dict)
    process: int | None = None

    @property
    def name(self) -> str:
        """Its name, unique for its type."""
        return str(self.details[self.type.name_member])

    @property
    def arn(self) -> str:
        """Its ARN."""
        return str(self.details[f"{self.type.name}Arn"])

    @property
    def status(self) -> str:
        """A job's status; empty for a model."""
        return str(self.details.get(self.type.status_member, ""))

    @property
    def phase(self) -> str:
        """What a job does: of a training its secondary status, of others the word of their type."""
        return str(self.details.get("SecondaryStatus", self.type.phase))


class Registry:
    """All resources of one account and region; safe to use from many threads.

    Args:
        account: 12 digits.
        region: Region of all ARNs.
        clock: The time of creation and change, aware.
        documents: Where resources are kept and read from.
    """

    def __init__(
        self,
        *,
        account: str,
        region: str,
        clock: Callable[[], datetime],
        documents: Documents,
    ) -> None:
        self.lock = threading.RLock()
        self.region = region
        partition = {"cn": "aws-cn", "us-gov": "aws-us-gov"}
        name = next((name for word, name in partition.items() if region.startswith(word)), "aws")
        self._prefix = f"arn:{name}:sagemaker:{region}:{account}"
        self._clock = clock
        self._documents = documents
        self._resources: dict[tuple[str, str], Resource] = {}
        for type_ in RESOURCE_TYPES:
            for key, document in documents.all(type_.collection):
                self._resources[type_.path, key] = Resource(type_, **document)

    def arn(self, type_: ResourceType, name: str) -> str:
        """Return the ARN of a name; SageMaker writes the names of resources small in it."""
        return f"{self._prefix}:{type_.path}/{name.lower()}"

    def create(self, type_: ResourceType, request: Mapping[str, Any], **details: Any) -> Resource:
        """Add a resource that does not exist: `find` tells.

        Args:
            type_: Its type.
            request: The create request, whose members the resource gets.
            details: Further members.
        """
        with self.lock:
            now = self._clock()
            name = request[type_.name_member]
            members = {key: value for key, value in request.items() if key != "Tags"} | {
                f"{type_.name}Arn": self.arn(type_, name),
                "CreationTime": now,
                **({"LastModifiedTime": now} if type_.phase else {}),
                **details,
            }
            others = [other.number for other in self._resources.values() if other.type is type_]
            resource = Resource(type_, max(others, default=-1) + 1, members)
            self._put(replace(resource, tags=_tagged({}, request.get("Tags", ()))))
            return resource

    def find(self, type_: ResourceType, name: str) -> Resource | None:
        """Return the resource of a name, None if there is none."""
        with self.lock:
            return self._resources.get((type_.path, name))

    def get(self, type_: ResourceType, name: str) -> Resource:
        """Return the resource of a name.

        Raises:
            ServiceError: ValidationException if there is none.
        """
        resource = self.find(type_, name)
        if resource is None:
            missing = f'Could not find model "{self.arn(MODEL, name)}".'
            raise invalid(missing if type_ is MODEL else "Requested resource not found.")
        return resource

    def running(self) -> list[Resource]:
        """Return the jobs that have not ended."""
        with self.lock:
            return [one for one in self._resources.values() if one.status in RUNNING]

    def update(self, resource: Resource, *, process: int | None = None, **details: Any) -> None:
        """Change members of a resource; the id of its process is forgotten unless it is given."""
        with self.lock:
            now = self._resources.get((resource.type.path, resource.name))
            if now is not None:
                changed = {**now.details, "LastModifiedTime": self._clock(), **details}
                self._put(replace(now, details=changed, process=process), can_wait=True)

    def delete(self, resource: Resource) -> None:
        """Forget a resource."""
        with self.lock:
            self._documents.drop(resource.type.collection, resource.name)
            self._resources.pop((resource.type.path, resource.name), None)

    def describe(self, type_: ResourceType, name: str) -> dict[str, Any]:
        """Return the response of the type's Describe operation."""
        details = self.get(type_, name).details
        return {key: details[key] for key in _described(type_) if key in details}

    def listed(self, type_: ResourceType, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the response of the type's List operation: one page, and the token of the next.

        Raises:
            ServiceError: ValidationException if the token is not one of this list.
        """
        with self.lock:
            resources = [one for one in self._resources.values() if one.type is type_]
        shown = [one for one in resources if _is_listed(one, request)]
        by = {"Name": "name", "Status": "status"}.get(request.get("SortBy", ""), "number")
        is_descending = request.get("SortOrder", type_.order) == "Descending"
        shown.sort(key=lambda one: (getattr(one, by), one.number), reverse=is_descending)
        members = _summarized(type_)
        entries = [
            (position, {key: one.details[key] for key in members if key in one.details})
            for position, one in enumerate(shown)
        ]
        summaries, token = page(
            entries,
            token=request.get("NextToken"),
            size=request.get("MaxResults", _PAGE),
            scope=type_.list_member,
            refusal="ValidationException",
        )
        return {type_.list_member: summaries, "NextToken": token}

    def listed_tags(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the response of ListTags."""
        tags = sorted(self._by_arn(request["ResourceArn"]).tags.items())
        shown, token = page(
            [(key, {"Key": key, "Value": value}) for key, value in tags],
            token=request.get("NextToken"),
            size=request.get("MaxResults", _TAGS_PAGE),
            scope=request["ResourceArn"],
            refusal="ValidationException",
        )
        return {"Tags": shown, "NextToken": token}

    def tag(self, arn: str, added: list[dict[str, str]], removed: list[str]) -> dict[str, str]:
        """Add tags to a resource, take others away, and return what it has then."""
        with self.lock:
            resource = self._by_arn(arn)
            kept = {key: value for key, value in resource.tags.items() if key not in removed}
            self._put(replace(resource, tags=_tagged(kept, added)))
            return dict(_tagged(kept, added))

    def _by_arn(self, arn: str) -> Resource:
        with self.lock:
            for resource in self._resources.values():
                if resource.arn == arn:
                    return resource
        raise invalid("Requested resource not found.")

    def _put(self, resource: Resource, *, can_wait: bool = False) -> None:
        document = {
            "number": resource.number,
            "details": resource.details,
            "tags": resource.tags,
            "process": resource.process,
        }
        self._documents.put(resource.type.collection, resource.name, document, can_wait=can_wait)
        self._resources[resource.type.path, resource.name] = resource


def _tagged(tags: Mapping[str, str], more: Any) -> Mapping[str, str]:
    """Return tags with more of them, as CreateTrainingJob and AddTags have them.

    Raises:
        ServiceError: ValidationException if AWS takes no such keys, or not so many.
    """
    keys = [tag["Key"] for tag in more]
    if reserved := [key for key in keys if key.lower().startswith("aws:")]:
        raise invalid(f"Tags: the prefix aws: of {reserved[0]!r} is kept for AWS's own tags")
    if len(keys) != len(set(keys)):
        raise invalid(f"Tags: keys must be unique: {', '.join(keys)}")
    merged = {**tags, **{tag["Key"]: tag["Value"] for tag in more}}
    if len(merged) > _MOST_TAGS:
        raise invalid(f"{len(merged)} tags; a resource has at most {_MOST_TAGS}")
    return merged


def _is_listed(resource: Resource, request: Mapping[str, Any]) -> bool:
    details = resource.details
    return (
        request.get("NameContains", "") in resource.name
        and request.get("StatusEquals", resource.status) == resource.status
        and request.get("WarmPoolStatusEquals") is None  # no job leaves a warm pool
        and request.get("TrainingPlanArnEquals") is None  # none is of a training plan
        and all(
            not (limit := request.get(f"{time}{side}"))
            or (details[time] > limit if side == "After" else details[time] < limit)
            for time in ("CreationTime", "LastModifiedTime")
            for side in ("After", "Before")
        )
    )


@cache
def _described(type_: ResourceType) -> tuple[str, ...]:
    shape: Any = service_model("sagemaker").operation_model(f"Describe{type_.name}").output_shape
    return tuple(shape.members)


@cache
def _summarized(type_: ResourceType) -> tuple[str, ...]:
    shape: Any = service_model("sagemaker").operation_model(f"List{type_.name}s").output_shape
    return tuple(shape.members[type_.list_member].member.members)
