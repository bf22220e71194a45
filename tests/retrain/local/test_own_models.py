"""A model on SageMaker in Personalize's place, on the local AWS: trained, resumed, explained."""

import csv
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from analysis.report import report
from analysis.run_record import gather
from lambdas.polling import next_wait
from localaws.aws import LocalAws
from retrain.local.deployment import deploy
from retrain.local.run import stages_of
from tests.analysis.test_report import texts
from tests.recommenders.test_script_mode import ITEMS, USERS, events
from tests.recorder import Recorder
from tests.retrain.local.test_delivery import denied
from tests.workflow.options.test_models import best, own_scripts
from workflow import Config
from workflow.definition.graph import retraining_graph
from workflow.deployment.deploy import apply, describe, destroy_plan
from workflow.run_names import execution_name
from workflow.runs.diagnosis import explain
from workflow.runs.executions import find_run, trainings_of
from workflow.runs.history import failure_of, history
from workflow.runs.visits import Visits

# Written for the image alone: how often items were used, read from the channel of SageMaker.
TRAIN = """
import argparse, json, os
from collections import Counter
from pathlib import Path


def model_fn(directory):
    return json.loads(Path(directory, "counts.json").read_text())


def input_fn(body, content_type):
    return [json.loads(line) for line in body.splitlines() if line.strip()]


def predict_fn(lines, model):
    limit = int(os.environ["RETRAINING_NUM_RESULTS"])
    items = [item for item, _ in Counter(model).most_common(limit)]
    return [{"input": line, "output": {"recommendedItems": items}, "error": None} for line in lines]


def output_fn(records, accept):
    return "".join(json.dumps(record) + "\\\\n" for record in records), accept


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--least", type=int)
    least = parser.parse_args().least
    counts = Counter()
    for path in Path(os.environ["SM_CHANNEL_INTERACTIONS"]).glob("*.csv"):
        for line in path.read_text().splitlines()[1:]:
            counts[line.split(",")[1]] += 1
    if max(counts.values()) < least:
        raise ValueError(f"no item was used {least} times")
    Path(os.environ["SM_MODEL_DIR"], "counts.json").write_text(json.dumps(counts))
    print(f"items={len(counts)}")
""".replace("\\\\n", "\\n")
TABLES = """
hyperparameters = {{ least = {least} }}
metrics = [{{ name = "items", regex = "items=([0-9]+)" }}]
"""
ALL_ALIKE = "[agreement]\ndifferent_lists = 0\n"
"""The model recommends the most popular items to everybody."""


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[LocalAws]:
    with LocalAws(
        directory=tmp_path / "aws",
        is_kept=False,
        account="123456789012",
        region="ap-northeast-1",
        time_scale=0,
    ) as served:
        yield served


def configured(directory: Path, *, least: int = 1, train: str = TRAIN) -> Config:
    return own_scripts(directory, TABLES.format(least=least) + ALL_ALIKE, train=train)


def put_data_sets(aws: LocalAws, config: Config, run: str) -> None:
    """Put what the Spark job leaves of a run, which is complete then."""
    s3 = aws.client("s3")
    rows = "".join(f"{user},{item},{time}\n" for user, item, time in events())
    users = "".join(f'{{"userId": "u{number}"}}\n' for number in range(USERS))
    entry = {"path": "interactions/", "rows": len(events())}
    manifest = {
        "run": run,
        "createdAt": "2024-06-01T04:00:00Z",
        "extraction": config.job_spec().extraction,
        "datasets": {"INTERACTIONS": entry},
        "batchInput": {"rows": USERS},
    }
    for path, body in {
        "interactions/part-0.csv": f"USER_ID,ITEM_ID,TIMESTAMP\n{rows}",
        "users/part-0.csv": "USER_ID\n",
        "items/part-0.csv": "ITEM_ID\n",
        "batch-input/part-0.json": users,
        "manifest.json": json.dumps(manifest),
    }.items():
        s3.put_object(Bucket=config.bucket, Key=f"runs/{run}/{path}", Body=body)


