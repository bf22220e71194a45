"""retraining.toml → Config: derived names, and every mistake at once."""

import json
from pathlib import Path

import botocore.session
import pytest

from etl.datasets import JobSpec
from localaws.personalize.training import recipes as local_recipes
from workflow import ConfigError, hyperparameters, load_config, parse_config, personalize

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
            roles = { glue = "our-glue-role", states = "arn:aws:iam::111122223333:role/states" }
            functions = { get-status = "our-status" }
            [source]""",
        )
    )

    assert config.bucket == "our-data-lake"
    assert config.glue_job == "our-etl"
    assert config.dataset_group == "our-group"
    assert config.topic_arn == "arn:aws:sns:eu-central-1:210987654321:our-topic"
    assert config.role_arn("glue") == "arn:aws:iam::210987654321:role/our-glue-role"
    assert config.role_arn("states") == "arn:aws:iam::111122223333:role/states"
    assert config.function("get-status") == "our-status"


@pytest.mark.parametrize(
    ("region", "partition"),
    [("cn-north-1", "aws-cn"), ("us-east-1", "aws")],
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
    reported = mistakes(
        MINIMAL.replace('account = "210987654321"', "account = 210987654321")
        .replace('engine = "mysql"', 'engine = "postgres"')
        .replace('connection = "shop-db"', 'conection = "shop-db"')
        .replace("USER_ID =", "USERID =")
        .replace('"clicks.at"', '{ source = "clicks.at", categorical = true }')
        + 'num_result = 5\n[polling]\nmin_seconds = 90\nmax_seconds = 60\n[filter]\nkeep = "all"\n'
    )

    assert reported == {
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
    reported = mistakes(MINIMAL.replace('table = "sales.clicks"', "").replace("TIMESTAMP", "TIME"))

    assert set(reported) == {"datasets.interactions.table", "datasets.interactions.columns"}


def test_a_table_is_checked_as_a_whole_where_a_value_of_it_is_wrong_too():
    """Nor is anything said of what follows from the wrong value alone."""
    models = """
[models.own]
entry_point = "models/train.py"
framework = "tensorflow"
framework_version = "2.0"
requirements = ["lightfm"]
training = { instance_type = "ml.m5.xlrge", max_wait_minutes = 30 }
[models.No_Name]
builtin = "als"
[models.two]
entry_point = "train.py"
inference = "serving/serve.py"
framework = "sklearn"
training = { instance_count = 2, volume_gigabytes = 0 }
"""

    reported = mistakes(MINIMAL + models + "[polling]\nmin_seconds = 9\nmax_seconds = 0\n")

    assert set(reported) == {
        "models.own.framework",
        "models.own.requirements[0]",
        "models.own.training.instance_type",
        "models.own.training.max_wait_minutes",
        "models.two.framework_version",
        "models.two.inference",
        "models.two.training.instance_count",
        "models.two.training.volume_gigabytes",
        "models.No_Name",
        "polling.max_seconds",
    }


def test_a_database_url_in_the_file_is_refused_with_the_option_to_use():
    reported = mistakes(MINIMAL.replace("[source]", '[source]\nurl = "mysql://root:pw@db/shop"'))

    assert reported["source.url"][1].startswith("take it out of the file; pass --database-url")


@pytest.mark.parametrize(
    ("columns", "rule"),
    [
        ('TITLE-JA = "a"', "a column name holds letters, digits and _ and starts with a letter"),
        ('EVENT_VALUE = { source = "v", type = "string" }', "fixes the type of EVENT_VALUE"),
        ('SIZE = "a"\nsize = "b"', "Personalize takes size and SIZE for the same name"),
        ('NOTE = { source = "n", textual = true, type = "int" }', "are strings, not int"),
        ('NOTE = { source = "n", textual = true }', "has no textual columns, only ITEMS has one"),
        ('A="a"\nB="b"\nC="c"\nD="d"\nE="e"\nF="f"', "takes at most 5 metadata columns"),
    ],
)
def test_personalize_limits_are_found_before_anything_runs(columns, rule):
    text = MINIMAL.replace('TIMESTAMP = "clicks.at"', f'TIMESTAMP = "clicks.at"\n{columns}')

    assert any(rule in reported for reported, _ in mistakes(text).values())


@pytest.mark.parametrize(
    ("recipe", "rule"),
    [
        ("aws-trending-now", "it has no batch inference"),
        ("aws-next-best-action", "it has no batch inference"),
        ("aws-personalized-ranking-v2", "its batch inference ranks given items"),
        ("aws-item-affinity", "it finds users for items"),
        ("aws-vod-top-picks", "it is a use case of domain dataset groups"),
        ("aws-hrnn", "AWS has retired it"),
        ("aws-made-up", "Personalize has no such recipe"),
    ],
)
def test_a_recipe_that_could_not_recommend_for_the_users_is_refused(recipe, rule):
    """AWS says so after hours, when the solution version is trained."""
    found = mistakes(MINIMAL + f'[solution]\nrecipe = "{recipe}"\n')

    assert rule in found["solution.recipe"][0]
    assert found["solution.recipe"][1] == (
        "write one of aws-user-personalization-v2, aws-user-personalization, aws-popularity-count,"
        " aws-similar-items, aws-sims, aws-semantic-similarity"
    )


def test_a_misspelt_recipe_gets_a_proposal():
    found = mistakes(MINIMAL + '[solution]\nrecipe = "aws-user-personalisation"\n')

    assert found["solution.recipe"][1] == "did you mean aws-user-personalization?"


def test_every_recipe_of_personalize_is_known():
    """As the local Personalize lists them, from AWS's documentation."""
    assert {*local_recipes.RECIPES} <= {*personalize.RECIPES}


