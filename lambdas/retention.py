"""What old runs left and may go: their files on S3, and solutions that are not used any more.

    read_stock ── clean_up_of ──> what goes, what stays and why ── delete

`clean_up_of` is pure: the workflow's function and `retrain clean --dry-run` see the same.
Personalize deletes neither import nor batch inference jobs, nor a single version of a solution:
what jobs wrote is among the files, and a solution goes with all its versions.
https://docs.aws.amazon.com/personalize/latest/dg/API_DeleteSolution.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lambdas.errors import CleanUpFailed
from lambdas.jobs import solution_of
from lambdas.records import PUBLISHED, read_object

# What a run decided stays: it is small, and a later run compares its data sets with it.
_RECORD = re.compile(r"(?P<folder>(recommenders/[^/]+/)?)record/(?P<file>.*)")
_PUBLICATION = "publication.json"
_MANIFEST = "manifest.json"
_LIST = "recommendations/recommendations.csv"
_IN_CREATION = frozenset({"CREATE PENDING", "CREATE IN_PROGRESS"})
_MOST_KEYS = 1_000  # that DeleteObjects takes


@dataclass(frozen=True)
class RunFolder:
    """The files of a run.

    Attributes:
        run: Its name.
        begun: When its first file was written.
        files: Paths below the run's prefix → bytes, the newest first: what is left of a run of
            which not all could be deleted is as old as the run.
    """

    run: str
    begun: datetime
    files: Mapping[str, int]

    @property
    def removable(self) -> dict[str, int]:
        """The files that may go; first those by which a run can be gone back to or resumed."""
        leading = [*self._publications.values(), *({_MANIFEST} & self.files.keys())]
        others = [path for path in self.files if not _RECORD.match(path)]
        return {path: self.files[path] for path in [*leading, *others]}

    @property
    def size(self) -> int:
        """Bytes of the files that may go."""
        return sum(self.removable.values())

    @property
    def lists(self) -> dict[str, str]:
        """The lists that `retrain publish` can go back to: a recommender's folder → its record."""
        return {
            folder: path
            for folder, path in self._publications.items()
            if f"{folder}{_LIST}" in self.files
        }

    @property
    def _publications(self) -> dict[str, str]:
        """The folder of each recommender that published → the record of it."""
        records = (_RECORD.match(path) for path in self.files)
        return {
            each["folder"]: each[0] for each in records if each and each["file"] == _PUBLICATION
        }


@dataclass(frozen=True)
class Solution:
    """A solution that runs of the configuration have created, under an earlier name.

    Attributes:
        arn: Its ARN.
        used_by: What uses it; empty if nothing does.
    """

    arn: str
    used_by: str = ""

    @property
    def name(self) -> str:
        """Its name."""
        return self.arn.rpartition("/")[2]


