"""Who may do what: each role's trust and permissions, and the bucket's policy, as IAM documents.

Each role is allowed the actions that its part calls, on the ARNs that it calls them on. A function
answers a policy document of plain JSON values, in a fixed order. Statements whose Sid begins with
`Service` hold what AWS's services do by themselves under the role (networks, logs, keys): none of
our code calls them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from workflow.config import FUNCTIONS, Config, RoleName
from workflow.deployment.artefacts import PREFIX

Policy = dict[str, Any]
Statement = dict[str, Any]

SERVICE = "Service"
"""How the Sid of a statement begins that AWS's services alone make use of."""


ASSUMED_BY: Mapping[RoleName, str] = {
    "states": "states.amazonaws.com",
    "functions": "lambda.amazonaws.com",
    "glue": "glue.amazonaws.com",
    "personalize": "personalize.amazonaws.com",
    "scheduler": "scheduler.amazonaws.com",
}
"""The service that each role is for."""


def trust_policy(config: Config, role: RoleName) -> Policy:
    """Return who may assume a role."""
    # Lambda and Glue name no source account when they assume a role; iam:PassRole, which does not
    # cross accounts, is what keeps others from handing them this one.
    sources: Mapping[RoleName, str] = {
        "states": config.arn("states", "*"),
        "personalize": config.arn("personalize", "*"),
        "scheduler": config.arn("scheduler", "schedule-group/default"),
    }
    statement: Statement = {
        "Effect": "Allow",
        "Principal": {"Service": ASSUMED_BY[role]},
        "Action": "sts:AssumeRole",
    }
    if role in sources:
        statement["Condition"] = _from(config, sources[role])
    return policy([statement])


def role_policy(config: Config, role: RoleName) -> Policy:
    """Return what a role may do."""
    statements = {
        "states": _states,
        "functions": _functions,
        "glue": _glue,
        "personalize": _personalize,
        "scheduler": _scheduler,
    }
    return policy([*statements[role](config), *_key(config, role)])


def bucket_policy(config: Config) -> Policy:
    """Return the bucket's policy: TLS alone, and Personalize's reading and writing."""
    personalize = {"Service": "personalize.amazonaws.com"}
    source = _from(config, config.arn("personalize", "*"))
    everything = [bucket_arn(config), objects(config, "*")]
    return policy(
        [
            {
                "Sid": "TlsOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": everything,
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            },
            {
                **allow("PersonalizeReads", ["s3:GetObject"], [objects(config, "runs/*")]),
                "Principal": personalize,
                "Condition": source,
            },
            {
                **allow("PersonalizeLists", ["s3:ListBucket"], [bucket_arn(config)]),
                "Principal": personalize,
                "Condition": source,
            },
            {
                **allow("PersonalizeWrites", ["s3:PutObject"], [_batch_output(config)]),
                "Principal": personalize,
                "Condition": source,
            },
        ]
    )


def bucket_arn(config: Config) -> str:
    """Return the bucket's ARN."""
    return f"arn:{config.partition}:s3:::{config.bucket}"


def objects(config: Config, pattern: str) -> str:
    """Return the ARN of objects, for example of `runs/*`."""
    return f"{bucket_arn(config)}/{pattern}"


def function_arn(config: Config, name: str) -> str:
    """Return the ARN of a function by its deployed name."""
    return config.arn("lambda", f"function:{name}")


