"""EventBridge's rules see the executions of state machines start and end."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from .aws import ROLE, Aws, only, until

FAIL = {"Type": "Fail", "Error": "Odd", "Cause": "it is"}
PATTERN = {
    "source": ["aws.states"],
    "detail-type": ["Step Functions Execution Status Change"],
}


class Bus:
    """A rule's queue, and the events that arrive in it."""

    def __init__(self, aws: Aws) -> None:
        self.sqs, self.events = aws.endpoint.client("sqs"), aws.endpoint.client("events")
        self.queue = self.sqs.create_queue(QueueName="status")["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])
        self.events.put_rule(Name="status", EventPattern=json.dumps(PATTERN))
        target = {"Id": "queue", "Arn": arn["Attributes"]["QueueArn"]}
        self.events.put_targets(Rule="status", Targets=[target])
        self.seen: list[Any] = []

    def receive(self, number: int) -> list[Any]:
        """Return the next events, as soon as so many have come."""
        first = len(self.seen)

        def are_here() -> bool:
            received = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10)
            for message in received.get("Messages", []):
                self.seen.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
            return len(self.seen) >= first + number

        until(are_here)
        return self.seen[first:]

    def close(self) -> None:
        self.events.remove_targets(Rule="status", Ids=["queue"])
        self.events.delete_rule(Name="status")
        self.sqs.delete_queue(QueueUrl=self.queue)


@pytest.fixture
def bus(aws: Aws) -> Iterator[Bus]:
    bus = Bus(aws)
    yield bus
    bus.close()


def test_a_rule_sees_an_execution_run_and_succeed(aws: Aws, bus: Bus) -> None:
    execution = aws.run(only({"Type": "Pass"}), {"名": "花"})
    running, succeeded = bus.receive(2)
    arn, begin = execution["executionArn"], execution["startDate"].timestamp() * 1000
    assert running["detail"].pop("startDate") == pytest.approx(begin, abs=1)
    assert {name: value for name, value in running.items() if name not in ("id", "time")} == {
        "version": "0",
        "detail-type": "Step Functions Execution Status Change",
        "source": "aws.states",
        "account": "210987654321",
        "region": "ap-northeast-1",
        "resources": [arn],
        "detail": {
            "executionArn": arn,
            "stateMachineArn": execution["stateMachineArn"],
            "stateMachineVersionArn": None,
            "stateMachineAliasArn": None,
            "name": execution["name"],
            "status": "RUNNING",
            "stopDate": None,
            "input": '{"名": "花"}',
            "inputDetails": {"included": True},
            "output": None,
            "outputDetails": None,
            "error": None,
            "cause": None,
            "redriveCount": 0,
            "redriveDate": None,
            "redriveStatus": None,
            "redriveStatusReason": None,
        },
    }
    detail = succeeded["detail"]
    assert detail["status"] == "SUCCEEDED"
    assert json.loads(detail["output"]) == {"名": "花"}
    assert detail["outputDetails"] == {"included": True}
    assert detail["stopDate"] >= detail["startDate"]


def test_a_rule_sees_failures_stops_time_outs_and_redrives(aws: Aws, bus: Bus) -> None:
    failed = aws.run({"StartAt": "F", "States": {"F": FAIL}})
    assert [event["detail"]["status"] for event in bus.receive(2)] == ["RUNNING", "FAILED"]
    assert (bus.seen[-1]["detail"]["error"], bus.seen[-1]["detail"]["cause"]) == ("Odd", "it is")
    aws.states.redrive_execution(executionArn=failed["executionArn"])
    again = [event["detail"] for event in bus.receive(2)]
    assert [(each["status"], each["redriveCount"]) for each in again] == [
        ("RUNNING", 1),
        ("FAILED", 1),
    ]
    slow = aws.job("status-slow", "import time; time.sleep(30)")
    stopped = aws.start(only(slow))
    bus.receive(1)
    aws.states.stop_execution(executionArn=stopped, error="Operator", cause="wrong data")
    (aborted,) = bus.receive(1)
    assert aborted["resources"] == [stopped]
    assert (aborted["detail"]["status"], aborted["detail"]["cause"]) == ("ABORTED", "wrong data")
    aws.run(only({**slow, "TimeoutSeconds": 90}) | {"TimeoutSeconds": 1})
    assert [event["detail"]["status"] for event in bus.receive(2)] == ["RUNNING", "TIMED_OUT"]


def test_an_express_machine_sends_no_events(aws: Aws, bus: Bus) -> None:
    machine = aws.states.create_state_machine(
        name="silent", roleArn=ROLE, definition=json.dumps(only({"Type": "Pass"})), type="EXPRESS"
    )["stateMachineArn"]
    aws.ended(aws.states.start_execution(stateMachineArn=machine)["executionArn"])
    loud = aws.run(only({"Type": "Pass"}))["executionArn"]
    assert {event["detail"]["executionArn"] for event in bus.receive(2)} == {loud}


def test_moto_sends_no_events_by_itself(aws: Aws, bus: Bus) -> None:
    with aws.endpoint.repairs.without("status_events"):
        aws.run(only({"Type": "Pass"}))
    aws.run(only({"Type": "Pass"}), {"second": True})
    assert [json.loads(event["detail"]["input"]) for event in bus.receive(2)] == [
        {"second": True},
        {"second": True},
    ]
