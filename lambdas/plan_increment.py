"""Plan Increment: which interactions the Spark job reads, and what each data set is compared with.

Personalize's own list of import jobs says what was imported last, and from which run's files; the
record of that run has its content hashes, and where the next increment begins. A run's plan is made
once: what resumes the run finds it in `runs/RUN/record/plan.json`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lambdas.clients import client
from lambdas.errors import InvalidInputException, named_errors
from lambdas.records import read_object, record_key, write_object

PLAN, INCREMENT = "plan", "increment"
"""The records of a run: what it set out to do, and what it found and decided then."""
WINDOW = ("since", "until", "unchanged", "after")
"""What the Spark job is told of the interactions; `after` is the run whose import they follow."""
RECORD_VERSION = 1
"""Of the record's content; what another version has written is not compared with."""
FULL, INCREMENTAL = "FULL", "INCREMENTAL"
INTERACTIONS = "INTERACTIONS"
OTHER_COLUMNS = "its source or columns have changed"
BEGINNING, END, UNKNOWN = "beginning", "end", "unknown"  # as the Spark job takes them


@dataclass(frozen=True)
class Request:
    """What the execution's input asks for.

    Attributes:
        full: Whether all is imported and trained.
        since: The first moment of the interactions; empty to go on where the last import ended.
        until: The moment after the last one; empty for no end.
    """

    full: bool = False
    since: str = ""
    until: str = ""

    @classmethod
    def of(cls, given: object) -> Request:
        """Read the execution's input: `{"increments": {"full", "since", "until"}}`, any left out.

        Raises:
            InvalidInputException: If they do not fit, or a time cannot be read.
        """
        keys = given.get("increments", {}) if isinstance(given, Mapping) else {}
        if not isinstance(keys, Mapping):
            raise InvalidInputException(f"input: increments is {keys!r}; write an object")
        full = keys.get("full", False)
        if not isinstance(full, bool):
            raise InvalidInputException(f"input: increments.full is {full!r}; write true or false")
        since, until = (
            _time(key, keys[key]) if keys.get(key) else "" for key in ("since", "until")
        )
        if full and (since or until):
            raise InvalidInputException(
                "input: increments.full reads all interactions; leave since and until out"
            )
        if until and not since:
            raise InvalidInputException("input: increments.until needs since, the first moment")
        if until and since >= until:
            raise InvalidInputException(
                f"input: increments.since {since} is not before until {until}; exchange the two"
            )
        return cls(full, since, until)


def _time(key: str, value: object) -> str:
    """Return a time in UTC to the second, empty of none; one without a zone is in UTC."""
    if not value:
        return ""
    try:
        time = datetime.fromisoformat(str(value))
    except ValueError:
        raise InvalidInputException(
            f"input: increments.{key} is {value!r}; write a time such as 2024-06-01T04:00:00Z"
        ) from None
    utc = time.astimezone(UTC) if time.tzinfo else time
    return f"{utc:%Y-%m-%dT%H:%M:%SZ}"


def last_import(personalize: Any, dataset_arn: str, bucket: str) -> dict[str, Any] | None:
    """Return what was imported last into a dataset; None if nothing was.

    Returns:
        `run` (empty if the files were not a run's), `mode`, `ended`, `increments` (how many imports
        since the last full one) and `fullEnded` (empty if that is unknown).
    """
    pages = personalize.get_paginator("list_dataset_import_jobs").paginate(datasetArn=dataset_arn)
    jobs = sorted(
        (job for job in pages.search("datasetImportJobs") if job["status"] == "ACTIVE"),
        key=lambda job: job["creationDateTime"],
        reverse=True,
    )
    if not jobs:
        return None
    newest = personalize.describe_dataset_import_job(
        datasetImportJobArn=jobs[0]["datasetImportJobArn"]
    )["datasetImportJob"]
    location, prefix = newest["dataSource"]["dataLocation"], f"s3://{bucket}/runs/"
    modes = [job.get("importMode", FULL) for job in jobs]
    increments = modes.index(FULL) if FULL in modes else len(modes)
    ends = [job["lastUpdatedDateTime"].isoformat() for job in jobs[: increments + 1]]
    return {
        "run": location.removeprefix(prefix).partition("/")[0]
        if location.startswith(prefix)
        else "",
        "mode": modes[0],
        "ended": ends[0],
        "increments": increments,
        "fullEnded": ends[-1] if FULL in modes else "",
    }


