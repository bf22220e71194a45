"""Batch transform: records, batches, joins, and what a model's script returns."""

import gzip
import io
import json
from typing import Any

import joblib
import numpy as np
import pytest
from botocore.exceptions import ClientError
from sklearn.linear_model import LinearRegression

from .world import BUCKET, ROLE, SKLEARN, World, tar

# Each response tells how many records its request had.
COUNTING = """
import json

def model_fn(model_dir):
    return None

def input_fn(data, content_type):
    return data.split("\\n")

def predict_fn(lines, model):
    return [{"line": line, "of": len(lines)} for line in lines]

def output_fn(predictions, accept):
    return "\\n".join(json.dumps(one) for one in predictions)
"""
ECHO = """
def model_fn(model_dir):
    return None

def transform_fn(model, data, content_type, accept):
    return data
"""
SUM = """
import numpy as np

class Sum:
    def predict(self, rows):
        return np.atleast_2d(rows).sum(axis=1)

def model_fn(model_dir):
    return Sum()
"""
LINES = "a\nb\nc\n"


def lines_of(output: str) -> list[Any]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.fixture(scope="module")
def counting(world: World) -> str:
    return world.model(None, {"inference.py": COUNTING})


@pytest.fixture(scope="module")
def echo(world: World) -> str:
    return world.model(None, {"inference.py": ECHO})


@pytest.fixture(scope="module")
def summing(world: World) -> str:
    return world.model(None, {"inference.py": SUM})


@pytest.mark.parametrize(
    ("strategy", "sizes"), [("SingleRecord", [1, 1, 1]), ("MultiRecord", [3, 3, 3])]
)
def test_the_strategy_decides_how_many_lines_a_request_has(
    world: World, counting: str, strategy: str, sizes: list[int]
) -> None:
    source = world.put("lines/abc.jsonl", LINES)

    job = world.transform(counting, source, BatchStrategy=strategy)

    assert job["TransformJobStatus"] == "Completed", job
    (output,) = lines_of_each(world, job)
    assert [one["line"] for one in output] == ["a", "b", "c"]
    assert [one["of"] for one in output] == sizes


def lines_of_each(world: World, job: dict[str, Any]) -> list[list[Any]]:
    return [lines_of(text) for text in world.transformed(job).values()]


def test_a_request_has_as_many_lines_as_its_payload_may(world: World, counting: str) -> None:
    """Two lines of 400 KB fit into a MB, with the newline between them."""
    source = world.put("lines/long.txt", "\n".join(letter * 400_000 for letter in "abcde"))

    job = world.transform(counting, source, MaxPayloadInMB=1)

    (output,) = lines_of_each(world, job)
    assert [one["of"] for one in output] == [2, 2, 2, 2, 1]


def test_a_line_that_is_larger_than_a_payload_fails_the_job(world: World, counting: str) -> None:
    source = world.put("lines/huge.txt", "a\n" + "b" * 1_100_000)

    job = world.transform(counting, source, MaxPayloadInMB=1)

    assert job["TransformJobStatus"] == "Failed"
    assert "s3://models/lines/huge.txt: record 2 has 1,100,000 bytes" in job["FailureReason"]
    assert world.transformed(job) == {}


def test_an_object_that_is_not_split_is_one_request(world: World, counting: str) -> None:
    source = world.put("lines/abc.jsonl", LINES)

    job = world.transform(
        counting, source, TransformInput={"SplitType": "None"}, TransformOutput={}
    )

    (output,) = lines_of_each(world, job)
    assert [one["line"] for one in output] == ["a", "b", "c", ""]


def test_each_object_below_a_prefix_has_an_output_beside_the_others(
    world: World, echo: str
) -> None:
    for name in ("one.jsonl", "deep/two.jsonl", "empty.jsonl"):
        world.put(f"many/in/{name}", "" if name == "empty.jsonl" else f"{name}\n")

    job = world.transform(echo, f"s3://{BUCKET}/many/in")

    assert world.transformed(job) == {
        "deep/two.jsonl.out": "deep/two.jsonl\n",
        "empty.jsonl.out": "",
        "one.jsonl.out": "one.jsonl\n",
    }


def test_without_an_assembly_responses_follow_each_other(world: World, echo: str) -> None:
    source = world.put("lines/abc.jsonl", LINES)

    job = world.transform(
        echo,
        source,
        BatchStrategy="SingleRecord",
        TransformOutput={"AssembleWith": "None"},
    )

    assert world.transformed(job) == {"abc.jsonl.out": "abc"}


