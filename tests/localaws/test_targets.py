"""The input of a rule's target for an event, by AWS's documentation and recorded responses."""

import json
from typing import Any

import pytest

from localaws.targets import deliver_event

RULE = "arn:aws:events:us-east-2:123456789012:rule/example"
QUEUE = "arn:aws:sqs:us-east-2:123456789012:queue"
# The event of the documentation, with a detail that has lists and objects too.
EVENT = {
    "version": "0",
    "id": "7bf73129-1428-4cd3-a780-95db273d1602",
    "detail-type": "EC2 Instance State-change Notification",
    "source": "aws.ec2",
    "account": "123456789012",
    "time": "2015-11-11T21:29:54Z",
    "region": "us-east-1",
    "resources": ["arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111"],
    "detail": {
        "instance-id": "i-0123456789",
        "state": "RUNNING",
        "payload": {"acc_id": "0a787ecb-4015", "sf_id": "baz"},
        "listsingle": ["HIGH"],
        "listmulti": ["ACTIVE", "INACTIVE"],
        "valid": True,
        "disks": [{"id": "a"}, {"id": "b"}],
    },
}
PATHS = {
    "timestamp": "$.time",
    "instance": "$.detail.instance-id",
    "state": "$.detail.state",
    "resource": "$.resources[0]",
    "userId": "$.detail.payload.acc_id",
    "payload": "$.detail.payload",
    "listsingle": "$.detail.listsingle",
    "listmulti": "$.detail.listmulti",
    "valid": "$.detail.valid",
    "missing": "$.detail.awsAccountId",
    "disks": "$.detail.disks[*].id",
}


class Queue:
    """An SQS client that keeps the messages."""

    def __init__(self) -> None:
        self.bodies = list[str]()

    def get_queue_url(self, **_: Any) -> dict[str, str]:
        return {"QueueUrl": "http://queue"}

    def send_message(self, *, MessageBody: str, **_: Any) -> None:  # noqa: N803  boto3's name
        self.bodies.append(MessageBody)


def delivered(**settings: Any) -> tuple[list[str], list[str]]:
    """Return the messages that a target with these settings gets, and what went wrong."""
    queue = Queue()
    failed = deliver_event(
        lambda service, _: {"sqs": queue}[service],
        {"Id": "1", "Arn": QUEUE, **settings},
        EVENT,
        rule_arn=RULE,
        role="",
        ingestion_time="2015-11-11T21:29:55Z",
    )
    return queue.bodies, failed


def transformed(template: str) -> tuple[list[str], list[str]]:
    """Return the same for a target with an input transformer."""
    return delivered(InputTransformer={"InputPathsMap": PATHS, "InputTemplate": template})


@pytest.mark.parametrize(
    ("template", "message"),
    [
        # The documentation's examples.
        ('"instance <instance> is in <state>"', '"instance i-0123456789 is in RUNNING"'),
        (
            '"instance \\"<instance>\\" is in <state>"',
            '"instance \\"i-0123456789\\" is in RUNNING"',
        ),
        ('"<aws.events.rule-name> triggered"', '"example triggered"'),
        # Recorded responses of AWS.
        (
            '"Payload of <payload> with path users/<userId> and <userId>"',
            '"Payload of {acc_id:0a787ecb-4015,sf_id:baz} with path users/0a787ecb-4015'
            ' and 0a787ecb-4015"',
        ),
        (
            '"<listsingle> single list item <listmulti> multiple list items <missing> none"',
            '"[HIGH] single list item [ACTIVE,INACTIVE] multiple list items  none"',
        ),
        ('"<listsingle> first"\n"<userId> second"', '"[HIGH] first"\n"0a787ecb-4015 second"'),
        ('"Command is <valid>!"', '"Command is true!"'),
        ('"{[/Check <state>"', '"{[/Check RUNNING"'),
        (
            '"<aws.events.rule-arn> <aws.events.rule-name> <aws.events.event.ingestion-time>"',
            f'"{RULE} example 2015-11-11T21:29:55Z"',
        ),
    ],
)
def test_a_text_takes_values_without_their_quotes(template: str, message: str) -> None:
    assert transformed(template) == ([message], [])


