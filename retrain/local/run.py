"""One whole retraining on this machine: database → recommendations.csv, with nothing left running.

The stages: a PostgreSQL with the sample, unless a database is named; the local AWS and a deployment
on it; one execution, followed state by state; the popularity baseline, trained through the same
Personalize; the files.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from analysis.frames import open_run, read_directory
from analysis.metrics import short_name, training_metrics
from analysis.report import report
from analysis.run_record import gather
from etl.class_archive import recorded_classes
from etl.datasets import DATASET_TYPES
from etl.errors import EtlError
from lambdas.polling import next_wait
from localaws.aws import LocalAws
from localaws.errors import LocalAwsError
from retrain.files import json_text, write_whole
from retrain.live import RunView, Work
from retrain.local.database import check_database, sample_database
from retrain.local.deployment import create_table, deploy, train_baseline
from retrain.local.sample_size import SampleSize
from retrain.local.scratch import scratch_directory
from workflow.config import Config
from workflow.definition.own_models.jobs import name_prefix
from workflow.definition.parts.best_model import COMPARE
from workflow.definition.parts.own_model import MAKE_LISTS, TRAIN
from workflow.runs.history import Failure, HistoryReader, failed_visit, failure_of, follow
from workflow.runs.visits import Visits

# Stage → its states: it lies between the entry of the first that is visited and the last's exit.
STAGES = {
    "ETL": ("ETL",),
    "imports": ("Reimport All Datasets",),
    "training": ("Create Solution Version", "Solution Version Active?"),
    "batch inference": ("Trigger Batch Inference", "Batch Completed?"),
    "filter": ("Filter on Spark", "Filter Recommended Item"),
}


def stages_of(config: Config) -> dict[str, tuple[str, ...]]:
    """Return the states of each stage of a configuration's workflow, in order.

    Those of several models go on at the same time.
    """
    stages = dict(STAGES)
    filtering = {"filter": stages.pop("filter")}
    if not config.has_personalize:
        model = config.publish.model
        own = {"training": (TRAIN.format(model),), "inference": (MAKE_LISTS.format(model),)}
        return {"ETL": STAGES["ETL"], **own, **filtering}
    for model in config.compared[1:]:
        stages[f"training of {model}"] = (TRAIN.format(model),)
        stages[f"inference of {model}"] = (MAKE_LISTS.format(model),)
    comparison = {"comparison": (COMPARE,)} if config.compared else {}
    return {**stages, **comparison, **filtering}


class LocalRunError(LocalAwsError):
    """A local run cannot begin."""


@dataclass(frozen=True)
class Outcome:
    """The result of a local run.

    Attributes:
        failure: Why it failed; None if it SUCCEEDED.
        durations: Seconds by stage.
        files: What was written into the output directory.
        metrics: Of the trained version and of the baseline; empty if the run failed.
        titles: Item → its title, or what else names it; empty if the run failed.
    """

    failure: Failure | None
    durations: dict[str, float]
    files: tuple[Path, ...]
    metrics: dict[str, Any]
    titles: dict[str, str] = field(default_factory=dict)


def run_locally(
    config: Config,
    *,
    output: Path,
    database_url: str | None,
    sample: SampleSize,
    view: RunView,
    time_scale: float = 0.0,
    archive_classes: bool = False,
) -> Outcome:
    """Perform the whole retraining once.

    Args:
        config: What to deploy and run.
        output: Directory for the results; made if it does not exist. Each file is replaced whole. A
            run that fails replaces only `report.html`, `history.json`, `etl.log`, `rejected/`, if
            its Spark job finished `datasets/`, and the lists of recommenders that did not fail.
        database_url: The database to read; None starts a PostgreSQL with the sample.
        sample: Size of the sample, where there is no `database_url`.
        view: Shows the run.
        time_scale: Factor on Wait states and Retry intervals; 0 does not wait.
        archive_classes: Whether the classes that Spark has loaded are archived at the end of a run
            that did not fail.

    Raises:
        LocalRunError: If `output` cannot be written to; nothing was started. Or if the archive
            cannot be written; everything else is done.
        LocalAwsError: If `database_url` is no URL of the configured engine (nothing was started),
            or PostgreSQL, the sample or the deployment cannot be set up.
    """
    _check_writable(output)
    check_database(config, database_url)
    with ExitStack() as stack:
        directory = stack.enter_context(scratch_directory("retraining-"))
        recording = stack.enter_context(recorded_classes(os.environ)) if archive_classes else None
        if database_url is None:
            view.stage("Starting PostgreSQL and loading the sample database")
            database_url = stack.enter_context(sample_database(directory, sample))
            view.stage(f"Sample database: {sample}")
        view.stage("Starting the local AWS and deploying the workflow")
        aws = stack.enter_context(
            LocalAws(
                directory=directory / "aws",
                is_kept=False,
                account=config.aws.account,
                region=config.aws.region,
                time_scale=time_scale,
                database_url=database_url,
            )
        )
        outcome = _execute(config, aws, output, view)
        if recording is None or outcome.failure:
            return outcome
        view.stage("Archiving the classes of Spark, which then starts faster")
        return replace(outcome, files=(*outcome.files, _write_archive(config, recording)))


def _write_archive(config: Config, recording: Path) -> Path:
    """Write the archive of the classes that the run's Spark jobs have loaded."""
    from etl.java import class_archive  # noqa: PLC0415  Spark costs time

    try:
        return class_archive(config.source.engine, os.environ).write(recording)
    except EtlError as error:
        raise LocalRunError(str(error)) from None


