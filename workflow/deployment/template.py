"""The workflow's resources as a CloudFormation template, for teams that manage AWS by stacks.

The same model as `deploy` applies, with two differences. Code has to be uploaded before
a stack can exist, and the run bucket is part of the stack: so the artefacts are in a bucket of
your own, which the parameter ArtifactBucket names. And resources that hold data outlive the stack,
except where the stack's first creation fails: nothing of it is left then to block the next one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from workflow.config import Config
from workflow.deployment.artefacts import PREFIX, build_artefacts
from workflow.deployment.derived_permissions import check_derived
from workflow.deployment.resources import S3_OBJECT, Resource, resources

Template = dict[str, Any]

ARTIFACT_BUCKET = "ArtifactBucket"
# https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html
_KEPT = {"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"}
_RETAINED = {
    "AWS::S3::Bucket",
    "AWS::Personalize::DatasetGroup",
    "AWS::Personalize::Dataset",
    "AWS::Personalize::Schema",
}
_FILE = "retraining.template.json"


def rendered_template(config: Config) -> str:
    """Return the template of `config` as JSON text, ending in a line break.

    Raises:
        ConfigError: If a source of a team's function cannot be packaged.
        UnderivedPermissionsError: If the state machine's role would lack a permission.
    """
    check_derived(config)
    return template_text(template(config, resources(config, build_artefacts(config))))


def template_text(template: Template) -> str:
    """Return a template as the text that is reviewed."""
    return json.dumps(template, ensure_ascii=False, indent=2) + "\n"


def template(config: Config, model: tuple[Resource, ...]) -> Template:
    """Return a model as a template.

    Args:
        config: Names the bucket of the artefacts when the model is applied directly.
        model: From `workflow.deployment.resources.resources`.
    """
    stack = [resource for resource in model if resource.type != S3_OBJECT]
    ids = {resource.id for resource in stack}
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": _description(config),
        "Parameters": {
            ARTIFACT_BUCKET: {
                "Type": "String",
                "Description": "Bucket that holds the uploaded code below artifacts/",
                "AllowedPattern": "[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
            }
        },
        "Resources": {resource.id: _entry(config, resource, ids) for resource in stack},
        "Outputs": {
            "StateMachineArn": {"Value": config.state_machine_arn},
            "Bucket": {"Value": config.bucket},
        },
    }


def _description(config: Config) -> str:
    return (
        f"{config.state_machine}: retrains Amazon Personalize from a database. First upload the"
        " code to a bucket of yours in this region: retrain template --artifacts DIR; aws s3 sync"
        f" DIR s3://YOUR-BUCKET. Then: aws cloudformation deploy --template-file {_FILE}"
        f" --stack-name {config.state_machine} --capabilities CAPABILITY_NAMED_IAM"
        f" --parameter-overrides {ARTIFACT_BUCKET}=YOUR-BUCKET --s3-bucket YOUR-BUCKET."
        " For this account and region only. Bucket and Personalize data outlive the stack;"
        " CloudFormation cannot change a Personalize schema or filter in place, retrain deploy can."
    )


def _entry(config: Config, resource: Resource, ids: set[str]) -> dict[str, Any]:
    needs = [need for need in resource.needs if need in ids]
    properties = {name: _value(config, value) for name, value in resource.properties.items()}
    if "Code" in properties:
        properties["Code"]["S3Bucket"] = {"Ref": ARTIFACT_BUCKET}
    if "DefinitionString" in properties:
        # Line by line, as reviews show it; joined it is the same text.
        lines = resource.properties["DefinitionString"].split("\n")
        properties["DefinitionString"] = {"Fn::Join": ["\n", _value(config, lines)]}
    return {
        "Type": resource.type,
        **(_KEPT if resource.type in _RETAINED else {}),
        **({"DependsOn": needs} if needs else {}),
        "Properties": properties,
    }


def _value(config: Config, value: Any) -> Any:
    """Return a value in which everything below the bucket's artifacts/ is in ArtifactBucket."""
    if isinstance(value, str):
        path = f"{config.bucket}/{PREFIX}"
        if path not in value:
            return value
        literal = value.replace("${", "${!")
        return {"Fn::Sub": literal.replace(path, f"${{{ARTIFACT_BUCKET}}}/{PREFIX}")}
    if isinstance(value, Mapping):
        return {name: _value(config, inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_value(config, inner) for inner in value]
    return value