def _states(config: Config) -> Iterator[Statement]:
    functions = [function_arn(config, config.function(name)) for name in FUNCTIONS]
    yield allow("CallFunctions", ["lambda:InvokeFunction"], functions)
    yield allow(
        "RunSparkJob",
        ["glue:StartJobRun", "glue:GetJobRun", "glue:BatchStopJobRun"],
        [config.glue_job_arn],
    )
    # https://docs.aws.amazon.com/step-functions/latest/dg/connect-glue.html
    yield allow("ServiceWatchesSparkJob", ["glue:GetJobRuns"], [config.glue_job_arn])
    yield allow("TellOfFailure", ["sns:Publish"], [config.topic_arn])
    # Deliveries of logs know no resources.
    # https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
    yield allow(
        "ServiceDeliversLogs",
        [
            "logs:CreateLogDelivery",
            "logs:DeleteLogDelivery",
            "logs:DescribeLogGroups",
            "logs:DescribeResourcePolicies",
            "logs:GetLogDelivery",
            "logs:ListLogDeliveries",
            "logs:PutResourcePolicy",
            "logs:UpdateLogDelivery",
        ],
        ["*"],
    )
    if config.aws.tracing:
        yield allow(
            "ServiceTraces",
            [
                "xray:GetSamplingRules",
                "xray:GetSamplingTargets",
                "xray:PutTelemetryRecords",
                "xray:PutTraceSegments",
            ],
            ["*"],
        )


def _functions(config: Config) -> Iterator[Statement]:
    solution = config.arn("personalize", f"solution/{config.solution_name}")
    imports = [
        config.arn("personalize", f"dataset-import-job/{data_set.type.lower()}-*")
        for data_set in config.data_sets
    ]
    datasets = [config.dataset_arn(data_set) for data_set in config.data_sets]
    batches = config.arn("personalize", "batch-inference-job/batch-*")
    yield allow(
        "ReadRuns",
        ["s3:GetObject"],
        [
            objects(config, f"runs/*/{path}")
            for path in ("manifest.json", "filter/*", "batch-output/*")
        ],
    )
    yield _list_runs(config)
    yield allow(
        "PublishRecommendations",
        ["s3:PutObject", "s3:AbortMultipartUpload"],
        [
            objects(config, "runs/*/recommendations/*"),
            objects(config, "recommendations/latest.json"),
        ],
    )
    yield allow(
        "FindInPersonalize",  # its List actions know no resources
        [
            "personalize:ListBatchInferenceJobs",
            "personalize:ListDatasetImportJobs",
            "personalize:ListDatasets",
            "personalize:ListSolutionVersions",
            "personalize:ListSolutions",
        ],
        ["*"],
    )
    yield allow("ImportDatasets", ["personalize:CreateDatasetImportJob"], [*imports, *datasets])
    yield allow("WatchImports", ["personalize:DescribeDatasetImportJob"], imports)
    yield allow(
        "MakeSolution", ["personalize:CreateSolution"], [config.dataset_group_arn, solution]
    )
    yield allow(
        "Train",
        [
            "personalize:CreateSolutionVersion",
            "personalize:DescribeSolution",
            "personalize:DescribeSolutionVersion",
        ],
        [solution, f"{solution}/*"],
    )
    yield allow(
        "Recommend",
        ["personalize:CreateBatchInferenceJob"],
        [batches, f"{solution}/*"],
    )
    yield allow("WatchBatches", ["personalize:DescribeBatchInferenceJob"], [batches])
    yield allow(
        "PassPersonalizeItsRole",
        ["iam:PassRole"],
        [config.role_arn("personalize")],
        {"StringEquals": {"iam:PassedToService": "personalize.amazonaws.com"}},
    )
    yield from _function_services(config)


def _function_services(config: Config) -> Iterator[Statement]:
    logs = [config.arn("logs", f"log-group:{config.function_log(name)}:*") for name in FUNCTIONS]
    yield allow("ServiceLogs", ["logs:CreateLogStream", "logs:PutLogEvents"], logs)
    if config.aws.tracing:
        yield allow("ServiceTraces", ["xray:PutTelemetryRecords", "xray:PutTraceSegments"], ["*"])
    if config.aws.subnets:
        # Lambda asks for these on all resources.
        # https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
        yield allow(
            "ServiceJoinsNetwork",
            [
                "ec2:AssignPrivateIpAddresses",
                "ec2:CreateNetworkInterface",
                "ec2:DeleteNetworkInterface",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSubnets",
                "ec2:UnassignPrivateIpAddresses",
            ],
            ["*"],
        )


