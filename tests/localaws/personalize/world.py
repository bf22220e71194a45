"""An account that has one of everything, reached through WSGI: what every operation is tried on."""

import io
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore.session
from werkzeug.test import Client

from localaws.personalize import Personalize, Quotas

from .account import ACCOUNT, INTERACTIONS, REGION, ROLE, avro, events

SERVICES = ("personalize", "personalize-runtime", "personalize-events")
MODELS = {name: botocore.session.Session().get_service_model(name) for name in SERVICES}
RECIPE = "arn:aws:personalize:::recipe/"
SHOP = "ECOMMERCE"


class Bucket:
    """An S3 in memory."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def get_paginator(self, operation: str) -> "Bucket":
        """Return the paginator of the only list, that of the objects."""
        assert operation == "list_objects_v2"
        return self

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        """Return the objects below a prefix."""
        keys = sorted(key for key in self.objects if key.startswith(request["Prefix"]))
        yield {"Contents": [{"Key": key, "Size": len(self.objects[key])} for key in keys]}

    def get_object(self, **request: Any) -> dict[str, Any]:
        """Return an object."""
        return {"Body": io.BytesIO(self.objects[request["Key"]])}

    def put_object(self, **request: Any) -> dict[str, Any]:
        """Write an object."""
        self.objects[request["Key"]] = request["Body"]
        return {}

    def upload_fileobj(self, Fileobj: Any, Bucket: str, Key: str) -> None:  # noqa: N803 - boto3's
        """Write an object."""
        self.objects[Key] = Fileobj.read()


class World:
    """A service without a network, and the ARNs of one resource of each type."""

    def __init__(self, directory: Path) -> None:
        self.bucket = Bucket()
        self.service = Personalize(
            account=ACCOUNT,
            region=REGION,
            s3=lambda role: self.bucket,
            directory=directory,
            quotas=Quotas(
                dataset_groups=10_000,
                campaigns=10_000,
                solutions=10_000,
                pending_trainings=10_000,
                event_trackers=1,
            ),
        )
        self.arns: dict[str, str] = {}

    def send(self, operation: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Call an operation of any of the three services; status and answer."""
        method, path, headers = "POST", "/", {}
        if operation in MODELS["personalize"].operation_names:
            headers["X-Amz-Target"] = f"AmazonPersonalize.{operation}"
        else:
            http = model_of(operation).http
            method, path = http["method"], urlsplit(http["requestUri"]).path
        client = Client(self.service)
        response = client.open(path, method=method, data=body, headers=headers)
        answer = json.loads(response.data or b"{}")
        if code := response.headers.get("x-amzn-errortype"):
            answer = {"__type": code, **answer}
        return response.status_code, answer

    def __call__(self, operation: str, **request: Any) -> dict[str, Any]:
        """Call an operation that must succeed."""
        status, answer = self.send(operation, json.dumps(request).encode())
        assert status == 200, (operation, answer)
        return answer

    def make(self, resource_type: str, **request: Any) -> str:
        """Create a resource, and wait until it is done."""
        member = f"{resource_type[0].lower()}{resource_type[1:]}"
        arn = str(self(f"Create{resource_type}", **request)[f"{member}Arn"])
        self.settled(resource_type, arn)
        self.arns.setdefault(resource_type, arn)
        return arn

    def settled(self, resource_type: str, arn: str) -> None:
        """Wait until a resource is done."""
        member = f"{resource_type[0].lower()}{resource_type[1:]}"
        for _ in range(3000):
            shown = self(f"Describe{resource_type}", **{f"{member}Arn": arn})[member]
            if shown.get("status", "ACTIVE") in {"ACTIVE", "COMPLETED"}:
                return
            assert not shown["status"].endswith("FAILED"), shown
            time.sleep(0.005)
        raise AssertionError(f"{arn} stays {shown['status']}")

    def lists(self) -> dict[str, list[str]]:
        """Return the ARNs that every List operation of resources shows."""
        shown = {}
        for resource_type in RESOURCE_TYPES:
            listed = self(f"List{resource_type}s")
            (entries,) = (value for value in listed.values() if isinstance(value, list))
            member = f"{resource_type[0].lower()}{resource_type[1:]}Arn"
            shown[resource_type] = [entry[member] for entry in entries]
        return shown


