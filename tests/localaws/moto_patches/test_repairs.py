"""Each repair mends its fault, and the pinned moto still has that fault.

The canaries take one repair out and show the fault it mends. When one fails after an update of
moto, its repair is no longer needed.
"""

import contextlib
import functools
import gc
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import moto
import pytest
from botocore.exceptions import ClientError
from moto.s3.models import FakeKey
from moto.s3.responses import S3Response
from moto.stepfunctions.parser import utils
from moto.stepfunctions.parser.asl.antlr.runtime.ASLParser import ASLParser
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventHistoryContext
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

from localaws.moto_patches import repairs
from localaws.moto_patches.repairs import InterpreterError
from localaws.moto_patches.s3_and_logs import LARGEST_STREAM

from .aws import ROLE, Aws, ThrottlingException, invoke, mapped, only, until


def test_an_execution_name_that_aws_refuses_is_refused(aws: Aws) -> None:
    with pytest.raises(ClientError) as refused:
        aws.start(only({"Type": "Pass"}), name="no spaces")

    assert refused.value.response["Error"]["Code"] == "InvalidName"
    with aws.endpoint.repairs.without("started_executions"):
        assert aws.run(only({"Type": "Pass"}), name="no spaces")["status"] == "SUCCEEDED"


def test_two_executions_without_a_name_both_run(aws: Aws) -> None:
    first = aws.run(only({"Type": "Pass"}))
    again = aws.states.start_execution(stateMachineArn=first["stateMachineArn"])

    assert aws.ended(again["executionArn"])["status"] == "SUCCEEDED"
    with aws.endpoint.repairs.without("started_executions"):
        unnamed = aws.start(only({"Type": "Pass"}))
        aws.ended(unnamed)
        assert unnamed.endswith(":None")


def test_waits_and_retries_follow_the_time_scale(aws: Aws) -> None:
    def refuse(event: Any, context: Any) -> Any:
        raise ThrottlingException("no")

    aws.functions.register("refuse", refuse)

    def wait(pause: int) -> dict[str, Any]:
        return only({"Type": "Wait", "Seconds": pause})

    def retry(pause: int) -> dict[str, Any]:
        again = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": pause, "MaxAttempts": 1}]
        return only(invoke("refuse", Retry=again))

    def seconds(execution: str) -> float:
        described = aws.ended(execution)
        took: float = (described["stopDate"] - described["startDate"]).total_seconds()
        return took

    waiting, retrying = aws.start(wait(60)), aws.start(retry(60))
    assert 0.02 <= seconds(waiting) < 60
    assert seconds(retrying) < 60
    repairs = aws.endpoint.repairs
    with repairs.without("scaled_wait"), repairs.without("scaled_retry"):
        waiting, retrying = aws.start(wait(1)), aws.start(retry(1))
        assert seconds(waiting) >= 1
        assert seconds(retrying) >= 1


def test_a_loop_that_polls_for_long_polls_less_and_less_often(aws: Aws) -> None:
    """At time scale 0. In three seconds there were seventy polls, and more on a faster machine."""
    ends = (datetime.now(UTC) + timedelta(seconds=3)).isoformat().replace("+00:00", "Z")
    over = {"Variable": "$$.State.EnteredTime", "TimestampGreaterThan": ends, "Next": "Over"}
    definition = {
        "StartAt": "Poll",
        "States": {
            "Poll": {"Type": "Wait", "Seconds": 60, "Next": "Over?"},
            "Over?": {"Type": "Choice", "Choices": [over], "Default": "Poll"},
            "Over": {"Type": "Succeed"},
        },
    }

    execution = aws.start(definition)
    assert aws.ended(execution)["status"] == "SUCCEEDED"
    pages = aws.states.get_paginator("get_execution_history").paginate(executionArn=execution)
    polls = list(pages.search("events[?type == 'WaitStateEntered']"))

    assert 3 <= len(polls) <= 45  # 1 / 0.05 * log(1 + 3 * 0.05 / 0.02) = 43