def test_compressed_objects_are_read(world: World, echo: str) -> None:
    source = world.put("lines/abc.gz", gzip.compress(LINES.encode()))

    job = world.transform(echo, source, TransformInput={"CompressionType": "Gzip"})

    assert world.transformed(job) == {"abc.gz.out": LINES}


def test_json_is_joined_and_filtered_as_the_documentation_shows(world: World, summing: str) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform-data-processing.html."""
    source = world.put("join/in.jsonl", '{"id": 1, "x": [1, 2]}\n{"id": 2, "x": [3, 4]}\n')

    joined = world.transform(
        summing,
        source,
        BatchStrategy="SingleRecord",
        TransformOutput={"Accept": "application/json"},
        DataProcessing={"InputFilter": "$.x", "JoinSource": "Input"},
    )
    filtered = world.transform(
        summing,
        source,
        BatchStrategy="SingleRecord",
        TransformOutput={"Accept": "application/json"},
        DataProcessing={
            "InputFilter": "$.x",
            "JoinSource": "Input",
            "OutputFilter": "$['id','SageMakerOutput']",
        },
    )

    assert lines_of_each(world, joined) == [
        [
            {"id": 1, "x": [1, 2], "SageMakerOutput": [3.0]},
            {"id": 2, "x": [3, 4], "SageMakerOutput": [7.0]},
        ]
    ]
    assert lines_of_each(world, filtered) == [
        [{"id": 1, "SageMakerOutput": [3.0]}, {"id": 2, "SageMakerOutput": [7.0]}]
    ]


def test_csv_is_joined_and_filtered_as_the_documentation_shows(world: World, summing: str) -> None:
    source = world.put("join/in.csv", 'u1,1,2\n"u,2",3,4\n')

    job = world.transform(
        summing,
        source,
        TransformInput={"ContentType": "text/csv"},
        TransformOutput={"Accept": "text/csv"},
        DataProcessing={"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"},
    )

    ranged = world.transform(
        summing,
        source,
        TransformInput={"ContentType": "text/csv"},
        TransformOutput={"Accept": "text/csv"},
        DataProcessing={"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,2:]"},
    )
    beyond = world.transform(
        summing,
        source,
        TransformInput={"ContentType": "text/csv"},
        TransformOutput={"Accept": "text/csv"},
        DataProcessing={"InputFilter": "$[1,7]"},
    )

    assert world.transformed(job) == {"in.csv.out": 'u1,3.0\n"u,2",7.0\n'}
    assert world.transformed(ranged) == {"in.csv.out": 'u1,2,3.0\n"u,2",4,7.0\n'}
    assert "record 1 has nothing at the filter's path" in beyond["FailureReason"]


def test_predictions_that_are_fewer_than_the_records_cannot_be_joined(world: World) -> None:
    model = world.model(
        None,
        {"inference.py": COUNTING.replace("for one in predictions", "for one in predictions[1:]")},
    )
    source = world.put("join/three.jsonl", "1\n2\n3\n")

    job = world.transform(
        model,
        source,
        TransformOutput={"Accept": "application/json"},
        DataProcessing={"JoinSource": "Input"},
    )

    assert job["FailureReason"] == (
        "AlgorithmError: s3://models/join/three.jsonl: records 1 to 3: 3 records, and 2"
        " predictions; to be joined, each record needs one"
    )


def test_a_scikit_learn_model_needs_no_more_than_model_fn(world: World) -> None:
    """The image's own functions decode CSV, predict, and encode."""
    model = LinearRegression().fit(np.array([[0.0], [1.0]]), np.array([1.0, 3.0]))
    file = io.BytesIO()
    joblib.dump(model, file)
    script = (
        "import joblib, os\ndef model_fn(model_dir):\n"
        "    return joblib.load(os.path.join(model_dir, 'model.joblib'))\n"
    )
    url = world.put("linear/model.tar.gz", tar({"model.joblib": file.getvalue()}))
    source = world.put("linear/in.csv", "2\n3\n")
    name = world.model(url, {"inference.py": script})

    # A single column is squeezed to one dimension, by the image as here.
    refused = world.transform(name, source, TransformInput={"ContentType": "text/csv"})
    rows = world.put("linear/in.json", "[[2.0], [3.0]]")
    job = world.transform(
        name,
        rows,
        TransformInput={"SplitType": "None"},
        TransformOutput={"Accept": "application/json"},
    )

    assert "Expected 2D array, got 1D array" in world.aws.sagemaker.log(refused["TransformJobName"])
    (values,) = lines_of(world.transformed(job)["in.json.out"])
    assert np.allclose(values, [5.0, 7.0])


