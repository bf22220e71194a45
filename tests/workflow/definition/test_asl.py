"""The reader of definitions: scopes, states, transitions, and conditions in words."""

import pytest
from hypothesis import HealthCheck, given, settings

from tests.workflow.definitions import definitions, nested
from workflow.definition.asl import (
    Scope,
    Transition,
    arguments,
    condition,
    ends,
    exact_condition,
    function_name,
    parallelism,
    repetition,
    scopes,
    states,
    subject,
    transitions,
)


def test_scopes_are_the_machine_the_processors_of_maps_and_every_branch():
    described = [(str(scope), scope.depth, scope.start) for scope in scopes(nested())]

    assert described == [
        ("the machine", 0, "Each Region"),
        ("'Each Region'", 1, "Both"),
        ("branch 1 of 'Both'", 2, "Count"),
        ("branch 2 of 'Both'", 2, "Each File"),
        ("'Each File'", 3, "Read"),
    ]


def test_every_state_comes_before_those_inside_it():
    assert [(name, scope.container, scope.branch) for scope, name, _ in states(nested())] == [
        ("Each Region", "", 0),
        ("Both", "Each Region", 0),
        ("Count", "Both", 1),
        ("Enough?", "Both", 1),
        ("Counted", "Both", 1),
        ("Miscounted", "Both", 1),
        ("Each File", "Both", 2),
        ("Read", "Each File", 0),
        ("Unread", "Each File", 0),
        ("Left Out", "Each Region", 0),
        ("Done", "", 0),
    ]


def test_branches_that_hold_the_same_are_scopes_of_their_own():
    branch = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
    definition = {
        "StartAt": "P",
        "States": {"P": {"Type": "Parallel", "Branches": [branch, branch], "End": True}},
    }

    scoped_names = {(scope, name) for scope, name, _ in states(definition)}

    assert len(scoped_names) == 3


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(definitions())
def test_no_state_of_any_definition_is_left_out(definition):
    """The walk over all JSON objects knows no Map and no Parallel, only what `States` means."""

    def walked(value):
        if isinstance(value, dict):
            yield from value.get("States", ())
            for below in value.values():
                yield from walked(below)
        elif isinstance(value, list):
            for below in value:
                yield from walked(below)

    assert sorted(name for _, name, _ in states(definition)) == sorted(walked(definition))


def test_a_transition_has_its_condition():
    rules = [
        {"Variable": "$.job.status", "StringEquals": "ACTIVE", "Next": "B"},
        {"Variable": "$.job.status", "StringMatches": "C*", "Next": "C"},
    ]
    catchers = [
        {"ErrorEquals": ["TooLarge", "TooSmall"], "ResultPath": "$.job", "Next": "B"},
        {"ErrorEquals": ["States.ALL"], "Next": "C"},
    ]

    assert list(transitions("A", {"Type": "Choice", "Choices": rules, "Default": "A"})) == [
        Transition("A", "B", "choice", "ACTIVE", '$.job.status is "ACTIVE"', rules[0]),
        Transition("A", "C", "choice", "matches C*", '$.job.status matches "C*"', rules[1]),
        Transition("A", "A", "default", "otherwise", "otherwise"),
    ]
    assert list(transitions("A", {"Type": "Task", "Next": "B", "Catch": catchers})) == [
        Transition("A", "B", "next"),
        Transition("A", "B", "catch", "TooLarge or TooSmall", "TooLarge or TooSmall", catchers[0]),
        Transition("A", "C", "catch", "", "States.ALL", catchers[1]),
    ]
    assert list(transitions("A", {"Type": "Pass", "End": True})) == [Transition("A", "", "end")]
    assert list(transitions("A", {"Type": "Succeed"})) == []


def test_a_scope_ends_with_end_succeed_or_fail():
    assert [
        ends(state)
        for state in (
            {"Type": "Task", "End": True},
            {"Type": "Succeed"},
            {"Type": "Fail"},
            {"Type": "Task", "End": False},
            {"Type": "Task", "Next": "B"},
        )
    ] == [True, True, True, False, False]


def test_missing_fields_of_a_malformed_definition_are_empty():
    assert [(dict(scope.states), scope.start) for scope in scopes({})] == [({}, "")]
    assert Scope({"States": {"A": {"Type": "Map"}}}).inside("A") == ()
    assert list(transitions("A", {"Choices": [{}], "Catch": [{}]})) == [
        Transition("A", "", "choice"),
        Transition("A", "", "catch"),
    ]


