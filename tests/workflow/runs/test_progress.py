"""Histories → what became of each state; by hand, and from a real execution."""

import json
import time
from datetime import timedelta

import pytest

from localaws.functions.service import Functions
from localaws.http.endpoint import Endpoint
from tests.histories import BEGIN, entered, event, events, exited, iteration, map_started
from workflow.runs.history import history
from workflow.runs.progress import Passage, Progress, StateRecord, progress_of

ACCOUNT, REGION = "123456789012", "ap-northeast-1"


def test_nothing_has_happened_yet():
    assert progress_of([]) == Progress("RUNNING", {}, {}, None)


def test_states_are_listed_in_the_order_in_which_they_were_reached():
    progress = progress_of(
        events(
            event("ExecutionStarted"),
            entered("ETL"),
            exited("ETL"),
            entered("Done", "Succeed"),
            exited("Done", "Succeed"),
            event("ExecutionSucceeded"),
        )
    )

    assert progress == Progress(
        status="SUCCEEDED",
        states={
            "ETL": StateRecord("succeeded", visits=1, attempts=1, seconds=1.0),
            "Done": StateRecord("succeeded", visits=1, attempts=1, seconds=1.0),
        },
        passages={Passage("ETL", "Done"): 1},
        seconds=5.0,
    )
    assert list(progress.states) == ["ETL", "Done"]
    assert progress.ended


def test_retries_count_as_attempts_and_do_not_fail_a_state_that_then_succeeds():
    progress = progress_of(
        events(
            entered("Train"),
            event("TaskScheduled"),
            event("TaskFailed"),
            event("TaskScheduled"),
            event("TaskFailed"),
            event("TaskScheduled"),
            event("TaskSucceeded"),
            exited("Train"),
        )
    )

    assert progress.states == {"Train": StateRecord("succeeded", visits=1, attempts=3, seconds=7.0)}


def test_a_state_that_waits_for_its_next_attempt_is_running():
    progress = progress_of(events(entered("Train"), event("TaskScheduled"), event("TaskFailed")))

    assert progress.states["Train"] == StateRecord("running", 1, 1, None, running=1)


def test_a_poll_loop_visits_its_states_many_times():
    progress = progress_of(
        events(
            entered("Wait", "Wait"),
            exited("Wait", "Wait"),
            entered("Ready?", "Choice"),
            exited("Ready?", "Choice"),
            entered("Wait", "Wait"),
            exited("Wait", "Wait"),
            entered("Ready?", "Choice"),
            exited("Ready?", "Choice"),
            entered("Wait", "Wait"),
        ),
        now=BEGIN + timedelta(seconds=19),
    )

    assert progress.states == {
        "Wait": StateRecord("running", visits=3, attempts=3, seconds=12.0, running=1),
        "Ready?": StateRecord("succeeded", visits=2, attempts=2, seconds=2.0),
    }
    assert progress.passages == {Passage("Wait", "Ready?"): 2, Passage("Ready?", "Wait"): 2}
    assert progress.seconds == 18.0


def test_without_the_current_time_a_running_state_has_no_duration():
    progress = progress_of(events(entered("ETL"), event("TaskScheduled")))

    assert progress.states["ETL"].seconds is None
    assert not progress.ended


REPORTING = {
    "StartAt": "Train",
    "States": {
        "Train": {
            "Type": "Task",
            "Next": "Clean Up",
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Report"}],
        },
        "Clean Up": {
            "Type": "Task",
            "End": True,
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Left as It Is"}],
        },
        "Left as It Is": {"Type": "Pass", "End": True},
        "Report": {"Type": "Task", "Next": "Failed"},
        "Failed": {"Type": "Fail"},
    },
}


def test_an_error_that_is_caught_to_end_the_execution_is_a_failure():
    progress = progress_of(
        events(
            entered("Train"),
            event("TaskScheduled"),
            event("TaskFailed"),
            exited("Train"),
            entered("Report"),
            exited("Report"),
            entered("Failed", "Fail"),
            event("ExecutionFailed"),
        ),
        REPORTING,
    )

    assert {name: record.status for name, record in progress.states.items()} == {
        "Train": "failed",
        "Report": "caught",
        "Failed": "failed",
    }
    assert progress.passages == {
        Passage("Train", "Report", caught=True): 1,
        Passage("Report", "Failed", caught=False): 1,
    }
    assert progress.states["Failed"].seconds == 0.0


def test_an_error_that_the_workflow_recovers_from_is_caught():
    progress = progress_of(
        events(
            entered("Clean Up"),
            event("TaskScheduled"),
            event("TaskFailed"),
            exited("Clean Up"),
            entered("Left as It Is", "Pass"),
            exited("Left as It Is", "Pass"),
            event("ExecutionSucceeded"),
        ),
        REPORTING,
    )

    assert {name: record.status for name, record in progress.states.items()} == {
        "Clean Up": "caught",
        "Left as It Is": "succeeded",
    }


