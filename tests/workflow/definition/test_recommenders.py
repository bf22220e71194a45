"""The Map over recommenders: what its items hold, what they share, and where failures lead."""

import json
import re
from typing import Any

import pytest

from tests.workflow.options.test_recommenders import SIMILAR, with_recommenders
from workflow import Stages, parse_config
from workflow.definition.graph import retraining_graph
from workflow.errors import StructureError
from workflow.sdk import LambdaStep

MAP = "Retrain Each Recommender"
GATE = "metrics.coverage.greatest_drop = 0.2\n"
MORE_TRAINING = """
[recommenders.popular]
solution = { recipe = "aws-popularity-count", event_type = "apply" }
batch_inference = { table = "students", user_id = "students.id", exploration_weight = 0.3 }
filter = { keep = 25 }
"""


def states_of(*tables: str, before: str = "") -> Any:
    """Return the states of the example with further tables, and those inside the Map."""
    config = parse_config(with_recommenders(*tables, before=before))
    states = json.loads(json.dumps(retraining_graph(config).to_dict()))["States"]
    return states, states[MAP]["Iterator"]["States"]


def items_of(states: Any) -> list[dict[str, Any]]:
    return [item["recommender"] for item in states["List Recommenders"]["Result"]]


def test_what_is_shared_is_written_once_and_what_differs_is_listed():
    states, inside = states_of(SIMILAR)

    assert items_of(states) == [
        {
            "name": "",
            "folder": "",
            "solutionName": "labbase",
            "recipeArn": "arn:aws:personalize:::recipe/aws-user-personalization",
            "numResults": 100,
            "filterArn": "arn:aws:personalize:ap-northeast-1:123456789012:filter/labbase-batch",
            "keep": 25,
        },
        {
            "name": "similar",
            "folder": "recommenders/similar/",
            "solutionName": "labbase-similar",
            "recipeArn": "arn:aws:personalize:::recipe/aws-similar-items",
            "numResults": 40,
            "filterArn": None,
            "keep": 10,
        },
    ]
    request = inside["Create Solution Version"]["Parameters"]["Payload"]
    assert request["recommender.$"] == "$.recommender.name"
    assert request["recipeArn.$"] == "$.recommender.recipeArn"
    assert (request["performHPO"], request["eventType"]) == (False, None)


@pytest.mark.parametrize(
    "tables",
    [
        (SIMILAR,),
        (SIMILAR, MORE_TRAINING),
        (SIMILAR, f"[gate]\n{GATE}"),
        (SIMILAR, f"[gate]\n{GATE}[recommenders.similar.gate]\n{GATE}"),
    ],
)
def test_every_item_has_what_the_requests_take_from_it(tables):
    states, inside = states_of(*tables)

    named = set(re.findall(r"\$\.recommender\.(\w+)", json.dumps(inside)))

    assert all(named == item.keys() for item in items_of(states))


def test_the_shared_part_runs_once_and_the_others_are_bounded():
    states, inside = states_of(SIMILAR, before="recommender_concurrency = 2")

    assert list(states)[2:8] == [
        "ETL",
        "List Datasets",
        "Reimport All Datasets",
        "List Recommenders",
        MAP,
        "All Recommenders Published?",
    ]
    assert states[MAP]["MaxConcurrency"] == 2
    assert "Create Solution Version" in inside
    assert "Create Solution Version" not in states
    assert states["Reimport All Datasets"]["Next"] == "List Recommenders"


def test_a_failure_inside_ends_the_item_and_the_run_after_all():
    states, inside = states_of(SIMILAR)

    for name, state in inside.items():
        if state["Type"] == "Task":
            assert state["Catch"][-1]["ErrorEquals"] == ["States.ALL"]
            assert state["Catch"][-1]["Next"] == "Recommender Failed", name
    assert inside["Recommender Failed"]["End"] is True
    assert "Fail" not in {state["Type"] for state in inside.values()}
    assert states["Name Failed Recommenders"]["Next"] == "Report Failure"


@pytest.mark.parametrize(
    ("first", "similar", "is_asked"),
    [
        (f"[gate]\n{GATE}", "", True),
        ("", f"[recommenders.similar.gate]\n{GATE}", True),
        (f"[gate]\n{GATE}", f"[recommenders.similar.gate]\n{GATE}", False),
    ],
)
def test_those_without_a_gate_pass_it_by(first, similar, is_asked):
    _, inside = states_of(SIMILAR, similar, first)

    active = inside["Solution Version Active?"]["Choices"][0]["Next"]

    assert active == ("Has a Gate?" if is_asked else "Judge Solution Version")
    if is_asked:
        (rule,) = inside["Has a Gate?"]["Choices"]
        assert rule == {
            "Variable": "$.recommender.gate",
            "IsNull": False,
            "Next": "Judge Solution Version",
        }
        assert inside["Has a Gate?"]["Default"] == "Trigger Batch Inference"


def test_a_step_of_ones_own_is_repeated_for_each_and_its_failure_is_the_recommenders():
    config = parse_config(with_recommenders(SIMILAR))
    stages, each = Stages(config), Stages(config).each

    graph = stages.compose(
        stages.etl(),
        stages.imports(),
        stages.recommenders(
            each.training(),
            LambdaStep("Ask the Editors", parameters={"FunctionName": "ask"}, result_path=None),
            each.batch_inference(),
            each.publish(),
        ),
        LambdaStep("Tell the Shop", parameters={"FunctionName": "tell"}, result_path=None),
        stages.all_published(),
    )

    states = graph.to_dict()["States"]
    own = states[MAP]["Iterator"]["States"]["Ask the Editors"]
    assert states[MAP]["Next"] == "Tell the Shop"
    assert states["Tell the Shop"]["Next"] == "All Recommenders Published?"
    assert own["Next"] == "Trigger Batch Inference"
    assert own["Catch"] == [
        {"ErrorEquals": ["States.ALL"], "ResultPath": "$.job", "Next": "Recommender Failed"}
    ]
    assert own["TimeoutSeconds"] == 960


def test_a_function_of_ones_own_gets_the_recommenders_name():
    config = parse_config(with_recommenders(SIMILAR))

    inside, alone = (
        each.function("Look Again", "get-status").to_dict()["Parameters"]["Payload"]
        for each in (Stages(config).each, Stages(config))
    )

    assert inside == {**alone, "recommender.$": "$.recommender.name"}
    assert alone.keys() == {"bucket", "run.$"}


def test_a_workflow_of_ones_own_without_the_stage_is_refused():
    stages = Stages(parse_config(with_recommenders(SIMILAR)))

    with pytest.raises(StructureError, match=r"needs stages\.recommenders\(\) in place of"):
        stages.compose(
            stages.etl(),
            stages.imports(),
            stages.training(),
            stages.batch_inference(),
            stages.publish(),
        )


@pytest.mark.parametrize("stage", ["recommenders", "all_published"])
def test_the_stages_without_further_recommenders_are_refused(stage):
    with pytest.raises(StructureError, match=r"add a table \[recommenders\.NAME\]"):
        getattr(Stages(parse_config(with_recommenders())), stage)()


def test_failures_that_nobody_looks_at_are_refused():
    stages = Stages(parse_config(with_recommenders(SIMILAR)))

    with pytest.raises(StructureError, match=r"needs stages\.all_published\(\) at the end"):
        stages.compose(stages.etl(), stages.imports(), stages.recommenders())
