"""Targets of EventBridge's rules and of EventBridge Scheduler's schedules: input and start.

`deliver_event` and `deliver` start a target, signed by the target's role. If it cannot be started,
its input goes to its dead-letter queue, if it has one.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError, UnknownServiceError

from localaws.functions.policies import is_invoker
from localaws.http.service_names import service_of_sdk_name
from localaws.moto_patches.states_language import jayway
from localaws.principals import EVENTS

Client = Callable[[str, str], Any]
"""A service, and the ARN of the role that signs → boto3's client."""

EVENT_TARGETS = frozenset({"states", "lambda", "sns", "sqs"})
"""Services whose targets an event starts here, by their names in ARNs."""


def deliver_event(
    client: Client,
    target: Mapping[str, Any],
    event: Mapping[str, Any],
    *,
    rule_arn: str,
    role: str,
    ingestion_time: str,
) -> list[str]:
    """Start a rule's target with what it takes of an event.

    Args:
        client: Makes clients.
        target: As EventBridge's API describes it.
        event: The event as a target without further settings gets it.
        rule_arn: The rule's.
        role: ARN of the role that starts the target; empty for no role.
        ingestion_time: When EventBridge received the event, in ISO 8601.

    Returns:
        The errors, a line each; none if the target was started.
    """
    try:
        payload = _event_input(target, event, rule_arn, ingestion_time)
    except ValueError as error:
        return [f"could not start {target['Arn']}: {error}"]
    return deliver(client, target, payload, source_arn=rule_arn, role=role)


def deliver(
    client: Client, target: Mapping[str, Any], payload: str, *, source_arn: str, role: str
) -> list[str]:
    """Start a target of a rule or a schedule with its input; return the errors, a line each."""
    try:
        _start(client, target, payload, role or EVENTS, source_arn)
    except (ClientError, BotoCoreError, ValueError) as error:
        errors = [f"could not start {target['Arn']}: {error}"]
        queue = target.get("DeadLetterConfig", {}).get("Arn")
        try:
            if queue:
                attributes = _dead_letter_attributes(target, source_arn, error)
                _send_message(client, queue, payload, EVENTS, MessageAttributes=attributes)
        except (ClientError, BotoCoreError) as queue_error:
            errors.append(f"could not use its dead-letter queue {queue}: {queue_error}")
        return errors
    return []


def schedule_input(
    target: Mapping[str, Any], event: Mapping[str, Any], *, schedule_arn: str, scheduled_time: str
) -> str:
    """Return the input of a schedule's target: its own, or else the event.

    https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
    """
    text = str(target.get("Input") or "")
    context = {
        "schedule-arn": schedule_arn,
        "scheduled-time": scheduled_time,
        "execution-id": uuid.uuid4().hex[:16],
        "attempt-number": "1",
    }
    for name, value in context.items():
        text = text.replace(f"<aws.scheduler.{name}>", value)
    return text or json.dumps(event)


def _event_input(
    target: Mapping[str, Any], event: Mapping[str, Any], rule_arn: str, ingestion_time: str
) -> str:
    """Return the input of a rule's target: its own, what it takes of the event, or all of it.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html

    Raises:
        ValueError: If a path or the template cannot be used.
    """
    if "Input" in target:
        return str(target["Input"])
    if path := target.get("InputPath"):
        return json.dumps(_value_at(event, path))
    transformer = target.get("InputTransformer")
    if not transformer:
        return json.dumps(event)
    paths = transformer.get("InputPathsMap", {})
    values = {name: _value_at(event, path) for name, path in paths.items()}
    # EventBridge writes the key like this where the detail is left out.
    event_without_detail = {
        "detailType" if name == "detail-type" else name: value
        for name, value in event.items()
        if name != "detail"
    }
    values |= {
        "aws.events.rule-arn": rule_arn,
        "aws.events.rule-name": rule_arn.rpartition("/")[2],
        "aws.events.event.ingestion-time": ingestion_time,
        "aws.events.event": event_without_detail,
        "aws.events.event.json": event,
    }
    return _fill_template(str(transformer["InputTemplate"]), values)


def _value_at(event: Any, path: str) -> Any:
    """Return the value at a path such as `$.detail.items[0]`: a list with `*`; None for nothing."""
    try:
        parsed = jayway.parsed(path)
    except ValueError as error:
        raise ValueError(f"{path!r} is no JSON path: {error}") from None
    try:
        return parsed.find(event)
    except LookupError:
        return None if parsed.is_definite else []