@dataclass(frozen=True)
class Stock:
    """All that is there.

    Attributes:
        folders: The runs' files.
        published: The runs whose lists are published: one, or several of several recommenders.
        in_use: Other runs whose files are used → by what.
        solutions: Former solutions; none if they are kept in any case.
        makers: Run → the solutions that made its lists, of those that published.
    """

    folders: Sequence[RunFolder]
    published: Collection[str] = ()
    in_use: Mapping[str, str] = field(default_factory=dict)
    solutions: Sequence[Solution] = ()
    makers: Mapping[str, Collection[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class CleanUp:
    """What goes, and what stays.

    Attributes:
        runs: Whose files go, the oldest first.
        kept: Run → why its files stay.
        solutions: Those that go.
        kept_solutions: Former solution → why it stays.
    """

    runs: Sequence[RunFolder]
    kept: Mapping[str, str]
    solutions: Sequence[Solution]
    kept_solutions: Mapping[str, str]

    @property
    def is_empty(self) -> bool:
        """Whether nothing goes."""
        return not self.runs and not self.solutions


@dataclass
class Deleted:
    """What has gone.

    Attributes:
        runs: Whose files have gone.
        files: How many.
        bytes: Theirs.
        solutions: Names of the solutions.
        left: What goes the next time: runs whose turn did not come, or which are used meanwhile.
    """

    runs: list[str] = field(default_factory=list)
    files: int = 0
    bytes: int = 0
    solutions: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def clean_up_of(stock: Stock, keep: int) -> CleanUp:
    """Return what goes of a stock, and why the rest stays.

    Args:
        stock: All that is there.
        keep: So many of the newest runs stay, and so many of the newest lists of each recommender
            that were published: runs that fail do not drive out lists to which one can go back.
    """
    folders = sorted(
        (folder for folder in stock.folders if folder.removable),
        key=lambda folder: (folder.begun, folder.run),
        reverse=True,
    )
    recommenders = sorted({name for folder in folders for name in folder.lists})
    lists = {
        run
        for name in recommenders
        for run in [folder.run for folder in folders if name in folder.lists][:keep]
    }
    kept = {
        **dict.fromkeys(
            lists,
            "the last list that was published"
            if keep == 1
            else f"one of the last {keep} lists that were published",
        ),
        **dict.fromkeys(
            (folder.run for folder in folders[:keep]),
            "the last run" if keep == 1 else f"one of the last {keep} runs",
        ),
        **stock.in_use,
        **dict.fromkeys(stock.published, "its list is published"),
    }
    makers = {maker: run for run, made in stock.makers.items() if run in kept for maker in made}
    kept_solutions = {
        solution.name: solution.used_by or f"made the list of run '{makers[solution.arn]}'"
        for solution in stock.solutions
        if solution.used_by or solution.arn in makers
    }
    return CleanUp(
        [folder for folder in reversed(folders) if folder.run not in kept],
        {folder.run: kept[folder.run] for folder in folders if folder.run in kept},
        [each for each in stock.solutions if each.name not in kept_solutions],
        kept_solutions,
    )


def read_stock(s3: Any, states: Any, personalize: Any, event: Mapping[str, Any]) -> Stock:
    """Return what is there.

    Args:
        s3: A client.
        states: A client of Step Functions.
        personalize: A client.
        event: `bucket`, `stateMachineArn`, `datasetGroupArn`; `run`, which cleans up (empty if
            none does); `tag` (`tagKey`, `tagValue`) and `solutionNames`: solutions that have the
            tag, and none of the names, are former ones; null in place of the names keeps all.

    Raises:
        InvalidInputException: If a published list's `latest.json` is no JSON.
    """
    bucket = event["bucket"]
    folders = list(_folders(s3, bucket))
    latest = _latest(s3, bucket)
    published = _runs_of(latest)
    batches = _jobs_in_creation(personalize, "batch_inference_job")
    imports = _jobs_in_creation(personalize, "dataset_import_job")
    locations = [
        *(job["dataSource"]["dataLocation"] for job in imports),
        *(job["jobOutput"]["s3DataDestination"]["path"] for job in batches),
    ]
    in_use = {
        **dict.fromkeys(_runs_at(bucket, locations), "a job of Personalize uses them"),
        **dict.fromkeys(_running(states, event["stateMachineArn"]), "it is in progress"),
        **({event["run"]: "it is in progress"} if event["run"] else {}),
    }
    if event["solutionNames"] is None:
        return Stock(folders, published, in_use)
    records = (
        {"run": folder.run, **(read_object(s3, bucket, f"runs/{folder.run}/{path}") or {})}
        for folder in folders
        for path in folder.lists.values()
    )
    makers: dict[str, set[str]] = {}
    for each in (*records, *latest):
        solution = solution_of(each.get("solutionVersionArn", ""))
        makers.setdefault(str(each.get("run", "")), set()).add(solution)
    inferring = {solution_of(job["solutionVersionArn"]) for job in batches}
    return Stock(
        folders,
        published,
        in_use,
        tuple(_former_solutions(personalize, event, inferring)),
        makers,
    )


def _latest(s3: Any, bucket: str) -> list[dict[str, Any]]:
    """Return what is published now, also of recommenders that the configuration has no more."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=PUBLISHED)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
    named = (read_object(s3, bucket, key) for key in keys if key.endswith("/latest.json"))
    return [each for each in named if each]


def _runs_of(latest: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    return frozenset(str(each.get("run", "")) for each in latest)


def _folders(s3: Any, bucket: str) -> Iterator[RunFolder]:
    entries: dict[str, list[tuple[datetime, str, int]]] = {}
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="runs/")
    for entry in (entry for page in pages for entry in page.get("Contents", ())):
        run, _, path = entry["Key"].removeprefix("runs/").partition("/")
        if not path:
            continue  # somebody's own object
        entries.setdefault(run, []).append((entry["LastModified"], path, entry["Size"]))
    for run, each in entries.items():
        newest_first = sorted(each, reverse=True)
        files = {path: size for _, path, size in newest_first}
        yield RunFolder(run, newest_first[-1][0], files)


def _running(states: Any, machine_arn: str) -> Iterator[str]:
    """Yield the runs that have an execution in progress."""
    pages = states.get_paginator("list_executions").paginate(
        stateMachineArn=machine_arn, statusFilter="RUNNING"
    )
    for page in pages:
        for execution in page["executions"]:
            yield execution["name"].partition(".")[0]


def _jobs_in_creation(personalize: Any, job: str) -> list[Any]:
    """Return the jobs of a type that go on, also those of a run that was stopped.

    Args:
        personalize: A client.
        job: `dataset_import_job` or `batch_inference_job`.
    """
    first, *others = job.split("_")
    member = first + "".join(other.title() for other in others)
    pages = personalize.get_paginator(f"list_{job}s").paginate()
    return [
        getattr(personalize, f"describe_{job}")(**{f"{member}Arn": each[f"{member}Arn"]})[member]
        for page in pages
        for each in page[f"{member}s"]
        if each["status"] in _IN_CREATION
    ]


def _runs_at(bucket: str, locations: Iterable[str]) -> Iterator[str]:
    prefix = f"s3://{bucket}/runs/"
    for location in locations:
        if location.startswith(prefix):
            yield location.removeprefix(prefix).partition("/")[0]


def _former_solutions(
    personalize: Any, event: Mapping[str, Any], inferring: set[str]
) -> Iterator[Solution]:
    """Yield the configuration's solutions that it does not train any more."""
    pages = personalize.get_paginator("list_solutions").paginate(
        datasetGroupArn=event["datasetGroupArn"]
    )
    for each in pages.search("solutions"):
        arn = each["solutionArn"]
        if each["name"] in event["solutionNames"] or each["status"].startswith("DELETE"):
            continue
        if event["tag"] in personalize.list_tags_for_resource(resourceArn=arn)["tags"]:
            used_by = "batch inference goes on" if arn in inferring else _use(personalize, arn)
            yield Solution(arn, used_by)


def _use(personalize: Any, solution_arn: str) -> str:
    """Return what keeps Personalize from deleting a solution; empty if nothing does."""
    campaigns = personalize.get_paginator("list_campaigns").paginate(solutionArn=solution_arn)
    if names := [each["name"] for each in campaigns.search("campaigns")]:
        return f"campaign {', '.join(names)} uses it"
    pages = personalize.get_paginator("list_solution_versions").paginate(solutionArn=solution_arn)
    versions = list(pages.search("solutionVersions"))
    return "it is being trained" if any(v["status"] in _IN_CREATION for v in versions) else ""


def delete(
    s3: Any, personalize: Any, bucket: str, clean_up: CleanUp, *, has_time: Callable[[], bool]
) -> Deleted:
    """Delete what goes, the oldest first.

    Args:
        s3: A client.
        personalize: A client.
        bucket: The runs' bucket.
        clean_up: From `clean_up_of`.
        has_time: Whether to go on; asked before each thousand files.

    Raises:
        CleanUpFailed: If S3 does not delete a file; what has gone has gone.
    """
    deleted = Deleted()
    for folder in clean_up.runs:
        # Somebody may have gone back to its list since the stock was read.
        published = _runs_of(_latest(s3, bucket))
        if folder.run in published or not _delete_files(s3, bucket, folder, deleted, has_time):
            deleted.left.append(folder.run)
        else:
            deleted.runs.append(folder.run)
    for solution in clean_up.solutions:
        try:
            personalize.delete_solution(solutionArn=solution.arn)
        except personalize.exceptions.ResourceInUseException:
            deleted.left.append(solution.name)
        else:
            deleted.solutions.append(solution.name)
    return deleted


def _delete_files(
    s3: Any, bucket: str, folder: RunFolder, deleted: Deleted, has_time: Callable[[], bool]
) -> bool:
    """Delete the files of a run; return False if time was over before the last one."""
    removable = list(folder.removable)
    for first in range(0, len(removable), _MOST_KEYS):
        if not has_time():
            return False
        paths = removable[first : first + _MOST_KEYS]
        objects = [{"Key": f"runs/{folder.run}/{path}"} for path in paths]
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
        for error in answer.get("Errors", ()):
            raise CleanUpFailed(
                f"s3://{bucket}/{error['Key']} cannot be deleted: {error['Code']}:"
                f" {error.get('Message', '')}"
            )
        deleted.files += len(paths)
        deleted.bytes += sum(folder.removable[path] for path in paths)
    return True
