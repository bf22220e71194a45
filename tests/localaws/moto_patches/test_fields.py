"""Each type of state has its own fields, and each field its own values."""

import json
from pathlib import Path

import pytest

from localaws.moto_patches.states_language.fields import FIELDS

from .aws import ROLE, Aws, Definition, only
from .test_state_machines import create, machine, refusal

SCHEMAS = Path(".venv/asl-validator/node_modules/asl-validator/src/schemas")
DONE = {"Type": "Succeed"}
PASS: Definition = {"Type": "Pass", "End": True}
TASK: Definition = {
    "Type": "Task",
    "Resource": "arn:aws:states:::lambda:invoke",
    "Parameters": {"FunctionName": "f"},
    "End": True,
}
MAP: Definition = {"Type": "Map", "ItemProcessor": machine(Item=DONE), "End": True}
PARALLEL: Definition = {"Type": "Parallel", "Branches": [machine(Item=DONE)], "End": True}
CHOICE: Definition = {
    "Type": "Choice",
    "Choices": [{"Variable": "$.a", "IsNull": True, "Next": "B"}],
    "Default": "B",
}
WAIT: Definition = {"Type": "Wait", "Seconds": 1, "End": True}
JSONATA = {"QueryLanguage": "JSONata"}
RETRY = [{"ErrorEquals": ["States.ALL"]}]
CATCH = {"ErrorEquals": ["States.ALL"], "Next": "B"}


@pytest.mark.parametrize(("kind", "language"), FIELDS)
def test_the_fields_are_those_of_an_independent_validator(kind: str, language: str) -> None:
    """Its schemas are written from the specification, and let JSONata's Pass have a Result.

    The guide has that for JSONPath alone:
    https://docs.aws.amazon.com/step-functions/latest/dg/state-pass.html
    """
    schemas = json.loads((SCHEMAS / f"{kind.lower()}.json").read_text())["oneOf"]
    by_language = ("JSONPath", "JSONata").index(language)
    known = set(schemas[by_language]["properties"])
    if kind == "Choice":
        known.remove("End")  # the specification: "Choice states … do not support the End field"
    if (kind, language) == ("Pass", "JSONata"):
        known.remove("Result")
    assert FIELDS[kind, language] == known


