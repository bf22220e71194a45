"""Every kind of resource that Amazon Personalize has, in one table.

Names, parents, life cycles and what forbids deletion are data here; `registry` is the one piece
of code that acts on them. What forbids deletion stands in the documentation of the Delete
operations, e.g. https://docs.aws.amazon.com/personalize/latest/dg/API_DeleteSolution.html and
https://docs.aws.amazon.com/personalize/latest/dg/delete-dataset.html
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LifeCycle:
    """The statuses that a resource goes through."""

    pending: str = "CREATE PENDING"
    running: str = "CREATE IN_PROGRESS"
    done: str = "ACTIVE"
    failed: str = "CREATE FAILED"


CREATION = LifeCycle()
DATA_DELETION = LifeCycle("PENDING", "IN_PROGRESS", "COMPLETED", "FAILED")
"""https://docs.aws.amazon.com/personalize/latest/dg/API_CreateDataDeletionJob.html"""

DELETE_PENDING, DELETE_RUNNING = "DELETE PENDING", "DELETE IN_PROGRESS"
DELETING = frozenset({DELETE_PENDING, DELETE_RUNNING})
PENDING = frozenset(
    {"CREATE PENDING", "CREATE IN_PROGRESS", "CREATE STOPPING", "PENDING", "IN_PROGRESS"}
)
"""What work is under way for, or waits."""

CHANGING = (
    PENDING | DELETING | {"START PENDING", "START IN_PROGRESS", "STOP PENDING", "STOP IN_PROGRESS"}
)
"""What will be of another status without anybody's doing."""


@dataclass(frozen=True)
class Link:
    """Resources of `kind` whose `member` equals this resource's `own` member.

    Args:
        kind: Theirs.
        member: Theirs.
        own: This resource's.
        while_pending: Only those for which work is under way.
        dataset_types: Only if this resource is a dataset of one of these types; of any if empty.
    """

    kind: str
    member: str
    own: str
    while_pending: bool = False
    dataset_types: tuple[str, ...] = ()


