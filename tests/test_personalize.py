"""The local Amazon Personalize, through boto3 over HTTP: from CSV files to recommendations."""

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.endpoint import Endpoint
from localaws.personalize import JobProgress, Personalize

ACCOUNT, REGION = "123456789012", "ap-northeast-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/personalize"
PREFIX = f"arn:aws:personalize:{REGION}:{ACCOUNT}"
METRICS = {
    "coverage",
    "mean_reciprocal_rank_at_25",
    "normalized_discounted_cumulative_gain_at_5",
    "normalized_discounted_cumulative_gain_at_10",
    "normalized_discounted_cumulative_gain_at_25",
    "precision_at_5",
    "precision_at_10",
    "precision_at_25",
}
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
        self.s3 = endpoint.client("s3")

    def put(self, key: str, text: str | bytes) -> str:
        """Write an object; its URL."""
        body = text.encode() if isinstance(text, str) else text
        self.s3.put_object(Bucket="data", Key=key, Body=body)
        return f"s3://data/{key}"

    def settled(self, kind: str, arn: str) -> dict[str, Any]:
        """The resource once its status is final."""
        member = kind[0].lower() + kind[1:]
        name = "".join(f"_{c.lower()}" if c.isupper() else c for c in kind)
        describe: Callable[..., dict[str, Any]] = getattr(self.personalize, f"describe{name}")
        for _ in range(3000):
            resource: dict[str, Any] = describe(**{f"{member}Arn": arn})[member]
            if not resource["status"].endswith(("PENDING", "IN_PROGRESS", "STOPPING")):
                return resource
            time.sleep(0.01)
        raise AssertionError(f"{arn} stays {resource['status']}")

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


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    endpoint = Endpoint(account=ACCOUNT, region=REGION)
    service = Personalize(
        account=ACCOUNT,
        region=REGION,
        s3=lambda: endpoint.client("s3"),
        directory=tmp_path_factory.mktemp("personalize"),
    )
    endpoint.mount("personalize", service)
    with endpoint:
        account = Account(endpoint)
        account.s3.create_bucket(
            Bucket="data", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        yield account
        service.close()


@pytest.fixture(scope="module")
def trained(account: Account) -> dict[str, str]:
    """A data set group with data, a solution and an ACTIVE version."""
    schema = account.schema("events", avro("Interactions", *INTERACTIONS, ("TIMESTAMP", "long")))
    group = account.group("labbase")
    dataset = account.dataset("labbase", "Interactions", schema)
    job = account.load("first", dataset, account.put("events/1.csv", events()))
    assert job["status"] == "ACTIVE"
    solution = account.solution("labbase", group, "aws-user-personalization")
    version = account.train(solution, name="first")
    assert version["status"] == "ACTIVE"
    return {
        "schema": schema,
        "group": group,
        "dataset": dataset,
        "solution": solution,
        "version": version["solutionVersionArn"],
    }


def refusal(call: Callable[..., Any], **request: Any) -> tuple[str, str]:
    """The code and message with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_version_has_metrics_and_recommends_what_its_users_like(
    account: Account, trained: dict[str, str]
) -> None:
    metrics = account.personalize.get_solution_metrics(solutionVersionArn=trained["version"])
    source = account.put("batch/in.json", '{"userId":"u3"}\n{"userId": 4}\n{"userId":"u4"}\nno\n')
    job = account.infer("likes", trained["version"], source, "s3://data/out", numResults=5)
    assert job["status"] == "ACTIVE"
    assert set(metrics["metrics"]) == METRICS
    assert all(0 <= value <= 1 for value in metrics["metrics"].values())

    keys = [o["Key"] for o in account.s3.list_objects_v2(Bucket="data", Prefix="out/")["Contents"]]
    assert keys == ["out/_CHECK", "out/in.json.out"]
    body = account.s3.get_object(Bucket="data", Key="out/in.json.out")["Body"].read()
    lines = [json.loads(line) for line in body.splitlines()]
    assert [line["input"] for line in lines] == [
        {"userId": "u3"},
        {"userId": 4},
        {"userId": "u4"},
        "no",
    ]
    assert [line["error"] and line["error"][:20] for line in lines] == [
        None,
        "must be of the form ",
        None,
        "not JSON: invalid li",
    ]
    assert lines[1]["output"] is None
    for line, parity in ((lines[0], 1), (lines[2], 0)):
        items, scores = line["output"]["recommendedItems"], line["output"]["scores"]
        assert [int(item[1:]) % 2 for item in items] == [parity] * 5
        assert scores == sorted(scores, reverse=True)
        assert 0 < sum(scores) <= 1.0001


def test_describe_tells_what_was_asked_for(account: Account, trained: dict[str, str]) -> None:
    solution = account.personalize.describe_solution(solutionArn=trained["solution"])["solution"]
    version = account.personalize.describe_solution_version(solutionVersionArn=trained["version"])
    version = version["solutionVersion"]
    job = account.personalize.describe_dataset_import_job(
        datasetImportJobArn=f"{PREFIX}:dataset-import-job/first"
    )["datasetImportJob"]
    assert solution["solutionArn"] == f"{PREFIX}:solution/labbase"
    assert solution["performAutoTraining"] is False
    assert solution["latestSolutionVersion"]["status"] == "ACTIVE"
    assert version["solutionVersionArn"].startswith(f"{PREFIX}:solution/labbase/")
    assert {name: version[name] for name in ("name", "trainingMode", "trainingType")} == {
        "name": "first",
        "trainingMode": "FULL",
        "trainingType": "MANUAL",
    }
    assert version["trainingHours"] >= 0.0001
    assert version["lastUpdatedDateTime"] >= version["creationDateTime"]
    assert job["importMode"] == "FULL"
    assert job["dataSource"] == {"dataLocation": "s3://data/events/1.csv"}


def test_the_same_data_and_seed_give_the_same_metrics(
    account: Account, trained: dict[str, str]
) -> None:
    again = account.train(trained["solution"])["solutionVersionArn"]
    first, second = (
        account.personalize.get_solution_metrics(solutionVersionArn=arn)["metrics"]
        for arn in (trained["version"], again)
    )
    assert first == second


def test_names_cannot_be_taken_twice(account: Account, trained: dict[str, str]) -> None:
    taken = "ResourceAlreadyExistsException"
    create = account.personalize
    assert refusal(create.create_dataset_group, name="labbase") == (
        taken,
        f"Another resource with Arn {PREFIX}:dataset-group/labbase already exists.",
    )
    code, message = refusal(
        create.create_solution_version, solutionArn=trained["solution"], name="first"
    )
    assert (code, trained["version"] in message) == (taken, True)
    assert (
        refusal(
            create.create_dataset_import_job,
            jobName="first",
            datasetArn=trained["dataset"],
            dataSource={"dataLocation": "s3://data/events/"},
        )[0]
        == taken
    )


def test_what_does_not_exist_is_not_found(account: Account, trained: dict[str, str]) -> None:
    lost = f"{PREFIX}:solution/lost"
    expected = ("ResourceNotFoundException", f"Resource Arn {lost} does not exist.")
    call = account.personalize
    assert refusal(call.describe_solution, solutionArn=lost) == expected
    assert refusal(call.create_solution_version, solutionArn=lost) == expected
    # A version's ARN is no solution's.
    assert refusal(call.describe_solution, solutionArn=trained["version"])[0] == expected[0]


def test_deletion_waits_for_what_depends(account: Account) -> None:
    schema = account.schema("gone", avro("Users", ("USER_ID", "string"), ("AGE", "int")))
    group = account.group("gone")
    dataset = account.dataset("gone", "Users", schema)
    call = account.personalize
    in_use = "ResourceInUseException"
    assert refusal(call.delete_schema, schemaArn=schema)[0] == in_use
    code, message = refusal(call.delete_dataset_group, datasetGroupArn=group)
    assert (code, message) == (in_use, f"{group} is used by {dataset} (ACTIVE); delete that first.")
    call.delete_dataset(datasetArn=dataset)
    call.delete_dataset_group(datasetGroupArn=group)
    call.delete_schema(schemaArn=schema)
    assert refusal(call.describe_schema, schemaArn=schema)[0] == "ResourceNotFoundException"
    account.schema("gone", avro("Users", ("USER_ID", "string"), ("AGE", "int")))
    call.delete_schema(schemaArn=schema)


def test_lists_come_in_pages_and_forged_tokens_are_told(
    account: Account, trained: dict[str, str]
) -> None:
    pages = list(
        account.personalize.get_paginator("list_recipes").paginate(PaginationConfig={"PageSize": 8})
    )
    names = [recipe["name"] for page in pages for recipe in page["recipes"]]
    assert [len(page["recipes"]) for page in pages] == [8, 8, 5]
    assert len(set(names)) == 21
    code = "InvalidNextTokenException"
    token = pages[0]["nextToken"]
    assert refusal(account.personalize.list_recipes, nextToken="Zm9yZ2Vk")[0] == code
    assert refusal(account.personalize.list_schemas, nextToken=token)[0] == code
    listed = account.personalize.list_datasets(datasetGroupArn=trained["group"])["datasets"]
    assert [one["datasetArn"] for one in listed] == [trained["dataset"]]


def test_tags_are_kept(account: Account, trained: dict[str, str]) -> None:
    call, arn = account.personalize, trained["group"]
    call.tag_resource(
        resourceArn=arn,
        tags=[{"tagKey": "team", "tagValue": "data"}, {"tagKey": "stage", "tagValue": "test"}],
    )
    call.untag_resource(resourceArn=arn, tagKeys=["stage"])
    assert call.list_tags_for_resource(resourceArn=arn)["tags"] == [
        {"tagKey": "team", "tagValue": "data"}
    ]


@pytest.mark.parametrize(
    ("key", "content", "reason"),
    [
        (None, "", "Invalid Data location."),
        (
            "a.csv",
            "USER_ID,TIMESTAMP\nu,1\n",
            "Input CSV is missing the following columns:[ITEM_ID, EVENT_TYPE].",
        ),
        ("B.csv", "USER_ID,USER_ID\n", "B.csv, line 1: USER_ID stands there twice"),
        ("b.csv", '"USER_ID",ITEM_ID\n', "b.csv, line 1: column names must not be quoted"),
        (
            "c.csv",
            HEADER + 'u,"i\n\n1",v,1\nu,i,v,1700000000000\n,i,v\n\nu,,v,x\n',
            "c.csv, line 6: 3 values, the header has 4; "
            "c.csv, line 8, column ITEM_ID: is empty, but never null in the schema; "
            "c.csv, line 5, column TIMESTAMP: '1700000000000' is too large for epoch seconds; "
            "it looks like milliseconds, divide by 1,000; "
            "c.csv, line 8, column TIMESTAMP: 'x' is no time in epoch seconds",
        ),
        (
            "d.csv",
            HEADER + "u" * 257 + ",i,v,1\n",
            "d.csv, line 2, column USER_ID: 257 characters; at most 256 are allowed",
        ),
        (
            "e.csv",
            events(999),
            "Dataset has fewer than 1000 interactions: 999 in s3://data/faults/e.csv.",
        ),
        (
            "f.csv",
            HEADER.encode() + b"\xe9,i,v,1\n",
            "f.csv: not UTF-8 (byte 0xe9 invalid continuation byte); save it as UTF-8",
        ),
        ("g.csv", b"\x1f\x8b\x08", "g.csv: gzip is not supported; unpack the file"),
        ("h.csv", HEADER + 'u,"i', "h.csv, line 2: unexpected end of data"),
    ],
)
def test_an_import_tells_why_it_failed(
    account: Account, trained: dict[str, str], key: str | None, content: str | bytes, reason: str
) -> None:
    location = account.put(f"faults/{key}", content) if key else "s3://data/nowhere/"
    name = key[0] if key else "none"
    job = account.load(f"fault-{name}", trained["dataset"], location)
    assert (job["status"], job["failureReason"]) == ("CREATE FAILED", reason)


def test_a_failed_import_leaves_the_data_as_they_were(
    account: Account, trained: dict[str, str]
) -> None:
    account.load("broken", trained["dataset"], account.put("broken.csv", HEADER + "u,i,v,x\n"))
    assert account.train(trained["solution"])["status"] == "ACTIVE"


def test_null_incremental_rows_and_several_files(account: Account) -> None:
    """Items of two files, one replaced and one added later; a new item can be recommended."""
    group = account.group("posts")
    nullable = avro("Items", ("ITEM_ID", "string"), ("FIELD", ["null", "string"]))
    items = account.dataset("posts", "Items", account.schema("posts", nullable))
    more = account.put("more/1.csv", "ITEM_ID,FIELD\ni0,physics\nnew,\n")
    call = account.personalize.create_dataset_import_job
    code, message = refusal(
        call,
        jobName="posts-early",
        datasetArn=items,
        dataSource={"dataLocation": more},
        importMode="INCREMENTAL",
    )
    assert code == "InvalidInputException"
    assert message.startswith("importMode INCREMENTAL needs an earlier import")
    account.put("posts/1.csv", "FIELD,ITEM_ID,NOT_IN_SCHEMA\nbiology,i0,x\n,i1,\n")
    account.put("posts/2.csv", 'ITEM_ID,FIELD\r\ni2,"a, b"\r\n')
    assert account.load("posts", items, "s3://data/posts/")["status"] == "ACTIVE"
    assert account.load("posts-2", items, more, importMode="INCREMENTAL")["status"] == "ACTIVE"

    clicks = avro("Interactions", *INTERACTIONS, ("TIMESTAMP", "long"))
    dataset = account.dataset("posts", "Interactions", account.schema("clicks", clicks))
    account.load("clicks", dataset, account.put("clicks.csv", events()))
    version = account.train(account.solution("posts", group, "aws-popularity-count"))
    source = account.put("posts.json", '{"userId":"u1"}\n')
    account.infer(
        "posts", version["solutionVersionArn"], source, "s3://data/posts-out/", numResults=500
    )
    body = account.s3.get_object(Bucket="data", Key="posts-out/posts.json.out")["Body"].read()
    recommended = json.loads(body)["output"]["recommendedItems"]
    assert sorted(recommended) == sorted(["new", *(f"i{n}" for n in range(40))])
    assert recommended[-1] == "new"


def test_training_tells_why_it_failed(account: Account) -> None:
    group = account.group("few")
    schema = account.schema("few", avro("Interactions", *INTERACTIONS, ("TIMESTAMP", "long")))
    dataset = account.dataset("few", "Interactions", schema)
    solution = account.solution("few", group, "aws-user-personalization-v2")
    applies = account.solution("few-applies", group, "aws-popularity-count", eventType="apply")
    code, message = refusal(account.personalize.create_solution_version, solutionArn=solution)
    assert (code, message) == (
        "InvalidInputException",
        f"{group} has no Interactions data; import some first",
    )
    account.load("few", dataset, account.put("few.csv", events(1200, users=24)))
    version = account.train(solution)
    assert (version["status"], version["failureReason"]) == (
        "CREATE FAILED",
        "Create failed. Dataset has fewer than 25 users with at least 2 interactions each.",
    )
    assert account.train(applies)["failureReason"] == (
        "Dataset has fewer than 1000 interactions after filtering by event type: apply"
    )
    arn = version["solutionVersionArn"]
    call = account.personalize
    assert refusal(call.get_solution_metrics, solutionVersionArn=arn) == (
        "ResourceInUseException",
        f"Resource {arn} is CREATE FAILED; it must be ACTIVE. Create another one.",
    )
    with pytest.raises(ClientError, match="ResourceInUseException"):
        account.infer("few", arn, "s3://data/x", "s3://data/y")


def test_batch_inference_tells_why_it_failed(account: Account, trained: dict[str, str]) -> None:
    source = account.put("users.json", '{"userId":"u1"}\n')
    version = trained["version"]
    reasons = [
        account.infer("no-input", version, "s3://data/none/", "s3://data/o")["failureReason"],
        account.infer("no-output", version, source, "s3://missing/o")["failureReason"],
    ]
    assert reasons == ["Invalid S3 input path", "Invalid S3 output path"]
    with pytest.raises(ClientError, match=r"numResults must be in \[1, 500\], not 501"):
        account.infer("many", version, source, "s3://data/o", numResults=501)
    with pytest.raises(ClientError, match="filterArn: not supported"):
        account.infer("filter", version, source, "s3://data/o", filterArn=f"{PREFIX}:filter/x")


def test_a_prefix_takes_in_all_that_begins_so(account: Account, trained: dict[str, str]) -> None:
    for key in ("p/in/a.json", "p/in/b.json", "p/in_test/c.json"):
        account.put(key, '{"userId":"u1"}\n')
    account.infer("slash", trained["version"], "s3://data/p/in/", "s3://data/slash/")
    account.infer("prefix", trained["version"], "s3://data/p/in", "s3://data/prefix/")

    def written(prefix: str) -> list[str]:
        found = account.s3.list_objects_v2(Bucket="data", Prefix=prefix)["Contents"]
        return [one["Key"].removeprefix(prefix) for one in found]

    assert written("slash/") == ["_CHECK", "a.json.out", "b.json.out"]
    assert written("prefix/") == ["_CHECK", "in/a.json.out", "in/b.json.out", "in_test/c.json.out"]


def test_hyperparameters_are_searched(account: Account, trained: dict[str, str]) -> None:
    config = {
        "hpoConfig": {
            "hpoResourceConfig": {"maxNumberOfTrainingJobs": "2"},
            "algorithmHyperParameterRanges": {
                "integerHyperParameterRanges": [
                    {"name": "hidden_dimension", "minValue": 32, "maxValue": 36}
                ]
            },
        }
    }
    solution = account.solution(
        "searched",
        trained["group"],
        "aws-user-personalization",
        performHPO=True,
        solutionConfig=config,
    )
    version = account.train(solution)
    tuned = version["tunedHPOParams"]["algorithmHyperParameters"]
    assert tuned["hidden_dimension"] in {"32", "36"}
    assert set(tuned) == {"hidden_dimension", "bptt", "recency_mask"}


def test_automl_chooses_the_better_recipe(account: Account, trained: dict[str, str]) -> None:
    names = ("aws-popularity-count", "aws-user-personalization")
    arns = [f"arn:aws:personalize:::recipe/{name}" for name in names]
    config = {"autoMLConfig": {"recipeList": arns}}
    solution = account.solution(
        "chosen", trained["group"], performAutoML=True, solutionConfig=config
    )
    version = account.train(solution)
    result = account.personalize.describe_solution(solutionArn=solution)["solution"]
    assert result["autoMLResult"] == {"bestRecipeArn": arns[1]}
    assert version["recipeArn"] == arns[1]


def test_a_solution_is_refused_with_every_fault(account: Account, trained: dict[str, str]) -> None:
    def faults(recipe: str, **more: Any) -> str:
        code, message = refusal(
            account.personalize.create_solution,
            name="refused",
            datasetGroupArn=trained["group"],
            recipeArn=f"arn:aws:personalize:::recipe/{recipe}",
            **more,
        )
        assert code == "InvalidInputException"
        return message

    assert faults("aws-user-personalisation").endswith(
        "did you mean arn:aws:personalize:::recipe/aws-user-personalization?"
    )
    assert faults("aws-sims") == "aws-sims is not trained by this local Personalize yet"
    assert faults("aws-hrnn") == "recipe aws-hrnn is retired; use aws-user-personalization-v2"
    config = {
        "algorithmHyperParameters": {"hidden_dimension": "16", "bpt": "x"},
        "eventValueThreshold": "high",
    }
    assert faults("aws-user-personalization", solutionConfig=config).split("; ") == [
        "solutionConfig.eventValueThreshold must be a number, not 'high'",
        "recipe aws-user-personalization: hidden_dimension must be in [32, 256], not '16'",
        "recipe aws-user-personalization has no parameter 'bpt'",
        "did you mean bptt?",
    ]


def test_a_schema_is_refused_with_the_place_of_every_fault(account: Account) -> None:
    text = """{
  "type": "record", "name": "Interactions", "namespace": "com.amazonaws.personalize.schema",
  "fields": [
    {"name": "USER_ID", "type": ["string", "null"]},
    {"name": "TIMESTAMP", "type": "long", "categorial": true},
    {"name": "TAGS", "type": {"type": "array", "items": "string"}},
      {"name": "EVENT_TYPE", "type": "string", "categorical": true},
    {"name": "EVENTTYPE", "type": "string"}
  ]
}"""
    code, message = refusal(account.personalize.create_schema, name="faulty", schema=text)
    assert code == "InvalidInputException"
    assert message.splitlines() == [
        "invalid schema: version: is missing; write '1.0'",
        "line 4, column 5, field 'USER_ID': must be of type string without null; "
        'write "type": "string"',
        "line 5, column 5, field 'TIMESTAMP': unknown attribute 'categorial'; "
        "did you mean 'categorical'?",
        "line 6, column 5, field 'TAGS': type {'type': 'array', 'items': 'string'} is not "
        "supported; use one of float, double, int, long, string, boolean, or a pair of it and "
        "null; join several values of one field by | in a string",
        "line 7, column 7, field 'EVENT_TYPE': must not be categorical; remove \"categorical\"",
        'fields: ITEM_ID is missing; add {"name": "ITEM_ID", "type": "string"}',
        "fields: EVENT_TYPE and EVENTTYPE are the same without _; rename one",
    ]
    code, message = refusal(account.personalize.create_schema, name="faulty", schema='{\n "a" 1}')
    assert message == "invalid schema: line 2, column 6: not JSON: Expecting ':' delimiter"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            avro("Things", ("A", "int")),
            "name: is 'Things'; write 'Interactions' or 'Users' or 'Items'",
        ),
        (
            avro("Users", ("USER_ID", "string")),
            "fields: Users needs a metadata field besides USER_ID",
        ),
        (avro("Users", ("USER_ID", "string"), ("1ST", "int")), "name must be letters"),
        (
            avro("Users", ("USER_ID", "string"), *((f"F{n}", "int") for n in range(26))),
            "fields: 26 metadata fields; Users has at most 25",
        ),
        (
            avro("Items", ("ITEM_ID", "string"), ("CREATION_TIMESTAMP", "int")),
            "is reserved and must be of type long, or a pair of it and null",
        ),
        (
            avro("Items", ("ITEM_ID", "string"), ("A", "int")).replace(
                '"A"', '"A", "textual": true'
            ),
            "only a string can be categorical or textual, not int",
        ),
        (
            avro("Users", ("USER_ID", "string"), ("A", "string")).replace(
                '"A"', '"A", "textual": true'
            ),
            "Users cannot have a textual field; only Items can",
        ),
        (
            avro("Items", ("ITEM_ID", "string"), ("A", "string"), ("B", "string"))
            .replace('"A"', '"A", "textual": true')
            .replace('"B"', '"B", "textual": true'),
            "fields: A, B are textual; only one field can be",
        ),
        (avro("Users"), "fields: must be a list with at least one field"),
        ("[]", "line 1, column 1: a schema is a JSON object of type record"),
    ],
)
def test_a_schema_keeps_the_rules_of_its_dataset(account: Account, text: str, fault: str) -> None:
    code, message = refusal(account.personalize.create_schema, name="broken", schema=text)
    assert (code, fault in message) == ("InvalidInputException", True), message


def test_every_type_of_value_is_read_and_checked(account: Account) -> None:
    fields = ("int", "long", "float", "double", "boolean", "string")
    text = avro(
        "Users", ("USER_ID", "string"), *((f"A_{kind}".upper(), kind) for kind in fields)
    ).replace('"A_STRING"', '"A_STRING", "categorical": true')
    account.group("typed")
    dataset = account.dataset("typed", "Users", account.schema("typed", text))
    header = "USER_ID,A_INT,A_LONG,A_FLOAT,A_DOUBLE,A_BOOLEAN,A_STRING\n"
    good = "u1,-2147483648,9223372036854775807,1e-3,-.5,true,a|b\nu2,1,2,3,4,false,日本\n"
    assert (
        account.load("good", dataset, account.put("t/a.csv", header + good))["status"] == "ACTIVE"
    )
    bad = f"u1,2147483648,9223372036854775808,nan,1_0,True,{'x' * 1001}\n"
    job = account.load("bad", dataset, account.put("t/b.csv", header + bad))
    assert job["failureReason"].split("; ") == [
        "b.csv, line 2, column A_INT: '2147483648' is no int",
        "b.csv, line 2, column A_LONG: '9223372036854775808' is no long",
        "b.csv, line 2, column A_FLOAT: 'nan' is no float",
        "b.csv, line 2, column A_DOUBLE: '1_0' is no double",
        "b.csv, line 2, column A_BOOLEAN: 'True' is no boolean",
        "write true or false in lower case",
        "b.csv, line 2, column A_STRING: 1001 characters",
        "at most 1,000 are allowed",
    ]


def test_what_is_not_built_is_refused_by_name(account: Account, trained: dict[str, str]) -> None:
    call = account.personalize
    asked: list[tuple[Callable[..., Any], dict[str, Any], str]] = [
        (call.create_dataset_group, {"name": "n", "domain": "ECOMMERCE"}, "domain: not supported"),
        (
            call.create_solution_version,
            {"solutionArn": trained["solution"], "trainingMode": "UPDATE"},
            "trainingMode UPDATE is not supported",
        ),
        (
            call.create_dataset,
            {
                "name": "n",
                "datasetType": "Actions",
                "schemaArn": trained["schema"],
                "datasetGroupArn": trained["group"],
            },
            "datasetType 'Actions' is not supported here; use one of Interactions, Users, Items",
        ),
        (
            call.create_dataset,
            {
                "name": "n",
                "datasetType": "Users",
                "schemaArn": trained["schema"],
                "datasetGroupArn": trained["group"],
            },
            f"schema {trained['schema']} describes Interactions, the dataset is USERS",
        ),
        (
            call.create_campaign,
            {"name": "n", "solutionVersionArn": trained["version"]},
            "CreateCampaign is not supported by the local personalize",
        ),
    ]
    for operation, request, text in asked:
        code, message = refusal(operation, **request)
        assert (code, message.startswith(text)) == ("InvalidInputException", True), message


def test_automatic_training_is_reported_as_on_aws(
    account: Account, trained: dict[str, str]
) -> None:
    arn = account.personalize.create_solution(
        name="automatic",
        datasetGroupArn=trained["group"],
        recipeArn="arn:aws:personalize:::recipe/aws-popularity-count",
    )["solutionArn"]
    assert account.settled("Solution", arn)["performAutoTraining"] is True


def test_only_events_of_enough_value_are_trained_on(account: Account) -> None:
    """1,000 of 1,200 events have the value; with a higher threshold too few are left."""
    group = account.group("valued")
    fields = ("USER_ID", "string"), ("ITEM_ID", "string"), ("TIMESTAMP", "long")
    value = ("EVENT_VALUE", ["null", "float"])
    schema = account.schema("valued", avro("Interactions", *fields, value))
    dataset = account.dataset("valued", "Interactions", schema)
    lines = [
        f"u{n % 60},i{n % 7},{1_700_000_000 + n},{'' if n % 6 == 0 else n % 6}\n"
        for n in range(1200)
    ]
    location = account.put("valued.csv", "USER_ID,ITEM_ID,TIMESTAMP,EVENT_VALUE\n" + "".join(lines))
    assert account.load("valued", dataset, location)["status"] == "ACTIVE"
    ends = []
    for threshold in ("1", "1.5"):
        solution = account.solution(
            f"valued-{threshold[-1]}",
            group,
            "aws-popularity-count",
            solutionConfig={"eventValueThreshold": threshold},
        )
        version = account.train(solution)
        ends.append((version["status"], version.get("failureReason")))
    assert ends == [
        ("ACTIVE", None),
        ("CREATE FAILED", "Dataset has fewer than 1000 interactions"),
    ]


class Bucket:
    """An S3 in memory, whose listing waits until `open` is set."""

    def __init__(self, **objects: str) -> None:
        self.objects = objects
        self.open = threading.Event()
        self.open.set()

    def list_objects_v2(self, **_: Any) -> dict[str, Any]:
        """Every object."""
        self.open.wait(10)
        return {"Contents": [{"Key": k, "Size": len(v)} for k, v in self.objects.items()]}

    def get_object(self, **request: Any) -> dict[str, Any]:
        """One object."""
        return {"Body": io.BytesIO(self.objects[request["Key"]].encode())}


class Alone:
    """A service without a network: its operations called through WSGI."""

    def __init__(self, directory: Path, bucket: Any, region: str = REGION) -> None:
        self.service = Personalize(
            account=ACCOUNT, region=region, s3=lambda: bucket, directory=directory
        )

    def __call__(self, operation: str, **request: Any) -> dict[str, Any]:
        """Call an operation; an error is its code."""
        body = json.dumps(request).encode()
        environ = {
            "HTTP_X_AMZ_TARGET": f"AmazonPersonalize.{operation}",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
        }
        answer: dict[str, Any] = json.loads(b"".join(self.service(environ, lambda *_: None)))  # type: ignore[arg-type]
        return answer

    def until(self, status: str, operation: str, **request: Any) -> str:
        """Ask until a status comes, or another that is final; the last one."""
        for _ in range(1000):
            answer = next(iter(self(operation, **request).values()))["status"]
            if answer == status or answer in {"ACTIVE", "CREATE FAILED", "CREATE STOPPED"}:
                return str(answer)
            time.sleep(0.01)
        raise AssertionError(f"{operation} {request} stays {answer}")

    def import_events(self, jobs: int = 1) -> tuple[str, list[dict[str, Any]]]:
        """A group with an Interactions dataset, and import jobs into it."""
        group = self("CreateDatasetGroup", name="g")["datasetGroupArn"]
        text = avro("Interactions", *INTERACTIONS, ("TIMESTAMP", "long"))
        schema = self("CreateSchema", name="s", schema=text)["schemaArn"]
        self.until("ACTIVE", "DescribeDatasetGroup", datasetGroupArn=group)
        dataset = self(
            "CreateDataset",
            name="d",
            schemaArn=schema,
            datasetGroupArn=group,
            datasetType="Interactions",
        )["datasetArn"]
        self.until("ACTIVE", "DescribeDataset", datasetArn=dataset)
        return group, [
            self(
                "CreateDatasetImportJob",
                jobName=f"job-{number}",
                datasetArn=dataset,
                dataSource={"dataLocation": "s3://b/events.csv"},
            )
            for number in range(jobs)
        ]


def test_jobs_run_behind_the_request_and_at_most_five_wait(tmp_path: Path) -> None:
    """Two of five run, the sixth is refused; what runs is in the progress."""
    bucket = Bucket(**{"events.csv": events()})
    bucket.open.clear()
    alone = Alone(tmp_path, bucket)
    _, jobs = alone.import_events(6)
    arns = [job.get("datasetImportJobArn") for job in jobs]
    try:
        assert jobs[5]["__type"] == "LimitExceededException"
        assert jobs[5]["message"] == "More than 5 resources with PENDING or IN_PROGRESS status."
        seen = [
            alone.until(status, "DescribeDatasetImportJob", datasetImportJobArn=arn)
            for status, arn in zip(
                ["CREATE IN_PROGRESS"] * 2 + ["CREATE PENDING"] * 3, arns[:5], strict=True
            )
        ]
        assert seen == ["CREATE IN_PROGRESS"] * 2 + ["CREATE PENDING"] * 3
        assert alone.service.progress() == [
            JobProgress(f"{PREFIX}:dataset-import-job/job-{number}", "dataset import", 0.0)
            for number in (0, 1)
        ]
        dataset = f"{PREFIX}:dataset/g/INTERACTIONS"
        assert alone("DeleteDataset", datasetArn=dataset)["__type"] == "ResourceInUseException"
        bucket.open.set()
        ends = [
            alone.until("ACTIVE", "DescribeDatasetImportJob", datasetImportJobArn=arn)
            for arn in arns[:5]
        ]
        assert ends == ["ACTIVE"] * 5
    finally:
        bucket.open.set()
        alone.service.close()
    assert alone.service.progress() == []


def test_trainings_can_be_stopped_and_close_ends_the_rest(tmp_path: Path) -> None:
    """Two searches that would take many seconds run, eighteen versions wait, all end at once."""
    alone = Alone(tmp_path, Bucket(**{"events.csv": events(20_000, users=1000, items=600)}))
    try:
        group, (job,) = alone.import_events()
        assert alone.until("ACTIVE", "DescribeDatasetImportJob", **job) == "ACTIVE"
        solution = alone(
            "CreateSolution",
            name="s",
            datasetGroupArn=group,
            recipeArn="arn:aws:personalize:::recipe/aws-user-personalization",
            performHPO=True,
            solutionConfig={"hpoConfig": {"hpoResourceConfig": {"maxNumberOfTrainingJobs": "8"}}},
        )
        alone.until("ACTIVE", "DescribeSolution", **solution)
        versions = [alone("CreateSolutionVersion", **solution) for _ in range(21)]
        refused = versions.pop()
        assert (refused["__type"], refused["message"]) == (
            "LimitExceededException",
            "More than 20 resources with PENDING or IN_PROGRESS status.",
        )
        running, last = versions[0], versions[-1]
        describe = "DescribeSolutionVersion"
        assert alone.until("CREATE IN_PROGRESS", describe, **running) == "CREATE IN_PROGRESS"
        assert {job.kind for job in alone.service.progress()} == {"training"}
        assert alone("DeleteSolution", **solution)["__type"] == "ResourceInUseException"
        assert alone("GetSolutionMetrics", **running)["__type"] == "ResourceInUseException"
        begun = time.monotonic()
        for version in (last, running):
            assert alone("StopSolutionVersionCreation", **version) == {}
            assert alone.until("CREATE STOPPED", describe, **version) == "CREATE STOPPED"
        assert time.monotonic() - begun < 3
        again = alone("StopSolutionVersionCreation", **running)
        assert again["__type"] == "ResourceInUseException"
    finally:
        begun = time.monotonic()
        alone.service.close()
    assert time.monotonic() - begun < 3
    assert alone.service.progress() == []
    assert list(tmp_path.rglob("*.npz")) == []


def test_of_many_who_take_a_name_at_once_one_gets_it(tmp_path: Path) -> None:
    alone = Alone(tmp_path, Bucket())
    text = avro("Users", ("USER_ID", "string"), ("AGE", "int"))
    try:
        with ThreadPoolExecutor(8) as threads:
            answers = list(
                threads.map(lambda _: alone("CreateSchema", name="s", schema=text), range(24))
            )
    finally:
        alone.service.close()
    codes = [answer.get("__type", "created") for answer in answers]
    assert codes.count("created") == 1
    assert codes.count("ResourceAlreadyExistsException") == 23


def test_the_partition_follows_the_region(tmp_path: Path) -> None:
    alone = Alone(tmp_path, Bucket(), region="cn-north-1")
    try:
        group = alone("CreateDatasetGroup", name="g")["datasetGroupArn"]
        recipe = alone("ListRecipes", maxResults=1)["recipes"][0]["recipeArn"]
    finally:
        alone.service.close()
    assert group == f"arn:aws-cn:personalize:cn-north-1:{ACCOUNT}:dataset-group/g"
    assert recipe == "arn:aws-cn:personalize:::recipe/aws-user-personalization-v2"
