"""CloudWatch: alarms and log groups."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar

from workflow.deployment.adapters.adapter import Adapter, pick, tag_list, to_pascal_case, without
from workflow.deployment.differences import tags_of
from workflow.deployment.resources import Resource


class Alarm(Adapter):
    """AWS::CloudWatch::Alarm."""

    service = "cloudwatch"
    properties = frozenset(
        {"ActionsEnabled", "AlarmActions", "AlarmDescription", "AlarmName", "ComparisonOperator",
         "DatapointsToAlarm", "Dimensions", "EvaluationPeriods", "ExtendedStatistic",
         "InsufficientDataActions", "MetricName", "Metrics", "Namespace", "OKActions", "Period",
         "Statistic", "Tags", "Threshold", "TreatMissingData", "Unit"}
    )  # fmt: skip
    defaults: ClassVar[Mapping[str, Any]] = {"ActionsEnabled": True, "TreatMissingData": "missing"}

    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        name = resource.name
        response = self.client.describe_alarms(AlarmNames=[name], AlarmTypes=["MetricAlarm"])
        if not response["MetricAlarms"]:
            return None
        tags = self.client.list_tags_for_resource(ResourceARN=self._arn(resource)).get("Tags", [])
        return {**pick(response["MetricAlarms"][0], self.properties), "Tags": tags}

    def create(self, resource: Resource) -> None:
        self.client.put_metric_alarm(**{**resource.properties, "Tags": tag_list(resource)})

    def change(self, resource: Resource, changed: AbstractSet[str]) -> None:
        self.client.put_metric_alarm(**without(resource.properties, "Tags"))

    def tag(self, resource: Resource) -> None:
        """Add the tags by a call of their own: PutMetricAlarm leaves those of an alarm alone."""
        self.client.tag_resource(ResourceARN=self._arn(resource), Tags=tag_list(resource))

    def delete(self, resource: Resource) -> None:
        self.client.delete_alarms(AlarmNames=[resource.name])

    def _arn(self, resource: Resource) -> str:
        return self.config.arn("cloudwatch", f"alarm:{resource.name}")


class LogGroup(Adapter):
    """AWS::Logs::LogGroup."""

    service = "logs"
    properties = frozenset({"KmsKeyId", "LogGroupName", "RetentionInDays", "Tags"})
    loses = "its logs"

    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        pages = self.client.get_paginator("describe_log_groups").paginate(
            logGroupNamePrefix=resource.name
        )
        groups = [to_pascal_case(group) for page in pages for group in page["logGroups"]]
        group = next((group for group in groups if group["LogGroupName"] == resource.name), None)
        if group is None:
            return None
        tags = self.client.list_tags_for_resource(resourceArn=self._arn(resource))["tags"]
        return {**pick(group, self.properties), "Tags": tags}

    def create(self, resource: Resource) -> None:
        key = resource.properties.get("KmsKeyId")
        self.client.create_log_group(
            logGroupName=resource.name,
            tags=tags_of(resource.properties),
            **({"kmsKeyId": key} if key else {}),
        )
        self.change(resource, {"RetentionInDays"})

    def change(self, resource: Resource, changed: AbstractSet[str]) -> None:
        group, properties = {"logGroupName": resource.name}, resource.properties
        if "RetentionInDays" in changed:
            days = properties["RetentionInDays"]
            self.client.put_retention_policy(**group, retentionInDays=days)
        if "KmsKeyId" in changed:
            if key := properties.get("KmsKeyId"):
                self.client.associate_kms_key(**group, kmsKeyId=key)
            else:
                self.client.disassociate_kms_key(**group)

    def tag(self, resource: Resource) -> None:
        tags = tags_of(resource.properties)
        self.client.tag_resource(resourceArn=self._arn(resource), tags=tags)

    def delete(self, resource: Resource) -> None:
        self.client.delete_log_group(logGroupName=resource.name)

    def _arn(self, resource: Resource) -> str:
        return self.config.arn("logs", f"log-group:{resource.name}")
