"""EventBridge's rule on the ends of runs, in CloudFormation's words.

It reports what the state machine cannot report by itself: that a run timed out or was aborted. With
`[notification]` it calls a function at every end, and nothing in the machine reports any more: no
state runs at all ends.
"""

from __future__ import annotations

import json
from typing import Any

from workflow.config import Config
from workflow.options.notification import NotificationSettings

NOTIFYING = "send-notification"


def ends_rule(config: Config) -> dict[str, Any]:
    """Return the rule's properties but for its tags."""
    statuses, target = ["TIMED_OUT", "ABORTED"], _topic_target(config)
    if config.notification:
        statuses = ["SUCCEEDED", "FAILED", *statuses]
        target = _function_target(config, config.notification)
    return {
        "Name": config.ends_rule,
        "Description": f"Runs of {config.state_machine}: {', '.join(statuses)}.",
        "State": "ENABLED",
        # https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
        "EventPattern": {
            "source": ["aws.states"],
            "detail-type": ["Step Functions Execution Status Change"],
            "detail": {"status": statuses, "stateMachineArn": [config.state_machine_arn]},
        },
        "Targets": [target],
    }


def invoke_permission(config: Config) -> dict[str, Any]:
    """Return the properties of the permission by which the rule invokes the function."""
    return {
        "FunctionName": config.function(NOTIFYING),
        "Action": "lambda:InvokeFunction",
        "Principal": "events.amazonaws.com",
        "SourceArn": config.arn("events", f"rule/{config.ends_rule}"),
    }


def _topic_target(config: Config) -> dict[str, Any]:
    run = {"run": "$.detail.name", "status": "$.detail.status", "cause": "$.detail.cause"}
    template = f'"Run <run> of {config.state_machine} is <status>. Cause: <cause>"'
    return {
        "Id": "topic",
        "Arn": config.topic_arn,
        "InputTransformer": {"InputPathsMap": run, "InputTemplate": template},
    }


def _function_target(config: Config, notification: NotificationSettings) -> dict[str, Any]:
    settings = {
        "bucket": config.bucket,
        "topicArn": config.topic_arn,
        "outcomes": notification.outcomes,
        "events": notification.events,
    }
    # Outside quotes EventBridge writes a value as JSON.
    template = f'{{"execution": <execution>, "status": <status>, {json.dumps(settings)[1:]}'
    return {
        "Id": "function",
        "Arn": config.arn("lambda", f"function:{config.function(NOTIFYING)}"),
        "InputTransformer": {
            "InputPathsMap": {"execution": "$.detail.executionArn", "status": "$.detail.status"},
            "InputTemplate": template,
        },
    }
