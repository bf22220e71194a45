"""`builtin = "als"` on the local AWS: real Glue jobs train, make the lists and publish them."""

import csv
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from localaws.aws import LocalAws
from localaws.http.calls import Call
from retrain.local.deployment import deploy
from retrain.local.sample import load_sample
from retrain.local.sample_size import SampleSize
from retrain.publications import Publication, publications
from tests.recorder import Recorder
from tests.workflow.definition.test_spark_model import OWN_ALS
from tests.workflow.deployment.permissions.use import denied, unused_by
from tests.workflow.options.test_models import WITHOUT_FILTER, own
from workflow import parse_config
from workflow.runs.history import HistoryReader, failure_of, follow

pytestmark = pytest.mark.usefixtures("warm_java")

PLAIN = parse_config(WITHOUT_FILTER)


CONFIG = own(f"{OWN_ALS}hyperparameters = {{ factors = 8, iterations = 3 }}")
LIST = "recommendations/recommendations.csv"


@dataclass(frozen=True)
class FirstRun:
    """The local AWS after a run, what that left and published, and its calls."""

    aws: LocalAws
    objects: dict[str, bytes]
    published: list[Publication]
    calls: list[Call]


@pytest.fixture(scope="module")
def first(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FirstRun]:
    load_sample(module_database, SampleSize(students=60, postings=40, events=4_000))
    with LocalAws(
        directory=tmp_path_factory.mktemp("aws"),
        is_kept=False,
        account="123456789012",
        region="ap-northeast-1",
        time_scale=0,
        database_url=module_database,
    ) as aws:
        deploy(CONFIG, aws.client)
        s3, stale = aws.client("s3"), "runs/good/batch-output/of-another-model.json.out"
        s3.put_object(Bucket=CONFIG.bucket, Key=stale, Body=b"no line\n")
        with aws.endpoint.wrap_all(Recorder).recorded() as calls:
            assert executed(aws, "good") == ""
        published = publications(s3, CONFIG.bucket)
        yield FirstRun(aws, objects(aws, "runs/good/"), published, calls)


def executed(aws: LocalAws, name: str) -> str:
    """Execute the workflow; return why it failed, empty if it did not."""
    states = aws.client("stepfunctions")
    arn = states.start_execution(stateMachineArn=CONFIG.state_machine_arn, name=name)
    reader = HistoryReader(states, arn["executionArn"])
    for _ in follow(reader, poll_seconds=0.1):
        pass
    failure = failure_of(reader.read_all())
    return failure.cause if failure else ""


def objects(aws: LocalAws, prefix: str) -> dict[str, bytes]:
    """Return the objects below a prefix, by what follows it."""
    s3 = aws.client("s3")
    found = s3.list_objects_v2(Bucket=CONFIG.bucket, Prefix=prefix).get("Contents", ())
    return {
        item["Key"].removeprefix(prefix): s3.get_object(Bucket=CONFIG.bucket, Key=item["Key"])[
            "Body"
        ].read()
        for item in found
    }


def test_a_run_without_personalize_or_sagemaker_publishes_a_right_list(first: FirstRun) -> None:
    run, calls = first.objects, first.calls
    requested = {
        json.loads(line)["userId"]
        for path, body in run.items()
        if path.startswith("batch-input/")
        for line in body.splitlines()
    }
    rows = [*csv.DictReader(run[LIST].decode().splitlines())]
    lengths = Counter(row["USER_ID"] for row in rows)
    assert [path for path in run if path.startswith("batch-output/")] == [
        "batch-output/part-00000.json.out"
    ]
    assert lengths.keys() == requested
    assert set(lengths.values()) <= set(range(1, CONFIG.filter.keep + 1))
    assert len({(row["USER_ID"], row["ITEM_ID"]) for row in rows}) == len(rows)
    assert run["recommendations/errors.jsonl"] == b""
    (published,) = first.published
    model: Any = published.content["model"]
    assert model == {"name": "own", "jobRunId": model["jobRunId"]}
    assert model["jobRunId"].startswith("jr_")
    assert published.version == "own"
    assert not {call.service for call in calls} & {"sagemaker", "personalize"}
    for role in ("states", "functions", "glue"):
        assert denied(calls, CONFIG, role) == []  # type: ignore[arg-type]
    assert unused_by(calls, CONFIG, "glue", besides=PLAIN) == []


def test_a_resumed_run_trains_again_and_publishes_the_same_list(first: FirstRun) -> None:
    assert executed(first.aws, "good.2") == ""

    assert objects(first.aws, "runs/good/")[LIST] == first.objects[LIST]