def test_the_regions_are_those_of_botocores_endpoints():
    session = botocore.session.get_session()
    offered = [
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("personalize", partition)
    ]

    assert sorted(offered) == sorted(personalize.REGIONS)


@pytest.mark.parametrize("region", ["eu-north-1", "us-gov-west-1", "ap-northeast", "Tokyo"])
def test_a_region_without_personalize_is_refused(region):
    found = mistakes(MINIMAL.replace("eu-central-1", region))

    assert found["aws.region"][0] == "AWS does not offer Personalize there"
    assert "eu-central-1, eu-west-1" in found["aws.region"][1]


@pytest.mark.parametrize(
    ("zone", "fix"),
    [
        ("Asia/Tokio", "did you mean Asia/Tokyo?"),
        ("UTC+9", "write one such as Asia/Tokyo or UTC"),
        ("", "write one such as Asia/Tokyo or UTC"),
        ("../etc/passwd", "write one such as Asia/Tokyo or UTC"),
    ],
)
def test_a_time_zone_that_nobody_knows_is_refused(zone, fix):
    schedule = f'[schedule]\nexpression = "rate(1 days)"\ntimezone = "{zone}"\n'

    rule, proposal = mistakes(MINIMAL + schedule)["schedule.timezone"]
    assert rule == "IANA's database has no such time zone"
    assert proposal == fix


def test_a_job_that_may_take_longer_than_its_run_is_refused():
    found = mistakes("timeout_hours = 2\n" + MINIMAL)

    assert found["etl.timeout_minutes"] == (
        "timeout_hours = 2 ends the run before the Spark job reaches its own limit",
        "lower it, or raise the other",
    )


def test_automl_and_a_recipe_exclude_each_other():
    text = '[solution]\nauto_ml = true\nrecipe = "aws-popularity-count"\n'
    reported = mistakes(MINIMAL + text)

    assert (
        reported["solution.recipe"][0]
        == "with auto_ml = true Personalize chooses the recipe itself"
    )


def test_automl_leaves_the_recipe_to_personalize():
    config = parse_config(MINIMAL + "[solution]\nauto_ml = true\nhpo = true\n")

    assert config.recipe_arn is None


