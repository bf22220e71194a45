"""The stage that publishes, executed: the Spark job filters what is too large for the function."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localaws.functions.service import Functions
from localaws.glue.service import Glue
from localaws.http.endpoint import Endpoint
from tests.projects import EXAMPLE
from workflow import Config, ConfigError, Stages, parse_config
from workflow.config import with_integration
from workflow.definition.asl import scopes
from workflow.definition.graph import build
from workflow.definition.render import render_definition, structural_faults
from workflow.deployment.permissions import permission_policy
from workflow.sdk import Pass

JOB = {"arn": "arn:aws:personalize:ap-northeast-1:123456789012:batch-inference-job/b"}
SCRIPT = "import json, sys\nprint(json.dumps(sys.argv[1:]))\n"


def configured(above: int | None) -> Config:
    key = "" if above is None else f"spark_above = {above}\n"
    return parse_config(EXAMPLE.replace("\n[filter]\n", f"\n[filter]\n{key}"))


def states_of(config: Config) -> dict[str, Any]:
    found = scopes(build(config).to_dict())
    return {name: state for scope in found for name, state in scope.states.items()}


class Publishing:
    """The stage alone: its Spark job does nothing, its function answers with the event."""

    def __init__(self, endpoint: Endpoint, functions: Functions, script: Path) -> None:
        self.states, self.glue = endpoint.client("stepfunctions"), endpoint.client("glue")
        self.config = configured(1_000)
        for name in self.config.function_names:
            functions.register(self.config.function(name), self._handler(name))
        self.glue.create_job(
            Name=self.config.glue_job,
            Role="arn:aws:iam::123456789012:role/glue",
            Command={"Name": "glueetl", "ScriptLocation": str(script)},
        )

    def _handler(self, name: str) -> Any:
        return lambda event, context: {"extracted": False} if name == "begin-run" else event

    def run(self, above: int, data: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
        """Execute the stage with some data; return the event and the job's arguments."""
        stages = Stages(configured(above))
        before = Pass("Infer", result={"job": JOB, **data})
        graph = stages.compose(before, stages.publish())
        machine = self.states.create_state_machine(
            name=f"publishing-{time.monotonic_ns()}",
            definition=render_definition(graph.to_dict()),
            roleArn="arn:aws:iam::123456789012:role/states",
        )["stateMachineArn"]
        arn = self.states.start_execution(stateMachineArn=machine)["executionArn"]
        while (found := self.states.describe_execution(executionArn=arn))["status"] == "RUNNING":
            time.sleep(0.01)
        assert found["status"] == "SUCCEEDED", found
        event: dict[str, Any] = json.loads(found["output"])
        runs = self.glue.get_job_runs(JobName=self.config.glue_job)["JobRuns"]
        made = [
            run for run in runs if run["Id"] == event["job"].get("filtered", {}).get("JobRunId")
        ]
        return event, [run["Arguments"] for run in made]


@pytest.fixture(scope="module")
def publishing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Publishing]:
    account, region = "123456789012", "ap-northeast-1"
    directory = tmp_path_factory.mktemp("publishing")
    script = directory / "script.py"
    script.write_text(SCRIPT)
    glue = Glue(directory=directory / "glue", environment=lambda role: os.environ)
    with Endpoint(account=account, region=region, time_scale=0) as endpoint:
        functions = Functions(account=account, region=region, directory=directory)
        endpoint.mount("lambda", functions)
        endpoint.mount("glue", glue)
        yield Publishing(endpoint, functions, script)
        glue.close()


@pytest.mark.parametrize(
    ("above", "data", "by_spark"),
    [
        (1_000, {"filter": {"size": 1_000}}, False),
        (1_000, {"filter": {"size": 1_001}}, True),
        (1_000, {}, True),  # a team's own step has left it out
        (0, {"filter": {"size": 1}}, True),
        (0, {}, True),
    ],
)
def test_the_size_decides_who_filters(
    publishing: Publishing, above: int, data: dict[str, Any], by_spark: bool
) -> None:
    event, arguments = publishing.run(above, data)

    assert event["batchInferenceJobArn"] == event["job"]["arn"] == JOB["arn"]
    assert ("filtered" in event["job"]) is by_spark
    assert [(each["--task"], each["--keep"]) for each in arguments] == [("filter", "25")] * by_spark


def test_without_the_key_nothing_is_different() -> None:
    states = states_of(configured(None))

    assert not {"Filter on Spark", "Large Output?"} & states.keys()
    assert "job.$" not in states["Filter Recommended Item"]["Parameters"]["Payload"]


@pytest.mark.parametrize("above", [0, 1_000])
@pytest.mark.parametrize("integration", ["lambda", "sdk"])
def test_every_failure_is_reported_and_every_task_is_guarded(above: int, integration: Any) -> None:
    config = with_integration(configured(above), integration)
    states = states_of(config)

    assert list(structural_faults(build(config).to_dict())) == []
    assert ("Large Output?" in states) is (above > 0)
    spark = states["Filter on Spark"]
    assert [catch["Next"] for catch in spark["Catch"]] == ["Report Failure"]
    assert spark["Retry"] == states["ETL"]["Retry"]
    assert spark["TimeoutSeconds"] == states["ETL"]["TimeoutSeconds"]
    assert spark["Next"] == "Filter Recommended Item"
    assert [catch["Next"] for catch in states["Filter Recommended Item"]["Catch"]] == [
        "Newer List Stays Published",
        "Report Failure",
    ]


@pytest.mark.parametrize("above", [None, 1_000])
def test_only_with_the_key_more_is_allowed(above: int | None) -> None:
    config = configured(above)
    sids = {each["Sid"] for each in permission_policy(config, "glue")["Statement"]}
    read = {
        resource
        for each in permission_policy(config, "functions")["Statement"]
        if "s3:GetObject" in each["Action"]
        for resource in each["Resource"]
    }

    assert ("FilterRecommendations" in sids) is (above is not None)
    assert any(each.endswith("record/filter.json") for each in read) is (above is not None)


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("-1", "greater than or equal to 0"),
        ('"always"', "valid integer"),
        ("2.5", "valid integer"),
        ("true", "valid integer"),
    ],
)
def test_a_size_that_is_none_is_a_mistake(value: str, rule: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(EXAMPLE.replace("\n[filter]\n", f"\n[filter]\nspark_above = {value}\n"))

    (mistake,) = caught.value.mistakes
    assert mistake.key == "filter.spark_above"
    assert rule in mistake.rule
    assert mistake.fix == "for example spark_above = 2000000"
