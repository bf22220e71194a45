"""Models side by side: the branches, what compares them, and whose list goes on."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from localaws.moto_patches.states_language.jsonata import evaluated
from tests.local_runs import EXAMPLE
from tests.workflow.definition.test_own_models import rendered
from tests.workflow.options.test_models import OWN_HYBRID, WITHOUT_FILTER, best, own
from workflow import Stages, parse_config
from workflow.definition.asl import Definition, states
from workflow.definition.graph import retraining_graph
from workflow.definition.render import render_definition
from workflow.deployment.derived_permissions import derive
from workflow.deployment.permissions import permission_policy
from workflow.errors import StructureError
from workflow.sdk import Pass, State

GATE = '[gate]\nmetrics = { coverage = { minimum = 0.1 } }\non_failure = "keep"\n'
RECORD = {"best": "own", "models": {}}
JOBS = {
    "personalize": {"arn": "arn:batch", "status": "ACTIVE"},
    "own": {"name": "x", "model": {"name": "own"}, "made": {"arn": "arn:transform"}},
}


def branches(definition: Definition) -> list[list[str]]:
    return [list(each["States"]) for each in definition["States"]["Train Each Model"]["Branches"]]


def test_each_model_has_a_branch_and_the_best_ones_list_is_published() -> None:
    definition, found = rendered(best(GATE))

    personalize, model = branches(definition)
    assert personalize[0] == "List Datasets"
    assert {"Judge Solution Version", "Keep Last Version", "Trigger Batch Inference"} <= {
        *personalize
    }
    assert model[0] == "Find Training of own"
    assert {"Train own", "Make Lists by own"} <= {*model}
    order = ["ETL", "Train Each Model", "Compare Models", "Choose Best Model"]
    assert [found[name]["Next"] for name in order] == [*order[1:], "Filter Recommended Item"]
    assert found["Train Each Model"]["ResultSelector"] == {
        "personalize.$": "$[0].job",
        "own.$": "$[1].job",
    }
    for name, failed in (("Create Solution Version", "Personalize"), ("Train own", "own")):
        assert found[name]["Catch"][-1]["Next"] == f"{failed} Failed"
    deleting = found["Delete Model of own"]
    assert [catch["Next"] for catch in deleting["Catch"]] == [deleting["Next"]]
    payload = found["Filter Recommended Item"]["Parameters"]["Payload"]
    assert payload["job.$"] == "$.job"


def test_a_version_of_personalize_that_the_gate_leaves_out_ends_its_branch_alone() -> None:
    _, found = rendered(best(GATE))

    assert found["Judge Solution Version"]["Parameters"]["Payload"]["hasRivals"] is True
    choice = found["Good Enough?"]
    assert {rule["StringEquals"]: rule["Next"] for rule in choice["Choices"]} == {
        "keep": "Keep Last Version",
        "leave out": "Personalize Left Out",
    }
    assert found["Personalize Left Out"] == {"Type": "Succeed"}
    failing = rendered(best(GATE.replace("keep", "fail")))[1]
    assert not {"Good Enough?", "Personalize Left Out"} & failing.keys()
    alone = rendered(parse_config(EXAMPLE + GATE))[1]
    assert "hasRivals" not in alone["Judge Solution Version"]["Parameters"]["Payload"]
    assert len(alone["Good Enough?"]["Choices"]) == 1


def test_each_models_lists_are_in_a_folder_of_their_own() -> None:
    _, found = rendered(best(publish='metric = "hit_rate_at_10"'))

    arguments = found["Compare Models"]["Parameters"]["Arguments"]
    assert arguments["--task"] == "compare"
    outputs = {"personalize": "batch-output/", "own": "models/own/batch-output/"}
    assert json.loads(arguments["--settings"]) == {"outputs": outputs, "by": "hit_rate_at_10"}
    made = found["Trigger Batch Inference"]["Parameters"]["Payload"]["outputPath.$"]
    assert "/runs/{}/batch-output/'" in made
    own_made = found["Make Lists by own"]["Parameters"]["TransformOutput"]["S3OutputPath.$"]
    assert "/runs/{}/models/own/batch-output/'" in own_made
    alone = rendered(own())[1]["Make Lists by own"]["Parameters"]["TransformOutput"]
    assert "/runs/{}/batch-output/'" in alone["S3OutputPath.$"]


@pytest.mark.parametrize(
    ("winner", "output"),
    [("own", "models/own/batch-output/"), ("personalize", "batch-output/")],
)
def test_the_job_of_the_best_goes_on(winner: str, output: str) -> None:
    state = rendered(best())[1]["Choose Best Model"]
    given = {
        "input": {"models": JOBS, "begin": {"extracted": False}},
        "result": {"Body": json.dumps({**RECORD, "best": winner})},
        "context": {"Execution": {"Name": "night.2"}},
    }

    def value(expression: str) -> Any:
        return evaluated(expression.removeprefix("{% ").removesuffix(" %}"), {"states": given})

    assert value(state["Arguments"]["Key"]) == "runs/night/record/comparison.json"
    assert value(state["Output"]) == {
        **given["input"],
        "job": {**JOBS[winner], "output": output},
    }


def test_the_spark_job_filters_the_folder_of_the_best() -> None:
    _, found = rendered(best(example=with_spark("0")))

    arguments = found["Filter on Spark"]["Parameters"]["Arguments"]
    assert (arguments["--task"], arguments["--output.$"]) == ("filter", "$.job.output")
    alone = rendered(parse_config(with_spark("0")))[1]["Filter on Spark"]
    assert "--output.$" not in alone["Parameters"]["Arguments"]


def with_spark(above: str) -> str:
    return WITHOUT_FILTER.replace("\n[filter]", f"\n[filter]\nspark_above = {above}")


def test_requests_without_functions_go_with_it() -> None:
    definition, found = rendered(best('[workflow]\nintegration = "sdk"'))

    assert "Get Solution" in branches(definition)[0]
    assert found["Trigger Batch Inference"]["QueryLanguage"] == "JSONata"


def test_roles_read_what_the_comparison_needs() -> None:
    config = best()

    (read,) = (s for s in derive(config).statements if "s3:GetObject" in s["Action"])
    assert read["Resource"] == [f"arn:aws:s3:::{config.bucket}/runs*"]
    of_glue = {each["Sid"] for each in permission_policy(config, "glue")["Statement"]}
    assert "CompareModels" in of_glue
    of_own = {each["Sid"] for each in permission_policy(own(), "glue")["Statement"]}
    assert "CompareModels" not in of_own


def test_a_branch_can_have_parts_of_its_own() -> None:
    stages = Stages(best())
    parts = [stages.own_training("own"), Pass("Look at It"), stages.own_inference("own")]

    graph = stages.compose(stages.etl(), stages.best({"own": parts}), stages.publish())

    definition = json.loads(render_definition(graph.to_dict()))
    assert "Look at It" in branches(definition)[1]
    assert branches(definition)[0][0] == "List Datasets"


def test_a_state_between_the_comparison_and_the_publication_is_taken() -> None:
    stages = Stages(best())

    graph = stages.compose(stages.etl(), stages.best(), Pass("Wait a Moment"), stages.publish())

    names = [name for _, name, _ in states(graph.to_dict())]
    assert "Wait a Moment" in names


def refused(parts: Sequence[State], stages: Stages) -> str:
    with pytest.raises(StructureError) as caught:
        stages.compose(*parts)
    return str(caught.value)


def test_a_workflow_without_the_comparison_is_refused() -> None:
    stages = Stages(best())
    usual = [stages.etl(), stages.imports(), stages.training(), stages.batch_inference()]

    said = refused([*usual, stages.publish()], stages)

    assert '[publish] from = "best" needs stages.best() before stages.publish()' in said
    assert 'needs stages.own_training("own")' in said
    assert "stages.publish() needs stages.best() before it" in said


def test_a_branch_that_lacks_what_makes_its_lists_is_refused() -> None:
    stages = Stages(best())

    lacking = stages.best({"own": [stages.own_training("own")]})
    assert 'needs stages.own_inference("own")' in refused(
        [stages.etl(), lacking, stages.publish()], stages
    )


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"onw": [Pass("x")]}, "no model, 'onw'; did you mean 'own'"),
        ({"own": []}, "nothing to do for 'own'"),
    ],
)
def test_branches_of_nothing_are_refused(names: dict[str, list[Any]], said: str) -> None:
    with pytest.raises(StructureError, match=said):
        Stages(best()).best(names)


def test_where_one_model_is_named_there_is_nothing_to_compare() -> None:
    with pytest.raises(StructureError, match=r"best\(\) has no models to compare; write from = "):
        Stages(own()).best()


def test_without_a_comparison_the_definition_is_as_it_was() -> None:
    text = WITHOUT_FILTER + OWN_HYBRID + '\n[publish]\nfrom = "own"\n'

    found = retraining_graph(parse_config(text)).to_dict()["States"]

    assert not {"Train Each Model", "Compare Models", "Choose Best Model"} & found.keys()
