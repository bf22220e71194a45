"""A Choice state compares and goes on as on AWS."""

from typing import Any

import pytest

from .aws import Aws, Definition, invoke


def choice(*rules: Definition, **fields: Any) -> Definition:
    """Return a machine that goes to Yes by a rule, and to No by Default."""
    given = [{"Next": "Yes", **rule} for rule in rules]
    return {
        "StartAt": "Choose",
        "States": {
            "Choose": {"Type": "Choice", "Choices": given, "Default": "No", **fields},
            "Yes": {"Type": "Pass", "Result": "yes", "End": True},
            "No": {"Type": "Pass", "Result": "no", "End": True},
        },
    }


@pytest.mark.parametrize(
    "rule",
    [
        {"Variable": "$.lost", "StringEquals": "x"},
        {"Variable": "$.lost", "IsNull": True},
        {"Variable": "$.lost", "IsTimestamp": False},
        {"Not": {"Variable": "$.lost", "NumericLessThan": 1}},
        {"Variable": "$$.Lost", "BooleanEquals": True},
        {"Variable": "$.n", "NumericEqualsPath": "$.lost"},
    ],
)
def test_a_comparison_with_what_is_not_there_fails_the_execution(aws: Aws, rule: Any) -> None:
    described = aws.run(choice(rule), {"n": 1})
    assert (described["status"], described["error"]) == ("FAILED", "States.Runtime")
    assert "The choice state's condition path references an invalid value." in described["cause"]


def test_without_its_repair_a_missing_variable_takes_the_default(aws: Aws) -> None:
    rule = {"Variable": "$.lost", "StringEquals": "x"}
    with aws.endpoint.repairs.without("comparisons"):
        assert aws.output(choice(rule)) == "no"


def test_is_present_asks_for_what_may_be_missing(aws: Aws) -> None:
    present = {"Variable": "$.a.b", "IsPresent": True}
    both = {"And": [present, {"Variable": "$.a.b", "StringEquals": "x"}]}
    assert aws.output(choice(both), {"a": {"b": "x"}}) == "yes"
    assert aws.output(choice(both), {"a": {}}) == "no"
    assert aws.output(choice({"Variable": "$.a", "IsPresent": False})) == "yes"
    assert aws.output(choice(present), {"a": {"b": None}}) == "yes"


START = "2026-01-31T12:00:00Z"


@pytest.mark.parametrize(
    ("comparison", "value", "expected"),
    [
        ({"TimestampEquals": START}, "2026-01-31T21:00:00+09:00", "yes"),
        ({"TimestampEquals": START}, "2026-01-31T12:00:00.000Z", "yes"),
        ({"TimestampGreaterThan": START}, "2026-01-31T12:00:00.0000001Z", "yes"),
        ({"TimestampGreaterThan": START}, "2026-01-31T07:00:00.5-05:00", "yes"),
        ({"TimestampGreaterThanEquals": START}, "2026-01-31T12:59:00+01:00", "no"),
        ({"TimestampLessThan": START}, "2026-01-31T11:59:59.999Z", "yes"),
        ({"TimestampLessThanEquals": START}, "2026-01-31T13:00:00+01:00", "yes"),
        ({"TimestampLessThan": START}, "yesterday", "no"),
        ({"TimestampEquals": START}, 5, "no"),
        ({"IsTimestamp": True}, "2016-03-14T01:59:00.123Z", "yes"),
        ({"IsTimestamp": True}, "2016-03-14T01:59:00-08:00", "yes"),
        ({"IsTimestamp": True}, "2016-03-14t01:59:00Z", "no"),
        ({"IsTimestamp": True}, "2016-03-14 01:59:00Z", "no"),
        ({"IsTimestamp": True}, "2016-03-14T01:59:00", "no"),
        ({"IsTimestamp": True}, "2016-02-30T01:59:00Z", "no"),
        ({"StringMatches": "log-*.txt"}, "log-1\n2.txt", "yes"),
        ({"StringMatches": "log-?.txt"}, "log-1.txt", "no"),
        ({"StringMatches": "[ab]"}, "a", "no"),
        ({"StringMatches": "a\\*"}, "ab", "no"),
        ({"StringMatches": "a\\*"}, "a*", "yes"),
        ({"StringLessThan": "b"}, "a", "yes"),
        ({"StringGreaterThan": "b"}, 3, "no"),
        ({"NumericEquals": 1}, True, "no"),
        ({"NumericGreaterThanEquals": 1}, 1.0, "yes"),
        ({"BooleanEquals": True}, 1, "no"),
        ({"IsNumeric": True}, False, "no"),
    ],
)
def test_a_value_is_compared_by_the_rules_of_its_type(
    aws: Aws, comparison: Any, value: Any, expected: str
) -> None:
    assert aws.output(choice({"Variable": "$.v", **comparison}), {"v": value}) == expected


def test_the_context_and_variables_are_operands(aws: Aws) -> None:
    after = {"Variable": "$$.Execution.StartTime", "TimestampGreaterThan": "2020-01-01T00:00:00Z"}
    assert aws.output(choice(after)) == "yes"
    named = choice({"Variable": "$.name", "StringEqualsPath": "$$.Execution.Name"})
    assert aws.run(named, {"name": "night"}, name="night")["output"] == '"yes"'
    older = choice({"Variable": "$.t", "TimestampLessThanPath": "$$.State.EnteredTime"})
    assert aws.output(older, {"t": "2020-01-01T00:00:00+09:00"}) == "yes"
    assigned = choice({"Variable": "$.n", "NumericGreaterThanPath": "$limits.low"})
    assigned["StartAt"] = "Set"
    limits = {"limits.$": "$.limits"}
    assigned["States"]["Set"] = {"Type": "Pass", "Assign": limits, "Next": "Choose"}
    assert aws.output(assigned, {"n": 5, "limits": {"low": 4}}) == "yes"
    with aws.endpoint.repairs.without("comparisons"):
        assert aws.run(named, {"name": "other"}, name="other")["status"] == "FAILED"


