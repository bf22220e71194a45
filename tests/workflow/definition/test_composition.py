"""Stages, states and chains of the SDK become one graph: linked, guarded, failures led out."""

from pathlib import Path

import pytest
from stepfunctions.steps import Pass as PlainPass

from tests.projects import ASK, project
from workflow import Stages, load_config
from workflow.definition.asl import scopes
from workflow.definition.graph import build
from workflow.definition.render import render_definition
from workflow.errors import StructureError
from workflow.sdk import (
    Catch,
    Chain,
    Choice,
    ChoiceRule,
    Fail,
    LambdaStep,
    Map,
    Parallel,
    Pass,
    Retry,
    Succeed,
    Task,
    Wait,
)

ROOT = Path(__file__).parents[3]
PUT_FIRST = "'Begin Run': put first, so that one run goes at a time"
GOLDEN = (ROOT / "asl" / "retraining.asl.json").read_text(encoding="utf-8")


@pytest.fixture
def stages():
    return Stages(load_config(ROOT / "retraining.toml"))


def states(graph):
    definition = graph.to_dict()
    render_definition(definition)  # the structural check
    return {name: state for scope in scopes(definition) for name, state in scope.states.items()}


def targets(state):
    return {rule["Next"] for rule in state.get("Choices", ())} | {
        state[key] for key in ("Next", "Default") if key in state
    }


def test_the_packaged_workflow_is_a_composition_and_renders_to_the_golden(stages):
    assert render_definition(build(stages.config).to_dict()) == GOLDEN
    assert build(stages.config).added == ()


def test_a_part_is_led_on_to_the_next_one(stages):
    graph = stages.compose(
        Wait("Wait for the Backup", seconds=60),
        stages.etl(),
        Chain([Pass("One"), Pass("Two")]),
        stages.training(),
        PlainPass("After"),
    )

    made = states(graph)

    assert graph.to_dict()["StartAt"] == "Begin Run"
    assert made["Begin Run"]["Next"] == "Wait for the Backup"
    assert made["Wait for the Backup"]["Next"] == "Extracted Already?"
    assert targets(made["Extracted Already?"]) == {"ETL", "One"}
    assert (made["ETL"]["Next"], made["One"]["Next"]) == ("One", "Two")
    assert made["Two"]["Next"] == "Create Solution Version"
    assert "After" in targets(made["Solution Version Active?"])
    assert made["After"]["End"]


def test_the_begin_is_put_first_where_it_is_missing(stages):
    """A file of an earlier version does not name it, and is resumed all the same."""
    others = (stages.imports, stages.training, stages.batch_inference, stages.publish)

    graph = stages.compose(stages.etl(), *(part() for part in others))

    assert graph.to_dict() == build(stages.config).to_dict()
    assert graph.added == (PUT_FIRST,)


def test_the_begin_stays_where_it_is_put(stages):
    graph = stages.compose(Pass("Look"), stages.begin(), stages.etl())

    assert graph.to_dict()["StartAt"] == "Look"
    assert graph.added == ()


def test_a_workflow_without_any_stage_has_no_begin(stages):
    graph = stages.compose(Pass("Look"), Succeed("Seen"))

    assert list(states(graph)) == ["Look", "Seen"]


def test_data_sets_that_are_complete_are_not_extracted_again(stages):
    """The answer of the begin may be gone: a state of one's own between left it out."""
    choice = states(stages.compose(stages.etl()))["Extracted Already?"]

    assert choice == {
        "Type": "Choice",
        "Choices": [
            {
                "And": [
                    {"Variable": "$.begin.extracted", "IsPresent": True},
                    {"Variable": "$.begin.extracted", "BooleanEquals": True},
                ],
                "Next": "ETL Complete",
            }
        ],
        "Default": "ETL",
    }


