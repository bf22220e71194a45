"""Every type of resource that Amazon Personalize has, in one table.

What the service model knows (parents, lists, which can be deleted) is read from it. What forbids
deletion stands in the documentation of the Delete operations, e.g.
https://docs.aws.amazon.com/personalize/latest/dg/API_DeleteSolution.html and
https://docs.aws.amazon.com/personalize/latest/dg/delete-dataset.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from botocore import xform_name
from botocore.model import StructureShape

from localaws.http.service_names import service_model


@dataclass(frozen=True)
class Lifecycle:
    """The statuses that a resource goes through."""

    pending: str = "CREATE PENDING"
    running: str = "CREATE IN_PROGRESS"
    done: str = "ACTIVE"
    failed: str = "CREATE FAILED"


DELETE_PENDING, DELETE_RUNNING = "DELETE PENDING", "DELETE IN_PROGRESS"
DELETING = frozenset({DELETE_PENDING, DELETE_RUNNING})
PENDING = frozenset(
    {"CREATE PENDING", "CREATE IN_PROGRESS", "CREATE STOPPING", "PENDING", "IN_PROGRESS"}
)
"""Work for the resource waits or runs."""

CHANGING = (
    PENDING | DELETING | {"START PENDING", "START IN_PROGRESS", "STOP PENDING", "STOP IN_PROGRESS"}
)
"""The status will change by itself."""


@dataclass(frozen=True, eq=False)
class ResourceType:
    """One type of resource.

    Attributes:
        name: As the service model writes it, e.g. `DatasetGroup` in `CreateDatasetGroup`.
        lifecycle: Its statuses; None for schemas, which have none.
        blocked_by: The names of the types whose resources forbid deletion, by the member in which
            they have the same ARN as the resource to delete.
        blocked_while_pending: The same of resources that forbid it while work for them is in
            progress.
        deleted_with: The names of the types whose resources are deleted together with it.
        dataset_types: The types of the datasets that it uses; all if empty.
        quota: The name in `Quotas` of how many there may be in a dataset group; in a region, if it
            belongs to none.
        pending_quota: The name in `Quotas` of how many may be pending or in progress.
        pending_per: The member that tells which of them count together; all in the region if None.
    """

    name: str
    lifecycle: Lifecycle | None = Lifecycle()
    blocked_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    blocked_while_pending: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    deleted_with: tuple[str, ...] = ()
    dataset_types: tuple[str, ...] = ()
    quota: str | None = None
    pending_quota: str | None = None
    pending_per: str | None = None

    @property
    def path(self) -> str:
        """The ARN's path in front of the name, e.g. `dataset-group`."""
        return "solution" if self.name == "SolutionVersion" else xform_name(self.name, "-")

    @property
    def member(self) -> str:
        """The type in camelCase, as members of requests and responses have it."""
        return self.name[0].lower() + self.name[1:]

    @property
    def arn_member(self) -> str:
        """The member that holds its ARN, e.g. `datasetGroupArn`."""
        return f"{self.member}Arn"

    @cached_property
    def parents(self) -> tuple[ResourceType, ...]:
        """The types of the resources that must exist and be ACTIVE when one is created."""
        required = _shapes(f"Create{self.name}")[0].required_members
        return tuple(type_ for type_ in RESOURCE_TYPES.values() if type_.arn_member in required)

    @cached_property
    def listed_by(self) -> str | None:
        """The member by which the List operation filters."""
        members = _shapes(f"List{self.name}s")[0].members
        return next((member for member in members if member.endswith("Arn")), None)

    @cached_property
    def list_member(self) -> str:
        """The member with the list in the response of the List operation."""
        members = _shapes(f"List{self.name}s")[1].members
        return next(member for member in members if member != "nextToken")

    @cached_property
    def described(self) -> tuple[str, ...]:
        """The members that the Describe operation returns."""
        shape: Any = _shapes(f"Describe{self.name}")[1].members[self.member]
        return tuple(shape.members)

    @cached_property
    def summarized(self) -> tuple[str, ...]:
        """The members of one entry of the list that the List operation returns."""
        shape: Any = _shapes(f"List{self.name}s")[1].members[self.list_member]
        return tuple(shape.member.members)

    @property
    def is_deletable(self) -> bool:
        """Whether there is a Delete operation."""
        return f"Delete{self.name}" in service_model("personalize").operation_names