def test_the_script_may_be_in_the_model_s_archive_with_requirements(world: World) -> None:
    """In `code/`, as the SDK repacks it; the source directory is not named then."""
    url = world.put("packed/model.tar.gz", tar({"code/inference.py": ECHO, "weights": "1"}))
    name = world.name()
    world.sagemaker.create_model(
        ModelName=name,
        PrimaryContainer={"Image": SKLEARN, "ModelDataUrl": url},
        ExecutionRoleArn=ROLE,
    )
    source = world.put("lines/abc.jsonl", LINES)

    assert world.transformed(world.transform(name, source)) == {"abc.jsonl.out": LINES}


def test_variables_of_the_model_and_of_the_job_reach_the_script(world: World) -> None:
    script = (
        "import os\ndef model_fn(model_dir): return None\n"
        "def transform_fn(model, data, content_type, accept):\n"
        "    return '|'.join(os.environ[name] for name in ('COLOUR', 'SIZE', 'SAGEMAKER_BATCH'))\n"
    )
    model = world.model(None, {"inference.py": script}, Environment={"COLOUR": "red", "SIZE": "1"})
    source = world.put("lines/abc.jsonl", LINES)

    job = world.transform(model, source, Environment={"SIZE": "2"})

    assert world.transformed(job) == {"abc.jsonl.out": "red|2|true\n"}


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("def model_fn(model_dir):\n    raise OSError('no weights')\n", "OSError: no weights"),
        ("import nothing_of_that_name\n", "No module named 'nothing_of_that_name'"),
        ("", "Please provide a model_fn implementation"),
        (
            ECHO.replace("return data", "raise KeyError('user')"),
            "records 1 to 3: KeyError: 'user'",
        ),
        (ECHO.replace("return data", "return {'a': 1}"), "must return text or bytes, not a dict"),
        (
            ECHO.replace("return data", "import os; os._exit(4)"),
            "records 1 to 3: the script ended, exit code: 4",
        ),
    ],
)
def test_a_script_that_fails_says_why(world: World, script: str, reason: str) -> None:
    source = world.put("lines/abc.jsonl", LINES)

    job = world.transform(world.model(None, {"inference.py": script}), source)

    assert job["TransformJobStatus"] == "Failed"
    assert reason in job["FailureReason"].replace("\n", " ")


def test_a_request_that_fails_is_tried_again_as_often_as_the_job_says(world: World) -> None:
    script = ECHO.replace(
        "return data", "TRIES.append(1); print('try'); return data if TRIES[2:] else 1 / 0"
    )
    model = world.model(None, {"inference.py": f"TRIES = []\n{script}"})
    source = world.put("lines/abc.jsonl", LINES)

    job = world.transform(model, source)
    once = world.transform(model, source, ModelClientConfig={"InvocationsMaxRetries": 1})

    assert world.transformed(job) == {"abc.jsonl.out": LINES}
    assert "ZeroDivisionError" in once["FailureReason"]
    log = world.aws.sagemaker.log(f"transform-job/{once['TransformJobName']}")
    assert log.count("try\n") == 2


def test_a_script_that_is_killed_says_so_by_its_exit_code(world: World) -> None:
    script = ECHO.replace("return data", "import os; os.kill(os.getpid(), 9)")
    source = world.put("lines/abc.jsonl", LINES)

    job = world.transform(world.model(None, {"inference.py": script}), source)

    assert job["FailureReason"].endswith("records 1 to 3: the script ended, exit code: 137")


def test_one_object_s_failure_leaves_the_output_of_the_others(world: World) -> None:
    script = ECHO.replace("return data", "return data if 'bad' not in data else 1 / 0")
    model = world.model(None, {"inference.py": script})
    for name in ("bad", "good"):
        world.put(f"some/{name}.jsonl", f"{name}\n")

    job = world.transform(model, f"s3://{BUCKET}/some/")

    assert world.transformed(job) == {"good.jsonl.out": "good\n"}
    assert job["FailureReason"] == (
        "AlgorithmError: s3://models/some/bad.jsonl: record 1: ZeroDivisionError: division by zero"
        " (1 of 2 objects failed)"
    )