def test_a_file_that_begins_with_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "retraining.toml"
    path.write_bytes(b"\xef\xbb\xbf" + EXAMPLE.read_bytes())
    assert load_config(path) == load_config(EXAMPLE)


def test_broken_toml_names_its_line():
    reported = mistakes('name = "shop"\nregion = = 1\n')

    assert "line 2" in reported["TOML"][0]


def test_a_missing_file_names_those_that_are_there(tmp_path):
    (tmp_path / "shop.toml").write_text(MINIMAL)

    with pytest.raises(ConfigError, match=r"name one that exists: shop\.toml"):
        load_config(tmp_path / "retraining.toml")


SEMANTIC = (
    MINIMAL.replace('user_id = "customers.id"', 'item_id = "goods.sku"').replace(
        "[batch_inference]",
        """[datasets.items]
table = "goods"
[datasets.items.columns]
ITEM_ID = "goods.sku"
TITLE = { source = "goods.name", item_name = true }
ABOUT = { source = "goods.about", textual = true }
CREATION_TIMESTAMP = "goods.made"
[batch_inference]""",
    )
    + '[solution]\nrecipe = "aws-semantic-similarity"\n'
)


def test_related_items_are_found_for_items():
    config = parse_config(SEMANTIC)

    assert config.job_spec().batch_input.columns == {"ITEM_ID": "goods.sku"}
    items = json.loads(next(d for d in config.data_sets if d.type == "ITEMS").avro_json())
    assert {"name": "TITLE", "type": ["null", "string"], "itemName": True} in items["fields"]


@pytest.mark.parametrize(
    ("old", "new", "key", "rule"),
    [
        (
            'item_id = "goods.sku"',
            'user_id = "customers.id"',
            "batch_inference.user_id",
            "aws-semantic-similarity finds items that are related to an item, not to a user",
        ),
        (
            "aws-semantic-similarity",
            "aws-user-personalization-v2",
            "batch_inference.item_id",
            "aws-user-personalization-v2 recommends to users",
        ),
        ('item_id = "goods.sku"', "", "batch_inference.user_id", "this key is required"),
        (
            'item_id = "goods.sku"',
            'user_id = ""',
            "batch_inference.user_id",
            "user_id is empty",
        ),
        (
            'item_id = "goods.sku"',
            'item_id = "a"\nuser_id = "b"',
            "batch_inference.user_id",
            "both user_id and item_id are there",
        ),
        (
            ", item_name = true",
            "",
            "solution.recipe",
            "aws-semantic-similarity needs columns of the items with item_name = true",
        ),
        (
            "[solution]",
            '[filter.exclusions]\ntable = "t"\nuser_id = "u"\nitem_id = "i"\n[solution]',
            "filter.exclusions",
            "exclusions are pairs of user and item, and related items have no user",
        ),
        (
            'ABOUT = { source = "goods.about", textual',
            'ABOUT = { source = "goods.about", item_name = true, textual',
            "datasets.items.columns.ABOUT",
            "an item has one name, here are TITLE, ABOUT",
        ),
    ],
)
def test_recipe_and_batch_input_must_fit(old, new, key, rule):
    assert mistakes(SEMANTIC.replace(old, new))[key][0] == rule


def settings(table: str, text: str) -> str:
    """Return the minimal configuration with more in a table, which may be new."""
    if f"[{table}]" in MINIMAL:
        return MINIMAL.replace(f"[{table}]", f"[{table}]\n{text}")
    return f"{MINIMAL}\n[{table}]\n{text}"