FAULTS: list[tuple[Definition, str]] = [
    ({**PASS, "Retry": RETRY}, "'Retry' is not supported in a Pass state at /States/A/Retry"),
    ({**PASS, "Catch": [CATCH]}, "'Catch' is not supported in a Pass state"),
    ({**WAIT, "Parameters": {}}, "'Parameters' is not supported in a Wait state"),
    ({**CHOICE, "ResultPath": "$.a"}, "'ResultPath' is not supported in a Choice state"),
    ({**DONE, "Assign": {"a": 1}}, "'Assign' is not supported in a Succeed state"),
    ({"Type": "Fail", "InputPath": "$"}, "'InputPath' is not supported in a Fail state"),
    ({**MAP, "TimeoutSeconds": 1}, "'TimeoutSeconds' is not supported in a Map state"),
    ({**MAP, "Items": []}, "'Items' is not supported in a Map state"),
    ({**TASK, "ItemsPath": "$"}, "'ItemsPath' is not supported in a Task state"),
    ({**PASS, "Output": 1}, "'Output' is not supported in a Pass state"),
    ({**PASS, **JSONATA, "Result": 1}, "'Result' is not supported in a Pass state that uses"),
    ({**PASS, **JSONATA, "InputPath": "$"}, "'InputPath' is not supported in a Pass state that"),
    (
        {**PASS, **JSONATA, "Output": {"a.$": "$"}},
        "The field 'a.$' is JSONPath's: write {% … %} in JSONata at /States/A/Output/a.$",
    ),
    ({**TASK, "Catch": [{**CATCH, "Output": 1}]}, "'Output' is not supported in Catch of a state"),
    (
        {**PARALLEL, "Branches": [{**machine(Item=DONE), "TimeoutSeconds": 1}]},
        "'TimeoutSeconds' is not supported in a machine in Branches at /States/A/Branches[0]",
    ),
    (
        {**MAP, "ItemSelector": {}, "Parameters": {}},
        "The fields ItemSelector and Parameters exclude each other",
    ),
    ({**WAIT, "SecondsPath": "$.a"}, "The fields Seconds and SecondsPath exclude each other"),
    ({**PARALLEL, "Branches": []}, "Value cannot be empty at /States/A/Branches"),
    ({**PASS, "QueryLanguage": "XPath"}, "values: [JSONPath, JSONata] at /States/A/QueryLanguage"),
    # Numbers.
    ({**TASK, "TimeoutSeconds": 0}, "an integer from 1 to 99999999, not 0 at /States/A/Timeout"),
    ({**TASK, "TimeoutSeconds": 100_000_000}, "an integer from 1 to 99999999, not 100000000"),
    ({**TASK, "TimeoutSeconds": 1.5}, "an integer from 1 to 99999999, not 1.5"),
    ({**TASK, "HeartbeatSeconds": 0}, "an integer from 1 to 99999999, not 0"),
    (
        {**TASK, "TimeoutSeconds": 5, "HeartbeatSeconds": 5},
        "HeartbeatSeconds must be smaller than TimeoutSeconds, 5, not 5",
    ),
    ({**WAIT, "Seconds": 100_000_000}, "an integer from 0 to 99999999, not 100000000"),
    ({**WAIT, "Seconds": "1"}, "an integer from 0 to 99999999, not '1'"),
    ({**MAP, "MaxConcurrency": -1}, "an integer from 0 to 2147483647, not -1"),
    ({**TASK, "Retry": [{**RETRY[0], "BackoffRate": 0.5}]}, "a number of 1.0 or more, not 0.5"),
    ({**TASK, "Retry": [{**RETRY[0], "IntervalSeconds": 0}]}, "from 1 to 99999999, not 0"),
    ({**TASK, "Retry": [{**RETRY[0], "JitterStrategy": "HALF"}]}, "values: [FULL, NONE]"),
    # Errors.
    (
        {**TASK, "Retry": [{"ErrorEquals": 5}]},
        "an array of one error's name or more, not 5 at /States/A/Retry[0]/ErrorEquals",
    ),
    (
        {**TASK, "Retry": [{"ErrorEquals": "States.ALL"}]},
        "an array of one error's name or more, not 'States.ALL'",
    ),
    ({**TASK, "Retry": [{}]}, "These fields are required: [ErrorEquals] at /States/A/Retry[0]"),
    # Variables.
    ({**PASS, "Assign": {"states": 1}}, "'states' is reserved at /States/A/Assign/states"),
    ({**PASS, "Assign": {"1a": 1}}, "'1a' is no name of a variable"),
    ({**PASS, "Assign": {"a-b": 1}}, "'a-b' is no name of a variable"),
    ({**PASS, "Assign": {"$a": 1}}, "'$a' is no name of a variable"),
    ({**PASS, "Assign": {"n" * 81: 1}}, "has 81 characters, not 80"),
    # Choices.
    (
        {**CHOICE, "Choices": [{"Variable": "$.a", "IsPresent": "true", "Next": "B"}]},
        "The value must be a boolean: 'true' at /States/A/Choices[0]/IsPresent",
    ),
    (
        {**CHOICE, "Choices": [{"Not": [CHOICE["Choices"][0]], "Next": "B"}]},
        "The value must be a rule, an object",
    ),
    (
        {**CHOICE, "Choices": [{"And": CHOICE["Choices"], "Next": "B"}]},
        "'Next' is not supported in a nested rule at /States/A/Choices[0]/And[0]/Next",
    ),
    ({**CHOICE, "Choices": [{"Next": "B"}]}, "must have one comparison, And, Or or Not"),
    # Tasks.
    (
        {**TASK, "Parameters": {}},
        "The field 'FunctionName' is required but was missing at /States/A/Parameters",
    ),
    (
        {
            **TASK,
            "Resource": "arn:aws:states:::aws-sdk:s3:getObject",
            "Parameters": {"Bucket": "b"},
        },
        "The field 'Key' is required but was missing at /States/A/Parameters",
    ),
    (
        {**TASK, "Resource": "arn:aws:states:::sagemaker:createModel", "Parameters": {}},
        "The field 'ModelName' is required but was missing",
    ),
    (
        {
            **TASK,
            "Resource": "arn:aws:states:::aws-sdk:dynamodb:createTable",
            "Parameters": {
                "TableName": "t",
                "AttributeDefinitions": [{"AttributeName": "a", "attributeType": "S"}],
                "KeySchema": [],
            },
        },
        "The field 'attributeType' is not supported by Step Functions; write AttributeType at"
        " /States/A/Parameters/AttributeDefinitions[0]",
    ),
    # Recorded on AWS.
    (
        {**TASK, "Resource": "arn:aws:states:::dynamodb:query", "Parameters": {}},
        "The resource provided arn:aws:states:::dynamodb:query is not recognized. The value is not"
        " a valid resource ARN, or the resource is not available in this region. at"
        " /States/A/Resource",
    ),
    (
        {**TASK, "Credentials": {}},
        "The field 'RoleArn' is required but was missing at /States/A/Credentials",
    ),
    *(
        ({**TASK, "Resource": f"arn:aws:states:::{what}"}, f"the local AWS does not serve {what}")
        for what in ("bedrock:invokeModel", "eks:call", "elasticmapreduce:addStep")
    ),
    (
        {**TASK, "Resource": "arn:aws:states:::apigateway:invoke", "Parameters": {}},
        "the local AWS does not serve apigateway:invoke",
    ),
]


