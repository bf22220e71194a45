"""The sample run that the handlers' tests share, and its files on S3."""

from datetime import UTC, datetime
from typing import Any

RUN = "2024-06-01"
ARN = "arn:aws:personalize:ap-northeast-1:123456789012:"
GROUP = f"{ARN}dataset-group/labbase"
SOLUTION = f"{ARN}solution/labbase"
ROLE = "arn:aws:iam::123456789012:role/personalize"
LONG_AGO = datetime(2024, 6, 1, tzinfo=UTC)

MANIFEST = {
    "version": 1,
    "run": RUN,
    "createdAt": "2024-06-01T03:10:00Z",
    "datasets": {
        "INTERACTIONS": {"path": "interactions/", "rows": 150_000},
        "USERS": {"path": "users/", "rows": 5_000},
    },
}
ARNS = {
    "USERS": f"{ARN}dataset/labbase/USERS",
    "INTERACTIONS": f"{ARN}dataset/labbase/INTERACTIONS",
}


def put(s3: Any, path: str, content: str | bytes) -> None:
    body = content.encode() if isinstance(content, str) else content
    s3.put_object(Bucket="bucket", Key=f"runs/{RUN}/{path}", Body=body)


def get(s3: Any, key: str) -> str:
    return str(s3.get_object(Bucket="bucket", Key=key)["Body"].read().decode())


def keys(s3: Any, prefix: str = "") -> list[str]:
    contents = s3.list_objects_v2(Bucket="bucket", Prefix=prefix).get("Contents", [])
    return [item["Key"] for item in contents]
