"""Texts, paths, variables and functions of a definition mean what they mean on AWS."""

import json
import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .aws import Aws, Definition, invoke, only


def shown(**parameters: Any) -> Definition:
    return only({"Type": "Pass", "Parameters": parameters})


def queried(output: Any, **fields: Any) -> Definition:
    state = {"Type": "Pass", "Output": output, **fields}
    return {**only(state), "QueryLanguage": "JSONata"}


def test_a_name_in_japanese_is_found_however_it_is_written(aws: Aws) -> None:
    """The SDK writes it escaped: JSON has both ways."""

    def fail(event: Any, context: Any) -> Any:
        raise type("失敗", (Exception,), {})("理由")

    aws.functions.register("fail", fail)
    caught = [{"ErrorEquals": ["失敗"], "ResultPath": "$.結果['エラー']", "Next": "終わり"}]
    greeting = "States.Format('{}さん', $.名前)"
    states = {
        "始め": {**invoke("fail"), "OutputPath": "$", "Catch": caught, "End": True},
        "終わり": {
            "Type": "Pass",
            "Parameters": {"挨拶.$": greeting, "誤り.$": "$.結果['エラー'].Error", "😀": "😀/"},
            "End": True,
        },
    }
    definition = {"StartAt": "始め", "States": states}
    output = aws.output(definition, {"名前": "花"})
    assert output == {"挨拶": "花さん", "誤り": "失敗", "😀": "😀/"}
    with aws.endpoint.repairs.without("definition_texts"), pytest.raises(ClientError):
        aws.run(definition, {"名前": "花"})


def test_escapes_of_json_are_read_everywhere(aws: Aws) -> None:
    text = '{"StartAt":"A","States":{"A":{"Type":"Pass","Parameters":{"a\\/b":"\\u0022\\/\\\\"},'
    created = aws.states.create_state_machine(
        name="escaped",
        roleArn="arn:aws:iam::210987654321:role/x",
        definition=text + '"End":true}}}',
    )
    started = aws.states.start_execution(stateMachineArn=created["stateMachineArn"])
    assert json.loads(aws.ended(started["executionArn"])["output"]) == {"a/b": '"/\\'}


def test_json_is_written_as_it_is_read(aws: Aws) -> None:
    definition = shown(**{"text.$": "States.JsonToString($)"})
    described = aws.run(definition, {"名": ["花", None]})
    assert json.loads(described["output"])["text"] == '{"名":["花",null]}'
    history = aws.states.get_execution_history(executionArn=described["executionArn"])["events"]
    assert history[0]["executionStartedEventDetails"]["input"] == '{"名":["花",null]}'
    with aws.endpoint.repairs.without("json_texts"):
        described = aws.run(definition, {"名": 1})
    history = aws.states.get_execution_history(executionArn=described["executionArn"])["events"]
    assert "名" not in history[0]["executionStartedEventDetails"]["input"]


ROWS = {
    "rows": [{"id": "a", "x": {"y": 1}}],
    "none": [],
    "o": {"p": None},
    "a$b": 2,
    "s": "text",
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$.rows[?(@.id == 'z')]", []),
        ("$.rows[?(@.id == 'z')].x.y", []),
        ("$.rows[?(@.id == 'a')]", [{"id": "a", "x": {"y": 1}}]),
        ("$.rows[*].x.y", [1]),
        ("$.rows[0].x.y", 1),
        ("$.rows[0:1]", [{"id": "a", "x": {"y": 1}}]),
        ("$.none[*].id", []),
        ("$.none[1:]", []),
        ("$..y", [1]),
        ("$..nothing", []),
        ("$.o.p", None),
        ("$.o.*", [None]),
        ("$.a$b", 2),
    ],
)
def test_a_path_that_can_have_several_values_is_a_list(aws: Aws, path: str, expected: Any) -> None:
    assert aws.output(shown(**{"v.$": path}), ROWS) == {"v": expected}


