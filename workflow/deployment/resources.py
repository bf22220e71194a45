"""The model: every resource that the workflow needs on AWS, in CloudFormation's words.

Both deployment methods use it: `deploy` brings AWS in line with it through boto3, `template` writes
it as a CloudFormation template. Names and ARNs follow from the configuration, so that every value
is concrete. Nothing here calls AWS.

A role, topic or bucket that the configuration names by an ARN is somebody else's, and not in the
model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from workflow.config import Config
from workflow.definition.asl import Definition
from workflow.definition.graph import retraining_graph
from workflow.definition.render import render_definition
from workflow.deployment.alarms import alarms
from workflow.deployment.artefacts import Artefact, Artefacts
from workflow.deployment.deployed import deployed_functions
from workflow.deployment.ends_rule import NOTIFYING, ends_rule, invoke_permission
from workflow.deployment.permissions import (
    bucket_policy,
    check_sizes,
    role_policies,
    topic_policy,
    trust_policy,
)
from workflow.extensions import function_id
from workflow.names import OWNER_TAG
from workflow.settings import RoleName

S3_OBJECT = "Custom::S3Object"
"""The type of an uploaded artefact, for which CloudFormation has none."""

MINUTE = 60
HOUR = 3_600


@dataclass(frozen=True)
class Resource:
    """One resource of the model.

    Attributes:
        id: Logical id, letters and digits, for example `RunBucket`.
        type: CloudFormation's, for example `AWS::S3::Bucket`.
        name: Its physical name: an ARN for topic, state machine and Personalize, else a name;
            `bucket/key` for an uploaded artefact.
        properties: CloudFormation's property names and shapes; values are concrete, and what has
            none is left out.
        needs: Logical ids of the resources that have to exist before.
    """

    id: str
    type: str
    name: str
    properties: Mapping[str, Any]
    needs: tuple[str, ...] = ()


def resources(
    config: Config, artefacts: Artefacts, definition: Definition | None = None
) -> tuple[Resource, ...]:
    """Return every resource, each after those that it needs.

    Args:
        config: The configuration.
        artefacts: What is uploaded.
        definition: The state machine's; made from the configuration if left out.
    """
    definition = retraining_graph(config).to_dict() if definition is None else definition
    deployed = deployed_functions(config, definition)
    model = (
        *_bucket(config),
        *_uploads(config, artefacts),
        *_roles(config, definition),
        *_functions(config, artefacts, deployed),
        _etl_job(config, artefacts),
        *_personalize(config),
        *_topic(config),
        *_state_machine(config, definition, deployed),
        *_alarms(config),
        *_ends_rule(config),
        *_schedule(config),
    )
    ids = {resource.id for resource in model}
    return tuple(
        replace(
            resource,
            properties={
                name: value for name, value in resource.properties.items() if value is not None
            },
            needs=tuple(need for need in resource.needs if need in ids),
        )
        for resource in model
    )


def _bucket(config: Config) -> Iterator[Resource]:
    if not config.is_own_bucket:
        return
    encryption = (
        {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": config.aws.kms_key}
        if config.aws.kms_key
        else {"SSEAlgorithm": "AES256"}
    )
    yield Resource(
        "RunBucket",
        "AWS::S3::Bucket",
        config.bucket,
        {
            "BucketName": config.bucket,
            "BucketEncryption": {
                "ServerSideEncryptionConfiguration": [
                    {
                        "ServerSideEncryptionByDefault": encryption,
                        "BucketKeyEnabled": bool(config.aws.kms_key),
                    }
                ]
            },
            "LifecycleConfiguration": {
                "Rules": [
                    {
                        "Id": "old-runs",
                        "Status": "Enabled",
                        "Prefix": "runs/",
                        "ExpirationInDays": config.aws.run_retention_days,
                    },
                    {
                        "Id": "old-versions",
                        "Status": "Enabled",
                        "Prefix": "",
                        "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
                        "ExpiredObjectDeleteMarker": True,
                        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
                    },
                ]
            },
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            "PublicAccessBlockConfiguration": {
                "BlockPublicAcls": True,
                "BlockPublicPolicy": True,
                "IgnorePublicAcls": True,
                "RestrictPublicBuckets": True,
            },
            "VersioningConfiguration": {"Status": "Enabled"},
            "Tags": _tags(config),
        },
    )
    yield Resource(
        "RunBucketPolicy",
        "AWS::S3::BucketPolicy",
        config.bucket,
        {"Bucket": config.bucket, "PolicyDocument": bucket_policy(config)},
        needs=("RunBucket",),
    )


def _uploads(config: Config, artefacts: Artefacts) -> Iterator[Resource]:
    uploads: dict[str, Artefact] = {
        "FunctionsArchive": artefacts.functions,
        "EtlLibrary": artefacts.etl_library,
        "EtlScript": artefacts.etl_script,
        "EtlSpec": artefacts.etl_spec,
        **{_code_id(name): own for name, own in artefacts.own_functions.items()},
        **{_source_id(name): source for name, source in artefacts.models.items()},
    }
    for identity, artefact in uploads.items():
        yield Resource(
            identity,
            S3_OBJECT,
            f"{config.bucket}/{artefact.key}",
            {"Bucket": config.bucket, "Key": artefact.key, "Sha256": artefact.sha256},
            needs=("RunBucket", "RunBucketPolicy"),
        )


def _roles(config: Config, definition: Definition) -> Iterator[Resource]:
    policies = role_policies(config, definition)
    check_sizes(config, policies)
    for role, policy in policies.items():
        name = config.role_arn(role).rpartition("/")[2]
        yield Resource(
            role_id(role),
            "AWS::IAM::Role",
            name,
            {
                "RoleName": name,
                "Description": f"{config.state_machine}: {role}",
                "AssumeRolePolicyDocument": trust_policy(config, role),
                "Policies": [{"PolicyName": role, "PolicyDocument": policy}],
                "PermissionsBoundary": config.aws.permission_boundary or None,
                "Tags": _tags(config),
            },
        )


def role_id(role: RoleName) -> str:
    """Return the logical id of a role, for example `GlueRole`."""
    return f"{role.capitalize()}Role"


def _functions(config: Config, artefacts: Artefacts, deployed: Sequence[str]) -> Iterator[Resource]:
    for function in deployed:
        name, identity, aws = config.function(function), function_id(function), config.aws
        is_filter = function == "filter-recommendations"  # excluded pairs in an SQLite file
        own = config.functions.get(function)
        yield _log_group(config, f"{identity}LogGroup", config.function_log(function))
        yield Resource(
            f"{identity}Function",
            "AWS::Lambda::Function",
            name,
            {
                "FunctionName": name,
                "Description": f"{config.state_machine}: {function}",
                "Code": {"S3Bucket": config.bucket, "S3Key": artefacts.code_of(function).key},
                "Handler": f"{config.source_file(function).stem}.handler"
                if own
                else f"lambdas.{function.replace('-', '_')}.handler",
                "Runtime": "python3.13",
                "Architectures": ["arm64"],
                "Role": config.role_arn("functions"),
                "MemorySize": config.function_megabytes(function),
                "Timeout": config.function_seconds(function),
                "EphemeralStorage": {"Size": 2_048 if is_filter else 512},
                "Environment": {"Variables": own.environment} if own and own.environment else None,
                "LoggingConfig": {
                    "LogFormat": "JSON",
                    "ApplicationLogLevel": "INFO",
                    "SystemLogLevel": "INFO",
                    "LogGroup": config.function_log(function),
                },
                "TracingConfig": {"Mode": "Active" if aws.tracing else "PassThrough"},
                "Tags": _tags(config),
                "VpcConfig": {"SubnetIds": aws.subnets, "SecurityGroupIds": aws.security_groups}
                if aws.subnets
                else None,
                "KmsKeyArn": aws.kms_key or None,
            },
            needs=(
                _code_id(function) if own else "FunctionsArchive",
                "FunctionsRole",
                f"{identity}LogGroup",
            ),
        )


def _code_id(function: str) -> str:
    """Return the logical id of the archive of a team's function."""
    return f"{function_id(function)}Code"