def execute(aws: LocalAws, config: Config, run: str, attempt: int = 2) -> dict[str, Any]:
    """Deploy, resume a run that has its data sets, and return the execution at its end."""
    workflow = deploy(config, aws.client)
    put_data_sets(aws, config, run)
    started = workflow.execute(name=execution_name(run, attempt))
    states, deadline = aws.client("stepfunctions"), time.monotonic() + 240
    while time.monotonic() < deadline:
        described: dict[str, Any] = states.describe_execution(executionArn=started.execution_arn)
        if described["status"] != "RUNNING":
            return described
        time.sleep(0.1)
    raise AssertionError(described)


def jobs(aws: LocalAws, kind: str) -> list[dict[str, Any]]:
    listed = getattr(aws.client("sagemaker"), f"list_{kind}_jobs")(SortOrder="Ascending")
    return list(listed[f"{kind.capitalize()}JobSummaries"])


def test_a_run_publishes_the_lists_of_the_model(aws: LocalAws, tmp_path: Path) -> None:
    config = configured(tmp_path)

    with aws.endpoint.wrap_all(Recorder).recorded() as calls:
        described = execute(aws, config, "night")

    assert described["status"] == "SUCCEEDED", described
    for role in ("sagemaker", "states", "functions"):
        assert denied(calls, config, role) == []
    s3 = aws.client("s3")
    latest = json.loads(s3.get_object(Bucket=config.bucket, Key=config.latest_key)["Body"].read())
    (training,) = jobs(aws, "training")
    assert latest["model"]["name"] == "own"
    assert latest["model"]["trainingJobArn"] == training["TrainingJobArn"]
    assert latest["users"] == USERS
    key = latest["csv"].removeprefix(f"s3://{config.bucket}/")
    text = s3.get_object(Bucket=config.bucket, Key=key)["Body"].read().decode()
    header, *rows = csv.reader(text.splitlines())
    assert header == ["USER_ID", "ITEM_ID", "RANK", "SCORE"]
    assert len(rows) == USERS * min(ITEMS, config.filter.keep)
    job = aws.client("sagemaker").describe_training_job(TrainingJobName=training["TrainingJobName"])
    assert [each["MetricName"] for each in job["FinalMetricDataList"]] == ["items"]
    assert not aws.client("sagemaker").list_models()["Models"], (
        "it is deleted when its work is done"
    )
    assert not aws.client("personalize").list_dataset_groups()["datasetGroups"]
    record = gather(
        config, aws.client, timed=False, next_wait=next_wait, now=datetime(2024, 6, 2, tzinfo=UTC)
    )
    assert (record.metrics, record.trainings) == ({}, {"own": {"items": ITEMS}})
    page = texts(report(record))
    assert "own made the lists" in page
    assert "What the training of own has measured itself" in page
    assert f"metric own items {ITEMS}" in page
    assert "held out of its training" not in page, "nothing of the sort is known of a script"
    assert "Personalize's requirements" not in page
    assert record.cost is not None
    assert "SageMaker, Train own" in [line.what for line in record.cost.lines]


def test_a_resumed_run_trains_no_second_time(aws: LocalAws, tmp_path: Path) -> None:
    """The lists fail first; the training that has completed is found, under the first name."""
    broken = TRAIN.replace("items = [item", "raise KeyError('u7')\n    items = [item")
    serving = 'inference = "models/serve.py"\nsource = "models"\n'
    config = own_scripts(
        tmp_path, TABLES.format(least=1) + serving + ALL_ALIKE, train=TRAIN, serve=broken
    )
    failed = execute(aws, config, "night")
    definition = retraining_graph(config).to_dict()
    events_of_it = history(aws.client("stepfunctions"), failed["executionArn"])
    failure = failure_of(Visits(events_of_it), definition)

    resumed = execute(aws, config, "night", 3)

    assert (failed["status"], resumed["status"]) == ("FAILED", "FAILED")
    assert failure is not None
    assert failure.state == "Make Lists by own"
    assert "KeyError: 'u7'" in failure.cause
    (training,) = jobs(aws, "training")
    assert training["TrainingJobStatus"] == "Completed"
    assert len(jobs(aws, "transform")) == 2
    assert trainings_of(events_of_it) == [training["TrainingJobName"]]


