"""`[delivery]`: the state in the graph, the Spark job's table, permissions, mistakes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from workflow import parse_config
from workflow.config import Config
from workflow.definition.render import render, structural_faults
from workflow.definition.stages import Stages
from workflow.deployment.permissions import permission_policy
from workflow.errors import StructureError
from workflow.mistakes import ConfigError

EXAMPLE = (Path(__file__).parents[3] / "retraining.toml").read_text(encoding="utf-8")
DATABASE = '\n[delivery]\nto = "database"\ntable = "shop.lists"\n'
DYNAMODB = '\n[delivery]\nto = "dynamodb"\ntable = "lists"\n'


def config_with(delivery: str) -> Config:
    return parse_config(EXAMPLE + delivery)


def mistakes(delivery: str) -> list[tuple[str, str, str]]:
    with pytest.raises(ConfigError) as caught:
        config_with(delivery)
    return [(mistake.key, mistake.rule, mistake.fix) for mistake in caught.value.mistakes]


def states(config: Config) -> dict[str, Any]:
    definition = json.loads(render(config))
    assert list(structural_faults(definition)) == []
    found: dict[str, Any] = definition["States"]
    return found


def test_the_spark_job_delivers_after_the_publication() -> None:
    config = config_with(DATABASE)
    found = states(config)
    assert found["Filter Recommended Item"]["Next"] == "Deliver Recommendations"
    state = found["Deliver Recommendations"]
    assert state["Resource"] == "arn:aws:states:::glue:startJobRun.sync"
    assert state["Parameters"]["JobName"] == found["ETL"]["Parameters"]["JobName"]
    assert state["Parameters"]["Arguments"]["--task"] == "deliver"
    assert state["Parameters"]["Arguments"]["--spec"] == f"s3://{config.bucket}/{config.spec_key}"
    assert state["ResultPath"] is None
    assert state["Retry"] == found["ETL"]["Retry"]  # the job tries passing faults again itself
    assert state["Catch"][0]["Next"] == "Report Failure"
    assert state["End"] is True


def test_a_function_delivers_into_dynamodb() -> None:
    state = states(config_with(DYNAMODB))["Deliver Recommendations"]
    assert state["Resource"] == "arn:aws:states:::lambda:invoke"
    payload = state["Parameters"]["Payload"]
    assert (payload["table"], payload["expireDays"]) == ("lists", 30)
    assert state["ResultPath"] is None


def test_without_the_table_nothing_is_delivered() -> None:
    config = config_with("")
    assert "Deliver Recommendations" not in states(config)
    assert config.job_spec().delivery is None
    with pytest.raises(StructureError, match=r"add the table \[delivery\] to the configuration"):
        Stages(config).deliver()


def test_the_columns_are_the_list_s_in_small_letters_unless_they_are_named() -> None:
    delivery = (
        config_with(DATABASE + 'columns = { USER_ID = "student_id", RUN = "run" }\n')
        .job_spec()
        .delivery
    )
    assert delivery is not None
    assert delivery.table == "shop.lists"
    assert delivery.columns == {
        "USER_ID": "student_id",
        "ITEM_ID": "item_id",
        "RANK": "rank",
        "SCORE": "score",
        "RUN": "run",
    }
    assert config_with(DYNAMODB).job_spec().delivery is None


def test_permissions_are_given_only_for_what_is_delivered() -> None:
    def sids(role: Any, delivery: str) -> set[str]:
        statements = permission_policy(config_with(delivery), role)["Statement"]
        return {statement["Sid"] for statement in statements}

    for_functions = {"ReadPublishedList", "DeliverToTable", "RecordDelivery"}
    assert sids("functions", DYNAMODB) - sids("functions", "") == for_functions
    assert sids("functions", DATABASE) == sids("functions", "")
    assert sids("glue", DATABASE) - sids("glue", "") == {"ReadPublishedList"}
    assert sids("glue", DYNAMODB) == sids("glue", "")
    assert sids("states", DATABASE) == sids("states", "")
    statements = permission_policy(config_with(DYNAMODB), "functions")["Statement"]
    table = [each["Resource"] for each in statements if each["Sid"] == "DeliverToTable"]
    assert table == [["arn:aws:dynamodb:ap-northeast-1:123456789012:table/lists"]]


def test_every_mistake_is_named() -> None:
    assert mistakes(DATABASE + 'columns = { USERID = "a", ITEM_ID = "user_id" }\n') == [
        ("delivery.columns.USERID", "the list has no such column", "did you mean USER_ID?"),
        (
            "delivery.columns.ITEM_ID",
            "USER_ID goes into the column 'user_id' already",
            "name another column",
        ),
    ]
    assert mistakes(DATABASE + 'columns = { RUN = "Score", RANK = "RANK" }\n') == [
        (
            "delivery.columns.RUN",
            "SCORE goes into the column 'score' already, and Spark's columns know no case",
            "name another column",
        )
    ]
    assert mistakes(DATABASE + 'columns = { RUN = "" }\n')[0][:2] == (
        "delivery.columns.RUN",
        "the name of a column is empty",
    )
    assert mistakes(DATABASE + "expire_days = 7\n")[0][0] == "delivery.expire_days"
    assert mistakes(DYNAMODB + 'columns = { RUN = "run" }\n')[0][0] == "delivery.columns"
    assert mistakes(DYNAMODB.replace('"lists"', '"my lists"'))[0][:2] == (
        "delivery.table",
        "DynamoDB has no table of such a name",
    )
    assert mistakes('\n[delivery]\nto = "mongodb"\ntable = "x"\n')[0][0] == "delivery.to"


READ = "reads it, and the list replaces all of its rows"


@pytest.mark.parametrize(
    ("table", "reader"),
    [
        ("events", "datasets.interactions"),
        ('"events"', "datasets.interactions"),
        ("students", "datasets.users"),
        ("departments", "datasets.users"),
        ("public.job_postings", "datasets.items"),
        ("bookings", "filter.exclusions"),
        ("posts", "recommenders.similar.batch_inference"),
        ("open_posts", "recommenders.similar.filter.eligible_items"),
    ],
)
def test_a_table_that_is_read_is_not_delivered_into(table: str, reader: str) -> None:
    text = re.sub(r'(?s)(\[filter\.exclusions\].*?table = )"events"', r'\1"bookings"', EXAMPLE)
    text += (
        '[recommenders.similar]\nsolution = { recipe = "aws-similar-items" }\n'
        'batch_inference = { table = "posts", item_id = "posts.id" }\n'
        'filter = { eligible_items = { table = "open_posts", item_id = "open_posts.id" } }\n'
    )
    quoted = table.replace('"', '\\"')

    with pytest.raises(ConfigError) as caught:
        parse_config(f'{text}\n[delivery]\nto = "database"\ntable = "{quoted}"\n')

    (mistake,) = caught.value.mistakes
    assert (mistake.key, mistake.rule) == ("delivery.table", f"{reader} {READ}")
    assert mistake.fix.startswith("name a table that is there for the lists alone")


@pytest.mark.parametrize(
    ("engine", "table", "is_read"),
    [
        ("postgresql", "Events", False),  # the job quotes names, so that their case counts
        ("mysql", "EVENTS", True),
        ("mysql", "shop.Events", True),
        ("postgresql", "event", False),
        ("postgresql", "events.lists", False),
    ],
)
def test_case_and_schema_count_as_for_the_engine(engine: str, table: str, is_read: bool) -> None:
    text = EXAMPLE.replace('engine = "postgresql"', f'engine = "{engine}"')
    text += f'\n[delivery]\nto = "database"\ntable = "{table}"\n'
    if is_read:
        with pytest.raises(ConfigError, match=READ):
            parse_config(text)
    else:
        assert parse_config(text).delivery is not None


def test_a_table_of_dynamodb_is_none_of_the_database() -> None:
    assert config_with(DYNAMODB.replace("lists", "events")).delivery is not None