def _source_id(model: str) -> str:
    """Return the logical id of the source of a team's model."""
    return f"{function_id(model)}ModelSource"


def _log_group(config: Config, identity: str, name: str) -> Resource:
    return Resource(
        identity,
        "AWS::Logs::LogGroup",
        name,
        {
            "LogGroupName": name,
            "RetentionInDays": config.aws.log_retention_days,
            "KmsKeyId": config.aws.kms_key or None,
            "Tags": _tags(config),
        },
    )


def _etl_job(config: Config, artefacts: Artefacts) -> Resource:
    return Resource(
        "EtlJob",
        "AWS::Glue::Job",
        config.glue_job,
        {
            "Name": config.glue_job,
            "Description": f"{config.state_machine}: database to Amazon Personalize's files",
            "Role": config.role_arn("glue"),
            "Command": {
                "Name": "glueetl",
                "PythonVersion": "3",
                "ScriptLocation": f"s3://{config.bucket}/{artefacts.etl_script.key}",
            },
            "DefaultArguments": {
                "--runtime": "glue",
                "--connection": config.source.connection,
                "--extra-py-files": f"s3://{config.bucket}/{artefacts.etl_library.key}",
            },
            "Connections": {"Connections": [config.source.connection]},
            "GlueVersion": "5.1",
            "WorkerType": config.etl.worker_type,
            "NumberOfWorkers": config.etl.workers,
            "ExecutionClass": "STANDARD",
            "ExecutionProperty": {"MaxConcurrentRuns": 3},
            "MaxRetries": 0,
            "Timeout": config.etl.timeout_minutes,
            "Tags": config.owned_tags,
        },
        needs=("GlueRole", "EtlScript", "EtlLibrary", "EtlSpec"),
    )


