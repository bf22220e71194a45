"""The published list into a table of DynamoDB: all of it or nothing."""

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from lambdas.deliver_recommendations import Clock, DynamoDbTable, deliver
from lambdas.errors import DeliveryFailed
from tests.lambdas.sample_run import RUN, get, put

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
IN_A_MONTH = str(int(datetime(2024, 7, 1, 12, tzinfo=UTC).timestamp()))
EVENT = {"bucket": "bucket", "run": RUN, "table": "lists", "expireDays": 30}
ROWS = [("1", "a", 1, "0.75"), ("1", "b", 2, "1e-200"), ("2", 'say "hi"\n求人', 1, "")]


@pytest.fixture
def dynamodb(s3: Any) -> Any:
    """Return a client of an account that has no table yet."""
    return boto3.client("dynamodb")


def make_table(dynamodb: Any, *keys: str, expires: str = "EXPIRES") -> None:
    keys = keys or ("USER_ID", "RUN")
    dynamodb.create_table(
        TableName="lists",
        KeySchema=[
            {"AttributeName": key, "KeyType": kind}
            for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)
        ],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        BillingMode="PAY_PER_REQUEST",
    )
    if expires:
        dynamodb.update_time_to_live(
            TableName="lists",
            TimeToLiveSpecification={"Enabled": True, "AttributeName": expires},
        )


