"""Create Solution Version: train once per run, making the solution on first use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3

from lambdas.errors import InvalidInputException, named_errors
from lambdas.jobs import job_answer, job_name, pages


def ensure_solution(personalize: Any, event: dict[str, Any]) -> str:
    """Return the ARN of the wanted solution, made if it is not there.

    Raises:
        InvalidInputException: a solution of this name was made otherwise. Personalize cannot
            change one, so that another name is needed.
    """
    group = event["datasetGroupArn"]
    for solution in pages(personalize.list_solutions, "solutions", datasetGroupArn=group):
        if solution["name"] == event["solutionName"]:
            described = personalize.describe_solution(solutionArn=solution["solutionArn"])
            _refuse_another(described["solution"], event)
            return str(solution["solutionArn"])
    wanted = {
        "recipeArn": event["recipeArn"],
        "eventType": event["eventType"],
        "solutionConfig": event["solutionConfig"],
    }
    return str(
        personalize.create_solution(
            name=event["solutionName"],
            datasetGroupArn=group,
            performHPO=event["performHPO"],
            performAutoML=event["performAutoML"],
            # AWS's default is True: it would train, and charge, every seven days beside us.
            performAutoTraining=False,
            **{name: value for name, value in wanted.items() if value},
        )["solutionArn"]
    )


def create_solution_version(personalize: Any, solution_arn: str, event: dict[str, Any]) -> str:
    """Start the training and return the version's ARN; a second call finds the first one's."""
    name = job_name("version", event["run"])
    try:
        return str(
            personalize.create_solution_version(
                name=name, solutionArn=solution_arn, trainingMode=event["trainingMode"]
            )["solutionVersionArn"]
        )
    except personalize.exceptions.ResourceAlreadyExistsException:
        versions = pages(
            personalize.list_solution_versions, "solutionVersions", solutionArn=solution_arn
        )
        newest_first = sorted(versions, key=lambda v: v["creationDateTime"], reverse=True)
        for version in newest_first:
            arn = str(version["solutionVersionArn"])
            described = personalize.describe_solution_version(solutionVersionArn=arn)
            if described["solutionVersion"].get("name") == name:
                return arn
        raise


def _refuse_another(solution: dict[str, Any], event: dict[str, Any]) -> None:
    switches = ("performHPO", "performAutoML", "performAutoTraining")
    made = dict.fromkeys(switches, False) | {"eventType": None} | solution
    event = event | {"performAutoTraining": False}
    compared = [*switches, "eventType", "solutionConfig"]
    compared += ["recipeArn"] if event["recipeArn"] else []
    differences = [
        difference
        for name in compared
        for difference in _differences(name, made.get(name), event[name])
    ]
    if differences:
        raise InvalidInputException(
            f"solution '{solution['name']}' was made otherwise: {'; '.join(differences)}."
            " Personalize cannot change a solution: give [solution] name another value,"
            " or delete the old one"
        )


def _differences(name: str, was: Any, wanted: Any) -> Iterator[str]:
    """Yield where a setting differs; what is not wanted explicitly may be AWS's own default."""
    if isinstance(wanted, dict):
        for key, value in wanted.items():
            yield from _differences(f"{name}.{key}", (was or {}).get(key), value)
    elif was != wanted:
        yield f"{name} is {was}, wanted is {wanted}"


@named_errors
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer the solution version of a run.

    Event: `run`, `solutionName`, `datasetGroupArn`, `recipeArn` (null with AutoML), `eventType`
    (or null), `solutionConfig`, `performHPO`, `performAutoML`, `trainingMode`, `waitSeconds`.
    """
    personalize = boto3.client("personalize")
    arn = create_solution_version(personalize, ensure_solution(personalize, event), event)
    return job_answer(arn, "CREATE PENDING", event["waitSeconds"])