def _glue(config: Config) -> Iterator[Statement]:
    yield allow("ReadCode", ["s3:GetObject"], [objects(config, f"{PREFIX}*")])
    yield allow(
        "WriteRuns",
        ["s3:PutObject", "s3:DeleteObject"],
        [objects(config, "runs/*")],
    )
    # Glue's own file system looks at what it wrote, and gives up the parts of a task that fails.
    yield allow(
        "ServiceWritesFiles",
        ["s3:AbortMultipartUpload", "s3:GetObject"],
        [objects(config, "runs/*")],
    )
    yield _list_runs(config)
    yield allow("ServiceFindsBucket", ["s3:GetBucketLocation"], [bucket_arn(config)])
    yield allow(
        "ServiceReadsConnection",
        ["glue:GetConnection"],
        [
            config.arn("glue", "catalog"),
            config.arn("glue", f"connection/{config.source.connection}"),
        ],
    )
    if config.source.secret:
        yield allow("ServiceReadsSecret", ["secretsmanager:GetSecretValue"], [config.source.secret])
    yield allow(
        "ServiceLogs",
        ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
        [config.arn("logs", "log-group:/aws-glue/*")],
    )
    # A connection's job lives in its VPC; looking around there knows no resources.
    # https://docs.aws.amazon.com/glue/latest/dg/getting-started-min-privs-job.html
    yield allow(
        "ServiceJoinsNetwork",
        [
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeRouteTables",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeVpcAttribute",
            "ec2:DescribeVpcEndpoints",
        ],
        ["*"],
    )
    yield allow(
        "ServiceMarksItsInterfaces",
        ["ec2:CreateTags", "ec2:DeleteTags"],
        [config.arn("ec2", "network-interface/*")],
        {"ForAllValues:StringEquals": {"aws:TagKeys": ["aws-glue-service-resource"]}},
    )


def _personalize(config: Config) -> Iterator[Statement]:
    yield allow("ReadRuns", ["s3:GetObject"], [objects(config, "runs/*")])
    yield _list_runs(config)
    yield allow("WriteBatchOutput", ["s3:PutObject"], [_batch_output(config)])


def _scheduler(config: Config) -> Iterator[Statement]:
    yield allow("ServiceStartsRuns", ["states:StartExecution"], [config.state_machine_arn])
    yield allow(
        "ServiceKeepsDeadLetters", ["sqs:SendMessage"], [config.arn("sqs", config.dead_letters)]
    )


def _key(config: Config, role: RoleName) -> Iterator[Statement]:
    if not config.aws.kms_key:
        return
    actions = ["kms:Decrypt", "kms:GenerateDataKey"]
    if role == "personalize":
        # https://docs.aws.amazon.com/personalize/latest/dg/granting-personalize-key-access.html
        actions += ["kms:CreateGrant", "kms:DescribeKey", "kms:ListGrants"]
    yield allow("ServiceUsesKey", actions, [config.aws.kms_key])


def _list_runs(config: Config) -> Statement:
    # IfExists: reading an object names no prefix, and whoever may not list is told of a missing
    # object that access is denied, not that it is missing.
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
    return allow(
        "ListRuns",
        ["s3:ListBucket"],
        [bucket_arn(config)],
        {"StringLikeIfExists": {"s3:prefix": "runs/*"}},
    )


def _batch_output(config: Config) -> str:
    return objects(config, "runs/*/batch-output/*")


def _from(config: Config, source_arn: str) -> Mapping[str, Any]:
    return {
        "StringEquals": {"aws:SourceAccount": config.aws.account},
        "ArnLike": {"aws:SourceArn": source_arn},
    }


def allow(
    sid: str,
    actions: Sequence[str],
    resources: Sequence[str],
    condition: Mapping[str, Any] | None = None,
) -> Statement:
    """Return a statement that allows actions on resources, under a condition or always.

    Args:
        sid: says what for, in letters and digits.
        actions: for example `s3:GetObject`.
        resources: ARNs, `*` for actions that know none.
        condition: as IAM writes it.
    """
    statement: Statement = {
        "Sid": sid,
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": list(resources),
    }
    return {**statement, "Condition": condition} if condition else statement


def policy(statements: Sequence[Statement]) -> Policy:
    """Return a policy document of statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}