@pytest.mark.parametrize(
    ("state", "function"),
    [
        (
            {
                "Resource": "arn:aws:states:::lambda:invoke",
                "Parameters": {"FunctionName": "rank"},
            },
            "rank",
        ),
        (
            {
                "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
                "Arguments": {"FunctionName": "arn:aws:lambda:r:1:function:rank:live"},
            },
            "rank:live",
        ),
        (
            {
                "Resource": "arn:aws:states:::aws-sdk:lambda:invoke",
                "Parameters": {"FunctionName.$": "$.name"},
            },
            "$.name",
        ),
        ({"Resource": "arn:aws:lambda:r:1:function:rank:live"}, "rank:live"),
        ({"Resource": "arn:aws:states:::lambda:invoke"}, ""),
        (
            {
                "Resource": "arn:aws:states:::glue:startJobRun.sync",
                "Parameters": {"JobName": "etl"},
            },
            "",
        ),
        ({"Type": "Map", "Parameters": {"FunctionName": "of each item"}}, ""),
    ],
)
def test_the_function_that_a_task_invokes(state, function):
    assert function_name(state) == function


def test_arguments_are_jsonatas_parameters():
    assert arguments({"Parameters": {"a": 1}}) == {"a": 1}
    assert arguments({"Arguments": {"a": 1}}) == {"a": 1}
    assert arguments({"Arguments": "{% $states.input %}"}) == {}
    assert arguments({}) == {}


def test_repetition_and_branches_in_words():
    assert repetition({"ItemsPath": "$.datasets"}) == "for each of $.datasets"
    assert repetition({"Items": "{% $rows %}"}) == "for each of $rows"
    assert repetition({}) == "for each item"
    assert parallelism({"Branches": [{}]}) == "one branch"
    assert parallelism({"Branches": [{}, {}]}) == "2 branches at the same time"


@pytest.mark.parametrize(
    ("rule", "words", "full"),
    [
        (
            {"Variable": "$.job.status", "StringEquals": "ACTIVE", "Next": "A"},
            "status is ACTIVE",
            '$.job.status is "ACTIVE"',
        ),
        ({"Variable": "$.n", "NumericGreaterThanEquals": 3}, "n ≥ 3", "$.n ≥ 3"),
        ({"Variable": "$.n", "NumericLessThanPath": "$.m.most"}, "n < most", "$.n < $.m.most"),
        ({"Variable": "$.x", "IsPresent": False}, "x is absent", "$.x is absent"),
        ({"Variable": "$.on", "BooleanEquals": True}, "on is true", "$.on is true"),
        (
            {"Variable": "$.name", "StringMatches": "a*"},
            "name matches a*",
            '$.name matches "a*"',
        ),
        (
            {
                "And": [
                    {"Variable": "$.a", "IsNull": True},
                    {"Not": {"Or": [{"Variable": "$.b", "NumericEquals": 1}]}},
                ],
                "Next": "A",
            },
            "a is null and not (b is 1)",
            "$.a is null and not ($.b is 1)",
        ),
        ({"Condition": "{% $count >\n 3 %}", "Next": "A"}, "$count > 3", "$count > 3"),
        ({"Variable": "$.x", "NewlyInvented": 1}, "x NewlyInvented 1", "$.x NewlyInvented 1"),
    ],
)
def test_conditions_in_human_words(rule, words, full):
    assert (condition(rule), condition(rule, full=True)) == (words, full)


def test_a_choice_of_one_variable_names_it_once():
    choice = {
        "Type": "Choice",
        "Choices": [
            {"Variable": "$.job.status", "StringEquals": "ACTIVE", "Next": "A"},
            {"Variable": "$.job.status", "StringMatches": "CREATE*", "Next": "B"},
        ],
    }

    assert subject(choice) == "$.job.status"
    assert [condition(rule, about="$.job.status") for rule in choice["Choices"]] == [
        "ACTIVE",
        "matches CREATE*",
    ]
    assert subject({"Choices": [*choice["Choices"], {"Variable": "$.x"}]}) == ""


@pytest.mark.parametrize(
    ("rule", "exact"),
    [
        ({"Variable": "$.a", "StringEquals": "x", "Next": "A"}, '$.a StringEquals "x"'),
        ({"Variable": "$.a", "TimestampEquals": "x"}, '$.a TimestampEquals "x"'),
        (
            {
                "Or": [
                    {"Variable": "$.a", "IsPresent": True},
                    {"Not": {"And": [{"Variable": "$.b", "NumericLessThanPath": "$.c"}]}},
                ]
            },
            '($.a IsPresent true or not ($.b NumericLessThanPath "$.c"))',
        ),
        ({"Condition": "{% $count >\n 3 %}", "Next": "A"}, "{% $count >\n 3 %}"),
    ],
)
def test_exact_conditions_name_the_operator(rule, exact):
    assert exact_condition(rule) == exact


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("$.job.status", "status"),
        ("$['a.b']", "a.b"),
        ("$.sizes[0]", "sizes[0]"),
        ("$.job['the status']", "the status"),
        ("$$.Execution.Name", "Name"),
        ("$", "$"),
    ],
)
def test_a_condition_names_the_last_member_of_a_path(path, name):
    assert condition({"Variable": path, "NumericLessThanPath": "$['x.y']"}) == f"{name} < x.y"
