"""Errors under AWS's names."""

from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

import lambdas.get_status
from lambdas.errors import named_errors
from tests.lambdas.sample_run import SOLUTION


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("ThrottlingException", "ThrottlingException"),
        ("LimitExceededException", "LimitExceededException"),
        ("ResourceInUseException", "ResourceInUseException"),
        ("com.amazonaws.personalize.SlowDown", "SlowDown"),
        ("503", "503"),
    ],
)
def test_aws_s_errors_leave_under_their_own_names(code: str, name: str) -> None:
    @named_errors
    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        raise ClientError({"Error": {"Code": code, "Message": "slow down"}}, "CreateSolution")

    with pytest.raises(Exception, match=r"^CreateSolution: slow down$") as raised:
        handler({}, None)
    assert type(raised.value).__name__ == name


def test_other_errors_pass_as_they_are() -> None:
    @named_errors
    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        raise KeyError(event["missing"])

    with pytest.raises(KeyError, match="missing"):
        handler({}, None)


@pytest.mark.usefixtures("session")
@pytest.mark.parametrize("code", ["ThrottlingException", "ResourceInUseException"])
def test_an_error_of_a_client_leaves_a_handler_under_its_aws_name(
    calls: Stubber, code: str
) -> None:
    calls.add_client_error("describe_solution", code, "later")
    event = {"arn": SOLUTION, "minSeconds": 15, "maxSeconds": 300}

    with pytest.raises(Exception, match=r"^DescribeSolution: later$") as raised:
        lambdas.get_status.handler(event, None)
    assert type(raised.value).__name__ == code
