"""What the states of a definition call, and which of it can be priced.

A state is known by what it calls, whoever composed the workflow: a packaged function, the
deployment's Spark job, an integration. What is not known here is named by its state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from workflow.config import Config
from workflow.definition import asl
from workflow.definition.asl import Definition, State

SPARK, FUNCTION = "Spark job", "function"
IMPORT, TRAINING, BATCH, CAMPAIGN = "import", "training", "batch inference", "campaign"

_BY_FUNCTION = {
    "create-import-job": IMPORT,
    "create-solution-version": TRAINING,
    "create-batch-inference-job": BATCH,
    "update-campaign": CAMPAIGN,
}
_BY_INTEGRATION = {
    "aws-sdk:personalize:createDatasetImportJob": IMPORT,
    "aws-sdk:personalize:createSolutionVersion": TRAINING,
    "aws-sdk:personalize:createBatchInferenceJob": BATCH,
}
# Of Personalize's operations these have a price, or begin what has one; all others have none.
# https://aws.amazon.com/personalize/pricing/
_PRICED_OTHERWISE = frozenset(
    {
        "createBatchSegmentJob",
        "createCampaign",
        "createDatasetExportJob",
        "createRecommender",
        "startRecommender",
        "updateCampaign",
        "updateRecommender",
    }
)
_SPARK_JOB = "startJobRun"
_FREE_OF_SAGEMAKER = frozenset(
    {"createModel", "deleteModel", "listTrainingJobs", "listTransformJobs"}
)
INSTANCE_JOBS = {
    "sagemaker:createTrainingJob": ("own_training_minutes", "ResourceConfig"),
    "sagemaker:createTransformJob": ("own_inference_minutes", "TransformResources"),
}
"""Integrations that run a job on instances of SageMaker → the assumption that says how long it
takes, and the member of the request that names the instances."""


@dataclass(frozen=True)
class InstanceJob:
    """A job on instances, which is billed by their time.

    Attributes:
        state: The state that runs it.
        minutes: The name of the assumption that says how long it takes.
        instance_type: Of its instances, by which their price is known.
        instances: Their number.
    """

    state: str
    minutes: str
    instance_type: str
    instances: int


def instance_jobs(definition: Definition) -> Iterator[InstanceJob]:
    """Yield the jobs on instances of a definition, whose type and number stand in it."""
    for _, name, state in asl.states(definition):
        called = asl.integration(state)
        if called is None or called.name not in INSTANCE_JOBS:
            continue
        minutes, member = INSTANCE_JOBS[called.name]
        resources = asl.arguments(state).get(member) or {}
        if isinstance(count := resources.get("InstanceCount"), int):
            yield InstanceJob(name, minutes, str(resources.get("InstanceType", "")), count)


def billed(config: Config, definition: Definition, visits: Mapping[str, int]) -> Counter[str]:
    """Return how many states of a run call each thing that is priced.

    A state counts once, however often it was tried; a function by its calls.

    Args:
        config: Names the functions and the Spark job.
        definition: The workflow's.
        visits: Of the run.
    """
    counts: Counter[str] = Counter()
    for _, name, state in asl.states(definition):
        times = visits.get(name, 0)
        for what in _called(config, state):
            counts[what] += times if what == FUNCTION else bool(times)
    return counts


def unpriced(
    config: Config, definition: Definition, doomed: Collection[str], prices: Collection[str]
) -> tuple[str, ...]:
    """Return the states whose calls have a price that is not known here, with what they call.

    Args:
        config: Names the Spark job.
        definition: The workflow's.
        doomed: States of runs that fail, which are left out.
        prices: The names of those that are known.
    """
    priced = {job.state for job in instance_jobs(definition) if job.instance_type in prices}
    return tuple(
        f"'{name}' ({what})"
        for _, name, state in asl.states(definition)
        if name not in {*doomed, *priced} and (what := _unknown(config, state))
    )


def _called(config: Config, state: State) -> Iterator[str]:
    """Yield what a state calls that is priced."""
    called = asl.integration(state)
    if called is None:
        return
    if called.name in _BY_INTEGRATION:
        yield _BY_INTEGRATION[called.name]
    if is_spark_job(config, state):
        yield SPARK
    if function := asl.function_name(state):
        yield FUNCTION
        yield from (
            what for name, what in _BY_FUNCTION.items() if config.function(name) == function
        )


def _unknown(config: Config, state: State) -> str:
    """Return what a state calls that has another price; empty if there is none."""
    called = asl.integration(state)
    if called is None or called.service in {"lambda", "activity"}:
        return ""
    if called.service == "personalize":
        return called.name if called.api in _PRICED_OTHERWISE else ""
    if called.service == "sagemaker" and called.api in _FREE_OF_SAGEMAKER:
        return ""
    if is_spark_job(config, state):
        return ""
    job = asl.arguments(state).get("JobName") if called.api == _SPARK_JOB else None
    return f"{called.name} of {job}" if job else called.name


def is_spark_job(config: Config, state: State) -> bool:
    """Return whether a state runs the deployment's Spark job."""
    called = asl.integration(state)
    return (
        called is not None
        and (called.service, called.api) == ("glue", _SPARK_JOB)
        and asl.arguments(state).get("JobName") == config.glue_job
    )
