"""Deliver Recommendations: the published list into a table of DynamoDB, all of it or nothing.

The table is there already, with the list's id (`USER_ID`, or `ITEM_ID` of related items) as its
partition key and `RUN` as its sort key, and DynamoDB deletes its items by `EXPIRES`. Each run's
list lies beside the older ones, an item for each user. At last the item `POINTER` names the run
whose list counts, so that a reader sees the old list or the new one. It is written if its list is
still the published one, on condition that no other delivery has written it since that was asked.
What happened is at `record/delivery.json` of the run.
"""

from __future__ import annotations

import csv
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby, islice
from typing import Any

from botocore.exceptions import ClientError

from lambdas.clients import client
from lambdas.errors import DeliveryFailed, named_errors
from lambdas.filter_recommendations import RunFiles
from lambdas.records import LATEST, read_object, record_key, write_object

LIST = "recommendations/recommendations.csv"
POINTER = "#published"
"""Both keys of the item whose `PUBLISHED_RUN` names the run; no run's name holds a `#`."""

VERSION = "VERSION"
"""Attribute of that item: a number that each write of it raises."""

SORT_KEY = "RUN"
EXPIRES = "EXPIRES"

_BATCH = 25  # as many items as BatchWriteItem takes
_THREADS = 8
_BATCHES_AT_ONCE = 40 * _THREADS
_LONGEST_PAUSE = 10.0
_SECONDS_FOR_END = 30.0
_CONTENDERS = 20  # deliveries that can be faster, one after the other, before this one gives up
_SMALLEST = 1e-130  # DynamoDB's least number above zero
_THROTTLED = {"ProvisionedThroughputExceededException", "ThrottlingException"}

Item = dict[str, Any]
Row = Sequence[str]


class AnotherListPublished(Exception):  # noqa: N818  beside the errors by AWS's names
    """The run's list is not the published one, or is not any more."""


@dataclass(frozen=True)
class Clock:
    """What a delivery knows of time.

    Attributes:
        now: The time, UTC.
        seconds_left: The seconds that the function may still take.
        sleep: Waits some seconds.
    """

    now: Callable[[], datetime]
    seconds_left: Callable[[], float]
    sleep: Callable[[float], None]


def check_table(dynamodb: Any, name: str, partition_key: str) -> None:
    """Check the keys and the expiry of a table.

    Args:
        dynamodb: A boto3 `dynamodb` client.
        name: The table's.
        partition_key: The list's id, `USER_ID` or `ITEM_ID`.

    Raises:
        DeliveryFailed: If there is no such table, or it has others.
    """
    try:
        table = dynamodb.describe_table(TableName=name)["Table"]
        expiry = dynamodb.describe_time_to_live(TableName=name)
    except dynamodb.exceptions.ResourceNotFoundException:
        raise DeliveryFailed(
            f"there is no such table in this account and region; make it, with {partition_key}"
            f" and {SORT_KEY} as its keys"
        ) from None
    types = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}
    keys = [
        (each["KeyType"], each["AttributeName"], types[each["AttributeName"]])
        for each in sorted(table["KeySchema"], key=lambda each: each["KeyType"])
    ]
    wanted = [("HASH", partition_key, "S"), ("RANGE", SORT_KEY, "S")]
    if keys != wanted:
        found = ", ".join(f"{key} ({kind}, {type_})" for kind, key, type_ in keys)
        needed = ", ".join(f"{key} ({kind}, {type_})" for kind, key, type_ in wanted)
        raise DeliveryFailed(f"its keys are {found}, and the list needs {needed}; make another")
    described = expiry["TimeToLiveDescription"]
    if described.get("AttributeName") != EXPIRES:
        raise DeliveryFailed(
            f"its items do not expire by {EXPIRES}, and old lists would stay for ever; run 'aws"
            f" dynamodb update-time-to-live --table-name {name}"
            f" --time-to-live-specification Enabled=true,AttributeName={EXPIRES}'"
        )


