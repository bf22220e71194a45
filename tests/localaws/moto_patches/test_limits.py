"""An execution ends at AWS's limits, and its data is JSON."""

import copy
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .aws import ROLE, Aws, Definition, invoke, only
from .test_fields import CHOICE, DONE, MAP, PARALLEL, RETRY, TASK, WAIT
from .test_state_machines import machine, refusal

PASS: Definition = {"Type": "Pass"}


def test_a_history_has_at_most_25_000_events(aws: Aws) -> None:
    loop = machine(A={**PASS, "Next": "B"}, B={**PASS, "Next": "A"})
    described = aws.run(loop)
    assert (described["status"], described["error"]) == ("FAILED", "States.Runtime")
    assert described["cause"].endswith("the maximum number of history events (25000).")
    (last,) = aws.states.get_execution_history(
        executionArn=described["executionArn"], reverseOrder=True, maxResults=1
    )["events"]
    assert last["id"] <= 25_000


def test_a_variable_has_at_most_256_kib(aws: Aws) -> None:
    def run(size: int) -> dict[str, Any]:
        text = "n" * (size - 2)
        states = {**PASS, "Assign": {"a": text}, "Result": 1, "ResultPath": None}
        return aws.run(only(states))

    assert run(262_144)["status"] == "SUCCEEDED"
    assert run(262_145)["error"] == "States.DataLimitExceeded"
    with aws.endpoint.repairs.without("execution_limits"):
        assert run(262_145)["status"] == "SUCCEEDED"


@pytest.mark.parametrize("value", [0, -1, 1.5, "1", 100_000_000, True])
@pytest.mark.parametrize("field", ["TimeoutSecondsPath", "HeartbeatSecondsPath"])
def test_a_time_limit_by_path_is_a_positive_integer(aws: Aws, field: str, value: Any) -> None:
    """And no Catch matches what is none."""
    aws.functions.register("timed", lambda *_: 1)
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "B"}]
    task = {**TASK, "Parameters": {"FunctionName": "timed"}, "Catch": catch, field: "$.n"}
    described = aws.run(machine(A=task, B=DONE), {"n": value})
    assert described["error"] == "States.Runtime"


@pytest.mark.parametrize("value", [100_000_000, 1.5, -1])
def test_a_wait_by_path_is_within_its_limits(aws: Aws, value: Any) -> None:
    wait = only({"Type": "Wait", "SecondsPath": "$.n"})
    assert aws.run(wait, {"n": value})["error"] == "States.Runtime"


def test_without_its_repair_a_wait_by_path_has_no_limit(aws: Aws) -> None:
    wait = only({"Type": "Wait", "SecondsPath": "$.n"})
    with aws.endpoint.repairs.without("numbers_by_path"):
        assert aws.run(wait, {"n": 100_000_000})["status"] == "SUCCEEDED"


@pytest.mark.parametrize(
    "text",
    ['{"a":NaN}', '{"a":1e999}', "Infinity", '{"a":"\\ud800"}', "[" * 3_000 + "]" * 3_000],
    ids=["NaN", "1e999", "Infinity", "half a pair", "3,000 levels"],
)
def test_an_input_is_json_as_others_read_it(aws: Aws, text: str) -> None:
    made = aws.states.create_state_machine(
        name="strict", roleArn=ROLE, definition=json.dumps(only(PASS))
    )["stateMachineArn"]
    start = aws.states.start_execution
    assert refusal(start, stateMachineArn=made, input=text)[0] == "InvalidExecutionInput"
    parse = only({**PASS, "Parameters": {"a.$": "States.StringToJson($.t)"}})
    assert aws.run(parse, {"t": text})["error"] == "States.IntrinsicFailure"


