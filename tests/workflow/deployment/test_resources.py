"""The model of everything on AWS: complete, in order, locked down, as the configuration says."""

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from moto.events.models import EventPattern

from tests.projects import ASK, project
from workflow import Config, ConfigError, parse_config
from workflow.config import with_integration
from workflow.definition.asl import function_name, states
from workflow.definition.graph import retraining_graph
from workflow.deployment.artefacts import build_artefacts
from workflow.deployment.deployed import deployed_functions
from workflow.deployment.permissions import permission_policy
from workflow.deployment.resources import Resource, resources
from workflow.errors import DeployError

EXAMPLE = (Path(__file__).parents[3] / "retraining.toml").read_text(encoding="utf-8")
KEY = "arn:aws:kms:ap-northeast-1:123456789012:key/1f2e3d4c-5b6a-4798-8897-a6b5c4d3e2f1"
BUCKET = "arn:aws:s3:::labbase-retraining-123456789012-ap-northeast-1"
HERE = "ap-northeast-1:123456789012"


def configured(aws: str = "", *, example: str = EXAMPLE) -> Config:
    """Return the example configuration with further lines in its table [aws]."""
    return parse_config(example.replace("[source]", f"{aws}\n[source]"))


def with_everything() -> Config:
    """Return the example with every optional protection."""
    return configured(
        f"""kms_key = "{KEY}"
permission_boundary = "arn:aws:iam::123456789012:policy/developers"
subnets = ["subnet-0a1b2c3d", "subnet-1a1b2c3d"]
security_groups = ["sg-0a1b2c3d"]
log_retention_days = 365"""
    )


def model(config: Config) -> dict[str, Resource]:
    return {resource.id: resource for resource in resources(config, build_artefacts(config))}


def statements(config: Config, role: Any) -> dict[str, dict[str, Any]]:
    policy = permission_policy(config, role)
    return {statement["Sid"]: statement for statement in policy["Statement"]}


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from strings(inner)


@pytest.fixture(scope="module")
def example() -> dict[str, Resource]:
    return model(configured())


def test_the_model_holds_everything_that_the_workflow_needs(example):
    assert list(example) == [
        "RunBucket",
        "RunBucketPolicy",
        "FunctionsArchive",
        "EtlLibrary",
        "EtlScript",
        "EtlSpec",
        "StatesRole",
        "FunctionsRole",
        "GlueRole",
        "PersonalizeRole",
        "SchedulerRole",
        "BeginRunLogGroup",
        "BeginRunFunction",
        "ListDatasetsLogGroup",
        "ListDatasetsFunction",
        "CreateImportJobLogGroup",
        "CreateImportJobFunction",
        "CreateSolutionVersionLogGroup",
        "CreateSolutionVersionFunction",
        "CreateBatchInferenceJobLogGroup",
        "CreateBatchInferenceJobFunction",
        "GetStatusLogGroup",
        "GetStatusFunction",
        "FilterRecommendationsLogGroup",
        "FilterRecommendationsFunction",
        "EtlJob",
        "DatasetGroup",
        "UsersSchema",
        "UsersDataset",
        "ItemsSchema",
        "ItemsDataset",
        "InteractionsSchema",
        "InteractionsDataset",
        "BatchFilter",
        "FailureTopic",
        "FailureTopicPolicy",
        "StateMachineLogGroup",
        "StateMachine",
        "FailedAlarm",
        "OverlongAlarm",
        "StaleAlarm",
        "DeadLettersAlarm",
        "EndsRule",
        "ScheduleDeadLetters",
        "Schedule",
    ]


def test_each_resource_stands_after_those_that_it_needs(example):
    there: set[str] = set()
    for resource in example.values():
        assert set(resource.needs) <= there, resource.id
        there.add(resource.id)