def test_a_stage_whose_last_state_is_a_choice_ends_in_a_state_of_its_own(stages):
    made = states(stages.compose(stages.etl(), stages.training()))

    assert made["Training Complete"] == {"Type": "Succeed"}


def test_stages_stand_in_a_chain_of_the_sdk(stages):
    made = states(stages.compose(Chain([stages.etl(), Pass("One"), stages.imports()])))

    assert (made["ETL"]["Next"], made["One"]["Next"]) == ("One", "List Datasets")


def test_a_choice_leads_to_a_later_stage_and_otherwise_to_the_next_part(stages):
    training, unchanged = stages.training(), Choice("Unchanged?")
    unchanged.add_choice(ChoiceRule.BooleanEquals(variable="$.same", value=True), training)

    made = states(stages.compose(stages.etl(), unchanged, stages.imports(), training))

    assert targets(made["Unchanged?"]) == {"Create Solution Version", "List Datasets"}
    assert made["Reimport All Datasets"]["Next"] == "Create Solution Version"


def test_branches_of_a_choice_meet_at_the_next_part_unless_they_end(stages):
    size = Choice("Size?")
    size.add_choice(ChoiceRule.NumericEquals(variable="$.rows", value=0), Succeed("Nothing to Do"))
    size.add_choice(ChoiceRule.NumericLessThan(variable="$.rows", value=9), Pass("Few Rows"))
    size.default_choice(Chain([Pass("Many Rows"), Pass("Really Many")]).steps[0])

    made = states(stages.compose(stages.etl(), size, stages.training()))

    assert made["Few Rows"]["Next"] == "Create Solution Version"
    assert made["Really Many"]["Next"] == "Create Solution Version"
    assert made["Nothing to Do"] == {"Type": "Succeed"}


def test_a_stage_in_a_branch_of_a_parallel_fails_and_ends_there(stages):
    both = Parallel("Both", result_path="$.both")
    both.add_branch(stages.training())
    both.add_branch(LambdaStep("Count", parameters={"FunctionName": "count"}))

    graph = stages.compose(stages.etl(), both)
    made = states(graph)

    branch = made["Both"]["Branches"][0]["States"]
    assert targets(branch["Solution Version Active?"]) >= {"Training Complete", "Training Failed"}
    assert branch["Training Failed"]["CausePath"] == "$.job.Cause"
    assert made["Both"]["Catch"][0]["Next"] == "Report Failure"
    assert graph.added == (
        PUT_FIRST,
        "'Both': Catch",
        "'Count': Retry, TimeoutSeconds 960",
    )


@pytest.mark.parametrize(
    ("resource", "seconds", "retried"),
    [
        ("arn:aws:states:::lambda:invoke", 960, "Lambda.TooManyRequestsException"),
        ("arn:aws:lambda:eu-west-1:1:function:f", 960, "Lambda.TooManyRequestsException"),
        ("arn:aws:states:::aws-sdk:s3:listBuckets", 300, "S3.SdkClientException"),
        ("arn:aws:states:::dynamodb:putItem", 300, "DynamoDB.SdkClientException"),
        ("arn:aws:states:::sns:publish", 300, "SNS.SdkClientException"),
        ("arn:aws:states:::glue:startJobRun.sync", 86_400, "Glue.SdkClientException"),
        ("arn:aws:states:::sagemaker:createModel", 300, "SageMaker.ThrottlingException"),
        ("arn:aws:states:::sqs:sendMessage.waitForTaskToken", 86_400, "SQS.SdkClientException"),
    ],
)  # fmt: skip
def test_a_task_without_guards_gets_them(stages, resource, seconds, retried):
    graph = stages.compose(stages.etl(), Task("Own", resource=resource))

    own = states(graph)["Own"]

    assert own["TimeoutSeconds"] == seconds
    assert retried in {error for retry in own["Retry"] for error in retry["ErrorEquals"]}
    assert own["Catch"] == [
        {"ErrorEquals": ["States.ALL"], "ResultPath": "$.job", "Next": "Report Failure"}
    ]
    assert graph.added == (PUT_FIRST, f"'Own': Retry, TimeoutSeconds {seconds}, Catch")


