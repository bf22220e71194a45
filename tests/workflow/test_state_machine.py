"""The workflow object: create-or-update, execution names, tags, no client before one is needed."""

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
import yaml
from botocore.stub import Stubber

from workflow import Stages, build_workflow, load_config, sdk
from workflow.config import Config
from workflow.errors import DeployError
from workflow.run_names import run_name
from workflow.sdk import (
    Chain,
    Choice,
    ChoiceRule,
    ExecutionStatus,
    Fail,
    GlueStartJobRunStep,
    Graph,
    LambdaStep,
    Pass,
)
from workflow.state_machine import DrawnWorkflow

ARN = "arn:aws:states:ap-northeast-1:123456789012:stateMachine:labbase-retraining"
ROLE = "arn:aws:iam::123456789012:role/labbase-retraining-states"
TAGS = [{"key": "retraining:name", "value": "labbase"}, {"key": "team", "value": "data"}]
CREATED = datetime(2024, 6, 1, tzinfo=UTC)


@pytest.fixture
def config() -> Config:
    example = load_config(Path(__file__).parents[2] / "retraining.toml")
    return example.model_copy(update={"tags": {"team": "data"}})


@pytest.fixture
def client():
    return boto3.client(
        "stepfunctions",
        region_name="ap-northeast-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@pytest.fixture
def stubber(client):
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def described(definition: str, role: str = ROLE) -> dict[str, object]:
    return {
        "stateMachineArn": ARN,
        "name": "labbase-retraining",
        "definition": definition,
        "roleArn": role,
        "type": "STANDARD",
        "creationDate": CREATED,
    }


def test_building_and_rendering_needs_no_client(config, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "there-is-no-such-profile")

    workflow = build_workflow(config)

    assert isinstance(workflow.definition, Graph)
    assert json.loads(workflow.to_asl())["StartAt"] == "Begin Run"


def test_the_definition_is_built_of_the_sdk_s_own_steps(config):
    begin = build_workflow(config).definition.branch
    etl = begin.next_step.entry.default
    listing = etl.next_step.entry

    assert isinstance(etl, GlueStartJobRunStep)
    assert isinstance(listing, LambdaStep)


def test_create_makes_a_state_machine_with_its_tags(config, client, stubber):
    workflow = build_workflow(config, client=client)
    stubber.add_client_error("describe_state_machine", "StateMachineDoesNotExist")
    stubber.add_response(
        "create_state_machine",
        {"stateMachineArn": ARN, "creationDate": CREATED},
        {
            "name": "labbase-retraining",
            "definition": workflow.to_asl(),
            "roleArn": ROLE,
            "tags": TAGS,
        },
    )

    assert workflow.create() == ARN


def test_create_on_an_existing_name_updates_definition_and_tags(config, client, stubber):
    workflow = build_workflow(config, client=client)
    stubber.add_response("describe_state_machine", described("{}"), {"stateMachineArn": ARN})
    stubber.add_response("list_tags_for_resource", {"tags": []}, {"resourceArn": ARN})
    stubber.add_response(
        "update_state_machine",
        {"updateDate": CREATED},
        {"stateMachineArn": ARN, "definition": workflow.to_asl(), "roleArn": ROLE},
    )
    stubber.add_response("tag_resource", {}, {"resourceArn": ARN, "tags": TAGS})

    assert workflow.create() == ARN


def test_create_changes_nothing_when_nothing_changed(config, client, stubber):
    workflow = build_workflow(config, client=client)
    stubber.add_response(
        "describe_state_machine", described(workflow.to_asl()), {"stateMachineArn": ARN}
    )
    stubber.add_response(
        "list_tags_for_resource",
        {"tags": [*TAGS, {"key": "else", "value": "kept"}]},
        {"resourceArn": ARN},
    )

    assert workflow.create() == ARN


LOGGING = {"level": "ERROR", "includeExecutionData": True, "destinations": []}


def test_a_definition_that_differs_in_its_layout_alone_is_no_change(config, client, stubber):
    workflow = build_workflow(config, client=client)
    deployed = json.dumps(json.loads(workflow.to_asl()), sort_keys=True)
    stubber.add_response("describe_state_machine", described(deployed), {"stateMachineArn": ARN})
    stubber.add_response("list_tags_for_resource", {"tags": TAGS}, {"resourceArn": ARN})

    assert workflow.create() == ARN


def test_an_option_that_is_not_given_stays_as_it_is(config, client, stubber):
    workflow = build_workflow(config, client=client)
    deployed = described("{}") | {"loggingConfiguration": LOGGING}
    stubber.add_response("describe_state_machine", deployed, {"stateMachineArn": ARN})
    stubber.add_response("list_tags_for_resource", {"tags": TAGS}, {"resourceArn": ARN})
    stubber.add_response(
        "update_state_machine",
        {"updateDate": CREATED},
        {"stateMachineArn": ARN, "definition": workflow.to_asl(), "roleArn": ROLE},
    )

    assert workflow.create() == ARN


def test_an_option_that_is_given_is_compared_and_sent(config, client, stubber):
    options = {"loggingConfiguration": {**LOGGING, "level": "ALL"}}
    workflow = build_workflow(config, client=client, options=options)
    deployed = described(workflow.to_asl()) | {"loggingConfiguration": LOGGING}
    stubber.add_response("describe_state_machine", deployed, {"stateMachineArn": ARN})
    stubber.add_response("list_tags_for_resource", {"tags": TAGS}, {"resourceArn": ARN})
    stubber.add_response(
        "update_state_machine",
        {"updateDate": CREATED},
        {"stateMachineArn": ARN, "definition": workflow.to_asl(), "roleArn": ROLE, **options},
    )

    assert workflow.create() == ARN


def test_a_state_machine_that_is_being_deleted_is_not_updated(config, client, stubber):
    workflow = build_workflow(config, client=client)
    deployed = described(workflow.to_asl()) | {"status": "DELETING"}
    stubber.add_response("describe_state_machine", deployed, {"stateMachineArn": ARN})

    with pytest.raises(DeployError, match="is being deleted until its last execution ends"):
        workflow.create()


def test_update_takes_another_role(config, client, stubber):
    workflow = build_workflow(config, client=client)
    other = "arn:aws:iam::123456789012:role/other"
    stubber.add_response(
        "describe_state_machine", described(workflow.to_asl()), {"stateMachineArn": ARN}
    )
    stubber.add_response(
        "list_tags_for_resource",
        {"tags": TAGS},
        {"resourceArn": ARN},
    )
    stubber.add_response(
        "update_state_machine",
        {"updateDate": CREATED},
        {"stateMachineArn": ARN, "definition": workflow.to_asl(), "roleArn": other},
    )

    assert workflow.update(role=other) == ARN


def test_update_takes_another_definition_and_checks_it_before_any_call(config, client, stubber):
    workflow = build_workflow(config, client=client)

    with pytest.raises(ValueError, match="no TimeoutSeconds"):
        workflow.update(definition=Graph(Pass("Nothing")))


def test_execute_names_the_execution_and_so_the_run(config, client, stubber):
    workflow = build_workflow(config, client=client)
    workflow.state_machine_arn = ARN
    stubber.add_response(
        "start_execution",
        {"executionArn": f"{ARN}:tonight", "startDate": CREATED},
        {"stateMachineArn": ARN, "name": "tonight", "input": '{"reason": "求人"}'},
    )

    execution = workflow.execute(name="tonight", inputs={"reason": "求人"})

    assert execution.name == "tonight"


def test_run_names_sort_by_time_and_differ():
    first = run_name(datetime(2024, 6, 1, 4, 0, tzinfo=UTC))
    second = run_name(datetime(2024, 6, 1, 4, 0, tzinfo=UTC))

    assert first.startswith("20240601T040000Z-")
    assert first != second


def test_a_workflow_shows_itself_in_a_notebook(config):
    shown = build_workflow(config)._repr_mimebundle_()

    assert shown["text/plain"] == "labbase-retraining: 24 states"
    assert 'alt="labbase-retraining: 24 states' in shown["text/html"]


def test_an_execution_shows_in_a_notebook_how_far_it_is(config, client, stubber):
    workflow = build_workflow(config, client=client)
    workflow.state_machine_arn = ARN
    stubber.add_response(
        "start_execution", {"executionArn": f"{ARN}:tonight", "startDate": CREATED}
    )
    entered = {"name": "ETL", "input": "{}"}
    stubber.add_response(
        "get_execution_history",
        {
            "events": [
                {"id": 1, "type": "ExecutionStarted", "timestamp": CREATED},
                {
                    "id": 2,
                    "previousEventId": 1,
                    "type": "TaskStateEntered",
                    "timestamp": CREATED,
                    "stateEnteredEventDetails": entered,
                },
            ]
        },
    )

    shown = workflow.execute(name="tonight")._repr_mimebundle_()

    assert shown["text/plain"].startswith("tonight: RUNNING after ")
    assert "… 1 running" in shown["text/html"]


def test_a_workflow_takes_a_definition_and_whatever_makes_clients(config, local_aws):
    stages = Stages(config)
    definition = stages.compose(Pass("Look"), stages.etl(), stages.imports())

    aws = SimpleNamespace(client=lambda name: boto3.client(name, region_name=config.aws.region))
    workflow = build_workflow(config, definition=definition, aws=aws)

    arn = workflow.create()
    deployed = workflow.client.describe_state_machine(stateMachineArn=arn)
    assert json.loads(deployed["definition"])["States"]["Begin Run"]["Next"] == "Look"
    assert deployed["name"] == "labbase-retraining"


def test_clients_of_another_region_are_refused(config):
    with pytest.raises(DeployError) as refused:
        build_workflow(config, aws=boto3.Session(region_name="us-east-1"))

    assert str(refused.value) == (
        "aws makes clients for us-east-1, and the configuration names ap-northeast-1;"
        " give a session of that region"
    )


@pytest.fixture
def ran(config, local_aws):
    """Execute a workflow of three states once to its end, and once to a failure."""
    workflow = build_workflow(config)
    steps = Chain([Pass("First"), Choice("Odd?")])
    steps.steps[-1].add_choice(ChoiceRule.IsPresent("$.odd", value=True), Fail("Too Odd"))
    steps.steps[-1].default_choice(Pass("Even"))
    drawn = DrawnWorkflow("beside", steps, ROLE, client=workflow.client)
    drawn.create()
    succeeded, failed = drawn.execute("good"), drawn.execute("bad", {"odd": 1})
    for execution in (succeeded, failed):
        execution.get_output(wait=True)
    return drawn, succeeded, failed


def test_executions_are_listed_and_draw_themselves(ran):
    workflow, *_ = ran

    listed = workflow.list_executions()
    failed = workflow.list_executions(status_filter=ExecutionStatus.Failed)

    assert {execution.name for execution in listed} == {"good", "bad"}
    assert [execution.name for execution in failed] == ["bad"]
    assert failed[0].render_progress().text.startswith("bad: FAILED after ")
    assert "good" in workflow.list_executions(html=True).data
    assert len(workflow.list_executions(max_items=1)) == 1


def test_a_workflow_that_does_not_exist_has_no_executions(config, local_aws):
    assert build_workflow(config).list_executions() == []


def test_a_state_machine_is_attached_to_and_executed(ran):
    workflow, *_ = ran

    attached = sdk.Workflow.attach(workflow.state_machine_arn)

    assert str(attached.render_graph()) == "beside: 4 states"
    assert "<script" not in attached.render_graph().html
    assert attached.render_graph().text == "beside: 4 states"
    assert {each.name for each in attached.list_executions()} == {"good", "bad"}
    assert attached.execute("again").get_output(wait=True) == {}
    [listed] = DrawnWorkflow.list_workflows(client=workflow.client)
    assert listed["stateMachineArn"] == attached.state_machine_arn


def test_the_sdk_s_template_holds_the_definition(config):
    workflow = build_workflow(config)

    template = yaml.safe_load(workflow.get_cloudformation_template("Retrains"))

    properties = template["Resources"]["StateMachineComponent"]["Properties"]
    assert json.loads(properties["DefinitionString"]) == json.loads(workflow.to_asl())
    assert (properties["StateMachineName"], properties["RoleArn"]) == (workflow.name, ROLE)


def test_the_graph_is_drawn_here_and_not_by_a_script_from_the_network(config):
    page = build_workflow(config).render_graph(portrait=True)

    assert page.svg.startswith("<svg ") and "<script" not in page.html
    with pytest.raises(ValueError, match="the picture goes from top to bottom"):
        build_workflow(config).render_graph(portrait=False)


def test_outside_a_notebook_following_prints_lines(ran, capsys):
    _, succeeded, failed = ran

    progress = succeeded.follow(poll_seconds=0.01)
    lines = capsys.readouterr().out.splitlines()
    failed.follow(poll_seconds=0.01)
    last = capsys.readouterr().out.splitlines()[-1]

    assert progress.status == "SUCCEEDED"
    signs = [line.split(" ", 1)[1].strip().split("  ")[0] for line in lines[:-1]]
    assert signs == ["→ First", "✓ First", "→ Odd?", "✓ Odd?", "→ Even", "✓ Even"]
    assert lines[-1].startswith("good: SUCCEEDED after ")
    assert last.startswith("bad: FAILED after ")
