"""In place of the Spark job: the data of 30 users, which is complete with the manifest."""

import json
import sys
from datetime import UTC, datetime

import boto3

from etl.datasets import JobSpec

named = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
s3, bucket, run = boto3.client("s3"), named["--bucket"], named["--run"]
body = s3.get_object(Bucket=bucket, Key=named["--spec"].partition(f"//{bucket}/")[2])["Body"]
spec = JobSpec.from_json(body.read().decode())


def put(path: str, text: str) -> None:
    """Write a file of the run."""
    s3.put_object(Bucket=bucket, Key=f"runs/{run}/{path}", Body=text.encode())


if named.get("--task") == "filter":  # as etl.filtering does, without Spark
    from lambdas.recommendations import Lists, csv_chunks

    listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"runs/{run}/batch-output/")["Contents"]
    (key,) = [each["Key"] for each in listed if each["Key"].endswith(".out")]
    lines = s3.get_object(Bucket=bucket, Key=key)["Body"].iter_lines()
    lists = Lists(eligible=None, keep=int(named["--keep"]), on_error=print)
    read = [lists.rows(line, lambda user: frozenset(), lambda user: "") for line in lines]
    rows = [row for following in read for row in following]
    put("recommendations/recommendations.csv", b"".join(csv_chunks(rows)).decode())
    csv = f"s3://{bucket}/runs/{run}/recommendations/recommendations.csv"
    put("record/filter.json", json.dumps({"csv": csv, "errors": "", **lists.counts.published()}))
    raise SystemExit

if named.get("--task") == "deliver":  # the database has one table for it
    raise SystemExit("ERROR: no such table" if spec.delivery.table != "lists" else 0)

users = range(30)
put("users/part-0.csv", "USER_ID,AGE\n" + "".join(f"{u},{20 + u}\n" for u in users))
put(
    "interactions/part-0.csv",
    "USER_ID,ITEM_ID,TIMESTAMP\n"
    + "".join(
        f"{u},{i},{1700000000 + 60 * n + u}\n"
        for u in users
        for n in range(40)
        for i in [(u * n) % (3 + n % 7)]
    ),
)
put("batch-input/part-0.json", "".join(json.dumps({"userId": str(u)}) + "\n" for u in users))
if "Contents" in s3.list_objects_v2(Bucket=bucket, Prefix="broken"):
    raise SystemExit("ERROR: the database is gone")
put(
    "manifest.json",
    json.dumps(
        {
            "version": 1,
            "run": run,
            "extraction": spec.extraction,
            "createdAt": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "datasets": {
                "USERS": {"path": "users/", "rows": 30},
                "INTERACTIONS": {"path": "interactions/", "rows": 1200},
            },
            "batchInput": {"path": "batch-input/", "rows": 30, "id": "USER_ID"},
            "filter": {},
        }
    ),
)
