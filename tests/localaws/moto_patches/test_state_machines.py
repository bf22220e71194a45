"""State machines, their versions and aliases are made, and refused, as on AWS."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .aws import ROLE, Aws, Definition, mapped, only

DONE = {"Type": "Succeed"}
PASS = {"Type": "Pass"}


def create(aws: Aws, name: str, definition: Definition | str, **more: Any) -> Any:
    text = definition if isinstance(definition, str) else json.dumps(definition)
    return aws.states.create_state_machine(name=name, roleArn=ROLE, definition=text, **more)


def refusal(call: Any, **request: Any) -> tuple[str, str]:
    """Return the code and message of a call's error."""
    with pytest.raises(ClientError) as refused:
        call(**request)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


def machine(**states: Definition) -> Definition:
    return {"StartAt": next(iter(states)), "States": states}


CHOICES = [{"Variable": "$.a", "IsNull": True, "Next": "Lost"}]
CAUGHT = [{"ErrorEquals": ["States.ALL"], "Next": "Lost"}]
TASK = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": True}
LONG = "n" * 81
FAULTS: list[tuple[Definition, str]] = [
    (machine(A={**PASS, "Next": "Lost"}), "MISSING_TRANSITION_TARGET: Missing 'Next' target: Lost"),
    (
        machine(A={"Type": "Choice", "Choices": CHOICES, "Default": "B"}, B=DONE),
        "Missing 'Next' target: Lost at /States/A/Choices[0]/Next",
    ),
    (
        machine(
            A={"Type": "Choice", "Choices": [{**CHOICES[0], "Next": "B"}], "Default": "C"}, B=DONE
        ),
        "Missing 'Default' target: C at /States/A/Default",
    ),
    (machine(A={**TASK, "Catch": CAUGHT}), "target: Lost at /States/A/Catch[0]/Next"),
    ({"StartAt": "B", "States": {"A": DONE}}, "Missing 'StartAt' target: B"),
    (
        mapped({**PASS, "Next": "Lost"}),
        "Missing 'Next' target: Lost at /States/Only/Iterator/States/Item/Next",
    ),
    (
        only({"Type": "Parallel", "Branches": [machine(A={**PASS, "Next": "Only"})]}),
        "Missing 'Next' target: Only at /States/Only/Branches[0]/States/A/Next",
    ),
    (machine(A=DONE, B=DONE), 'State "B" is not reachable. at /States/B'),
    (machine(**{LONG: DONE}), "INVALID_STATE_NAME: The state name has 81 characters"),
    (
        only({"Type": "Parallel", "Branches": [machine(A=DONE), machine(A=DONE)]}),
        "DUPLICATE_STATE_NAME: The state name 'A' appears more than once",
    ),
    ({"StartAt": "A"}, "SCHEMA_VALIDATION_FAILED: These fields are required: [States] at /"),
    (machine(A=PASS), "A state needs either 'Next' or 'End': true at /States/A"),
    (machine(A={"Type": "Task", "End": True}), "These fields are required: [Resource]"),
    (only({**PASS, "InputPath": "$.a["}), "'$.a[' is not a JSONPath"),
    (only({**PASS, "ResultPath": "$.a[*]"}), "'$.a[*]' must be a reference path"),
    (only({**PASS, "ResultPath": "a"}), "'a' must be a reference path"),
    (only({**PASS, "Parameters": {"a.$": "a.b"}}), "The value for the field 'a.$' must be a valid"),
    (
        only({**PASS, "Parameters": {"a": [{"b.$": "States.Arrays(1)"}]}}),
        "there is no intrinsic function States.Arrays; did you mean States.Array? at"
        " /States/Only/Parameters/a[0]/b.$",
    ),
    (only({**PASS, "Parameters": {"a.$": "States.Hash('a')"}}), "missing a required argument"),
    (only({**PASS, "Parameters": {"a.$": "States.Array('a"}}), "is not an intrinsic function"),
    (only({**PASS, "Assign": {"a.$": "$b["}}), "is not a JSONPath"),
    # Recorded on AWS: only ' { } and the backslash are escaped.
    (
        only({**PASS, "Parameters": {"a.$": r"States.Format('said, \"{}\"', 'x')"}}),
        "The value for the field 'a.$' must be a valid JSONPath or a valid intrinsic function call",
    ),
    (
        only({"Type": "Wait", "Timestamp": "2020-01-01 00:00:00Z"}),
        "SCHEMA_VALIDATION_FAILED: String does not match RFC3339 timestamp",
    ),
    (
        machine(
            A={
                "Type": "Choice",
                "Choices": [{"Variable": "$.a", "NumericEquals": "1", "Next": "B"}],
            },
            B=DONE,
        ),
        "The value must be a number: '1'",
    ),
    (
        {**only({**PASS, "Output": "{% $sum( %}"}), "QueryLanguage": "JSONata"},
        "The JSONata expression {% $sum( %} cannot be parsed",
    ),
    (
        {**only({**PASS, "Output": {"a": ["{% 1 +"]}}), "QueryLanguage": "JSONata"},
        "must end with %}",
    ),
    (
        {**only({**PASS, "QueryLanguage": "JSONPath"}), "QueryLanguage": "JSONata"},
        "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine",
    ),
    (
        only({**TASK, "Retry": [{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["A"]}]}),
        "States.ALL must appear alone, and in the last element",
    ),
    (
        only({**PASS, "Resultpath": "$"}),
        "The field 'Resultpath' is not supported in a Pass state; did you mean ResultPath?",
    ),
]


