"""Every notebook runs whole against one local AWS, and what was saved of it is fresh and small."""

import base64
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import nbformat
import pytest

from analysis.frames import list_runs, open_run, previous_run, run_on_s3
from analysis.notebooks import CONFIG, DIRECTORY, execute
from retrain.local.database import DatabaseError
from retrain.local.notebook import connect
from workflow import Config, load_config

NOTEBOOKS = sorted(DIRECTORY.glob("*.ipynb"))
ROOT = DIRECTORY.parent
HEAD = re.compile(r"<thead>(.*?)</thead>", re.DOTALL)
CELL = re.compile(r"<th[^>]*>(.*?)</th>", re.DOTALL)
# As a notebook does: connect, and live until somebody kills it.
KERNEL = """
import json, os, sys, time
from retrain.local.sample_size import SampleSize
from retrain.local.notebook import connect
from workflow import load_config
connect(load_config("retraining.toml"), sample=SampleSize(150, 60, 5_000), log=lambda text: None)
variables = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
print(json.dumps(variables), flush=True)
time.sleep(3_600)
"""


@dataclass(frozen=True)
class Kernel:
    """A process that started a local AWS as a notebook does.

    Attributes:
        process: The kernel.
        environment: By which programs reach its AWS.
        temporary: Directory of everything that it makes.
    """

    process: subprocess.Popen[bytes]
    environment: dict[str, str]
    temporary: Path

    def client(self, service: str, config: Config):
        return boto3.client(
            service,
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            region_name=config.aws.region,
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
        )


