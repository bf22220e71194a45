"""The tables [workflow] and [functions.NAME]: what they take, and each mistake with its key."""

import pytest

from tests.workflow.test_config import MINIMAL, mistakes
from workflow import parse_config


def function(name: str = "ask-editors", **keys: str) -> str:
    lines = "\n".join(f"{key} = {value}" for key, value in {"source": '"ask.py"', **keys}.items())
    return f"{MINIMAL}\n[functions.{name}]\n{lines}\n"


def test_a_function_has_limits_environment_and_permissions():
    config = parse_config(
        function(
            memory="1_024",
            timeout="300",
            environment='{ DESK = "tokyo" }',
            requirements='["humanize==4.9.0"]',
            permissions='["ses:SendEmail",'
            ' { actions = ["s3:Get*"], resources = ["arn:aws:s3:::x"] }]',
        )
    )

    assert config.function("ask-editors") == "shop-ask-editors"
    assert config.function_names[-1] == "ask-editors"
    assert config.function_seconds("ask-editors") == 300
    assert config.function_megabytes("ask-editors") == 1_024
    every, named = config.functions["ask-editors"].permissions
    assert (every.actions, every.resources) == (["ses:SendEmail"], ["*"])
    assert (named.actions, named.resources) == (["s3:Get*"], ["arn:aws:s3:::x"])


@pytest.mark.parametrize(
    ("text", "key", "rule", "fix"),
    [
        (function("get-status"), "", "a function of the package has this name", "take another one"),
        (
            function("Ask_Editors"),
            "",
            "a function's name is of words of small",
            "write one such as",
        ),
        (function("ask-2"), "", "a function's name is of words of small", "write one such as"),
        (function(f"a{'b' * 60}"), "", "deployed as shop-abbb", "write up to 64"),
        (function("state-machine"), "", "the log of the state machine has this name", "take anoth"),
        (function(memory="64"), ".memory", "the value should be greater than or", "memory: MB"),
        (function(timeout="901"), ".timeout", "the value should be less than or", "timeout: sec"),
        (function(sorce='"x.py"'), ".sorce", "there is no such key", "did you mean source?"),
        (
            function(requirements='["humanize"]'),
            ".requirements[0]",
            "it names no exact version",
            "write NAME==VERSION",
        ),
        (
            function(requirements='["humanize>=4"]'),
            ".requirements[0]",
            "it names no exact version",
            "write NAME==VERSION",
        ),
        (
            function(requirements='["humanize==4.*"]'),
            ".requirements[0]",
            "it names no exact version",
            "write NAME==VERSION",
        ),
        (
            function(requirements='["not a requirement"]'),
            ".requirements[0]",
            "pip cannot read it",
            "write NAME==VERSION",
        ),
        (
            function(environment='{ AWS_REGION = "x" }'),
            ".environment.AWS_REGION",
            "Lambda sets this variable itself",
            "take another name",
        ),
        (
            function(environment='{ "1x" = "x" }'),
            ".environment.1x",
            "it is no name of an environment variable",
            "use letters",
        ),
        (
            function(environment=f'{{ LONG = "{"x" * 5_000}" }}'),
            ".environment",
            "the variables have 5,004 bytes; Lambda takes 4,096",
            "keep long values in a file",
        ),
        (
            function(permissions='["SendEmail"]'),
            ".permissions[0].actions[0]",
            "string should match",
            "for example",
        ),
        (
            function(permissions='[{ actions = ["s3:GetObject"] }]'),
            ".permissions[0].resources",
            "this key is required",
            "add it; for example resources",
        ),
        (
            function(permissions='[{ actions = ["s3:GetObject"], resources = ["our-lists"] }]'),
            ".permissions[0].resources[0]",
            "string should match",
            "for example",
        ),
    ],
)
def test_a_mistake_is_told_with_its_key_and_fix(text, key, rule, fix):
    ((path, (found, remedy)),) = mistakes(text).items()

    name = text.rpartition("[functions.")[2].partition("]")[0]
    assert path == f"functions.{name}{key}"
    assert found.startswith(rule)
    assert remedy.startswith(fix)


def test_the_deployed_name_of_a_packaged_function_is_taken_too():
    text = function("ask").replace("[source]", 'functions = { get-status = "shop-ask" }\n[source]')

    assert mistakes(text) == {
        "functions.ask": (
            "it is deployed as shop-ask, as aws.functions calls get-status",
            "take another one",
        )
    }


def test_configurations_that_name_no_files_are_equal_wherever_they_lie(tmp_path):
    one = parse_config(MINIMAL, source="a.toml", directory=tmp_path)

    assert one == parse_config(MINIMAL)
