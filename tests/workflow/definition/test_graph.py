"""The retraining graph, rendered: states, structure, guards, bytes."""

import copy
import json
import re
import subprocess
import sys
from pathlib import Path

import botocore.session
import pytest

from tests.workflow.definitions import nested
from workflow import load_config, parse_config
from workflow.definition.asl import states
from workflow.definition.mermaid import mermaid
from workflow.definition.polling import GLUE_ERRORS, SERVICE_ERRORS, SNS_ERRORS
from workflow.definition.render import (
    StructureError,
    difference,
    render,
    render_definition,
)
from workflow.definition.structure import structural_faults
from workflow.deployment.artefacts import build_artefacts
from workflow.deployment.resources import resources
from workflow.personalize import FAILED_STATUSES

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "retraining.toml"
PERSONALIZE = botocore.session.get_session().get_service_model("personalize")


@pytest.fixture(scope="module")
def definition():
    return json.loads(render(load_config(EXAMPLE)))


def test_the_states_and_their_order_are_the_original_systems(definition):
    assert list(definition["States"]) == [
        "Begin Run",
        "Extracted Already?",
        "ETL",
        "List Datasets",
        "Reimport All Datasets",
        "Create Solution Version",
        "Wait X Seconds for Solution Version",
        "Get Solution Version Status",
        "Solution Version Active?",
        "Trigger Batch Inference",
        "Get Batch Inference Status",
        "Batch Completed?",
        "Wait X Seconds for Batch Inference",
        "Filter Recommended Item",
        "Newer List Stays Published",
        "Report Failure",
        "Retraining Failed",
        "Skipped for Another Run",
    ]
    assert list(definition["States"]["Reimport All Datasets"]["Iterator"]["States"]) == [
        "Import Dataset",
        "Wait X Seconds for Import Job",
        "Get Job Status",
        "Job Complete?",
        "Import Successful",
        "Import Failed",
    ]


def terminal_statuses(shape_name):
    """Return the statuses of a resource in botocore's model after which no other comes."""
    shape = PERSONALIZE.shape_for(shape_name).members["status"]
    text = re.sub("<[^>]+>", "\n", shape.documentation)
    statuses = set(re.findall("[A-Z_]{2,}(?: [A-Z_]{2,})*", text))
    return {status for status in statuses if not status.endswith(("ING", "PROGRESS"))}


def test_each_loop_leaves_by_every_terminal_status_and_else_waits(definition):
    states = definition["States"]
    inner = states["Reimport All Datasets"]["Iterator"]["States"]

    def branches(choice):
        rules = {rule["StringEquals"]: rule["Next"] for rule in choice["Choices"]}
        return {**rules, "otherwise": choice["Default"]}

    assert branches(inner["Job Complete?"]) == {
        "ACTIVE": "Import Successful",
        "CREATE FAILED": "Import Failed",
        "CREATE STOPPED": "Import Failed",
        "otherwise": "Wait X Seconds for Import Job",
    }
    assert branches(states["Solution Version Active?"]) == {
        "ACTIVE": "Trigger Batch Inference",
        "CREATE FAILED": "Report Failure",
        "CREATE STOPPED": "Report Failure",
        "otherwise": "Wait X Seconds for Solution Version",
    }
    assert branches(states["Batch Completed?"]) == {
        "ACTIVE": "Filter Recommended Item",
        "CREATE FAILED": "Report Failure",
        "CREATE STOPPED": "Report Failure",
        "otherwise": "Wait X Seconds for Batch Inference",
    }


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("DatasetImportJob", {"ACTIVE", "CREATE FAILED"}),
        ("SolutionVersion", {"ACTIVE", "CREATE FAILED", "CREATE STOPPED"}),
        ("BatchInferenceJob", {"ACTIVE", "CREATE FAILED"}),
    ],
)
def test_no_terminal_status_of_personalizes_model_is_polled_on(shape, expected):
    assert terminal_statuses(shape) == expected
    assert terminal_statuses(shape) <= {"ACTIVE", *FAILED_STATUSES}


def test_the_map_runs_over_the_listed_data_sets_with_bounded_concurrency(definition):
    reimport = definition["States"]["Reimport All Datasets"]

    assert reimport["ItemsPath"] == "$.datasets"
    assert reimport["MaxConcurrency"] == 3
    assert reimport["ResultPath"] == "$.datasetImport"


def test_every_task_has_a_time_limit_retries_with_jitter_and_a_catch(definition):
    tasks = {name: state for _, name, state in states(definition) if state["Type"] == "Task"}

    assert len(tasks) == 11
    for name, task in tasks.items():
        assert task["TimeoutSeconds"] > 0, name
        assert {retry["JitterStrategy"] for retry in task["Retry"]} == {"FULL"}, name
        assert all(retry["BackoffRate"] > 1 for retry in task["Retry"]), name
        assert task["Catch"][-1]["ErrorEquals"] == ["States.ALL"], name
    assert definition["TimeoutSeconds"] == 86_400


