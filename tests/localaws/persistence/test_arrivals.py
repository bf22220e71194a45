"""Messages in queues and events of logs are there after a restart, and after a kill."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from localaws.aws import LocalAws

ACCOUNT, REGION = "111122223333", "us-east-1"
SERVING = """
import sys
from pathlib import Path
from localaws.aws import LocalAws

with LocalAws(directory=Path(sys.argv[1]), port=None) as aws:
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName="work")["QueueUrl"]
    for number in range(3):
        sqs.send_message(QueueUrl=url, MessageBody=str(number))
    print(url, flush=True)
    sys.stdin.read()
"""


def opened(directory: Path) -> LocalAws:
    return LocalAws(directory=directory, account=ACCOUNT, region=REGION, port=None)


def received(sqs: Any, url: str, **request: Any) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    while found := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, **request).get(
        "Messages"
    ):
        messages += found
    return messages


def test_messages_outlive_the_server_as_they_were(tmp_path: Path) -> None:
    attributes = {
        "text": {"DataType": "String", "StringValue": "日本"},
        "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    with opened(tmp_path) as aws:
        sqs = aws.client("sqs")
        url = sqs.create_queue(QueueName="work")["QueueUrl"]
        first = sqs.send_message(QueueUrl=url, MessageBody="one", MessageAttributes=attributes)
        for body in ("two", "three"):
            sqs.send_message(QueueUrl=url, MessageBody=body)
        [taken] = sqs.receive_message(
            QueueUrl=url, MessageAttributeNames=["All"], VisibilityTimeout=600
        )["Messages"]
        [done] = sqs.receive_message(QueueUrl=url, VisibilityTimeout=600)["Messages"]
        sqs.delete_message(QueueUrl=url, ReceiptHandle=done["ReceiptHandle"])

    with opened(tmp_path) as aws:
        sqs = aws.client("sqs")
        assert [message["Body"] for message in received(sqs, url, VisibilityTimeout=600)] == [
            "three"
        ]
        # It is still its receiver's, who may give it back.
        sqs.change_message_visibility(
            QueueUrl=url, ReceiptHandle=taken["ReceiptHandle"], VisibilityTimeout=0
        )
        [again] = sqs.receive_message(
            QueueUrl=url,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
        )["Messages"]
        assert again["MessageId"] == first["MessageId"]
        assert again["MessageAttributes"] == taken["MessageAttributes"]
        assert again["MessageAttributes"]["bytes"]["BinaryValue"] == b"\x00\xff"
        assert again["Attributes"] == {"ApproximateReceiveCount": "2"}


def test_a_notification_that_waits_in_a_queue_outlives_the_server(tmp_path: Path) -> None:
    with opened(tmp_path) as aws:
        sqs, sns = aws.client("sqs"), aws.client("sns")
        url = sqs.create_queue(QueueName="failures")["QueueUrl"]
        topic = sns.create_topic(Name="failures")["TopicArn"]
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:failures"
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        sns.publish(TopicArn=topic, Message="the run failed")

    with opened(tmp_path) as aws:
        [message] = received(aws.client("sqs"), url)
        assert json.loads(message["Body"])["Message"] == "the run failed"


def test_what_a_new_queue_is_sent_by_s3_is_not_sent_again(tmp_path: Path) -> None:
    """The request by which S3 notifies a queue is repeated, and sends it a test event."""
    with opened(tmp_path) as aws:
        sqs, s3 = aws.client("sqs"), aws.client("s3")
        url = sqs.create_queue(QueueName="objects")["QueueUrl"]
        s3.create_bucket(Bucket="rows")
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:objects"
        events = {"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}
        s3.put_bucket_notification_configuration(
            Bucket="rows", NotificationConfiguration={"QueueConfigurations": [events]}
        )
        sqs.purge_queue(QueueUrl=url)

    with opened(tmp_path) as aws:
        assert received(aws.client("sqs"), url) == []


@pytest.mark.parametrize("operation", ["purge_queue", "delete_queue"])
def test_messages_that_were_deleted_stay_so(tmp_path: Path, operation: str) -> None:
    with opened(tmp_path) as aws:
        sqs = aws.client("sqs")
        url = sqs.create_queue(QueueName="work")["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody="one")

    with opened(tmp_path) as aws:
        getattr(aws.client("sqs"), operation)(QueueUrl=url)

    with opened(tmp_path) as aws:
        sqs = aws.client("sqs")
        assert received(sqs, sqs.create_queue(QueueName="work")["QueueUrl"]) == []


def test_a_message_whose_sender_has_the_answer_outlives_a_kill(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SERVING, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        process.kill()

    with LocalAws(directory=tmp_path, port=None) as aws:
        assert [message["Body"] for message in received(aws.client("sqs"), url)] == ["0", "1", "2"]


def test_log_events_outlive_the_server(tmp_path: Path) -> None:
    def put(logs: Any, *messages: str) -> None:
        events = [{"timestamp": int(time.time() * 1_000), "message": each} for each in messages]
        logs.put_log_events(logGroupName="group", logStreamName="stream", logEvents=events)

    def messages(logs: Any, stream: str) -> list[str]:
        found = logs.get_log_events(logGroupName="group", logStreamName=stream, startFromHead=True)
        return [event["message"] for event in found["events"]]

    def described(logs: Any) -> list[dict[str, Any]]:
        streams: list[dict[str, Any]] = logs.describe_log_streams(logGroupName="group")[
            "logStreams"
        ]
        return [
            {name: stream.get(name) for name in ("logStreamName", "creationTime", "storedBytes")}
            for stream in streams
        ]

    with opened(tmp_path) as aws:
        logs = aws.client("logs")
        logs.create_log_group(logGroupName="group")
        for stream in ("empty", "gone", "stream"):
            logs.create_log_stream(logGroupName="group", logStreamName=stream)
        put(logs, "one", "two")
        before = described(logs)

    with opened(tmp_path) as aws:
        logs = aws.client("logs")
        assert described(logs) == before
        assert messages(logs, "stream") == ["one", "two"]
        assert messages(logs, "empty") == []
        put(logs, "three")
        logs.delete_log_stream(logGroupName="group", logStreamName="gone")

    with opened(tmp_path) as aws:
        logs = aws.client("logs")
        assert messages(logs, "stream") == ["one", "two", "three"]
        assert [stream["logStreamName"] for stream in described(logs)] == ["empty", "stream"]
        logs.delete_log_group(logGroupName="group")
        logs.create_log_group(logGroupName="group")

    with opened(tmp_path) as aws:
        assert described(aws.client("logs")) == []
