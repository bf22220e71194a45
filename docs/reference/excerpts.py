"""Generated tables of the handwritten pages, each from the object that it describes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docs.reference.markdown import code, prose, table
from lambdas.polling import next_wait
from localaws.http.service_names import service_model
from localaws.http.wsgi import environ_of, perform
from localaws.personalize import Personalize
from localaws.personalize.training.recipes import RECIPES
from localaws.sagemaker.service import SageMaker
from workflow.definition import asl
from workflow.definition.asl import Definition, Scope, State
from workflow.definition.direct import PERSONALIZE_BUSY_ERRORS, PERSONALIZE_ERRORS
from workflow.definition.polling import (
    BUSY_ERRORS,
    GLUE_ERRORS,
    SERVICE_ERRORS,
    SNS_ERRORS,
    retry_service_errors,
    retry_when_busy,
)
from workflow.durations import duration
from workflow.runs.advice import advice
from workflow.runs.cost import ASSUMPTIONS
from workflow.settings import PollingSettings

# Error and cause of failed runs, one for each row of workflow/runs/advice.toml.
FAILURES: tuple[tuple[str, str], ...] = (
    ("ExecutionAborted", "wrong table"),
    ("SolutionVersionFailed", "its creation was stopped by StopSolutionVersionCreation"),
    (
        "States.TaskFailed",
        "the list of run 'r' is not delivered: table 'lists' has no column 'rank' for RANK",
    ),
    (
        "States.TaskFailed",
        "data set INTERACTIONS: 4,000 of 4,000 rows (100.0%) break a rule, more than"
        " max_rejected_share = 1.0%",
    ),
    (
        "States.TaskFailed",
        "users of the batch input that have interactions: 0 of 3,000 (0.0%), less than"
        " agreement.batch_input = 10.0%",
    ),
    (
        "NoRecommendations",
        "nothing is left to recommend: each line is an error (5,000), and the run's"
        " recommendations/errors.jsonl has the reasons",
    ),
    ("States.TaskFailed", "training job 'labbase-…' is Stopped (MaxRuntimeExceeded)"),
    ("States.TaskFailed", "training job 'labbase-…' is Stopped"),
    ("States.TaskFailed", "AlgorithmError: … Process killed by SIGKILL …, exit code: 137"),
    ("States.TaskFailed", "AlgorithmError: … ExitCode 139 …, exit code: 139"),
    ("States.TaskFailed", "AlgorithmError: … ErrorMessage \"KeyError: 'u7'\" …"),
    ("ListsAlike", "4,990 of 5,000 users have the same list, so the model knows nothing of them"),
    (
        "IncompleteInput",
        "s3://…/filter/exclusions/ holds 0 lines, and 217 by the run's manifest.json: files are …",
    ),
    (
        "LinesDoNotMatch",
        "s3://…/batch-output/ has 3 lines, and batch-input/ has 5,000: a model writes one line for"
        " each that it gets",
    ),
    ("States.TaskFailed", "table 'orders' does not exist in the database"),
    ("States.TaskFailed", "data set USERS: no rows; fill table 'students', …"),
    ("SolutionVersionFailed", "The dataset has fewer than 1,000 interactions"),
    ("SolutionVersionFailed", "There are fewer than 25 users with at least 2 interactions each"),
    ("DatasetImportFailed", "Input csv is missing the following columns: [GRADE]"),
    ("DatasetImportFailed", "Invalid Data location"),
    ("AccessDeniedException", "… is not authorized to perform: personalize:CreateSolution"),
    ("States.TaskFailed", 'FATAL: password authentication failed for user "etl"'),
    ("States.TaskFailed", "Java, in which Spark runs, was killed by SIGKILL in the middle …"),
    ("States.TaskFailed", "Spark: No space left on device"),
    ("States.TaskFailed", "Connection to db:5432 refused"),
    ("ExtractedOtherwise", "the data sets of run 'RUN' were extracted by specification …"),
    ("AnotherRunInProgress", "run '…' is in progress since …"),
    ("ManifestNotFound", "s3://…/runs/RUN/manifest.json is not there"),
    ("CleanUpFailed", "s3://…/runs/OLD/users/part-0.csv cannot be deleted: AccessDenied: …"),
    ("QualityGateFailed", "coverage is 0.0310, minimum 0.1; the published lists stay as they were"),
    ("CampaignUpdateFailed", "campaign 'home' still serves …: …"),
    ("NoRecommendations", "nothing is left to recommend: … items not eligible"),
    ("RecommendersFailed", "1 of 2 recommenders failed, and the lists of the others are published"),
    ("Lambda.ResourceNotFoundException", "Function not found: …"),
    ("Glue.ConcurrentRunsExceededException", "Concurrent runs exceeded"),
    ("LimitExceededException", "More than 5 resources with PENDING or IN_PROGRESS status."),
    ("LimitExceededException", "You have exceeded a quota"),
    ("ResourceInUseException", "The resource is in use"),
    ("Runtime.ExitError", "RequestId: … Error: Runtime exited with error: signal: killed"),
    ("OperationalError", "database or disk is full"),
    ("States.Timeout", ""),
    ("ThrottlingException", "Rate exceeded"),
    ("States.Runtime", "The JSONPath '$.job.arn' could not be found in the input"),
    ("SomethingElse", "…"),
)


def states(definition: Definition, functions: Mapping[str, str]) -> str:
    """Return a definition's states: type, called resource, time limit and next states.

    Args:
        definition: The definition in ASL.
        functions: Name of a function that it calls → its handler.
    """
    rows = [_state_row(*located, functions) for located in asl.states(definition)]
    return table(("state", "type", "calls", "time limit", "leads to"), rows)


def _state_row(
    scope: Scope, name: str, state: State, functions: Mapping[str, str]
) -> tuple[str, ...]:
    next_states = dict.fromkeys(
        transition.target
        for transition in asl.transitions(name, state)
        if transition.type not in {"catch", "end"}
    )
    limit = duration(state["TimeoutSeconds"]) if "TimeoutSeconds" in state else ""
    title = f"{'⤷ ' * scope.depth}**{name}**"
    resource = _called_resource(state, functions)
    return title, state["Type"], resource, limit, ", ".join(next_states) or "end"


def _called_resource(state: State, functions: Mapping[str, str]) -> str:
    if function := asl.function_name(state):
        return f"Lambda {code(functions.get(function, function))}"
    arguments = asl.arguments(state)
    if "JobName" in arguments:
        return "Glue, until the job ends"
    return "SNS" if "TopicArn" in arguments else ""


def retries() -> str:
    """Return the retriers: errors, number of tries and pauses."""
    rows = []
    for errors, make in (
        (SERVICE_ERRORS, retry_service_errors),
        (BUSY_ERRORS, retry_when_busy),
        (GLUE_ERRORS[1:], retry_service_errors),
        (GLUE_ERRORS[:1], retry_when_busy),
        (SNS_ERRORS, retry_service_errors),
        (PERSONALIZE_ERRORS, retry_service_errors),
        (PERSONALIZE_BUSY_ERRORS, retry_when_busy),
    ):
        retry = make(errors).to_dict()
        least, most, tries = (
            retry["IntervalSeconds"],
            retry["MaxDelaySeconds"],
            retry["MaxAttempts"],
        )
        longest = sum(min(least * retry["BackoffRate"] ** n, most) for n in range(tries))
        rows.append(
            (
                ", ".join(map(code, errors)),
                str(tries),
                f"{least} s, doubling to {duration(most)}",
                f"{longest / 60:.0f} min",
            )
        )
    return table(("errors", "tries", "pause before a try, at most", "all pauses, at most"), rows)


def waits() -> str:
    """Return the number of polls of a job, and the time between its end and the last poll."""
    bounds = PollingSettings()
    rows = []
    for minutes in (1, 5, 20, 60, 180, 600):
        length = minutes * 60
        figures = [f"{minutes} min"]
        for expected in (length, None):
            polls, late = _polls(length, bounds.min_seconds, bounds.max_seconds, expected)
            figures += [str(polls), duration(late) if late else "0 s"]
        rows.append(tuple(figures))
    return table(
        (
            "a job takes",
            "as the last ones: polls",
            "seen after",
            "the first one: polls",
            "seen after",
        ),
        rows,
    )


def _polls(length: int, least: int, most: int, expected: float | None) -> tuple[int, int]:
    """Return the number of polls of a job, and the seconds between its end and the last one."""
    clock, polls = 0, 0
    while clock < length:
        clock += next_wait(clock, least, most, expected)
        polls += 1
    return polls, clock - length


def failures() -> str:
    """Return the advice of `retrain explain`, each row with an example of an error."""
    rows = []
    for error, cause in FAILURES:
        text = advice(error, cause, bucket="BUCKET", run="RUN", connection="CONNECTION")
        rows.append((f"{code(error)} {prose(cause)}".strip(), prose(text)))
    return table(("error of the run, for example", "what to do"), rows)


def assumptions() -> str:
    """Return the assumptions of a cost estimate."""
    rows = [
        (code(assumption.name), f"{assumption.value:,g} {assumption.unit}", assumption.meaning)
        for assumption in ASSUMPTIONS
    ]
    return table(("`--assume NAME=VALUE`", "value", "meaning"), rows)


def recipes() -> str:
    """Return the recipes that the local Personalize trains."""
    rows = []
    for recipe in RECIPES.values():
        jobs = {"batch inference": recipe.batch, "batch segments": recipe.segments}
        supported = ", ".join(job for job, is_supported in jobs.items() if is_supported)
        domain = code(recipe.domain) if recipe.domain else ""
        rows.append((code(recipe.name), prose(recipe.description), supported, domain))
    return table(("recipe", "gives", "jobs", "domain"), rows)


def personalize_operations() -> str:
    """Return the operations that the local Personalize supports, by a request for each."""
    model = service_model("personalize")
    with tempfile.TemporaryDirectory() as directory:
        service = Personalize(
            account="123456789012", region="us-east-1", s3=_no_s3, directory=Path(directory)
        )
        try:
            supported = [name for name in model.operation_names if _supports(service, model, name)]
        finally:
            service.close()
    return f"{', '.join(map(code, supported))}.\n"


def sagemaker_operations() -> str:
    """Return the operations that the local SageMaker supports."""
    with tempfile.TemporaryDirectory() as directory:
        service = SageMaker(
            account="123456789012",
            region="us-east-1",
            directory=Path(directory),
            environment=lambda _: {},
            s3=_no_s3,
        )
        return f"{', '.join(map(code, service.operations))}.\n"


def _no_s3(role: str) -> Any:
    raise RuntimeError(role)


def _supports(service: Personalize, model: Any, operation: str) -> bool:
    """Return whether the service has an operation; the body is invalid, so that it does nothing."""
    headers = {"X-Amz-Target": f"{model.metadata['targetPrefix']}.{operation}"}
    environ = environ_of("POST", "http://127.0.0.1/", headers, b"[]")
    response = json.loads(perform(service, environ).get_data())
    return "is not supported by the local" not in response["message"]