@pytest.mark.parametrize(("definition", "message"), FAULTS, ids=[text for _, text in FAULTS])
def test_a_faulty_definition_is_refused_with_its_place(
    aws: Aws, definition: Definition, message: str
) -> None:
    request = {"name": "faulty", "roleArn": ROLE, "definition": json.dumps(definition)}
    code, said = refusal(aws.states.create_state_machine, **request)
    assert code == "InvalidDefinition"
    assert said.startswith("Invalid State Machine Definition: '")
    assert message in said
    answer = aws.states.validate_state_machine_definition(definition=request["definition"])
    assert answer["result"] == "FAIL"
    assert any(
        f"{one['code']}: {one['message']} at {one.get('location')}" in said
        or one["message"] in said
        for one in answer["diagnostics"]
    )


def test_a_refused_definition_leaves_no_trace_in_the_next_one(aws: Aws) -> None:
    """Moto reads it in the query language of the one before."""
    lost = {**TASK, "Resource": "arn:aws:states:::aws-sdk:snss:publish", "Arguments": {}}
    refused = {**only(lost), "QueryLanguage": "JSONata"}
    next_one = only({**PASS, "Parameters": {"a.$": "$.b"}})

    def output_after_a_refusal() -> Any:
        with pytest.raises(ClientError):
            aws.start(refused)
        return aws.output(next_one, {"b": 1})

    assert output_after_a_refusal() == {"a": 1}
    repairs = aws.endpoint.repairs
    with (
        repairs.without("query_languages"),
        repairs.without("definitions"),
        pytest.raises(ClientError),
    ):
        output_after_a_refusal()


def test_a_jsonata_map_may_hold_states_that_use_jsonpath(aws: Aws) -> None:
    """Recorded on AWS."""
    state = {**PASS, "QueryLanguage": "JSONPath", "Parameters": {"item.$": "$"}, "End": True}
    definition = only(
        {
            "Type": "Map",
            "QueryLanguage": "JSONata",
            "Items": "{% $states.input %}",
            "ItemProcessor": machine(Item=state),
        }
    )
    assert aws.output(definition, [1]) == [{"item": 1}]


def test_an_update_is_checked_too(aws: Aws) -> None:
    arn = create(aws, "updated", only(PASS))["stateMachineArn"]
    faulty = json.dumps(machine(A={**PASS, "Next": "Lost"}))
    update = aws.states.update_state_machine
    assert refusal(update, stateMachineArn=arn, definition=faulty)[0] == "InvalidDefinition"
    assert refusal(update, stateMachineArn=arn)[0] == "MissingRequiredParameter"
    with aws.endpoint.repairs.without("definitions"):
        update(stateMachineArn=arn, definition=faulty)


