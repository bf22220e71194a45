"""What a deployment with a model on SageMaker has: its source, its role, nothing of Personalize."""

import json
from functools import cache
from typing import Any

import pytest

from tests.workflow.deployment.test_template import complaints
from tests.workflow.options.test_models import EXAMPLE, OWN_HYBRID, own
from workflow import Config, parse_config
from workflow.definition.own_models.source import model_source
from workflow.deployment.artefacts import build_artefacts
from workflow.deployment.permissions import (
    bucket_policy,
    grants,
    permission_policy,
    trust_policy,
)
from workflow.deployment.resources import Resource, resources
from workflow.deployment.template import template, template_text

HERE = "ap-northeast-1:123456789012"
BUCKET = "arn:aws:s3:::labbase-retraining-123456789012-ap-northeast-1"
KEY = f"arn:aws:kms:{HERE}:key/1f2e3d4c-5b6a-4798-8897-a6b5c4d3e2f1"


@cache
def config() -> Config:
    """Return a model in Personalize's place, with a key and a network."""
    plain = own(OWN_HYBRID)
    aws = plain.aws.model_copy(
        update={"kms_key": KEY, "subnets": ["subnet-0a1b2c3d"], "security_groups": ["sg-0a1b2c3d"]}
    )
    return plain.model_copy(update={"aws": aws})


@cache
def model() -> dict[str, Resource]:
    return {each.id: each for each in resources(config(), build_artefacts(config()))}


def statements(who: Any) -> dict[str, dict[str, Any]]:
    return {each["Sid"]: each for each in permission_policy(config(), who)["Statement"]}


def test_nothing_of_personalize_is_deployed() -> None:
    types = {each.type for each in model().values()}

    assert not {each for each in types if "Personalize" in each}
    assert "PersonalizeRole" not in model()
    policy = json.dumps(bucket_policy(config()))
    assert "personalize" not in policy
    allowed = {action for grant in grants(config()) for action in grant.actions}
    assert not {action for action in allowed if action.startswith("personalize:Create")}


def test_the_source_is_uploaded_where_the_definition_names_it() -> None:
    source = model_source(config(), "own")
    assert source is not None
    definition = model()["StateMachine"].properties["DefinitionString"]

    assert model()["OwnModelSource"].properties["Key"] == source.key
    assert source.key in definition
    assert {"OwnModelSource", "SagemakerRole"} <= set(model()["StateMachine"].needs)
    assert build_artefacts(config()).bodies[source.key] == source.archive()


def test_jobs_may_read_their_inputs_and_write_their_outputs_alone() -> None:
    allowed = statements("sagemaker")

    assert allowed["ServiceReadsInputs"]["Resource"] == [
        f"{BUCKET}/artifacts/model-*",
        f"{BUCKET}/runs/*/users/*",
        f"{BUCKET}/runs/*/items/*",
        f"{BUCKET}/runs/*/interactions/*",
        f"{BUCKET}/runs/*/batch-input/*",
        f"{BUCKET}/runs/*/models/*",
    ]
    assert allowed["ServiceWritesOutputs"]["Resource"] == [
        f"{BUCKET}/runs/*/batch-output/*",
        f"{BUCKET}/runs/*/models/*",
    ]
    assert allowed["ServicePullsImages"]["Resource"] == [
        "arn:aws:ecr:ap-northeast-1:763104351884:repository/pytorch-training",
        "arn:aws:ecr:ap-northeast-1:763104351884:repository/pytorch-inference",
    ]
    assert allowed["ServiceUsesKey"]["Resource"] == [KEY]
    assert "ec2:CreateNetworkInterface" in allowed["ServiceJoinsNetwork"]["Action"]


def test_sagemaker_alone_takes_the_role_for_this_account() -> None:
    (statement,) = trust_policy(config(), "sagemaker")["Statement"]

    assert statement["Principal"] == {"Service": "sagemaker.amazonaws.com"}
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "123456789012"},
        "ArnLike": {"aws:SourceArn": f"arn:aws:sagemaker:{HERE}:*"},
    }


@pytest.mark.parametrize(
    ("sid", "type_"),
    [
        ("Train", "training-job"),
        ("Transform", "transform-job"),
        ("CreateModels", "model"),
        ("ServiceWatchesTrainings", "training-job"),
    ],
)
def test_the_state_machine_makes_jobs_of_the_models_names_alone(sid: str, type_: str) -> None:
    assert statements("states")[sid]["Resource"] == [
        f"arn:aws:sagemaker:{HERE}:{type_}/labbase-own-*"
    ]


def test_a_deployer_may_delete_the_models_that_runs_have_left_and_see_what_personalize_has() -> (
    None
):
    allowed = statements("deployer")

    assert allowed["RemoveModelsOfRuns"]["Resource"] == [
        f"arn:aws:sagemaker:{HERE}:model/labbase-own-*"
    ]
    assert allowed["FindModelsOfRuns"]["Action"] == ["sagemaker:ListModels"]
    assert allowed["FindWhatPersonalizeLeft"]["Resource"] == [config().dataset_group_arn]


def test_the_state_machine_hands_on_the_role_and_hears_of_ends() -> None:
    allowed = statements("states")

    assert allowed["PassRoleToSagemaker"]["Resource"] == [config().role_arn("sagemaker")]
    assert allowed["ServiceHearsOfEnds"]["Resource"] == [
        f"arn:aws:events:{HERE}:rule/StepFunctionsGetEventsForSageMakerTrainingJobsRule",
        f"arn:aws:events:{HERE}:rule/StepFunctionsGetEventsForSageMakerTransformJobsRule",
    ]


def test_cloudformation_takes_the_template() -> None:
    text = template_text(template(config(), tuple(model().values())))

    assert complaints(text, config()) == []
    assert "${ArtifactBucket}/artifacts/model-own-" in text


def test_a_configuration_without_a_model_has_no_role_for_it() -> None:
    plain = parse_config(EXAMPLE)

    assert "sagemaker" not in plain.roles
    made = {each.id for each in resources(plain, build_artefacts(plain))}
    assert "SagemakerRole" not in made


def test_a_role_that_is_there_is_left_alone() -> None:
    arn = "arn:aws:iam::123456789012:role/ours"
    named = own(OWN_HYBRID + f'\n[aws.roles]\nsagemaker = "{arn}"\n')

    assert "SagemakerRole" not in {each.id for each in resources(named, build_artefacts(named))}
    assert named.role_arn("sagemaker") == arn
