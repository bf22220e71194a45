"""Runs in which no data have changed: what is still left to do of the list, and at what price.

As in `test_resumption`, a script writes a few rows in place of the Spark job; the object `news` of
the bucket changes them.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from localaws.aws import LocalAws
from tests.workflow.runs import test_resumption
from tests.workflow.runs.test_resumption import CONFIG, SCRIPT, Shop
from workflow import load_config, parse_config

INCREMENTS = f"{CONFIG}\n[increments]\n"
GATE = "[gate.metrics.precision_at_25]\nminimum = {}\n"
DELIVERY = '[delivery]\nto = "dynamodb"\ntable = "{}"\n'
CAMPAIGN = "[campaigns.home]\n"
HASHED = SCRIPT.replace(
    "users = range(30)\n",
    'news = s3.list_objects_v2(Bucket=bucket, Prefix="news").get("KeyCount")\nusers = range(30)\n',
).replace('"rows": ', '"contentHash": str(news), "rows": ')


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    directory = tmp_path_factory.mktemp("shop")
    file = directory / "retraining.toml"
    file.write_text(INCREMENTS, encoding="utf-8")
    with (
        pytest.MonkeyPatch.context() as patch,
        LocalAws(
            directory=directory / "aws",
            is_kept=False,
            account="123456789012",
            region="eu-central-1",
            time_scale=0,
        ) as aws,
    ):
        patch.setattr(test_resumption, "SCRIPT", HASHED)
        yield Shop(aws, load_config(file), file, breakable={})


@pytest.fixture
def shop(deployed: Shop) -> Iterator[Shop]:
    yield deployed
    deployed.deploy(parse_config(INCREMENTS))


def decision(shop: Shop, run: str) -> tuple[str, str]:
    """Run, and return what the run went on with and why."""
    shop.run(run)
    record = read(shop, f"runs/{run}/record/increment.json")
    return record["step"], record["why"]


def read(shop: Shop, key: str) -> Any:
    body = shop.s3.get_object(Bucket=shop.config.bucket, Key=key)["Body"].read()
    return json.loads(body)


def versions(shop: Shop) -> int:
    return len(shop.aws.client("personalize").list_solution_versions()["solutionVersions"])


NOTHING = ("nothing", "nothing has changed since the published list")


def test_a_version_that_the_gate_refused_is_judged_by_new_rules_without_a_training(
    shop: Shop,
) -> None:
    first = shop.latest()["solutionVersionArn"]
    shop.put("news", "")
    shop.deploy(parse_config(INCREMENTS + GATE.format(1.0)))
    assert decision(shop, "refused") == ("training", "USERS, INTERACTIONS changed")
    degraded = shop.latest()
    refused = degraded["degraded"]["refusedSolutionVersionArn"]
    assert degraded["solutionVersionArn"] == first != refused
    assert decision(shop, "by-the-same-rules") == NOTHING

    shop.deploy(parse_config(f"{INCREMENTS}{GATE.format(1.0)}{'[filter]'}\nkeep = 4\n"))
    assert decision(shop, "another-list")[0] == "inference"
    assert shop.latest()["degraded"]["refusedSolutionVersionArn"] == refused, "it still is"
    assert shop.latest()["solutionVersionArn"] == first

    shop.deploy(parse_config(f"{INCREMENTS}{GATE.format(0.0)}{'[filter]'}\nkeep = 4\n"))
    why = "the rules of the gate have changed since it refused the newest solution version"
    assert decision(shop, "by-new-rules") == ("inference", why)
    latest = shop.latest()
    assert (latest["run"], latest["solutionVersionArn"]) == ("by-new-rules", refused)
    assert "degraded" not in latest
    assert versions(shop) == 2
    shop.deploy(parse_config(f"{INCREMENTS}{GATE.format(0.001)}{'[filter]'}\nkeep = 4\n"))
    assert decision(shop, "not-refused") == NOTHING


def test_a_list_that_was_not_delivered_is_delivered_by_the_next_run(shop: Shop) -> None:
    decision(shop, "published")
    before = versions(shop)
    shop.deploy(parse_config(INCREMENTS + DELIVERY.format("lists")))
    why = "the published list was not delivered into table 'lists'"
    make_table(shop, "lists")
    shop.aws.faults.inject("error Denied 400", service="dynamodb", operation="BatchWriteItem")
    try:
        assert decision(shop, "refused-by-table") == ("inference", why)
    finally:
        shop.aws.faults.clear()
    assert read(shop, "runs/refused-by-table/record/delivery.json")["status"] == "FAILED"
    assert shop.latest()["run"] == "refused-by-table"

    assert decision(shop, "into-table") == ("inference", why)
    assert read(shop, "runs/into-table/record/delivery.json")["status"] == "DELIVERED"
    assert decision(shop, "delivered") == NOTHING

    make_table(shop, "others")
    shop.deploy(parse_config(INCREMENTS + DELIVERY.format("others")))
    assert decision(shop, "into-others")[0] == "inference"
    assert versions(shop) == before


def test_a_campaign_that_does_not_serve_the_published_version_is_updated_by_the_next_run(
    shop: Shop,
) -> None:
    decision(shop, "made")
    shop.deploy(parse_config(INCREMENTS + CAMPAIGN))
    why = "campaign 'home' does not serve the published list's version"
    assert decision(shop, "campaigning") == ("inference", why)
    assert decision(shop, "following") == NOTHING

    personalize, home = shop.aws.client("personalize"), shop.config.campaign_arn("home")
    assert (
        personalize.describe_campaign(campaignArn=home)["campaign"]["solutionVersionArn"]
        == shop.latest()["solutionVersionArn"]
    )
    personalize.delete_campaign(campaignArn=home)
    assert decision(shop, "deleted") == ("inference", why)


def make_table(shop: Shop, name: str) -> None:
    dynamodb = shop.aws.client("dynamodb")
    keys = {"USER_ID": "HASH", "RUN": "RANGE"}
    dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()],
        BillingMode="PAY_PER_REQUEST",
    )
    expiry = {"Enabled": True, "AttributeName": "EXPIRES"}
    dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=expiry)
