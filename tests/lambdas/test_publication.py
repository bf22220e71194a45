"""The published list: of newer data it stays, whoever writes last."""

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lambdas.errors import NewerListPublished
from lambdas.publication import publish_list
from lambdas.records import LATEST


def publication(run: str, hour: int) -> dict[str, Any]:
    extracted = f"2024-06-01T{hour:02}:00:00Z"
    return {"run": run, "csv": f"s3://bucket/{run}.csv", "extractedAt": extracted}


def read(s3: Any, key: str = LATEST) -> Any:
    return json.loads(s3.get_object(Bucket="bucket", Key=key)["Body"].read())


def test_a_newer_list_replaces_an_older_one_and_leaves_a_record(s3: Any) -> None:
    for number, run in enumerate(("first", "second"), start=1):
        publish_list(s3, "bucket", publication(run, number))

    assert read(s3) == publication("second", 2)
    assert read(s3, "runs/first/record/publication.json") == publication("first", 1)


def test_an_older_list_does_not_replace_a_newer_one(s3: Any) -> None:
    publish_list(s3, "bucket", publication("newer", 2))

    with pytest.raises(NewerListPublished, match=r"of run 'newer' is published.*s3://bucket/older"):
        publish_list(s3, "bucket", publication("older", 1))

    assert read(s3) == publication("newer", 2)
    assert "Contents" not in s3.list_objects_v2(Bucket="bucket", Prefix="runs/older/")


def test_a_run_that_publishes_again_is_no_older_than_itself(s3: Any) -> None:
    publish_list(s3, "bucket", publication("run", 1))
    publish_list(s3, "bucket", publication("run", 1) | {"users": 5})

    assert read(s3)["users"] == 5


def test_going_back_lets_newer_data_through_alone(s3: Any) -> None:
    """The newest data that were ever published count, not those of the list of now."""
    went_back = publication("first", 1) | {"newestExtractedAt": "2024-06-01T03:00:00Z"}
    s3.put_object(Bucket="bucket", Key=LATEST, Body=json.dumps(went_back).encode())

    with pytest.raises(NewerListPublished, match="extracted at 2024-06-01T03:00:00Z were"):
        publish_list(s3, "bucket", publication("second", 2))
    publish_list(s3, "bucket", publication("fourth", 4))

    assert read(s3) == publication("fourth", 4)


@pytest.mark.parametrize("content", [b"by hand", b"[]", b'{"run": "of an earlier version"}'])
def test_a_list_of_unknown_age_is_replaced(s3: Any, content: bytes) -> None:
    s3.put_object(Bucket="bucket", Key=LATEST, Body=content)

    publish_list(s3, "bucket", publication("run", 1))

    assert read(s3) == publication("run", 1)


def test_of_runs_that_publish_at_once_the_newest_stays(local_aws: Any) -> None:
    s3 = local_aws.client("s3")
    s3.create_bucket(Bucket="bucket")
    hours = [7, 3, 8, 1, 6, 2, 5, 4]

    def publish(hour: int) -> bool:
        try:
            publish_list(s3, "bucket", publication(f"run-{hour}", hour))
        except NewerListPublished:
            return False
        return True

    for _ in range(3):
        s3.delete_object(Bucket="bucket", Key=LATEST)
        with ThreadPoolExecutor(len(hours)) as threads:
            published = list(itertools.compress(hours, threads.map(publish, hours)))

        assert read(s3) == publication("run-8", 8)
        assert 8 in published