def _execute(config: Config, aws: LocalAws, output: Path, view: RunView) -> Outcome:
    workflow = deploy(config, aws.client)
    create_table(config, aws.client)
    execution = workflow.execute()
    history = HistoryReader(aws.client("stepfunctions"), execution.execution_arn)
    for step in follow(history, poll_seconds=0.2, on_poll=lambda: view.work(_work(config, aws))):
        view.step(step)
    events = history.read_all()
    visits = Visits(events)
    failure = failure_of(visits, workflow.definition.to_dict())
    durations = stage_durations(config, visits)
    view.end(failed_visit(visits))

    def with_paths(text: str) -> str:
        """Name what is kept of this run by its path: the bucket is gone when the run has ended."""
        return text.replace(f"s3://{config.bucket}/runs/{execution.name}/rejected/", kept)

    kept = f"{output / 'rejected'}/"
    failure = failure and replace(failure, cause=with_paths(failure.cause))

    previous = _previous_results(output)
    files = [
        write_whole(output / "history.json", json_text({"events": events})),
        write_whole(output / "etl.log", with_paths(_etl_log(config, aws))),
        *_write_rejected(config, aws, execution.name, output / "rejected"),
        *_write_data_sets(config, aws, execution.name, output / "datasets"),
    ]
    published = _published(config, aws, execution.name)
    lists = [
        write_whole(
            output / f"{each.folder}recommendations.csv", _csv(aws, published[each.recommender])
        )
        for each in config.each_recommender
        if each.recommender in published
    ]
    metrics: dict[str, Any] = {}
    if failure is None:
        makers = {name: _maker_metrics(aws, latest) for name, latest in published.items()}
        metrics = {"run": execution.name, **makers.pop("")}
        if baseline := _baseline_of(config):
            view.stage("Training the popularity baseline for comparison")
            metrics["baseline"] = baseline(config, aws, execution.name)
        if config.compared:
            run = open_run(config, aws.client("s3"), execution.name)
            metrics["comparison"] = run.record("comparison")
        metrics["seconds"] = durations
        if makers:
            metrics["recommenders"] = makers
        lists.insert(1, write_whole(output / "metrics.json", json_text(metrics)))
    files = [*lists, *files]
    view.stage("Writing the report")
    now = datetime.now(UTC)
    record = gather(
        config, aws.client, execution.name, timed=False, next_wait=next_wait, now=now, **previous
    )
    page = report(replace(record, is_over=True))
    files.insert(0, write_whole(output / "report.html", with_paths(page)))
    titles = {} if failure else record.labels
    return Outcome(failure, durations, tuple(files), metrics, titles)


def _published(config: Config, aws: LocalAws, run: str) -> dict[str, dict[str, Any]]:
    """Return recommender → what a run has published of it, the content of its `latest.json`."""
    s3, found = aws.client("s3"), {}
    for each in config.each_recommender:
        listed = s3.list_objects_v2(Bucket=config.bucket, Prefix=each.latest_key)
        if listed.get("Contents"):
            latest = json.loads(b"".join(_chunks(aws, config.bucket, each.latest_key)))
            if latest["run"] == run:
                found[each.recommender] = latest
    return found


def _csv(aws: LocalAws, published: dict[str, Any]) -> Iterator[bytes]:
    bucket, _, key = published["csv"].removeprefix("s3://").partition("/")
    return _chunks(aws, bucket, key)


def _previous_results(output: Path) -> dict[str, Any]:
    """Return the metrics and lists of the run before into this directory, as `gather` takes them.

    Empty if they cannot be read.
    """
    try:
        metrics = json.loads((output / "metrics.json").read_text(encoding="utf-8"))["metrics"]
        lists = read_directory(output).recommendations
    except (OSError, ValueError, KeyError):
        return {}
    return {
        "before": {short_name(name): value for name, value in metrics.items()},
        "lists_before": lists,
    }


def stage_durations(config: Config, visits: Visits) -> dict[str, float]:
    """Return the seconds that each stage took, in order; stages that did not end are left out."""
    durations = {}
    for stage, states in stages_of(config).items():
        begun = [visit.begun for visit in visits.all if visit.state in states]
        ended = [visit.ended for visit in visits.all if visit.state == states[-1] and visit.ended]
        if begun and ended:
            durations[stage] = round((ended[-1] - begun[0]).total_seconds(), 2)
    return durations


