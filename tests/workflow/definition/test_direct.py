"""The workflow without functions: the rendered definition and its expressions."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from lambdas.jobs import job_name
from lambdas.polling import next_wait
from localaws.moto_patches.states_language.jsonata import evaluated
from workflow import Config, load_config, parse_config
from workflow.config import with_integration
from workflow.definition import direct
from workflow.definition.asl import function_name, integration, scopes, states
from workflow.definition.direct import PERSONALIZE_BUSY_ERRORS, PERSONALIZE_ERRORS
from workflow.definition.folding import poll_loops
from workflow.definition.render import render

ROOT = Path(__file__).parents[3]
EXAMPLE = load_config(ROOT / "retraining.toml")
DIRECT = with_integration(EXAMPLE, "sdk")
MODEL = botocore.session.get_session().get_service_model("personalize")


@pytest.fixture(scope="module")
def definition() -> dict[str, Any]:
    rendered: dict[str, Any] = json.loads(render(DIRECT))
    return rendered


def test_the_committed_definition_is_what_is_rendered() -> None:
    committed = (ROOT / "asl" / "retraining.sdk.asl.json").read_text(encoding="utf-8")

    assert render(DIRECT) == committed


def test_it_is_the_same_workflow_with_three_more_states(definition: dict[str, Any]) -> None:
    def names(of: dict[str, Any]) -> set[str]:
        return {name for _, name, _ in states(of)}

    more = names(definition) - names(json.loads(render(EXAMPLE)))
    assert more == {"Get Solution", "Create Solution", "Find Solution Version"}
    assert names(json.loads(render(EXAMPLE))) <= names(definition)


def test_only_what_reads_or_writes_files_is_a_function(definition: dict[str, Any]) -> None:
    functions = {function_name(state) for _, _, state in states(definition)} - {""}

    assert functions == {
        "labbase-begin-run",
        "labbase-list-datasets",
        "labbase-filter-recommendations",
    }


def test_its_poll_loops_are_found(definition: dict[str, Any]) -> None:
    loops = [loop for scope in scopes(definition) for loop in poll_loops(scope)]

    assert [loop.name for loop in loops] == [
        "Solution Version Active?",
        "Batch Completed?",
        "Job Complete?",
    ]


def test_every_error_that_is_retried_or_caught_is_one_of_the_operation(
    definition: dict[str, Any],
) -> None:
    """Besides those of every operation: the service's own exception, the client's, throttling."""
    named = {
        name: {"Personalize." + shape.name for shape in MODEL.operation_model(name).error_shapes}
        for name in MODEL.operation_names
    }
    for _, name, state in states(definition):
        called = integration(state) if state["Type"] == "Task" else None
        if called is None or called.service != "personalize":
            continue
        own = named[called.api[:1].upper() + called.api[1:]]
        caught = {error for each in state["Catch"] for error in each["ErrorEquals"]}
        assert caught - {"States.ALL"} <= own, name
        retried = {error for each in state["Retry"] for error in each["ErrorEquals"]}
        assert retried == {*PERSONALIZE_ERRORS, *PERSONALIZE_BUSY_ERRORS}
    assert set(PERSONALIZE_BUSY_ERRORS) <= set.union(*named.values())


@pytest.mark.parametrize(
    "run", ["20240601T040000Z", "a.b", "-x-", "x" * 80, "求人 é/" * 9, "run_1-"]
)
@pytest.mark.parametrize("purpose", ["interactions", "batch"])
def test_jobs_have_the_names_that_functions_give_them(run: str, purpose: str) -> None:
    states = {"input": {"datasetType": purpose.upper()}, "context": {"Execution": {"Name": run}}}
    expression = direct.job_name(
        "$lowercase($states.input.datasetType)", "$states.context.Execution.Name"
    )

    assert evaluated(expression, {"states": states}) == job_name(purpose, run)


@pytest.mark.parametrize("waited", [0, 100, 300, 3_000, 50_000])
def test_the_pause_is_that_of_a_job_of_which_nothing_is_known(waited: int) -> None:
    created = datetime.now(UTC) - timedelta(seconds=waited)
    job = {"created": created.isoformat(timespec="milliseconds").replace("+00:00", "Z")}

    pause = evaluated(direct.pause(DIRECT), {"states": {"input": {"job": job}}})

    assert pause == pytest.approx(next_wait(waited, 15, 900), abs=2)
    assert evaluated(direct.pause(DIRECT), {"states": {"input": {}}}) == 15


def of_state(definition: dict[str, Any], name: str) -> dict[str, Any]:
    return next(dict(state) for _, each, state in states(definition) if each == name)


def output_of(definition: dict[str, Any], name: str, result: Any) -> Any:
    """Return what a state's Output gives for a response of Personalize."""
    expression = of_state(definition, name)["Output"].removeprefix("{%").removesuffix("%}")
    context = {"Execution": {"Name": "night"}}
    given = {"input": {"kept": 1}, "result": result, "context": context}
    return evaluated(expression, {"states": given})


