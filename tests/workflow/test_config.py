"""retraining.toml → Config: derived names, and every mistake at once."""

import json
from pathlib import Path

import pytest

from etl.datasets import JobSpec
from workflow import ConfigError, load_config, parse_config

EXAMPLE = Path(__file__).parents[2] / "retraining.toml"

MINIMAL = """
name = "shop"
[aws]
account = "210987654321"
region = "eu-central-1"
[source]
engine = "mysql"
connection = "shop-db"
[datasets.interactions]
table = "sales.clicks"
[datasets.interactions.columns]
USER_ID = "clicks.customer"
ITEM_ID = "clicks.sku"
TIMESTAMP = "clicks.at"
[batch_inference]
table = "sales.customers"
user_id = "customers.id"
"""


def mistakes(text: str) -> dict[str, tuple[str, str]]:
    """Key path → (rule, fix) of everything that is wrong in a configuration."""
    with pytest.raises(ConfigError) as caught:
        parse_config(text)
    return {mistake.key: (mistake.rule, mistake.fix) for mistake in caught.value.mistakes}


def test_names_are_derived_from_the_name_account_and_region():
    config = parse_config(MINIMAL)

    assert config.bucket == "shop-retraining-210987654321-eu-central-1"
    assert config.state_machine_arn == (
        "arn:aws:states:eu-central-1:210987654321:stateMachine:shop-retraining"
    )
    assert config.role_arn("glue") == "arn:aws:iam::210987654321:role/shop-retraining-glue"
    assert config.function("get-status") == "shop-get-status"
    assert config.topic_arn == "arn:aws:sns:eu-central-1:210987654321:shop-retraining-failures"
    assert config.dataset_group_arn == (
        "arn:aws:personalize:eu-central-1:210987654321:dataset-group/shop"
    )
    assert config.recipe_arn == "arn:aws:personalize:::recipe/aws-user-personalization"


def test_every_derived_name_can_be_overridden():
    config = parse_config(
        MINIMAL.replace(
            "[source]",
            """bucket = "our-data-lake"
            glue_job = "our-etl"
            dataset_group = "our-group"
            topic = "arn:aws:sns:eu-central-1:210987654321:our-topic"
            roles = { glue = "our-glue-role", states = "arn:aws:iam::1:role/states" }
            functions = { get-status = "our-status" }
            [source]""",
        )
    )

    assert config.bucket == "our-data-lake"
    assert config.glue_job == "our-etl"
    assert config.dataset_group == "our-group"
    assert config.topic_arn == "arn:aws:sns:eu-central-1:210987654321:our-topic"
    assert config.role_arn("glue") == "arn:aws:iam::210987654321:role/our-glue-role"
    assert config.role_arn("states") == "arn:aws:iam::1:role/states"
    assert config.function("get-status") == "our-status"