class DynamoDbTable:
    """A table of DynamoDB that holds the lists of runs, and says which one counts.

    Args:
        dynamodb: A boto3 `dynamodb` client.
        name: The table's.
        run: The run whose list is written.
        expire_days: The days after which DynamoDB may delete an item.
        clock: Limits the time.
    """

    def __init__(
        self, dynamodb: Any, name: str, *, run: str, expire_days: int, clock: Clock
    ) -> None:
        self._dynamodb, self.name, self._run, self._clock = dynamodb, name, run, clock
        self._expires = str(int((clock.now() + timedelta(days=expire_days)).timestamp()))

    def write(
        self,
        header: Row,
        rows: Iterable[Row],
        *,
        expected: int,
        before_pointing: Callable[[], object],
    ) -> dict[str, int]:
        """Write a list beside the older ones, and let it count.

        Args:
            header: The list's: an id, an item, RANK, SCORE.
            rows: Its rows, those of an id together.
            expected: The number of rows that the list has.
            before_pointing: Called at the last moment; if it raises an error, the list that counted
                goes on to count.

        Returns:
            The numbers of `rows` and of `items` that were written.

        Raises:
            DeliveryFailed: If the table does not fit, rows are missing, or time is over; the list
                that counted goes on to count.
        """
        check_table(self._dynamodb, self.name, header[0])
        counts = {"rows": 0, "items": 0}
        items = self._items(header, rows, counts)
        with ThreadPoolExecutor(_THREADS) as pool:
            # Some batches at a time: what is submitted is held in memory.
            while batches := list(islice(_batches(items), _BATCHES_AT_ONCE)):
                for _ in pool.map(self._put, batches):
                    pass
        if counts["rows"] != expected:
            raise DeliveryFailed(
                f"the file has {counts['rows']:,} rows and not the list's {expected:,}; start a new"
                " run"
            )
        self._point(header[0], before_pointing)
        return counts

    def _point(self, partition_key: str, before_pointing: Callable[[], object]) -> None:
        """Write the pointer, unless another delivery does at the same time; then ask again.

        Raises:
            DeliveryFailed: If others are faster all the time.
        """
        key = {partition_key: {"S": POINTER}, SORT_KEY: {"S": POINTER}}
        for _ in range(_CONTENDERS):
            response = self._dynamodb.get_item(TableName=self.name, Key=key, ConsistentRead=True)
            known = response.get("Item", {}).get(VERSION)
            before_pointing()
            condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(#version)"}
            if known:
                condition["ConditionExpression"] = "#version = :known"
                condition["ExpressionAttributeValues"] = {":known": known}
            version = {"N": str(int(known["N"]) + 1 if known else 1)}
            try:
                self._dynamodb.put_item(
                    TableName=self.name,
                    Item={**key, "PUBLISHED_RUN": {"S": self._run}, VERSION: version},
                    ExpressionAttributeNames={"#version": VERSION},
                    **condition,
                )
            except self._dynamodb.exceptions.ConditionalCheckFailedException:
                continue
            return
        raise DeliveryFailed("other deliveries change it all the time; start this one again")

    def _items(self, header: Row, rows: Iterable[Row], counts: dict[str, int]) -> Iterator[Item]:
        """Yield an item for each id, and count."""
        for identity, group in groupby(rows, key=lambda row: row[0]):
            listed = [self._entry(header, row) for row in group]
            counts["rows"] += len(listed)
            counts["items"] += 1
            yield {
                header[0]: {"S": identity},
                SORT_KEY: {"S": self._run},
                "ITEMS": {"L": [{"M": entry} for entry in listed]},
                EXPIRES: {"N": self._expires},
            }

    @staticmethod
    def _entry(header: Row, row: Row) -> Item:
        entry: Item = {header[1]: {"S": row[1]}}
        if row[3]:
            entry["SCORE"] = {"N": row[3] if abs(float(row[3])) >= _SMALLEST else "0"}
        return entry

    def _put(self, items: Sequence[Item]) -> None:
        """Write a batch; what DynamoDB has no room for is sent again, later and later.

        Raises:
            DeliveryFailed: If time is over.
        """
        left: Sequence[Any] = [{"PutRequest": {"Item": item}} for item in items]
        pause = 0.1
        while left:
            if self._clock.seconds_left() < _SECONDS_FOR_END:
                raise DeliveryFailed(
                    "the function's time is over before all is written: give the table more write"
                    ' capacity, or deliver to = "database"'
                )
            left = self._put_some(left)
            if left:
                self._clock.sleep(random.uniform(0, pause))
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _put_some(self, requests: Sequence[Any]) -> Sequence[Any]:
        """Send some requests; return those that were not processed."""
        try:
            response = self._dynamodb.batch_write_item(RequestItems={self.name: list(requests)})
        except ClientError as error:
            if error.response["Error"]["Code"] in _THROTTLED:
                return requests
            raise
        unprocessed: Sequence[Any] = response.get("UnprocessedItems", {}).get(self.name, ())
        return unprocessed


def _batches(items: Iterator[Item]) -> Iterator[list[Item]]:
    while batch := list(islice(items, _BATCH)):
        yield batch


def deliver(s3: Any, dynamodb: Any, event: Mapping[str, Any], *, clock: Clock) -> dict[str, Any]:
    """Write the run's list into the table, and the record of it, which is returned.

    If another run is the published one, nothing is written but the record, which says so.

    Raises:
        DeliveryFailed: If the list could not be delivered; the one that counted goes on to.
        ClientError: If AWS refused a call; likewise.
    """
    bucket, run, table = event["bucket"], event["run"], event["table"]
    record: dict[str, Any] = {"run": run, "to": "dynamodb", "table": table}

    def write(status: str, **more: Any) -> dict[str, Any]:
        record.update(status=status, **more, createdAt=f"{clock.now():%Y-%m-%dT%H:%M:%SZ}")
        write_object(s3, bucket, record_key(run, "delivery"), record)
        return record

    def published() -> dict[str, Any]:
        return published_list(s3, bucket, run)

    target = DynamoDbTable(dynamodb, table, run=run, expire_days=event["expireDays"], clock=clock)
    try:
        latest = published()
        with _recorded(f"the list of run '{run}' is not delivered into table '{table}':", write):
            lines = RunFiles(s3, bucket, run).lines([f"runs/{run}/{LIST}"])
            rows = csv.reader((line.decode() for line in lines), strict=True)
            counts = target.write(
                next(rows), rows, expected=latest["recommendations"], before_pointing=published
            )
    except AnotherListPublished as another:
        return write("SKIPPED", reason=str(another))
    return write("DELIVERED", expireDays=event["expireDays"], **counts)


def published_list(s3: Any, bucket: str, run: str) -> dict[str, Any]:
    """Return what `recommendations/latest.json` says of the run's list.

    Raises:
        DeliveryFailed: If no list is published.
        AnotherListPublished: If that of another run is.
    """
    latest = read_object(s3, bucket, LATEST)
    if latest is None:
        raise DeliveryFailed(
            f"s3://{bucket}/{LATEST} is not there: no list is published, so there is nothing to"
            " deliver; in a workflow of your own put deliver() after publish()"
        )
    if latest["run"] != run:
        raise AnotherListPublished(f"the published list is that of run '{latest['run']}'")
    return latest


@contextmanager
def _recorded(happened: str, write: Callable[..., Any]) -> Iterator[None]:
    """Begin a failure's message by what happened, and record it; its name stays as it is."""
    try:
        yield
    except DeliveryFailed as error:
        failure: Exception = DeliveryFailed(f"{happened} {error}")
    except ClientError as error:
        response: Any = {
            **error.response,
            "Error": {
                **error.response["Error"],
                "Message": f"{happened} {error.response['Error'].get('Message', '')}",
            },
        }
        failure = ClientError(response, error.operation_name)
    else:
        return
    write("FAILED", reason=str(failure))
    raise failure


@named_errors
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Deliver the published list: `{"bucket", "run", "table", "expireDays"}`.

    Returns:
        The record.
    """
    clock = Clock(
        now=lambda: datetime.now(UTC),
        seconds_left=lambda: context.get_remaining_time_in_millis() / 1_000,
        sleep=time.sleep,
    )
    return deliver(client("s3"), client("dynamodb"), event, clock=clock)