@pytest.mark.parametrize("path", ["$.lost", "$.lost[*]", "$.none[0]", "$.s.x", "$.s[0]", "$.o.p.q"])
def test_a_path_to_nothing_fails_the_execution(aws: Aws, path: str) -> None:
    assert aws.run(shown(**{"v.$": path}), ROWS)["error"] == "States.Runtime"


def test_without_its_repair_a_filter_without_a_match_fails(aws: Aws) -> None:
    with aws.endpoint.repairs.without("json_paths"):
        failed = aws.run(shown(**{"v.$": "$.rows[?(@.id == 'z')]"}), ROWS)
        assert failed["status"] == "FAILED"
        assert aws.output(shown(**{"v.$": "$.rows[*].x.y"}), ROWS) == {"v": 1}


SHOP = {
    "l": [{"x": 1, "名": "値"}, {"x": "1"}, {"x": True}, {"y": [1]}],
    "one": {"x": 1},
    "deep": {"p": {"x": 1}},
    "where": {"wherenot": 3},
    "wanted": 1,
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        # A filter tests an object itself, and the items of an array.
        ("$.one[?(@.x == 1)]", [{"x": 1}]),
        ("$.deep[?(@.x == 1)]", []),
        # A number and a text are equal if they are written alike.
        ("$.l[?(@.x == 1)].x", [1, "1"]),
        ("$.l[?(@.x == '1')].x", [1, "1"]),
        ("$.l[?(@.x === 1)].x", [1]),
        # What is not there is different from everything.
        ("$.l[?(@.x != 1)]", [{"x": True}, {"y": [1]}]),
        ("$.l[?(@.x < 2)].x", [1]),
        ("$.l[?(@.名 == '値')].名", ["値"]),
        ("$.l[?(@.y)]", [{"y": [1]}]),
        ("$.l[?(!@.x)]", [{"y": [1]}]),
        ("$.l[?(@.x in [1, true])].x", [1, "1", True]),
        ("$.l[?(@.名 =~ /値?/)].x", [1]),
        ("$.l[?(@.x == $.wanted && @.名)].x", [1]),
        ("$..[?(@.y)]", [{"y": [1]}]),
        ("$.where.wherenot", 3),
        ("$['where']", {"wherenot": 3}),
        ("$['one','wanted']", {"one": {"x": 1}, "wanted": 1}),
        ("$.l[-1].y[0]", 1),
        ("$.l[0,2].x", [1, True]),
    ],
)
def test_a_filter_finds_what_jayway_s_library_finds(aws: Aws, path: str, expected: Any) -> None:
    """Jayway's code and tests are the source: PredicatePathToken, ValueNodes, InlineFilterTest."""
    assert aws.output(shown(**{"v.$": path}), SHOP) == {"v": expected}


def test_without_its_repair_a_filter_meets_the_members_of_an_object(aws: Aws) -> None:
    definition = shown(**{"v.$": "$.deep[?(@.x == 1)]"})
    with aws.endpoint.repairs.without("json_paths"):
        assert aws.run(definition, SHOP).get("output") != '{"v":[]}'


@pytest.mark.parametrize(
    "path",
    [
        "$.a + $.b",
        "$.a.b.c - 1",
        "$.l where x",
        "$.a[\\x]",
        "$.a[?@.x==1]",
        "$.a.length()",
        "$.a[0:4:2]",
        "$.a.",
    ],
)
def test_a_path_that_only_other_libraries_know_is_refused(aws: Aws, path: str) -> None:
    with pytest.raises(ClientError, match=r"must be a valid JSONPath"):
        aws.run(shown(**{"v.$": path}))


def test_a_result_path_may_have_any_name(aws: Aws) -> None:
    placed = only({"Type": "Pass", "Result": 1, "ResultPath": "$.where.値"})
    assert aws.output(placed, {"a": 2}) == {"a": 2, "where": {"値": 1}}
    with pytest.raises(ClientError, match="reference path"):
        aws.run(only({"Type": "Pass", "Result": 1, "ResultPath": "$['a','b']"}))


QUOTED = "a \"quoted\" \\ 'text' \n {% %} 花"


