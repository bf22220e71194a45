"""SNS and SQS: the topic of failures, and the queue of what the schedule could not start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from workflow.deployment.adapters.adapter import (
    Adapter,
    Properties,
    found,
    picked,
    tag_list,
    touched,
    without,
)
from workflow.deployment.differences import Difference, tags_of

if TYPE_CHECKING:
    from workflow.deployment.resources import Resource


class Topic(Adapter):
    """AWS::SNS::Topic."""

    service = "sns"
    properties = frozenset({"DisplayName", "KmsMasterKeyId", "Tags", "TopicName"})
    loses = "its subscriptions"
    _attributes = frozenset({"DisplayName", "KmsMasterKeyId"})

    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        """Return what is on AWS."""
        arn = self._arn(resource)
        answer = found(self.client.get_topic_attributes, "NotFound", TopicArn=arn)
        if answer is None:
            return None
        was = picked(answer["Attributes"], self._attributes)
        if "TopicName" in resource.properties:
            was["TopicName"] = arn.rpartition(":")[2]
        was["Tags"] = self.client.list_tags_for_resource(ResourceArn=arn)["Tags"]
        return was

    def create(self, resource: Resource) -> None:
        """Make the topic."""
        self.client.create_topic(
            Name=self._arn(resource).rpartition(":")[2],
            Attributes=picked(resource.properties, self._attributes),
            Tags=tag_list(resource.properties),
        )

    def update(self, resource: Resource, changes: Sequence[Difference]) -> None:
        """Change attributes and tags, as far as they differ."""
        arn, wanted = self._arn(resource), resource.properties
        for name in sorted(touched(changes) & self._attributes):
            self.client.set_topic_attributes(
                TopicArn=arn, AttributeName=name, AttributeValue=wanted.get(name, "")
            )
        if "Tags" in touched(changes):
            self.client.tag_resource(ResourceArn=arn, Tags=tag_list(wanted))

    def delete(self, resource: Resource) -> None:
        """Delete the topic with its subscriptions."""
        self.client.delete_topic(TopicArn=self._arn(resource))

    def _arn(self, resource: Resource) -> str:
        name = resource.name
        return name if name.startswith("arn:") else self.site.config.arn("sns", name)


class Queue(Adapter):
    """AWS::SQS::Queue."""

    service = "sqs"
    properties = frozenset(
        {
            "KmsMasterKeyId",
            "MessageRetentionPeriod",
            "QueueName",
            "SqsManagedSseEnabled",
            "Tags",
            "VisibilityTimeout",
        }
    )
    loses = "the messages in it"
    defaults: ClassVar[Mapping[str, Any]] = {
        "MessageRetentionPeriod": 345_600,
        "VisibilityTimeout": 30,
    }
    _numbers = frozenset({"MessageRetentionPeriod", "VisibilityTimeout"})
    _absent = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")

    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        """Return what is on AWS."""
        url = self._url(resource)
        if url is None:
            return None
        there = self.client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        was: Properties = {"QueueName": self._name(resource)}
        for name, text in there["Attributes"].items():
            if name in self._numbers:
                was[name] = int(text)
            elif name == "SqsManagedSseEnabled":
                # A new queue has it unless told; what the model does not mention is left alone.
                if name in resource.properties:
                    was[name] = text == "true"
            elif name in self.properties:
                was[name] = text
        was["Tags"] = self.client.list_queue_tags(QueueUrl=url).get("Tags", {})
        return was

    def create(self, resource: Resource) -> None:
        """Make the queue."""
        self.client.create_queue(
            QueueName=self._name(resource),
            Attributes=self._attributes(resource.properties),
            tags=tags_of(resource.properties),
        )

    def update(self, resource: Resource, changes: Sequence[Difference]) -> None:
        """Change attributes and tags, as far as they differ."""
        url, changed = self._url(resource), touched(changes)
        wanted = {**self.defaults, "KmsMasterKeyId": "", **resource.properties}
        if names := changed - {"Tags"}:
            attributes = self._attributes({name: wanted[name] for name in names})
            self.client.set_queue_attributes(QueueUrl=url, Attributes=attributes)
        if "Tags" in changed:
            self.client.tag_queue(QueueUrl=url, Tags=tags_of(resource.properties))

    def delete(self, resource: Resource) -> None:
        """Delete the queue with what it holds."""
        self.client.delete_queue(QueueUrl=self._url(resource))

    @staticmethod
    def _attributes(properties: Mapping[str, Any]) -> dict[str, str]:
        given = without(properties, "QueueName", "Tags")
        return {
            name: str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in given.items()
        }

    def _url(self, resource: Resource) -> str | None:
        name = self._name(resource)
        answer = found(self.client.get_queue_url, *self._absent, QueueName=name)
        return str(answer["QueueUrl"]) if answer else None

    @staticmethod
    def _name(resource: Resource) -> str:
        return resource.name.rpartition(":")[2].rpartition("/")[2]
