"""What Step Functions would refuse, or what would run without end, is told when it is composed."""

from pathlib import Path

import pytest

from workflow import Stages, load_config
from workflow.definition.render import render_definition
from workflow.errors import StructureError
from workflow.sdk import (
    Catch,
    Chain,
    Choice,
    ChoiceRule,
    Graph,
    LambdaStep,
    Map,
    Pass,
    Retry,
    Succeed,
    Task,
    Wait,
)

EXAMPLE = Path(__file__).parents[3] / "retraining.toml"
READY = ChoiceRule.BooleanEquals(variable="$.ready", value=True)


@pytest.fixture
def stages():
    return Stages(load_config(EXAMPLE))


def ask(payload):
    return LambdaStep("Ask", parameters={"FunctionName": "ask", "Payload": payload})


def loop(*steps):
    Chain([*steps]).steps[-1].next(steps[0])
    return steps[0]


def caught(*errors):
    """Return a state that leads these errors, each in a rule of its own, to an end."""
    task = LambdaStep("Ask", parameters={"FunctionName": "ask"})
    end = Succeed("Told")
    for names in errors:
        task.add_catch(Catch(error_equals=list(names), next_step=end))
    return task


def without_rules():
    return Choice("Ready?")


ENDLESS = "a loop without an exit, which runs until the machine's TimeoutSeconds; lead out of it by"


@pytest.mark.parametrize(
    ("part", "fault"),
    [
        (lambda: ask({"rows": float("nan")}), "'Ask': Parameters.Payload.rows is nan, and JSON"),
        (lambda: Pass("One", result=[1, -float("inf")]), "'One': Result[1] is -inf, and JSON has"),
        (lambda: ask({"of": {1, 2}}), "'Ask': Parameters.Payload.of is a set, which JSON does not"),
        (lambda: ask({"at": Path()}), "'Ask': Parameters.Payload.at is a PosixPath, which JSON"),
        (lambda: ask({1: "a"}), "'Ask': Parameters.Payload: a name is 1: give a text"),
        (lambda: ask({"a": ["\ud800"]}), r"'Ask': Parameters.Payload.a[0] has '\ud800', half of a"),
        (lambda: Pass("One\ud800"), r"the name of a state has '\ud800', half of a surrogate pair"),
        (lambda: Pass(""), "a state has no name"),
        (
            lambda: caught(["States.ALL"], ["States.Timeout"]),
            "'Ask': the Catch of States.ALL has to be the last; others follow it",
        ),
        (
            lambda: caught(["States.Timeout", "States.ALL"]),
            "'Ask': States.ALL stands alone in the ErrorEquals of a Catch",
        ),
        (lambda: Pass(3), "the name of a state is 3: give a text"),
        (lambda: Pass("a" * 81), f"'{'a' * 81}' has 81 characters; the name of a state has 80 at"),
        (lambda: Map("M", iterator=Pass("b" * 300)), f"'{'b' * 300}' has 300 characters"),
        (without_rules, "'Ready?' has no rules: add one by add_choice(…), or leave the Choice out"),
        (lambda: loop(Pass("A"), Pass("B")), f"'A', 'B': {ENDLESS}"),
        (lambda: loop(ask({})), f"'Ask': {ENDLESS}"),
        (lambda: Map("M", iterator=loop(Pass("A"), ask({}))), f"'A', 'Ask': {ENDLESS}"),
    ],
)  # fmt: skip
def test_what_cannot_be_rendered_or_would_not_end_is_told_by_its_state(stages, part, fault):
    end = Succeed("End")
    made = part()
    if made.state_type == "Choice":
        made.default_choice(end)

    with pytest.raises(StructureError) as raised:
        stages.compose(stages.etl(), made)

    assert any(each.startswith(fault) for each in raised.value.faults), raised.value
    str(raised.value).encode()  # can be printed


def test_names_of_eighty_characters_of_any_script_are_sound(stages):
    graph = stages.compose(stages.etl(), Pass("再学" * 40))

    assert "再学" * 40 in render_definition(graph.to_dict())


def test_a_graph_of_the_sdk_s_own_is_checked_when_it_is_rendered():
    graph = Graph(Pass("a" * 81), timeout_seconds=60)

    with pytest.raises(StructureError, match="has 81 characters"):
        render_definition(graph.to_dict())


def test_loops_that_a_choice_or_a_caught_error_ends_are_sound(stages):
    """A loop may be left by an error that is meant, not by a mere failure."""
    ready, wait = Choice("Ready?"), Wait("Wait", seconds=60)
    look = LambdaStep("Look")
    ready.add_choice(READY, Pass("Go On"))
    ready.default_choice(wait)
    wait.next(look)
    look.next(ready)
    take = Task(
        "Take Next",
        resource="arn:aws:states:::sqs:receiveMessage",
        timeout_seconds=60,
        retry=Retry(error_equals=["SQS.SdkClientException"]),
        catch=Catch(error_equals=["Empty"], next_step=Succeed("All Taken")),
    )

    graph = stages.compose(stages.etl(), look, loop(take))

    assert '"Next": "Take Next"' in render_definition(graph.to_dict())