RESOURCE_TYPES = (
    "Schema",
    "DatasetGroup",
    "Dataset",
    "DatasetImportJob",
    "DatasetExportJob",
    "DataDeletionJob",
    "Solution",
    "SolutionVersion",
    "Campaign",
    "Recommender",
    "BatchInferenceJob",
    "BatchSegmentJob",
    "EventTracker",
    "Filter",
    "MetricAttribution",
)


def model_of(operation: str) -> Any:
    """Botocore's model of an operation of any of the services."""
    for model in MODELS.values():
        if operation in model.operation_names:
            return model.operation_model(operation)
    raise KeyError(operation)


def job_files(source: str, target: str) -> dict[str, Any]:
    """Return the input and output of a batch job."""
    return {
        "roleArn": ROLE,
        "jobInput": {"s3DataSource": {"path": f"s3://data/{source}"}},
        "jobOutput": {"s3DataDestination": {"path": f"s3://data/{target}"}},
    }


@contextmanager
def populated(directory: Path) -> Iterator[World]:
    """Return a world with one resource of each type."""
    world = World(directory)
    try:
        _populate(world)
        yield world
    finally:
        world.service.close()


def _populate(world: World) -> None:
    files = world.bucket.objects
    files["events.csv"] = events().encode()
    files["items.csv"] = b"ITEM_ID,GENRE,PRICE\n" + b"".join(
        b"i%d,%s,%d\n" % (n, [b"war", b"comedy"][n % 2], n) for n in range(40)
    )
    files["users.csv"] = b"USER_ID\nnobody\n"
    files["in.json"] = b'{"userId": "u1"}\n'
    files["segments.json"] = b'{"itemId": "i1"}\n'
    clicks = avro("Interactions", *INTERACTIONS, ("TIMESTAMP", "long"))
    goods = avro("Items", ("ITEM_ID", "string"), ("GENRE", "string"), ("PRICE", "float"))
    group = world.make("DatasetGroup", name="g")
    schemas = {
        "Interactions": world.make("Schema", name="clicks", schema=clicks),
        "Items": world.make("Schema", name="goods", schema=goods),
        "Users": world.make(
            "Schema", name="people", schema=avro("Users", ("USER_ID", "string"), ("AGE", "int"))
        ),
        "Actions": world.make(
            "Schema",
            name="deeds",
            schema=avro("Actions", ("ACTION_ID", "string"), ("VALUE", ["null", "long"])),
        ),
        "Action_Interactions": world.make(
            "Schema",
            name="done",
            schema=avro(
                "ActionInteractions",
                ("USER_ID", "string"),
                ("ACTION_ID", "string"),
                ("EVENT_TYPE", "string"),
                ("TIMESTAMP", "long"),
            ),
        ),
    }
    for dataset_type, schema in schemas.items():
        arn = world.make(
            "Dataset",
            name=dataset_type,
            datasetType=dataset_type,
            schemaArn=schema,
            datasetGroupArn=group,
        )
        world.arns[dataset_type] = arn
    for dataset_type, file in (("Interactions", "events.csv"), ("Items", "items.csv")):
        world.make(
            "DatasetImportJob",
            jobName=dataset_type,
            datasetArn=world.arns[dataset_type],
            dataSource={"dataLocation": f"s3://data/{file}"},
        )
    world.make(
        "Filter",
        name="f",
        datasetGroupArn=group,
        filterExpression="INCLUDE ItemID WHERE Items.PRICE > 1",
    )
    world.make("EventTracker", name="t", datasetGroupArn=group)
    world.make(
        "MetricAttribution",
        name="m",
        datasetGroupArn=group,
        metrics=[{"eventType": "view", "metricName": "views", "expression": "SAMPLECOUNT()"}],
        metricsOutputConfig={"roleArn": ROLE},
    )
    for name, recipe in (
        ("personal", "aws-user-personalization"),
        ("ranking", "aws-personalized-ranking"),
        ("related", "aws-sims"),
        ("segments", "aws-item-affinity"),
    ):
        solution = world.make(
            "Solution", name=name, datasetGroupArn=group, recipeArn=RECIPE + recipe
        )
        version = world.make("SolutionVersion", solutionArn=solution)
        world.arns[name] = version
        if name != "segments":
            world.arns[f"{name} campaign"] = world.make(
                "Campaign", name=name, solutionVersionArn=version
            )
    world.make(
        "BatchInferenceJob",
        jobName="b",
        solutionVersionArn=world.arns["personal"],
        **job_files("in.json", "out"),
    )
    world.make(
        "BatchSegmentJob",
        jobName="b",
        solutionVersionArn=world.arns["segments"],
        **job_files("segments.json", "out-segments"),
    )
    world.make(
        "DatasetExportJob",
        jobName="e",
        datasetArn=world.arns["Items"],
        roleArn=ROLE,
        jobOutput={"s3DataDestination": {"path": "s3://data/exported"}},
    )
    world.make(
        "DataDeletionJob",
        jobName="d",
        datasetGroupArn=group,
        roleArn=ROLE,
        dataSource={"dataLocation": "s3://data/users.csv"},
    )
    shop = world.make("DatasetGroup", name="shop", domain=SHOP)
    sold = world.make("Schema", name="sold", schema=clicks, domain=SHOP)
    bought = world.make(
        "Dataset", name="sold", datasetType="Interactions", schemaArn=sold, datasetGroupArn=shop
    )
    files["sold.csv"] = events().replace("view", "View").encode()
    world.make(
        "DatasetImportJob",
        jobName="sold",
        datasetArn=bought,
        dataSource={"dataLocation": "s3://data/sold.csv"},
    )
    world.make(
        "Recommender",
        name="r",
        datasetGroupArn=shop,
        recipeArn=f"{RECIPE}aws-ecomm-popular-items-by-views",
    )
    world.arns["shop"] = shop


