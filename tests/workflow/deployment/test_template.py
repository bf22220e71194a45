"""The CloudFormation template says the same as the model, in words that CloudFormation takes."""

import json
from pathlib import Path
from typing import Any

import pytest
from cfnlint import ManualArgs, lint

from tests.projects import ASK, project
from workflow import Config, load_config, parse_config
from workflow.deployment.artefacts import build_artefacts
from workflow.deployment.resources import resources
from workflow.deployment.template import rendered_template, template, template_text
from workflow.run_names import RUN

EXAMPLE = Path(__file__).parents[3] / "retraining.toml"
CONFIG = load_config(EXAMPLE)
# Everything optional, in another region, without users, items, filter and schedule.
GUARDED = parse_config(
    """
name = "shop"
[tags]
team = "matching"
[aws]
account = "210987654321"
region = "eu-central-1"
kms_key = "arn:aws:kms:eu-central-1:210987654321:key/1f2e3d4c-5b6a-4798-8897-a6b5c4d3e2f1"
permission_boundary = "arn:aws:iam::210987654321:policy/developers"
subnets = ["subnet-0a1b2c3d"]
security_groups = ["sg-0a1b2c3d"]
topic = "arn:aws:sns:eu-central-1:210987654321:pager"
bucket = "arn:aws:s3:::our-lake"
[source]
engine = "mysql"
connection = "shop-db"
secret = "arn:aws:secretsmanager:eu-central-1:210987654321:secret:shop-1a2b3c"
[datasets.interactions]
table = "sales.clicks"
[datasets.interactions.columns]
USER_ID = "clicks.customer"
ITEM_ID = "clicks.sku"
TIMESTAMP = "clicks.at"
[batch_inference]
table = "sales.customers"
user_id = "customers.id"
[notification]
[schedule]
expression = "rate(7 days)"
enabled = false
"""
)


def resolved(value: Any, bucket: str) -> Any:
    """Resolve a template's value as CloudFormation does, with `bucket` as ArtifactBucket."""
    if isinstance(value, list):
        return [resolved(inner, bucket) for inner in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"Ref": "ArtifactBucket"}:
            return bucket
        case {"Fn::Sub": text}:
            return text.replace("${ArtifactBucket}", bucket).replace("${!", "${")
        case {"Fn::Join": [separator, parts]}:
            return separator.join(resolved(parts, bucket))
    return {name: resolved(inner, bucket) for name, inner in value.items()}


def complaints(text: str, config: Config) -> list[str]:
    """Return the errors and warnings of cfn-lint on a template."""
    matches = lint(text, regions=[config.aws.region], config=ManualArgs(include_checks=["W", "E"]))
    return [f"{match.rule.id} {match.message}" for match in matches]


@pytest.mark.parametrize("config", [CONFIG, GUARDED], ids=["example", "guarded"])
def test_template_and_model_agree(config):
    model = resources(config, build_artefacts(config))
    written = template(config, model)["Resources"]
    others = {resource.id for resource in model if resource.type.startswith("Custom::")}

    assert [*written] == [resource.id for resource in model if resource.id not in others]
    for resource in model:
        if resource.id in others:
            continue
        entry = written[resource.id]
        assert entry["Type"] == resource.type
        assert resolved(entry["Properties"], config.bucket) == resource.properties
        assert {*entry.get("DependsOn", ())} == {*resource.needs} - others


def test_every_upload_is_in_the_bucket_of_the_parameter():
    """The stack's own bucket does not exist yet when the functions are made."""
    written = resolved(template(CONFIG, resources(CONFIG, build_artefacts(CONFIG))), "our-code")
    properties = {name: entry["Properties"] for name, entry in written["Resources"].items()}
    definition = json.loads(properties["StateMachine"]["DefinitionString"])
    glue = properties["GlueRole"]["Policies"][0]["PolicyDocument"]["Statement"]

    assert properties["GetStatusFunction"]["Code"]["S3Bucket"] == "our-code"
    assert properties["EtlJob"]["Command"]["ScriptLocation"].startswith("s3://our-code/artifacts/")
    assert definition["States"]["ETL"]["Parameters"]["Arguments"] == {
        "--run.$": RUN,
        "--bucket": "labbase-retraining-123456789012-ap-northeast-1",
        "--spec": f"s3://our-code/{CONFIG.spec_key}",
    }
    assert glue[0]["Resource"] == ["arn:aws:s3:::our-code/artifacts/*"]
    assert f"{CONFIG.bucket}/artifacts" not in json.dumps(written)