def test_everything_that_the_definition_names_is_in_the_model(example):
    definition = json.loads(example["StateMachine"].properties["DefinitionString"])
    tasks = [state["Parameters"] for _, _, state in states(definition) if state["Type"] == "Task"]
    functions = {task["FunctionName"] for task in tasks if "FunctionName" in task}
    (etl,) = [task for task in tasks if "JobName" in task]
    (report,) = [task for task in tasks if "TopicArn" in task]
    code = example["GetStatusFunction"].properties["Code"]

    assert definition == retraining_graph(configured()).to_dict()
    assert functions == {r.name for r in example.values() if r.type == "AWS::Lambda::Function"}
    assert etl["JobName"] == example["EtlJob"].name
    assert etl["Arguments"]["--spec"] == f"s3://{example['EtlSpec'].name}"
    assert report["TopicArn"] == example["FailureTopic"].name
    assert f"{code['S3Bucket']}/{code['S3Key']}" == example["FunctionsArchive"].name


def test_the_spark_job_runs_from_the_uploaded_files(example):
    properties = example["EtlJob"].properties

    assert properties["Command"] == {
        "Name": "glueetl",
        "PythonVersion": "3",
        "ScriptLocation": f"s3://{example['EtlScript'].name}",
    }
    assert properties["DefaultArguments"] == {
        "--runtime": "glue",
        "--connection": "labbase-rds",
        "--extra-py-files": f"s3://{example['EtlLibrary'].name}",
    }
    assert properties["Connections"] == {"Connections": ["labbase-rds"]}
    assert (properties["GlueVersion"], properties["MaxRetries"]) == ("5.1", 0)


def test_the_filter_gets_more_memory_time_and_disk_than_the_other_functions(example):
    def size(identity: str) -> tuple[int, int, int, str, list[str]]:
        of = example[identity].properties
        return (
            of["MemorySize"],
            of["Timeout"],
            of["EphemeralStorage"]["Size"],
            of["Runtime"],
            of["Architectures"],
        )

    assert size("FilterRecommendationsFunction") == (1024, 900, 2048, "python3.13", ["arm64"])
    assert size("GetStatusFunction") == (256, 60, 512, "python3.13", ["arm64"])


def test_a_function_ends_before_the_state_that_calls_it_gives_up(example):
    definition = json.loads(example["StateMachine"].properties["DefinitionString"])
    limits = {r.name: r.properties.get("Timeout") for r in example.values()}

    calls = [state for _, _, state in states(definition) if function_name(state)]
    assert len(calls) == 9
    for state in calls:
        assert limits[state["Parameters"]["FunctionName"]] <= state["TimeoutSeconds"]


