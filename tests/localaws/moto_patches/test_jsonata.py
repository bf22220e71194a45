"""JSONata gives JSONata 2.0.6's values, and fails as Step Functions says that it does."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from .aws import Aws, Definition, invoke, only


def queried(output: Any, **fields: Any) -> Definition:
    return in_jsonata({"Type": "Pass", "Output": output, **fields})


def in_jsonata(state: Definition, **states: Definition) -> Definition:
    definition = only(state)
    if states:
        definition["States"].update(states)
    return {**definition, "QueryLanguage": "JSONata"}


ITEMS = [
    {"id": 1, "name": "x", "price": 9.99, "tags": ["a", "b"]},
    {"id": 2, "name": "y", "price": 0.1, "tags": []},
    {"id": 3, "name": "x", "price": 5},
]

# What JSONata 2.0.6 itself gives, run by Node.js.
VALUES: list[tuple[str, Any]] = [
    ("$string({'日':'本'})", '{"日":"本"}'),
    ("'x' & {'日':'本'}", 'x{"日":"本"}'),
    ("[5.5 % 2, -5.5 % 2, -5 % 3, 5 % -3]", [1.5, -1.5, -2, 2]),
    ("$string(100000000000000000000)", "100000000000000000000"),
    ("$string(1e21)", "1e+21"),
    ("$string(1e-7)", "1e-7"),
    ("$string(0.1+0.2)", "0.3"),
    ("$string({'f':1/3})", '{"f":0.333333333333333}'),
    ("$string(100*1.1)", "110"),
    ("$string(5e-324)", "5e-324"),
    ("$string([1.0, 2.50])", "[1,2.5]"),
    ("$number('0b11')", 3),
    ("$round(2.5)", 2),
    ("$round(1.005, 2)", 1),
    ("$formatNumber(12.345, '#,##0.00')", "12.34"),
    ("$formatBase(-255.6, 36)", "-74"),
    ("$formatInteger(123, 'w')", "one hundred and twenty-three"),
    ("$fromMillis(1577934245678, '[Y]年[M]月[D]日')", "2020年1月2日"),
    ("$fromMillis(1577934245678, '[MNn] [D1o], [Y] [h#1]:[m01] [P]', '+0900')",
     "January 2nd, 2020 12:04 pm"),
    ("$fromMillis(253402300800000)", "0000-01-01T00:00:00.000Z"),
    ("$toMillis('2020-02-30')", 1583020800000),
    ("$length('😀')", 1),
    ("$pad('日', 5, '*')", "日****"),
    ("$base64encode('hello')", "aGVsbG8="),
    ("$count(null)", 1),
    ("'😀' < '\\uffff'", True),
    ("$sort(['い','あ','漢','a','Z'])", ["Z", "a", "あ", "い", "漢"]),
    ("$sort(['😀','～'])", ["😀", "～"]),
    ("$sort([{'a':2,'i':1},{'a':1,'i':2},{'a':2,'i':3}], function($l,$r){$l.a < $r.a}).i",
     [1, 3, 2]),
    ("$replace('68F today', /(-?\\d+(?:\\.\\d*)?)F\\b/, function($m) { $m.groups[0] & 'C' })",
     "68C today"),
    ("$states.input.items{name: $sum(price)}", {"x": 14.99, "y": 0.1}),
    ("$states.input.items^(>price).id", [1, 3, 2]),
    ("$states.input.items.{'id':id,'n':$count(tags)}",
     [{"id": 1, "n": 2}, {"id": 2, "n": 0}, {"id": 3, "n": 0}]),
    ("$states.input.items[name='x'].id", [1, 3]),
    ("[$states.input.items[name='z']]", []),
    ("$states.input.items#$i[$i>0].id", [2, 3]),
    ("$states.input.none", None),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "expected"), VALUES)
def test_an_expression_gives_jsonata_s_own_value(aws: Aws, expression: str, expected: Any) -> None:
    definition = queried({"v": f"{{% {expression} %}}"})
    output = aws.output(definition, {"items": ITEMS, "none": None})["v"]
    assert (type(output), output) == (type(expected), expected)


@pytest.mark.parametrize(
    ("expression", "error"),
    [
        ("$hash(1, 'MD5')", 'T0410: Argument 1 of function "hash" does not match function'),
        ("$hash('a', 'CRC')", "$hash knows MD5, SHA-1, SHA-256, SHA-384, SHA-512, not 'CRC'"),
        ("$fromMillis(1e20)", "D1001"),
        ("$number(' 12 ')", "D3030"),
        ("$number('1_0')", "D3030"),
        ("$toMillis('2020-01-02T03:04')", "D3110"),
        ("$replace('abc', /.*?/, '$1')", "D1004"),
        ("1 + 'a'", 'T2002: The right side of the "+" operator must evaluate to a number'),
        ("1 / 0", "D1001"),
        ("$parse('[NaN]')", "NaN is no JSON"),
        ("$partition([1], 0)", "$partition needs"),
        ("($f := function($n){1 + $f($n)}; $f(1))", "D1011"),
    ],
)
def test_whatever_fails_is_an_error_of_the_query(aws: Aws, expression: str, error: str) -> None:
    failed = aws.run(queried({"v": [f"{{% {expression} %}}"]}))
    assert failed["error"] == "States.QueryEvaluationError"
    assert (
        f"The JSONata expression '{expression}' specified for the field 'Output/v[0]'"
        f" threw an error during evaluation. {error}"
    ) in failed["cause"]


def test_a_failure_is_told_as_it_was_recorded_on_aws(aws: Aws) -> None:
    """The recordings are those of LocalStack's tests."""
    expression = "$randomSeeded($states.input.FunctionInput.fst)"
    output = {"FunctionResult": f"{{% {expression} %}}"}
    arn = aws.start(queried(output), {"FunctionInput": "fst"})
    cause = (
        "An error occurred while executing the state 'Only' (entered at the event id #2). The"
        f" JSONata expression '{expression}' specified for the field 'Output/FunctionResult' threw"
        " an error during evaluation. T1006: Attempted to invoke a non-function"
    )
    failed = aws.ended(arn)
    assert (failed["error"], failed["cause"]) == ("States.QueryEvaluationError", cause)
    events = aws.states.get_execution_history(executionArn=arn)["events"]
    assert [one["type"] for one in events[1:]] == [
        "PassStateEntered",
        "EvaluationFailed",
        "ExecutionFailed",
    ]
    assert events[2]["evaluationFailedEventDetails"] == {
        "error": "States.QueryEvaluationError",
        "cause": cause,
        "location": "Output/FunctionResult",
        "state": "Only",
    }
    undefined = aws.run(queried({}, Assign={"result": "{% $doesNotExist %}"}))
    assert undefined["cause"].endswith(
        "The JSONata expression '$doesNotExist' specified for the field 'Assign/result' returned"
        " nothing (undefined)."
    )
    with aws.endpoint.repairs.without("evaluation_events"):
        failed = aws.run(queried(output), {"FunctionInput": "fst"})
        assert failed["cause"].count("An error occurred") == 2


