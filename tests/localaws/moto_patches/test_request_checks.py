"""Requests that violate Step Functions' API model are refused, whatever the operation."""

import json
from typing import Any

import pytest

from .aws import ROLE, Aws, only
from .test_state_machines import refusal

PASS = json.dumps(only({"Type": "Pass"}))


@pytest.mark.parametrize(
    ("operation", "request_", "constraint"),
    [
        (
            "create_state_machine",
            {"name": "n", "roleArn": ROLE, "definition": PASS, "type": "FOO"},
            "Value 'FOO' at 'type' failed to satisfy constraint: Member must satisfy enum value"
            " set: [STANDARD, EXPRESS]",
        ),
        (
            "validate_state_machine_definition",
            {"definition": " " * (1 << 20) + PASS},
            "Value at 'definition' failed to satisfy constraint: Member must have length less than"
            " or equal to 1048576",
        ),
        (
            "list_executions",
            {"stateMachineArn": ROLE, "redriveFilter": "REDRIVED"},
            "Member must satisfy enum value set: [REDRIVEN, NOT_REDRIVEN]",
        ),
        (
            "stop_execution",
            {"executionArn": ROLE, "cause": "c" * 32_769},
            "Value at 'cause' failed to satisfy constraint: Member must have length less than or"
            " equal to 32768",
        ),
    ],
)
def test_a_request_that_violates_the_model_is_refused(
    aws: Aws, operation: str, request_: dict[str, Any], constraint: str
) -> None:
    code, message = refusal(getattr(aws.states, operation), **request_)
    assert code == "ValidationException"
    assert message.startswith("1 validation error detected: Value")
    assert constraint in message


def test_without_its_repair_any_type_of_machine_is_made(aws: Aws) -> None:
    request = {"name": "foo", "roleArn": ROLE, "definition": PASS, "type": "FOO"}
    with aws.endpoint.repairs.without("request_constraints"):
        assert aws.states.create_state_machine(**request)["stateMachineArn"].endswith(":foo")