def _personalize(config: Config) -> Iterator[Resource]:
    if not config.has_personalize:
        return
    # CloudFormation cannot change these tags without replacing the resource: only the constant one.
    tags = [{"Key": OWNER_TAG, "Value": config.name}]
    key = config.aws.kms_key
    yield Resource(
        "DatasetGroup",
        "AWS::Personalize::DatasetGroup",
        config.dataset_group_arn,
        {
            "Name": config.dataset_group,
            "KmsKeyArn": key or None,
            "RoleArn": config.role_arn("personalize") if key else None,
            "Tags": tags,
        },
        needs=("PersonalizeRole",) if key else (),
    )
    for data_set in config.data_sets:
        dataset_type = data_set.type.capitalize()
        schema = config.schema_name(data_set)
        schema_arn = config.arn("personalize", f"schema/{schema}")
        yield Resource(
            f"{dataset_type}Schema",
            "AWS::Personalize::Schema",
            schema_arn,
            {"Name": schema, "Schema": data_set.avro_json(), "Tags": tags},
        )
        yield Resource(
            f"{dataset_type}Dataset",
            "AWS::Personalize::Dataset",
            config.dataset_arn(data_set),
            {
                "Name": f"{config.name}-{data_set.type.lower()}",
                "DatasetType": dataset_type,
                "DatasetGroupArn": config.dataset_group_arn,
                "SchemaArn": schema_arn,
                "Tags": tags,
            },
            needs=("DatasetGroup", f"{dataset_type}Schema"),
        )
    for each in config.each_recommender:
        if (arn := each.personalize_filter_arn) is None:
            continue
        yield Resource(
            f"BatchFilter{function_id(each.recommender) if each.recommender else ''}",
            "AWS::Personalize::Filter",
            arn,
            {
                "Name": arn.rpartition("/")[2],
                "DatasetGroupArn": config.dataset_group_arn,
                "FilterExpression": each.batch_inference.personalize_filter,
                "Tags": tags,
            },
            needs=(
                "DatasetGroup",
                *(f"{data_set.type.capitalize()}Dataset" for data_set in config.data_sets),
            ),
        )


def _topic(config: Config) -> Iterator[Resource]:
    if config.aws.topic.startswith("arn:"):
        return
    yield Resource(
        "FailureTopic",
        "AWS::SNS::Topic",
        config.topic_arn,
        {
            "TopicName": config.topic_arn.rpartition(":")[2],
            "KmsMasterKeyId": config.aws.kms_key or None,
            "Subscription": [
                {"Protocol": "email", "Endpoint": address} for address in config.aws.emails
            ]
            or None,
            "Tags": _tags(config),
        },
    )
    yield Resource(
        "FailureTopicPolicy",
        "AWS::SNS::TopicPolicy",
        config.topic_arn,
        {"Topics": [config.topic_arn], "PolicyDocument": topic_policy(config)},
        needs=("FailureTopic",),
    )


