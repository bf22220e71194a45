"""What Step Functions refuses in a request, whatever its operation: by botocore's model of it."""

from typing import Any

from moto.core.responses import BaseResponse
from moto.stepfunctions.exceptions import ValidationException
from moto.stepfunctions.responses import StepFunctionResponse

from localaws.http.protocol import validated_request
from localaws.http.service_names import service_model
from localaws.moto_patches.patch import Patch

LARGEST_DATA = 256 * 1024
"""Bytes of an input or output.
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html"""


def request_constraints(patch: Patch) -> None:
    """Refuse a request with a member that violates the API's model: moto takes `type="FOO"`.

    And a definition of more than 1 MiB, a page of more than 1,000 entries, an unknown filter.
    """

    @patch.around(BaseResponse)
    def call_action(original: Any, self: Any) -> Any:
        if isinstance(self, StepFunctionResponse) and (message := _violations(self)):
            raise ValidationException(message)
        return original(self)


def _violations(request: Any) -> str:
    """Return AWS's message of the members that violate the model; empty if none does."""
    model = service_model("stepfunctions")
    name = request._get_action()
    if name not in model.operation_names:
        return ""
    operation = model.operation_model(name)
    known = operation.input_shape.members if operation.input_shape else {}
    given = {member: request._get_param(member) for member in known}
    present = {member: value for member, value in given.items() if value is not None}
    _, message = validated_request(operation, present)
    return message


def check_size(member: str, text: str) -> None:
    """Refuse an input or output of more than 256 KiB, which the model counts in characters.

    Raises:
        ValidationException: If it has more.
    """
    if len(text.encode("utf-8", "replace")) > LARGEST_DATA:
        raise ValidationException(
            f"1 validation error detected: Value at '{member}' failed to satisfy constraint: Member"
            f" must have length less than or equal to {LARGEST_DATA}"
        )