def _shapes(operation: str) -> tuple[StructureShape, StructureShape]:
    """Return the shapes of an operation's request and response."""
    model: Any = service_model("personalize").operation_model(operation)
    return model.input_shape, model.output_shape


SCHEMA = ResourceType(
    "Schema", lifecycle=None, blocked_by={"schemaArn": ("Dataset",)}, quota="schemas"
)
DATASET_GROUP = ResourceType(
    "DatasetGroup",
    blocked_by={
        "datasetGroupArn": (
            *("Dataset", "Solution", "Recommender", "EventTracker", "Filter"),
            "MetricAttribution",
        )
    },
    blocked_while_pending={"datasetGroupArn": ("DataDeletionJob",)},
    quota="dataset_groups",
)
DATASET = ResourceType(
    "Dataset",
    blocked_by={"datasetGroupArn": ("Campaign", "Filter", "EventTracker", "MetricAttribution")},
    blocked_while_pending={
        "datasetArn": ("DatasetImportJob", "DatasetExportJob"),
        "datasetGroupArn": (
            *("DataDeletionJob", "SolutionVersion", "Recommender"),
            *("BatchInferenceJob", "BatchSegmentJob"),
        ),
    },
    deleted_with=("DatasetImportJob", "DatasetExportJob"),
)
DATASET_IMPORT_JOB = ResourceType("DatasetImportJob", pending_quota="pending_imports")
DATASET_EXPORT_JOB = ResourceType("DatasetExportJob", pending_quota="pending_exports")
DATA_DELETION_JOB = ResourceType(
    "DataDeletionJob",
    # https://docs.aws.amazon.com/personalize/latest/dg/API_CreateDataDeletionJob.html
    lifecycle=Lifecycle("PENDING", "IN_PROGRESS", "COMPLETED", "FAILED"),
    pending_quota="pending_deletions",
    pending_per="datasetGroupArn",
)
SOLUTION = ResourceType(
    "Solution",
    blocked_by={"solutionArn": ("Campaign",)},
    blocked_while_pending={
        "solutionArn": ("SolutionVersion", "BatchInferenceJob", "BatchSegmentJob")
    },
    deleted_with=("SolutionVersion",),
    quota="solutions",
)
SOLUTION_VERSION = ResourceType("SolutionVersion", pending_quota="pending_trainings")
CAMPAIGN = ResourceType("Campaign", quota="campaigns")
RECOMMENDER = ResourceType("Recommender", quota="recommenders")
BATCH_INFERENCE_JOB = ResourceType("BatchInferenceJob", pending_quota="pending_batch_inferences")
BATCH_SEGMENT_JOB = ResourceType("BatchSegmentJob", pending_quota="pending_batch_segments")
EVENT_TRACKER = ResourceType(
    "EventTracker", dataset_types=("INTERACTIONS",), quota="event_trackers"
)
FILTER = ResourceType(
    "Filter",
    blocked_while_pending={"filterArn": ("BatchInferenceJob", "BatchSegmentJob")},
    quota="filters",
)
METRIC_ATTRIBUTION = ResourceType(
    "MetricAttribution", dataset_types=("INTERACTIONS", "ITEMS"), quota="metric_attributions"
)
RESOURCE_TYPES = {
    type_.name: type_
    for type_ in (
        *(SCHEMA, DATASET_GROUP, DATASET, DATASET_IMPORT_JOB, DATASET_EXPORT_JOB),
        *(DATA_DELETION_JOB, SOLUTION, SOLUTION_VERSION, CAMPAIGN, RECOMMENDER),
        *(BATCH_INFERENCE_JOB, BATCH_SEGMENT_JOB, EVENT_TRACKER, FILTER, METRIC_ATTRIBUTION),
    )
}
