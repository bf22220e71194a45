"""A service's error in an execution has the name that Retry and Catch match on AWS."""

import json
from typing import Any

import pytest

from localaws.http.faults import Faults

from .aws import ROLE, Aws, Definition, invoke, only

FUNCTION = "arn:aws:lambda:ap-northeast-1:210987654321:function:busy"
BOOM = "error Boom 500"


def task(resource: str, **parameters: Any) -> Definition:
    return {
        "Type": "Task",
        "Resource": f"arn:aws:states:::{resource}",
        "Parameters": parameters,
    }


GLUE = task("glue:startJobRun.sync", JobName="busy")
PUBLISH = task("sns:publish", TopicArn="arn:aws:sns:ap-northeast-1:210987654321:x", Message="x")
SEND = task("sqs:sendMessage", QueueUrl="http://sqs/210987654321/x", MessageBody="x")
EVENT = task("events:putEvents", Entries=[{"Source": "x", "DetailType": "x", "Detail": {}}])
GET_ITEM = task("dynamodb:getItem", TableName="x", Key={"id": {"S": "x"}})
MODEL = task("sagemaker:createModel", ModelName="x", ExecutionRoleArn=ROLE)
NESTED = task(
    "states:startExecution.sync:2",
    StateMachineArn="arn:aws:states:ap-northeast-1:210987654321:stateMachine:x",
)
INVOKE = invoke("busy")
BY_ARN = {"Type": "Task", "Resource": FUNCTION}


def catching(state: Definition, error: str) -> Definition:
    """Return a definition of a state, and of one that gives out the error if it is caught."""
    caught = {"Type": "Pass", "End": True}
    trial = {**state, "Catch": [{"ErrorEquals": [error], "Next": "Caught"}], "End": True}
    trial.pop("OutputPath", None)
    return {"StartAt": "Trial", "States": {"Trial": trial, "Caught": caught}}


def first_of_state(operation: str) -> int:
    """Return which call of an operation is a state's first: one StartExecution is the test's."""
    return 2 if operation == "StartExecution" else 1


@pytest.mark.parametrize(
    ("state", "operation", "fault", "error"),
    [
        (INVOKE, "Invoke", "throttle", "Lambda.TooManyRequestsException"),
        (INVOKE, "Invoke", "error ServiceException", "Lambda.ServiceException"),
        (INVOKE, "Invoke", BOOM, "Lambda.AWSLambdaException"),
        (BY_ARN, "Invoke", "throttle", "Lambda.TooManyRequestsException"),
        (BY_ARN, "Invoke", BOOM, "Lambda.AWSLambdaException"),
        (GLUE, "StartJobRun", "throttle", "Glue.AWSGlueException"),
        (GLUE, "StartJobRun", BOOM, "Glue.AWSGlueException"),
        (PUBLISH, "Publish", "throttle", "SNS.AmazonSNSException"),
        (PUBLISH, "Publish", "error NotFoundException", "SNS.NotFoundException"),
        (SEND, "SendMessage", "throttle", "SQS.RequestThrottledException"),
        (SEND, "SendMessage", BOOM, "SQS.AmazonSQSException"),
        (EVENT, "PutEvents", "throttle", "EventBridge.AmazonEventBridgeException"),
        (GET_ITEM, "GetItem", BOOM, "DynamoDB.AmazonDynamoDBException"),
        (MODEL, "CreateModel", "throttle", "SageMaker.AmazonSageMakerException"),
        (NESTED, "StartExecution", BOOM, "StepFunctions.AWSStepFunctionsException"),
        (task("aws-sdk:s3:listBuckets"), "ListBuckets", "throttle", "S3.S3Exception"),
        (task("aws-sdk:iam:listRoles"), "ListRoles", BOOM, "Iam.IamException"),
        (
            task("aws-sdk:personalize:listSchemas"),
            "ListSchemas",
            "throttle",
            "Personalize.PersonalizeException",
        ),
    ],
)
def test_a_fault_is_caught_by_its_name_with_its_request_id(
    aws: Aws, faults: Faults, state: Definition, operation: str, fault: str, error: str
) -> None:
    """Recorded on AWS for Glue, Lambda, SQS and DynamoDB; the others have their SDKs' names."""
    faults.inject(fault, operation=operation, call=first_of_state(operation))

    output = aws.output(catching(state, error))

    assert output["Error"] == error
    assert "Request ID: " in output["Cause"]