def test_an_error_that_nothing_catches_fails_its_state_and_those_around_it():
    progress = progress_of(
        events(
            entered("Both", "Parallel"),
            event("ParallelStateStarted"),
            entered("Left", previousEventId=2),
            entered("Right", previousEventId=2),
            event("TaskScheduled", previousEventId=3),
            event("TaskTimedOut", previousEventId=5),
            event("ParallelStateFailed", previousEventId=6),
            event("ExecutionFailed", previousEventId=7),
        )
    )

    assert {name: record.status for name, record in progress.states.items()} == {
        "Both": "failed",
        "Left": "timed out",
        "Right": "aborted",
    }


def test_a_choice_without_a_match_failed_without_an_event_of_its_own():
    progress = progress_of(events(entered("Ready?", "Choice"), event("ExecutionFailed")))

    assert progress.states["Ready?"].status == "failed"


@pytest.mark.parametrize(
    ("ending", "status"), [("ExecutionAborted", "aborted"), ("ExecutionTimedOut", "timed out")]
)
def test_open_visits_take_the_status_of_an_ended_execution(ending, status):
    progress = progress_of(
        events(
            entered("ETL"),
            exited("ETL"),
            entered("Train"),
            event("TaskScheduled"),
            event(ending, previousEventId=0),
        )
    )

    assert progress.states["ETL"].status == "succeeded"
    assert progress.states["Train"] == StateRecord(status, visits=1, attempts=1, seconds=2.0)


def test_items_of_a_map_are_counted_and_the_longest_gives_the_time():
    progress = progress_of(
        events(
            entered("Imports", "Map"),  # 1
            map_started(3),
            iteration("Started", 0, previousEventId=2),  # 3
            iteration("Started", 1, previousEventId=2),
            entered("Import", previousEventId=3),  # 5
            entered("Import", previousEventId=4),  # 6
            exited("Import", previousEventId=5),  # 7
            iteration("Succeeded", 0, previousEventId=7),
            exited("Import", previousEventId=6),  # 9
            entered("Look", previousEventId=9),
        )
    )

    assert progress.states == {
        "Imports": StateRecord("running", 1, 1, None, running=1, done=1, items=3),
        "Import": StateRecord("succeeded", 2, 2, 3.0, running=0, done=2, items=3),
        "Look": StateRecord("running", 1, 1, None, running=1, done=0, items=3),
    }


def test_a_state_after_a_map_is_outside_it():
    progress = progress_of(
        events(
            entered("Imports", "Map"),
            map_started(1),
            iteration("Started", 0),
            entered("Import"),
            exited("Import"),
            iteration("Succeeded", 0),
            event("MapStateSucceeded"),
            exited("Imports", "Map"),
            entered("Train"),
        )
    )

    assert progress.states["Imports"] == StateRecord("succeeded", 1, 1, 7.0, done=1, items=1)
    assert progress.states["Train"].items is None
    assert progress.passages == {Passage("Imports", "Train"): 1}


def test_an_item_that_fails_cuts_the_others_short():
    """An item that ends after its Map has failed does not count, nor does its time go on."""
    progress = progress_of(
        events(
            entered("Imports", "Map"),  # 1
            map_started(2),
            iteration("Started", 0, previousEventId=2),  # 3
            iteration("Started", 1, previousEventId=2),
            entered("Look", previousEventId=3),  # 5
            entered("Import Failed", "Fail", previousEventId=4),
            iteration("Failed", 1, previousEventId=6),
            event("MapStateFailed", previousEventId=6),  # 8
            exited("Imports", "Map", previousEventId=8),
            entered("Report", previousEventId=9),  # 10
            event("TaskSucceeded", previousEventId=5),
            iteration("Succeeded", 0, previousEventId=11),
            exited("Report", previousEventId=10),
            entered("Failed", "Fail", previousEventId=13),
            event("ExecutionFailed", previousEventId=14),
        )
    )

    assert progress.states == {
        "Imports": StateRecord("caught", 1, 1, 8.0, done=0, items=2),
        "Look": StateRecord("aborted", 1, 1, 4.0, done=0, items=2),
        "Import Failed": StateRecord("failed", 1, 1, 0.0, done=1, items=2),
        "Report": StateRecord("succeeded", 1, 1, 3.0),
        "Failed": StateRecord("failed", 1, 1, 0.0),
    }
    assert Passage("Imports", "Report", caught=True) in progress.passages