@pytest.mark.parametrize(
    ("region", "partition"),
    [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov"), ("us-east-1", "aws")],
)
def test_the_partition_follows_from_the_configured_region(region, partition):
    config = parse_config(MINIMAL.replace("eu-central-1", region))

    assert config.state_machine_arn.split(":")[1] == partition


def test_one_description_gives_header_and_schema():
    users = load_config(EXAMPLE).data_sets[0]

    assert users.header == ("USER_ID", "DEPARTMENT", "FACULTY", "PREFECTURE", "GRADE")
    assert json.loads(users.avro_json()) == {
        "type": "record",
        "name": "Users",
        "namespace": "com.amazonaws.personalize.schema",
        "fields": [
            {"name": "USER_ID", "type": "string"},
            {"name": "DEPARTMENT", "type": ["null", "string"], "categorical": True},
            {"name": "FACULTY", "type": ["null", "string"], "categorical": True},
            {"name": "PREFECTURE", "type": ["null", "string"], "categorical": True},
            {"name": "GRADE", "type": ["null", "int"]},
        ],
        "version": "1.0",
    }


def test_the_job_specification_survives_its_json():
    spec = load_config(EXAMPLE).job_spec()

    assert JobSpec.from_json(spec.to_json()) == spec


def test_a_config_cannot_be_changed():
    config = parse_config(MINIMAL)

    with pytest.raises(ValueError, match="frozen"):
        config.name = "other"


def test_every_mistake_is_reported_at_once_with_its_fix():
    found = mistakes(
        MINIMAL.replace('account = "210987654321"', "account = 210987654321")
        .replace('engine = "mysql"', 'engine = "postgres"')
        .replace('connection = "shop-db"', 'conection = "shop-db"')
        .replace("USER_ID =", "USERID =")
        .replace('"clicks.at"', '{ source = "clicks.at", categorical = true }')
        + 'num_result = 5\n[polling]\nmin_seconds = 90\nmax_seconds = 60\n[filter]\nkeep = "all"\n'
    )

    assert found == {
        "aws.account": (
            "the value should be a valid string",
            'for example account = "123456789012"',
        ),
        "source.engine": (
            "the value should be 'postgresql' or 'mysql'",
            "did you mean postgresql?",
        ),
        "source.connection": (
            "this key is required",
            'add it; for example connection = "labbase-rds"',
        ),
        "source.conection": ("there is no such key", "did you mean connection?"),
        "datasets.interactions.columns": (
            "INTERACTIONS needs the column USER_ID",
            'did you mean it by USERID? add USER_ID = "…" with the expression that gives it',
        ),
        "datasets.interactions.columns.TIMESTAMP": (
            "TIMESTAMP is a reserved column: neither categorical nor textual",
            "leave the flag out",
        ),
        "batch_inference.num_result": ("there is no such key", "did you mean num_results?"),
        "polling.min_seconds": (
            "min_seconds 90 is above max_seconds 60",
            "exchange the two",
        ),
        "filter.keep": (
            "the value should be a valid integer",
            "keep: recommendations per user in the final CSV",
        ),
    }


def test_columns_are_checked_even_where_something_else_of_the_data_set_is_wrong():
    found = mistakes(MINIMAL.replace('table = "sales.clicks"', "").replace("TIMESTAMP", "TIME"))

    assert set(found) == {"datasets.interactions.table", "datasets.interactions.columns"}


def test_a_database_url_in_the_file_is_refused_with_the_place_where_it_belongs():
    found = mistakes(MINIMAL.replace("[source]", '[source]\nurl = "mysql://root:pw@db/shop"'))

    assert found["source.url"][1].startswith("take it out of the file; pass --database-url")


@pytest.mark.parametrize(
    ("columns", "rule"),
    [
        ('TITLE-JA = "a"', "a column name holds letters, digits and _ and starts with a letter"),
        ('EVENT_VALUE = { source = "v", type = "string" }', "fixes the type of EVENT_VALUE"),
        ('SIZE = "a"\nsize = "b"', "Personalize takes size and SIZE for the same name"),
        ('NOTE = { source = "n", textual = true, type = "int" }', "are strings, not int"),
        ('A="a"\nB="b"\nC="c"\nD="d"\nE="e"\nF="f"', "takes at most 5 metadata columns"),
    ],
)
def test_personalize_limits_are_found_before_anything_runs(columns, rule):
    text = MINIMAL.replace('TIMESTAMP = "clicks.at"', f'TIMESTAMP = "clicks.at"\n{columns}')

    assert any(rule in found for found, _ in mistakes(text).values())


def test_automl_and_a_recipe_exclude_each_other():
    found = mistakes(MINIMAL + '[solution]\nauto_ml = true\nrecipe = "aws-sims"\n')

    assert (
        found["solution.recipe"][0] == "with auto_ml = true Personalize chooses the recipe itself"
    )


def test_automl_leaves_the_recipe_to_personalize():
    config = parse_config(MINIMAL + "[solution]\nauto_ml = true\nhpo = true\n")

    assert config.recipe_arn is None


def test_a_file_that_begins_with_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "retraining.toml"
    path.write_bytes(b"\xef\xbb\xbf" + EXAMPLE.read_bytes())
    assert load_config(path) == load_config(EXAMPLE)


def test_broken_toml_names_its_line():
    found = mistakes('name = "shop"\nregion = = 1\n')

    assert "line 2" in found["TOML"][0]


def test_a_missing_file_names_those_that_are_there(tmp_path):
    (tmp_path / "shop.toml").write_text(MINIMAL)

    with pytest.raises(ConfigError, match=r"name one that exists: shop\.toml"):
        load_config(tmp_path / "retraining.toml")