@pytest.mark.parametrize(
    ("state", "operation", "error"),
    [
        (INVOKE, "Invoke", "Lambda.SdkClientException"),
        (BY_ARN, "Invoke", "Lambda.SdkClientException"),
        (GLUE, "StartJobRun", "Glue.SdkClientException"),
        (PUBLISH, "Publish", "SNS.SdkClientException"),
        (SEND, "SendMessage", "SQS.SdkClientException"),
        (EVENT, "PutEvents", "EventBridge.SdkClientException"),
        (GET_ITEM, "GetItem", "DynamoDB.SdkClientException"),
        (MODEL, "CreateModel", "SageMaker.SdkClientException"),
        (NESTED, "StartExecution", "StepFunctions.SdkClientException"),
        (task("aws-sdk:s3:listBuckets"), "ListBuckets", "S3.SdkClientException"),
        (task("aws-sdk:iam:listRoles"), "ListRoles", "Iam.SdkClientException"),
        (
            task("aws-sdk:personalize:listSchemas"),
            "ListSchemas",
            "Personalize.SdkClientException",
        ),
    ],
)
def test_half_of_a_response_is_an_error_of_the_sdk_s_client(
    aws: Aws, faults: Faults, state: Definition, operation: str, error: str
) -> None:
    """The half is no result, with which the state machine would go on."""
    faults.inject("cut", operation=operation, call=first_of_state(operation))

    output = aws.output(catching(state, error))

    assert output["Error"] == error
    assert "read" in output["Cause"]
    assert "Request ID: ;" not in output["Cause"]


@pytest.mark.parametrize("state", [INVOKE, BY_ARN], ids=["by name", "by ARN"])
def test_a_function_is_invoked_again_after_a_fault(
    aws: Aws, faults: Faults, state: Definition
) -> None:
    aws.functions.register("busy", lambda event, context: "served")
    retry = [{"ErrorEquals": ["Lambda.TooManyRequestsException"], "IntervalSeconds": 1}]
    faults.inject("throttle", operation="Invoke", times=2)

    assert aws.output(only({**state, "Retry": retry})) == "served"


def test_without_its_repair_an_error_has_the_name_of_its_code(aws: Aws, faults: Faults) -> None:
    errors = []
    with aws.endpoint.repairs.without("service_errors"):
        for state, operation in ((GLUE, "StartJobRun"), (BY_ARN, "Invoke"), (EVENT, "PutEvents")):
            faults.inject("throttle", operation=operation)
            errors.append(aws.run(only(state))["error"])
    assert errors == ["Glue.ThrottlingException", "Exception", "States.Runtime"]


def test_an_error_of_the_operation_keeps_its_name(aws: Aws) -> None:
    unknown = task("glue:startJobRun.sync", JobName="there-is-none")
    assert aws.run(only(unknown))["error"] == "Glue.EntityNotFoundException"


def test_the_history_names_the_error_of_a_function_by_its_arn(aws: Aws, faults: Faults) -> None:
    faults.inject("throttle", operation="Invoke")
    execution = aws.start(only(BY_ARN))
    aws.ended(execution)

    events = aws.states.get_execution_history(executionArn=execution)["events"]

    failed = [event for event in events if event["type"] == "LambdaFunctionFailed"]
    assert failed[0]["lambdaFunctionFailedEventDetails"]["error"] == (
        "Lambda.TooManyRequestsException"
    )
    assert json.dumps(events, default=str).count("KeyError") == 0