def test_what_holds_data_outlives_the_stack_but_not_its_failed_creation():
    written = template(CONFIG, resources(CONFIG, build_artefacts(CONFIG)))["Resources"]
    kept = {
        name
        for name, entry in written.items()
        if entry.get("DeletionPolicy") == "RetainExceptOnCreate"
        and entry.get("UpdateReplacePolicy") == "Retain"
    }

    assert kept == {
        "RunBucket",
        "DatasetGroup",
        "UsersSchema",
        "UsersDataset",
        "ItemsSchema",
        "ItemsDataset",
        "InteractionsSchema",
        "InteractionsDataset",
    }


def test_the_filter_is_part_of_the_stack_after_the_data_sets_that_it_names():
    written = template(CONFIG, resources(CONFIG, build_artefacts(CONFIG)))

    entry = written["Resources"]["BatchFilter"]
    assert entry["Type"] == "AWS::Personalize::Filter"
    assert entry["DependsOn"] == [
        "DatasetGroup",
        "UsersDataset",
        "ItemsDataset",
        "InteractionsDataset",
    ]
    assert entry["Properties"]["FilterExpression"] == (
        'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("apply")'
    )


def test_the_template_has_a_line_for_each_value_and_a_description():
    text = rendered_template(CONFIG)
    description = json.loads(text)["Description"]

    assert text == rendered_template(load_config(EXAMPLE))
    assert text.endswith("}\n")
    assert '"    \\"ETL\\": {",' in text
    assert "aws s3 sync DIR s3://YOUR-BUCKET" in description
    assert len(description) <= 1_024  # CloudFormation's limit
    assert len(text.encode()) < 460_800  # and its limit for a template from S3


@pytest.mark.parametrize("config", [CONFIG, GUARDED], ids=["example", "guarded"])
def test_cloudformation_takes_every_property(config):
    assert complaints(rendered_template(config), config) == []


def test_a_function_of_ones_own_is_in_the_template_as_ours_are(tmp_path):
    table = """memory = 512
environment = { DESK = "tokyo" }
permissions = [{ actions = ["s3:GetObject"], resources = ["arn:aws:s3:::our-lists/*"] }]
"""
    config = project(tmp_path, ASK + table)
    text = rendered_template(config)
    archive = build_artefacts(config).own_functions["ask-editors"]

    function = json.loads(text)["Resources"]["AskEditorsFunction"]

    assert complaints(text, config) == []
    assert function["Properties"]["Code"] == {
        "S3Bucket": {"Ref": "ArtifactBucket"},
        "S3Key": archive.key,
    }
    assert function["DependsOn"] == ["FunctionsRole", "AskEditorsLogGroup"]
    assert tmp_path / archive.key in build_artefacts(config).write(tmp_path)


def test_a_property_that_cloudformation_does_not_know_would_be_found():
    written = template(CONFIG, resources(CONFIG, build_artefacts(CONFIG)))
    written["Resources"]["EtlJob"]["Properties"]["Worker"] = "G.1X"

    (complaint,) = complaints(template_text(written), CONFIG)

    assert complaint.startswith("E3002 Additional properties are not allowed ('Worker'")


def test_dollar_braces_of_the_configuration_stay_as_they_are():
    """In Fn::Sub they would be taken for a variable."""
    (spec,) = [r for r in resources(CONFIG, build_artefacts(CONFIG)) if r.id == "EtlJob"]
    arguments = {"--note": f"${{HOME}} s3://{CONFIG.bucket}/artifacts/x"}
    changed = type(spec)(spec.id, spec.type, spec.name, {"DefaultArguments": arguments})

    entry = template(CONFIG, (changed,))["Resources"]["EtlJob"]

    assert resolved(entry["Properties"], CONFIG.bucket) == {"DefaultArguments": arguments}
    assert entry["Properties"]["DefaultArguments"] == {
        "--note": {"Fn::Sub": "${!HOME} s3://${ArtifactBucket}/artifacts/x"}
    }