def without_aws() -> dict[str, str]:
    """Return an environment without an endpoint and without credentials."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(CONFIG)


@pytest.fixture(scope="module")
def kernel(scratch: Path, java_of_jobs: Mapping[str, str]) -> Iterator[Kernel]:
    """Start a kernel whose local AWS has a small sample and has performed one run."""
    temporary = scratch / "notebooks"
    temporary.mkdir()
    paths = {"TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
    environment = {**without_aws(), **java_of_jobs, **paths}
    environment.pop("DATABASE_URL", None)
    process = subprocess.Popen(
        [sys.executable, "-c", KERNEL], cwd=ROOT, env=environment, stdout=subprocess.PIPE
    )
    try:
        yield Kernel(process, json.loads(process.stdout.readline()), temporary)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="module")
def executed(kernel: Kernel) -> dict[Path, nbformat.NotebookNode]:
    """Return the notebooks after they ran, in their order: 2 and 4 make further runs."""
    environment = {**os.environ, **kernel.environment}
    try:
        return {path: execute(path, environment=environment) for path in NOTEBOOKS}
    finally:
        (DIRECTORY / "quality_gate.py").unlink(missing_ok=True)  # what notebooks 2 and 4 write
        shutil.rmtree(DIRECTORY / "models", ignore_errors=True)


def structure(notebook: nbformat.NotebookNode) -> list[list[tuple[str, ...]]]:
    """Return the types of each code cell's outputs, without their contents.

    Two executions of the same cells with other data have the same structure: types and forms of
    outputs, and the heads of tables.
    """
    return [
        [output_type(output) for output in cell["outputs"]]
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
    ]


def output_type(output: Mapping[str, Any]) -> tuple[str, ...]:
    if output["output_type"] in {"stream", "error"}:
        return (output["output_type"], output.get("name", output.get("ename", "")))
    forms = output.get("data", {})
    head = HEAD.search(forms.get("text/html", ""))
    return ("shown", *sorted(forms), *(CELL.findall(head[1]) if head else ()))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_to_its_end_and_its_saved_outputs_are_current(
    path: Path, executed: dict[Path, nbformat.NotebookNode]
) -> None:
    """Fresh: the same types of output with the same table heads; `make golden` renews them."""
    saved = nbformat.read(path, as_version=4)
    fresh = executed[path]

    assert all(structure(saved)[1:]), "every cell shows something but the first, the setting"
    assert structure(fresh) == structure(saved)
    assert [cell.source for cell in fresh.cells] == [cell.source for cell in saved.cells]
    counts = [cell.execution_count for cell in saved.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1)), "saved as one whole execution"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_saved_notebook_is_small_and_holds_no_error(path: Path) -> None:
    outputs = [
        output
        for cell in nbformat.read(path, as_version=4).cells
        for output in cell.get("outputs", [])
    ]
    pictures = [
        (base64.b64decode(output.data["image/png"]), output.metadata["image/png"])
        for output in outputs
        if "image/png" in output.get("data", {})
    ]

    assert path.stat().st_size < 300_000
    assert all(len(picture) <= 60_000 for picture, _ in pictures)
    assert all(about["alt"] for _, about in pictures), "every picture says what it shows"
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_used_with_another_configuration_by_its_first_line(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    first, *others = [cell.source for cell in cells if cell.cell_type == "code"]

    assert first.endswith(
        'CONFIG = find_config("retraining.toml")  # ← your own configuration: change this name'
    )
    assert not [source for source in others if "retraining.toml" in source]
    assert "labbase" not in "".join([first, *others]), "no name of the example stands in a cell"


def test_the_files_of_a_real_run_are_read_with_their_types(
    kernel: Kernel, config: Config, executed: dict[Path, nbformat.NotebookNode]
) -> None:
    s3 = kernel.client("s3", config)
    latest, previous = open_run(config, s3), previous_run(config, s3)
    runs = list_runs(s3, config.bucket).sort_values("written")["run"]
    first = run_on_s3(config, s3, runs.iloc[0])

    assert len({latest.name, previous.name, first.name}) == 3, "notebooks 2 and 4 made other runs"
    assert previous.newest_event > first.newest_event, "a week of events came in between"
    assert len(latest.interactions) == latest.manifest["datasets"]["INTERACTIONS"]["rows"]
    assert latest.interactions["TIMESTAMP"].max() == latest.newest_event
    assert latest.items["SALARY"].dtype == "Int64"
    assert latest.recommendations.groupby("USER_ID")["RANK"].max().le(config.filter.keep).all()
    assert set(latest.recommendations["ITEM_ID"]) <= latest.eligible_items
    assert set(latest.rejected["reason"]) == {"null id"}


def test_the_list_of_the_best_of_three_models_is_published(
    kernel: Kernel, config: Config, executed: dict[Path, nbformat.NotebookNode]
) -> None:
    """The last run is that of notebook 4, whose models compete with Personalize."""
    s3 = kernel.client("s3", config)
    latest = json.loads(s3.get_object(Bucket=config.bucket, Key=config.latest_key)["Body"].read())
    run = open_run(config, s3)
    record = run.record("comparison")

    assert list(record["models"]) == ["personalize", "near", "wide"]
    values = {
        name: model["metrics"][record["by"]]["value"] for name, model in record["models"].items()
    }
    assert values[record["best"]] == max(values.values()) > 0
    assert latest["run"] == run.name
    made_by = latest["model"]["name"] if "model" in latest else "personalize"
    assert made_by == record["best"]
    assert ("solutionVersionArn" in latest) is (record["best"] == "personalize")
    made = run.lists_of("" if record["best"] == "personalize" else record["best"])
    assert set(made["USER_ID"]) >= set(run.recommendations["USER_ID"])


def test_an_endpoint_in_the_environment_is_used_and_nothing_started(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    logged: list[str] = []

    aws = connect(config, log=logged.append)

    assert repr(aws) == "the endpoint http://127.0.0.1:9, from AWS_ENDPOINT_URL"
    assert aws.client("s3").meta.region_name == config.aws.region
    assert logged == []


@pytest.mark.parametrize(
    ("database_url", "expected"),
    [
        ("", 'engine = "mysql", and only a PostgreSQL is started here; name a database of yours'),
        ("postgresql://me@127.0.0.1/shop", ".*mysql"),
    ],
)
def test_a_database_that_cannot_be_read_is_refused_before_anything_starts(
    config: Config, monkeypatch: pytest.MonkeyPatch, database_url: str, expected: str
) -> None:
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name, value in without_aws().items():
        monkeypatch.setenv(name, value)
    if database_url:
        monkeypatch.setenv("DATABASE_URL", database_url)
    else:
        monkeypatch.delenv("DATABASE_URL", raising=False)
    source = config.source.model_copy(update={"engine": "mysql"})

    with pytest.raises(DatabaseError, match=expected):
        connect(config.model_copy(update={"source": source}), log=lambda text: None)


def test_a_killed_kernel_leaves_nothing_behind(
    kernel: Kernel, executed: dict[Path, nbformat.NotebookNode]
) -> None:
    """The last test: PostgreSQL, the endpoint and all files go with the kernel."""
    assert list(kernel.temporary.iterdir()), "there is something to leave behind"
    kernel.process.kill()

    deadline = time.monotonic() + 30
    while list(kernel.temporary.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.1)

    assert list(kernel.temporary.iterdir()) == []
    endpoint = urlsplit(kernel.environment["AWS_ENDPOINT_URL"])
    with socket.socket() as probe:
        assert probe.connect_ex((endpoint.hostname, endpoint.port)) != 0