def _state_machine(
    config: Config, definition: Definition, deployed: Sequence[str]
) -> Iterator[Resource]:
    log_group = config.arn("logs", f"log-group:{config.state_machine_log}:*")
    yield _log_group(config, "StateMachineLogGroup", config.state_machine_log)
    encryption = {
        "Type": "CUSTOMER_MANAGED_KMS_KEY",
        "KmsKeyId": config.aws.kms_key,
        "KmsDataKeyReusePeriodSeconds": 5 * MINUTE,
    }
    yield Resource(
        "StateMachine",
        "AWS::StepFunctions::StateMachine",
        config.state_machine_arn,
        {
            "StateMachineName": config.state_machine,
            "StateMachineType": "STANDARD",
            "DefinitionString": render_definition(definition),
            "RoleArn": config.role_arn("states"),
            "LoggingConfiguration": {
                "Level": "ERROR",
                "IncludeExecutionData": True,
                "Destinations": [{"CloudWatchLogsLogGroup": {"LogGroupArn": log_group}}],
            },
            "TracingConfiguration": {"Enabled": config.aws.tracing},
            "Tags": _tags(config),
            "EncryptionConfiguration": encryption if config.aws.kms_key else None,
        },
        needs=(
            "StatesRole",
            "StateMachineLogGroup",
            *(
                f"{function_id(function)}Function"
                for function in deployed_functions(config, definition)
            ),
            "EtlJob",
            "FailureTopic",
            role_id("sagemaker"),
            *map(_source_id, config.sagemaker_models),
        ),
    )


def _alarms(config: Config) -> Iterator[Resource]:
    for identity, properties in alarms(config):
        yield Resource(
            identity,
            "AWS::CloudWatch::Alarm",
            properties["AlarmName"],
            {**properties, "Tags": _tags(config)},
            needs=("FailureTopic",),
        )


def _ends_rule(config: Config) -> Iterator[Resource]:
    if config.notification:
        properties = invoke_permission(config)
        yield Resource(
            "EndsRulePermission",
            "AWS::Lambda::Permission",
            f"{properties['FunctionName']}/EndsRulePermission",
            properties,
            needs=(f"{function_id(NOTIFYING)}Function",),
        )
    yield Resource(
        "EndsRule",
        "AWS::Events::Rule",
        config.ends_rule,
        {**ends_rule(config), "Tags": _tags(config)},
        needs=("FailureTopic", "FailureTopicPolicy", "EndsRulePermission", "StateMachine"),
    )


def _schedule(config: Config) -> Iterator[Resource]:
    if not config.schedule:
        return
    key = config.aws.kms_key
    yield Resource(
        "ScheduleDeadLetters",
        "AWS::SQS::Queue",
        config.dead_letters,
        {
            "QueueName": config.dead_letters,
            "MessageRetentionPeriod": 14 * 24 * HOUR,
            "KmsMasterKeyId": key or None,
            "SqsManagedSseEnabled": None if key else True,
            "Tags": _tags(config),
        },
    )
    yield Resource(
        "Schedule",
        "AWS::Scheduler::Schedule",
        config.state_machine,
        {
            "Name": config.state_machine,
            "GroupName": "default",
            "Description": f"Starts {config.state_machine}.",
            "ScheduleExpression": config.schedule.expression,
            "ScheduleExpressionTimezone": config.schedule.timezone,
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "State": "ENABLED" if config.schedule.enabled else "DISABLED",
            "KmsKeyArn": key or None,
            "Target": {
                "Arn": config.state_machine_arn,
                "RoleArn": config.role_arn("scheduler"),
                "Input": "{}",
                "DeadLetterConfig": {"Arn": config.arn("sqs", config.dead_letters)},
                "RetryPolicy": {"MaximumEventAgeInSeconds": HOUR, "MaximumRetryAttempts": 10},
            },
        },
        needs=("StateMachine", "SchedulerRole", "ScheduleDeadLetters"),
    )


def _tags(config: Config) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted(config.owned_tags.items())]
