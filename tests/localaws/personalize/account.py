"""The clients of an account, the data that it imports, and how its requests are refused."""

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
    """Return a schema of Personalize's form."""
    return json.dumps(
        {
            "type": "record",
            "name": name,
            "namespace": "com.amazonaws.personalize.schema",
            "version": "1.0",
            "fields": [{"name": field, "type": type_} for field, type_ in fields],
        }
    )


def events(n: int = 1200, users: int = 60, items: int = 40) -> str:
    """Return a CSV file of events of users who like the items of their own parity."""
    lines = []
    for number in range(n):
        user = number % users
        item = (number * 7 + number // users * 3) % items // 2 * 2 + user % 2
        event_type = "apply" if number % 6 == 0 else "view"
        lines.append(f"u{user},i{item},{event_type},{1_700_000_000 + number * 60}\n")
    return HEADER + "".join(lines)


class Account:
    """The clients of an account, and calls that wait until a resource is ACTIVE."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.personalize = endpoint.client("personalize")
        self.runtime = endpoint.client("personalize-runtime")
        self.events = endpoint.client("personalize-events")
        self.s3 = endpoint.client("s3")
        self.cloudwatch = endpoint.client("cloudwatch")

    def put(self, key: str, text: str | bytes) -> str:
        """Write an object, and return its URL."""
        body = text.encode() if isinstance(text, str) else text
        self.s3.put_object(Bucket="data", Key=key, Body=body)
        return f"s3://data/{key}"

    def get(self, key: str) -> str:
        """Return an object's text."""
        body: bytes = self.s3.get_object(Bucket="data", Key=key)["Body"].read()
        return body.decode()

    def read_lines(self, key: str) -> list[Any]:
        """Return the values of an object of JSON lines."""
        # A text may hold other characters that end lines for str.splitlines.
        return [json.loads(line) for line in self.get(key).split("\n") if line]

    def keys(self, prefix: str) -> list[str]:
        """Return the keys of the objects below a prefix."""
        objects = self.s3.list_objects_v2(Bucket="data", Prefix=prefix).get("Contents", [])
        return [entry["Key"] for entry in objects]

    def call(self, verb: str, resource_type: str, **request: Any) -> dict[str, Any]:
        """Call an operation on a type of resource, e.g. `call("describe", "Campaign", ...)`."""
        name = "".join(f"_{c.lower()}" if c.isupper() else c for c in resource_type)
        method: Callable[..., dict[str, Any]] = getattr(self.personalize, f"{verb}{name}")
        return method(**request)

    def settled(self, resource_type: str, arn: str, update: str = "") -> dict[str, Any]:
        """Return the resource once its status, or that of its update, is final."""
        member = resource_type[0].lower() + resource_type[1:]
        for _ in range(3000):
            resource = self.call("describe", resource_type, **{f"{member}Arn": arn})[member]
            status = (resource[update] if update else resource)["status"]
            if not status.endswith(("PENDING", "IN_PROGRESS", "STOPPING")):
                return dict(resource)
            time.sleep(0.01)
        raise AssertionError(f"{arn} stays {status}")

    def delete(self, resource_type: str, arn: str) -> None:
        """Delete a resource, and wait until it is gone."""
        member = f"{resource_type[0].lower()}{resource_type[1:]}Arn"
        self.call("delete", resource_type, **{member: arn})
        for _ in range(3000):
            try:
                self.call("describe", resource_type, **{member: arn})
            except self.personalize.exceptions.ResourceNotFoundException:
                return
            time.sleep(0.01)
        raise AssertionError(f"{arn} stays")

    def created(self, resource_type: str, **request: Any) -> str:
        """Create a resource, wait until it is ACTIVE, and return its ARN."""
        arn = self.call("create", resource_type, **request)[
            f"{resource_type[0].lower()}{resource_type[1:]}Arn"
        ]
        assert self.settled(resource_type, arn)["status"] == "ACTIVE"
        return str(arn)

    def schema(self, name: str, text: str) -> str:
        """Create a schema, and return its ARN."""
        return str(self.personalize.create_schema(name=name, schema=text)["schemaArn"])

    def dataset(self, group: str, dataset_type: str, schema: str) -> str:
        """Create a dataset, wait until it is ACTIVE, and return its ARN."""
        group_arn = f"{PREFIX}:dataset-group/{group}"
        arn = self.personalize.create_dataset(
            name=dataset_type,
            schemaArn=schema,
            datasetGroupArn=group_arn,
            datasetType=dataset_type,
        )["datasetArn"]
        assert self.settled("Dataset", arn)["status"] == "ACTIVE"
        return str(arn)

    def group(self, name: str) -> str:
        """Create a dataset group, wait until it is ACTIVE, and return its ARN."""
        arn = self.personalize.create_dataset_group(name=name)["datasetGroupArn"]
        assert self.settled("DatasetGroup", arn)["status"] == "ACTIVE"
        return str(arn)

    def load(self, job: str, dataset: str, location: str, **more: Any) -> dict[str, Any]:
        """Return an import job once it has ended."""
        arn = self.personalize.create_dataset_import_job(
            jobName=job,
            datasetArn=dataset,
            dataSource={"dataLocation": location},
            roleArn=ROLE,
            **more,
        )["datasetImportJobArn"]
        return self.settled("DatasetImportJob", arn)

    def solution(self, name: str, group: str, recipe: str = "", **more: Any) -> str:
        """Create a solution, wait until it is ACTIVE, and return its ARN."""
        if recipe:
            more["recipeArn"] = f"arn:aws:personalize:::recipe/{recipe}"
        arn = self.personalize.create_solution(
            name=name, datasetGroupArn=group, performAutoTraining=False, **more
        )["solutionArn"]
        assert self.settled("Solution", arn)["status"] == "ACTIVE"
        return str(arn)

    def train(self, solution: str, **more: Any) -> dict[str, Any]:
        """Return a solution version once its training has ended."""
        arn = self.personalize.create_solution_version(solutionArn=solution, **more)
        return self.settled("SolutionVersion", arn["solutionVersionArn"])

    def infer(
        self, job: str, version: str, source: str, target: str, **more: Any
    ) -> dict[str, Any]:
        """Return a batch inference job once it has ended."""
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
    """Return the code and message with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]