@pytest.mark.parametrize(
    ("recipe", "values", "broken"),
    [
        ("aws-user-personalization", "hidden_dimension = 9999", "a whole number from 32 to 256"),
        ("aws-user-personalization", 'hidden_dimension = "x"', "a whole number from 32 to 256"),
        ("aws-user-personalization", "hidden_dimension = 64.5", "a whole number from 32 to 256"),
        ("aws-user-personalization", "recency_mask = 1", "it is true or false"),
        ("aws-user-personalization", "hiden_dimension = 64", "has no such hyperparameter"),
        ("aws-user-personalization-v2", "hidden_dimension = 64", "has no such hyperparameter"),
        ("aws-popularity-count", "foo = 1", "has no such hyperparameter"),
    ],
)
def test_hyperparameters_that_the_recipe_does_not_take_are_mistakes(recipe, values, broken):
    text = settings("solution", f'recipe = "{recipe}"\nhyperparameters = {{ {values} }}')
    ((key, (rule, fix)),) = mistakes(text).items()
    assert key == f"solution.hyperparameters.{values.split()[0]}"
    assert broken in rule
    assert (fix == "did you mean hidden_dimension?") == ("hiden" in values)


def test_the_hyperparameters_are_those_that_the_local_personalize_takes():
    for recipe, known in hyperparameters.HYPERPARAMETERS.items():
        local = local_recipes.RECIPES[recipe]
        algorithm = {parameter.name: parameter for parameter in local.parameters}
        features = {parameter.name for parameter in local.features}
        assert {name for name, each in known.items() if not each.is_feature} == set(algorithm)
        assert {name for name, each in known.items() if each.is_feature} == features
        for name, parameter in algorithm.items():
            assert known[name].problem(parameter.default) == "", name
        tunable = any(parameter.tunable for parameter in local.parameters)
        assert (recipe in hyperparameters.TUNABLE) == tunable


def test_percentiles_transform_features_and_belong_to_no_algorithm():
    values = "{ bptt = 20, min_user_history_length_percentile = 0.1, recency_mask = false }"
    config = parse_config(settings("solution", f"hyperparameters = {values}"))
    assert config.solution_config == {
        "algorithmHyperParameters": {"bptt": "20", "recency_mask": "false"},
        "featureTransformationParameters": {"min_user_history_length_percentile": "0.1"},
    }


@pytest.mark.parametrize("recipe", ["aws-user-personalization-v2", "aws-popularity-count"])
def test_a_search_without_hyperparameters_is_a_mistake(recipe):
    text = settings("solution", f'recipe = "{recipe}"\nhpo = true')
    assert "has no hyperparameters to search" in mistakes(text)["solution.hpo"][0]


@pytest.mark.parametrize(
    ("line", "key", "rule"),
    [
        ('bucket = "a..b"', "aws.bucket", "S3 takes no such name"),
        ('bucket = "192.168.5.4"', "aws.bucket", "no IP address"),
        ('bucket = "xn--abc"', "aws.bucket", "begin with xn--"),
        ('bucket = "arn:aws:s3:::abc-s3alias"', "aws.bucket", "end with -s3alias"),
        ('topic = "a b"', "aws.topic", "SNS takes no such name"),
        ('topic = "x.fifo"', "aws.topic", "FIFO"),
        ('topic = "arn:aws:sns:us-east-1:210987654321:x"', "aws.topic", "it is in us-east-1"),
        (
            'kms_key = "arn:aws:kms:eu-west-1:210987654321:key/1"',
            "aws.kms_key",
            "it is in eu-west-1, and everything else in eu-central-1",
        ),
        ('roles = { glue = "a b" }', "aws.roles.glue", "IAM takes no such name"),
        ('roles = { glue = "arn:aws:iam::1:user/x" }', "aws.roles.glue", "no ARN of a role"),
        ('functions = { get-status = "a b" }', "aws.functions.get-status", "Lambda takes no such"),
        (
            'functions = { get-status = "x", list-datasets = "x" }',
            "aws.functions.list-datasets",
            "two functions have this name",
        ),
        ('glue_job = "a/b"', "aws.glue_job", "Glue takes no such name"),
    ],
)
def test_names_that_aws_refuses_are_mistakes(line, key, rule):
    assert rule in mistakes(settings("aws", line))[key][0]


