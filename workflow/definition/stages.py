"""The stages of the retraining, of which workflows are composed.

    stages = Stages(config)
    stages.compose(stages.etl(), stages.imports(), LambdaStep("Ask the Editors", …), …)

Each method returns one `Stage`, `function` a state that calls a function of yours; `compose` links
them with any State or Chain of the SDK, and leads every failure to `Report Failure`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workflow.config import Config
from workflow.definition.composition import ComposedGraph, compose
from workflow.definition.direct import batch_loop, import_loop, training_loop
from workflow.definition.order import order_faults
from workflow.definition.parts.begin import begin_run, unless_extracted
from workflow.definition.parts.best_model import best_model, check_compared
from workflow.definition.parts.campaigns import campaigns
from workflow.definition.parts.delivery import delivery
from workflow.definition.parts.increments import (
    comparison,
    only_if_needed,
    only_if_new,
    plan_increment,
    training_mode,
    window_arguments,
)
from workflow.definition.parts.own_model import (
    made_by,
    own_inference,
    own_training,
)
from workflow.definition.parts.publication import by_spark, published
from workflow.definition.parts.quality_gate import quality_gate
from workflow.definition.parts.recommenders import (
    all_published,
    each_recommender,
)
from workflow.definition.parts.retention import clean_up
from workflow.definition.polling import (
    SNS_ERRORS,
    lambda_task,
    poll_loop,
    retry_service_errors,
    spark_task,
)
from workflow.definition.recommender import (
    EachRecommender,
    OneRecommender,
    inference_values,
    publication_values,
    training_values,
)
from workflow.definition.stage import JOB, Part, Stage, fail, stage_of
from workflow.errors import StructureError
from workflow.options.models import PERSONALIZE
from workflow.run_names import RUN, RUN_IN_JSONATA
from workflow.sdk import Catch, GlueStartJobRunStep, LambdaStep, Map, SnsPublishStep, State, Succeed
from workflow.spelling import suggestion

_MADE_OF_THE_FUNCTION = frozenset({"parameters", "partition", "resource"})


class Stages:
    """The stages of one configuration; building them needs no client, region or credentials."""

    def __init__(self, config: Config, recommender: OneRecommender | None = None) -> None:
        self.config = config
        self._recommender = recommender or OneRecommender(config)

    @property
    def each(self) -> Stages:
        """The stages that `recommenders` repeats: their recommender is that of its item."""
        return Stages(self.config, EachRecommender(self.config))

    def begin(self) -> Stage:
        """Return the stage that takes the lock: one run at a time. `compose` puts it first."""
        return begin_run(self.config)

    def plan_increment(self) -> Stage:
        """Return the stage that decides what the Spark job reads, as `[increments]` says.

        Raises:
            StructureError: If the configuration has no such table.
        """
        return plan_increment(self.config)

    def etl(self) -> Stage:
        """Return the Spark job that writes the run's data sets and manifest, if they are not."""
        return unless_extracted(run_etl(self.config))

    def imports(self) -> Stage:
        """Return the stage that imports the data sets of the run, and waits for them.

        With `[increments]` these are the ones that have changed; the run ends if nothing has.
        """
        self._check_personalize("imports()")
        listing, importing = list_datasets(self.config), reimport_all_datasets(self.config)
        if self.config.increments:
            return only_if_new(listing, importing)
        return stage_of("Imports", listing, importing)

    def training(self) -> Stage:
        """Return the stage that trains a new solution version; its job is at `$.job` then.

        With `[increments]` the newest version stays there if no data have changed since.
        """
        self._check_personalize("training()")
        loop = solution_version_loop(self._recommender)
        return only_if_needed(loop) if self.config.increments else loop

    def quality_gate(self) -> Stage:
        """Return the stage that judges the solution version at `$.job`, as `[gate]` says.

        Raises:
            StructureError: If the configuration has no such table.
        """
        return quality_gate(self._recommender)

    def batch_inference(self) -> Stage:
        """Return the stage that computes recommendations; `$.job` is the solution version."""
        self._check_personalize("batch_inference()")
        return batch_inference_loop(self._recommender)

    def own_training(self, name: str) -> Stage:
        """Return the stage that trains a model of your own on SageMaker; it is at `$.job` then.

        Args:
            name: The model's name, as in `[models.NAME]`.

        Raises:
            StructureError: If there is no such model.
            ConfigError: If its source cannot be used, or AWS has no image for it.
        """
        return own_training(self.config, name)

    def own_inference(self, name: str) -> Stage:
        """Return the stage in which that model makes the lists; `$.job` is its training.

        Args:
            name: The model's name, as in `[models.NAME]`.

        Raises:
            StructureError: If there is no such model.
            ConfigError: If its source cannot be used, or AWS has no image for it.
        """
        return own_inference(self.config, name)

    def best(self, branches: Mapping[str, Sequence[Part]] | None = None) -> Stage:
        """Return the stage in which all models make lists side by side, and the best is found.

        Its job is at `$.job` then, for `publish`. Models are compared by what the Spark job has
        kept from their trainings. If one of them fails, the run does.

        Args:
            branches: What is done for a model, by its name, `personalize` or as in `[models.NAME]`:
                stages, and States and Chains of the SDK. Of those left out it is the usual:
                imports, training, quality gate if there is one and batch inference of Personalize,
                training and inference of the others.

        Raises:
            StructureError: If the configuration does not compare models, or there is no such model.
            ConfigError: If a model's source cannot be used, or AWS has no image for it.
        """
        check_compared(self.config)
        own = dict(branches or {})
        usual = {name: own.get(name) or self._usual(name) for name in self.config.compared}
        return best_model(self.config, usual | own)

    def _usual(self, model: str) -> list[Part]:
        """Return what is done for one of the models that are compared."""
        if model != PERSONALIZE:
            return [self.own_training(model), self.own_inference(model)]
        gate = [self.quality_gate()] if self.config.gate else []
        return [self.imports(), self.training(), *gate, self.batch_inference()]

    def publish(self) -> Stage:
        """Return the stage that filters, ranks and publishes; `$.job` is the job of the lists.

        With `filter.spark_above` a Spark job filters what is too large for the function.
        """
        return published(self.config, filter_recommended_item(self._recommender))

    def deliver(self) -> Stage:
        """Return the stage that writes the published list into a table, as `[delivery]` says.

        Raises:
            StructureError: If the configuration has no such table.
        """
        return delivery(self.config)

    def clean_up(self) -> Stage:
        """Return the stage that deletes what old runs left, as `[retention]` says.

        Raises:
            StructureError: If the configuration has no such table.
        """
        return clean_up(self.config)

    def campaigns(self) -> Stage:
        """Return the stage that has campaigns serve the published list's version.

        Raises:
            StructureError: If the configuration has no table `[campaigns.NAME]`.
        """
        return campaigns(self.config)

    def recommenders(self, *parts: Part) -> Stage:
        """Return the stage in which each recommender is trained, infers and publishes its list.

        One that fails leaves the others alone; `all_published` at the end fails the run then.

        Args:
            parts: What is repeated for each: stages of `each`, and States and Chains of the SDK; by
                default training, quality gate if there is one, batch inference and publication.

        Raises:
            StructureError: If the configuration has no further recommenders.
        """
        each = self.each
        usual = [
            each.training(),
            *([each.quality_gate()] if any(each._recommender.gates) else []),
            each.batch_inference(),
            each.publish(),
        ]
        return each_recommender(EachRecommender(self.config), parts or usual)

    def all_published(self) -> Stage:
        """Return the stage that fails the run if recommenders failed; it comes last.

        Raises:
            StructureError: If the configuration has no further recommenders.
        """
        return all_published(self.config)

    def function(
        self,
        name: str,
        function: str,
        *,
        payload: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> LambdaStep:
        """Return a state that calls one of your functions, with Retry and a time limit above its.

        Args:
            name: The state's name.
            function: The function's name, as in `[functions.NAME]`; a packaged one's too.
            payload: What the handler gets; keys that end in `.$` are paths. The run's name and
                the bucket if left out, with `wait_for_callback` the token as `token`, and of a
                stage of `each` the recommender's name, which is empty for the first.
            fields: Further fields of the state, in the SDK's spelling, its own `retry` and
                `timeout_seconds` too. With `wait_for_callback=True` it waits for an answer, by
                default as long as a run may last. Without `result_path` and `output_path` what the
                handler returns is left out of the data.

        Raises:
            StructureError: If there is no such function, or `fields` has what it is made of.
        """
        if taken := sorted(fields.keys() & _MADE_OF_THE_FUNCTION):
            raise StructureError(
                [f"'{name}': {', '.join(taken)} cannot be given; the function's input is payload=…"]
            )
        known = self.config.function_names
        if function not in known:
            fix = suggestion(
                function, known, otherwise=f"add [functions.{function}] with its source", quote="'"
            )
            raise StructureError([f"'{name}': there is no function '{function}'; {fix}"])
        if not fields.keys() & {"result_path", "output_path"}:
            fields["result_path"] = None
        default = {"bucket": self.config.bucket, "run.$": RUN, **self._recommender.name}
        if fields.get("wait_for_callback"):
            default["token.$"] = "$$.Task.Token"
        return lambda_task(
            self.config,
            name,
            function=function,
            payload=default if payload is None else payload,
            **fields,
        )

    def compose(self, *parts: Part) -> ComposedGraph:
        """Return the whole workflow: the parts in their order, and what every failure leads to.

        Args:
            parts: Stages, and States and Chains of the SDK. Each is led on to the next one; a Task
                that has none gets a Retry, a Catch and a time limit. `begin()` is put first if it
                is not among them.

        Raises:
            StructureError: If the parts do not make one workflow, a stage stands where it cannot do
                its work, or a table of the configuration asks for one that is not there.
        """
        graph = compose(
            self.config,
            parts,
            begin=self.begin(),
            failure=report_failure(self.config),
            comment=f"Retrains {self.config.name}: database to recommendations",
        )
        if faults := list(order_faults(self.config, graph.to_dict(), graph.stages)):
            raise StructureError(faults)
        return graph

    def _check_personalize(self, stage: str) -> None:
        """Raise for a stage of Personalize where a model takes its place."""
        if not self.config.has_personalize:
            model = self.config.publish.model
            raise StructureError(
                [
                    f'stages.{stage} is Personalize\'s, which from = "{model}" in [publish] leaves'
                    f' out; take own_training("{model}") and own_inference("{model}"), or write'
                    ' from = "personalize"'
                ]
            )


def run_etl(config: Config) -> GlueStartJobRunStep:
    """Return the Spark job that writes the run's data sets and manifest."""
    return spark_task(config, "ETL", arguments=window_arguments(config), result_path="$.etl")


def list_datasets(config: Config) -> State:
    """Return the task that turns the run's manifest into `$.datasets`."""
    return lambda_task(
        config,
        "List Datasets",
        function="list-datasets",
        payload={
            "bucket": config.bucket,
            "run.$": RUN,
            "datasetGroupArn": config.dataset_group_arn,
            **comparison(config),
        },
        output_path="$.Payload",
    )


def reimport_all_datasets(config: Config) -> Map:
    """Return the Map that imports each data set and waits for it."""
    loop = one_import(config)
    loop.next(Succeed("Import Successful"))
    loop.fail_to(fail("Import Failed"))
    return Map(
        "Reimport All Datasets",
        items_path="$.datasets",
        max_concurrency=config.import_concurrency,
        iterator=loop,
        result_path="$.datasetImport",
    )


def one_import(config: Config) -> Stage:
    """Return the loop that imports one data set."""
    names: dict[str, Any] = {
        "title": "Import",
        "create": "Import Dataset",
        "wait": "Wait X Seconds for Import Job",
        "get_status": "Get Job Status",
        "choose": "Job Complete?",
    }
    if config.workflow.integration == "sdk":
        return import_loop(config, names, RUN_IN_JSONATA)
    return poll_loop(
        config,
        **names,
        function="create-import-job",
        payload={
            "run.$": RUN,
            "datasetType.$": "$.datasetType",
            "datasetArn.$": "$.datasetArn",
            "s3Path.$": "$.s3Path",
            "importMode.$": "$.importMode",
            "roleArn": config.role_arn("personalize"),
            "tags": config.personalize_tags,
        },
        error="DatasetImportFailed",
    )


def solution_version_loop(recommender: OneRecommender) -> Stage:
    """Return the loop that trains a new solution version."""
    config = recommender.config
    names: dict[str, Any] = {
        "title": "Training",
        "create": "Create Solution Version",
        "wait": "Wait X Seconds for Solution Version",
        "get_status": "Get Solution Version Status",
        "choose": "Solution Version Active?",
    }
    if config.workflow.integration == "sdk":
        return training_loop(config, names, RUN_IN_JSONATA)
    return poll_loop(
        config,
        **names,
        function="create-solution-version",
        payload={
            "run.$": RUN,
            **recommender.values(training_values),
            **training_mode(config),
            "tags": config.personalize_tags,
        },
        error="SolutionVersionFailed",
    )


def batch_inference_loop(recommender: OneRecommender) -> Stage:
    """Return the loop that has recommendations computed; `$.job` is the solution version."""
    config = recommender.config
    names: dict[str, Any] = {
        "title": "Batch Inference",
        "create": "Trigger Batch Inference",
        "wait": "Wait X Seconds for Batch Inference",
        "get_status": "Get Batch Inference Status",
        "choose": "Batch Completed?",
    }
    if config.workflow.integration == "sdk":
        return batch_loop(config, names, RUN_IN_JSONATA)
    return poll_loop(
        config,
        **names,
        function="create-batch-inference-job",
        payload={
            "run.$": RUN,
            "solutionVersionArn.$": f"{JOB}.arn",
            "inputPath.$": recommender.path("batch-input/"),
            "outputPath.$": recommender.path("batch-output/"),
            **recommender.values(inference_values),
            "kmsKeyArn": config.aws.kms_key or None,
            "tags": config.personalize_tags,
        },
        error="BatchInferenceFailed",
        poll_first=True,
    )


def filter_recommended_item(recommender: OneRecommender) -> State:
    """Return the task that filters, ranks and publishes; `$.job` is the batch inference job."""
    config = recommender.config
    return lambda_task(
        config,
        "Filter Recommended Item",
        function="filter-recommendations",
        payload={
            "bucket": config.bucket,
            "run.$": RUN,
            "execution.$": "$$.Execution.Id",
            **made_by(config),
            **by_spark(config),
            **recommender.values(publication_values),
        },
        output_path="$.Payload",
    )


def report_failure(config: Config) -> State:
    """Return the task that notifies people, followed by the state that fails the execution.

    With `[notification]` it is that state alone: a function is called at the end of every run.
    """
    failed = fail("Retraining Failed")
    if config.notification:
        return failed
    message = (
        "States.Format('Run {} of {} failed with {}. Cause: {}',"
        f" {RUN}, $$.StateMachine.Name, {JOB}.Error, {JOB}.Cause)"
    )
    report = SnsPublishStep(
        "Report Failure",
        partition=config.partition,
        parameters={
            "TopicArn": config.topic_arn,
            "Subject": f"{config.name}: retraining failed",
            "Message.$": message,
        },
        result_path=None,  # the error stays where it is, for the state that fails with it
        timeout_seconds=60,
        retry=[retry_service_errors(SNS_ERRORS)],
        catch=[Catch(error_equals=["States.ALL"], result_path="$.notification", next_step=failed)],
    )
    report.next(failed)
    return report