MAP: Definition = {
    "Type": "Map",
    "Items": "{% [1, 2] %}",
    "ItemProcessor": {"StartAt": "Item", "States": {"Item": {"Type": "Pass", "End": True}}},
}


@pytest.mark.parametrize(
    ("items", "shown"),
    [
        ("1", "'number' for value: 1"),
        ("'string'", "'string' for value: \"string\""),
        ("true", "'boolean' for value: true"),
        ("null", "'null' for value: null"),
        ("{'foo': 'bar'}", '\'object\' for value: {"foo":"bar"}'),
    ],
)
def test_items_that_are_no_array_are_refused_as_recorded(aws: Aws, items: str, shown: str) -> None:
    arn = aws.start(in_jsonata({**MAP, "Items": f"{{% {items} %}}"}))
    assert aws.ended(arn)["cause"] == (
        "An error occurred while executing the state 'Only' (entered at the event id #2). The"
        f" JSONata expression '{items}' specified for the field 'Items' returned an unexpected"
        f" result type. Expected 'array', but was {shown}"
    )
    events = aws.states.get_execution_history(executionArn=arn)["events"]
    assert [one["type"] for one in events[2:]] == [
        "EvaluationFailed",
        "MapStateFailed",
        "ExecutionFailed",
    ]


def test_a_function_is_no_result(aws: Aws) -> None:
    failed = aws.run(in_jsonata({**MAP, "Items": "{% $fn := function($x){$x} %}"}))
    assert failed["cause"].endswith(
        "The JSONata expression '$fn := function($x){$x}' specified for the field 'Items' returned"
        " an unsupported result type."
    )