def test_a_key_that_is_none_of_a_table_s_names_is_a_mistake():
    found = mistakes(settings("aws", 'roles = { stats = "x" }'))

    assert found["aws.roles.stats"] == ("there is no such key", "did you mean states?")


@pytest.mark.parametrize(
    ("tags", "key", "rule"),
    [
        ('"aws:x" = "1"', "tags.aws:x", "keys that begin with aws:"),
        (f'team = "{"x" * 257}"', "tags.team", "a value at most 256, here 257"),
        (f'{"k" * 129} = "x"', f"tags.{'k' * 129}", "here 129"),
        ('team = "x;y|z"', "tags.team", "no such characters"),
        ('"retraining:name" = "y"', "tags.retraining:name", "writes this tag itself"),
        ("\n".join(f't{n} = "x"' for n in range(60)), "tags", "here are 60"),
    ],
)
def test_tags_that_aws_refuses_are_mistakes(tags, key, rule):
    assert rule in mistakes(settings("tags", tags))[key][0]


@pytest.mark.parametrize(
    ("expression", "rule", "fix"),
    [
        ("foo", "begins with INCLUDE ItemID WHERE", "write, for example, EXCLUDE ItemID WHERE"),
        ("INCLUDE UserID WHERE Users.AGE > 3", "begins with INCLUDE ItemID WHERE", ""),
        ("INCLUDE ItemID WHERE Items.NOPE = 1", "ITEMS, which is not imported", "[datasets.items]"),
        ("INCLUDE ItemID WHERE Intractions.A = 1", "called Intractions", "did you mean Interact"),
        (
            "EXCLUDE ItemID WHERE Interactions.TIMESTAP > 1",
            "INTERACTIONS has no column TIMESTAP",
            "did you mean TIMESTAMP?",
        ),
        ('EXCLUDE ItemID WHERE Interactions.USER_ID IN ("a)', "no second double quote", "close"),
        (
            "EXCLUDE ItemID WHERE Interactions.USER_ID IN ($WHO)",
            "the workflow has no value for $WHO",
            "write the value itself",
        ),
    ],
)
def test_filters_that_personalize_refuses_are_mistakes(expression, rule, fix):
    text = settings("batch_inference", f"personalize_filter = '{expression}'")
    broken = mistakes(text)["batch_inference.personalize_filter"]
    assert (rule in broken[0], fix in broken[1]) == (True, True), broken


def test_columns_in_the_texts_of_a_filter_are_none():
    expression = 'EXCLUDE ItemID WHERE interactions.item_id IN ("Items.NOPE", "$5")'
    config = parse_config(settings("batch_inference", f"personalize_filter = '{expression}'"))
    assert config.batch_inference.personalize_filter == expression


@pytest.mark.parametrize("expression", ["cron(0 4 31 2 ? *)", "cron(0 4 31 4,6 ? *)"])
def test_a_day_that_no_calendar_has_is_a_mistake(expression):
    text = settings("schedule", f'expression = "{expression}"')
    assert mistakes(text)["schedule.expression"][0] == "no calendar has such a day"


@pytest.mark.parametrize(
    ("line", "key", "column"),
    [
        ('event_type = "view"', "solution.event_type", "EVENT_TYPE"),
        ("event_value_threshold = 0.0", "solution.event_value_threshold", "EVENT_VALUE"),
    ],
)
def test_training_on_some_events_needs_the_column_that_tells_them(line, key, column):
    rule, fix = mistakes(settings("solution", line))[key]
    assert rule == f"the interactions have no column {column} to choose by"
    assert fix.startswith(f'add {column} = "…" to datasets.interactions.columns')


@pytest.mark.parametrize(
    ("change", "rule", "fix"),
    [
        ("TITEL", "the data set ITEMS has no such column", "did you mean TITLE?"),
        ("X", "the data set ITEMS has no such column", "write one of ITEM_ID, TITLE, ABOUT"),
    ],
)
def test_the_report_s_title_is_a_column_of_the_items(change, rule, fix):
    text = f'{SEMANTIC}\n[report]\ntitle = "{change}"\n'

    found = mistakes(text)["report.title"]

    assert found[0] == rule
    assert fix in found[1]
    assert parse_config(text.replace(change, "TITLE")).report.title == "TITLE"