def _same(
    kind: str, member: str, *, while_pending: bool = False, dataset_types: tuple[str, ...] = ()
) -> Link:
    """Resources of `kind` that name the same one in `member` as this resource does."""
    return Link(kind, member, member, while_pending, dataset_types)


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
        quota: `Quotas`' name of how many there may be (per `quota_per` member, if given).
        quota_per: See `quota`.
        pending_quota: `Quotas`' name of how many may be pending or in progress.
        pending_per: The member that tells which of them count together, if not all.
        life: Its statuses; None for schemas, which have none.
        deletable: Whether there is a Delete operation.
    """

    name: str
    path: str
    parents: tuple[str, ...] = ()
    listed_by: str | None = None
    blocked_by: tuple[Link, ...] = ()
    takes_along: tuple[Link, ...] = ()
    quota: str | None = None
    quota_per: str | None = None
    pending_quota: str | None = None
    pending_per: str | None = None
    life: LifeCycle | None = CREATION
    deletable: bool = True

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
    blocked_by=(_same("Dataset", "schemaArn"),),
    quota="schemas",
    life=None,
)
DATASET_GROUP = Kind(
    "DatasetGroup",
    "dataset-group",
    blocked_by=(
        _same("Dataset", "datasetGroupArn"),
        _same("Solution", "datasetGroupArn"),
        _same("Recommender", "datasetGroupArn"),
        _same("EventTracker", "datasetGroupArn"),
        _same("Filter", "datasetGroupArn"),
        _same("MetricAttribution", "datasetGroupArn"),
        _same("DataDeletionJob", "datasetGroupArn", while_pending=True),
    ),
    quota="dataset_groups",
)
DATASET = Kind(
    "Dataset",
    "dataset",
    parents=("schemaArn", "datasetGroupArn"),
    listed_by="datasetGroupArn",
    blocked_by=(
        _same("DatasetImportJob", "datasetArn", while_pending=True),
        _same("DatasetExportJob", "datasetArn", while_pending=True),
        _same("DataDeletionJob", "datasetGroupArn", while_pending=True),
        _same("SolutionVersion", "datasetGroupArn", while_pending=True),
        _same("Recommender", "datasetGroupArn", while_pending=True),
        _same("BatchInferenceJob", "datasetGroupArn", while_pending=True),
        _same("BatchSegmentJob", "datasetGroupArn", while_pending=True),
        _same("Campaign", "datasetGroupArn"),
        _same("Filter", "datasetGroupArn"),
        _same("EventTracker", "datasetGroupArn", dataset_types=("INTERACTIONS",)),
        _same("MetricAttribution", "datasetGroupArn", dataset_types=("INTERACTIONS", "ITEMS")),
    ),
    takes_along=(_same("DatasetImportJob", "datasetArn"), _same("DatasetExportJob", "datasetArn")),
)
DATASET_IMPORT_JOB = Kind(
    "DatasetImportJob",
    "dataset-import-job",
    parents=("datasetArn",),
    listed_by="datasetArn",
    pending_quota="pending_imports",
    deletable=False,
)
DATASET_EXPORT_JOB = Kind(
    "DatasetExportJob",
    "dataset-export-job",
    parents=("datasetArn",),
    listed_by="datasetArn",
    pending_quota="pending_exports",
    deletable=False,
)
DATA_DELETION_JOB = Kind(
    "DataDeletionJob",
    "data-deletion-job",
    parents=("datasetGroupArn",),
    listed_by="datasetGroupArn",
    pending_quota="pending_deletions",
    pending_per="datasetGroupArn",
    life=DATA_DELETION,
    deletable=False,
)
SOLUTION = Kind(
    "Solution",
    "solution",
    parents=("datasetGroupArn",),
    listed_by="datasetGroupArn",
    blocked_by=(
        _same("Campaign", "solutionArn"),
        _same("SolutionVersion", "solutionArn", while_pending=True),
        _same("BatchInferenceJob", "solutionArn", while_pending=True),
        _same("BatchSegmentJob", "solutionArn", while_pending=True),
    ),
    takes_along=(_same("SolutionVersion", "solutionArn"),),
    quota="solutions",
    quota_per="datasetGroupArn",
)
SOLUTION_VERSION = Kind(
    "SolutionVersion",
    "solution",
    parents=("solutionArn",),
    listed_by="solutionArn",
    pending_quota="pending_trainings",
    deletable=False,
)
CAMPAIGN = Kind(
    "Campaign",
    "campaign",
    parents=("solutionArn",),
    listed_by="solutionArn",
    quota="campaigns",
    quota_per="datasetGroupArn",
)
RECOMMENDER = Kind(
    "Recommender",
    "recommender",
    parents=("datasetGroupArn",),
    listed_by="datasetGroupArn",
    quota="recommenders",
    quota_per="datasetGroupArn",
)
BATCH_INFERENCE_JOB = Kind(
    "BatchInferenceJob",
    "batch-inference-job",
    parents=("solutionVersionArn",),
    listed_by="solutionVersionArn",
    pending_quota="pending_batch_inferences",
    deletable=False,
)
BATCH_SEGMENT_JOB = Kind(
    "BatchSegmentJob",
    "batch-segment-job",
    parents=("solutionVersionArn",),
    listed_by="solutionVersionArn",
    pending_quota="pending_batch_segments",
    deletable=False,
)
EVENT_TRACKER = Kind(
    "EventTracker",
    "event-tracker",
    parents=("datasetGroupArn",),
    listed_by="datasetGroupArn",
    quota="event_trackers",
    quota_per="datasetGroupArn",
)
FILTER = Kind(
    "Filter",
    "filter",
    parents=("datasetGroupArn",),
    listed_by="datasetGroupArn",
    blocked_by=(
        _same("BatchInferenceJob", "filterArn", while_pending=True),
        _same("BatchSegmentJob", "filterArn", while_pending=True),
    ),
    quota="filters",
    quota_per="datasetGroupArn",
)
METRIC_ATTRIBUTION = Kind(
    "MetricAttribution",
    "metric-attribution",
    parents=("datasetGroupArn",),
    listed_by="datasetGroupArn",
    quota="metric_attributions",
    quota_per="datasetGroupArn",
)
KINDS = {
    kind.name: kind
    for kind in (
        SCHEMA,
        DATASET_GROUP,
        DATASET,
        DATASET_IMPORT_JOB,
        DATASET_EXPORT_JOB,
        DATA_DELETION_JOB,
        SOLUTION,
        SOLUTION_VERSION,
        CAMPAIGN,
        RECOMMENDER,
        BATCH_INFERENCE_JOB,
        BATCH_SEGMENT_JOB,
        EVENT_TRACKER,
        FILTER,
        METRIC_ATTRIBUTION,
    )
}
BY_ARN_MEMBER = {kind.arn_member: kind for kind in KINDS.values()}