def test_every_failure_of_the_machine_leads_to_report_failure(definition):
    caught = {
        catch["Next"]
        for name, state in definition["States"].items()
        for catch in state.get("Catch", ())
        if name != "Report Failure" and catch["ErrorEquals"] == ["States.ALL"]
    }

    assert caught == {"Report Failure"}
    assert definition["States"]["Report Failure"]["Next"] == "Retraining Failed"
    assert definition["States"]["Retraining Failed"]["CausePath"] == "$.job.Cause"


@pytest.mark.parametrize(
    ("overlap", "waits", "target"),
    [
        ("skip", False, "Skipped for Another Run"),
        ("wait", True, "Report Failure"),
        ("fail", False, "Report Failure"),
    ],
)
def test_a_run_beside_another_is_skipped_waits_or_fails(overlap, waits, target):
    text = f'{EXAMPLE.read_text("utf-8")}\n[runs]\noverlap = "{overlap}"\n'
    states = json.loads(render(parse_config(text)))["States"]
    begin, name = states["Begin Run"], "AnotherRunInProgress"

    catcher = next(
        catch for catch in begin["Catch"] if catch["ErrorEquals"] in ([name], ["States.ALL"])
    )
    assert catcher["Next"] == target
    assert any(name in retry["ErrorEquals"] for retry in begin["Retry"]) is waits
    assert ("Skipped for Another Run" in states) is (overlap == "skip")


def test_retried_error_names_are_those_of_aws_models():
    """A misspelt name never matches, and nobody notices before the night it is needed."""
    session = botocore.session.get_session()

    def errors(service, operation):
        model = session.get_service_model(service).operation_model(operation)
        return {shape.name for shape in model.error_shapes}

    # Of each integration its own names: the service's exception for an error that the operation's
    # model does not have, and the SDK's where there was no answer.
    # https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html
    # https://repost.aws/knowledge-center/glue-throttling-rate-exceeded
    invoke = errors("lambda", "Invoke") | {
        "AWSLambdaException",
        "ClientExecutionTimeoutException",
        "SdkClientException",
    }
    start = errors("glue", "StartJobRun") | {
        "AWSGlueException",
        "SdkClientException",
        "ThrottlingException",
    }
    publish = errors("sns", "Publish") | {
        "AmazonSNSException",
        "SdkClientException",
        "ThrottledException",
    }
    of_lambda = {name for name in SERVICE_ERRORS if name.startswith("Lambda.")}
    assert of_lambda <= {f"Lambda.{name}" for name in invoke}
    assert set(GLUE_ERRORS) <= {f"Glue.{name}" for name in start}
    assert set(SNS_ERRORS) <= {f"SNS.{name}" for name in publish}


def test_every_error_that_aws_advises_to_retry_is_retried(definition):
    """The lists of AWS's pages on Lambda and on Glue, and S3's faults of its own."""
    advised = {
        "List Datasets": [
            "Lambda.ClientExecutionTimeoutException",
            "Lambda.ServiceException",
            "Lambda.AWSLambdaException",
            "Lambda.SdkClientException",
            "InternalError",
            "SlowDown",
            "ServiceUnavailable",
            "ConnectionFailed",
        ],
        "ETL": ["Glue.AWSGlueException", "Glue.SdkClientException"],
        "Report Failure": ["SNS.AmazonSNSException", "SNS.SdkClientException"],
    }
    for name, errors in advised.items():
        retried = [e for retry in definition["States"][name]["Retry"] for e in retry["ErrorEquals"]]
        assert set(errors) <= set(retried), name


def test_what_a_state_calls_has_its_own_time_limit_below_the_states(definition):
    """A state that is over its time says `States.Timeout`, and nothing of the cause."""
    config = load_config(EXAMPLE)
    model = {
        resource.name: resource.properties
        for resource in resources(config, build_artefacts(config))
        if resource.type in {"AWS::Lambda::Function", "AWS::Glue::Job"}
    }
    called = [state for _, _, state in states(definition) if state["Type"] == "Task"]
    limits = {
        state["Parameters"].get("FunctionName") or state["Parameters"].get("JobName"): state
        for state in called
    }

    assert limits.keys() - {None} == model.keys()
    for name, properties in model.items():
        unit = 60 if "GlueVersion" in properties else 1
        assert properties["Timeout"] * unit < limits[name]["TimeoutSeconds"], name


def test_the_same_bytes_whatever_the_aws_configuration_is():
    """No region, a wrong profile and a Chinese region render what this process renders."""
    program = (
        "from workflow import *;"
        "print(build_workflow(load_config('retraining.toml')).to_asl(), end='')"
    )
    here = render(load_config(EXAMPLE))
    for environment in (
        {},
        {"AWS_PROFILE": "there-is-no-such-profile"},
        {"AWS_DEFAULT_REGION": "cn-north-1", "HOME": "/nonexistent", "LANG": "ja_JP.UTF-8"},
    ):
        rendered = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", **environment},
            capture_output=True,
            check=True,
        )
        assert rendered.stdout.decode() == here