def _fill_template(template: str, values: Mapping[str, Any]) -> str:
    """Return a template with a value for each `<name>`; what an event lacks is an empty text.

    Outside quotes a value is written as JSON, within them as it is. A template that is a text, and
    no JSON object, takes objects and lists too, without their quotes.

    Raises:
        ValueError: If a name has no value, or the result is no JSON.
    """
    is_text = template.lstrip().startswith('"')

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise ValueError(f"InputTemplate contains invalid placeholder {match[1]}")
        chosen = "" if values[match[1]] is None else values[match[1]]
        encoded = json.dumps(chosen, ensure_ascii=False, separators=(",", ":"))
        is_quoted = len(re.findall(r'(?<!\\)"', template[: match.start()])) % 2 == 1
        if not is_quoted:
            return encoded
        if isinstance(chosen, str):
            return chosen
        return encoded.replace('"', "") if is_text else encoded

    filled = re.sub(r"<([\w.-]+)>", value, template)
    if not is_text:
        json.loads(filled)
    return filled


def _start(
    client: Client, target: Mapping[str, Any], payload: str, role: str, source_arn: str
) -> None:
    arn = str(target["Arn"])
    match arn.split(":")[2:6]:
        case ["scheduler", _, _, "aws-sdk"]:
            _call(client, arn, payload, role)
        case ["states", *_]:
            client("stepfunctions", role).start_execution(stateMachineArn=arn, input=payload)
        case ["lambda", *_]:
            functions = client("lambda", role)
            if role == EVENTS:
                _check_policy(functions, arn, source_arn)
            functions.invoke(FunctionName=arn, InvocationType="Event", Payload=payload.encode())
        case ["sns", *_]:
            client("sns", role).publish(TopicArn=arn, Message=payload)
        case ["sqs", *_]:
            group = target.get("SqsParameters", {}).get("MessageGroupId")
            settings = {"MessageGroupId": group} if group else {}
            _send_message(client, arn, payload, role, **settings)
        case _:
            raise ValueError(
                f"target {arn!r} is not supported; supported are state machines, Lambda"
                " functions, SNS topics, SQS queues and aws-sdk targets"
            )


def _check_policy(functions: Any, arn: str, source_arn: str) -> None:
    """Refuse a function whose policy does not let EventBridge invoke it for this rule.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
    """
    try:
        policy = functions.get_policy(FunctionName=arn)["Policy"]
    except functions.exceptions.ResourceNotFoundException:
        policy = '{"Statement":[]}'
    if not is_invoker(policy, EVENTS, source_arn):
        raise ValueError(
            f"its policy does not let {EVENTS} invoke it for {source_arn}; call AddPermission"
        )


def _call(client: Client, arn: str, payload: str, role: str) -> None:
    """Call the API that a universal target names, `arn:aws:scheduler:::aws-sdk:sfn:start…`."""
    sdk_name, operation = arn.split(":")[6:8]
    try:
        service = service_of_sdk_name(sdk_name)
    except UnknownServiceError as error:
        raise ValueError(f"target {arn!r} names no service") from error
    service_client = client(service, role)
    model = service_client.meta.service_model
    names = {name.lower(): name for name in model.operation_names}
    if operation.lower() not in names:
        raise ValueError(f"target {arn!r} names no operation of {service}")
    shape = model.operation_model(names[operation.lower()]).input_shape
    members = {name.lower(): name for name in (shape.members if shape else {})}
    request = json.loads(payload)
    if not isinstance(request, dict):
        raise ValueError(f"target {arn!r}: its input is no JSON object")
    arguments = {str(members.get(name.lower(), name)): request[name] for name in request}
    getattr(service_client, xform_name(names[operation.lower()]))(**arguments)


def _send_message(client: Client, arn: str, payload: str, role: str, **settings: Any) -> None:
    sqs = client("sqs", role)
    url = sqs.get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=payload, **settings)


def _dead_letter_attributes(
    target: Mapping[str, Any], source_arn: str, error: Exception
) -> dict[str, Any]:
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else "SDK_ERROR"
    attributes = {
        "ERROR_CODE": code,
        "ERROR_MESSAGE": str(error),
        "RULE_ARN" if source_arn.split(":")[2] == "events" else "SCHEDULE_ARN": source_arn,
        "TARGET_ARN": str(target["Arn"]),
    }
    return {name: {"DataType": "String", "StringValue": text} for name, text in attributes.items()}
