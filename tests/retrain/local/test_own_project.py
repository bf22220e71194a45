"""A team's project, from an empty folder to a run: own workflow, own function, `local serve`."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner

from retrain.main import app
from tests.projects import EXAMPLE, write
from tests.wheels import wheel
from workflow.runs.history import history

SERVE = [
    *(sys.executable, "-c", "from retrain.main import main; main()", "local", "serve"),
    *("--sample", "--students", "60", "--postings", "40", "--events", "4000"),
    *("--port", "0", "--time-scale", "0", "--until-eof"),
]
TABLES = """
[workflow]
definition = "retraining.py"

[functions.ask-editors]
source = "functions/ask_editors.py"
environment = { DESK = "tokyo" }
requirements = ["greetings==1.0"]
"""
RETRAINING = """
from workflow import Stages


def build(config):
    stages = Stages(config)
    ask = stages.function(
        "Ask the Editors",
        "ask-editors",
        result_selector={"answer.$": "$.Payload.answer"},
        result_path="$.editors",
    )
    return stages.compose(
        stages.etl(), stages.imports(), stages.training(), ask, stages.batch_inference(),
        stages.publish(),
    )
"""
ASK_EDITORS = """
import os

import greetings
from desks import question


def handler(event, context):
    print("asking", os.environ["DESK"])
    return {"answer": f"{greetings.HELLO}, {question(event['run'])}"}
"""
DESKS = "def question(run):\n    return f'how is {run}?'\n"
FUNCTION = "arn:aws:lambda:ap-northeast-1:123456789012:function:labbase-ask-editors"


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Serve AWS and the sample in a process of its own, and enter the folder of a new project."""
    files = {
        "retraining.py": RETRAINING,
        "functions/ask_editors.py": ASK_EDITORS,
        "functions/desks.py": DESKS,
    }
    write(tmp_path, {"retraining.toml": EXAMPLE + TABLES, **files})
    wheel(tmp_path, "greetings", {"greetings.py": "HELLO = 'hello'\n"})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    process = subprocess.Popen(
        SERVE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    output = []
    try:
        for line in process.stdout:
            output.append(line)
            if line.startswith("export "):
                name, _, value = line.removeprefix("export ").strip().partition("=")
                monkeypatch.setenv(name, value)
            if line.startswith("Serving"):
                break
        else:
            pytest.fail("".join(output))
        yield
    finally:
        process.communicate(timeout=60)


@pytest.fixture
def retrain(served: None) -> Callable[..., str]:
    def call(*arguments: str, exit_code: int = 0) -> str:
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == exit_code, result.output
        return result.output

    return call


def functions_of_states(retrain: Callable[..., str]) -> list[str]:
    """Return the functions that the state machine's role may call."""
    policy: dict[str, Any] = json.loads(retrain("permissions", "states"))
    (calls,) = [each for each in policy["Statement"] if each["Sid"] == "CallFunctions"]
    resources: list[str] = calls["Resource"]
    return resources


def output_of(run: str, state: str) -> Any:
    """Return the output of a state in a run."""
    arn = f"arn:aws:states:ap-northeast-1:123456789012:execution:labbase-retraining:{run}"
    events = history(boto3.client("stepfunctions"), arn)
    exits = (event.get("stateExitedEventDetails", {}) for event in events)
    (output,) = [each["output"] for each in exits if each.get("name") == state]
    return json.loads(output)


def test_a_workflow_with_a_function_of_ones_own_is_rendered_deployed_run_and_explained(
    retrain: Callable[..., str], tmp_path: Path
) -> None:
    assert "ask-editors  ask_editors.py, desks.py" in retrain("check")
    assert "asl/retraining.asl.json: written" in retrain("render")
    assert re.search(r"create +AskEditorsFunction +labbase-ask-editors", retrain("plan"))
    retrain("template")
    retrain("deploy", "--yes")

    started = retrain("start", "--name", "nightly", "--wait", "--poll-seconds", "0.2")

    assert "✓ Ask the Editors" in started
    assert started.endswith("nightly: SUCCEEDED\n")
    asked = output_of("nightly", "Ask the Editors")
    assert asked["editors"] == {"answer": "hello, how is nightly?"}
    assert "arn" in asked["job"]
    assert FUNCTION in functions_of_states(retrain)
    assert len(functions_of_states(retrain)) == 7
    assert "nothing to do" in retrain("plan")
    assert json.loads(retrain("cost", "nightly", "--json"))["transitions"]["Ask the Editors"]

    # A workflow of that function alone, which now fails: no other one is allowed any more.
    only = "def build(config):\n    stages = Stages(config)\n    return stages.compose(\n"
    only += '        stages.function("Ask the Editors", "ask-editors")\n    )\n'
    write(
        tmp_path,
        {
            "retraining.py": f"from workflow import Stages\n\n\n{only}",
            "functions/desks.py": "def question(run):\n    raise ValueError('on holiday')\n",
        },
    )
    retrain("render")
    assert "update    AskEditorsFunction" in retrain("plan")
    retrain("deploy", "--yes")

    retrain("start", "--name", "broken", "--wait", "--poll-seconds", "0.2", exit_code=1)

    explanation = retrain("explain", "broken")
    assert "the function 'labbase-ask-editors'" in explanation
    assert "asking tokyo" in explanation
    assert "raise ValueError('on holiday')" in explanation
    assert "Mend functions/ask_editors.py, then 'retrain deploy'" in explanation
    assert functions_of_states(retrain) == [FUNCTION]
    retrain("destroy", "--yes", "--empty-bucket")