def test_an_explicit_catch_does_not_match_states_runtime(aws: Aws) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html."""
    catch = [{"ErrorEquals": ["States.Runtime"], "Next": "B"}]
    broken = invoke("any", InputPath="$.lost", Catch=catch, End=True)
    definition = machine(A=broken, B=DONE)
    assert aws.run(definition)["error"] == "States.Runtime"


def test_an_event_invocation_does_not_wait(aws: Aws) -> None:
    """Nor fail with the handler: the local Lambda answers 202, and to a dry run 204."""

    def fail(event: Any, context: Any) -> None:
        raise ValueError("no")

    aws.functions.register("fail", fail)

    def status(kind: str) -> Any:
        parameters = {"FunctionName": "fail", "InvocationType": kind}
        return aws.run(only({**TASK, "Parameters": parameters}))

    assert json.loads(status("Event")["output"])["StatusCode"] == 202
    assert json.loads(status("DryRun")["output"])["StatusCode"] == 204
    with (
        aws.endpoint.repairs.without("invocation_types"),
        aws.endpoint.repairs.without("definitions"),
    ):
        assert status("Event")["status"] == "FAILED"


def test_a_service_s_error_can_be_caught(aws: Aws) -> None:
    """Also of a service that moto does not have, and where the API's names are other ones."""
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "B"}]
    tasks = {
        "aws-sdk:translate:listLanguages": {},
        "aws-sdk:sns:publish": {"Message": "m"},
        "codebuild:startBuild": {"ProjectName": "lost"},
        "states:startExecution": {"StateMachineArn": "lost"},
    }
    for action, parameters in tasks.items():
        resource = f"arn:aws:states:::{action}"
        task = {**TASK, "Resource": resource, "Parameters": parameters, "Catch": catch}
        caught = aws.output(machine(A=task, B=DONE))
        assert caught["Error"].endswith("Exception"), action
    with aws.endpoint.repairs.without("passed_on_tasks"):
        task = {**TASK, "Resource": "arn:aws:states:::codebuild:startBuild", "Catch": catch}
        task["Parameters"] = {"ProjectName": "lost"}
        assert aws.run(machine(A=task, B=DONE))["status"] == "FAILED"


def test_a_history_without_data_and_executions_that_were_not_redriven(aws: Aws) -> None:
    described = aws.run(only(PASS), {"a": 1})
    events = aws.states.get_execution_history(
        executionArn=described["executionArn"], includeExecutionData=False
    )["events"]
    assert "input" not in json.dumps(events, default=str)
    assert "output" not in json.dumps(events, default=str)
    of = {"stateMachineArn": described["stateMachineArn"]}
    listed = aws.states.list_executions
    assert len(listed(**of, redriveFilter="NOT_REDRIVEN")["executions"]) == 1
    assert listed(**of, redriveFilter="REDRIVEN")["executions"] == []


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths to everything in a definition."""
    if not isinstance(value, dict | list):
        return []
    found = []
    for key, member in value.items() if isinstance(value, dict) else enumerate(value):
        found += [(*path, key), *places(member, (*path, key))]
    return found


def test_no_value_anywhere_in_a_definition_crashes_the_service(aws: Aws) -> None:
    definition = machine(
        A={**TASK, "End": False, "Next": "C", "Retry": RETRY, "Catch": []},
        C={**CHOICE, "Assign": {"a.$": "$.b"}},
        B={**{**MAP, "End": False}, "Next": "P", "ItemsPath": "$.a"},
        P={**{**PARALLEL, "End": False}, "Next": "W", "ResultSelector": {"a.$": "$[0]"}},
        W=WAIT,
    )
    validate = aws.states.validate_state_machine_definition
    for path in places(definition):
        for value in (None, 5, "x", "{% 1 %}", [], {}, True, [[1]], {"a": {}}):
            changed = copy.deepcopy(definition)
            inner: Any = changed
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = value
            try:
                found = validate(definition=json.dumps(changed))["diagnostics"]
            except ClientError as error:
                raise AssertionError(f"{path} {value!r}: {error}") from error
            assert "<class" not in json.dumps(found), (path, value)
            assert "moto" not in json.dumps(found), (path, value)


def test_a_long_text_in_japanese_is_read(aws: Aws) -> None:
    text = json.dumps(only({**PASS, "Parameters": {"a": "日本😀" * 30_000}}), ensure_ascii=False)
    made = aws.states.create_state_machine(name="long-text", roleArn=ROLE, definition=text)
    assert made["stateMachineArn"]