def test_guards_of_the_user_s_own_stay(stages):
    again = Retry(error_equals=["States.TaskFailed"], max_attempts=1)
    sorry = Catch(error_equals=["NotReadyError"], next_step=Pass("Sorry"), result_path="$.why")
    own = LambdaStep("Own", timeout_seconds=5, retry=again, catch=sorry)

    graph = stages.compose(stages.etl(), own, stages.training())
    made = states(graph)

    assert (made["Own"]["TimeoutSeconds"], len(made["Own"]["Retry"])) == (5, 1)
    assert [catch["Next"] for catch in made["Own"]["Catch"]] == ["Sorry", "Report Failure"]
    assert made["Sorry"]["Next"] == "Create Solution Version"
    assert graph.added == (PUT_FIRST, "'Own': Catch")


def test_a_task_inside_a_map_is_caught_by_the_map(stages):
    each = Map("Each", items_path="$.datasets", iterator=LambdaStep("Check One"))

    made = states(stages.compose(stages.etl(), each))

    assert "Catch" not in made["Each"]["Iterator"]["States"]["Check One"]
    assert made["Each"]["Catch"][0]["Next"] == "Report Failure"


def test_an_activity_keeps_its_want_of_a_retry_for_the_structural_check(stages):
    activity = Task("Ask", resource="arn:aws:states:eu-west-1:123456789012:activity:ask")

    with pytest.raises(StructureError, match="'Ask' has no TimeoutSeconds"):
        states(stages.compose(stages.etl(), activity))


def circle():
    first, second = Pass("First"), Pass("Second")
    first.next(second)
    second.next(first)
    return first


def without_default():
    odd = Choice("Odd?")
    odd.add_choice(ChoiceRule.IsPresent("$.odd", value=True), Succeed("Good"))
    return odd


def twice(part):
    return [part, Pass("Between"), part]


@pytest.mark.parametrize(
    ("parts", "fault"),
    [
        (lambda s: [], "no parts: name at least one stage"),
        (lambda s: [s.etl(), 3], "part 2 is 3; a part is a stage, or a State or Chain of the SDK"),
        (lambda s: [s.etl(), Chain([])], "part 2 is an empty Chain"),
        (
            lambda s: twice(s.etl()),
            "'Extracted Already?' is used 2 times",
        ),
        (lambda s: [s.etl(), Pass("ETL")], "two states are named 'ETL': names must be unique"),
        (
            lambda s: [s.training(), s.training()],
            "two states are named 'Create Solution Version' (3 more names too)",
        ),
        (
            lambda s: [s.imports(), Map("Each", iterator=Pass("Import Dataset"))],
            "two states are named 'Import Dataset'",
        ),
        (lambda s: [s.etl(), Pass("Report Failure")], "two states are named 'Report Failure'"),
        (
            lambda s: [s.etl(), Fail("Stop"), s.training()],
            "'Stop' does not lead to 'Create Solution Version': all its states end",
        ),
        (
            lambda s: [circle(), s.etl()],
            "'First' does not lead to 'Extracted Already?': all its states end, or lead elsewhere",
        ),
        (lambda s: [s.etl(), without_default()], "'Odd?' has no default, and no part follows"),
    ],
)
def test_parts_that_make_no_workflow_are_a_mistake(stages, parts, fault):
    with pytest.raises(StructureError) as raised:
        stages.compose(*parts(stages))

    assert any(fault in each for each in raised.value.faults), raised.value