def test_a_distributed_map_is_refused_by_name(aws: Aws) -> None:
    processor = {"ProcessorConfig": {"Mode": "DISTRIBUTED"}, **machine(Item=DONE)}
    definition = only({"Type": "Map", "ItemProcessor": processor})
    code, message = refusal(
        aws.states.create_state_machine,
        name="distributed",
        roleArn=ROLE,
        definition=json.dumps(definition),
    )
    assert code == "InvalidDefinition"
    assert "does not serve distributed Maps (ProcessorConfig.Mode DISTRIBUTED)" in message


@pytest.mark.parametrize(
    ("resource", "parameters", "message"),
    [
        (
            "arn:aws:states:::lambda:invoke",
            {"FunctionName": "f", "Payloads": {}},
            "The field 'Payloads' is not supported by Step Functions; did you mean Payload?",
        ),
        (
            "arn:aws:states:::states:startExecution.sync",
            {"StateMachineArn.$": "$.arn", "Inputs.$": "$"},
            "The field 'Inputs' is not supported by Step Functions; did you mean Input?",
        ),
        (
            "arn:aws:states:::sqs:sendMessage.sync",
            {"QueueUrl": "q", "MessageBody": "m"},
            "does not serve sqs:sendMessage with .sync",
        ),
        (
            "arn:aws:states:::athena:startQueryExecution.sync",
            {"QueryString": "q"},
            "does not serve athena:startQueryExecution with .sync",
        ),
        (
            "arn:aws:states:ap-northeast-1:210987654321:activity:work",
            {},
            "does not serve activities",
        ),
    ],
)
def test_a_task_that_cannot_run_here_is_refused_by_name(
    aws: Aws, resource: str, parameters: dict[str, Any], message: str
) -> None:
    definition = only({**TASK, "Resource": resource, "Parameters": parameters})
    request = {"name": "task", "roleArn": ROLE, "definition": json.dumps(definition)}
    code, said = refusal(aws.states.create_state_machine, **request)
    assert code == "InvalidDefinition"
    assert message in said


def test_without_its_repair_a_misspelt_parameter_is_left_out(aws: Aws) -> None:
    aws.functions.register("any", lambda event, _: event)
    task = {**TASK, "Parameters": {"FunctionName": "any", "Payloads": {}}}
    with aws.endpoint.repairs.without("definitions"):
        assert aws.output(only(task))["StatusCode"] == 200
    token = {**TASK, "Resource": "arn:aws:states:::sqs:sendMessage.sync", "Parameters": {}}
    with aws.endpoint.repairs.without("definitions"):
        assert aws.run(only(token))["error"] == "States.Runtime"


def test_what_is_too_long_is_refused_by_aws_s_names(aws: Aws) -> None:
    start, made = aws.states.start_execution, create(aws, "long", only(PASS))["stateMachineArn"]
    text = json.dumps(only({**PASS, "Comment": "c" * (1 << 20)}))
    code, message = refusal(
        aws.states.create_state_machine, name="big", roleArn=ROLE, definition=text
    )
    assert code == "ValidationException"
    assert "less than or equal to 1048576" in message
    code, message = refusal(start, stateMachineArn=made, input=json.dumps("花" * 90_000))
    assert code == "ValidationException"
    assert "less than or equal to 262144" in message
    largest = json.dumps("n" * (256 * 1024 - 2))
    assert aws.ended(start(stateMachineArn=made, input=largest)["executionArn"])["output"]
    for call, request in (
        (aws.states.create_state_machine, {"roleArn": ROLE, "definition": json.dumps(only(PASS))}),
        (start, {"stateMachineArn": made}),
    ):
        code, message = refusal(call, name=LONG, **request)
        assert code == "ValidationException"
        assert "less than or equal to 80" in message
    code, message = refusal(start, stateMachineArn=made, input="{'a': 1}")
    assert code == "InvalidExecutionInput"
    assert message.startswith("Invalid State Machine Execution Input: '")


def test_a_name_that_another_machine_has_is_refused(aws: Aws) -> None:
    first = create(aws, "taken", only(PASS))["stateMachineArn"]
    assert create(aws, "taken", only(PASS))["stateMachineArn"] == first
    other = {"name": "taken", "roleArn": ROLE, "definition": json.dumps(machine(A=DONE))}
    code, message = refusal(aws.states.create_state_machine, **other)
    assert (code, message) == (
        "StateMachineAlreadyExists",
        f"State Machine Already Exists: '{first}'",
    )
    with aws.endpoint.repairs.without("second_creations"):
        assert aws.states.create_state_machine(**other)["stateMachineArn"] == first