def test_a_script_that_fails_is_the_reason_and_other_settings_train_anew(
    aws: LocalAws, tmp_path: Path
) -> None:
    failed = execute(aws, configured(tmp_path, least=1_000_000), "night")
    events_of_it = history(aws.client("stepfunctions"), failed["executionArn"])
    failure = failure_of(
        Visits(events_of_it), retraining_graph(configured(tmp_path, least=1_000_000)).to_dict()
    )

    explanation = explain(
        aws.client("stepfunctions"),
        aws.client("logs"),
        find_run(aws.client("stepfunctions"), failed["stateMachineArn"], "night.2"),
        configured(tmp_path, least=1_000_000),
    )

    resumed = execute(aws, configured(tmp_path, least=2), "night", 3)

    assert re.fullmatch("SageMaker, of the training job 'labbase-own-.*'", explanation.speaker)
    (log,) = explanation.logs
    assert log.group == "/aws/sagemaker/TrainingJobs"
    assert "ValueError: no item was used 1000000 times" in log.lines
    assert any("train.py" in line for line in log.lines), "the traceback names the line"
    assert "Mend the model's script" in explanation.advice
    assert failure is not None
    assert failure.state == "Train own"
    assert "ValueError: no item was used 1000000 times" in failure.cause
    assert resumed["status"] == "SUCCEEDED", resumed
    statuses = [job["TrainingJobStatus"] for job in jobs(aws, "training")]
    assert statuses == ["Failed", "Completed"]


def test_destroy_deletes_the_model_that_a_failed_run_has_left(
    aws: LocalAws, tmp_path: Path
) -> None:
    fails = TRAIN.replace("    limit = int", "    raise KeyError('u7')\n    limit = int")
    config = configured(tmp_path, train=fails)
    execute(aws, config, "night")
    (left,) = aws.client("sagemaker").list_models()["Models"]

    planned = destroy_plan(config, aws.client, empty_bucket=True)
    apply(planned, aws.client, now=datetime.now(UTC))

    shown = [line.split() for line in describe(planned)]
    assert ["delete", "ModelOfRun1", left["ModelName"]] in shown
    assert aws.client("sagemaker").list_models()["Models"] == []


@pytest.mark.parametrize(
    ("line", "state", "kind"),
    [
        ("    counts = Counter()", "Train own", "Training"),
        ('    limit = int(os.environ["RETRAINING_NUM_RESULTS"])', "Make Lists by own", "Transform"),
    ],
)
def test_a_script_that_is_killed_is_said_to_have_had_too_little_memory(
    aws: LocalAws, tmp_path: Path, line: str, state: str, kind: str
) -> None:
    killed = f"    print('loaded')\n    os.kill(os.getpid(), 9)\n{line}"
    config = configured(tmp_path, train=TRAIN.replace(line, killed))
    failed = execute(aws, config, "night")
    states = aws.client("stepfunctions")

    explanation = explain(
        states,
        aws.client("logs"),
        find_run(states, failed["stateMachineArn"], "night.2"),
        config,
    )

    assert explanation.failure.state == state
    assert "exit code: 137" in explanation.failure.cause
    assert explanation.logs[0].group == f"/aws/sagemaker/{kind}Jobs"
    assert explanation.logs[0].lines[-1] == "loaded"
    assert explanation.advice.startswith("The script was killed, mostly because memory")
    assert f"{kind.lower()}.instance_type" in explanation.advice


def test_the_durations_have_each_model_and_the_comparison() -> None:
    assert list(stages_of(best())) == [
        "ETL",
        "imports",
        "training",
        "batch inference",
        "training of own",
        "inference of own",
        "comparison",
        "filter",
    ]