def test_a_scaled_wait_takes_its_part_of_the_time_and_can_be_stopped(aws: Aws) -> None:
    aws.endpoint.repairs.undo()
    scaled = repairs.install(time_scale=0.001)
    try:
        described = aws.run(only({"Type": "Wait", "Seconds": 300}))
        took = (described["stopDate"] - described["startDate"]).total_seconds()
        assert 0.3 <= took < 1.2
        execution = aws.start(only({"Type": "Wait", "Seconds": 3_600_000}))
        until(lambda: len(aws.states.get_execution_history(executionArn=execution)["events"]) == 2)
        aws.states.stop_execution(executionArn=execution)
        assert aws.ended(execution)["status"] == "ABORTED"
    finally:
        scaled.undo()
        aws.endpoint.repairs.redo()


def test_without_its_repair_a_glue_job_fails_always(aws: Aws) -> None:
    definition = only(aws.job("etl-canary", ""))

    with aws.endpoint.repairs.without("glue_sync"):
        described = aws.run(definition)

    assert (described["status"], described["error"]) == ("FAILED", "States.Runtime")
    assert "interrupt_all" in described["cause"]


def test_without_its_repair_a_time_in_a_result_breaks_the_description(aws: Aws) -> None:
    definition = only(aws.job("etl-times", ""))

    with aws.endpoint.repairs.without("json_clients"), pytest.raises(ClientError) as broken:
        aws.run(definition)

    assert broken.value.response["Error"]["Code"] == "InternalFailure"


def test_the_start_time_in_the_context_is_a_text(aws: Aws) -> None:
    state = {"Type": "Pass", "Parameters": {"started.$": "$$.Execution.StartTime"}}

    started = aws.output(only(state))["started"]

    assert started.endswith("Z")
    assert len(started) == len("2026-01-31T12:00:00.000Z")
    with aws.endpoint.repairs.without("context_times"), pytest.raises(ClientError):
        aws.run(only(state))


def test_an_error_of_the_definition_itself_is_not_caught(aws: Aws) -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    parameters = {"FunctionName": "any", "Payload.$": "$.not_there"}
    definition = {
        "StartAt": "Broken",
        "States": {
            "Broken": invoke("any", Parameters=parameters, Catch=catch, End=True),
            "Caught": {"Type": "Succeed"},
        },
    }

    described = aws.run(definition)

    assert (described["status"], described["error"]) == ("FAILED", "States.Runtime")
    assert "'$.not_there' could not be found" in described["cause"]
    with aws.endpoint.repairs.without("wildcard_errors"):
        assert aws.run(definition)["status"] == "SUCCEEDED"


def test_an_execution_can_be_stopped_right_after_its_start(aws: Aws) -> None:
    endless = {"StartAt": "Again", "States": {"Again": {"Type": "Pass", "Next": "Again"}}}
    execution = aws.start(endless)

    aws.states.stop_execution(executionArn=execution)

    assert aws.ended(execution)["status"] == "ABORTED"


@pytest.mark.parametrize("output", ["テキスト", 1, None, {"a": [True]}])
def test_every_json_value_is_an_output(aws: Aws, output: Any) -> None:
    state = only({"Type": "Pass", "Result": output})

    assert aws.output(state) == output
    if isinstance(output, str):
        with aws.endpoint.repairs.without("reported_end"), pytest.raises(json.JSONDecodeError):
            aws.output(state)


def test_finished_threads_are_forgotten(aws: Aws) -> None:
    def kept() -> int:
        for _ in range(3):
            aws.run(only({"Type": "Pass"}))
        return len(utils.TMP_THREADS)

    assert kept() < 6
    with aws.endpoint.repairs.without("finished_threads"):
        assert kept() >= 6


def test_objects_that_were_replaced_are_forgotten(aws: Aws) -> None:
    s3 = aws.endpoint.client("s3")
    location = {"LocationConstraint": s3.meta.region_name}
    s3.create_bucket(Bucket="forgetful", CreateBucketConfiguration=location)

    def kept() -> int:
        for _ in range(5):
            s3.put_object(Bucket="forgetful", Key="a", Body=b"1")
        gc.collect()
        return sum(type(each) is FakeKey and each.name == "a" for each in gc.get_objects())

    assert kept() == 1
    with aws.endpoint.repairs.without("forgotten_models"):
        assert kept() >= 5