def test_the_bucket_is_private_encrypted_versioned_and_clears_up(example):
    properties = example["RunBucket"].properties
    rules = {rule["Id"]: rule for rule in properties["LifecycleConfiguration"]["Rules"]}
    tls, *personalize = example["RunBucketPolicy"].properties["PolicyDocument"]["Statement"]

    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert rules["old-runs"] == {
        "Id": "old-runs",
        "Status": "Enabled",
        "Prefix": "runs/",
        "ExpirationInDays": 90,
    }
    assert rules["old-versions"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert tls == {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [BUCKET, f"{BUCKET}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    assert [(s["Action"], s["Resource"]) for s in personalize] == [
        (["s3:GetObject"], [f"{BUCKET}/runs/*"]),
        (["s3:ListBucket"], [BUCKET]),
        (["s3:PutObject"], [f"{BUCKET}/runs/*/batch-output/*"]),
    ]
    for statement in personalize:
        assert statement["Principal"] == {"Service": "personalize.amazonaws.com"}
        assert statement["Condition"] == {
            "StringEquals": {"aws:SourceAccount": "123456789012"},
            "ArnLike": {"aws:SourceArn": f"arn:aws:personalize:{HERE}:*"},
        }


def test_states_call_the_six_functions_the_job_and_the_topic_alone(example):
    allowed = statements(configured(), "states")

    assert allowed["CallFunctions"]["Resource"] == sorted(
        f"arn:aws:lambda:{HERE}:function:{resource.name}"
        for resource in example.values()
        if resource.type == "AWS::Lambda::Function"
    )
    assert allowed["RunGlueJobs"]["Resource"] == [
        f"arn:aws:glue:{HERE}:job/{example['EtlJob'].name}"
    ]
    assert allowed["PublishToTopics"]["Resource"] == [example["FailureTopic"].name]


def test_functions_may_pass_personalize_its_own_role_and_no_other():
    assert statements(configured(), "functions")["PassPersonalizeItsRole"] == {
        "Sid": "PassPersonalizeItsRole",
        "Effect": "Allow",
        "Action": ["iam:PassRole"],
        "Resource": ["arn:aws:iam::123456789012:role/labbase-retraining-personalize"],
        "Condition": {"StringEquals": {"iam:PassedToService": "personalize.amazonaws.com"}},
    }


def test_the_scheduler_starts_this_state_machine_and_keeps_dead_letters_only():
    allowed = statements(configured(), "scheduler").values()

    assert [(s["Action"], s["Resource"]) for s in allowed] == [
        (["states:StartExecution"], [f"arn:aws:states:{HERE}:stateMachine:labbase-retraining"]),
        (["sqs:SendMessage"], [f"arn:aws:sqs:{HERE}:labbase-retraining-dead-letters"]),
    ]


def test_only_actions_that_know_no_resources_are_allowed_on_all():
    on_all = {
        (role, sid)
        for role in ("states", "functions", "glue", "personalize", "scheduler")
        for sid, statement in statements(with_everything(), role).items()
        if "*" in statement["Resource"]
    }

    assert on_all == {
        ("states", "ServiceDeliversLogs"),
        ("states", "ServiceTraces"),
        ("functions", "FindInPersonalize"),
        ("functions", "ServiceTraces"),
        ("functions", "ServiceJoinsNetwork"),
        ("glue", "ServiceJoinsNetwork"),
    }


def test_no_role_is_allowed_actions_by_a_wildcard_or_outgrows_iam():
    """IAM takes 10,240 characters of inline policies for a role, blanks not counted."""
    for role in ("states", "functions", "glue", "personalize", "scheduler"):
        policy = permission_policy(with_everything(), role)
        actions = [action for s in policy["Statement"] for action in s["Action"]]
        assert not [action for action in actions if "*" in action]
        assert len(json.dumps(policy, separators=(",", ":"))) < 10_240
        sids = [statement["Sid"] for statement in policy["Statement"]]
        assert len(set(sids)) == len(sids)
        assert all(sid.isalnum() for sid in sids)


def test_roles_are_assumed_by_their_service_for_this_account():
    trusted = {
        identity: resource.properties["AssumeRolePolicyDocument"]["Statement"][0]
        for identity, resource in model(configured()).items()
        if resource.type == "AWS::IAM::Role"
    }

    assert {identity: s["Principal"]["Service"] for identity, s in trusted.items()} == {
        "StatesRole": "states.amazonaws.com",
        "FunctionsRole": "lambda.amazonaws.com",
        "GlueRole": "glue.amazonaws.com",
        "PersonalizeRole": "personalize.amazonaws.com",
        "SchedulerRole": "scheduler.amazonaws.com",
    }
    assert trusted["PersonalizeRole"]["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "123456789012"},
        "ArnLike": {"aws:SourceArn": f"arn:aws:personalize:{HERE}:*"},
    }


def test_a_configured_key_encrypts_all_that_can_be_encrypted():
    by_id = model(with_everything())
    keyed = {r.type for r in by_id.values() if KEY in strings({**r.properties, "Policies": []})}

    assert keyed == {
        "AWS::S3::Bucket",
        "AWS::Logs::LogGroup",
        "AWS::Lambda::Function",
        "AWS::Personalize::DatasetGroup",
        "AWS::SNS::Topic",
        "AWS::StepFunctions::StateMachine",
        "AWS::SQS::Queue",
        "AWS::Scheduler::Schedule",
    }
    for role in ("states", "functions", "glue", "personalize", "scheduler"):
        assert statements(with_everything(), role)["ServiceUsesKey"]["Resource"] == [KEY]
    assert KEY not in strings([r.properties for r in model(configured()).values()])


def test_boundary_network_and_retention_are_honoured():
    by_id = model(with_everything()).values()
    roles = [r.properties for r in by_id if r.type == "AWS::IAM::Role"]
    functions = [r.properties for r in by_id if r.type == "AWS::Lambda::Function"]
    logs = [r.properties for r in by_id if r.type == "AWS::Logs::LogGroup"]
    boundary = "arn:aws:iam::123456789012:policy/developers"

    assert [role["PermissionsBoundary"] for role in roles] == [boundary] * 5
    assert [function["VpcConfig"] for function in functions] == [
        {
            "SubnetIds": ["subnet-0a1b2c3d", "subnet-1a1b2c3d"],
            "SecurityGroupIds": ["sg-0a1b2c3d"],
        }
    ] * 7
    assert [log["RetentionInDays"] for log in logs] == [365] * 8


def test_without_tracing_no_resource_traces_and_no_policy_allows_it():
    config = configured("tracing = false")
    by_id = model(config)

    assert by_id["StateMachine"].properties["TracingConfiguration"] == {"Enabled": False}
    assert by_id["GetStatusFunction"].properties["TracingConfig"] == {"Mode": "PassThrough"}
    assert "ServiceTraces" not in statements(config, "states")
    assert "ServiceTraces" not in statements(config, "functions")


def test_a_resource_configured_by_arn_is_not_in_the_model():
    config = configured(
        'topic = "arn:aws:sns:ap-northeast-1:123456789012:pager"\n'
        'roles = { glue = "arn:aws:iam::123456789012:role/data/etl", states = "our-states" }'
    )
    by_id = model(config)

    assert {"GlueRole", "FailureTopic"}.isdisjoint(by_id)
    assert by_id["StatesRole"].name == "our-states"
    assert by_id["EtlJob"].properties["Role"] == "arn:aws:iam::123456789012:role/data/etl"
    assert by_id["EtlJob"].needs == ("EtlScript", "EtlLibrary", "EtlSpec")
    assert by_id["FailedAlarm"].properties["AlarmActions"] == [
        "arn:aws:sns:ap-northeast-1:123456789012:pager"
    ]


def test_without_a_schedule_nothing_of_it_is_made():
    by_id = model(configured(example=EXAMPLE.partition("[schedule]")[0]))

    assert {"Schedule", "DeadLettersAlarm", "SchedulerRole"}.isdisjoint(by_id)


def test_the_schedule_keeps_its_time_zone_and_its_dead_letters(example):
    properties = example["Schedule"].properties

    assert properties["ScheduleExpression"] == "cron(0 4 * * ? *)"
    assert properties["ScheduleExpressionTimezone"] == "Asia/Tokyo"
    assert properties["State"] == "ENABLED"
    assert properties["Target"]["Arn"] == example["StateMachine"].name
    assert properties["Target"]["DeadLetterConfig"] == {
        "Arn": f"arn:aws:sqs:{HERE}:{example['ScheduleDeadLetters'].name}"
    }


@pytest.mark.parametrize(
    ("hours", "milliseconds"),
    [
        ("", 43_200_000),
        ("alarm_hours = 3", 10_800_000),
        ("timeout_hours = 6", 21_600_000),  # no run is longer than that
    ],
)
def test_an_overlong_run_raises_an_alarm(hours, milliseconds):
    by_id = model(parse_config(f"{hours}\n{EXAMPLE}"))

    assert by_id["OverlongAlarm"].properties["MetricName"] == "ExecutionTime"
    assert by_id["OverlongAlarm"].properties["Threshold"] == milliseconds


def test_failed_timed_out_and_aborted_runs_raise_an_alarm(example):
    properties = example["FailedAlarm"].properties
    total, *counted = properties["Metrics"]

    assert total["Expression"] == "SUM([FILL(failed, 0), FILL(timedOut, 0), FILL(aborted, 0)])"
    assert [metric["MetricStat"]["Metric"]["MetricName"] for metric in counted] == [
        "ExecutionsFailed",
        "ExecutionsTimedOut",
        "ExecutionsAborted",
    ]
    assert properties["AlarmActions"] == [example["FailureTopic"].name]


def test_hours_without_success_raise_an_alarm_also_where_nothing_runs(example):
    alarm = example["StaleAlarm"].properties

    assert (alarm["MetricName"], alarm["Statistic"]) == ("ExecutionsSucceeded", "Sum")
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("LessThanThreshold", 1)
    assert (alarm["Period"], alarm["EvaluationPeriods"]) == (3_600, 36)
    assert alarm["TreatMissingData"] == "breaching"
    without = configured(example=EXAMPLE.replace("stale_hours = 36", ""))
    assert "StaleAlarm" not in model(without)


def test_a_start_that_failed_raises_an_alarm(example):
    alarm = example["DeadLettersAlarm"].properties

    assert (alarm["Namespace"], alarm["MetricName"]) == (
        "AWS/SQS",
        "ApproximateNumberOfMessagesVisible",
    )
    assert alarm["Dimensions"] == [
        {"Name": "QueueName", "Value": example["ScheduleDeadLetters"].name}
    ]


def test_a_run_that_timed_out_or_was_aborted_is_reported(example):
    """The event is that of Step Functions' guide, page "Automating delivery of events"."""
    rule, policy = example["EndsRule"], example["FailureTopicPolicy"]
    pattern = EventPattern.load(json.dumps(rule.properties["EventPattern"]))
    event = {
        "version": "0",
        "id": "315c1398-40ff-a850-213b-158f73e60175",
        "detail-type": "Step Functions Execution Status Change",
        "source": "aws.states",
        "account": "123456789012",
        "time": "2019-02-26T19:42:21Z",
        "region": "ap-northeast-1",
        "resources": [f"arn:aws:states:{HERE}:execution:labbase-retraining:nightly"],
        "detail": {
            "executionArn": f"arn:aws:states:{HERE}:execution:labbase-retraining:nightly",
            "stateMachineArn": f"arn:aws:states:{HERE}:stateMachine:labbase-retraining",
            "name": "nightly",
            "status": "TIMED_OUT",
            "startDate": 1551225146847,
            "stopDate": 1551225151881,
            "input": "{}",
            "output": None,
        },
    }

    def matches(**detail: str) -> bool:
        return bool(pattern.matches_event({**event, "detail": {**event["detail"], **detail}}))

    assert matches()
    assert matches(status="ABORTED")
    assert not matches(status="FAILED"), "Report Failure does that"
    assert not matches(stateMachineArn=f"arn:aws:states:{HERE}:stateMachine:other")
    (target,) = rule.properties["Targets"]
    assert target["Arn"] == example["FailureTopic"].name
    statement = policy.properties["PolicyDocument"]["Statement"][0]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Condition"]["ArnLike"] == {
        "aws:SourceArn": f"arn:aws:events:{HERE}:rule/{rule.name}"
    }


def test_addresses_are_subscribed_to_the_topic_that_is_ours():
    by_id = model(configured('emails = ["ann@example.com", "bob@example.com"]'))

    assert by_id["FailureTopic"].properties["Subscription"] == [
        {"Protocol": "email", "Endpoint": "ann@example.com"},
        {"Protocol": "email", "Endpoint": "bob@example.com"},
    ]
    theirs = 'topic = "arn:aws:sns:ap-northeast-1:123456789012:pager"'
    with pytest.raises(ConfigError, match="nobody is subscribed to it"):
        configured(f'emails = ["ann@example.com"]\n{theirs}')


def test_a_bucket_of_others_is_used_and_not_in_the_model():
    by_id = model(configured('bucket = "arn:aws:s3:::our-lake"'))

    assert {"RunBucket", "RunBucketPolicy"}.isdisjoint(by_id)
    assert by_id["EtlSpec"].name.startswith("our-lake/artifacts/")
    assert by_id["EtlSpec"].needs == ()


def test_every_resource_that_takes_tags_has_the_deployments_name():
    by_id = model(parse_config(f"{EXAMPLE}\n[tags]\nteam = 'matching'\n"))
    untagged = {r.type for r in by_id.values() if "Tags" not in r.properties}

    assert untagged == {
        "AWS::S3::BucketPolicy",
        "AWS::SNS::TopicPolicy",
        "AWS::Scheduler::Schedule",
        "Custom::S3Object",
    }
    assert by_id["RunBucket"].properties["Tags"] == [
        {"Key": "retraining:name", "Value": "labbase"},
        {"Key": "team", "Value": "matching"},
    ]
    assert by_id["EtlJob"].properties["Tags"] == {"team": "matching", "retraining:name": "labbase"}


def test_a_schema_of_other_content_has_another_name():
    """Personalize cannot change a schema."""
    before = model(configured())
    after = model(configured(example=EXAMPLE.replace("GRADE = {", "SCHOOL_YEAR = {")))

    assert before["UsersSchema"].name != after["UsersSchema"].name
    assert before["ItemsSchema"] == after["ItemsSchema"]
    assert after["UsersDataset"].name == before["UsersDataset"].name
    assert after["UsersDataset"].properties["SchemaArn"] == after["UsersSchema"].name


def test_another_partition_is_named_throughout():
    config = configured(example=EXAMPLE.replace("ap-northeast-1", "cn-north-1"))

    for resource in model(config).values():
        wrong = [text for text in strings(resource.properties) if text.startswith("arn:aws:")]
        assert not wrong, resource.id


@pytest.mark.parametrize(
    ("lines", "key"),
    [
        ('subnets = ["subnet-0a1b2c3d"]', "aws.security_groups"),
        ('security_groups = ["sg-0a1b2c3d"]', "aws.subnets"),
        ("log_retention_days = 31", "aws.log_retention_days"),
        ('kms_key = "alias/ours"', "aws.kms_key"),
        ('permission_boundary = "developers"', "aws.permission_boundary"),
        ('roles = { schedule = "x" }', "aws.roles.schedule"),
    ],
)
def test_settings_that_aws_would_refuse_are_found_in_the_file(lines, key):
    with pytest.raises(ConfigError) as caught:
        configured(lines)

    assert [mistake.key for mistake in caught.value.mistakes] == [key]


@cache
def iam() -> dict[str, Any]:
    """IAM's actions and ARNs by service, as cfn-lint ships them."""
    data = files("cfnlint.data.AdditionalSpecs") / "Policies.json"
    known: dict[str, Any] = json.loads(data.read_text(encoding="utf-8"))
    return known


def arn_forms(action: str) -> list[re.Pattern[str]]:
    """Return patterns of the ARNs that an action accepts; none if it acts on no resource."""
    service, _, name = action.partition(":")
    known = iam()[service]
    types = known["Actions"][name.lower()].get("Resources", [])
    forms = [form for type_ in types for form in known["Resources"][type_.lower()]["ARNFormats"]]
    return [re.compile(re.sub(r"\$\{\w+\}", "[^:]*", form)) for form in forms]


@pytest.mark.parametrize("role", ["states", "functions", "glue", "personalize", "scheduler"])
def test_each_action_is_allowed_on_arns_that_iam_knows_it_for(role):
    """IAM takes an action on a wrong ARN without a word, and denies the call when it comes."""
    for sid, statement in statements(with_everything(), role).items():
        forms = {action: arn_forms(action) for action in statement["Action"]}
        if statement["Resource"] == ["*"]:
            continue
        for action, known in forms.items():
            on = [arn for arn in statement["Resource"] if any(f.fullmatch(arn) for f in known)]
            assert on, f"{sid}: {action} on none of {statement['Resource']}"
        every = [form for known in forms.values() for form in known]
        for arn in statement["Resource"]:
            assert any(form.fullmatch(arn) for form in every), f"{sid}: nothing acts on {arn}"


def test_a_function_of_ones_own_is_deployed_as_ours_are(tmp_path):
    table = (
        ASK
        + """memory = 512
timeout = 300
environment = { DESK = "tokyo" }
permissions = [{ actions = ["s3:GetObject"], resources = ["arn:aws:s3:::our-lists/*"] }]
"""
    )
    config = project(tmp_path, table)
    artefacts = build_artefacts(config)

    function = model(config)["AskEditorsFunction"]

    ours = model(config)["GetStatusFunction"]
    assert function.needs == ("AskEditorsCode", "FunctionsRole", "AskEditorsLogGroup")
    assert {
        name: value
        for name, value in function.properties.items()
        if ours.properties.get(name) != value
    } == {
        "FunctionName": "labbase-ask-editors",
        "Description": "labbase-retraining: ask-editors",
        "Code": {
            "S3Bucket": config.bucket,
            "S3Key": artefacts.own_functions["ask-editors"].key,
        },
        "Handler": "ask_editors.handler",
        "MemorySize": 512,
        "Timeout": 300,
        "Environment": {"Variables": {"DESK": "tokyo"}},
        "LoggingConfig": {
            **ours.properties["LoggingConfig"],
            "LogGroup": "/aws/lambda/labbase-ask-editors",
        },
    }
    assert "AskEditorsFunction" in model(config)["StateMachine"].needs
    assert statements(config, "functions")["OwnAskEditors"] == {
        "Sid": "OwnAskEditors",
        "Effect": "Allow",
        "Action": ["s3:GetObject"],
        "Resource": ["arn:aws:s3:::our-lists/*"],
    }
    for who, sid in (("deployer", "Functions"), ("operator", "ReadFunctionLogs")):
        assert "labbase-ask-editors" in str(statements(config, who)[sid]["Resource"])


def test_a_policy_that_is_too_long_for_iam_is_refused(tmp_path):
    arns = [f"arn:aws:s3:::our-lists/{number}/*" for number in range(400)]
    config = project(
        tmp_path, f'{ASK}permissions = [{{ actions = ["s3:GetObject"], resources = {arns} }}]\n'
    )

    with pytest.raises(DeployError, match=r"role labbase-retraining-functions: its policy has 1"):
        model(config)


def functions_of(resources: dict[str, Resource]) -> set[str]:
    return {each.name for each in resources.values() if each.type == "AWS::Lambda::Function"}


def test_without_functions_for_jobs_the_deployment_has_three_and_their_permissions():
    direct = with_integration(configured(), "sdk")

    assert functions_of(model(direct)) == {
        "labbase-begin-run",
        "labbase-list-datasets",
        "labbase-filter-recommendations",
    }
    assert [
        action
        for statement in statements(direct, "functions").values()
        for action in statement["Action"]
        if action.startswith(("personalize:", "iam:"))
    ] == ["personalize:ListDatasets", "personalize:DescribeBatchInferenceJob"]
    assert statements(direct, "functions")["ServiceLogs"]["Resource"] == [
        f"arn:aws:logs:ap-northeast-1:123456789012:log-group:/aws/lambda/labbase-{name}:*"
        for name in ("begin-run", "list-datasets", "filter-recommendations")
    ]
    assert statements(direct, "states")["ImportDatasetsWithTags"]["Resource"] == [
        "arn:aws:personalize:ap-northeast-1:123456789012:dataset-import-job/*"
    ]


def test_a_stage_that_is_left_out_leaves_its_functions_out(tmp_path):
    """A workflow that ends with the training reads no batch output and publishes nothing."""
    composed = (
        "from workflow import Stages\n\n\ndef build(config):\n    stages = Stages(config)\n"
        "    return stages.compose(stages.etl(), stages.imports(), stages.training())\n"
    )
    tables = '\n[workflow]\ndefinition = "retraining.py"\n'
    config = project(tmp_path, tables, {"retraining.py": composed})

    left_out = functions_of(model(configured())) - functions_of(model(config))

    assert left_out == {"labbase-create-batch-inference-job", "labbase-filter-recommendations"}
    assert "PublishRecommendations" not in statements(config, "functions")
    assert statements(config, "functions")["ReadRuns"]["Resource"] == [
        "arn:aws:s3:::labbase-retraining-123456789012-ap-northeast-1/runs/*/manifest.json"
    ]


def test_a_state_whose_function_the_execution_chooses_may_call_any():
    chosen = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName.$": "$.function"},
        "End": True,
    }
    definition = {"StartAt": "Any", "States": {"Any": chosen}}

    assert deployed_functions(configured(), definition) == configured().function_names
    assert (
        deployed_functions(configured(), {"StartAt": "A", "States": {"A": {"Type": "Pass"}}}) == ()
    )


@pytest.mark.parametrize(
    "name", ["labbase-get-status", "123456789012:function:labbase-get-status:live",
             "arn:aws:lambda:ap-northeast-1:123456789012:function:labbase-get-status:3"]
)  # fmt: skip
def test_a_function_is_known_by_its_arn_and_with_a_version(name):
    called = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": name},
        "End": True,
    }

    definition = {"StartAt": "One", "States": {"One": called}}

    assert deployed_functions(configured(), definition) == ("get-status",)