def test_what_a_script_prints_is_in_its_log_and_in_no_output(world: World) -> None:
    script = ECHO.replace("return data", "print('seen'); return data")
    source = world.put("lines/abc.jsonl", LINES)

    job = world.transform(world.model(None, {"inference.py": script}), source)

    assert world.transformed(job) == {"abc.jsonl.out": LINES}
    assert "seen" in world.aws.sagemaker.log(f"transform-job/{job['TransformJobName']}")
    assert world.logged(job["TransformJobName"], "TransformJobs") == ["seen"]


def test_a_transform_can_be_stopped(world: World) -> None:
    script = ECHO.replace("return data", "import time; print('on'); time.sleep(60)")
    model, name = world.model(None, {"inference.py": script}), world.name()
    source = world.put("lines/abc.jsonl", LINES)
    world.sagemaker.create_transform_job(
        TransformJobName=name,
        ModelName=model,
        TransformInput={
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": source}}
        },
        TransformOutput={"S3OutputPath": f"s3://{BUCKET}/stopped"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )
    world.until_logged(name, "on")
    world.until_delivered(name, "TransformJobs")

    world.sagemaker.stop_transform_job(TransformJobName=name)

    assert world.ended("TransformJob", name)["TransformJobStatus"] == "Stopped"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"MaxPayloadInMB": 60, "MaxConcurrentTransforms": 2}, "must not exceed 100 MB"),
        ({"DataProcessing": {"InputFilter": "$.["}}, "DataProcessing.InputFilter: '\\$.\\['"),
        (
            {"DataProcessing": {"JoinSource": "Input"}, "TransformOutput": {"Accept": "text/csv"}},
            "must both be text/csv, or both JSON",
        ),
        ({"TransformInput": {"SplitType": "RecordIO"}}, "splits by None or Line"),
        (
            {"DataCaptureConfig": {"DestinationS3Uri": f"s3://{BUCKET}/captured"}},
            "DataCaptureConfig: the local SageMaker does not serve this member",
        ),
    ],
)
def test_a_request_that_cannot_be_served_is_refused(
    world: World, echo: str, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError, match=message):
        world.transform(echo, f"s3://{BUCKET}/lines/abc.jsonl", **more)


@pytest.mark.parametrize(
    ("more", "member"),
    [
        ({"ImageConfig": {"RepositoryAccessMode": "Vpc"}}, "PrimaryContainer.ImageConfig"),
        (
            {"MultiModelConfig": {"ModelCacheSetting": "Disabled"}},
            "PrimaryContainer.MultiModelConfig",
        ),
        (
            {
                "ModelDataSource": {
                    "S3DataSource": {
                        "S3Uri": f"s3://{BUCKET}/m",
                        "S3DataType": "S3Object",
                        "CompressionType": "None",
                    }
                }
            },
            "ModelDataSource.S3DataSource",
        ),
    ],
)
def test_a_model_with_a_member_that_would_be_ignored_is_refused(
    world: World, more: dict[str, Any], member: str
) -> None:
    with pytest.raises(ClientError, match=f"{member}: the local SageMaker"):
        world.model(None, {"inference.py": ECHO}, **more)


def test_a_model_is_described_listed_and_deleted(world: World) -> None:
    name = world.model(None, {"inference.py": ECHO})

    described = world.sagemaker.describe_model(ModelName=name)
    listed = world.sagemaker.list_models(NameContains=name)["Models"]
    with pytest.raises(ClientError, match="Cannot create already existing model"):
        world.sagemaker.create_model(
            ModelName=name, PrimaryContainer={"Image": SKLEARN}, ExecutionRoleArn=ROLE
        )
    world.sagemaker.delete_model(ModelName=name)

    assert described["PrimaryContainer"]["Image"] == SKLEARN
    assert name in [one["ModelName"] for one in listed]
    with pytest.raises(ClientError, match="Could not find model"):
        world.sagemaker.describe_model(ModelName=name)
    with pytest.raises(ClientError, match="Could not find model"):
        world.transform(name, f"s3://{BUCKET}/lines/abc.jsonl")