def test_a_definition_is_parsed_once(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    parse = ASLParser.states_decl

    def states_decl(self: Any) -> Any:
        parsed.append("")
        return parse(self)

    monkeypatch.setattr(ASLParser, "states_decl", states_decl)

    def parses_of_two_runs(comment: str) -> int:
        parsed.clear()
        definition = only({"Type": "Pass", "Comment": comment, "Result": {"n": 1}})
        assert [aws.output(definition) for _ in range(2)] == [{"n": 1}, {"n": 1}]
        return len(parsed)

    assert parses_of_two_runs("kept") == 1
    with aws.endpoint.repairs.without("parse_trees"):
        assert parses_of_two_runs("not kept") >= 4, "at each creation and each execution"


def stopped_in_a_map(aws: Aws) -> str:
    """Return the status of an execution that is stopped while its Map's iterations wait."""
    release, entered = threading.Event(), threading.Event()

    def hold(event: Any, context: Any) -> Any:
        entered.set()
        release.wait(10)

    aws.functions.register("hold", hold)
    execution = aws.start(mapped(invoke("hold", End=True)), {"items": [1, 2]})
    assert entered.wait(10)
    aws.states.stop_execution(executionArn=execution)
    release.set()
    status: str = aws.ended(execution)["status"]
    return status


def test_an_execution_stopped_inside_a_map_is_aborted(aws: Aws) -> None:
    assert stopped_in_a_map(aws) == "ABORTED"
    repairs = aws.endpoint.repairs
    with repairs.without("first_end"), repairs.without("immediate_ends"):
        assert stopped_in_a_map(aws) == "FAILED"


def test_a_map_runs_at_most_forty_iterations_at_once(aws: Aws) -> None:
    def most_at_once(seconds: float) -> int:
        """Return how many ran at once, if each waits so long for a 41st."""
        lock, released = threading.Lock(), threading.Event()
        running, most = 0, 0

        def count(event: Any, context: Any) -> Any:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
                if most > 40:
                    released.set()
            released.wait(seconds)
            released.set()
            with lock:
                running -= 1

        aws.functions.register("count", count)
        aws.run(mapped(invoke("count", End=True)), {"items": list(range(50))})
        return most

    assert 2 <= most_at_once(seconds=0.3) <= 40
    with aws.endpoint.repairs.without("map_concurrency"):
        assert most_at_once(seconds=10) > 40


def test_a_choice_without_a_match_fails_with_its_own_error(aws: Aws) -> None:
    rule = {"Variable": "$.status", "StringEquals": "ACTIVE", "Next": "Done"}
    definition = {
        "StartAt": "Active?",
        "States": {"Active?": {"Type": "Choice", "Choices": [rule]}, "Done": {"Type": "Succeed"}},
    }

    described = aws.run(definition, {"status": "CREATE PENDING"})

    assert (described["status"], described["error"]) == ("FAILED", "States.NoChoiceMatched")
    assert "Choice state 'Active?'" in described["cause"]
    with aws.endpoint.repairs.without("choice_rules"):
        assert aws.run(definition, {"status": "x"})["error"] == "States.Runtime"


def test_a_reserved_error_leaves_a_map_and_a_fail_state_under_its_own_name(aws: Aws) -> None:
    rule = {"Variable": "$", "NumericEquals": 2, "Next": "Two"}
    states = {"Two?": {"Type": "Choice", "Choices": [rule]}, "Two": {"Type": "Succeed"}}
    iterator = {"StartAt": "Two?", "States": states}
    in_a_map = only({"Type": "Map", "ItemsPath": "$.items", "Iterator": iterator})
    rethrown = {
        "StartAt": "Fail",
        "States": {"Fail": {"Type": "Fail", "ErrorPath": "$.e", "Cause": "again"}},
    }

    parallel = only({"Type": "Parallel", "Branches": [iterator]})

    def errors() -> list[str]:
        runs = (
            aws.run(in_a_map, {"items": [1]}),
            aws.run(parallel),
            aws.run(rethrown, {"e": "States.TaskFailed"}),
        )
        return [described["error"] for described in runs]

    assert errors() == ["States.NoChoiceMatched", "States.NoChoiceMatched", "States.TaskFailed"]
    with aws.endpoint.repairs.without("reserved_errors"):
        assert errors() == ["States.Runtime"] * 3


def sdk(action: str, **parameters: Any) -> dict[str, Any]:
    resource = f"arn:aws:states:::aws-sdk:{action}"
    return only({"Type": "Task", "Resource": resource, "Parameters": parameters})


def test_an_aws_sdk_task_takes_and_gives_pascal_case(aws: Aws) -> None:
    """As AWS does, whatever case the API's own names have; times are texts."""
    called = aws.states.create_state_machine(
        name="called", roleArn=ROLE, definition=json.dumps(only({"Type": "Pass"}))
    )["stateMachineArn"]
    definition = sdk("sfn:describeStateMachine", StateMachineArn=called)
    described = aws.output(definition)
    assert (described["StateMachineArn"], described["Name"]) == (called, "called")
    assert described["CreationDate"].endswith("Z")
    assert "ResponseMetadata" not in described
    with aws.endpoint.repairs.without("sdk_tasks"):
        assert aws.run(definition)["status"] == "FAILED"


def test_an_event_starts_what_enabled_rules_with_a_pattern_name(aws: Aws) -> None:
    """A schedule alone and a disabled rule match nothing, and no target fails PutEvents."""
    events = aws.endpoint.client("events")
    machine = aws.states.create_state_machine(
        name="listening", roleArn=ROLE, definition=json.dumps(only({"Type": "Pass"}))
    )["stateMachineArn"]
    lost = machine.replace("listening", "lost")
    topic = aws.endpoint.client("sns").create_topic(Name="sales")["TopicArn"]
    pattern = json.dumps({"source": ["shop"]})
    rules: dict[str, dict[str, Any]] = {
        "pattern": {"EventPattern": pattern},
        "schedule": {"ScheduleExpression": "rate(1 day)"},
        "off": {"EventPattern": pattern, "State": "DISABLED"},
    }
    for name, rule in rules.items():
        events.put_rule(Name=name, **rule)
        targets = [
            {"Id": "1", "Arn": machine, "RoleArn": ROLE, "InputPath": "$.detail"},
            {"Id": "2", "Arn": lost, "RoleArn": ROLE},
            {"Id": "3", "Arn": topic},
        ]
        events.put_targets(Rule=name, Targets=targets)

    def put() -> Any:
        entry = {"Source": "shop", "DetailType": "sold", "Detail": '{"item": "a"}'}
        return events.put_events(Entries=[entry])

    assert put()["FailedEntryCount"] == 0
    (run,) = aws.states.list_executions(stateMachineArn=machine)["executions"]
    assert aws.ended(run["executionArn"])["output"] == '{"item":"a"}'
    with aws.endpoint.repairs.without("rule_targets"), pytest.raises(ClientError):
        put()
    for name in rules:
        events.remove_targets(Rule=name, Ids=["1", "2", "3"])
        events.delete_rule(Name=name)


def test_a_queue_gets_what_its_target_takes_of_an_event(aws: Aws) -> None:
    """By path and template; moto ignores the path, and fails at a name that it does not know."""
    events, sqs = aws.endpoint.client("events"), aws.endpoint.client("sqs")
    url = sqs.create_queue(QueueName="sales")["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    rule = events.put_rule(Name="sales", EventPattern='{"source": ["shop"]}')["RuleArn"]
    template = {"InputTemplate": '{"rule": <aws.events.rule-arn>, "of": <aws.events.event>}'}
    targets: list[dict[str, Any]] = [
        {"Id": "1", "Arn": queue["QueueArn"], "InputPath": "$.detail.item"},
        {"Id": "2", "Arn": queue["QueueArn"], "InputTransformer": template},
    ]
    events.put_targets(Rule="sales", Targets=targets)

    def received() -> list[Any]:
        entry = {"Source": "shop", "DetailType": "sold", "Detail": '{"item": "a"}'}
        events.put_events(Entries=[entry])
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
        return [json.loads(message["Body"]) for message in messages]

    item, made = received()
    assert item == "a"
    assert (made["rule"], made["of"]["detailType"], made["of"]["time"][-1:]) == (rule, "sold", "Z")
    with aws.endpoint.repairs.without("rule_targets"), pytest.raises(ClientError):
        received()
    events.remove_targets(Rule="sales", Ids=["1", "2"])
    events.delete_rule(Name="sales")


def test_a_state_machine_evaluates_jsonata(aws: Aws) -> None:
    total = "{% $sum($states.input.rows.price) %}"
    states: dict[str, Any] = {
        "Sum": {
            "Type": "Pass",
            "Output": {"total": total, "n": "{% $count($states.input.rows) %}"},
            "Assign": {"first": "{% $states.input.rows[0].name %}"},
            "Next": "Much?",
        },
        "Much?": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $states.input.total > 5 %}", "Next": "Shown"}],
            "Default": "Lost",
        },
        "Shown": {
            "Type": "Pass",
            "Output": {"text": "{% $first & ': ' & $string($states.input.total) %}"},
            "End": True,
        },
        "Lost": {"Type": "Fail"},
    }
    definition = {"QueryLanguage": "JSONata", "StartAt": "Sum", "States": states}
    rows = [{"name": "a", "price": 2.5}, {"name": "b", "price": 4}]
    assert aws.output(definition, {"rows": rows}) == {"text": "a: 6.5"}
    own = {
        "hash": "{% $hash('a', 'MD5') %}",
        "parse": "{% $parse('[{}, 1]')[1] %}",
        "partition": "{% $partition([1, 2, 3], 2) %}",
        "range": "{% $range(1, 7, 3) %}",
        "random": "{% $random(7) < 1 %}",
        "uuid": "{% $length($uuid()) %}",
    }
    extended = {**only({"Type": "Pass", "Output": own}), "QueryLanguage": "JSONata"}
    assert aws.output(extended) == {
        "hash": "0cc175b9c0f1b6a831c399e269772661",
        "parse": 1,
        "partition": [[1, 2], [3]],
        "range": [1, 4, 7],
        "random": True,
        "uuid": 36,
    }
    faulty = {**only({"Type": "Pass", "Output": "{% $nonsense() %}"}), "QueryLanguage": "JSONata"}
    assert "Attempted to invoke a non-function" in aws.run(faulty)["cause"]
    with aws.endpoint.repairs.without("jsonata"):
        assert aws.run(definition, {"rows": rows})["status"] == "FAILED"


