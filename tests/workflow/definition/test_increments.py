"""The stages of [increments], executed: what has not changed is left out."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localaws.functions.service import Functions
from localaws.http.endpoint import Endpoint
from tests.projects import EXAMPLE
from workflow import Stages, parse_config
from workflow.definition.asl import scopes
from workflow.definition.graph import build
from workflow.definition.render import render_definition
from workflow.errors import StructureError
from workflow.sdk import Pass

CONFIG = parse_config(EXAMPLE + "\n[increments]\n")
VERSION = "arn:aws:personalize:ap-northeast-1:123456789012:solution/labbase/v1"
PLAN = {
    "mode": "FULL",
    "why": "w",
    "since": "beginning",
    "until": "end",
    "unchanged": "unknown",
    "after": "unknown",
}


class Workflow:
    """The workflow without its Spark job, whose functions answer what a test says."""

    def __init__(self, endpoint: Endpoint, functions: Functions) -> None:
        self.states = endpoint.client("stepfunctions")
        self.events: dict[str, dict[str, Any]] = {}
        self.listed: dict[str, Any] = {}
        job = {
            "arn": VERSION,
            "status": "ACTIVE",
            "waitSeconds": 0,
            "expected": None,
            "failureReason": "",
        }
        answers: dict[str, Any] = {
            "begin-run": lambda: {"extracted": False},
            "plan-increment": lambda: PLAN,
            "list-datasets": lambda: self.listed,
            "filter-recommendations": lambda: {"csv": "s3://list"},
        }
        for name in CONFIG.function_names:
            answer = answers.get(name, lambda: job)
            functions.register(CONFIG.function(name), self._handler(name, answer))
        stages = Stages(CONFIG)
        graph = stages.compose(
            stages.plan_increment(),
            Pass("ETL", parameters={"--since.$": "$.increment.since"}, result_path="$.etl"),
            stages.imports(),
            stages.training(),
            stages.batch_inference(),
            stages.publish(),
        )
        self.arn = self.states.create_state_machine(
            name="increments",
            definition=render_definition(graph.to_dict()),
            roleArn="arn:aws:iam::123456789012:role/states",
        )["stateMachineArn"]

    def _handler(self, name: str, answer: Any) -> Any:
        def handle(event: dict[str, Any], context: Any) -> Any:
            self.events[name] = event
            return answer()

        return handle

    def run(self, step: str, mode: str, inputs: Any = None) -> dict[str, Any]:
        self.events.clear()
        self.listed = {
            "datasets": [],
            "increment": {"step": step, "why": "so it is"},
            "trainingMode": mode,
            "job": {"arn": VERSION, "status": "ACTIVE", "waitSeconds": 0, "failureReason": ""},
        }
        arn = self.states.start_execution(
            stateMachineArn=self.arn, input=json.dumps({} if inputs is None else inputs)
        )["executionArn"]
        while (described := self.states.describe_execution(executionArn=arn))["status"] == (
            "RUNNING"
        ):
            time.sleep(0.01)
        assert described["status"] == "SUCCEEDED", described
        output: dict[str, Any] = json.loads(described["output"])
        return output


@pytest.fixture(scope="module")
def workflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workflow]:
    account, region = CONFIG.aws.account, CONFIG.aws.region
    with Endpoint(account=account, region=region, time_scale=0) as endpoint:
        directory: Path = tmp_path_factory.mktemp("functions")
        functions = Functions(account=account, region=region, directory=directory)
        endpoint.mount("lambda", functions)
        yield Workflow(endpoint, functions)


def test_a_run_in_which_nothing_changed_ends_after_its_list(workflow: Workflow) -> None:
    output = workflow.run("nothing", "")
    assert list(workflow.events) == ["begin-run", "plan-increment", "list-datasets"]
    assert output["increment"] == {"step": "nothing", "why": "so it is"}


def test_lists_alone_are_made_by_the_version_that_is_there(workflow: Workflow) -> None:
    workflow.run("inference", "")
    assert "create-solution-version" not in workflow.events
    assert workflow.events["create-batch-inference-job"]["solutionVersionArn"] == VERSION


@pytest.mark.parametrize("mode", ["FULL", "UPDATE"])
def test_a_version_is_trained_in_the_mode_that_was_found(workflow: Workflow, mode: str) -> None:
    workflow.run("training", mode)
    assert workflow.events["create-solution-version"]["trainingMode"] == mode


@pytest.mark.parametrize("inputs", [{}, {"own": 1}, {"increments": {"full": True}}])
def test_the_plan_gets_the_executions_input(workflow: Workflow, inputs: Any) -> None:
    workflow.run("nothing", "", inputs)
    assert workflow.events["plan-increment"]["input"] == inputs


def test_every_failure_is_reported_and_every_task_is_guarded() -> None:
    states = {
        name: state
        for scope in scopes(build(CONFIG).to_dict())
        for name, state in scope.states.items()
    }
    plan = states["Plan Increment"]
    assert [catch["Next"] for catch in plan["Catch"]] == ["Report Failure"]
    assert plan["Retry"]
    assert states["ETL"]["Parameters"]["Arguments"]["--since.$"] == "$.increment.since"
    assert states["Nothing Changed"]["Type"] == "Succeed"


def test_a_file_that_forgets_the_plan_is_told_so() -> None:
    stages = Stages(CONFIG)
    with pytest.raises(StructureError, match=r"needs stages\.plan_increment\(\) before"):
        stages.compose(stages.etl(), stages.imports(), stages.training())
    without = Stages(parse_config(EXAMPLE))
    with pytest.raises(StructureError, match=r"add the table \[increments\]"):
        without.plan_increment()
