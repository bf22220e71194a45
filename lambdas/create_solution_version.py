"""Create Solution Version: create a run's solution version, and on first use its solution."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from lambdas.clients import client
from lambdas.errors import InvalidInputException, named_errors
from lambdas.jobs import Job, create_once, purpose_of
from lambdas.polling import created_response


def ensure_solution(personalize: Any, event: dict[str, Any]) -> str:
    """Return the ARN of the event's solution; create it if it does not exist.

    Raises:
        InvalidInputException: If a solution of this name has other settings. Personalize cannot
            change them, so that another name is needed.
    """
    if existing := _existing_solution(personalize, event):
        return existing
    optional = {
        "recipeArn": event["recipeArn"],
        "eventType": event["eventType"],
        "solutionConfig": event["solutionConfig"],
    }
    given = {name: value for name, value in optional.items() if value}
    if event["performHPO"] is not None:
        given["performHPO"] = event["performHPO"]
    if str(event["recipeArn"]).endswith("/aws-semantic-similarity"):
        # AWS's default is True for this recipe: it would train, and charge, between the runs.
        given["performIncrementalUpdate"] = False
    try:
        return str(
            personalize.create_solution(
                name=event["solutionName"],
                datasetGroupArn=event["datasetGroupArn"],
                performAutoML=event["performAutoML"],
                # AWS's default is True: it would train, and charge, every seven days beside us.
                performAutoTraining=False,
                tags=event["tags"],
                **given,
            )["solutionArn"]
        )
    except personalize.exceptions.ResourceAlreadyExistsException:
        # An attempt whose answer was lost, or another run, has created it meanwhile.
        if existing := _existing_solution(personalize, event):
            return existing
        raise


def _existing_solution(personalize: Any, event: dict[str, Any]) -> str | None:
    pages = personalize.get_paginator("list_solutions").paginate(
        datasetGroupArn=event["datasetGroupArn"]
    )
    for solution in pages.search("solutions"):
        if solution["name"] == event["solutionName"]:
            response = personalize.describe_solution(solutionArn=solution["solutionArn"])
            _require_same_settings(response["solution"], event)
            return str(solution["solutionArn"])
    return None


def create_solution_version(personalize: Any, solution_arn: str, event: dict[str, Any]) -> Job:
    """Create the version and return it; a further call returns the same, unless it has failed."""

    def create(name: str) -> str:
        arn: str = personalize.create_solution_version(
            name=name,
            solutionArn=solution_arn,
            trainingMode=event["trainingMode"],
            tags=event["tags"],
        )["solutionVersionArn"]
        return arn

    return create_once(
        purpose_of("version", event),
        event["run"],
        create=create,
        find=lambda name: _find_version(personalize, solution_arn, name),
        exists=personalize.exceptions.ResourceAlreadyExistsException,
    )


def _find_version(personalize: Any, solution_arn: str, name: str) -> Job | None:
    pages = personalize.get_paginator("list_solution_versions").paginate(solutionArn=solution_arn)
    versions = pages.search("solutionVersions")
    for listed in sorted(versions, key=lambda v: v["creationDateTime"], reverse=True):
        arn = str(listed["solutionVersionArn"])
        version = personalize.describe_solution_version(solutionVersionArn=arn)["solutionVersion"]
        if version.get("name") == name:
            return Job(arn, version["status"], version.get("failureReason"))
    return None


def _require_same_settings(solution: dict[str, Any], event: dict[str, Any]) -> None:
    switches = ("performHPO", "performAutoML", "performAutoTraining")
    present = dict.fromkeys(switches, False) | {"eventType": None} | solution
    expected = event | {"performAutoTraining": False}
    chosen_by_personalize = {name for name in ("performHPO", "recipeArn") if event[name] is None}
    names = [*switches, "eventType", "solutionConfig", "recipeArn"]
    differences = [
        difference
        for name in names
        if name not in chosen_by_personalize
        for difference in _differences(name, present.get(name), expected[name])
    ]
    if differences:
        raise InvalidInputException(
            f"solution '{solution['name']}' has other settings: {'; '.join(differences)}."
            " Personalize cannot change a solution: give [solution] name another value,"
            " or delete the old one"
        )


def _differences(name: str, present: Any, expected: Any) -> Iterator[str]:
    """Yield a text for each setting that differs; settings not expected may be AWS's defaults."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            yield from _differences(f"{name}.{key}", (present or {}).get(key), value)
    elif present != expected:
        yield f"{name} is {present}, expected {expected}"


def trainings_alike(
    personalize: Any, solution_arn: str, event: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield the solution's versions that were trained in the event's mode."""
    pages = personalize.get_paginator("list_solution_versions").paginate(solutionArn=solution_arn)
    for version in pages.search("solutionVersions"):
        if version.get("trainingMode", "FULL") == event["trainingMode"]:
            yield version


@named_errors
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return the solution version of a run.

    Event: `run`, `solutionName`, `datasetGroupArn`, `recipeArn` (null with AutoML), `eventType`
    (or null), `solutionConfig`, `performHPO` (null with AutoML), `performAutoML`, `trainingMode`,
    `tags`, `waitSeconds`, `maxSeconds`; `recommender`, if there are several.
    """
    personalize = client("personalize")
    solution_arn = ensure_solution(personalize, event)
    job = create_solution_version(personalize, solution_arn, event)
    alike = trainings_alike(personalize, solution_arn, event)
    return created_response(job, alike, event, datetime.now(UTC))