TASK: Definition = {
    "Type": "Task",
    "Resource": "arn:aws:states:::lambda:invoke",
    "Arguments": {"FunctionName": "echo", "Payload": {"a": 1}},
}


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        ({"Type": "Wait", "Seconds": "{% '1' %}"}, "Expected 'number', but was 'string'"),
        ({"Type": "Wait", "Seconds": "{% 1.5 %}"}, "an integer from 0 to 99999999, but was 1.5"),
        ({"Type": "Wait", "Seconds": "{% -1 %}"}, "an integer from 0 to 99999999, but was -1"),
        ({"Type": "Wait", "Seconds": "{% 100000000 %}"}, "but was 100000000"),
        ({"Type": "Wait", "Timestamp": "{% 1 %}"}, "Expected 'string', but was 'number'"),
        ({"Type": "Wait", "Timestamp": "{% 'soon' %}"}, "RFC 3339 timestamp, but was 'soon'"),
        ({"Type": "Fail", "Error": "{% 1 %}"}, "Expected 'string', but was 'number'"),
        ({**TASK, "TimeoutSeconds": "{% '1' %}"}, "Expected 'number', but was 'string'"),
        ({**TASK, "TimeoutSeconds": "{% 0 %}"}, "an integer from 1 to 99999999, but was 0"),
        ({**MAP, "MaxConcurrency": "{% 'x' %}"}, "Expected 'number', but was 'string'"),
    ],
)
def test_a_field_takes_the_values_that_it_documents(
    aws: Aws, state: Definition, shown: str
) -> None:
    """The guide names wrong types and values out of range as causes of the error."""
    aws.functions.register("echo", lambda event, _: event)
    state = state if state["Type"] == "Fail" else {**state, "End": True}
    definition = {"StartAt": "A", "States": {"A": state}, "QueryLanguage": "JSONata"}
    failed = aws.run(definition)
    assert failed["error"] == "States.QueryEvaluationError"
    assert shown in failed["cause"]
    with aws.endpoint.repairs.without("jsonata"):
        assert shown not in aws.run(definition).get("cause", "")


@pytest.mark.parametrize(
    ("state", "field"),
    [
        ({**TASK, "Output": "{% $lost %}"}, "Output"),
        ({**TASK, "Arguments": "{% $lost %}"}, "Arguments"),
        ({**TASK, "Assign": {"v": {"w": "{% $lost %}"}}}, "Assign/v/w"),
        ({**MAP, "Output": {"x": "{% $lost %}"}}, "Output/x"),
        ({**MAP, "ItemSelector": "{% $lost %}"}, "ItemSelector"),
        (
            {"Type": "Parallel", "Arguments": "{% $lost %}", "Branches": [MAP["ItemProcessor"]]},
            "Arguments",
        ),
    ],
)
def test_a_failed_evaluation_is_caught_wherever_it_stands(
    aws: Aws, state: Definition, field: str
) -> None:
    aws.functions.register("echo", lambda event, _: event)
    error = "{% $states.errorOutput %}"
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught", "Output": error}]
    caught = aws.output(in_jsonata({**state, "Catch": catch}, Caught={"Type": "Succeed"}))
    assert caught["Error"] == "States.QueryEvaluationError"
    assert f"'$lost' specified for the field '{field}' returned nothing" in caught["Cause"]


