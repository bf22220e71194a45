"""CloudWatch: alarms and log groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from workflow.deployment.adapters.adapter import (
    Adapter,
    Properties,
    picked,
    raised,
    tag_list,
    touched,
    without,
)
from workflow.deployment.differences import Difference, tags_of

if TYPE_CHECKING:
    from workflow.deployment.resources import Resource


class Alarm(Adapter):
    """AWS::CloudWatch::Alarm."""

    service = "cloudwatch"
    properties = frozenset(
        {
            "ActionsEnabled",
            "AlarmActions",
            "AlarmDescription",
            "AlarmName",
            "ComparisonOperator",
            "DatapointsToAlarm",
            "Dimensions",
            "EvaluationPeriods",
            "ExtendedStatistic",
            "InsufficientDataActions",
            "MetricName",
            "Metrics",
            "Namespace",
            "OKActions",
            "Period",
            "Statistic",
            "Tags",
            "Threshold",
            "TreatMissingData",
            "Unit",
        }
    )
    defaults: ClassVar[Mapping[str, Any]] = {"ActionsEnabled": True, "TreatMissingData": "missing"}

    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        """Return what is on AWS."""
        name = resource.name
        answer = self.client.describe_alarms(AlarmNames=[name], AlarmTypes=["MetricAlarm"])
        if not answer["MetricAlarms"]:
            return None
        there = answer["MetricAlarms"][0]
        was = picked(there, self.properties)
        arn = there["AlarmArn"]
        was["Tags"] = self.client.list_tags_for_resource(ResourceARN=arn).get("Tags", [])
        return was

    def create(self, resource: Resource) -> None:
        """Make the alarm."""
        self.client.put_metric_alarm(
            **without(resource.properties, "Tags"), Tags=tag_list(resource.properties)
        )

    def update(self, resource: Resource, changes: Sequence[Difference]) -> None:
        """Put the alarm in place of the other, and the tags, which PutMetricAlarm leaves alone."""
        if touched(changes) - {"Tags"}:
            self.client.put_metric_alarm(**without(resource.properties, "Tags"))
        if "Tags" in touched(changes):
            arn = self.site.config.arn("cloudwatch", f"alarm:{resource.name}")
            self.client.tag_resource(ResourceARN=arn, Tags=tag_list(resource.properties))

    def delete(self, resource: Resource) -> None:
        """Delete the alarm."""
        self.client.delete_alarms(AlarmNames=[resource.name])


class LogGroup(Adapter):
    """AWS::Logs::LogGroup."""

    service = "logs"
    properties = frozenset({"KmsKeyId", "LogGroupClass", "LogGroupName", "RetentionInDays", "Tags"})
    replaced_by = frozenset({"LogGroupClass"})
    irreplaceable = "the logs would be lost"
    loses = "its logs"
    defaults: ClassVar[Mapping[str, Any]] = {"LogGroupClass": "STANDARD"}

    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        """Return what is on AWS."""
        pages = self.client.get_paginator("describe_log_groups").paginate(
            logGroupNamePrefix=resource.name
        )
        groups = [group for page in pages for group in page["logGroups"]]
        there = next((group for group in groups if group["logGroupName"] == resource.name), None)
        if there is None:
            return None
        was = picked(raised(there), self.properties)
        was["Tags"] = self.client.list_tags_for_resource(resourceArn=self._arn(resource))["tags"]
        return was

    def create(self, resource: Resource) -> None:
        """Make the log group and say how long it keeps."""
        wanted = resource.properties
        request: Properties = {"logGroupName": resource.name, "tags": tags_of(wanted)}
        if key := wanted.get("KmsKeyId"):
            request["kmsKeyId"] = key
        if kind := wanted.get("LogGroupClass"):
            request["logGroupClass"] = kind
        self.client.create_log_group(**request)
        self._keep(resource)

    def update(self, resource: Resource, changes: Sequence[Difference]) -> None:
        """Change retention, key and tags, as far as they differ."""
        wanted, changed, group = resource.properties, touched(changes), resource.name
        if "RetentionInDays" in changed:
            self._keep(resource)
        if "KmsKeyId" in changed:
            if key := wanted.get("KmsKeyId"):
                self.client.associate_kms_key(logGroupName=group, kmsKeyId=key)
            else:
                self.client.disassociate_kms_key(logGroupName=group)
        if "Tags" in changed:
            self.client.tag_resource(resourceArn=self._arn(resource), tags=tags_of(wanted))

    def delete(self, resource: Resource) -> None:
        """Delete the log group with what it holds."""
        self.client.delete_log_group(logGroupName=resource.name)

    def _keep(self, resource: Resource) -> None:
        if days := resource.properties.get("RetentionInDays"):
            self.client.put_retention_policy(logGroupName=resource.name, retentionInDays=days)
        else:
            self.client.delete_retention_policy(logGroupName=resource.name)

    def _arn(self, resource: Resource) -> str:
        return self.site.config.arn("logs", f"log-group:{resource.name}")
