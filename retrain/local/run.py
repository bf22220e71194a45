"""One whole retraining on this machine: database → recommendations.csv, with nothing left running.

The stages: a PostgreSQL with the sample, unless a database is named; the local AWS and a deployment
on it; one execution, followed state by state; the popularity baseline, trained through the same
Personalize; the files.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from analysis.frames import read_directory
from analysis.metrics import short_name
from analysis.report import report
from analysis.run_record import gather
from etl.datasets import DATASET_TYPES
from lambdas.get_status import next_wait
from localaws.aws import LocalAws
from localaws.errors import LocalAwsError
from retrain.files import write_whole
from retrain.live import RunView, Work
from retrain.local.database import check_engine, sample_database
from retrain.local.deployment import deployed, train_baseline
from retrain.local.postgres import scratch_directory
from retrain.local.sample_size import SampleSize
from workflow.config import Config
from workflow.runs.history import Failure, Step, failure_of, follow, history

# Stage → the states between whose entry and exit it lies.
STAGES = {
    "ETL": ("ETL", "ETL"),
    "imports": ("Reimport All Datasets", "Reimport All Datasets"),
    "training": ("Create Solution Version", "Solution Version Active?"),
    "batch inference": ("Trigger Batch Inference", "Batch Completed?"),
    "filter": ("Filter Recommended Item", "Filter Recommended Item"),
}


class LocalRunError(LocalAwsError):
    """A local run cannot begin."""


@dataclass(frozen=True)
class Outcome:
    """How a local run ended.

    Attributes:
        failure: why it failed, None if it SUCCEEDED.
        durations: seconds by stage.
        files: what was left in the output directory.
        metrics: of the trained version and of the baseline; empty if it failed.
        etl_log: what the Spark job wrote.
    """

    failure: Failure | None
    durations: dict[str, float]
    files: tuple[Path, ...]
    metrics: dict[str, Any]
    etl_log: str


def run_locally(
    config: Config,
    *,
    output: Path,
    database_url: str | None,
    sample: SampleSize,
    view: RunView,
    time_scale: float = 0.0,
) -> Outcome:
    """Perform the whole retraining once.

    Args:
        config: what to run.
        output: directory for the results; made if it is not there. Each file is replaced whole,
            and only `history.json`, `etl.log` and `rejected/` by a run that fails.
        database_url: the database to read; None starts a PostgreSQL with the sample.
        sample: the sample's size, where there is no `database_url`.
        view: shows the run.
        time_scale: factor on Wait states and Retry intervals; 0 does not wait.

    Raises:
        LocalRunError: before anything was started: `output` cannot be written to.
        LocalAwsError: `database_url` is no URL of the configured engine, told before anything was
            started; PostgreSQL, the sample or the deployment cannot be set up.
    """
    _check_writable(output)
    check_engine(config, database_url)
    with ExitStack() as opened:
        directory = opened.enter_context(scratch_directory("retraining-"))
        if database_url is None:
            view.stage("Starting PostgreSQL and loading the sample database")
            database_url = opened.enter_context(sample_database(directory, sample))
            view.stage(f"Sample database: {sample}")
        view.stage("Starting the local AWS and deploying the workflow")
        aws = opened.enter_context(
            LocalAws(
                directory=directory / "aws",
                is_kept=False,
                account=config.aws.account,
                region=config.aws.region,
                time_scale=time_scale,
                database_url=database_url,
            )
        )
        return _execute(config, aws, output, view)


def _execute(config: Config, aws: LocalAws, output: Path, view: RunView) -> Outcome:
    execution = deployed(config, aws.client).execute()
    client = aws.client("stepfunctions")
    steps: list[Step] = []
    for step in follow(
        client,
        execution.execution_arn,
        poll_seconds=0.2,
        on_poll=lambda: view.work(_work(aws)),
    ):
        steps.append(step)
        view.step(step)
    events = history(client, execution.execution_arn)
    failure = failure_of(events)
    durations = stage_durations(steps)
    etl_log = _etl_log(config, aws)

    files = [
        write_whole(output / "history.json", _json({"events": events})),
        write_whole(output / "etl.log", etl_log.encode()),
        *_rejected(config, aws, execution.name, output / "rejected"),
    ]
    metrics: dict[str, Any] = {}
    before = _run_before(output)
    if failure is None:
        view.stage("Training the popularity baseline for comparison")
        metrics = _metrics(config, aws, execution.name, durations)
        files = [
            write_whole(output / "recommendations.csv", _recommendations(config, aws)),
            write_whole(output / "metrics.json", _json(metrics)),
            *files,
        ]
    view.stage("Writing the report")
    now = datetime.now(UTC)
    record = gather(config, aws.client, execution.name, next_wait=next_wait, now=now, **before)
    files.insert(0, write_whole(output / "report.html", report(record)))
    return Outcome(failure, durations, tuple(files), metrics, etl_log)


def _run_before(output: Path) -> dict[str, Any]:
    """What a run into the same directory left, for comparison; nothing if it cannot be read."""
    try:
        told = json.loads((output / "metrics.json").read_text(encoding="utf-8"))["metrics"]
        lists = read_directory(output).recommendations
    except (OSError, ValueError, KeyError):
        return {}
    return {"before": {short_name(name): told[name] for name in told}, "lists_before": lists}


def stage_durations(steps: Sequence[Step]) -> dict[str, float]:
    """Return the seconds that each stage took, in order; stages that did not end are left out."""
    durations = {}
    for stage, (first, last) in STAGES.items():
        begun = [step.at for step in steps if step.state == first and step.kind == "entered"]
        ended = [step.at for step in steps if step.state == last and step.kind == "exited"]
        if begun and ended:
            durations[stage] = round((ended[-1] - begun[0]).total_seconds(), 2)
    return durations


def _work(aws: LocalAws) -> Iterator[Work]:
    """Yield the jobs that are running now."""
    for run in aws.services.glue.progress():
        yield Work(f"Spark: {run.label}" if run.label else "Spark", run.fraction)
    for job in aws.services.personalize.progress():
        yield Work(job.kind, job.fraction)


def _latest(config: Config, aws: LocalAws) -> dict[str, Any]:
    body = aws.client("s3").get_object(Bucket=config.bucket, Key="recommendations/latest.json")[
        "Body"
    ]
    latest: dict[str, Any] = json.loads(body.read())
    return latest


def _recommendations(config: Config, aws: LocalAws) -> Iterator[bytes]:
    """Yield the published CSV in pieces."""
    bucket, _, key = _latest(config, aws)["csv"].removeprefix("s3://").partition("/")
    body = aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"]
    yield from body.iter_chunks(1 << 20)


def _rejected(config: Config, aws: LocalAws, run: str, directory: Path) -> Iterator[Path]:
    """Keep the run's examples of rows that were left out; those of an earlier run go."""
    s3, bucket = aws.client("s3"), config.bucket
    found = s3.list_objects_v2(Bucket=bucket, Prefix=f"runs/{run}/rejected/").get("Contents", [])
    for kind in DATASET_TYPES:
        (directory / f"{kind.lower()}.json").unlink(missing_ok=True)
    for key in (item["Key"] for item in found):
        directory.mkdir(exist_ok=True)
        body = s3.get_object(Bucket=bucket, Key=key)["Body"]
        yield write_whole(directory / key.rpartition("/")[2], body.iter_chunks(1 << 20))


