"""Repairs to the tasks that wait for a token: what their answers hold, and which are refused.

https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#connect-wait-token
"""

from typing import Any

from moto.core.exceptions import AWSError
from moto.core.responses import EmptyResult
from moto.stepfunctions.responses import StepFunctionResponse

from localaws.moto_patches.patch import Patch
from localaws.moto_patches.request_checks import check_size
from localaws.moto_patches.states_language.texts import json_value


class InvalidOutput(AWSError):  # type: ignore[misc]  # noqa: N818  AWS's name
    """The output of a task is no JSON."""

    TYPE = "InvalidOutput"


def task_answers(patch: Patch) -> None:
    """Hand over a failed task's cause, which moto drops, and refuse an output that is no JSON.

    moto takes any, and fails the execution afterwards; on AWS the task goes on waiting.
    """

    def send_task_failure(self: Any) -> Any:
        self.stepfunction_backend.send_task_failure(
            self._get_param("taskToken"),
            error=self._get_param("error"),
            cause=self._get_param("cause"),
        )
        return EmptyResult()

    @patch.around(StepFunctionResponse)
    def send_task_success(original: Any, self: Any) -> Any:
        output = self._get_param("output")
        check_size("output", output)
        try:
            json_value(output)
        except ValueError as error:
            raise InvalidOutput(f"Invalid Output: '{error}'") from None
        return original(self)

    patch.replace(StepFunctionResponse, "send_task_failure", send_task_failure)
