"""The poll loops without functions: `integration = "sdk"`, tasks that call Personalize themselves.

They have the names, the order and the `$.job` of the loops with functions (`polling`), and create
jobs under the same names, so that either kind finds the other's. Their states are in JSONata, which
makes the names and computes the pauses; Choices, and all that is around them, stay in JSONPath.

What a function does besides is done by the Amazon States Language's own means: a job that exists
already is caught and found by its ARN, which follows from its name; one that has failed then is
followed by another, of the next number; whether it is this run's, and whether a solution has the
configured settings, is an expression that raises an error. What it
cannot do is read Personalize's lists to their end: how long the last jobs took is not known here,
and the pause is a tenth of the time waited, as with functions for the first job of its kind.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workflow.config import Config
from workflow.definition.polling import MINUTE, loop, retry_service_errors, retry_when_busy
from workflow.definition.stage import Stage, kept_job
from workflow.personalize import SEMANTIC
from workflow.run_names import ATTEMPT_IN_JSONATA
from workflow.sdk import Catch, Task, Wait

# What an operation does not name itself, throttling among it, has the name of the service's
# exception; a request that got no answer that of the SDK's client.
# https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
PERSONALIZE_ERRORS = (
    "Personalize.PersonalizeException",
    "Personalize.SdkClientException",
    "Personalize.ThrottlingException",
)
PERSONALIZE_BUSY_ERRORS = (
    "Personalize.LimitExceededException",
    "Personalize.ResourceInUseException",
)
ALREADY_EXISTS = "Personalize.ResourceAlreadyExistsException"
NOT_FOUND = "Personalize.ResourceNotFoundException"

INPUT, RESULT = "$states.input", "$states.result"
_STOPPED = (
    "$found.Status = 'CREATE STOPPED'"
    " ? 'its creation was stopped by StopSolutionVersionCreation; start a new run' : ''"
)
_OVER = "['CREATE FAILED', 'CREATE STOPPING', 'CREATE STOPPED']"  # as `lambdas.jobs.OVER`
FAILED_BEFORE = "FAILED BEFORE"
"""The status of a job that was there already and had failed: another is created."""
# Of the job that is to be created; after that, of one that was there already, until it is polled.
_KNOWN = f"{INPUT}.job.attempt"
_ATTEMPT = f"($exists({_KNOWN}) ? {_KNOWN} : 1)"
_OF_DATA = frozenset({"algorithmHyperParameters", "featureTransformationParameters"})
_BACK_OFF = 0.1  # as that of `lambdas.polling`, of a job of which nothing is known


def jsonata(expression: str) -> str:
    """Return an expression as a field of a state has it."""
    return f"{{% {expression} %}}"


def text(value: Any) -> str:
    """Return a value as a literal of JSONata."""
    return json.dumps(value, ensure_ascii=False)


def job_name(purpose: str, run: str, attempt: str = "1") -> str:
    """Return the expression of the name that `lambdas.jobs.job_name` gives.

    Args:
        purpose: An expression, for example `"batch"` in quotes.
        run: The expression of the run's name.
        attempt: The expression of the number of the job, where earlier ones failed.
    """
    return (
        f"($nth := {attempt}; $run := {run} & ($nth = 1 ? '' : '.' & $nth);"
        f" $name := $replace({purpose} & '-' & $run, /[^A-Za-z0-9]+/, '-');"
        " $replace($substring($name, 0, 52), /-$/, '') & '-'"
        " & $substring($hash($run, 'SHA-256'), 0, 10))"
    )


def personalize_task(
    config: Config,
    name: str,
    operation: str,
    *,
    arguments: Mapping[str, Any],
    output: str,
    catch: Sequence[Catch] = (),
) -> Task:
    """Return a task that calls Personalize, guarded by a time limit and both retriers.

    Args:
        config: Names the partition of the ARN.
        name: The state's.
        operation: In camelCase, for example `createSolution`.
        arguments: In PascalCase; values may be expressions.
        output: An expression.
        catch: Errors with a way of their own.
    """
    return Task(
        name,
        query_language="JSONata",
        resource=f"arn:{config.partition}:states:::aws-sdk:personalize:{operation}",
        arguments=dict(arguments),
        output=jsonata(output),
        timeout_seconds=2 * MINUTE,
        retry=[retry_service_errors(PERSONALIZE_ERRORS), retry_when_busy(PERSONALIZE_BUSY_ERRORS)],
        catch=list(catch),
    )


@dataclass(frozen=True)
class DirectJob:
    """A type of job, as Personalize's operations have it.

    Attributes:
        member: Names it in operations and responses, for example `DatasetImportJob`.
        arguments: What it is created with.
        error: The error's name if it fails.
        is_own: The expression of what holds of this run's jobs, described as `$found`.
        origin: The expression of the ARN at `$.job` of which the job is created, if one is.
        otherwise: What is said of a job, after its ARN, that is not this run's.
        existing_arn: The expression of the ARN of a job that exists already; empty if it does not
            follow from the job's name.
    """

    member: str
    arguments: Mapping[str, Any]
    error: str
    is_own: str
    origin: str = "''"
    otherwise: str = " has this run's name and is another one's; start a run of another name"
    existing_arn: str = ""

    @property
    def described(self) -> str:
        """The expression of what a poll keeps; it raises an error of another run's job.

        A job that was there already, and has failed, is followed by another: what is kept then is
        what that is created of, with its number.
        """
        again = kept_job(
            f"{{'arn': {self.origin}, 'status': {text(FAILED_BEFORE)}, 'attempt': {_KNOWN} + 1}}"
        )
        arn = f"$found.{self.member}Arn"
        kept = kept_job(
            f"{{'arn': {arn}, 'status': $found.Status, 'created': $found.CreationDateTime,"
            f" 'Error': {text(self.error)},"
            f" 'Cause': $exists($found.FailureReason) ? $found.FailureReason : {_STOPPED}}}"
        )
        return (
            f"($found := {RESULT}.{self.member};"
            f" $not({self.is_own}) ? $error({arn} & {text(self.otherwise)})"
            f" : $exists({_KNOWN}) and $found.Status in {_OVER} ? {again} : {kept})"
        )


def direct_loop(
    config: Config,
    *,
    title: str,
    create: str,
    wait: str,
    get_status: str,
    choose: str,
    job: DirectJob,
    before: Sequence[Task] = (),
    find: Task | None = None,
    poll_first: bool = False,
) -> Stage:
    """Return the stage that creates a job and waits until it is ACTIVE, or failed for good.

    Args:
        config: Says how often to poll.
        title: The stage's.
        create: Name of the task that creates the job.
        wait: Name of the Wait state.
        get_status: Name of the task that polls the job.
        choose: Name of the Choice state.
        job: Its type.
        before: Tasks before the creating one, each of which leads on to it.
        find: The task that finds a job which exists already, if its ARN does not follow from its
            name.
        poll_first: Poll before the first wait; else wait before the first poll.
    """
    polling = personalize_task(
        config,
        get_status,
        f"describe{job.member}",
        arguments={f"{job.member}Arn": jsonata(f"{INPUT}.job.arn")},
        output=job.described,
    )
    arn = f"'arn': {job.existing_arn}, " if job.existing_arn else ""
    existing = kept_job(f"{{{arn}'attempt': {_ATTEMPT}}}")
    creating = personalize_task(
        config,
        create,
        f"create{job.member}",
        arguments=job.arguments,
        output=kept_job(f"{{'arn': {RESULT}.{job.member}Arn, 'status': 'CREATE PENDING'}}"),
        catch=[
            Catch(
                error_equals=[ALREADY_EXISTS], output=jsonata(existing), next_step=find or polling
            )
        ],
    )
    for task in before:
        task.next(creating)
    if find is not None:
        find.next(polling)
    return loop(
        title,
        creating=creating,
        waiting=Wait(wait, query_language="JSONata", seconds=jsonata(pause(config))),
        polling=polling,
        choose=choose,
        before=before,
        besides=[find] if find else [],
        poll_first=poll_first,
        again=FAILED_BEFORE,
    )


def pause(config: Config) -> str:
    """Return the expression of the seconds until the next poll, between the configured bounds."""
    least, most = config.polling.min_seconds, config.polling.max_seconds
    created = f"{INPUT}.job.created"
    return (
        f"($waited := $exists({created}) ? ($millis() - $toMillis({created})) / 1000 : 0;"
        f" $min([$max([$floor($waited * {_BACK_OFF}), {least}]), {most}]))"
    )


def import_loop(config: Config, names: Mapping[str, Any], run: str) -> Stage:
    """Return the loop that imports a data set; the Map's item is its input.

    Args:
        config: The configuration.
        names: The arguments of `direct_loop` that name the stage and its states.
        run: The expression of the run's name.
    """
    name = job_name(f"$lowercase({INPUT}.datasetType)", run, _ATTEMPT)
    job = DirectJob(
        "DatasetImportJob",
        {
            "JobName": jsonata(name),
            "DatasetArn": jsonata(f"{INPUT}.datasetArn"),
            "DataSource": {"DataLocation": jsonata(f"{INPUT}.s3Path")},
            "RoleArn": config.role_arn("personalize"),
            "ImportMode": jsonata(f"{INPUT}.importMode"),
            "Tags": _pascal(config.personalize_tags),
        },
        error="DatasetImportFailed",
        is_own=f"$found.DataSource.DataLocation = {INPUT}.s3Path",
        existing_arn=f"{text(config.arn('personalize', 'dataset-import-job/'))} & {name}",
    )
    return direct_loop(config, **names, job=job)


def training_loop(config: Config, names: Mapping[str, Any], run: str) -> Stage:
    """Return the loop that trains a new solution version, and on first use makes the solution.

    Args:
        config: The configuration.
        names: The arguments of `direct_loop` that name the stage and its states.
        run: The expression of the run's name.
    """
    solution = config.arn("personalize", f"solution/{config.solution_name}")
    name, each = (job_name("'version'", run, attempt) for attempt in (_ATTEMPT, "$"))
    job = DirectJob(
        "SolutionVersion",
        {
            "Name": jsonata(name),
            "SolutionArn": solution,
            "TrainingMode": "FULL",
            "Tags": _pascal(config.personalize_tags),
        },
        error="SolutionVersionFailed",
        # The ARN says nothing of the name, and a version of a later attempt is the run's too.
        is_own=f"$found.Name in [1..{ATTEMPT_IN_JSONATA}].{each}",
        otherwise=" was trained after this run's version, which is not the latest any more;"
        " start a new run",
    )
    get = personalize_task(
        config,
        "Get Solution",
        "describeSolution",
        arguments={"SolutionArn": solution},
        output=_unless_it_differs(config),
    )
    create = personalize_task(
        config,
        "Create Solution",
        "createSolution",
        arguments=_solution(config),
        output=INPUT,
        catch=[Catch(error_equals=[ALREADY_EXISTS], output=jsonata(INPUT), next_step=get)],
    )
    get.add_catch(Catch(error_equals=[NOT_FOUND], output=jsonata(INPUT), next_step=create))
    find = personalize_task(
        config,
        "Find Solution Version",
        "describeSolution",
        arguments={"SolutionArn": solution},
        output=kept_job(
            f"{{'arn': {RESULT}.Solution.LatestSolutionVersion.SolutionVersionArn,"
            f" 'attempt': {_KNOWN}}}"
        ),
    )
    return direct_loop(config, **names, job=job, before=[get, create], find=find)


def batch_loop(config: Config, names: Mapping[str, Any], run: str) -> Stage:
    """Return the loop that has recommendations computed; `$.job` is the solution version.

    Args:
        config: The configuration.
        names: The arguments of `direct_loop` that name the stage and its states.
        run: The expression of the run's name.
    """
    name = job_name("'batch'", run, _ATTEMPT)
    key = {"KmsKeyArn": config.aws.kms_key} if config.aws.kms_key else {}
    source, target = (
        f"{text(f's3://{config.bucket}/runs/')} & {run} & {text(f'/{folder}/')}"
        for folder in ("batch-input", "batch-output")
    )
    exploration = config.batch_inference.exploration
    optional = {
        "FilterArn": config.personalize_filter_arn,
        "BatchInferenceJobConfig": {"ItemExplorationConfig": exploration} if exploration else None,
    }
    job = DirectJob(
        "BatchInferenceJob",
        {
            "JobName": jsonata(name),
            "SolutionVersionArn": jsonata(f"{INPUT}.job.arn"),
            "JobInput": {"S3DataSource": {"Path": jsonata(source), **key}},
            "JobOutput": {"S3DataDestination": {"Path": jsonata(target), **key}},
            "RoleArn": config.role_arn("personalize"),
            "NumResults": config.batch_inference.num_results,
            **{member: value for member, value in optional.items() if value},
            "Tags": _pascal(config.personalize_tags),
        },
        error="BatchInferenceFailed",
        is_own=f"$found.JobOutput.S3DataDestination.Path = {target}",
        origin="$found.SolutionVersionArn",
        existing_arn=f"{text(config.arn('personalize', 'batch-inference-job/'))} & {name}",
    )
    return direct_loop(config, **names, job=job, poll_first=True)


def _solution(config: Config) -> dict[str, Any]:
    """Return what CreateSolution gets, as the function that creates one sends it."""
    auto_ml = config.solution.auto_ml
    settings: dict[str, Any] = {
        "Name": config.solution_name,
        "DatasetGroupArn": config.dataset_group_arn,
        "RecipeArn": config.recipe_arn,
        "EventType": config.solution.event_type or None,
        "SolutionConfig": _pascal(config.solution_config) or None,
        "PerformHPO": None if auto_ml else config.solution.hpo,
        "PerformAutoML": auto_ml,
        # AWS's defaults are True: it would train, and charge, beside the runs.
        "PerformAutoTraining": False,
        "PerformIncrementalUpdate": None if config.solution.recipe != SEMANTIC else False,
        "Tags": _pascal(config.personalize_tags),
    }
    return {name: value for name, value in settings.items() if value is not None}


def _unless_it_differs(config: Config) -> str:
    """Return the expression of a state's input, which raises an error of other settings."""
    auto_ml = config.solution.auto_ml
    expected: dict[str, Any] = {
        "PerformAutoML": auto_ml,
        "PerformAutoTraining": False,
        "EventType": config.solution.event_type,
        # With AutoML Personalize chooses both.
        **({} if auto_ml else {"PerformHPO": config.solution.hpo, "RecipeArn": config.recipe_arn}),
        **_paths("SolutionConfig", _pascal(config.solution_config)),
    }
    settings = ", ".join(
        f"{{'name': {text(path.replace('`', ''))}, 'is': {_setting(path, value)},"
        f" 'expected': {text(value)}}}"
        for path, value in expected.items()
    )
    fault = text(f"solution '{config.solution_name}' has other settings: ")
    fix = text(
        ". Personalize cannot change a solution: give [solution] name another value, or delete the"
        " old one"
    )
    return (
        f"($solution := {RESULT}.Solution; $differences := [{settings}][is != expected];"
        f" $count($differences) = 0 ? {INPUT} : $error({fault} & $join($differences."
        f"(name & ' is ' & $string(is) & ', expected ' & $string(expected)), '; ') & {fix}))"
    )


def _setting(path: str, expected: Any) -> str:
    """Return the expression of a solution's setting; one that is absent is off, or empty."""
    if isinstance(expected, bool):
        return f"$solution.{path} = true"
    return f"$exists($solution.{path}) ? $solution.{path} : ''"


def _paths(path: str, value: Any) -> dict[str, Any]:
    """Return the expression's path of each text in nested objects, with the text."""
    if not isinstance(value, Mapping):
        return {path: value}
    return {
        inner: leaf
        for name, member in value.items()
        for inner, leaf in _paths(f"{path}.`{name}`", member).items()
    }


def _pascal(value: Any) -> Any:
    """Return a request of boto3 with the names that Step Functions has; names of data are kept."""
    if isinstance(value, list):
        return [_pascal(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    return {
        name[:1].upper() + name[1:]: dict(member) if name in _OF_DATA else _pascal(member)
        for name, member in value.items()
    }
