"""An error of each of AWS's protocols, as botocore's own parsers read it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.http.endpoint import Endpoint
from localaws.http.faults import Faults

ACCOUNT, REGION = "210987654321", "ap-northeast-1"
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
    assert len(response["ResponseMetadata"]["RequestId"]) == 36


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
    assert len(response["ResponseMetadata"]["RequestId"]) == 36


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
        with pytest.raises(ClientError, match=f"ThrottlingException.*{operation} operation"):
            call()
    faults.clear()