def test_the_arn_of_a_role_can_be_a_path(aws: Aws) -> None:
    """Personalize's jobs take one, and so does whatever starts work under a role."""
    resource = "arn:aws:states:::aws-sdk:sfn:createStateMachine"
    empty = json.dumps(only({"Type": "Pass"}))
    parameters = {"RoleArn.$": "$.role", "Name.$": "$.name", "Definition": empty}
    definition = only({"Type": "Task", "Resource": resource, "Parameters": parameters})
    nested = only({"Type": "Pass", "Parameters": {"a": [{"RoleArn.$": "$$.Execution.Name"}]}})
    made = aws.output(definition, {"role": ROLE, "name": "by-path"})["StateMachineArn"]
    assert aws.states.describe_state_machine(stateMachineArn=made)["roleArn"] == ROLE
    assert aws.run(nested, name="named")["output"] == '{"a":[{"RoleArn":"named"}]}'
    with aws.endpoint.repairs.without("role_paths"):
        assert aws.run(definition, {"role": ROLE, "name": "other"})["status"] == "FAILED"


def test_an_aws_sdk_task_reaches_services_that_boto3_hyphenates(aws: Aws) -> None:
    definition = sdk("resourcegroupstaggingapi:getResources", TagFilters=[{"Key": "x"}])
    assert aws.output(definition)["ResourceTagMappingList"] == []
    logs = sdk("cloudwatchlogs:describeLogGroups", LogGroupNamePrefix="/none")
    assert aws.output(logs) == {"LogGroups": []}


