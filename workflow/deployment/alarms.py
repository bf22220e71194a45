"""CloudWatch's alarms: on runs that did not succeed, and on runs that took too long.

Each function returns an alarm's properties in CloudFormation's words; both notify the topic for
failed runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workflow.config import Config

_PERIOD_SECONDS = 300
_MILLISECONDS_PER_HOUR = 3_600_000


def failed_alarm(config: Config) -> dict[str, Any]:
    """Return the alarm on runs that failed, timed out or were aborted."""
    metrics = {
        "failed": "ExecutionsFailed",
        "timedOut": "ExecutionsTimedOut",
        "aborted": "ExecutionsAborted",
    }
    total = f"SUM([{', '.join(f'FILL({name}, 0)' for name in metrics)}])"
    return _alarm(
        config,
        "failed",
        {
            "AlarmDescription": f"A run of {config.state_machine} did not succeed.",
            "Threshold": 1,
            "Metrics": [
                {"Id": "total", "Label": "runs", "Expression": total, "ReturnData": True},
                *(
                    {
                        "Id": name,
                        "MetricStat": {
                            "Metric": _metric(config, metric),
                            "Period": _PERIOD_SECONDS,
                            "Stat": "Sum",
                        },
                        "ReturnData": False,
                    }
                    for name, metric in metrics.items()
                ),
            ],
        },
    )


def overlong_alarm(config: Config) -> dict[str, Any]:
    """Return the alarm on runs of `alarm_hours` or more; the metric comes when a run ends."""
    hours = min(config.alarm_hours, config.timeout_hours)
    return _alarm(
        config,
        "overlong",
        {
            "AlarmDescription": f"A run of {config.state_machine} took {hours} hours or more.",
            "Threshold": hours * _MILLISECONDS_PER_HOUR,
            "Statistic": "Maximum",
            "Period": _PERIOD_SECONDS,
            **_metric(config, "ExecutionTime"),
        },
    )


def _metric(config: Config, name: str) -> dict[str, Any]:
    dimension = {"Name": "StateMachineArn", "Value": config.state_machine_arn}
    return {"Namespace": "AWS/States", "MetricName": name, "Dimensions": [dimension]}


def _alarm(config: Config, suffix: str, condition: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "AlarmName": f"{config.state_machine}-{suffix}",
        **condition,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "EvaluationPeriods": 1,
        "TreatMissingData": "notBreaching",
        "AlarmActions": [config.topic_arn],
    }