@pytest.mark.parametrize(("state", "message"), FAULTS, ids=[text[:70] for _, text in FAULTS])
def test_a_state_that_aws_refuses_is_refused(aws: Aws, state: Definition, message: str) -> None:
    code, said = refusal(
        aws.states.create_state_machine,
        name="faulty",
        roleArn=ROLE,
        definition=json.dumps(machine(A=state, B=DONE)),
    )
    assert code == "InvalidDefinition"
    assert message in said
    assert "moto" not in said


@pytest.mark.parametrize(
    "definition",
    [
        {**only(PASS), "TimeoutSeconds": 0},
        {**only(PASS), "TimeoutSeconds": 100_000_000},
        machine(**{"": PASS}),
    ],
)
def test_a_machine_that_aws_refuses_is_refused(aws: Aws, definition: Definition) -> None:
    request = {"name": "faulty", "roleArn": ROLE, "definition": json.dumps(definition)}
    assert refusal(aws.states.create_state_machine, **request)[0] == "InvalidDefinition"


def test_without_its_repair_a_field_that_a_state_does_not_have_is_ignored(aws: Aws) -> None:
    with aws.endpoint.repairs.without("definitions"):
        assert create(aws, "ignoring", only({**PASS, "Seconds": 5}))["stateMachineArn"]


def test_an_express_machine_refuses_to_wait_for_a_job_or_a_token(aws: Aws) -> None:
    """As recorded on AWS; an update too."""
    parameters = {"StateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:x"}
    nested = "arn:aws:states:::states:startExecution.sync"
    waiting = json.dumps(only({**TASK, "Resource": nested, "Parameters": parameters}))
    request = {"roleArn": ROLE, "type": "EXPRESS"}
    code, message = refusal(
        aws.states.create_state_machine, name="express", definition=waiting, **request
    )
    assert (code, message) == (
        "InvalidDefinition",
        "Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: Express state machine does"
        " not support '.sync' service integration at /States/Only/Resource'",
    )
    made = create(aws, "express", only(PASS), type="EXPRESS")["stateMachineArn"]
    update = aws.states.update_state_machine
    assert refusal(update, stateMachineArn=made, definition=waiting)[0] == "InvalidDefinition"
