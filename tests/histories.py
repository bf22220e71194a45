"""Histories of executions in the format of GetExecutionHistory, written by hand."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

BEGIN = datetime(2024, 6, 1, 4, tzinfo=UTC)
Event = dict[str, Any]


def events(*unnumbered: Mapping[str, Any], seconds: float = 1) -> list[Event]:
    """Give events ids and times; each follows the one before, or the one that it names."""
    return [
        {
            "previousEventId": n - 1,
            "timestamp": BEGIN + timedelta(seconds=n * seconds),
            **event,
            "id": n,
        }
        for n, event in enumerate(unnumbered, start=1)
    ]


def event(event_type: str, **more: Any) -> Event:
    """Return an event without details; `previousEventId` where it is not the one before."""
    return {"type": event_type, **more}


def entered(name: str, state_type: str = "Task", data: Any = None, **more: Any) -> Event:
    details = {"name": name, "input": json.dumps(data or {})}
    return {"type": f"{state_type}StateEntered", "stateEnteredEventDetails": details, **more}


def exited(name: str, state_type: str = "Task", data: Any = None, **more: Any) -> Event:
    details = {"name": name, "output": json.dumps(data or {})}
    return {"type": f"{state_type}StateExited", "stateExitedEventDetails": details, **more}


def scheduled(service: str = "lambda", /, *, after: int | None = None, **parameters: str) -> Event:
    """Return a call to AWS; `after` is the id of the event before it where it is another."""
    details = {
        "resourceType": service,
        "resource": "invoke",
        "region": "ap-northeast-1",
        "parameters": json.dumps(parameters),
    }
    chain = {} if after is None else {"previousEventId": after}
    return {"type": "TaskScheduled", "taskScheduledEventDetails": details, **chain}


def task_failed(error: str, cause: str, service: str = "lambda", **more: Any) -> Event:
    details = {"resourceType": service, "resource": "invoke", "error": error, "cause": cause}
    return {"type": "TaskFailed", "taskFailedEventDetails": details, **more}


def map_started(length: int, **more: Any) -> Event:
    return {"type": "MapStateStarted", "mapStateStartedEventDetails": {"length": length}, **more}


def iteration(change: str, index: int, name: str = "Imports", **more: Any) -> Event:
    details = {"name": name, "index": index}
    return {"type": f"MapIteration{change}", f"mapIteration{change}EventDetails": details, **more}


def execution_failed(error: str, cause: str, **more: Any) -> Event:
    details = {"error": error, "cause": cause}
    return {"type": "ExecutionFailed", "executionFailedEventDetails": details, **more}


IMPORTS = "Reimport All Datasets"
NO_HEADER = "the file has no header"


def imports_of_which_one_fails(*after: Event) -> list[Event]:
    """Return three imports at the same time; ITEMS is the first to fail, USERS polls last.

    Ids and chains as in AWS's histories: an event follows the one before it of its own item; what
    the failure cuts off follows the event that failed.
    """
    dataset_types = ("INTERACTIONS", "ITEMS", "USERS")
    items = [{"datasetType": dataset_type} for dataset_type in dataset_types]
    job = {"Error": "DatasetImportFailed", "Cause": NO_HEADER}
    return events(
        entered(IMPORTS, "Map"),  # 1
        map_started(3),  # 2
        *(iteration("Started", n, IMPORTS, previousEventId=2) for n in range(3)),  # 3, 4, 5
        entered("Get Job Status", data=items[0], previousEventId=3),  # 6
        entered("Get Job Status", data=items[1], previousEventId=4),  # 7
        scheduled(FunctionName="get-status", after=6),  # 8
        scheduled(FunctionName="get-status", after=7),  # 9
        exited("Get Job Status", data={**items[1], "job": job}, previousEventId=9),  # 10
        entered("Job Complete?", "Choice", data=items[1], previousEventId=10),  # 11
        exited("Job Complete?", "Choice", data=items[1], previousEventId=11),  # 12
        entered("Get Job Status", data=items[2], previousEventId=5),  # 13
        scheduled(FunctionName="get-status", after=13),  # 14
        entered("Import Failed", "Fail", data=items[1], previousEventId=12),  # 15
        *after,
    )


def _reported(n: int) -> list[Event]:
    """Return the rest of an execution after a failed Map; `n` is the id of its MapStateFailed."""
    return [
        exited(IMPORTS, "Map", previousEventId=n),
        entered("Report Failure", previousEventId=n + 1),
        exited("Report Failure", previousEventId=n + 2),
        entered("Retraining Failed", "Fail", previousEventId=n + 3),
        execution_failed("DatasetImportFailed", NO_HEADER, previousEventId=n + 4),
    ]


AS_AWS_CHAINS_IT = [
    iteration("Aborted", 0, IMPORTS, previousEventId=15),
    event("TaskStateAborted", previousEventId=15),
    iteration("Aborted", 2, IMPORTS, previousEventId=15),
    event("TaskStateAborted", previousEventId=15),
    iteration("Failed", 1, IMPORTS, previousEventId=15),
    event("MapStateFailed", previousEventId=15),
    *_reported(21),
]
BEHIND_ANOTHER_ITEM = [
    iteration("Failed", 1, IMPORTS, previousEventId=15),
    event("TaskSucceeded", previousEventId=14),
    event("MapStateFailed", previousEventId=17),  # the local interpreter takes the newest
    *_reported(18),
]
BEHIND_WHAT_IS_IN_PROGRESS = [
    iteration("Failed", 1, IMPORTS, previousEventId=14),  # of the third item
    event("MapStateFailed", previousEventId=16),
    *_reported(17),
]