@pytest.mark.parametrize(
    ("template", "message"),
    [
        # The documentation's examples.
        (
            '{"instance": <instance>, "state": "<state>",'
            ' "instanceStatus": "instance \\"<instance>\\" is in <state>"}',
            {
                "instance": "i-0123456789",
                "state": "RUNNING",
                "instanceStatus": 'instance "i-0123456789" is in RUNNING',
            },
        ),
        (
            '{"instance": <instance>, "state": [9, <state>, true], "Transformed": "Yes"}',
            {"instance": "i-0123456789", "state": [9, "RUNNING", True], "Transformed": "Yes"},
        ),
        (
            '{"ruleArn": <aws.events.rule-arn>, "ruleName": <aws.events.rule-name>}',
            {"ruleArn": RULE, "ruleName": "example"},
        ),
        (
            '{"resource": <resource>, "disks": <disks>}',
            {"resource": EVENT["resources"][0], "disks": ["a", "b"]},
        ),
        # Recorded responses of AWS.
        (
            '{"originalEvent": <aws.events.event>, "originalEventJson": <aws.events.event.json>}',
            {
                "originalEvent": {
                    "version": "0",
                    "id": "7bf73129-1428-4cd3-a780-95db273d1602",
                    "detailType": "EC2 Instance State-change Notification",
                    "source": "aws.ec2",
                    "account": "123456789012",
                    "time": "2015-11-11T21:29:54Z",
                    "region": "us-east-1",
                    "resources": ["arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111"],
                },
                "originalEventJson": EVENT,
            },
        ),
        (
            '{"method": "PUT", "path": "users/<userId>/second/<userId>", "bod": <payload>}',
            {
                "method": "PUT",
                "path": "users/0a787ecb-4015/second/0a787ecb-4015",
                "bod": {"acc_id": "0a787ecb-4015", "sf_id": "baz"},
            },
        ),
        ('{"singlelistitem": <listsingle>}', {"singlelistitem": ["HIGH"]}),
        ('{"command": <missing>}', {"command": ""}),
    ],
)
def test_an_object_takes_values_as_json(template: str, message: dict[str, Any]) -> None:
    (body,), failed = transformed(template)
    assert (json.loads(body), failed) == (message, [])


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        # Recorded responses of AWS: these are not delivered, and the last one is refused.
        ('{"payload": "<payload>"}', "Expecting"),
        ('{"singlelistitem": "<listsingle>"}', "Expecting"),
        ("<listsingle> single list item", "Extra data"),
        ('"not defined <notdefinedkey>"', "invalid placeholder notdefinedkey"),
    ],
)
def test_a_template_that_gives_no_json_is_not_delivered(template: str, complaint: str) -> None:
    bodies, (failed,) = transformed(template)
    assert bodies == []
    assert failed.startswith(f"could not start {QUEUE}: ")
    assert complaint in failed


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, EVENT),
        ({"Input": '{"n": 1}'}, {"n": 1}),
        ({"InputPath": "$.detail.payload"}, {"acc_id": "0a787ecb-4015", "sf_id": "baz"}),
        ({"InputPath": "$.detail.payload.sf_id"}, "baz"),
        ({"InputPath": "$"}, EVENT),
    ],
)
def test_a_target_gets_its_own_input_or_what_it_takes_of_the_event(
    settings: dict[str, Any], message: Any
) -> None:
    (body,), failed = delivered(**settings)
    assert (json.loads(body), failed) == (message, [])


def test_a_path_that_cannot_be_read_is_named() -> None:
    bodies, (failed,) = delivered(InputPath="$.detail[")
    assert bodies == []
    assert failed.startswith(f"could not start {QUEUE}: '$.detail[' is no JSON path: ")