def test_a_variable_holds_any_text(aws: Aws) -> None:
    keep = {"Type": "Pass", "Assign": {"kept.$": "$"}, "Next": "Show"}
    parameters = {
        "text.$": "$kept.text",
        "item.$": "$kept['items'][0]",
        "all.$": "$kept.items[*]",
        "none.$": "$kept.items[?(@ == 'z')]",
        "format.$": "States.Format('<{}>', $kept.text)",
    }
    show = {"Type": "Pass", "Parameters": parameters, "End": True}
    definition = {"StartAt": "Keep", "States": {"Keep": keep, "Show": show}}
    assert aws.output(definition, {"text": QUOTED, "items": [1, None]}) == {
        "text": QUOTED,
        "item": 1,
        "all": [1, None],
        "none": [],
        "format": f"<{QUOTED}>",
    }
    failed = aws.run(definition, {"items": [1]})
    assert failed["error"] == "States.Runtime"
    assert "'$kept.text' could not be found" in failed["cause"]
    with aws.endpoint.repairs.without("variables"):
        assert aws.run(definition, {"text": QUOTED, "items": [1]})["status"] == "FAILED"


def test_jsonata_gets_any_text_and_null(aws: Aws) -> None:
    keep = {"Type": "Pass", "Assign": {"kept": "{% $states.input %}"}, "Next": "Show"}
    output = {
        "text": "{% $kept.text %}",
        "again": "{% $states.input.text & '!' %}",
        "null": "{% $kept.none %}",
        "nulls": "{% $kept.list[0] = null %}",
        "list": "{% $kept.list %}",
    }
    show = {"Type": "Pass", "Output": output, "End": True}
    definition = {
        "StartAt": "Keep",
        "States": {"Keep": keep, "Show": show},
        "QueryLanguage": "JSONata",
    }
    event = {"text": QUOTED, "none": None, "list": [None, "x"]}
    assert aws.output(definition, event) == {
        "text": QUOTED,
        "again": QUOTED + "!",
        "null": None,
        "nulls": True,
        "list": [None, "x"],
    }
    undefined = aws.run(queried({"v": "{% $states.input.lost %}"}))
    assert undefined["error"] == "States.QueryEvaluationError"
    assert "returned nothing (undefined)" in undefined["cause"]
    function = aws.run(queried({"v": "{% $sum %}"}))
    assert function["error"] == "States.QueryEvaluationError"


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        # A backslash escapes what would end or structure the text.
        (r"States.Format('It\'s {}', $.name)", "It's 花"),
        ("States.Format('\\{\"a\": {}\\}', 1)", '{"a": 1}'),
        (r"States.Format('a\\b{}', 1)", "a\\b1"),
        (r"States.Array('\{\}')", ["{}"]),
        ("States.Format($.template, $.name)", "{0} a\\b 花"),
        ("States.Format('{} {} {}', null, true, 1.5)", "null true 1.5"),
        ("States.Array(null, $.nothing, 'x', 1, -2.5, false)", [None, None, "x", 1, -2.5, False]),
        ("States.Array()", []),
        ("States.Array($.list[?(@ == 1)], $$.State.Name)", [[1, 1], "Only"]),
        ("States.ArrayContains($.list, true)", False),
        ("States.ArrayContains($.list, null)", True),
        ("States.ArrayGetItem($.list, 1)", None),
        ("States.ArrayLength(States.Array(1, 2))", 2),
        ("States.ArrayPartition($.list, 2)", [[1, None], [1]]),
        ("States.ArrayRange(1, 9, 2)", [1, 3, 5, 7, 9]),
        ("States.ArrayUnique(States.Array(1, true, $.object, 1, $.object))", [1, True, {"b": 2}]),
        ("States.Base64Encode('日本')", "5pel5pys"),
        ("States.Base64Decode('5pel5pys')", "日本"),
        ("States.Hash('日本', 'SHA-1')", "44da6bbcf285cdb317aa91174217990d1b94d64d"),
        ("States.JsonMerge($.object, $.object, false)", {"b": 2}),
        ("States.JsonToString($.name)", '"花"'),
        ("States.StringToJson('{\"a\": [1]}')", {"a": [1]}),
        ("States.MathAdd(1.5, -3)", -1),
        ("States.MathRandom(1, 2)", 1),
        ("States.StringSplit('This.is+a,test', '.+,=')", ["This", "is", "a", "test"]),
        ("States.StringSplit('a]b^c', ']^')", ["a", "b", "c"]),
    ],
)
def test_an_intrinsic_function_gives_what_aws_gives(aws: Aws, call: str, expected: Any) -> None:
    event = {
        "name": "花",
        "template": "{0} a\\b {}",
        "nothing": None,
        "list": [1, None, 1],
        "object": {"b": 2},
    }
    output = aws.output(shown(**{"v.$": call}), event)["v"]
    assert (type(output), output) == (type(expected), expected)