@pytest.mark.parametrize(
    ("old", "new", "key", "rule"),
    [
        (
            "num_results = 100",
            "num_results = 20",
            "filter.keep",
            "Personalize gives lists of batch_inference.num_results = 20 at most",
        ),
        (
            'table = "departments", how',
            'table = "departments", alias = "Students", how',
            "datasets.users.joins[0].alias",
            "'Students' stands for a table already, as 'students', which Spark takes for the same"
            " name",
        ),
        (
            'table = "departments", how',
            'table = "other.students", how',
            "datasets.users.joins[0].alias",
            "'students' stands for a table already",
        ),
        (
            "[datasets.interactions]\n",
            '[datasets.interactions]\nrename = { a = "kind_of", b = "Kind_Of" }\n',
            "datasets.interactions.rename.b",
            "two columns get the name 'Kind_Of', as 'kind_of', which Spark takes for the same name",
        ),
        (
            "[aws]\n",
            'tags = { team = "search", Team = "search" }\n[aws]\n',
            "tags.Team",
            "it differs from team by case alone, which does not count in a role's tags",
        ),
        (
            "[aws]\n",
            'tags = { "Retraining:Name" = "shop" }\n[aws]\n',
            "tags.Retraining:Name",
            "the deployment writes this tag itself",
        ),
    ],
)
def test_what_would_collide_or_come_short_is_told_before_anything_is_paid(old, new, key, rule):
    text = EXAMPLE.read_text().replace(old, new, 1)

    found = mistakes(text)

    assert {key: rule} == {key: rule for key, (rule, _) in found.items()}


def test_fewer_results_than_the_default_length_are_a_shorter_list():
    text = EXAMPLE.read_text().replace("num_results = 100", "num_results = 20")

    config = parse_config(text.replace("keep = 25", ""))

    assert (config.batch_inference.num_results, config.filter.keep) == (20, 25)


def test_expressions_that_read_more_than_their_row_are_mistakes():
    getenv = "reflect('java.lang.System', 'getenv', 'DATABASE_URL')"
    text = EXAMPLE.read_text()
    for old, new in {
        "[datasets.users.columns]\n": f'[datasets.users.columns]\nSECRET = "{getenv}"\n',
        "[datasets.interactions]\n": "[datasets.interactions]\nfilter = \"user() = 'me'\"\n",
        "job_postings.status = 'open'": "'${env:HOME}' <> ''",
    }.items():
        assert old in text
        text = text.replace(old, new, 1)

    found = {key: rule for key, (rule, _) in mistakes(text).items()}

    more = "reads something else than the columns of its row"
    assert found == {
        "datasets.users.columns.SECRET": f"reflect(…) {more}",
        "datasets.interactions.filter": f"user(…) {more}",
        "filter.eligible_items.filter": f"${{env:HOME}} {more}",
    }


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("x = " + "[" * 5_000 + "]" * 5_000, "tables and arrays of more than 20 levels"),
        (f"[{'.'.join('a' * 3_000)}]", "tables and arrays of more than 20 levels"),
        ("x = " + "9" * 10_000, "no 64-bit integer"),
        (f"[etl]\nworkers = {2**63}", "etl.workers\n    no 64-bit integer"),
        ("[tags]\n" + "".join(f"t{n} = 'x'\n" for n in range(50_000)), "more than 5,000 keys"),
    ],
)
def test_what_no_configuration_needs_is_one_mistake(more: str, message: str) -> None:
    """Each was a traceback, or took half a minute."""
    with pytest.raises(ConfigError) as refused:
        parse_config(more)
    assert len(refused.value.mistakes) == 1
    assert message in str(refused.value)
