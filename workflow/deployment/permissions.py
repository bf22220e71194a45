"""Everybody's permissions as one table: the roles', and those of the people who deploy and run.

`policies` holds what the workflow's own roles may do. A person is a `deployer` (plan, deploy,
destroy), an `operator` (start, watch, executions, stop, explain, cost, diff) or an `analyst`
(report, the notebooks about data and recommendations), or several of these; their policies are
printed to be attached, the project makes none of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from workflow.config import FUNCTIONS, ROLES, Config, RoleName
from workflow.deployment.artefacts import PREFIX
from workflow.deployment.lock import LOCK_KEY
from workflow.deployment.policies import (
    ASSUMED_BY,
    Policy,
    Statement,
    allow,
    bucket_arn,
    function_arn,
    objects,
    policy,
    role_policy,
)
from workflow.errors import WorkflowError
from workflow.spelling import suggestion

Person = Literal["deployer", "operator", "analyst"]
PEOPLE: tuple[Person, ...] = get_args(Person)


@dataclass(frozen=True)
class Grant:
    """One statement, as a person reads it.

    Attributes:
        who: a role, for example `glue`, or a person, for example `deployer`.
        purpose: the statement's Sid, for example `ReadCode`.
        actions: for example `s3:GetObject`.
        resources: ARNs; `*` where the actions know none.
        condition: under which it holds; empty if always.
    """

    who: str
    purpose: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    condition: Mapping[str, Any] = field(default_factory=dict)


class UnknownPrincipalError(WorkflowError, ValueError):
    """Nobody has this name; says who has."""


def principal(name: str) -> RoleName | Person:
    """Return a role or person by its name.

    Raises:
        UnknownPrincipalError: there is none of this name.
    """
    known: dict[str, RoleName | Person] = {who: who for who in (*ROLES, *PEOPLE)}
    if name not in known:
        hint = suggestion(name, known, otherwise=f"there are {', '.join(known)}", quote="'")
        raise UnknownPrincipalError(f"nobody is called '{name}'; {hint}")
    return known[name]


def permission_policy(config: Config, who: RoleName | Person) -> Policy:
    """Return the policy of a role or a person, ready for IAM."""
    match who:
        case "deployer":
            return policy(list(_deployer(config)))
        case "operator":
            return policy(list(_operator(config)))
        case "analyst":
            return policy(list(_analyst(config)))
        case _:
            return role_policy(config, who)


def grants(config: Config) -> Iterator[Grant]:
    """Yield every statement of every role that a deployment makes, then of the people."""
    roles = [role for role in ROLES if role != "scheduler" or config.schedule]
    for who in (*roles, *PEOPLE):
        for statement in permission_policy(config, who)["Statement"]:
            yield Grant(
                who,
                statement["Sid"],
                tuple(statement["Action"]),
                tuple(statement["Resource"]),
                statement.get("Condition", {}),
            )


def _deployer(config: Config) -> Iterator[Statement]:
    """Yield what plan, deploy and destroy call; reading first, as `plan` makes no other call."""
    yield from _deployer_of_storage(config)
    yield from _deployer_of_roles(config)
    yield from _deployer_of_compute(config)
    yield from _deployer_of_personalize(config)
    yield from _deployer_of_notices(config)
    if config.aws.kms_key:
        # Each service checks that whoever asks for a key may use it.
        # https://docs.aws.amazon.com/kms/latest/developerguide/services-kms.html
        yield allow(
            "ServiceUsesKey",
            ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"],
            [config.aws.kms_key],
        )


def _deployer_of_storage(config: Config) -> Iterator[Statement]:
    yield allow(
        "Bucket",
        [
            "s3:CreateBucket",
            "s3:DeleteBucket",
            "s3:DeleteBucketPolicy",
            "s3:GetBucketOwnershipControls",
            "s3:GetBucketPolicy",
            "s3:GetBucketPublicAccessBlock",
            "s3:GetBucketTagging",
            "s3:GetBucketVersioning",
            "s3:GetEncryptionConfiguration",
            "s3:GetLifecycleConfiguration",
            "s3:ListBucket",
            "s3:ListBucketVersions",
            "s3:PutBucketOwnershipControls",
            "s3:PutBucketPolicy",
            "s3:PutBucketPublicAccessBlock",
            "s3:PutBucketTagging",
            "s3:PutBucketVersioning",
            "s3:PutEncryptionConfiguration",
            "s3:PutLifecycleConfiguration",
        ],
        [bucket_arn(config)],
    )
    yield allow("Code", ["s3:GetObject", "s3:PutObject"], [objects(config, f"{PREFIX}*")])
    yield allow("Lock", ["s3:DeleteObjectVersion"], [objects(config, LOCK_KEY)])
    yield allow("TakeCodeAway", ["s3:DeleteObject"], [objects(config, f"{PREFIX}*")])
    yield allow("EmptyBucket", ["s3:DeleteObjectVersion"], [objects(config, "*")])


def _deployer_of_roles(config: Config) -> Iterator[Statement]:
    made = [role for role in ROLES if not config.aws.roles.get(role, "").startswith("arn:")]
    made = [role for role in made if role != "scheduler" or config.schedule]
    arns = [config.role_arn(role) for role in made]
    boundary = config.aws.permission_boundary
    if arns:
        yield allow(
            "Roles",
            [
                "iam:DeleteRole",
                "iam:DeleteRolePolicy",
                "iam:DetachRolePolicy",
                "iam:GetRole",
                "iam:GetRolePolicy",
                "iam:ListAttachedRolePolicies",
                "iam:ListRolePolicies",
                "iam:PutRolePolicy",
                "iam:TagRole",
                "iam:UpdateAssumeRolePolicy",
                "iam:UpdateRole",
                *([] if boundary else ["iam:DeleteRolePermissionsBoundary"]),
            ],
            arns,
        )
        actions = ["iam:CreateRole", *(["iam:PutRolePermissionsBoundary"] if boundary else [])]
        bound = {"StringEquals": {"iam:PermissionsBoundary": boundary}} if boundary else None
        yield allow("MakeRoles", actions, arns, bound)
    handed = ["states", "functions", "glue", *(["scheduler"] if config.schedule else [])]
    if config.aws.kms_key:
        handed.append("personalize")
    for role in (role for role in ROLES if role in handed):
        yield allow(
            f"Pass{role.capitalize()}Role",
            ["iam:PassRole"],
            [config.role_arn(role)],
            {"StringEquals": {"iam:PassedToService": ASSUMED_BY[role]}},
        )


def _deployer_of_compute(config: Config) -> Iterator[Statement]:
    functions = [function_arn(config, config.function(name)) for name in FUNCTIONS]
    yield allow(
        "Functions",
        [
            "lambda:CreateFunction",
            "lambda:DeleteFunction",
            "lambda:GetFunction",
            "lambda:TagResource",
            "lambda:UpdateFunctionCode",
            "lambda:UpdateFunctionConfiguration",
        ],
        functions,
    )
    if config.aws.subnets:
        # https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
        yield allow(
            "ServiceFindsNetwork",
            ["ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs"],
            ["*"],
        )
    yield allow(
        "SparkJob",
        [
            "glue:CreateJob",
            "glue:DeleteJob",
            "glue:GetJob",
            "glue:GetTags",
            "glue:TagResource",
            "glue:UpdateJob",
        ],
        [config.glue_job_arn],
    )
    yield allow(
        "StateMachine",
        [
            "states:CreateStateMachine",
            "states:DeleteStateMachine",
            "states:DescribeStateMachine",
            "states:ListTagsForResource",
            "states:TagResource",
            "states:UpdateStateMachine",
        ],
        [config.state_machine_arn],
    )
    names = [*(config.function_log(name) for name in FUNCTIONS), config.state_machine_log]
    groups = [config.arn("logs", f"log-group:{name}") for name in names]
    key = ["logs:AssociateKmsKey"] if config.aws.kms_key else ["logs:DisassociateKmsKey"]
    yield allow(
        "LogGroups",
        [
            *key,
            "logs:CreateLogGroup",
            "logs:DeleteLogGroup",
            "logs:PutRetentionPolicy",
        ],
        [f"{group}:*" for group in groups],
    )
    # Tags are the log group's own, and its ARN then ends with its name.
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html
    yield allow("TagLogGroups", ["logs:ListTagsForResource", "logs:TagResource"], groups)
    yield allow("FindLogGroups", ["logs:DescribeLogGroups"], ["*"])


def _deployer_of_personalize(config: Config) -> Iterator[Statement]:
    datasets = [config.dataset_arn(data_set) for data_set in config.data_sets]
    # The name ends with a digest of the content, so that another content is another schema.
    schemas = [
        config.arn("personalize", f"schema/{config.name}-{data_set.type.lower()}-*")
        for data_set in config.data_sets
    ]
    yield allow(
        "Schemas",
        ["personalize:CreateSchema", "personalize:DeleteSchema", "personalize:DescribeSchema"],
        schemas,
    )
    yield allow(
        "DatasetGroup",
        [
            "personalize:CreateDatasetGroup",
            "personalize:DeleteDatasetGroup",
            "personalize:DescribeDatasetGroup",
        ],
        [config.dataset_group_arn],
    )
    yield allow("Datasets", ["personalize:CreateDataset"], [config.dataset_group_arn, *datasets])
    yield allow(
        "ChangeDatasets",
        ["personalize:DeleteDataset", "personalize:DescribeDataset", "personalize:UpdateDataset"],
        datasets,
    )
    tagged = [config.dataset_group_arn, *datasets]
    if batch_filter := config.personalize_filter_arn:
        yield allow(
            "Filter", ["personalize:CreateFilter"], [batch_filter, config.dataset_group_arn]
        )
        yield allow(
            "ChangeFilter",
            ["personalize:DeleteFilter", "personalize:DescribeFilter"],
            [batch_filter],
        )
        tagged.append(batch_filter)
    yield allow(
        "TagPersonalize",
        ["personalize:ListTagsForResource", "personalize:TagResource"],
        tagged,
    )
    yield allow("FindSolutions", ["personalize:ListSolutions"], ["*"])
    yield allow(
        "TakeSolutionsAway",
        ["personalize:DeleteSolution"],
        [config.arn("personalize", f"solution/{config.solution_name}")],
    )


def _deployer_of_notices(config: Config) -> Iterator[Statement]:
    if not config.aws.topic.startswith("arn:"):
        yield allow(
            "Topic",
            [
                "sns:CreateTopic",
                "sns:DeleteTopic",
                "sns:GetTopicAttributes",
                "sns:ListTagsForResource",
                "sns:SetTopicAttributes",
                "sns:TagResource",
            ],
            [config.topic_arn],
        )
    alarms = [
        config.arn("cloudwatch", f"alarm:{config.state_machine}-{kind}")
        for kind in ("failed", "overlong")
    ]
    yield allow(
        "Alarms",
        [
            "cloudwatch:DeleteAlarms",
            "cloudwatch:DescribeAlarms",
            "cloudwatch:ListTagsForResource",
            "cloudwatch:PutMetricAlarm",
            "cloudwatch:TagResource",
        ],
        alarms,
    )
    if not config.schedule:
        return
    yield allow(
        "DeadLetters",
        [
            "sqs:CreateQueue",
            "sqs:DeleteQueue",
            "sqs:GetQueueAttributes",
            "sqs:GetQueueUrl",
            "sqs:ListQueueTags",
            "sqs:SetQueueAttributes",
            "sqs:TagQueue",
        ],
        [config.arn("sqs", config.dead_letters)],
    )
    yield allow(
        "Schedule",
        [
            "scheduler:CreateSchedule",
            "scheduler:DeleteSchedule",
            "scheduler:GetSchedule",
            "scheduler:UpdateSchedule",
        ],
        [config.arn("scheduler", f"schedule/default/{config.state_machine}")],
    )


def _operator(config: Config) -> Iterator[Statement]:
    """Yield what the commands about runs call."""
    executions = config.arn("states", f"execution:{config.state_machine}:*")
    yield allow(
        "Workflow",
        ["states:DescribeStateMachine", "states:ListExecutions", "states:StartExecution"],
        [config.state_machine_arn],
    )
    yield allow(
        "Executions",
        ["states:DescribeExecution", "states:GetExecutionHistory", "states:StopExecution"],
        [executions],
    )
    yield allow(
        "ReadFunctionLogs",
        ["logs:FilterLogEvents"],
        [config.arn("logs", f"log-group:{config.function_log(name)}:*") for name in FUNCTIONS],
    )
    yield allow(
        "ReadSparkLogs",
        ["logs:GetLogEvents"],
        [config.arn("logs", "log-group:/aws-glue/jobs/*:log-stream:*")],
    )
    yield allow(
        "MeasureRuns",
        ["s3:ListBucket"],
        [bucket_arn(config)],
        {"StringLikeIfExists": {"s3:prefix": "runs/*"}},
    )
    yield allow("ReadManifests", ["s3:GetObject"], [objects(config, "runs/*/manifest.json")])
    yield allow(
        "MeasureTraining",
        ["personalize:DescribeSolutionVersion"],
        [config.arn("personalize", f"solution/{config.solution_name}/*")],
    )
    if config.aws.kms_key:
        yield allow("ServiceUsesKey", ["kms:Decrypt"], [config.aws.kms_key])


def _analyst(config: Config) -> Iterator[Statement]:
    """Yield what looking at a run's data, metrics and recommendations calls; nothing is changed."""
    # Beside the solution there may be one to compare it with, for example NAME-popularity.
    solutions = config.arn("personalize", f"solution/{config.solution_name}*")
    yield allow(
        "FindRuns",
        ["states:DescribeStateMachine", "states:ListExecutions"],
        [config.state_machine_arn],
    )
    yield allow(
        "ReadHistories",
        ["states:DescribeExecution", "states:GetExecutionHistory"],
        [config.arn("states", f"execution:{config.state_machine}:*")],
    )
    yield allow("ListRuns", ["s3:ListBucket"], [bucket_arn(config)])
    yield allow(
        "ReadRuns",
        ["s3:GetObject"],
        [objects(config, "runs/*"), objects(config, "recommendations/latest.json")],
    )
    yield allow(
        "FindVersions", ["personalize:ListSolutionVersions", "personalize:ListSolutions"], ["*"]
    )
    yield allow(
        "ReadMetrics",
        ["personalize:DescribeSolutionVersion", "personalize:GetSolutionMetrics"],
        [solutions],
    )
    if config.aws.kms_key:
        yield allow("ServiceUsesKey", ["kms:Decrypt"], [config.aws.kms_key])
