"""The command's own clients of AWS."""

from typing import Any

import boto3
import pytest
from botocore.exceptions import IncompleteReadError

from tests.projects import EXAMPLE
from workflow import parse_config
from workflow.deployment.account import check_identity, clients_of
from workflow.errors import DeployError

CONFIG = parse_config(EXAMPLE)


@pytest.fixture
def local_aws_options() -> dict[str, Any]:
    return {"account": CONFIG.aws.account, "region": CONFIG.aws.region}


def test_half_of_a_response_is_no_empty_one(local_aws: Any) -> None:
    """Botocore reads half of a JSON text as a response without members."""
    states = clients_of(boto3, CONFIG.aws.region)("stepfunctions")
    local_aws.faults.inject("cut", operation="ListStateMachines")

    with pytest.raises(IncompleteReadError, match="read, but total bytes expected is"):
        states.list_state_machines()

    assert states.list_state_machines()["stateMachines"] == []


def test_half_of_a_response_ends_a_command_with_what_was_asked(local_aws: Any) -> None:
    clients = clients_of(boto3, CONFIG.aws.region)
    local_aws.faults.inject("cut", operation="GetCallerIdentity")

    with pytest.raises(DeployError, match="read, but total bytes expected is"):
        check_identity(CONFIG, clients)


def test_a_body_that_is_read_later_is_whole(local_aws: Any) -> None:
    s3 = clients_of(boto3, CONFIG.aws.region)("s3")
    location = {"LocationConstraint": CONFIG.aws.region}
    s3.create_bucket(Bucket="rows", CreateBucketConfiguration=location)
    s3.put_object(Bucket="rows", Key="row", Body=b"12345678")

    assert s3.head_object(Bucket="rows", Key="row")["ContentLength"] == 8
    assert s3.get_object(Bucket="rows", Key="row")["Body"].read() == b"12345678"
