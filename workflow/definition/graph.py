"""The retraining graph, top to bottom in the order in which it runs.

ETL → List Datasets → Reimport All Datasets (Map) → Create Solution Version → … → Trigger Batch
Inference → … → Filter Recommended Item; every failure leads to Report Failure.

To change the workflow, change this file, check the picture (`retrain render`), and commit the
rendered ASL with it.
"""

from __future__ import annotations

from workflow.config import Config
from workflow.definition.polling import (
    GLUE_ERRORS,
    JOB,
    MINUTE,
    SNS_ERRORS,
    PollLoop,
    lambda_task,
    poll_loop,
    retry_service_errors,
    retry_when_busy,
)
from workflow.sdk import (
    Catch,
    Chain,
    Fail,
    GlueStartJobRunStep,
    Graph,
    Map,
    SnsPublishStep,
    State,
    Succeed,
)

RUN = "$$.Execution.Name"
GLUE_START_MINUTES = 15


def retraining_graph(config: Config) -> Graph:
    """Return the whole workflow; needs no client, region or credentials."""
    failure = report_failure(config)
    etl = run_etl(config)
    datasets = list_datasets(config)
    reimport = reimport_all_datasets(config)
    publish = filter_recommended_item(config)
    inference = batch_inference_loop(config, on_active=publish, on_failed=failure)
    training = solution_version_loop(config, on_active=inference.create, on_failed=failure)

    for task in (etl, datasets, reimport, *training, *inference, publish):
        task.add_catch(Catch(error_equals=["States.ALL"], result_path=JOB, next_step=failure))
    return Graph(
        Chain([etl, datasets, reimport, training.create]),
        comment=f"Retrains {config.name}: database to recommendations",
        timeout_seconds=config.timeout_hours * 60 * MINUTE,
    )


def run_etl(config: Config) -> GlueStartJobRunStep:
    """Return the Spark job that writes the run's data sets and manifest."""
    return GlueStartJobRunStep(
        "ETL",
        partition=config.partition,
        parameters={
            "JobName": config.glue_job,
            "Arguments": {
                "--run.$": RUN,
                "--bucket": config.bucket,
                "--spec": f"s3://{config.bucket}/{config.spec_key}",
            },
        },
        result_selector={"JobRunId.$": "$.Id"},
        result_path="$.etl",
        # Above Glue's own limit, which leaves the time out in which the job starts.
        timeout_seconds=(config.etl.timeout_minutes + GLUE_START_MINUTES) * MINUTE,
        retry=[retry_service_errors(GLUE_ERRORS[1:]), retry_when_busy(GLUE_ERRORS[:1])],
    )


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
            "importMode": "FULL",
        },
        output_path="$.Payload",
    )


def reimport_all_datasets(config: Config) -> Map:
    """Return the Map that imports each data set and waits for it."""
    imported = Succeed("Import Successful")
    failed = Fail("Import Failed", error_path=f"{JOB}.Error", cause_path=f"{JOB}.Cause")
    loop = poll_loop(
        config,
        create="Import Dataset",
        wait="Wait X Seconds for Import Job",
        get_status="Get Job Status",
        choose="Job Complete?",
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
        on_active=imported,
        on_failed=failed,
    )
    for task in loop:
        task.add_catch(Catch(error_equals=["States.ALL"], result_path=JOB, next_step=failed))
    return Map(
        "Reimport All Datasets",
        items_path="$.datasets",
        max_concurrency=config.import_concurrency,
        iterator=loop.create,
        result_path="$.datasetImport",
    )


def solution_version_loop(config: Config, *, on_active: State, on_failed: State) -> PollLoop:
    """Return the loop that trains a new solution version."""
    return poll_loop(
        config,
        create="Create Solution Version",
        wait="Wait X Seconds for Solution Version",
        get_status="Get Solution Version Status",
        choose="Solution Version Active?",
        function="create-solution-version",
        payload={
            "run.$": RUN,
            "solutionName": config.solution_name,
            "datasetGroupArn": config.dataset_group_arn,
            "recipeArn": config.recipe_arn,
            "solutionConfig": config.solution_config,
            "eventType": config.solution.event_type or None,
            # With AutoML Personalize always searches them, and "you should not set it to false".
            "performHPO": None if config.solution.auto_ml else config.solution.hpo,
            "performAutoML": config.solution.auto_ml,
            "trainingMode": "FULL",
            "tags": config.personalize_tags,
        },
        error="SolutionVersionFailed",
        on_active=on_active,
        on_failed=on_failed,
    )


def batch_inference_loop(config: Config, *, on_active: State, on_failed: State) -> PollLoop:
    """Return the loop that has recommendations computed; `$.job` is the solution version."""
    run_prefix = f"s3://{config.bucket}/runs/{{}}"
    return poll_loop(
        config,
        create="Trigger Batch Inference",
        wait="Wait X Seconds for Batch Inference",
        get_status="Get Batch Inference Status",
        choose="Batch Completed?",
        function="create-batch-inference-job",
        payload={
            "run.$": RUN,
            "solutionVersionArn.$": f"{JOB}.arn",
            "inputPath.$": f"States.Format('{run_prefix}/batch-input/', {RUN})",
            "outputPath.$": f"States.Format('{run_prefix}/batch-output/', {RUN})",
            "roleArn": config.role_arn("personalize"),
            "numResults": config.batch_inference.num_results,
            "filterArn": config.personalize_filter_arn,
            "itemExploration": config.batch_inference.exploration or None,
            "kmsKeyArn": config.aws.kms_key or None,
            "tags": config.personalize_tags,
        },
        error="BatchInferenceFailed",
        on_active=on_active,
        on_failed=on_failed,
        poll_first=True,
    )


def filter_recommended_item(config: Config) -> State:
    """Return the task that filters, ranks and publishes; `$.job` is the batch inference job."""
    return lambda_task(
        config,
        "Filter Recommended Item",
        function="filter-recommendations",
        payload={
            "bucket": config.bucket,
            "run.$": RUN,
            "batchInferenceJobArn.$": f"{JOB}.arn",
            "keep": config.filter.keep,
        },
        output_path="$.Payload",
    )


def report_failure(config: Config) -> SnsPublishStep:
    """Return the task that notifies people, followed by the state that fails the execution."""
    failed = Fail("Retraining Failed", error_path=f"{JOB}.Error", cause_path=f"{JOB}.Cause")
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
