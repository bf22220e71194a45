"""Poll loops are found by their structure, and a drawn scope leaves nothing out."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.workflow.definitions import definitions, task
from workflow.definition.asl import Scope, scopes
from workflow.definition.folding import drawn, poll_loops

ROOT = Path(__file__).parents[3]


def choice(*targets, default="Pause"):
    """Return a Choice that leads to targets, or else on around the loop."""
    rules = [
        {"Variable": "$.state", "StringEquals": f"STATE {number}", "Next": target}
        for number, target in enumerate(targets)
    ]
    return {"Type": "Choice", "Choices": rules, "Default": default}


def polling(**changed):
    """Return a machine with a poll loop; None takes a state out."""
    own = {
        "Order": task("order", Next="Pause"),
        "Pause": {"Type": "Wait", "Seconds": 60, "Next": "Look Up the Order"},
        "Look Up the Order": task(
            "look-up", Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Lost"}], Next="Delivered?"
        ),
        "Delivered?": choice("Unpack", "Lost"),
        "Unpack": {"Type": "Pass", "End": True},
        "Lost": {"Type": "Fail"},
    }
    return {"StartAt": "Order", "States": {**own, **changed}}


def loops(definition):
    return [
        (node.name, list(node.states)) for scope in scopes(definition) for node in poll_loops(scope)
    ]


def test_the_loops_of_the_retraining_are_named_by_the_choices_that_lead_out():
    retraining = json.loads((ROOT / "asl" / "retraining.asl.json").read_text(encoding="utf-8"))

    assert loops(retraining) == [
        ("Solution Version Active?", [
            "Wait X Seconds for Solution Version",
            "Get Solution Version Status",
            "Solution Version Active?",
        ]),
        ("Batch Completed?", [
            "Wait X Seconds for Batch Inference",
            "Get Batch Inference Status",
            "Batch Completed?",
        ]),
        ("Job Complete?", ["Wait X Seconds for Import Job", "Get Job Status", "Job Complete?"]),
    ]  # fmt: skip


@pytest.mark.parametrize("start", ["Order", "Pause", "Look Up the Order", "Delivered?"])
def test_a_loop_is_found_wherever_it_is_entered(start):
    definition = polling() | {"StartAt": start}

    assert loops(definition) == [("Delivered?", ["Pause", "Look Up the Order", "Delivered?"])]


def test_a_second_choice_and_a_pass_may_stand_in_the_loop():
    definition = polling(
        **{
            "Delivered?": choice("Unpack", default="Count"),
            "Count": {"Type": "Pass", "Next": "Too Often?"},
            "Too Often?": choice("Lost"),
        }
    )

    assert loops(definition) == [
        ("Delivered?", ["Pause", "Look Up the Order", "Delivered?", "Count", "Too Often?"])
    ]


def test_a_catch_that_leads_back_into_the_loop_changes_nothing():
    back = [{"ErrorEquals": ["Slow"], "Next": "Pause"}]
    definition = polling(**{"Look Up the Order": task("look-up", Catch=back, Next="Delivered?")})

    assert loops(definition) == [("Delivered?", ["Pause", "Look Up the Order", "Delivered?"])]


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"Delivered?": choice("Unpack", default="Lost")}, id="no way back"),
        pytest.param({"Delivered?": choice("Pause")}, id="no way out"),
        pytest.param(
            {"Delivered?": choice("Unpack", "Look Up the Order")}, id="a way around without a pause"
        ),
        pytest.param(
            {
                "Delivered?": choice("Unpack", default="Second Pause"),
                "Second Pause": {"Type": "Wait", "Seconds": 1, "Next": "Pause"},
            },
            id="two pauses",
        ),
        pytest.param(
            {
                "Delivered?": choice("Unpack", default="Ask Again"),
                "Ask Again": task("ask", Next="Pause"),
            },
            id="two tasks",
        ),
        pytest.param(
            {
                "Look Up the Order": {
                    **task("train", Next="Delivered?"),
                    "Resource": "arn:aws:states:::sagemaker:createTrainingJob.sync",
                }
            },
            id="a task that waits itself",
        ),
        pytest.param(
            {
                "Look Up the Order": {
                    "Type": "Map",
                    "ItemProcessor": {"StartAt": "A", "States": {"A": {"Type": "Succeed"}}},
                    "Next": "Delivered?",
                }
            },
            id="a Map",
        ),
        pytest.param({"Look Up the Order": {"Next": "Delivered?"}}, id="a state without a type"),
    ],
)
def test_another_cycle_is_no_poll_loop(changed):
    assert loops(polling(**changed)) == []


def test_a_drawn_loop_has_the_transitions_into_it_and_out_of_it():
    drawing = drawn(Scope(polling()))

    assert list(drawing.nodes) == ["Order", "Delivered?", "Unpack", "Lost"]
    assert [(each.source, each.target, each.type, each.label) for each in drawing.transitions] == [
        ("", "Order", "start", ""),
        ("Order", "Delivered?", "next", ""),
        ("Delivered?", "Lost", "catch", ""),
        ("Delivered?", "Unpack", "choice", "STATE 0"),
        ("Delivered?", "Lost", "choice", "STATE 1"),
        ("Unpack", "", "end", ""),
    ]
    assert [each.source for each in drawing.transitions[2].of] == ["Look Up the Order"]
    assert list(drawn(Scope(polling()), unfold=True).nodes) == list(polling()["States"])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(definitions(12))
def test_every_state_and_every_transition_is_drawn_once(definition):
    for scope in scopes(definition):
        drawing = drawn(scope)
        states = [name for node in drawing.nodes.values() for name in node.states]
        shown = Counter(each for transition in drawing.transitions for each in transition.of)
        hidden = Counter(scope.transitions()) - shown

        assert sorted(states) == sorted(scope.states)
        assert shown <= Counter(scope.transitions())
        for transition in hidden:
            assert any(
                {transition.source, transition.target} <= node.states.keys()
                for node in drawing.nodes.values()
                if node.is_loop
            )