def test_a_matching_rule_assigns_its_variables(aws: Aws) -> None:
    shown = {"Type": "Pass", "Parameters": {"who.$": "$who"}, "End": True}
    rule = {"Variable": "$.a", "IsPresent": True, "Assign": {"who.$": "$.a", "n": 1}}
    definition = choice(rule, Assign={"who": "default"})
    definition["States"] |= {"Yes": shown, "No": shown}
    assert aws.output(definition, {"a": "x"}) == {"who": "x"}
    assert aws.output(definition, {}) == {"who": "default"}
    composite = choice({"Or": [{"Variable": "$.a", "IsString": True}], "Assign": {"who.$": "$.a"}})
    composite["States"]["Yes"] = shown
    assert aws.output(composite, {"a": "x"}) == {"who": "x"}
    with aws.endpoint.repairs.without("choice_rules"):
        assert aws.run(definition, {"a": "x"})["status"] == "FAILED"
        assert aws.run(composite, {"a": "x"})["status"] == "FAILED"


def test_the_state_s_own_assign_and_output_are_for_its_default_alone(aws: Aws) -> None:
    """Also when a rule leads to the state that is the default."""
    rule = {"Condition": "{% $states.input.a = 1 %}", "Next": "No", "Output": {"by": "rule"}}
    definition = choice(
        {**rule, "Assign": {"who": "rule"}}, Output={"by": "default"}, Assign={"who": "default"}
    )
    output = {"by": "{% $states.input.by %}", "who": "{% $who %}"}
    definition["States"]["No"] = {"Type": "Pass", "Output": output, "End": True}
    del definition["States"]["Yes"]
    definition["QueryLanguage"] = "JSONata"
    assert aws.output(definition, {"a": 1}) == {"by": "rule", "who": "rule"}
    assert aws.output(definition, {"a": 2}) == {"by": "default", "who": "default"}
    with aws.endpoint.repairs.without("choice_rules"):
        assert aws.output(definition, {"a": 1}) != {"by": "rule", "who": "rule"}


def test_a_condition_that_is_no_boolean_is_a_query_evaluation_error(aws: Aws) -> None:
    definition = choice({"Condition": "{% $states.input.a %}"})
    definition["States"]["Yes"] = definition["States"]["No"] = {"Type": "Succeed"}
    described = aws.run({**definition, "QueryLanguage": "JSONata"}, {"a": "x"})
    assert described["error"] == "States.QueryEvaluationError"
    assert "Expected 'boolean', but was 'string'" in described["cause"]


def test_a_failed_intrinsic_and_a_failed_query_are_caught_by_name(aws: Aws) -> None:
    def caught(state: Definition, name: str, **top: Any) -> Any:
        catch = [{"ErrorEquals": [name], "Next": "Caught"}]
        states = {"Task": {**state, "Catch": catch, "End": True}, "Caught": {"Type": "Succeed"}}
        return aws.run({"StartAt": "Task", "States": states, **top})

    aws.functions.register("any", lambda event, _: event)
    call = {"FunctionName": "any", "Payload.$": "States.ArrayGetItem(States.Array(1), 3)"}
    for name in ("States.IntrinsicFailure", "States.TaskFailed", "States.ALL"):
        state = caught(invoke("any", Parameters=call), name)
        assert state["status"] == "SUCCEEDED"
        assert '"Error":"States.IntrinsicFailure"' in state["output"]
    query = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": "any", "Payload": "{% $number('x') %}"},
    }
    state = caught(query, "States.QueryEvaluationError", QueryLanguage="JSONata")
    assert '"Error":"States.QueryEvaluationError"' in state["output"]
    with aws.endpoint.repairs.without("intrinsic_functions"):
        # moto counts a negative or too great index in Python's way, and names no failure.
        state = caught(invoke("any", Parameters=call), "States.IntrinsicFailure")
        assert state["status"] == "FAILED"


def test_a_missing_heartbeat_is_caught_by_both_of_its_names(aws: Aws) -> None:
    url = aws.endpoint.client("sqs").create_queue(QueueName="heartbeats")["QueueUrl"]

    def caught(name: str) -> Any:
        task = {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            "Parameters": {"QueueUrl": url, "MessageBody": {"t.$": "$$.Task.Token"}},
            "HeartbeatSeconds": 1,
            "TimeoutSeconds": 60,
            "Catch": [{"ErrorEquals": [name], "Next": "Caught"}],
            "End": True,
        }
        states = {"Only": task, "Caught": {"Type": "Succeed"}}
        return aws.start({"StartAt": "Only", "States": states})

    both = [caught("States.HeartbeatTimeout"), caught("States.Timeout")]
    outputs = [aws.ended(execution)["output"] for execution in both]
    assert outputs == ['{"Error":"States.Timeout","Cause":""}'] * 2
    with aws.endpoint.repairs.without("heartbeat_timeouts"):
        assert aws.ended(caught("States.HeartbeatTimeout"))["status"] == "FAILED"
