"""The authorization requests to IAM that a call causes: action, ARN and context keys.

The table is AWS's, not ours: the Service Authorization Reference says which resources an action is
checked on. A call that the table does not know fails the test.
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from localaws.http.calls import Call
from localaws.principals import CALLER

ACCOUNT, REGION = "123456789012", "ap-northeast-1"
HERE = f"{REGION}:{ACCOUNT}"


@dataclass(frozen=True)
class Request:
    """An authorization request to IAM."""

    action: str
    resource: str
    context: tuple[tuple[str, str], ...] = ()


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{HERE}:{resource}"


ROLE = f"arn:aws:iam::{ACCOUNT}:role/{{RoleName}}"
BUCKET, OBJECT = "arn:aws:s3:::{Bucket}", "arn:aws:s3:::{Bucket}/{Key}"
FUNCTION = _arn("lambda", "function:{FunctionName}")
JOB = _arn("glue", "job/{Name}")
JOB_RUN = _arn("glue", "job/{JobName}")
QUEUE = _arn("sqs", "{QueueName}")
ALARM = _arn("cloudwatch", "alarm:{AlarmName}")
RULE, TARGETS = _arn("events", "rule/{Name}"), _arn("events", "rule/{Rule}")
SCHEDULE = _arn("scheduler", "schedule/{GroupName}/{Name}")
LOGS = _arn("logs", "log-group:{logGroupName}:log-stream:")
STREAM = _arn("logs", "log-group:{logGroupName}:log-stream:{logStreamName}")
PERSONALIZE = _arn("personalize", "{}")
ANY = "*"

# service.operation → the action, where it has another name, and the ARNs that it is checked on.
TABLE: dict[str, tuple[str, ...]] = {
    **{
        f"dynamodb.{operation}": (_arn("dynamodb", "table/{TableName}"),)
        for operation in (
            "BatchWriteItem",
            "DescribeTable",
            "DescribeTimeToLive",
            "GetItem",
            "PutItem",
        )
    },
    "s3.AbortMultipartUpload": (OBJECT,),
    "s3.CompleteMultipartUpload": ("PutObject", OBJECT),
    "s3.CreateBucket": (BUCKET,),
    "s3.CreateMultipartUpload": ("PutObject", OBJECT),
    "s3.DeleteBucket": (BUCKET,),
    "s3.DeleteBucketPolicy": (BUCKET,),
    "s3.GetBucketEncryption": ("GetEncryptionConfiguration", BUCKET),
    "s3.GetBucketLifecycleConfiguration": ("GetLifecycleConfiguration", BUCKET),
    "s3.GetBucketOwnershipControls": (BUCKET,),
    "s3.GetBucketPolicy": (BUCKET,),
    "s3.GetBucketTagging": (BUCKET,),
    "s3.GetBucketVersioning": (BUCKET,),
    "s3.GetObject": (OBJECT,),
    "s3.GetPublicAccessBlock": ("GetBucketPublicAccessBlock", BUCKET),
    "s3.HeadBucket": ("ListBucket", BUCKET),
    "s3.HeadObject": ("GetObject", OBJECT),
    "s3.ListObjectVersions": ("ListBucketVersions", BUCKET),
    "s3.ListObjectsV2": ("ListBucket", BUCKET),
    "s3.PutBucketEncryption": ("PutEncryptionConfiguration", BUCKET),
    "s3.PutBucketLifecycleConfiguration": ("PutLifecycleConfiguration", BUCKET),
    "s3.PutBucketOwnershipControls": (BUCKET,),
    "s3.PutBucketPolicy": (BUCKET,),
    "s3.PutBucketTagging": (BUCKET,),
    "s3.PutBucketVersioning": (BUCKET,),
    "s3.PutObject": (OBJECT,),
    "s3.PutPublicAccessBlock": ("PutBucketPublicAccessBlock", BUCKET),
    "s3.UploadPart": ("PutObject", OBJECT),
    "iam.CreateRole": (ROLE,),
    "iam.DeleteRole": (ROLE,),
    "iam.DeleteRolePermissionsBoundary": (ROLE,),
    "iam.DeleteRolePolicy": (ROLE,),
    "iam.DetachRolePolicy": (ROLE,),
    "iam.GetRole": (ROLE,),
    "iam.GetRolePolicy": (ROLE,),
    "iam.ListAttachedRolePolicies": (ROLE,),
    "iam.ListRolePolicies": (ROLE,),
    "iam.PutRolePermissionsBoundary": (ROLE,),
    "iam.PutRolePolicy": (ROLE,),
    "iam.TagRole": (ROLE,),
    "iam.UpdateAssumeRolePolicy": (ROLE,),
    "iam.UpdateRole": (ROLE,),
    "lambda.AddPermission": (FUNCTION,),
    "lambda.CreateFunction": (FUNCTION,),
    "lambda.DeleteFunction": (FUNCTION,),
    "lambda.GetFunction": (FUNCTION,),
    "lambda.GetPolicy": (FUNCTION,),
    "lambda.Invoke": ("InvokeFunction", FUNCTION),
    "lambda.ListFunctions": ("*",),
    "lambda.RemovePermission": (FUNCTION,),
    "lambda.TagResource": ("{Resource}",),
    "lambda.UpdateFunctionCode": (FUNCTION,),
    "lambda.UpdateFunctionConfiguration": (FUNCTION,),
    "glue.BatchStopJobRun": (JOB_RUN,),
    "glue.CreateJob": (JOB,),
    "glue.DeleteJob": (JOB_RUN,),
    "glue.GetJob": (JOB_RUN,),
    "glue.GetJobRun": (JOB_RUN,),
    "glue.GetTags": ("{ResourceArn}",),
    "glue.StartJobRun": (JOB_RUN,),
    "glue.TagResource": ("{ResourceArn}",),
    "glue.UpdateJob": (JOB_RUN,),
    "states.CreateStateMachine": (_arn("states", "stateMachine:{name}"),),
    "states.DeleteStateMachine": ("{stateMachineArn}",),
    "states.DescribeExecution": ("{executionArn}",),
    "states.DescribeStateMachine": ("{stateMachineArn}",),
    "states.GetExecutionHistory": ("{executionArn}",),
    "states.ListExecutions": ("{stateMachineArn}",),
    "states.ListTagsForResource": ("{resourceArn}",),
    "states.StartExecution": ("{stateMachineArn}",),
    "states.StopExecution": ("{executionArn}",),
    "states.TagResource": ("{resourceArn}",),
    "states.UpdateStateMachine": ("{stateMachineArn}",),
    "logs.AssociateKmsKey": (LOGS,),
    "logs.CreateLogGroup": (LOGS,),
    "logs.DeleteLogGroup": (LOGS,),
    "logs.CreateLogStream": (STREAM,),
    "logs.DescribeLogGroups": (ANY,),
    "logs.DisassociateKmsKey": (LOGS,),
    "logs.FilterLogEvents": (LOGS,),
    "logs.GetLogEvents": (STREAM,),
    "logs.ListTagsForResource": ("{resourceArn}",),
    "logs.PutLogEvents": (STREAM,),
    "logs.PutRetentionPolicy": (LOGS,),
    "logs.TagResource": ("{resourceArn}",),
    "sns.CreateTopic": (_arn("sns", "{Name}"),),
    "sns.DeleteTopic": ("{TopicArn}",),
    "sns.GetTopicAttributes": ("{TopicArn}",),
    "sns.ListSubscriptionsByTopic": ("{TopicArn}",),
    "sns.ListTagsForResource": ("{ResourceArn}",),
    "sns.Publish": ("{TopicArn}",),
    "sns.SetTopicAttributes": ("{TopicArn}",),
    "sns.Subscribe": ("{TopicArn}",),
    "sns.TagResource": ("{ResourceArn}",),
    "sqs.CreateQueue": (QUEUE,),
    "sqs.DeleteQueue": (QUEUE,),
    "sqs.GetQueueAttributes": (QUEUE,),
    "sqs.GetQueueUrl": (QUEUE,),
    "sqs.ListQueueTags": (QUEUE,),
    "sqs.SetQueueAttributes": (QUEUE,),
    "sqs.TagQueue": (QUEUE,),
    "monitoring.DeleteAlarms": (ALARM,),
    "monitoring.DescribeAlarms": (ALARM,),
    "monitoring.ListTagsForResource": ("{ResourceARN}",),
    "monitoring.PutMetricAlarm": (ALARM,),
    "monitoring.TagResource": ("{ResourceARN}",),
    "events.DeleteRule": (RULE,),
    "events.DescribeRule": (RULE,),
    "events.ListTagsForResource": ("{ResourceARN}",),
    "events.ListTargetsByRule": (TARGETS,),
    "events.PutEvents": (_arn("events", "event-bus/default"),),
    "events.PutRule": (RULE,),
    "events.PutTargets": (TARGETS,),
    "events.RemoveTargets": (TARGETS,),
    "events.TagResource": ("{ResourceARN}",),
    "scheduler.CreateSchedule": (SCHEDULE,),
    "scheduler.DeleteSchedule": (SCHEDULE,),
    "scheduler.GetSchedule": (SCHEDULE,),
    "scheduler.UpdateSchedule": (SCHEDULE,),
    "personalize.CreateBatchInferenceJob": (
        PERSONALIZE.format("batch-inference-job/{jobName}"),
        "{solutionVersionArn}",
    ),
    "personalize.CreateCampaign": (
        PERSONALIZE.format("campaign/{name}"),
        "{solutionVersionArn}",
    ),
    "personalize.CreateDataset": (
        PERSONALIZE.format("dataset/{group}/{datasetType}"),
        "{datasetGroupArn}",
    ),
    "personalize.CreateDatasetGroup": (PERSONALIZE.format("dataset-group/{name}"),),
    "personalize.CreateDatasetImportJob": (
        PERSONALIZE.format("dataset-import-job/{jobName}"),
        "{datasetArn}",
    ),
    "personalize.CreateFilter": (PERSONALIZE.format("filter/{name}"), "{datasetGroupArn}"),
    "personalize.CreateSchema": (PERSONALIZE.format("schema/{name}"),),
    "personalize.CreateSolution": (PERSONALIZE.format("solution/{name}"), "{datasetGroupArn}"),
    "personalize.CreateSolutionVersion": ("{solutionArn}",),
    "personalize.DeleteCampaign": ("{campaignArn}",),
    "personalize.DeleteDataset": ("{datasetArn}",),
    "personalize.DeleteDatasetGroup": ("{datasetGroupArn}",),
    "personalize.DeleteFilter": ("{filterArn}",),
    "personalize.DeleteSchema": ("{schemaArn}",),
    "personalize.DeleteSolution": ("{solutionArn}",),
    "personalize.DescribeBatchInferenceJob": ("{batchInferenceJobArn}",),
    "personalize.DescribeCampaign": ("{campaignArn}",),
    "personalize.DescribeDataset": ("{datasetArn}",),
    "personalize.DescribeDatasetGroup": ("{datasetGroupArn}",),
    "personalize.DescribeDatasetImportJob": ("{datasetImportJobArn}",),
    "personalize.DescribeFilter": ("{filterArn}",),
    "personalize.DescribeSchema": ("{schemaArn}",),
    "personalize.DescribeSolution": ("{solutionArn}",),
    "personalize.DescribeSolutionVersion": ("{solutionVersionArn}",),
    "personalize.GetSolutionMetrics": ("{solutionVersionArn}",),
    "personalize.ListBatchInferenceJobs": (ANY,),
    "personalize.ListCampaigns": (ANY,),
    "personalize.ListDatasetImportJobs": (ANY,),
    "personalize.ListDatasets": (ANY,),
    "personalize.ListEventTrackers": (ANY,),
    "personalize.ListRecommenders": (ANY,),
    "personalize.ListSolutionVersions": (ANY,),
    "personalize.ListSolutions": (ANY,),
    "personalize.ListTagsForResource": ("{resourceArn}",),
    "personalize.StopSolutionVersionCreation": ("{solutionVersionArn}",),
    "personalize.TagResource": ("{resourceArn}",),
    "personalize.UpdateCampaign": ("{campaignArn}",),
    "personalize.UpdateDataset": ("{datasetArn}",),
    "sagemaker.CreateModel": (_arn("sagemaker", "model/{ModelName}"),),
    "sagemaker.CreateTrainingJob": (_arn("sagemaker", "training-job/{TrainingJobName}"),),
    "sagemaker.CreateTransformJob": (_arn("sagemaker", "transform-job/{TransformJobName}"),),
    "sagemaker.DeleteModel": (_arn("sagemaker", "model/{ModelName}"),),
    "sagemaker.DescribeTrainingJob": (_arn("sagemaker", "training-job/{TrainingJobName}"),),
    "sagemaker.DescribeTransformJob": (_arn("sagemaker", "transform-job/{TransformJobName}"),),
    "sagemaker.ListTags": (ANY,),
    "sagemaker.ListTrainingJobs": (ANY,),
    "sagemaker.ListTransformJobs": (ANY,),
}
_IAM_NAMES = {"monitoring": "cloudwatch"}
_WITHOUT_PERMISSION = {"sts.GetCallerIdentity"}  # IAM allows them to everybody
# Members that hand a role to a service, by the service that it is for.
_PASSED = {
    "lambda": "lambda.amazonaws.com",
    "glue": "glue.amazonaws.com",
    "states": "states.amazonaws.com",
    "scheduler": "scheduler.amazonaws.com",
    "personalize": "personalize.amazonaws.com",
    "sagemaker": "sagemaker.amazonaws.com",
}


def requests_of(call: Call) -> Iterator[Request]:
    """Yield the requests to IAM for a call; each has to be allowed."""
    name = f"{call.service}.{call.operation}"
    if name in _WITHOUT_PERMISSION:
        return
    members = _members(call)
    if name == "s3.DeleteObjects":
        for entry in members["Delete"]["Objects"]:
            action = "s3:DeleteObjectVersion" if entry.get("VersionId") else "s3:DeleteObject"
            yield Request(action, f"arn:aws:s3:::{members['Bucket']}/{entry['Key']}")
    elif name == "s3.DeleteObject":
        action = "s3:DeleteObjectVersion" if members.get("VersionId") else "s3:DeleteObject"
        yield Request(action, OBJECT.format(**members))
    else:
        first, *rest = TABLE[name]
        renamed = ":" not in first and first != ANY and not first.startswith("{")
        action, forms = (first, rest) if renamed else (call.operation, (first, *rest))
        service = _IAM_NAMES.get(call.service, call.service)
        for form in forms:
            yield Request(f"{service}:{action}", form.format(**members), _context(call))
    if "tags" in members or "Tags" in members:
        yield from _tagging_requests(call, members)
    for role in _passed_roles(call):
        passed = (("iam:PassedToService", _PASSED[call.service]),)
        yield Request("iam:PassRole", role, passed)


def _tagging_requests(call: Call, members: dict[str, Any]) -> Iterator[Request]:
    """Yield the tagging action that creating a resource with tags needs as well."""
    if not call.operation.startswith(("Create", "Put")) or call.service == "s3":
        return
    service = _IAM_NAMES.get(call.service, call.service)
    named = {"iam": "TagRole", "sqs": "TagQueue", "sagemaker": "AddTags"}
    action = named.get(service, "TagResource")
    form = TABLE[f"{call.service}.{call.operation}"][0]
    arn = form.format(**members).removesuffix(":log-stream:")
    if call.operation == "CreateSolutionVersion":
        arn = f"{arn}/1a2b3c4d"  # the version's id is Personalize's
    yield Request(f"{service}:{action}", arn)


def _members(call: Call) -> dict[str, Any]:
    """Return a call's members, with those that an ARN needs and the request has in another form."""
    members = {"GroupName": "default", **call.parameters}
    if "RequestItems" in members:
        members["TableName"] = next(iter(members["RequestItems"]))
    if "QueueUrl" in members:
        members["QueueName"] = members["QueueUrl"].rpartition("/")[2]
    if "AlarmNames" in members:
        members["AlarmName"] = members["AlarmNames"][0]
    if call.operation == "CreateDataset":
        members["group"] = members["datasetGroupArn"].rpartition("/")[2]
        members["datasetType"] = members["datasetType"].upper()
    return members


