"""Repairs to what EventBridge and its Scheduler take as the expression of a schedule."""

from typing import Any

from moto.events.exceptions import ValidationException as EventsValidationException
from moto.events.models import EventsBackend
from moto.scheduler.exceptions import ValidationException
from moto.scheduler.models import EventBridgeSchedulerBackend

from localaws.moto_patches.patch import Patch
from localaws.schedules import check_expression


def schedule_expressions(patch: Patch) -> None:
    """Refuse expressions and time zones that cannot be read: moto keeps any of a schedule.

    Of a rule it keeps those that look like one: cron(0 4 31 * * *).
    """

    def checked(original: Any, self: Any, **request: Any) -> Any:
        expression = request["schedule_expression"]
        zone = request.get("schedule_expression_timezone") or "UTC"
        try:
            check_expression(expression, zone)
        except (ValueError, KeyError, OSError):  # a zone without a file is a KeyError or OSError
            raise ValidationException(f"Invalid Schedule Expression {expression}.") from None
        return original(self, **request)

    patch.around(EventBridgeSchedulerBackend, "create_schedule")(checked)
    patch.around(EventBridgeSchedulerBackend, "update_schedule")(checked)

    @patch.around(EventsBackend)
    def put_rule(original: Any, self: Any, name: str, **request: Any) -> Any:
        if expression := request.get("scheduled_expression"):
            try:
                check_expression(expression)
            except ValueError:
                message = "Parameter ScheduleExpression is not valid."
                raise EventsValidationException(message) from None
        return original(self, name, **request)
