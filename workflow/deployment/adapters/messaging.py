"""SNS and SQS: the topic of failures with its policy, and the schedule's dead-letter queue."""

from __future__ import annotations

import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar

from workflow.deployment.adapters.adapter import (
    Adapter,
    Properties,
    pick,
    tag_list,
    unless_absent,
    without,
)
from workflow.deployment.differences import tags_of
from workflow.deployment.resources import Resource
from workflow.names import OWNER_TAG


class Topic(Adapter):
    """AWS::SNS::Topic."""

    service = "sns"
    properties = frozenset({"DisplayName", "KmsMasterKeyId", "Subscription", "Tags", "TopicName"})
    loses = "its subscriptions"
    _attributes = frozenset({"DisplayName", "KmsMasterKeyId"})

    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        arn = resource.name
        response = unless_absent(self.client.get_topic_attributes, "NotFound", TopicArn=arn)
        if response is None:
            return None
        return {
            **pick(response["Attributes"], self._attributes),
            "Subscription": self._subscribed(resource),
            "TopicName": arn.rpartition(":")[2],
            "Tags": self.client.list_tags_for_resource(ResourceArn=arn)["Tags"],
        }

    def create(self, resource: Resource) -> None:
        properties = resource.properties
        attributes = pick(properties, self._attributes)
        self.client.create_topic(
            Name=properties["TopicName"], Attributes=attributes, Tags=tag_list(resource)
        )
        self._subscribe(resource)

    def change(self, resource: Resource, changed: AbstractSet[str]) -> None:
        if "Subscription" in changed:
            self._subscribe(resource)
        for name in sorted(changed - {"Subscription"}):
            value = resource.properties.get(name, "")
            self.client.set_topic_attributes(
                TopicArn=resource.name, AttributeName=name, AttributeValue=value
            )

    def tag(self, resource: Resource) -> None:
        self.client.tag_resource(ResourceArn=resource.name, Tags=tag_list(resource))

    def delete(self, resource: Resource) -> None:
        self.client.delete_topic(TopicArn=resource.name)

    def _subscribed(self, resource: Resource) -> list[Any]:
        """Return those of the model's subscriptions that exist; others are somebody else's."""
        wanted = resource.properties.get("Subscription")
        if not wanted:
            return []
        pages = self.client.get_paginator("list_subscriptions_by_topic").paginate(
            TopicArn=resource.name
        )
        listed = [each for page in pages for each in page["Subscriptions"]]
        present = [pick(each, {"Protocol", "Endpoint"}) for each in listed]
        return [each for each in wanted if each in present]

    def _subscribe(self, resource: Resource) -> None:
        """Subscribe whoever is not yet; each gets a mail, and nothing else before it confirms."""
        subscribed = self._subscribed(resource)
        for subscription in resource.properties.get("Subscription", ()):
            if subscription not in subscribed:
                self.client.subscribe(TopicArn=resource.name, **subscription)


class TopicPolicy(Adapter):
    """AWS::SNS::TopicPolicy, which every topic has: a new one is AWS's; it goes with its topic."""

    service = "sns"
    properties = frozenset({"PolicyDocument", "Topics"})

    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        arn = resource.name
        response = unless_absent(self.client.get_topic_attributes, "NotFound", TopicArn=arn)
        if response is None:
            return None
        return {"Topics": [arn], "PolicyDocument": json.loads(response["Attributes"]["Policy"])}

    def owner(self, resource: Resource, current: Mapping[str, Any]) -> str | None:
        """Return the owner of the topic."""
        tags = self.client.list_tags_for_resource(ResourceArn=resource.name)["Tags"]
        return tags_of({"Tags": tags}).get(OWNER_TAG)

    def create(self, resource: Resource) -> None:
        self.client.set_topic_attributes(
            TopicArn=resource.name,
            AttributeName="Policy",
            AttributeValue=json.dumps(resource.properties["PolicyDocument"]),
        )

    def change(self, resource: Resource, changed: AbstractSet[str]) -> None:
        self.create(resource)

    def delete(self, resource: Resource) -> None:
        """Do nothing: the topic is deleted next."""


class Queue(Adapter):
    """AWS::SQS::Queue."""

    service = "sqs"
    properties = frozenset(
        {"KmsMasterKeyId", "MessageRetentionPeriod", "QueueName", "SqsManagedSseEnabled", "Tags",
         "VisibilityTimeout"}
    )  # fmt: skip
    loses = "the messages in it"
    defaults: ClassVar[Mapping[str, Any]] = {"VisibilityTimeout": 30}
    _absent = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")

    def read(self, resource: Resource) -> Mapping[str, Any] | None:
        name = resource.name
        queue = unless_absent(self.client.get_queue_url, *self._absent, QueueName=name)
        if queue is None:
            return None
        url = queue["QueueUrl"]
        response = self.client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        attributes = pick(response["Attributes"], self.properties)
        current: Properties = {name: _from_text(text) for name, text in attributes.items()}
        # A new queue has it by default; what the model does not mention is left alone.
        if "SqsManagedSseEnabled" not in resource.properties:
            current.pop("SqsManagedSseEnabled", None)
        tags = self.client.list_queue_tags(QueueUrl=url).get("Tags", {})
        return {**current, "QueueName": name, "Tags": tags}

    def create(self, resource: Resource) -> None:
        properties = resource.properties
        attributes = without(properties, "QueueName", "Tags")
        self.client.create_queue(
            QueueName=resource.name,
            Attributes={name: _to_text(value) for name, value in attributes.items()},
            tags=tags_of(properties),
        )

    def change(self, resource: Resource, changed: AbstractSet[str]) -> None:
        values = {**self.defaults, "KmsMasterKeyId": "", **resource.properties}
        attributes = {name: _to_text(values[name]) for name in changed}
        self.client.set_queue_attributes(QueueUrl=self._url(resource), Attributes=attributes)

    def tag(self, resource: Resource) -> None:
        tags = tags_of(resource.properties)
        self.client.tag_queue(QueueUrl=self._url(resource), Tags=tags)

    def delete(self, resource: Resource) -> None:
        self.client.delete_queue(QueueUrl=self._url(resource))

    def _url(self, resource: Resource) -> str:
        return str(self.client.get_queue_url(QueueName=resource.name)["QueueUrl"])


def _to_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _from_text(text: str) -> Any:
    return int(text) if text.isdecimal() else {"true": True, "false": False}.get(text, text)
