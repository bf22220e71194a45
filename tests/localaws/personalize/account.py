"""One account's clients, the data that it imports, and how its requests are refused."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.http.endpoint import Endpoint

ACCOUNT, REGION = "123456789012", "ap-northeast-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/personalize"
PREFIX = f"arn:aws:personalize:{REGION}:{ACCOUNT}"
INTERACTIONS = (("USER_ID", "string"), ("ITEM_ID", "string"), ("EVENT_TYPE", "string"))
HEADER = "USER_ID,ITEM_ID,EVENT_TYPE,TIMESTAMP\n"


def avro(name: str, *fields: tuple[str, Any]) -> str:
    """A schema of Personalize's form."""
    return json.dumps(
        {
            "type": "record",
            "name": name,
            "namespace": "com.amazonaws.personalize.schema",
            "version": "1.0",
            "fields": [{"name": field, "type": kind} for field, kind in fields],
        }
    )


def events(n: int = 1200, users: int = 60, items: int = 40) -> str:
    """Events of users who each like the items of their own parity."""
    lines = []
    for number in range(n):
        user = number % users
        item = (number * 7 + number // users * 3) % items // 2 * 2 + user % 2
        kind = "apply" if number % 6 == 0 else "view"
        lines.append(f"u{user},i{item},{kind},{1_700_000_000 + number * 60}\n")
    return HEADER + "".join(lines)


class Account:
    """One account's clients, and the way to ACTIVE."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.personalize = endpoint.client("personalize")
        self.runtime = endpoint.client("personalize-runtime")
        self.events = endpoint.client("personalize-events")
        self.s3 = endpoint.client("s3")
        self.cloudwatch = endpoint.client("cloudwatch")

    def put(self, key: str, text: str | bytes) -> str:
        """Write an object; its URL."""
        body = text.encode() if isinstance(text, str) else text
        self.s3.put_object(Bucket="data", Key=key, Body=body)
        return f"s3://data/{key}"

    def get(self, key: str) -> str:
        """An object's text."""
        body: bytes = self.s3.get_object(Bucket="data", Key=key)["Body"].read()
        return body.decode()

    def answers(self, key: str) -> list[Any]:
        """The values of an object of JSON lines."""
        # A text may hold other characters that end lines for str.splitlines.
        return [json.loads(line) for line in self.get(key).split("\n") if line]

    def keys(self, prefix: str) -> list[str]:
        """The keys of the objects below a prefix."""
        found = self.s3.list_objects_v2(Bucket="data", Prefix=prefix).get("Contents", [])
        return [one["Key"] for one in found]

    def call(self, verb: str, kind: str, **request: Any) -> dict[str, Any]:
        """Call an operation on a kind of resource, e.g. ``call("describe", "Campaign", ...)``."""
        name = "".join(f"_{c.lower()}" if c.isupper() else c for c in kind)
        method: Callable[..., dict[str, Any]] = getattr(self.personalize, f"{verb}{name}")
        return method(**request)

    def settled(self, kind: str, arn: str, update: str = "") -> dict[str, Any]:
        """The resource once its status, or that of its update, is final."""
        member = kind[0].lower() + kind[1:]
        for _ in range(3000):
            resource = self.call("describe", kind, **{f"{member}Arn": arn})[member]
            status = (resource[update] if update else resource)["status"]
            if not status.endswith(("PENDING", "IN_PROGRESS", "STOPPING")):
                return dict(resource)
            time.sleep(0.01)
        raise AssertionError(f"{arn} stays {status}")

    def delete(self, kind: str, arn: str) -> None:
        """Delete a resource, and wait until it is gone."""
        member = f"{kind[0].lower()}{kind[1:]}Arn"
        self.call("delete", kind, **{member: arn})
        for _ in range(3000):
            try:
                self.call("describe", kind, **{member: arn})
            except self.personalize.exceptions.ResourceNotFoundException:
                return
            time.sleep(0.01)
        raise AssertionError(f"{arn} stays")

    def created(self, kind: str, **request: Any) -> str:
        """A new ACTIVE resource; its ARN."""
        arn = self.call("create", kind, **request)[f"{kind[0].lower()}{kind[1:]}Arn"]
        assert self.settled(kind, arn)["status"] == "ACTIVE"
        return str(arn)

    def schema(self, name: str, text: str) -> str:
        """A new schema; its ARN."""
        return str(self.personalize.create_schema(name=name, schema=text)["schemaArn"])

    def dataset(self, group: str, kind: str, schema: str) -> str:
        """A new ACTIVE dataset; its ARN."""
        group_arn = f"{PREFIX}:dataset-group/{group}"
        arn = self.personalize.create_dataset(
            name=kind, schemaArn=schema, datasetGroupArn=group_arn, datasetType=kind
        )["datasetArn"]
        assert self.settled("Dataset", arn)["status"] == "ACTIVE"
        return str(arn)

    def group(self, name: str) -> str:
        """A new ACTIVE dataset group; its ARN."""
        arn = self.personalize.create_dataset_group(name=name)["datasetGroupArn"]
        assert self.settled("DatasetGroup", arn)["status"] == "ACTIVE"
        return str(arn)

    def load(self, job: str, dataset: str, location: str, **more: Any) -> dict[str, Any]:
        """An import job, ended."""
        arn = self.personalize.create_dataset_import_job(
            jobName=job,
            datasetArn=dataset,
            dataSource={"dataLocation": location},
            roleArn=ROLE,
            **more,
        )["datasetImportJobArn"]
        return self.settled("DatasetImportJob", arn)

    def solution(self, name: str, group: str, recipe: str = "", **more: Any) -> str:
        """A new ACTIVE solution; its ARN."""
        if recipe:
            more["recipeArn"] = f"arn:aws:personalize:::recipe/{recipe}"
        arn = self.personalize.create_solution(
            name=name, datasetGroupArn=group, performAutoTraining=False, **more
        )["solutionArn"]
        assert self.settled("Solution", arn)["status"] == "ACTIVE"
        return str(arn)

    def train(self, solution: str, **more: Any) -> dict[str, Any]:
        """A solution version, ended."""
        arn = self.personalize.create_solution_version(solutionArn=solution, **more)
        return self.settled("SolutionVersion", arn["solutionVersionArn"])

    def infer(
        self, job: str, version: str, source: str, target: str, **more: Any
    ) -> dict[str, Any]:
        """A batch inference job, ended."""
        arn = self.personalize.create_batch_inference_job(
            jobName=job,
            solutionVersionArn=version,
            roleArn=ROLE,
            jobInput={"s3DataSource": {"path": source}},
            jobOutput={"s3DataDestination": {"path": target}},
            **more,
        )["batchInferenceJobArn"]
        return self.settled("BatchInferenceJob", arn)


def refusal(call: Callable[..., Any], **request: Any) -> tuple[str, str]:
    """The code and message with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]