def test_a_function_of_ones_own_is_a_guarded_task_within_its_time_limit(tmp_path):
    table = ASK + "timeout = 300\n"
    stages = Stages(project(tmp_path, table))

    graph = stages.compose(
        stages.etl(),
        stages.function("Ask the Editors", "ask-editors"),
        stages.function(
            "Ask Again",
            "ask-editors",
            payload={"rows.$": "$.rows"},
            result_selector={"approved.$": "$.Payload.approved"},
            result_path="$.editors",
        ),
    )

    asked, again = (states(graph)[name] for name in ("Ask the Editors", "Ask Again"))
    assert asked["Parameters"] == {
        "FunctionName": "labbase-ask-editors",
        "Payload": {
            "bucket": "labbase-retraining-123456789012-ap-northeast-1",
            "run.$": "States.ArrayGetItem(States.StringSplit($$.Execution.Name, '.'), 0)",
        },
    }
    assert (asked["TimeoutSeconds"], asked["ResultPath"]) == (360, None)
    assert len(asked["Retry"]) == 2
    assert asked["Catch"][0]["Next"] == "Report Failure"
    assert again["Parameters"]["Payload"] == {"rows.$": "$.rows"}
    assert again["ResultPath"] == "$.editors"


@pytest.mark.parametrize(
    ("function", "fix"),
    [
        ("ask-editor", "did you mean 'ask-editors'?"),
        ("get-state", "did you mean 'get-status'?"),
        ("weigh", "add [functions.weigh] with its source"),
    ],
)
def test_a_function_that_does_not_exist_is_told(tmp_path, function, fix):
    stages = Stages(project(tmp_path))

    with pytest.raises(StructureError) as raised:
        stages.function("Ask the Editors", function)

    assert raised.value.faults == (f"'Ask the Editors': there is no function '{function}'; {fix}",)


@pytest.mark.parametrize(
    ("fields", "asl"),
    [
        ({}, {"TimeoutSeconds": 120}),
        ({"timeout_seconds": 3_600}, {"TimeoutSeconds": 3_600}),
        ({"timeout_seconds_path": "$.limit"}, {"TimeoutSecondsPath": "$.limit"}),
        ({"wait_for_callback": True}, {"TimeoutSeconds": 86_400}),
        ({"wait_for_callback": True, "timeout_seconds": 60}, {"TimeoutSeconds": 60}),
        (
            {"retry": Retry(error_equals=["Lambda.ServiceException"], max_attempts=1)},
            {
                "Retry": [{"ErrorEquals": ["Lambda.ServiceException"], "MaxAttempts": 1}],
                "TimeoutSeconds": 120,
            },
        ),
        ({"comment": "of ours"}, {"Comment": "of ours", "TimeoutSeconds": 120}),
        ({"heartbeat_seconds": 30}, {"HeartbeatSeconds": 30, "TimeoutSeconds": 120}),
    ],
)
def test_a_function_s_state_takes_all_fields_of_its_type(tmp_path, fields, asl):
    """Whoever answers a callback may need longer than the function."""
    stages = Stages(project(tmp_path))
    graph = stages.compose(stages.etl(), stages.function("Ask", "ask-editors", **fields))

    ask = states(graph)["Ask"]

    assert {key: ask[key] for key in asl} == asl
    assert ("TimeoutSeconds" in ask) == ("TimeoutSeconds" in asl)


def test_a_function_that_waits_for_a_callback_gets_the_token(tmp_path):
    stages = Stages(project(tmp_path))
    ask = stages.function("Ask", "ask-editors", wait_for_callback=True)

    made = states(stages.compose(stages.etl(), ask))["Ask"]

    assert made["Resource"] == "arn:aws:states:::lambda:invoke.waitForTaskToken"
    assert made["Parameters"]["Payload"]["token.$"] == "$$.Task.Token"


def test_a_function_s_state_is_made_of_its_payload(tmp_path):
    stages = Stages(project(tmp_path))

    with pytest.raises(StructureError, match="'Ask': parameters cannot be given; the function's"):
        stages.function("Ask", "ask-editors", parameters={"rows": 1})