def requests(world: World) -> Mapping[str, dict[str, Any]]:
    """Return a minimal valid request of each operation that only reads, or adds something new."""
    arns = world.arns
    group = arns["DatasetGroup"]
    tracking = world("DescribeEventTracker", eventTrackerArn=arns["EventTracker"])["eventTracker"]
    actions = world("DescribeDataset", datasetArn=arns["Action_Interactions"])["dataset"]
    described = {
        f"Describe{resource_type}": {_arn(resource_type): arns[resource_type]}
        for resource_type in RESOURCE_TYPES
    }
    recipe = f"{RECIPE}aws-sims"
    served = world("DescribeRecipe", recipeArn=recipe)["recipe"]
    campaign = arns["personal campaign"]
    goods = world("DescribeDataset", datasetArn=arns["Items"])["dataset"]["schemaArn"]
    return {
        **described,
        **{f"List{resource_type}s": {} for resource_type in RESOURCE_TYPES},
        "ListRecipes": {},
        "ListMetricAttributionMetrics": {"metricAttributionArn": arns["MetricAttribution"]},
        "ListTagsForResource": {"resourceArn": group},
        "TagResource": {"resourceArn": group, "tags": [{"tagKey": "k", "tagValue": "v"}]},
        "UntagResource": {"resourceArn": group, "tagKeys": ["k"]},
        "DescribeRecipe": {"recipeArn": recipe},
        "DescribeAlgorithm": {"algorithmArn": served["algorithmArn"]},
        "DescribeFeatureTransformation": {
            "featureTransformationArn": served["featureTransformationArn"]
        },
        "GetSolutionMetrics": {"solutionVersionArn": arns["SolutionVersion"]},
        "CreateSchema": {
            "name": "new",
            "schema": avro("Users", ("USER_ID", "string"), ("AGE", "int")),
        },
        "CreateDatasetGroup": {"name": "new"},
        "CreateDataset": {
            "name": "new",
            "datasetType": "Users",
            "schemaArn": world.make(
                "Schema",
                name="shoppers",
                domain=SHOP,
                schema=avro("Users", ("USER_ID", "string"), ("AGE", "int")),
            ),
            "datasetGroupArn": arns["shop"],
        },
        "UpdateDataset": {"datasetArn": arns["Items"], "schemaArn": goods},
        "CreateDatasetImportJob": {
            "jobName": "new",
            "datasetArn": arns["Items"],
            "dataSource": {"dataLocation": "s3://data/items.csv"},
        },
        "CreateDatasetExportJob": {
            "jobName": "new",
            "datasetArn": arns["Items"],
            "roleArn": ROLE,
            "jobOutput": {"s3DataDestination": {"path": "s3://data/exported"}},
        },
        "CreateDataDeletionJob": {
            "jobName": "new",
            "datasetGroupArn": group,
            "roleArn": ROLE,
            "dataSource": {"dataLocation": "s3://data/users.csv"},
        },
        "CreateSolution": {
            "name": "new",
            "datasetGroupArn": group,
            "recipeArn": f"{RECIPE}aws-popularity-count",
        },
        "UpdateSolution": {"solutionArn": arns["Solution"], "performAutoTraining": False},
        "CreateSolutionVersion": {"solutionArn": arns["Solution"]},
        "CreateCampaign": {"name": "new", "solutionVersionArn": arns["SolutionVersion"]},
        "UpdateCampaign": {"campaignArn": campaign, "minProvisionedTPS": 2},
        "CreateRecommender": {
            "name": "new",
            "datasetGroupArn": arns["shop"],
            "recipeArn": f"{RECIPE}aws-ecomm-recommended-for-you",
        },
        "UpdateRecommender": {
            "recommenderArn": arns["Recommender"],
            "recommenderConfig": {"minRecommendationRequestsPerSecond": 2},
        },
        "CreateBatchInferenceJob": {
            "jobName": "new",
            "solutionVersionArn": arns["personal"],
            **job_files("in.json", "out"),
        },
        "CreateBatchSegmentJob": {
            "jobName": "new",
            "solutionVersionArn": arns["segments"],
            **job_files("segments.json", "out-segments"),
        },
        "CreateFilter": {
            "name": "new",
            "datasetGroupArn": group,
            "filterExpression": "EXCLUDE ItemID WHERE Items.PRICE > 1",
        },
        "CreateEventTracker": {"name": "new", "datasetGroupArn": arns["shop"]},
        "CreateMetricAttribution": {
            "name": "new",
            "datasetGroupArn": arns["shop"],
            "metrics": [{"eventType": "v", "metricName": "v", "expression": "SAMPLECOUNT()"}],
            "metricsOutputConfig": {"roleArn": ROLE},
        },
        "UpdateMetricAttribution": {
            "metricAttributionArn": arns["MetricAttribution"],
            "addMetrics": [
                {"eventType": "view", "metricName": "p", "expression": "SUM(Items.PRICE)"}
            ],
        },
        "GetRecommendations": {"campaignArn": campaign, "userId": "u1"},
        "GetPersonalizedRanking": {
            "campaignArn": arns["ranking campaign"],
            "userId": "u1",
            "inputList": ["i1", "i2"],
        },
        "PutEvents": {
            "trackingId": tracking["trackingId"],
            "userId": "u1",
            "sessionId": "s",
            "eventList": [{"eventType": "view", "itemId": "i1", "sentAt": 1_700_100_000}],
        },
        "PutItems": {
            "datasetArn": arns["Items"],
            "items": [{"itemId": "i1", "properties": '{"genre": "war", "price": 5}'}],
        },
        "PutUsers": {
            "datasetArn": arns["Users"],
            "users": [{"userId": "u1", "properties": '{"age": 5}'}],
        },
        "PutActions": {"datasetArn": arns["Actions"], "actions": [{"actionId": "a"}]},
        "PutActionInteractions": {
            "trackingId": actions["trackingId"],
            "actionInteractions": [
                {
                    "actionId": "a",
                    "userId": "u1",
                    "sessionId": "s",
                    "timestamp": 1_700_100_000,
                    "eventType": "Taken",
                }
            ],
        },
    }


def _arn(resource_type: str) -> str:
    return f"{resource_type[0].lower()}{resource_type[1:]}Arn"