def test_a_definition_is_validated_without_a_machine(aws: Aws) -> None:
    validate = aws.states.validate_state_machine_definition
    good = validate(definition=json.dumps(only(PASS)))
    assert (good["result"], good["diagnostics"], good["truncated"]) == ("OK", [], False)
    not_json = validate(definition="not a definition")["diagnostics"]
    assert [one["code"] for one in not_json] == ["INVALID_JSON_DESCRIPTION"]
    empty = validate(definition="{}")
    assert empty["diagnostics"] == [
        {
            "severity": "ERROR",
            "code": "SCHEMA_VALIDATION_FAILED",
            "message": "These fields are required: [States, StartAt]",
            "location": "/",
        }
    ]
    two = json.dumps(machine(A={**PASS, "Next": "Lost"}, B={**PASS, "Next": "Gone"}))
    limited = validate(definition=two, maxResults=1)
    assert (len(limited["diagnostics"]), limited["truncated"]) == (1, True)
    token = json.dumps(
        only(
            {
                **TASK,
                "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
                "Parameters": {"QueueUrl": "q", "MessageBody": {"token.$": "$$.Task.Token"}},
            }
        )
    )
    assert validate(definition=token)["result"] == "OK"
    express = validate(definition=token, type="EXPRESS")["diagnostics"]
    assert "does not support '.waitForTaskToken'" in express[0]["message"]
    text = json.dumps(only({**PASS, "Parameters": {"a": "$.b"}}))
    assert validate(definition=text)["diagnostics"] == []
    warned = validate(definition=text, severity="WARNING")
    assert (warned["result"], warned["diagnostics"][0]["code"]) == ("OK", "NO_DOLLAR")


def answering(answer: str) -> str:
    return json.dumps(only({**PASS, "Result": answer}))


def test_a_version_keeps_what_it_was_published_with(aws: Aws) -> None:
    made = create(aws, "versioned", answering("one"), publish=True)
    arn, first = made["stateMachineArn"], made["stateMachineVersionArn"]
    assert first == f"{arn}:1"
    publish = aws.states.publish_state_machine_version
    assert publish(stateMachineArn=arn)["stateMachineVersionArn"] == first
    updated = aws.states.update_state_machine(stateMachineArn=arn, definition=answering("two"))
    second = publish(stateMachineArn=arn, revisionId=updated["revisionId"], description="two")
    assert second["stateMachineVersionArn"] == f"{arn}:2"
    assert publish(stateMachineArn=arn)["stateMachineVersionArn"] == f"{arn}:2"
    code, _ = refusal(publish, stateMachineArn=arn, revisionId="another")
    assert code == "ConflictException"

    aws.states.update_state_machine(stateMachineArn=arn, definition=answering("three"))
    outputs = {}
    for started in (first, f"{arn}:2", arn):
        execution = aws.states.start_execution(stateMachineArn=started)["executionArn"]
        described = aws.ended(execution)
        outputs[started] = json.loads(described["output"])
        assert described["stateMachineArn"] == arn
        assert described.get("stateMachineVersionArn") == (started if started != arn else None)
        of_execution = aws.states.describe_state_machine_for_execution(executionArn=execution)
        assert (
            json.loads(of_execution["definition"])["States"]["Only"]["Result"] in outputs.values()
        )
    assert outputs == {first: "one", f"{arn}:2": "two", arn: "three"}

    def listed(of: str) -> list[str | None]:
        found = aws.states.list_executions(stateMachineArn=of)["executions"]
        return [one.get("stateMachineVersionArn") for one in found]

    assert (listed(arn), listed(first)) == ([None, f"{arn}:2", first], [first])
    versions = aws.states.list_state_machine_versions(stateMachineArn=arn, maxResults=1)
    shown = [one["stateMachineVersionArn"] for one in versions["stateMachineVersions"]]
    assert shown == [f"{arn}:2"]
    rest = aws.states.list_state_machine_versions(
        stateMachineArn=arn, nextToken=versions["nextToken"]
    )
    assert [one["stateMachineVersionArn"] for one in rest["stateMachineVersions"]] == [first]
    aws.states.delete_state_machine_version(stateMachineVersionArn=f"{arn}:2")
    code, _ = refusal(aws.states.start_execution, stateMachineArn=f"{arn}:2")
    assert code == "StateMachineDoesNotExist"
    assert publish(stateMachineArn=arn)["stateMachineVersionArn"] == f"{arn}:3"
    with (
        aws.endpoint.repairs.without("started_executions"),
        pytest.raises(ClientError),
    ):
        aws.states.start_execution(stateMachineArn=first)
    with aws.endpoint.repairs.without("versions"):
        assert refusal(publish, stateMachineArn=arn)[0] == "UnknownOperationException"


