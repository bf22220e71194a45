"""An error of each of AWS's protocols, as botocore's own parsers read it."""

import re
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree

import pytest
from botocore.exceptions import ClientError

from localaws.http.endpoint import Endpoint
from localaws.http.faults import Faults

THROTTLING = {
    "RequestLimitExceeded",
    "RequestThrottled",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
ACCOUNT, REGION = "210987654321", "ap-northeast-1"
REQUEST_ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9A-F]{16}")  # S3's is shorter
MESSAGE = "This fault was injected; see localaws.http.faults."


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with Endpoint(account=ACCOUNT, region=REGION, port=None) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def faults(endpoint: Endpoint) -> Faults:
    return endpoint.wrap_all(Faults)


def refused(call: Callable[..., Any], **request: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as error:
        call(**request)
    response: dict[str, Any] = error.value.response
    return response


def parsed(response: Any) -> ElementTree.Element:
    return ElementTree.fromstring(response.content)  # noqa: S314  our own


@pytest.mark.parametrize(
    ("service", "operation", "request_members"),
    [
        ("dynamodb", "list_tables", {}),
        ("ec2", "describe_vpcs", {}),
        ("iam", "list_roles", {}),
        ("lambda", "list_functions", {}),
        ("personalize", "list_solutions", {}),
        ("personalize-runtime", "get_recommendations", {}),
        ("route53", "list_hosted_zones", {}),
        ("s3", "list_objects_v2", {"Bucket": "rows"}),
        ("s3control", "get_public_access_block", {"AccountId": ACCOUNT}),
        ("sns", "list_topics", {}),
        ("sqs", "list_queues", {}),
        ("stepfunctions", "list_state_machines", {}),
        ("sts", "get_caller_identity", {}),
    ],
)
def test_a_fault_is_an_error_of_its_services_protocol(
    endpoint: Endpoint,
    faults: Faults,
    service: str,
    operation: str,
    request_members: dict[str, Any],
) -> None:
    """json, rest-json, query, rest-xml and ec2."""
    faults.inject("error InternalError 500")
    response = refused(getattr(endpoint.client(service), operation), **request_members)
    assert (response["Error"]["Code"], response["Error"]["Message"]) == ("InternalError", MESSAGE)
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert REQUEST_ID.fullmatch(response["ResponseMetadata"]["RequestId"])


@pytest.mark.parametrize(
    ("service", "operation", "request_members", "code", "status"),
    [
        ("ec2", "describe_vpcs", {}, "RequestLimitExceeded", 503),
        ("glue", "get_jobs", {}, "ThrottlingException", 400),
        ("iam", "list_roles", {}, "Throttling", 400),
        ("lambda", "invoke", {"FunctionName": "f"}, "TooManyRequestsException", 429),
        ("personalize-runtime", "get_recommendations", {}, "ThrottlingException", 400),
        ("s3", "list_objects_v2", {"Bucket": "rows"}, "SlowDown", 503),
        ("scheduler", "list_schedules", {}, "ThrottlingException", 429),
        ("sns", "list_topics", {}, "Throttling", 400),
        ("sqs", "list_queues", {}, "RequestThrottled", 400),
        ("stepfunctions", "list_state_machines", {}, "ThrottlingException", 400),
        ("sts", "get_caller_identity", {}, "Throttling", 400),
    ],
)
def test_a_throttled_call_gets_its_services_own_error(
    endpoint: Endpoint,
    faults: Faults,
    service: str,
    operation: str,
    request_members: dict[str, Any],
    code: str,
    status: int,
) -> None:
    """By botocore's models; of those without one by what AWS's SDKs take for throttling.

    https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
    """
    faults.inject("throttle")
    response = refused(getattr(endpoint.client(service), operation), **request_members)
    assert response["Error"]["Code"] == code
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status


def test_an_error_without_a_status_has_that_of_its_model(
    endpoint: Endpoint, faults: Faults
) -> None:
    statuses = {}
    for service, operation, code in (
        ("iam", "list_roles", "NoSuchEntityException"),
        ("lambda", "list_functions", "ServiceException"),
        ("lambda", "list_functions", "ResourceNotFoundException"),
        ("s3", "list_buckets", "InternalError"),
        ("s3", "list_buckets", "NoSuchBucket"),
        ("s3", "list_buckets", "Unknown"),
        ("sns", "list_topics", "NotFoundException"),
    ):
        faults.inject(f"error {code}")
        response = refused(getattr(endpoint.client(service), operation))
        metadata = response["ResponseMetadata"]
        statuses[code] = (response["Error"]["Code"], metadata["HTTPStatusCode"])
    assert statuses == {
        "NoSuchEntityException": ("NoSuchEntity", 404),
        "ServiceException": ("ServiceException", 500),
        "ResourceNotFoundException": ("ResourceNotFoundException", 404),
        "InternalError": ("InternalError", 500),
        "NoSuchBucket": ("NoSuchBucket", 404),
        "Unknown": ("Unknown", 400),
        "NotFoundException": ("NotFound", 404),
    }


def test_an_error_of_s3_is_the_documented_document(endpoint: Endpoint, faults: Faults) -> None:
    """As in https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html ."""
    s3, received = endpoint.client("s3"), []
    s3.meta.events.register("after-call", lambda http_response, **_: received.append(http_response))
    faults.inject("throttle", service="s3")
    refused(s3.get_object, Bucket="rows", Key="a & b/é.csv")
    response = received[-1]
    document = parsed(response)
    assert response.headers["Content-Type"] == "application/xml"
    assert response.content.startswith(b'<?xml version="1.0" encoding="UTF-8"?>')
    assert {element.tag: element.text for element in document} == {
        "Code": "SlowDown",
        "Message": "Please reduce your request rate.",
        "Resource": "/rows/a & b/é.csv",
        "RequestId": response.headers["x-amz-request-id"],
        "HostId": response.headers["x-amz-id-2"],
    }


def test_an_error_of_a_query_service_has_its_namespace(endpoint: Endpoint, faults: Faults) -> None:
    received: list[Any] = []
    for service in ("sns", "sts"):
        client = endpoint.client(service)
        client.meta.events.register(
            "after-call", lambda http_response, **_: received.append(http_response)
        )
    faults.inject("throttle", times=2)
    refused(endpoint.client("sns").list_topics)
    refused(endpoint.client("sts").get_caller_identity)
    assert [parsed(response).tag for response in received] == [
        "{http://sns.amazonaws.com/doc/2010-03-31/}ErrorResponse",
        "{https://sts.amazonaws.com/doc/2011-06-15/}ErrorResponse",
    ]


def test_a_fault_is_the_clients_or_the_servers(endpoint: Endpoint, faults: Faults) -> None:
    types = []
    for fault in ("throttle", "error Down 503"):
        faults.inject(fault)
        types.append(refused(endpoint.client("sns").list_topics)["Error"]["Type"])
    assert types == ["Sender", "Receiver"]


def test_the_answer_to_a_head_has_no_body(endpoint: Endpoint, faults: Faults) -> None:
    faults.inject("error AccessDenied 403")
    response = refused(endpoint.client("s3").head_object, Bucket="rows", Key="a")
    assert response["Error"]["Code"] == "403"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert REQUEST_ID.fullmatch(response["ResponseMetadata"]["RequestId"])


def test_a_fault_of_a_modelled_error_is_its_exception(endpoint: Endpoint, faults: Faults) -> None:
    s3, iam = endpoint.client("s3"), endpoint.client("iam")
    faults.inject("error NoSuchBucket 404", service="s3")
    with pytest.raises(s3.exceptions.NoSuchBucket):
        s3.list_objects_v2(Bucket="rows")
    faults.inject("error NoSuchEntity 404", service="iam")
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_role(RoleName="reader")


def test_rules_know_the_operations_of_every_protocol(endpoint: Endpoint, faults: Faults) -> None:
    called = {
        "CreateQueue": lambda: endpoint.client("sqs").create_queue(QueueName="q"),
        "CreateTopic": lambda: endpoint.client("sns").create_topic(Name="t"),
        "DescribeVpcs": lambda: endpoint.client("ec2").describe_vpcs(),
        "GetRecommendations": lambda: endpoint.client("personalize-runtime").get_recommendations(),
        "Invoke": lambda: endpoint.client("lambda").invoke(FunctionName="f"),
        "ListBuckets": lambda: endpoint.client("s3").list_buckets(),
        "PutObject": lambda: endpoint.client("s3").put_object(Bucket="b", Key="k/é", Body=b"1"),
    }
    for operation, call in called.items():
        faults.inject("throttle", operation=operation)
        with pytest.raises(ClientError, match=f"{operation} operation") as error:
            call()
        assert error.value.response["Error"]["Code"] in THROTTLING
    faults.clear()


@pytest.mark.parametrize("fault", ["throttle", "error InternalFailure"])
def test_a_service_repeats_what_fails_once(endpoint: Endpoint, faults: Faults, fault: str) -> None:
    """As a job of Personalize does that reads a bucket by its role."""
    role = f"arn:aws:iam::{ACCOUNT}:role/jobs"
    faults.inject(fault, operation="ListBuckets")
    assert endpoint.client("s3", role).list_buckets()["Buckets"] == []

    faults.inject(fault, operation="ListBuckets", times=0)
    refused(endpoint.client("s3", role).list_buckets)
    faults.clear()
    faults.inject(fault, operation="ListBuckets")
    refused(endpoint.client("s3").list_buckets)