def test_lists_maps_and_texts_of_an_aws_sdk_task_are_changed_inside(aws: Aws) -> None:
    table = {
        "TableName": "seats",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    assert aws.output(sdk("dynamodb:createTable", **table))["TableDescription"]["TableName"]
    aws.output(sdk("dynamodb:putItem", TableName="seats", Item={"id": {"S": "a-1"}}))
    key = {"id": {"S": "a-1"}}
    output = aws.output(sdk("dynamodb:getItem", TableName="seats", Key=key))
    assert output["Item"] == key
    queue = aws.output(sdk("sqs:createQueue", QueueName="received"))["QueueUrl"]
    aws.output(sdk("sqs:sendMessage", QueueUrl=queue, MessageBody={"a": [1]}))
    received = aws.output(sdk("sqs:receiveMessage", QueueUrl=queue))
    assert json.loads(received["Messages"][0]["Body"]) == {"a": [1]}


def test_an_aws_sdk_task_fails_by_the_services_error(aws: Aws) -> None:
    lost = "arn:aws:states:ap-northeast-1:210987654321:stateMachine:lost"
    failed = aws.run(sdk("sfn:describeStateMachine", StateMachineArn=lost))
    assert failed["error"] == "Sfn.StateMachineDoesNotExistException"
    failed = aws.run(sdk("dynamodb:describeTable", TableName="lost"))
    assert failed["error"] == "DynamoDb.ResourceNotFoundException"
    failed = aws.run(sdk("iam:getRole", RoleName="lost"))
    assert failed["error"] == "Iam.NoSuchEntityException"


def test_an_aws_sdk_task_of_no_api_is_refused_by_name(aws: Aws) -> None:
    with pytest.raises(ClientError) as refused:
        aws.start(sdk("sns:listTopic"))
    assert refused.value.response["Error"]["Message"] == (
        "Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED:"
        " arn:aws:states:::aws-sdk:sns:listTopic: sns has no API action listTopic; did you mean"
        " listTopics? at /States/Only/Resource'"
    )
    with pytest.raises(ClientError, match="there is no service snss"):
        aws.start(sdk("snss:listTopics"))
    with pytest.raises(ClientError, match="by Step Functions; write Name"):
        aws.start(sdk("sns:createTopic", name="t"))


def test_an_invalid_definition_is_the_callers_error(aws: Aws) -> None:
    def code() -> str:
        with pytest.raises(ClientError) as refused:
            aws.start(only({"Type": "Tusk"}))
        code: str = refused.value.response["Error"]["Code"]
        return code

    assert code() == "InvalidDefinition"
    with aws.endpoint.repairs.without("request_errors"):
        assert code() != "InvalidDefinition"


def test_a_history_comes_in_pages(aws: Aws) -> None:
    execution = aws.run(only({"Type": "Pass"}))["executionArn"]
    types = ["ExecutionStarted", "PassStateEntered", "PassStateExited", "ExecutionSucceeded"]
    pager = aws.states.get_paginator("get_execution_history")

    pages = list(pager.paginate(executionArn=execution, PaginationConfig={"PageSize": 3}))
    back = aws.states.get_execution_history(executionArn=execution, reverseOrder=True, maxResults=1)

    assert [[event["type"] for event in page["events"]] for page in pages] == [types[:3], types[3:]]
    assert [event["type"] for event in back["events"]] == ["ExecutionSucceeded"]
    for wrong, code in (
        ({"maxResults": 1_001}, "ValidationException"),
        ({"nextToken": "x"}, "InvalidToken"),
    ):
        with pytest.raises(ClientError) as refused:
            aws.states.get_execution_history(executionArn=execution, **wrong)
        assert refused.value.response["Error"]["Code"] == code
    with aws.endpoint.repairs.without("history_pages"):
        whole = aws.states.get_execution_history(executionArn=execution, maxResults=1)
        assert [event["type"] for event in whole["events"]] == types


def test_a_page_has_the_events_as_moto_writes_them(aws: Aws) -> None:
    """The service writes them itself, as moto reads each time as a text, event by event."""
    aws.functions.register("counts", lambda event, context: len(event))
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Last"}]
    fail = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Catch": catch}
    definition = {
        "StartAt": "Count",
        "States": {
            "Count": {**invoke("counts"), "OutputPath": "$", "Next": "Fail"},
            "Fail": {**fail, "Parameters": {"FunctionName": "none"}, "End": True},
            "Last": {"Type": "Pass", "End": True},
        },
    }
    execution = aws.start(definition, {"text": "求人"})
    aws.ended(execution)

    ours = aws.states.get_execution_history(executionArn=execution)["events"]

    with aws.endpoint.repairs.without("history_pages"):
        theirs = aws.states.get_execution_history(executionArn=execution)["events"]
    assert ours == theirs
    assert len(ours) > 10


def test_a_page_is_the_same_after_the_history_has_grown(aws: Aws) -> None:
    """Both from the front and from the back, where AWS's tokens stand for events too."""
    looping = {"Type": "Pass", "Next": "Again"}
    waiting = {"Type": "Wait", "Seconds": 1, "Next": "Only"}
    execution = aws.start({"StartAt": "Only", "States": {"Only": looping, "Again": waiting}})
    page: Callable[..., dict[str, Any]] = functools.partial(
        aws.states.get_execution_history, executionArn=execution, maxResults=2
    )

    def newest() -> int:
        event_id: int = page(reverseOrder=True)["events"][0]["id"]
        return event_id

    until(lambda: newest() > 6)
    front, back = page(), page(reverseOrder=True)
    until(lambda: newest() > back["events"][0]["id"] + 6)
    front_on = page(nextToken=front["nextToken"])
    back_on = page(nextToken=back["nextToken"], reverseOrder=True)
    aws.states.stop_execution(executionArn=execution)

    assert [event["id"] for event in front["events"] + front_on["events"]] == [1, 2, 3, 4]
    assert [event["id"] for event in back["events"] + back_on["events"]] == [
        back["events"][0]["id"] - behind for behind in range(4)
    ]


def test_without_its_repair_a_stop_loses_its_cause(aws: Aws) -> None:
    with aws.endpoint.repairs.without("reported_end"), aws.endpoint.repairs.without("scaled_wait"):
        execution = aws.start(only({"Type": "Wait", "Seconds": 600}))
        until(lambda: len(aws.states.get_execution_history(executionArn=execution)["events"]) == 2)
        aws.states.stop_execution(executionArn=execution, error="Operator", cause="wrong data")
        described = aws.ended(execution)

    assert described["status"] == "ABORTED"
    assert "cause" not in described


def test_another_version_of_moto_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moto, "__version__", "5.3.0")

    with pytest.raises(InterpreterError, match=r"written for moto 5\.2\.5, installed is 5\.3\.0"):
        repairs.install(0.0)