def plan_of_data_set(
    dataset_type: str,
    description: str,
    last: Mapping[str, Any] | None,
    record: Mapping[str, Any] | None,
    request: Request,
    full_every: int,
) -> dict[str, Any]:
    """Return how a data set is read, why, and the content hash that it has if nothing is new.

    Args:
        dataset_type: For example `USERS`.
        description: A digest of its source and columns.
        last: What `last_import` returned.
        record: What the record of that run says of the data set; None without one.
        request: What was asked for.
        full_every: Of so many imports of interactions one is in full.

    Returns:
        `description`, `mode`, `why`, `unchanged`; and `last`, with the `next` of its record.
    """
    same = record is not None and record["description"] == description and not request.full
    plan = {
        "description": description,
        "mode": FULL,
        "why": _why_full(dataset_type, description, last, record, request, full_every),
        "unchanged": record["contentHash"] if record and same and _is_full(last) else None,
        "last": last and {**last, "next": (record or {}).get("next")},
    }
    if plan["why"]:
        return plan
    if dataset_type != INTERACTIONS:
        return plan | {"why": "it is compared as a whole"}
    if request.since:
        return plan | {"mode": INCREMENTAL, "why": "its window was asked for", "unchanged": None}
    return plan | {
        "mode": INCREMENTAL,
        "why": f"it goes on where run '{last['run'] if last else ''}' ended, with the overlap",
        "unchanged": record["next"]["contentHash"] if record else None,
    }


def _is_full(last: Mapping[str, Any] | None) -> bool:
    return last is not None and last["mode"] == FULL


def _why_full(
    dataset_type: str,
    description: str,
    last: Mapping[str, Any] | None,
    record: Mapping[str, Any] | None,
    request: Request,
    full_every: int,
) -> str:
    """Return why a data set is read whole and imported in full; empty if it is not so."""
    if request.full:
        return "it was asked for"
    if last is None:
        return "nothing was imported before"
    if record is None:
        whose = f"run '{last['run']}' has no record of it" if last["run"] else "no run made it"
        return f"what was imported last cannot be compared: {whose}"
    if record["description"] != description:
        return f"{OTHER_COLUMNS} since run '{last['run']}'"
    if dataset_type == INTERACTIONS and last["increments"] + 1 >= full_every:
        return f"increments since the last full import: {last['increments']}, of {full_every - 1}"
    if dataset_type == INTERACTIONS and not record.get("next"):
        return f"run '{last['run']}' has not recorded where to go on"
    return ""


def make_plan(personalize: Any, s3: Any, event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan of a run.

    Raises:
        InvalidInputException: If the execution's input cannot be used.
    """
    request = Request.of(event["input"])
    bucket = event["bucket"]
    arns = dict(_dataset_arns(personalize, event["datasetGroupArn"]))
    records: dict[str, dict[str, Any] | None] = {}
    plans: dict[str, Any] = {}
    for dataset_type, description in event["descriptions"].items():
        arn = arns.get(dataset_type)
        last = last_import(personalize, arn, bucket) if arn else None
        run = last["run"] if last else ""
        if run and run not in records:
            found = read_object(s3, bucket, record_key(run, INCREMENT)) or {}
            records[run] = found if found.get("version") == RECORD_VERSION else None
        record = ((records.get(run) or {}).get("datasets") or {}).get(dataset_type)
        plans[dataset_type] = plan_of_data_set(
            dataset_type, description, last, record, request, event["fullEvery"]
        )
    interactions = plans[INTERACTIONS]
    window = {"since": BEGINNING, "until": END, "unchanged": UNKNOWN, "after": UNKNOWN}
    if interactions["mode"] == INCREMENTAL:
        window = {
            "since": request.since or interactions["last"]["next"]["since"],
            "until": request.until or END,
            "unchanged": interactions["unchanged"] or UNKNOWN,
            "after": interactions["last"]["run"],
        }
    return {
        "run": event["run"],
        "isFull": request.full,
        "isWindow": bool(request.since),
        "mode": interactions["mode"],
        "why": interactions["why"],
        **window,
        "datasets": plans,
    }


def _dataset_arns(personalize: Any, group_arn: str) -> Iterator[tuple[str, str]]:
    pages = personalize.get_paginator("list_datasets").paginate(datasetGroupArn=group_arn)
    for dataset in pages.search("datasets"):
        yield dataset["datasetType"].upper(), dataset["datasetArn"]


@named_errors
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return the run's `mode`, `why`, `since`, `until`, `unchanged`, `after`, for the Spark job.

    Event: `bucket`, `run`, `input` (the execution's), `datasetGroupArn`, `descriptions` (dataset
    type → a digest of its source and columns), `fullEvery`.
    """
    s3, key = client("s3"), record_key(event["run"], PLAN)
    plan = read_object(s3, event["bucket"], key)
    if plan is None:
        plan = make_plan(client("personalize"), s3, event)
        write_object(s3, event["bucket"], key, plan)
    return {name: plan[name] for name in ("mode", "why", *WINDOW)}