def _metrics(
    config: Config, aws: LocalAws, run: str, durations: dict[str, float]
) -> dict[str, Any]:
    version, baseline = (
        _latest(config, aws)["solutionVersionArn"],
        train_baseline(config, aws.client),
    )
    return {
        "run": run,
        "solutionVersionArn": version,
        **_measured(aws, version),
        "baseline": _measured(aws, baseline),
        "seconds": durations,
    }


def _measured(aws: LocalAws, version: str) -> dict[str, Any]:
    """A solution version's recipe and metrics."""
    asked, personalize = {"solutionVersionArn": version}, aws.client("personalize")
    described = personalize.describe_solution_version(**asked)["solutionVersion"]
    metrics: dict[str, float] = personalize.get_solution_metrics(**asked)["metrics"]
    return {"recipeArn": described.get("recipeArn"), "metrics": dict(sorted(metrics.items()))}


def _etl_log(config: Config, aws: LocalAws) -> str:
    runs = aws.client("glue").get_job_runs(JobName=config.glue_job)["JobRuns"]
    return "\n".join(aws.services.glue.log(run["Id"]) for run in runs)


def _json(value: Any) -> bytes:
    def text(other: Any) -> str:
        return other.isoformat() if isinstance(other, datetime) else str(other)

    return (json.dumps(value, ensure_ascii=False, indent=2, default=text) + "\n").encode()


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