NOW = datetime(2024, 6, 1, tzinfo=UTC)
TLS_ONLY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": ["arn:aws:s3:::sealed", "arn:aws:s3:::sealed/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ],
}


def test_a_bucket_that_demands_tls_can_be_used_here(aws: Aws) -> None:
    s3 = aws.endpoint.client("s3")
    where = {"LocationConstraint": s3.meta.region_name}
    s3.create_bucket(Bucket="sealed", CreateBucketConfiguration=where)
    s3.put_bucket_policy(Bucket="sealed", Policy=json.dumps(TLS_ONLY))

    s3.put_object(Bucket="sealed", Key="a", Body=b"x")

    with aws.endpoint.repairs.without("bucket_policy_conditions"):
        with pytest.raises(ClientError) as refused:
            s3.put_object(Bucket="sealed", Key="b", Body=b"x")
        assert refused.value.response["Error"]["Code"] == "403"


STATEMENT = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (b"\xff\xfe", "Policies must be valid JSON and the first byte must be '{'"),
        (b"[]", "Policies must be valid JSON and the first byte must be '{'"),
        (b"[" * 100_000, "Policies must be valid JSON and the first byte must be '{'"),
        (b"{}", "Missing required field Statement"),
        (b'{"Statement": [1]}', "Statement is not valid JSON object"),
        (json.dumps({"Statement": {**STATEMENT, "Effect": "x"}}).encode(), "Invalid effect: x"),
        (
            json.dumps({"Statement": {**STATEMENT, "Action": []}}).encode(),
            "Missing required field Action",
        ),
        (
            json.dumps({"Statement": [{**STATEMENT, "Resource": [{}]}]}).encode(),
            "Policy has invalid resource",
        ),
    ],
)
def test_a_bucket_s_policy_that_is_none_is_refused(aws: Aws, policy: bytes, message: str) -> None:
    """As AWS does; stored, it would make every later request to the bucket fail."""
    s3 = aws.endpoint.client("s3")
    bucket = f"policy-{abs(hash(policy))}"
    where = {"LocationConstraint": "ap-northeast-1"}
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)

    def send_policy(request: Any, **_: Any) -> None:
        request.data = policy  # boto3 sends texts alone

    s3.meta.events.register("before-sign.s3.PutBucketPolicy", send_policy)
    try:
        with pytest.raises(ClientError) as refused:
            s3.put_bucket_policy(Bucket=bucket, Policy="{}")
    finally:
        s3.meta.events.unregister("before-sign.s3.PutBucketPolicy", send_policy)
    error = refused.value.response
    assert (error["Error"]["Code"], error["Error"]["Message"]) == ("MalformedPolicy", message)
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_of_two_conditional_writes_at_once_one_is_refused(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = aws.endpoint.client("s3")
    where = {"LocationConstraint": s3.meta.region_name}
    s3.create_bucket(Bucket="contested", CreateBucketConfiguration=where)
    both_checked = threading.Barrier(2)
    checksum = S3Response._get_checksum

    def after_the_check(*arguments: Any) -> Any:
        with contextlib.suppress(threading.BrokenBarrierError):
            both_checked.wait(1)
        return checksum(*arguments)

    monkeypatch.setattr(S3Response, "_get_checksum", after_the_check)

    def write(key: str) -> str:
        try:
            s3.put_object(Bucket="contested", Key=key, Body=b"x", IfNoneMatch="*")
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "written"

    def write_twice(key: str) -> list[str]:
        both_checked.reset()
        with ThreadPoolExecutor(2) as pool:
            return sorted(pool.map(write, [key, key]))

    assert write_twice("a") == ["PreconditionFailed", "written"]
    with aws.endpoint.repairs.without("conditional_writes"):
        assert write_twice("b") == ["written", "written"]


def test_a_log_group_s_key_can_be_changed(aws: Aws) -> None:
    logs, key = aws.endpoint.client("logs"), "arn:aws:kms:ap-northeast-1:123456789012:key/k"
    logs.create_log_group(logGroupName="keyed")

    def shown() -> str | None:
        group: dict[str, str] = logs.describe_log_groups(logGroupNamePrefix="keyed")["logGroups"][0]
        return group.get("kmsKeyId")

    logs.associate_kms_key(logGroupName="keyed", kmsKeyId=key)
    assert shown() == key
    logs.disassociate_kms_key(logGroupName="keyed")
    assert shown() is None
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        logs.associate_kms_key(logGroupName="nowhere", kmsKeyId=key)
    with (
        aws.endpoint.repairs.without("log_keys"),
        pytest.raises(ClientError) as refused,
    ):
        logs.associate_kms_key(logGroupName="keyed", kmsKeyId=key)
    assert refused.value.response["Error"]["Code"] == "UnknownOperationException"


def test_a_log_stream_keeps_its_newest_events(aws: Aws) -> None:
    logs, where = aws.endpoint.client("logs"), {"logGroupName": "long", "logStreamName": "s"}
    logs.create_log_group(logGroupName="long")
    logs.create_log_stream(**where)

    def kept_of(numbers: range) -> list[str]:
        for number in numbers:
            event = {
                "timestamp": int(time.time() * 1_000),
                "message": f"{number:03}" + "x" * 250_000,
            }
            logs.put_log_events(**where, logEvents=[event] * 4)
        events = logs.get_log_events(**where, startFromHead=True)["events"]
        return [event["message"][:3] for event in events]

    kept = kept_of(range(20))
    assert 250_000 * len(kept) <= LARGEST_STREAM < 250_000 * (len(kept) + 1)
    assert kept[-5:] == ["018", "019", "019", "019", "019"]
    with aws.endpoint.repairs.without("bounded_log_streams"):
        assert len(kept_of(range(20, 24))) == len(kept) + 16


def test_log_events_are_of_the_streams_of_a_prefix(aws: Aws) -> None:
    logs, group = aws.endpoint.client("logs"), {"logGroupName": "of-streams"}
    logs.create_log_group(**group)
    for name in ("job-1/a", "job-1/b", "job-10/a"):
        logs.create_log_stream(**group, logStreamName=name)
        event = {"timestamp": int(time.time() * 1_000), "message": name}
        logs.put_log_events(**group, logStreamName=name, logEvents=[event])

    def found(prefix: str) -> list[str]:
        events = logs.filter_log_events(**group, logStreamNamePrefix=prefix)["events"]
        return sorted(event["message"] for event in events)

    assert found("job-1/") == ["job-1/a", "job-1/b"]
    assert found("job-2/") == []
    with aws.endpoint.repairs.without("log_streams_by_prefix"):
        assert found("job-1/") == ["job-1/a", "job-1/b", "job-10/a"]


def test_a_history_ends_with_the_execution_s_end(aws: Aws) -> None:
    """Items of a Map that go on after another has failed add events behind it."""
    execution = aws.run(only({"Type": "Pass"}))["executionArn"]
    _, region, account = execution.split(":")[2:5]
    backend = stepfunctions_parser_backends[account][region]
    manager = backend.describe_execution(execution).exec_worker.env.event_manager

    def go_on() -> None:
        context = EventHistoryContext(previous_event_id=1)
        manager.add_event(context=context, event_type="WaitStateEntered")

    def last() -> str:
        events = aws.states.get_execution_history(executionArn=execution)["events"]
        event_type: str = events[-1]["type"]
        return event_type

    go_on()
    assert last() == "ExecutionSucceeded"
    with aws.endpoint.repairs.without("history_pages"):
        go_on()
        assert last() == "WaitStateEntered"