def _context(call: Call) -> tuple[tuple[str, str], ...]:
    """Return the context keys of conditions; every request to AWS uses TLS."""
    context = {}
    if call.service == "s3":
        context["aws:SecureTransport"] = "true"
        if call.parameters.get("Prefix"):
            context["s3:prefix"] = call.parameters["Prefix"]
    if call.service == "iam" and "PermissionsBoundary" in call.parameters:
        context["iam:PermissionsBoundary"] = call.parameters["PermissionsBoundary"]
    former = str(call.parameters.get("FunctionName", "")).endswith("-former")
    if call.operation == "DeleteSolution" or former:
        owner = call.principal.partition("-retraining-")[0]
        # As the runs and deployments tag it; the caller's own are the scenario's.
        context["aws:ResourceTag/retraining:name"] = "life" if owner == CALLER else owner
    return tuple(sorted(context.items()))


def _passed_roles(call: Call) -> set[str]:
    """Return the roles that a call passes to a service."""
    if not call.operation.startswith(("Create", "Update")) or call.service not in _PASSED:
        return set()
    request = call.parameters
    members = (request, request.get("Target", {}), request.get("JobUpdate", {}))
    keys = ("Role", "RoleArn", "roleArn", "ExecutionRoleArn")
    roles = {member.get(key) for member in members for key in keys}
    return {role for role in roles if role}