def test_an_output_that_fails_is_retried_and_keeps_no_variable(aws: Aws) -> None:
    aws.functions.register("echo", lambda event, _: event)
    name = ["States.QueryEvaluationError"]
    output = "{% $states.context.State.RetryCount > 0 ? $states.result.Payload : $lost %}"
    retried = {**TASK, "Output": output, "Retry": [{"ErrorEquals": name, "MaxAttempts": 1}]}
    assert aws.output(in_jsonata(retried)) == {"a": 1}
    catch = [{"ErrorEquals": name, "Next": "Caught", "Output": {}}]
    keep = {"Type": "Pass", "Assign": {"v": "old"}, "Next": "Only"}
    failing = {**TASK, "Output": "{% $lost %}", "Assign": {"v": "new"}, "Catch": catch}
    shown = {"Type": "Pass", "Output": "{% $v %}", "End": True}
    definition = in_jsonata(failing, Keep=keep, Caught=shown) | {"StartAt": "Keep"}
    assert aws.output(definition) == "old"
    with aws.endpoint.repairs.without("task_outputs"):
        assert aws.run(in_jsonata(retried))["status"] == "FAILED"


def test_a_state_sees_the_variables_of_its_entry(aws: Aws) -> None:
    keep = {"Type": "Pass", "Assign": {"x": 1}, "Next": "Only"}
    own = {"Type": "Pass", "Assign": {"x": 2, "y": "{% $x %}"}, "Output": "{% $x %}"}
    seen = in_jsonata(own, Keep=keep) | {"StartAt": "Keep"}
    assert aws.output(seen) == 1
    with aws.endpoint.repairs.without("variables_on_entry"):
        assert aws.output(seen) == 2
    last = {"Type": "Pass", "Output": "{% [$x, $y] %}", "End": True}
    linked = in_jsonata(own, Keep=keep, Last=last) | {"StartAt": "Keep"}
    linked["States"]["Only"] = {**own, "Next": "Last"}
    assert aws.output(linked) == [2, 1]


def test_arguments_of_one_expression_may_have_known_fields_alone(aws: Aws) -> None:
    aws.functions.register("echo", lambda event, _: event)
    task = in_jsonata({**TASK, "Arguments": "{% {'FunctionName': 'echo', 'Foo': 1} %}"})
    failed = aws.run(task)
    assert failed["error"] == "States.Runtime"
    assert 'The field "Foo" is not supported by Step Functions' in failed["cause"]
    with aws.endpoint.repairs.without("arguments"):
        assert aws.run(task)["status"] == "SUCCEEDED"


def test_an_item_selector_may_be_one_expression(aws: Aws) -> None:
    value = "$states.context.Map.Item.Value"
    selected = in_jsonata({**MAP, "ItemSelector": f"{{% {value} * $states.input.n %}}"})
    assert aws.output(selected, {"n": 5}) == [5, 10]
    chosen = in_jsonata({**MAP, "ItemSelector": {"v": f"{{% {value} %}}"}})
    assert aws.output(chosen) == [{"v": 1}, {"v": 2}]
    by_path = only({**MAP, "ItemSelector": "{% 1 %}", "ItemsPath": "$.a"})
    del by_path["States"]["Only"]["Items"]
    with pytest.raises(ClientError, match="InvalidDefinition"):
        aws.run(by_path)
    with aws.endpoint.repairs.without("item_selectors"), pytest.raises(ClientError):
        aws.run(selected, {"n": 5})


def test_the_task_of_a_jsonpath_machine_may_use_jsonata(aws: Aws) -> None:
    aws.functions.register("echo", lambda event, _: event)
    output = "{% $states.result.Payload.a & '' %}"
    mixed = only({**TASK, "QueryLanguage": "JSONata", "Output": output})
    assert aws.output(mixed) == "1"
    assert aws.output(only(invoke("echo")), {"a": 1}) == {"a": 1}
