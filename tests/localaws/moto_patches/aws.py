"""An endpoint to run definitions on, and the states that they are made of."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from localaws.functions.service import Functions
from localaws.glue.service import Glue
from localaws.http.endpoint import Endpoint

ROLE = "arn:aws:iam::210987654321:role/steps"
Definition = dict[str, Any]


class ThrottlingException(Exception):  # noqa: N818  AWS's name, which Retry matches
    """The service is busy."""


class Aws:
    """A running endpoint with functions and Glue, and a method to run a definition on it."""

    def __init__(self, endpoint: Endpoint, functions: Functions, glue: Glue, scripts: Path) -> None:
        self.endpoint, self.functions, self.glue, self.scripts = endpoint, functions, glue, scripts
        self.states = endpoint.client("stepfunctions")
        self._machines = 0

    def start(self, definition: Definition, event: Any = None, **more: Any) -> str:
        """Create a state machine, start an execution, return its ARN."""
        self._machines += 1
        machine = self.states.create_state_machine(
            name=f"machine-{self._machines}", roleArn=ROLE, definition=json.dumps(definition)
        )["stateMachineArn"]
        started = self.states.start_execution(
            stateMachineArn=machine, input=json.dumps(event or {}), **more
        )
        arn: str = started["executionArn"]
        return arn

    def ended(self, execution: str) -> dict[str, Any]:
        """Return the description of an execution once it has ended."""
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            described: dict[str, Any] = self.states.describe_execution(executionArn=execution)
            if described["status"] != "RUNNING":
                return described
            time.sleep(0.005)
        raise AssertionError(f"{execution} is still running")

    def run(self, definition: Definition, event: Any = None, **more: Any) -> dict[str, Any]:
        """Run an execution to its end, and return its description."""
        return self.ended(self.start(definition, event, **more))

    def output(self, definition: Definition, event: Any = None) -> Any:
        """Return the output of an execution, which must succeed."""
        described = self.run(definition, event)
        assert described["status"] == "SUCCEEDED", described
        return json.loads(described["output"])

    def job(self, name: str, script: str) -> Definition:
        """Create a Glue job, and return the Task that runs it to its end."""
        path = self.scripts / f"{name}.py"
        path.write_text(script)
        command = {"Name": "glueetl", "ScriptLocation": str(path)}
        self.endpoint.client("glue").create_job(Name=name, Role=ROLE, Command=command)
        return {
            "Type": "Task",
            "Resource": "arn:aws:states:::glue:startJobRun.sync",
            "Parameters": {"JobName": name, "Arguments": {"--run.$": "$$.Execution.Name"}},
        }


def only(state: Definition) -> Definition:
    return {"StartAt": "Only", "States": {"Only": state | {"End": True}}}


def invoke(function: str, **fields: Any) -> Definition:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": function, "Payload.$": "$"},
        "OutputPath": "$.Payload",
        **fields,
    }


def mapped(state: Definition, **fields: Any) -> Definition:
    iterator = {"StartAt": "Item", "States": {"Item": state}}
    return only({"Type": "Map", "ItemsPath": "$.items", "Iterator": iterator, **fields})


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