def publish(s3: Any, rows: list[tuple[Any, ...]], *, run: str = RUN, lacking: int = 0) -> None:
    """Publish a list as the filter does."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("USER_ID", "ITEM_ID", "RANK", "SCORE"))
    writer.writerows(rows)
    put(s3, "recommendations/recommendations.csv", text.getvalue())
    latest = json.dumps({"run": run, "recommendations": len(rows) + lacking})
    s3.put_object(Bucket="bucket", Key="recommendations/latest.json", Body=latest.encode())


def clock(
    seconds_left: Callable[[], float] = lambda: 900.0, slept: list[float] | None = None
) -> Clock:
    return Clock(lambda: NOW, seconds_left, ([] if slept is None else slept).append)


def record(s3: Any) -> Any:
    return json.loads(get(s3, f"runs/{RUN}/record/delivery.json"))


def published_run(dynamodb: Any) -> str | None:
    """Return the run whose list counts, as a reader finds it."""
    key = {"USER_ID": {"S": "#published"}, "RUN": {"S": "#published"}}
    item = dynamodb.get_item(TableName="lists", Key=key).get("Item")
    return item["PUBLISHED_RUN"]["S"] if item else None


def list_of(dynamodb: Any, user: str, run: str = RUN) -> Any:
    key = {"USER_ID": {"S": user}, "RUN": {"S": run}}
    return dynamodb.get_item(TableName="lists", Key=key).get("Item")


def refused(s3: Any, dynamodb: Any, timing: Clock | None = None) -> str:
    """Deliver, which fails and says so in the record too; return the message."""
    with pytest.raises(DeliveryFailed) as caught:
        deliver(s3, dynamodb, EVENT, clock=timing or clock())
    assert (record(s3)["status"], record(s3)["reason"]) == ("FAILED", str(caught.value))
    happened = f"the list of run '{RUN}' is not delivered into table 'lists':"
    assert str(caught.value).startswith(happened)
    return str(caught.value)


def test_each_user_gets_an_item_and_the_pointer_names_the_run(s3: Any, dynamodb: Any) -> None:
    make_table(dynamodb)
    publish(s3, ROWS)
    assert deliver(s3, dynamodb, EVENT, clock=clock()) == record(s3)
    assert record(s3) == {
        "run": RUN,
        "to": "dynamodb",
        "table": "lists",
        "status": "DELIVERED",
        "expireDays": 30,
        "rows": 3,
        "items": 2,
        "createdAt": "2024-06-01T12:00:00Z",
    }
    assert published_run(dynamodb) == RUN
    assert list_of(dynamodb, "1") == {
        "USER_ID": {"S": "1"},
        "RUN": {"S": RUN},
        "ITEMS": {
            "L": [
                {"M": {"ITEM_ID": {"S": "a"}, "SCORE": {"N": "0.75"}}},
                {"M": {"ITEM_ID": {"S": "b"}, "SCORE": {"N": "0"}}},
            ]
        },
        "EXPIRES": {"N": IN_A_MONTH},
    }
    assert list_of(dynamodb, "2")["ITEMS"] == {"L": [{"M": {"ITEM_ID": {"S": 'say "hi"\n求人'}}}]}


def test_the_lists_of_older_runs_stay_until_they_expire(s3: Any, dynamodb: Any) -> None:
    make_table(dynamodb)
    publish(s3, ROWS)
    deliver(s3, dynamodb, EVENT, clock=clock())
    table = DynamoDbTable(dynamodb, "lists", run="next", expire_days=30, clock=clock())
    header, rows = ("USER_ID", "ITEM_ID", "RANK", "SCORE"), [("1", "z", "1", "0.5")]
    table.write(header, rows, expected=1, before_pointing=lambda: None)
    assert published_run(dynamodb) == "next"
    assert list_of(dynamodb, "1", "next")["ITEMS"]["L"][0]["M"]["ITEM_ID"] == {"S": "z"}
    assert list_of(dynamodb, "1") is not None


class Busy:
    """DynamoDB that has no room for some items, or at times for none."""

    def __init__(self, dynamodb: Any) -> None:
        self._dynamodb, self.calls, self.pointed = dynamodb, 0, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dynamodb, name)

    def batch_write_item(self, RequestItems: Any) -> Any:  # noqa: N803  boto3's name
        self.calls += 1
        if self.calls % 3 == 1:
            error = {"Error": {"Code": "ProvisionedThroughputExceededException", "Message": "no"}}
            raise ClientError(error, "BatchWriteItem")  # type: ignore[arg-type]
        requests = RequestItems["lists"]
        assert len(requests) <= 25
        written, left = requests[::2], requests[1::2]
        self._dynamodb.batch_write_item(RequestItems={"lists": written})
        return {"UnprocessedItems": {"lists": left} if left else {}}


def test_what_is_not_processed_is_sent_again(s3: Any, dynamodb: Any) -> None:
    make_table(dynamodb)
    publish(s3, [(f"{user}", "a", 1, 0.5) for user in range(60)])
    slept: list[float] = []
    deliver(s3, Busy(dynamodb), EVENT, clock=clock(slept=slept))
    assert record(s3)["items"] == 60
    assert all(list_of(dynamodb, f"{user}") for user in range(60))
    assert slept
    assert all(0 <= pause <= 10 for pause in slept)


def test_when_time_is_over_the_pointer_stays(s3: Any, dynamodb: Any) -> None:
    make_table(dynamodb)
    publish(s3, ROWS)
    message = refused(s3, dynamodb, clock(seconds_left=lambda: 29.0))
    assert "the function's time is over before all is written" in message
    assert published_run(dynamodb) is None


def test_a_table_that_does_not_exist_is_named(s3: Any, dynamodb: Any) -> None:
    publish(s3, ROWS)
    assert "there is no such table in this account and region; make it, with USER_ID and RUN" in (
        refused(s3, dynamodb)
    )


@pytest.mark.parametrize("keys", [("USER_ID",), ("user", "RUN"), ("USER_ID", "day")])
def test_other_keys_are_named(s3: Any, dynamodb: Any, keys: tuple[str, ...]) -> None:
    make_table(dynamodb, *keys)
    publish(s3, ROWS)
    message = refused(s3, dynamodb)
    assert f"its keys are {keys[0]} (HASH, S)" in message
    assert "the list needs USER_ID (HASH, S), RUN (RANGE, S); make another" in message
    assert dynamodb.scan(TableName="lists")["Count"] == 0


@pytest.mark.parametrize("expires", ["", "ttl"])
def test_a_table_that_keeps_old_lists_for_ever_is_refused(
    s3: Any, dynamodb: Any, expires: str
) -> None:
    make_table(dynamodb, expires=expires)
    publish(s3, ROWS)
    message = refused(s3, dynamodb)
    assert "update-time-to-live --table-name lists --time-to-live-specification" in message
    assert dynamodb.scan(TableName="lists")["Count"] == 0


def test_a_list_that_is_not_whole_does_not_count(s3: Any, dynamodb: Any) -> None:
    make_table(dynamodb)
    publish(s3, ROWS, lacking=1)
    assert "the file has 3 rows and not the list's 4" in refused(s3, dynamodb)
    assert published_run(dynamodb) is None


def test_a_list_that_is_not_the_published_one_is_not_delivered(s3: Any, dynamodb: Any) -> None:
    make_table(dynamodb)
    publish(s3, ROWS, run="newer")
    deliver(s3, dynamodb, EVENT, clock=clock())
    assert record(s3)["status"] == "SKIPPED"
    assert record(s3)["reason"] == "the published list is that of run 'newer'"
    assert dynamodb.scan(TableName="lists")["Count"] == 0


@pytest.mark.parametrize("first", [True, False], ids=["first delivery", "a later one"])
@pytest.mark.parametrize("operation", ["BatchWriteItem", "GetItem", "PutItem"])
def test_an_older_list_never_counts_after_the_published_one(
    s3: Any, dynamodb: Any, operation: str, first: bool
) -> None:
    """Another list is published and delivered in the middle of a delivery, before such a call."""
    make_table(dynamodb)
    publish(s3, ROWS)
    if not first:
        deliver(s3, dynamodb, EVENT, clock=clock())
    other = boto3.client("dynamodb")
    body = get(s3, f"runs/{RUN}/recommendations/recommendations.csv")

    def deliver_another(**_: Any) -> None:
        dynamodb.meta.events.unregister(f"before-call.dynamodb.{operation}", deliver_another)
        key = "runs/another/recommendations/recommendations.csv"
        s3.put_object(Bucket="bucket", Key=key, Body=body)
        publish(s3, ROWS, run="another")
        assert deliver(s3, other, {**EVENT, "run": "another"}, clock=clock())["items"] == 2

    dynamodb.meta.events.register(f"before-call.dynamodb.{operation}", deliver_another)
    deliver(s3, dynamodb, EVENT, clock=clock())

    assert record(s3)["reason"] == "the published list is that of run 'another'"
    assert record(s3)["status"] == "SKIPPED"
    assert published_run(dynamodb) == "another"


def test_going_back_to_a_list_while_the_newer_one_is_delivered(s3: Any, dynamodb: Any) -> None:
    """The pointer names the same run as before, and has been written again all the same."""
    make_table(dynamodb)
    publish(s3, ROWS, run="older")
    other, body = (
        boto3.client("dynamodb"),
        get(s3, f"runs/{RUN}/recommendations/recommendations.csv"),
    )
    key = "runs/older/recommendations/recommendations.csv"
    s3.put_object(Bucket="bucket", Key=key, Body=body)
    deliver(s3, other, {**EVENT, "run": "older"}, clock=clock())
    publish(s3, ROWS)

    def go_back(**_: Any) -> None:
        dynamodb.meta.events.unregister("before-call.dynamodb.PutItem", go_back)
        publish(s3, ROWS, run="older")
        deliver(s3, other, {**EVENT, "run": "older"}, clock=clock())

    dynamodb.meta.events.register("before-call.dynamodb.PutItem", go_back)
    deliver(s3, dynamodb, EVENT, clock=clock())

    assert record(s3)["status"] == "SKIPPED"
    assert published_run(dynamodb) == "older"


def test_aws_s_own_error_keeps_its_name_and_says_what_happened(s3: Any, dynamodb: Any) -> None:
    """An item is too large: DynamoDB's rule, which Retry and Catch know by its name."""
    make_table(dynamodb)
    publish(s3, [("1", "x" * 120_000, rank, 0.5) for rank in range(1, 5)])
    with pytest.raises(ClientError, match="is not delivered into table") as caught:
        deliver(s3, dynamodb, EVENT, clock=clock())
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert "Item size has exceeded the maximum" in record(s3)["reason"]
    assert published_run(dynamodb) is None