def test_the_partition_of_the_configuration_is_in_every_arn():
    text = EXAMPLE.read_text(encoding="utf-8").replace("ap-northeast-1", "cn-north-1")

    rendered = render(parse_config(text))

    assert "arn:aws:" not in rendered
    assert '"Resource": "arn:aws-cn:states:::lambda:invoke"' in rendered


def test_the_committed_rendering_is_current():
    committed = (ROOT / "asl" / "retraining.asl.json").read_text(encoding="utf-8")

    assert difference(committed, render(load_config(EXAMPLE))) == ""


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            lambda m: m["States"]["ETL"].update(Next="Lost Datasets"),
            "'ETL' leads to 'Lost Datasets', which is no state beside it",
        ),
        (
            lambda m: m["States"].update(Alone={"Type": "Succeed"}),
            "'Alone' is never reached",
        ),
        (lambda m: m["States"]["ETL"].pop("Catch"), "'ETL' has no Catch"),
        (lambda m: m["States"]["ETL"].pop("TimeoutSeconds"), "'ETL' has no TimeoutSeconds"),
        (
            lambda m: m["States"]["Solution Version Active?"].pop("Default"),
            "'Solution Version Active?' has no Default: an unforeseen value would end the run",
        ),
        (
            lambda m: m["States"]["Reimport All Datasets"]["Iterator"]["States"].update(
                ETL={"Type": "Succeed"}
            ),
            "'ETL' is a state of the machine and of 'Reimport All Datasets': names must be unique",
        ),
        (
            lambda m: m["States"]["Filter Recommended Item"].update(End=False, Catch=[]),
            "'Filter Recommended Item' neither ends nor leads anywhere",
        ),
        (
            lambda m: m["States"]["Filter Recommended Item"].pop("End"),
            "'Filter Recommended Item' neither ends nor leads anywhere",
        ),
        (lambda m: m.update(StartAt="Begin"), "the machine starts at 'Begin', which is no state"),
        (
            lambda m: m.pop("TimeoutSeconds"),
            "the machine has no TimeoutSeconds: a run that hangs would never end",
        ),
    ],
)
def test_a_faulty_structure_is_named(definition, change, fault):
    changed = copy.deepcopy(definition)
    change(changed)

    assert any(message.startswith(fault) for message in structural_faults(changed))
    with pytest.raises(StructureError, match="the workflow graph is faulty"):
        render_definition(changed)


def test_a_sound_structure_has_no_faults_however_deep():
    assert list(structural_faults(nested())) == []


def branches(machine):
    """Return the states of the Parallel's scope, of its first branch, and of the second's Map."""
    region = machine["States"]["Each Region"]["ItemProcessor"]
    counting, reading = region["States"]["Both"]["Branches"]
    return region["States"], counting, reading["States"]["Each File"]


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        (
            lambda region, counting, each: counting["States"]["Count"].update(Next="Done"),
            [
                "'Count' leads to 'Done', which is no state beside it",
                "'Enough?' is never reached",
                "'Counted' is never reached",
            ],
        ),
        (
            lambda region, counting, each: counting.update(StartAt="Read"),
            ["branch 1 of 'Both' starts at 'Read', which is no state of it"],
        ),
        (
            lambda region, counting, each: each["Iterator"]["States"].update(
                Count={"Type": "Succeed"}
            ),
            [
                "'Count' is a state of branch 1 of 'Both' and of 'Each File': names must be unique",
                "'Count' is never reached",
            ],
        ),
        (
            lambda region, counting, each: counting["States"]["Count"].pop("Retry"),
            ["'Count' has no Retry"],
        ),
        (
            lambda region, counting, each: each["Iterator"]["States"]["Read"].update(
                Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Left Out"}]
            ),
            [
                "'Read' leads to 'Left Out', which is no state beside it",
                "'Unread' is never reached",
            ],
        ),
        (
            lambda region, counting, each: each.pop("Iterator"),
            ["'Each File' has no ItemProcessor: there is nothing to repeat"],
        ),
        (
            lambda region, counting, each: region["Both"].pop("Branches"),
            ["'Both' has no Branches"],
        ),
        (
            lambda region, counting, each: each.update(Iterator={}),
            ["'Each File' has no States"],
        ),
        (
            lambda region, counting, each: region["Left Out"].pop("Type"),
            ["'Left Out' has no Type"],
        ),
    ],
)
def test_a_fault_inside_a_branch_names_the_branch(change, faults):
    machine = nested()
    change(*branches(machine))

    assert list(structural_faults(machine)) == faults


def test_the_diagram_shows_every_state_and_every_transition(definition):
    picture = mermaid(definition, unfold=True)

    for _, name, _ in states(definition):
        assert f'"{name}' in picture
    assert "subgraph reimport_all_datasets" in picture
    assert '-->|"CREATE FAILED or CREATE STOPPED"| report_failure' in picture
    assert picture.count("-.->") == 14  # eleven tasks and the Map; and two ends without a failure