@pytest.mark.parametrize(
    "call",
    [
        "States.Format('{}')",
        "States.Format('{}', 1, 2)",
        "States.ArrayGetItem(States.Array(1), -1)",
        "States.ArrayPartition(States.Array(1), 0)",
        "States.ArrayRange(1, 2000, 1)",
        "States.Hash('a', 'CRC')",
        "States.JsonMerge($, $, true)",
        "States.StringToJson('{')",
        "States.Base64Decode('!')",
        "States.MathAdd('1', 2)",
    ],
)
def test_an_intrinsic_function_that_fails_says_so(aws: Aws, call: str) -> None:
    failed = aws.run(shown(**{"v.$": call}))
    assert failed["error"] == "States.IntrinsicFailure"
    assert f"The function '{call}' had the following error" in failed["cause"]


def test_without_its_repair_an_intrinsic_function_loses_arguments(aws: Aws) -> None:
    definition = shown(**{"v.$": "States.Array(null, 1)"})
    assert aws.output(definition) == {"v": [None, 1]}
    with aws.endpoint.repairs.without("intrinsic_functions"):
        assert aws.run(definition).get("output") != '{"v":[null,1]}'
        japanese = aws.run(shown(**{"v.$": "States.Base64Encode($.v)"}), {"v": "日本"})
        assert japanese["status"] == "FAILED"


def test_an_aws_sdk_task_sends_json_where_the_service_wants_bytes(aws: Aws) -> None:
    aws.functions.register("echo", lambda event, _: event)
    parameters = {"FunctionName": "echo", "Payload": {"名.$": "$.name", "none": None}}
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:lambda:invoke",
        "Parameters": parameters,
        "ResultSelector": {"echo.$": "States.StringToJson($.Payload)"},
    }
    output = aws.output(only(task), {"name": "花"})
    assert output == {"echo": {"名": "花", "none": None}}


def test_a_wait_ends_at_a_time_with_an_offset_and_a_fraction(aws: Aws) -> None:
    past = only({"Type": "Wait", "Timestamp": "2020-01-31T21:00:00.5+09:00"})
    by_path = only({"Type": "Wait", "TimestampPath": "$.at"})
    assert aws.output(past) == {}
    assert aws.output(by_path, {"at": "2020-01-31T12:00:00-08:00"})["at"]
    assert aws.run(by_path, {"at": "2020-01-31 12:00:00"})["error"] == "States.Runtime"
    with aws.endpoint.repairs.without("wait_timestamps"):
        assert aws.run(by_path, {"at": "2020-01-31T12:00:00-08:00"})["status"] == "FAILED"