def _work(config: Config, aws: LocalAws) -> Iterator[Work]:
    """Yield the jobs that are running now."""
    for run in aws.glue.progress():
        yield Work(f"Spark: {run.label}" if run.label else "Spark", run.fraction)
    for job in aws.personalize.progress():
        yield Work(job.task, job.fraction)
    for training in aws.sagemaker.progress():
        of = (name for name in config.models if training.name.startswith(name_prefix(config, name)))
        model = max(of, key=len, default=training.name)
        yield Work(f"SageMaker: {model}, {training.phase.lower()}", None)


def _chunks(aws: LocalAws, bucket: str, key: str) -> Iterator[bytes]:
    """Yield an S3 object in chunks of a megabyte."""
    yield from aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(1 << 20)


def _write_rejected(config: Config, aws: LocalAws, run: str, directory: Path) -> Iterator[Path]:
    """Write the run's examples of rejected rows in place of those of an earlier run."""
    for dataset_type in DATASET_TYPES:
        (directory / f"{dataset_type.lower()}.json").unlink(missing_ok=True)
    listed = aws.client("s3").list_objects_v2(Bucket=config.bucket, Prefix=f"runs/{run}/rejected/")
    for key in (item["Key"] for item in listed.get("Contents", [])):
        yield write_whole(directory / Path(key).name, _chunks(aws, config.bucket, key))


def _write_data_sets(config: Config, aws: LocalAws, run: str, directory: Path) -> Iterator[Path]:
    """Write the CSVs that Personalize gets, each data set as one file; none if there are none."""
    s3 = aws.client("s3")
    for data_set in config.data_sets:
        pages = s3.get_paginator("list_objects_v2").paginate(
            Bucket=config.bucket, Prefix=f"runs/{run}/{data_set.prefix}"
        )
        keys = sorted(item["Key"] for page in pages for item in page.get("Contents", ()))
        if keys:
            parts = (_chunks(aws, config.bucket, key) for key in keys)
            yield write_whole(directory / f"{data_set.type.lower()}.csv", _one_header(parts))


def _one_header(parts: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
    """Yield CSV files as one: the header, which has no line break inside, of the first alone."""
    for number, part in enumerate(parts):
        chunks = iter(part)
        first = next(chunks, b"")
        yield first.partition(b"\n")[2] if number else first
        yield from chunks


def _maker_metrics(aws: LocalAws, latest: dict[str, Any]) -> dict[str, Any]:
    """Return who made a list, as its `latest.json` says, and the metrics of that."""
    if "model" in latest:
        model = latest["model"]
        measured = training_metrics(aws.client("sagemaker"), model)
        return {"model": model, "metrics": dict(sorted(measured.items()))}
    arn = latest["solutionVersionArn"]
    return {"solutionVersionArn": arn, **_version_metrics(aws, arn)}


def _baseline_of(config: Config) -> Callable[[Config, LocalAws, str], dict[str, Any]] | None:
    """Return what measures the most popular items as the model is measured, or None."""
    if config.has_personalize:
        return lambda config, aws, _: _version_metrics(aws, train_baseline(config, aws.client))
    is_hybrid = config.models[config.publish.model].builtin == "hybrid"
    return _most_popular if is_hybrid else None  # others have a hold-out of their own, or none


def _most_popular(config: Config, aws: LocalAws, run: str) -> dict[str, Any]:
    """Return the metrics of the most popular items, on the hold-out on which the hybrid has its."""
    from recommenders import Interactions, Popularity, evaluate  # noqa: PLC0415  SciPy costs time

    read = open_run(config, aws.client("s3"), run)
    events, model = read.interactions, config.models[config.publish.model]
    interactions = Interactions.from_events(
        events["USER_ID"].tolist(),
        events["ITEM_ID"].tolist(),
        events["TIMESTAMP"].to_numpy(),
        catalogue=read.items["ITEM_ID"].tolist(),
    )
    try:
        seed = int(model.hyperparameters.get("seed", 0))
        measured = evaluate(Popularity, interactions, seed=seed)
    except ValueError:  # no user has enough events: the hybrid is not measured either
        measured = {}
    return {"model": "most popular items", "metrics": dict(sorted(measured.items()))}


def _version_metrics(aws: LocalAws, arn: str) -> dict[str, Any]:
    """Return the recipe and the metrics of a solution version."""
    version, personalize = {"solutionVersionArn": arn}, aws.client("personalize")
    described = personalize.describe_solution_version(**version)["solutionVersion"]
    metrics: dict[str, float] = personalize.get_solution_metrics(**version)["metrics"]
    return {"recipeArn": described.get("recipeArn"), "metrics": dict(sorted(metrics.items()))}


def _etl_log(config: Config, aws: LocalAws) -> str:
    runs = aws.client("glue").get_job_runs(JobName=config.glue_job)["JobRuns"]
    return "\n".join(aws.glue.log(run["Id"]) for run in runs)


def _check_writable(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise LocalRunError(
            f"output directory {directory}: {error.strerror}; name a directory that can be written"
            " to"
        ) from None