def test_a_training_that_was_stopped_has_a_reason(definition: dict[str, Any]) -> None:
    version = {
        "SolutionVersionArn": "arn:v",
        "Name": job_name("version", "night"),
        "Status": "CREATE STOPPED",
        "CreationDateTime": "2024-06-01T04:00:00Z",
    }

    output = output_of(definition, "Get Solution Version Status", {"SolutionVersion": version})

    assert output == {
        "kept": 1,
        "job": {
            "arn": "arn:v",
            "status": "CREATE STOPPED",
            "created": "2024-06-01T04:00:00Z",
            "Error": "SolutionVersionFailed",
            "Cause": "its creation was stopped by StopSolutionVersionCreation; start a new run",
        },
    }


def configured(solution: str) -> Config:
    text = (ROOT / "retraining.toml").read_text(encoding="utf-8")
    head, _, rest = text.partition("[solution]")
    _, _, rest = rest.partition("# ── Whom")
    integration = '[workflow]\nintegration = "sdk"\n'
    return parse_config(f"{head}[solution]\n{solution}\n{integration}# {rest}")


@pytest.mark.parametrize(
    ("settings", "solution", "difference"),
    [
        ("", {}, ""),
        ("", {"PerformHPO": True}, "PerformHPO is true, expected false"),
        ("", {"PerformAutoTraining": True}, "PerformAutoTraining is true, expected false"),
        ("", {"EventType": "view"}, "EventType is view, expected "),
        ("auto_ml = true", {"PerformAutoML": True, "PerformHPO": True, "RecipeArn": "any"}, ""),
        (
            "hyperparameters = { hidden_dimension = 64 }",
            {"SolutionConfig": {"AlgorithmHyperParameters": {"hidden_dimension": "32"}}},
            "SolutionConfig.AlgorithmHyperParameters.hidden_dimension is 32, expected 64",
        ),
        (
            "hyperparameters = { hidden_dimension = 64 }",
            {},
            "SolutionConfig.AlgorithmHyperParameters.hidden_dimension is , expected 64",
        ),
    ],
)
def test_a_solution_with_other_settings_is_refused(
    settings: str, solution: dict[str, Any], difference: str
) -> None:
    described = {"RecipeArn": "arn:aws:personalize:::recipe/aws-user-personalization", **solution}
    definition = json.loads(render(configured(settings)))

    if not difference:
        assert output_of(definition, "Get Solution", {"Solution": described}) == {"kept": 1}
        return
    with pytest.raises(ValueError, match="solution 'labbase' has other settings") as raised:
        output_of(definition, "Get Solution", {"Solution": described})
    assert difference in str(raised.value)


def test_a_solution_never_trains_by_itself(definition: dict[str, Any]) -> None:
    assert of_state(definition, "Create Solution")["Arguments"]["PerformAutoTraining"] is False


def test_a_solution_gets_the_hyperparameters_by_their_own_names() -> None:
    definition = json.loads(render(configured("hyperparameters = { hidden_dimension = 64 }")))

    assert of_state(definition, "Create Solution")["Arguments"]["SolutionConfig"] == {
        "AlgorithmHyperParameters": {"hidden_dimension": "64"}
    }


def test_a_caught_error_is_kept_where_report_failure_finds_it(definition: dict[str, Any]) -> None:
    for scope in scopes(definition):
        for name, state in scope.states.items():
            if state.get("QueryLanguage") != "JSONata" or state["Type"] != "Task":
                continue
            last = state["Catch"][-1]
            error = {"Error": "E", "Cause": "The expression '…' threw an error. D3137: no"}
            expression = last["Output"].removeprefix("{%").removesuffix("%}")
            given = {"input": {"a": 1, "job": {}}, "errorOutput": error}
            assert last["ErrorEquals"] == ["States.ALL"], name
            kept = evaluated(expression, {"states": given})
            assert kept == {"a": 1, "job": {"Error": "E", "Cause": "no"}}