def test_a_result_without_a_place_in_the_input_can_be_caught(aws: Aws) -> None:
    lost = only({"Type": "Pass", "Result": 1, "ResultPath": "$.a.b"})
    assert aws.run(lost, "text")["error"] == "States.ResultPathMatchFailure"
    assert aws.run(lost, {"a": 1})["error"] == "States.ResultPathMatchFailure"
    assert aws.output(lost, {"a": {"c": 2}}) == {"a": {"b": 1, "c": 2}}
    aws.functions.register("any", lambda event, _: event)
    catch = [{"ErrorEquals": ["States.ResultPathMatchFailure"], "Next": "Caught"}]
    task = {**invoke("any"), "OutputPath": "$", "ResultPath": "$.a", "Catch": catch, "End": True}
    states = {"Task": task, "Caught": {"Type": "Succeed"}}
    caught = aws.output({"StartAt": "Task", "States": states}, "text")
    assert caught["Error"] == "States.ResultPathMatchFailure"
    with aws.endpoint.repairs.without("result_paths"):
        assert aws.run(lost, "text")["error"] == "States.Runtime"


def test_a_map_over_no_array_ends_the_execution(aws: Aws) -> None:
    machine = {"StartAt": "Item", "States": {"Item": {"Type": "Succeed"}}}
    definition = only({"Type": "Map", "ItemsPath": "$.a", "ItemProcessor": machine})
    failed = aws.run(definition, {"a": 1})
    assert (failed["error"], failed["cause"].rpartition(". ")[2]) == (
        "States.Runtime",
        "Reference path '$.a' must point to array.",
    )
    with aws.endpoint.repairs.without("map_items"):
        assert aws.run(definition, {"a": 1})["error"] == "States.QueryEvaluationError"


def test_a_map_fails_by_what_an_item_fails_by(aws: Aws) -> None:
    """An expression of JSONata of an item, not the items of the Map."""
    item = {"Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% $error('no') %}", "End": True}
    catch = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.failed", "Next": "Caught"}]
    each = {
        "Type": "Map",
        "ItemsPath": "$.a",
        "ItemProcessor": {"StartAt": "Item", "States": {"Item": item}},
        "Catch": catch,
        "End": True,
    }
    states = {"Each": each, "Caught": {"Type": "Succeed"}}

    caught = aws.output({"StartAt": "Each", "States": states}, {"a": [1]})

    assert caught["failed"]["Error"] == "States.QueryEvaluationError"
    assert caught["failed"]["Cause"].endswith("no")


def test_a_fail_state_says_what_a_function_gives(aws: Aws) -> None:
    fail = {
        "Type": "Fail",
        "ErrorPath": "$.e",
        "CausePath": "States.Format('{} と {}', $.e, States.JsonToString($))",
    }
    failed = aws.run({"StartAt": "Fail", "States": {"Fail": fail}}, {"e": "花"})
    assert (failed["error"], failed["cause"]) == ("花", '花 と {"e":"花"}')


def test_jsonata_s_own_functions_are_those_of_step_functions(aws: Aws) -> None:
    output = {
        "range": "{% $range(0, 1, 0.5) %}",
        "down": "{% $range(3, 1, -1) %}",
        "none": "{% $range(3, 1, 1) %}",
        "partition": "{% $partition([1..5], 2) %}",
        "hash": "{% $hash('日本', 'SHA-1') %}",
    }
    assert aws.output(queried(output)) == {
        "range": [0, 0.5, 1],
        "down": [3, 2, 1],
        "none": [],
        "partition": [[1, 2], [3, 4], [5]],
        "hash": "44da6bbcf285cdb317aa91174217990d1b94d64d",
    }
    failed = aws.run(queried("{% $eval('1') %}"))
    assert "does not support $eval" in failed["cause"]


def test_a_backslash_in_a_path_is_one_in_the_name(aws: Aws) -> None:
    """Recorded on AWS."""
    path = '$[\'Test\\""Name"\']'
    assert path == r"""$['Test\""Name"']"""
    event = {'Test\\""Name"': 'Value"\\'}
    assert aws.output(shown(**{"value.$": path}), event) == {"value": 'Value"\\'}


def test_the_context_has_the_times_and_counts_of_aws(aws: Aws) -> None:
    context = aws.output(shown(**{"all.$": "$$"}), {"a": 1})["all"]
    assert context["Execution"]["RedriveCount"] == 0
    assert context["Execution"]["Input"] == {"a": 1}
    for moment in (context["State"]["EnteredTime"], context["Execution"]["StartTime"]):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", moment)