def test_a_map_that_is_tried_again_is_not_failed():
    progress = progress_of(
        events(
            entered("Imports", "Map"),
            map_started(1),
            iteration("Started", 0),
            entered("Import"),
            event("TaskFailed"),
            iteration("Failed", 0),
            event("MapStateFailed"),
            map_started(1),
            iteration("Started", 0),
            entered("Import"),
        )
    )

    assert progress.states["Imports"] == StateRecord(
        "running", 1, 2, None, running=1, done=0, items=1
    )
    assert progress.states["Import"].status == "running"


def test_times_may_be_texts_as_they_are_in_a_saved_history():
    saved = events(entered("ETL"), exited("ETL"), event("ExecutionSucceeded"))
    saved = json.loads(json.dumps(saved, default=str))

    assert progress_of(saved).states["ETL"].seconds == 1.0


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """Execute a function that throttles twice, a Map over three items, and a caught error."""
    invoke = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "ResultPath": None}
    again = [{"ErrorEquals": ["NotReadyError"], "IntervalSeconds": 1, "MaxAttempts": 3}]
    caught = [{"ErrorEquals": ["States.ALL"], "ResultPath": None, "Next": "Sorry"}]
    each = {
        "StartAt": "Double",
        "States": {
            "Double": {"Type": "Pass", "Next": "Even?"},
            "Even?": {
                "Type": "Choice",
                "Choices": [{"Variable": "$", "NumericEquals": 2, "Next": "Even"}],
                "Default": "Odd",
            },
            "Even": {"Type": "Succeed"},
            "Odd": {"Type": "Succeed"},
        },
    }
    definition = {
        "StartAt": "Flaky",
        "States": {
            "Flaky": {
                **invoke,
                "Parameters": {"FunctionName": "flaky"},
                "Retry": again,
                "Next": "Each",
            },
            "Each": {
                "Type": "Map",
                "ItemsPath": "$.items",
                "ResultPath": None,
                "Iterator": each,
                "Next": "Broken",
            },
            "Broken": {
                **invoke,
                "Parameters": {"FunctionName": "broken"},
                "Catch": caught,
                "End": True,
            },
            "Sorry": {"Type": "Pass", "End": True},
        },
    }
    with Endpoint(account=ACCOUNT, region=REGION, time_scale=0.0) as endpoint:
        directory = tmp_path_factory.mktemp("functions")
        functions = Functions(account=ACCOUNT, region=REGION, directory=directory)
        functions.register("flaky", failing(2))
        functions.register("broken", failing(99))
        endpoint.mount("lambda", functions)
        client = endpoint.client("stepfunctions")
        machine = client.create_state_machine(
            name="numbers",
            definition=json.dumps(definition),
            roleArn=f"arn:aws:iam::{ACCOUNT}:role/states",
        )["stateMachineArn"]
        arn = client.start_execution(
            stateMachineArn=machine, name="night", input='{"items": [1, 2, 3]}'
        )["executionArn"]
        deadline = time.monotonic() + 30
        while (progress := client.describe_execution(executionArn=arn))["status"] == "RUNNING":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert progress["status"] == "SUCCEEDED", progress
        yield history(client, arn)


class NotReadyError(Exception):
    """The error of the functions' first invocations."""


def failing(times):
    """Return a handler that fails a number of times."""
    left = [times]

    def handler(event, context):
        if left[0]:
            left[0] -= 1
            raise NotReadyError("not yet")
        return {}

    return handler


def test_progress_of_a_real_execution(executed):
    progress = progress_of(executed)

    assert progress.status == "SUCCEEDED"
    assert {
        name: (record.status, record.visits, record.attempts, record.done, record.items)
        for name, record in progress.states.items()
    } == {
        "Flaky": ("succeeded", 1, 3, None, None),
        "Each": ("succeeded", 1, 1, 3, 3),
        "Double": ("succeeded", 3, 3, 3, 3),
        "Even?": ("succeeded", 3, 3, 3, 3),
        "Odd": ("succeeded", 2, 2, 2, 3),
        "Even": ("succeeded", 1, 1, 1, 3),
        "Broken": ("caught", 1, 1, None, None),
        "Sorry": ("succeeded", 1, 1, None, None),
    }
    assert progress.passages[Passage("Even?", "Odd")] == 2
    assert progress.passages[Passage("Broken", "Sorry", caught=True)] == 1


def test_no_prefix_of_a_real_history_is_misread(executed):
    """As `follow_live` sees it: at each poll some states are running, and none is lost."""
    for length in range(1, len(executed)):
        progress = progress_of(executed[:length])
        statuses = {record.status for record in progress.states.values()}
        assert statuses <= {"running", "succeeded", "caught"}, length
        assert not progress.ended