def route(version: str, weight: int) -> dict[str, Any]:
    return {"stateMachineVersionArn": version, "weight": weight}


def test_an_alias_leads_to_its_versions(aws: Aws) -> None:
    states = aws.states
    made = create(aws, "aliased", answering("one"), publish=True)
    arn, first = made["stateMachineArn"], made["stateMachineVersionArn"]
    second = states.update_state_machine(
        stateMachineArn=arn, definition=answering("two"), publish=True
    )["stateMachineVersionArn"]
    alias = states.create_state_machine_alias(name="PROD", routingConfiguration=[route(first, 100)])
    alias_arn = alias["stateMachineAliasArn"]
    assert alias_arn == f"{arn}:PROD"

    def run() -> Any:
        execution = states.start_execution(stateMachineArn=alias_arn)["executionArn"]
        described = aws.ended(execution)
        assert described["stateMachineAliasArn"] == alias_arn
        return described["stateMachineVersionArn"], json.loads(described["output"])

    assert run() == (first, "one")
    states.update_state_machine_alias(
        stateMachineAliasArn=alias_arn, routingConfiguration=[route(first, 0), route(second, 100)]
    )
    assert {run() for _ in range(5)} == {(second, "two")}
    assert len(states.list_executions(stateMachineArn=alias_arn)["executions"]) == 6
    described = states.describe_state_machine_alias(stateMachineAliasArn=alias_arn)
    assert described["routingConfiguration"] == [route(first, 0), route(second, 100)]
    code, message = refusal(states.delete_state_machine_version, stateMachineVersionArn=first)
    assert code == "ConflictException"
    assert message.endswith("Current list of aliases referencing this version: [PROD]")
    states.delete_state_machine_alias(stateMachineAliasArn=alias_arn)
    assert states.list_state_machine_aliases(stateMachineArn=arn)["stateMachineAliases"] == []
    states.delete_state_machine_version(stateMachineVersionArn=first)
    code, _ = refusal(states.describe_state_machine_alias, stateMachineAliasArn=alias_arn)
    assert code == "ResourceNotFound"


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("123", [("1", 100)], "Member must satisfy regular expression pattern"),
        (LONG, [("1", 100)], "Member must have length less than or equal to 80"),
        ("a", [("1", 70), ("2", 29)], "weights must equal 100. Received: [70, 29]"),
        ("a", [("1", 50), ("1", 50)], "must contain distinct state machine version ARNs"),
        ("a", [("9", 100)], "must contain state machine version ARNs"),
    ],
)
def test_an_alias_that_aws_refuses_is_refused(
    aws: Aws, name: str, weights: list[tuple[str, int]], message: str
) -> None:
    arn = create(aws, "refused-aliases", only(PASS), publish=True)["stateMachineArn"]
    routing = [route(f"{arn}:{version}", weight) for version, weight in weights]
    create_alias = aws.states.create_state_machine_alias
    code, said = refusal(create_alias, name=name, routingConfiguration=routing)
    assert code == "ValidationException"
    assert message in said


def test_an_alias_is_made_once(aws: Aws) -> None:
    made = create(aws, "one-alias", only(PASS), publish=True)
    version = made["stateMachineVersionArn"]
    create_alias = aws.states.create_state_machine_alias
    request = {"name": "PROD", "routingConfiguration": [route(version, 100)]}
    again = [create_alias(**request)["stateMachineAliasArn"] for _ in range(2)]
    assert again[0] == again[1]
    assert refusal(create_alias, **request, description="other")[0] == "ConflictException"
    with aws.endpoint.repairs.without("aliases"):
        create_alias(**request, description="other")
