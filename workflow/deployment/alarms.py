"""CloudWatch's alarms: on runs that did not succeed, took too long, or did not come at all.

Each function returns an alarm's properties in CloudFormation's words; all notify the topic for
failed runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from workflow.config import Config

_PERIOD_SECONDS = 300
_HOUR_SECONDS = 3_600
_MILLISECONDS_PER_HOUR = 3_600_000


def alarms(config: Config) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the logical id and the properties of each alarm."""
    yield "FailedAlarm", failed_alarm(config)
    yield "OverlongAlarm", overlong_alarm(config)
    if config.stale_hours:
        yield "StaleAlarm", stale_alarm(config, config.stale_hours)
    if config.schedule:
        yield "DeadLettersAlarm", dead_letters_alarm(config)


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


def stale_alarm(config: Config, hours: int) -> dict[str, Any]:
    """Return the alarm on so many hours without a run that succeeded; at most a week of them.

    An hour in which none ends has no data, and counts as one without success. A run that is skipped
    for another one counts as one that succeeded: the metric has no dimension that tells them apart.
    It hides that a list becomes old while the other is in progress, `timeout_hours` at most.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
    """
    return _alarm(
        config,
        "stale",
        {
            "AlarmDescription": f"No run of {config.state_machine} succeeded for {hours} hours.",
            "Threshold": 1,
            "Statistic": "Sum",
            "Period": _HOUR_SECONDS,
            **_metric(config, "ExecutionsSucceeded"),
        },
    ) | {
        "ComparisonOperator": "LessThanThreshold",
        "EvaluationPeriods": hours,
        "TreatMissingData": "breaching",
    }


def dead_letters_alarm(config: Config) -> dict[str, Any]:
    """Return the alarm on a dead-letter queue that is not empty: a run could not be started."""
    dimension = {"Name": "QueueName", "Value": config.dead_letters}
    return _alarm(
        config,
        "dead-letters",
        {
            "AlarmDescription": f"The schedule could not start a run of {config.state_machine}.",
            "Threshold": 1,
            "Statistic": "Maximum",
            "Period": _PERIOD_SECONDS,
            "Namespace": "AWS/SQS",
            "MetricName": "ApproximateNumberOfMessagesVisible",
            "Dimensions": [dimension],
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
