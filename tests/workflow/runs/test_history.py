"""Histories → steps and failures, in the form in which AWS tells them; and reading them on."""

import json

import boto3
import pytest
from botocore.awsrequest import AWSResponse

from localaws.http.endpoint import Endpoint
from tests.histories import (
    AS_AWS_CHAINS_IT,
    BEHIND_ANOTHER_ITEM,
    BEHIND_WHAT_IS_IN_PROGRESS,
    IMPORTS,
    entered,
    event,
    events,
    execution_failed,
    exited,
    imports_of_which_one_fails,
    iteration,
    map_started,
    scheduled,
    task_failed,
)
from workflow.runs.history import (
    Failure,
    HistoryReader,
    failed_visit,
    failure_of,
    follow,
    history,
    readable_cause,
    steps_of,
)
from workflow.runs.visits import Visits

ACCOUNT, REGION = "123456789012", "ap-northeast-1"
TOO_FEW = {"status": "CREATE FAILED", "Error": "SolutionVersionFailed", "Cause": "too few users"}


def test_steps_carry_durations_and_the_item_of_a_map():
    recorded = events(
        entered("Reimport All Datasets", "Map"),
        {"type": "MapIterationStarted", "mapIterationStartedEventDetails": {"index": 2}},
        entered("Import Dataset", data={"datasetType": "ITEMS"}),
        exited("Import Dataset"),
        {"type": "MapIterationSucceeded", "mapIterationSucceededEventDetails": {"index": 2}},
        {"type": "MapStateSucceeded"},
        exited("Reimport All Datasets", "Map"),
        entered("Create Solution Version"),
    )

    steps = [
        (
            step.type,
            step.state,
            step.visit.state_type,
            step.visit.item and step.visit.item.index,
            step.label,
            step.at,
            step.seconds,
        )
        for step in steps_of(recorded)
    ]

    assert steps == [
        ("entered", "Reimport All Datasets", "Map", None, "", recorded[0]["timestamp"], None),
        ("entered", "Import Dataset", "Task", 2, "ITEMS", recorded[2]["timestamp"], None),
        ("exited", "Import Dataset", "Task", 2, "ITEMS", recorded[3]["timestamp"], 1.0),
        ("exited", "Reimport All Datasets", "Map", None, "", recorded[6]["timestamp"], 6.0),
        ("entered", "Create Solution Version", "Task", None, "", recorded[7]["timestamp"], None),
    ]


def test_an_item_of_a_map_that_is_no_data_set_has_the_name_that_it_gives():
    recorded = events(
        entered("Update All Campaigns", "Map", data={"name": "of no item"}),
        iteration("Started", 0, "Update All Campaigns"),
        entered("Update Campaign", data={"name": "home", "minProvisionedTPS": 1}),
    )

    assert [step.label for step in steps_of(recorded)] == ["", "home"]


def test_a_failure_is_laid_on_the_state_in_which_it_began():
    cause = '{"errorMessage": "no such bucket", "errorType": "NoSuchBucket"}'
    recorded = events(
        entered("List Datasets"),
        {"type": "TaskFailed", "taskFailedEventDetails": {"error": "E", "cause": cause}},
        exited("List Datasets"),
        entered("Report Failure"),
        exited("Report Failure"),
        entered("Retraining Failed", "Fail"),
        execution_failed("NoSuchBucket", cause),
    )

    assert failure_of(recorded) == Failure("List Datasets", "NoSuchBucket", "no such bucket")


def test_a_job_that_failed_is_laid_on_the_state_that_polled_it():
    recorded = events(
        entered("Get Solution Version Status"),
        exited("Get Solution Version Status", data={"job": TOO_FEW}),
        entered("Solution Version Active?", "Choice"),
        exited("Solution Version Active?", "Choice"),
        entered("Report Failure"),
        exited("Report Failure"),
        entered("Retraining Failed", "Fail"),
        execution_failed("SolutionVersionFailed", "too few users"),
    )

    assert failure_of(recorded) == Failure(
        "Get Solution Version Status", "SolutionVersionFailed", "too few users"
    )


GATE = {
    "StartAt": "Get Solution Metrics",
    "States": {
        "Get Solution Metrics": {"Type": "Task", "Next": "Good Enough?"},
        "Good Enough?": {
            "Type": "Choice",
            "Choices": [
                {
                    "And": [
                        {"Variable": "$.metrics.ndcg", "NumericGreaterThanEquals": 0.5},
                        {"Variable": "$['all users'][0]", "NumericGreaterThanPath": "$.least"},
                    ],
                    "Next": "Good Enough",
                },
                {"Variable": "$.status", "StringEquals": "stopped", "Next": "Report Failure"},
            ],
            "Default": "Not Good Enough",
        },
        "Good Enough": {"Type": "Succeed"},
        "Not Good Enough": {"Type": "Fail"},
        "Report Failure": {"Type": "Task", "Next": "Retraining Failed"},
        "Retraining Failed": {"Type": "Fail"},
    },
}
MEASURED = {
    "job": {"status": "ACTIVE", "Error": "SolutionVersionFailed", "Cause": ""},
    "metrics": {"ndcg": 0.12},
    "all users": [30],
    "status": "trained",
}


def gated(*after, measured):
    return events(
        entered("Get Solution Metrics"),
        exited("Get Solution Metrics", data=measured),
        entered("Good Enough?", "Choice", data=measured),
        exited("Good Enough?", "Choice", data=measured),
        *after,
    )


def test_a_gate_that_fails_a_run_is_named_with_what_it_compared():
    recorded = gated(
        entered("Not Good Enough", "Fail"),
        execution_failed("NotGoodEnough", "ndcg is too low"),
        measured=MEASURED,
    )

    assert failed_visit(Visits(recorded)).state == "Good Enough?"
    assert failure_of(recorded) == Failure("Good Enough?", "NotGoodEnough", "ndcg is too low")
    assert failure_of(recorded, GATE).decided == (
        "'Good Enough?' led to 'Not Good Enough', as no rule held ($.metrics.ndcg ≥ 0.5 and "
        "$['all users'][0] > $.least; $.status is \"stopped\"); $.metrics.ndcg was 0.12; "
        "$['all users'][0] was 30; $.least was not in the Choice's input; $.status was \"trained\""
    )


def test_a_gate_that_leads_to_the_report_of_failures_is_named_too():
    """The job before it is ACTIVE: it is not what failed, though its error's name is at `$.job`."""
    recorded = gated(
        entered("Report Failure"),
        exited("Report Failure"),
        entered("Retraining Failed", "Fail"),
        execution_failed("SolutionVersionFailed", ""),
        measured={**MEASURED, "status": "stopped"},
    )

    failure = failure_of(recorded, GATE)

    assert failure.state == "Good Enough?"
    assert failure.decision.startswith("led to 'Report Failure', as $.status is \"stopped\"; ")


def test_of_another_definition_than_the_execution_s_nothing_is_told():
    recorded = gated(
        entered("Too Bad", "Fail"), execution_failed("TooBad", "no"), measured=MEASURED
    )

    assert failure_of(recorded, GATE) == Failure("Good Enough?", "TooBad", "no")


def test_the_failure_of_the_report_state_is_not_the_cause():
    recorded = events(
        entered("Get Solution Version Status"),
        exited("Get Solution Version Status", data={"job": TOO_FEW}),
        entered("Solution Version Active?", "Choice"),
        exited("Solution Version Active?", "Choice"),
        entered("Report Failure"),
        task_failed("SNS.AmazonSNSException", "no such topic", "sns"),
        exited("Report Failure"),
        entered("Retraining Failed", "Fail"),
        execution_failed("SolutionVersionFailed", "too few users"),
    )

    assert failure_of(recorded).state == "Get Solution Version Status"


def test_a_handled_error_is_not_the_cause_of_a_later_one():
    recorded = events(
        entered("Clean Up"),
        task_failed("Busy", "another run goes on"),
        exited("Clean Up"),
        entered("Train"),
        task_failed("TooFew", "too few users"),
        execution_failed("TooFew", "too few users"),
    )

    assert failure_of(recorded) == Failure("Train", "TooFew", "too few users")


@pytest.mark.parametrize(
    "after", [AS_AWS_CHAINS_IT, BEHIND_ANOTHER_ITEM, BEHIND_WHAT_IS_IN_PROGRESS]
)
def test_of_the_items_of_a_map_the_one_that_failed_is_named(after):
    visits = Visits(imports_of_which_one_fails(*after))

    visit = failed_visit(visits)

    assert failure_of(visits) == Failure(
        "Get Job Status", "DatasetImportFailed", "the file has no header"
    )
    assert (visit.state, visit.label, visit.item.index) == ("Get Job Status", "ITEMS", 1)


def test_visits_that_a_failing_item_ends_are_aborted():
    visits = Visits(imports_of_which_one_fails(*AS_AWS_CHAINS_IT))

    statuses = [(visit.state, visit.label, visit.status) for visit in visits.all]

    assert statuses == [
        (IMPORTS, "", "caught"),
        ("Get Job Status", "INTERACTIONS", "aborted"),
        ("Get Job Status", "ITEMS", "succeeded"),
        ("Job Complete?", "ITEMS", "succeeded"),
        ("Get Job Status", "USERS", "aborted"),
        ("Import Failed", "ITEMS", "failed"),
        ("Report Failure", "", "succeeded"),
        ("Retraining Failed", "", "failed"),
    ]


def test_an_item_that_waits_for_its_turn_is_not_inside_the_one_before():
    """MaxConcurrency 1: AWS starts the second item behind the first one's last event."""
    recorded = events(
        entered("Outer", "Map"),  # 1
        map_started(2),
        iteration("Started", 0, "Outer"),
        entered("Inner", "Map"),  # 4
        map_started(1),
        iteration("Started", 0, "Inner"),
        entered("Import"),  # 7
        exited("Import"),
        iteration("Succeeded", 0, "Inner"),
        event("MapStateSucceeded"),
        exited("Inner", "Map", previousEventId=9),  # 11
        iteration("Succeeded", 0, "Outer"),
        iteration("Started", 1, "Outer", previousEventId=11),
        entered("Inner", "Map"),  # 14
        map_started(1),
        iteration("Started", 0, "Inner"),
        entered("Import"),  # 17
    )

    visits = Visits(recorded)

    assert [(visit.state, [branch.index for branch in visit.around]) for visit in visits.all] == [
        ("Outer", []),
        ("Inner", [0]),
        ("Import", [0, 0]),
        ("Inner", [1]),
        ("Import", [0, 1]),
    ]
    assert visits.all[0].items_done == 1


def test_a_map_is_tried_again_behind_the_event_that_failed_it():
    """AWS tells no MapStateFailed before it tries a Map again."""
    recorded = events(
        entered("Imports", "Map"),
        map_started(1),
        iteration("Started", 0),
        entered("Import Failed", "Fail"),  # 4
        iteration("Failed", 0),
        map_started(1, previousEventId=4),
        iteration("Started", 0),
        entered("Import"),  # 8
        event("TaskTimedOut"),
        iteration("Failed", 0),
        event("MapStateFailed", previousEventId=9),
        {"type": "ExecutionFailed", "executionFailedEventDetails": {"error": "States.Timeout"}},
    )

    visits = Visits(recorded)

    assert visits.all[0].tries == 2
    assert failure_of(visits) == Failure("Import", "States.Timeout", "")
    assert [visit.status for visit in visits.all] == ["failed", "failed", "timed out"]


def test_an_evaluation_that_failed_names_its_state():
    """Its event follows the one before the state was entered."""
    recorded = events(
        entered("Import"),
        exited("Import"),
        entered("Take the Name", "Pass"),
        {
            "type": "EvaluationFailed",
            "previousEventId": 2,
            "evaluationFailedEventDetails": {
                "error": "States.QueryEvaluationError",
                "cause": "no such field",
                "state": "Take the Name",
            },
        },
        execution_failed("States.QueryEvaluationError", "no such field"),
    )

    assert failure_of(recorded).state == "Take the Name"


@pytest.mark.parametrize("last", [5, 6])
def test_of_the_branches_of_a_parallel_the_one_that_failed_is_named(last):
    """AWS chains the end of a Parallel to what failed, the local interpreter to the newest."""
    recorded = events(
        entered("Both", "Parallel"),
        event("ParallelStateStarted"),
        entered("Left", previousEventId=2),
        entered("Right", previousEventId=2),
        task_failed("E", "no", previousEventId=3),
        scheduled(FunctionName="f", after=4),
        event("ParallelStateFailed", previousEventId=last),
        exited("Both", "Parallel", previousEventId=7),
        entered("Retraining Failed", "Fail"),
        execution_failed("E", "no"),
    )

    visits = Visits(recorded)

    assert failed_visit(visits).state == "Left"
    assert [visit.branch and visit.branch.index for visit in visits.all] == [None, 0, 1, None]


def test_a_stopped_execution_failed_too():
    recorded = events(
        entered("ETL"),
        {"type": "ExecutionAborted", "executionAbortedEventDetails": {"cause": "by hand"}},
    )

    failure = failure_of(recorded)

    assert failure is not None
    assert (failure.error, failure.cause) == ("ExecutionAborted", "by hand")


def test_a_stop_inside_a_map_is_laid_on_the_state_that_was_cut_off():
    recorded = events(
        entered(IMPORTS, "Map"),
        map_started(1),
        iteration("Started", 0, IMPORTS),
        entered("Import Dataset"),
        scheduled(FunctionName="f"),
        event("TaskStateAborted"),
        iteration("Aborted", 0, IMPORTS),
        event("MapStateAborted"),
        event("ExecutionAborted", previousEventId=0),
    )

    visits = Visits(recorded)

    assert failure_of(visits).state == "Import Dataset"
    assert [visit.status for visit in visits.all] == ["aborted", "aborted"]


@pytest.mark.parametrize("again", [[], [entered("Train")]])
def test_a_redriven_execution_goes_on_where_it_failed(again):
    """Either the state is entered once more, or only its task is scheduled."""
    recorded = events(
        entered("Train"),
        scheduled(FunctionName="train"),
        task_failed("E", "busy"),
        execution_failed("E", "busy"),
        {"type": "ExecutionRedriven", "executionRedrivenEventDetails": {"redriveCount": 1}},
        *again,
        scheduled(FunctionName="train"),
    )
    running = Visits(recorded)
    ended = Visits(
        events(
            *recorded,
            exited("Train"),
            event("MapRunRedriven"),
            event("ExecutionSucceeded"),
            seconds=1,
        )
    )

    assert (running.status, running.all[-1].status) == ("RUNNING", "running")
    assert failure_of(running) is None
    assert (ended.status, ended.all[-1].status) == ("SUCCEEDED", "succeeded")


def test_events_of_unknown_types_are_skipped():
    recorded = events(
        event("SomethingNew"),
        entered("ETL"),
        {"type": "TaskPondered", "taskPonderedEventDetails": {"mood": "good"}},
        scheduled(FunctionName="f"),
        exited("ETL"),
        event("ExecutionCelebrated"),
    )

    assert [(step.type, step.state) for step in steps_of(recorded)] == [
        ("entered", "ETL"),
        ("exited", "ETL"),
    ]


def test_a_successful_or_running_execution_has_no_failure():
    assert failure_of(events(entered("ETL"))) is None
    assert failure_of(events(entered("ETL"), {"type": "ExecutionSucceeded"})) is None
    assert failure_of([]) is None


def test_the_sentence_is_taken_out_of_what_lambda_and_glue_wrap_it_in():
    assert readable_cause('{"errorMessage": "a", "errorType": "b"}') == "a"
    assert readable_cause('{"JobRunState": "FAILED", "ErrorMessage": "table gone"}') == "table gone"
    assert readable_cause("plain words") == "plain words"
    assert readable_cause("[1, 2]") == "[1, 2]"


def test_a_job_of_sagemaker_that_was_stopped_says_so_by_its_status():
    job = {"TrainingJobName": "nightly-own", "TrainingJobStatus": "Stopped", "HyperParameters": {}}
    assert readable_cause(json.dumps(job)) == "training job 'nightly-own' is Stopped"
    job["SecondaryStatus"] = "MaxRuntimeExceeded"
    stopped = "training job 'nightly-own' is Stopped (MaxRuntimeExceeded)"
    assert readable_cause(json.dumps(job)) == stopped
    failed = {"TransformJobStatus": "Failed", "FailureReason": "ClientError: no such line"}
    assert readable_cause(json.dumps(failed)) == "ClientError: no such line"


# ── Reading on ──────────────────────────────────────────────────────────────────────────────────


class GrowingExecution:
    """An execution whose history grows at will, behind a real boto3 client.

    Answers as AWS documents it: 100 events in a page if the request does not say, at most 1,000
    and perhaps fewer than requested, a token for an event, none on the last page.
    """

    arn = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:m:night"

    def __init__(self, largest_page=1_000):
        self.length = self.requests = self.transferred = 0
        self.largest_page = largest_page
        self.client = boto3.client(
            "stepfunctions",
            region_name=REGION,
            aws_access_key_id="none",
            aws_secret_access_key="none",
        )
        self.client.meta.events.register("before-send.sfn.GetExecutionHistory", self._answer)

    def _answer(self, request, **_):
        parameters = json.loads(request.body)
        size = min(parameters.get("maxResults") or 100, self.largest_page)
        ids = range(1, self.length + 1)
        if parameters.get("reverseOrder"):
            ids = ids[::-1]
        start = ids.index(int(parameters["nextToken"])) if "nextToken" in parameters else 0
        page = {
            "events": [
                {"id": n, "previousEventId": n - 1, "type": "TaskStateEntered", "timestamp": n}
                for n in ids[start : start + size]
            ]
        }
        if start + size < len(ids):
            page["nextToken"] = str(ids[start + size])
        self.requests += 1
        self.transferred += len(page["events"])
        response = AWSResponse(request.url, 200, {}, None)
        response._content = json.dumps(page).encode()
        return response


def test_a_history_is_read_whole_in_few_requests():
    execution = GrowingExecution()
    execution.length = 10_000

    read = history(execution.client, execution.arn)

    assert [event["id"] for event in read] == list(range(1, 10_001))
    assert (execution.requests, execution.transferred) == (10, 10_000)


def test_watching_transfers_each_event_once():
    """Beside them one event for each poll: the newest, whose number tells how many are missing."""
    execution = GrowingExecution()
    reader = HistoryReader(execution.client, execution.arn)
    polls, read = 0, []

    for growth in [3, 0, 0, 1, 100, 0, 57, 999, 0] * 9:
        execution.length += growth
        read += reader.read()
        polls += 1

    assert [event["id"] for event in read] == list(range(1, execution.length + 1))
    assert execution.length == 10_440
    assert execution.transferred == execution.length + polls - 1
    assert list(reader.read_all()) == read


@pytest.mark.parametrize("largest_page", [1_000, 40])
def test_reads_of_several_pages_overlap_by_less_than_one_page(largest_page):
    execution = GrowingExecution(largest_page)
    reader = HistoryReader(execution.client, execution.arn)
    read = []

    for growth in (5, 2_345):
        execution.length += growth
        read += reader.read()

    assert [event["id"] for event in read] == list(range(1, 2_351))
    assert execution.transferred < 2_350 + 1 + largest_page


def test_an_execution_without_events_yet_is_read_later():
    execution = GrowingExecution()
    reader = HistoryReader(execution.client, execution.arn)

    assert reader.read() == []
    execution.length = 2
    assert [event["id"] for event in reader.read()] == [1, 2]


def test_a_history_that_was_lost_ends_the_reading():
    """The served AWS tells of an execution that a kill cut off only its begin and its end."""
    execution = GrowingExecution()
    reader = HistoryReader(execution.client, execution.arn)
    execution.length = 50
    reader.read()

    execution.length = 2

    assert reader.read() == []


def test_following_a_run_costs_about_what_reading_it_once_does():
    """At the local endpoint: a loop of 60 rounds, polled while it goes on.

    An event is transferred a second time at most: where others came between two requests.
    """
    again = {"Variable": "$.n", "NumericLessThan": 60, "Next": "Wait"}
    definition = {
        "StartAt": "Begin",
        "States": {
            "Begin": {"Type": "Pass", "Result": {"n": 0}, "Next": "Wait"},
            "Wait": {"Type": "Wait", "Seconds": 1, "Next": "Count"},
            "Count": {
                "Type": "Pass",
                "Parameters": {"n.$": "States.MathAdd($.n, 1)"},
                "Next": "Again?",
            },
            "Again?": {"Type": "Choice", "Choices": [again], "Default": "Done"},
            "Done": {"Type": "Succeed"},
        },
    }
    transferred, polls = [], []
    with Endpoint(account=ACCOUNT, region=REGION, time_scale=0.05) as endpoint:
        client = endpoint.client("stepfunctions")
        machine = client.create_state_machine(
            name="loop",
            definition=json.dumps(definition),
            roleArn=f"arn:aws:iam::{ACCOUNT}:role/states",
        )["stateMachineArn"]
        arn = client.start_execution(stateMachineArn=machine, name="night")["executionArn"]
        client.meta.events.register(
            "after-call.sfn.GetExecutionHistory",
            lambda parsed, **_: transferred.append(len(parsed["events"])),
        )

        reader = HistoryReader(client, arn)
        steps = list(follow(reader, poll_seconds=0.02, on_poll=lambda: polls.append(1)))

        whole = history(client, arn)
    assert [step.state for step in steps] == [step.state for step in steps_of(whole)]
    assert len(whole) == 2 + 2 + 60 * 6 + 2
    assert len(polls) > 5
    assert sum(transferred[:-1]) <= 2 * len(whole) + len(polls)


def test_who_follows_a_run_is_told_once_why_a_task_waits_to_be_tried_again():
    """At the local endpoint: a bucket that is not there is asked for three times."""
    task = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:s3:headBucket"}
    task |= {"Parameters": {"Bucket": "nobody-s"}, "Next": "Done"}
    again = {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "BackoffRate": 1}
    caught = [{"ErrorEquals": ["States.ALL"], "Next": "Done"}]
    definition = {
        "StartAt": "Begin Run",
        "States": {
            "Begin Run": {**task, "Retry": [{**again, "MaxAttempts": 2}], "Catch": caught},
            "Done": {"Type": "Succeed"},
        },
    }
    with Endpoint(account=ACCOUNT, region=REGION, time_scale=1) as endpoint:
        client = endpoint.client("stepfunctions")
        machine = client.create_state_machine(
            name="waiting",
            definition=json.dumps(definition),
            roleArn=f"arn:aws:iam::{ACCOUNT}:role/states",
        )["stateMachineArn"]
        arn = client.start_execution(stateMachineArn=machine, name="night")["executionArn"]

        steps = list(follow(HistoryReader(client, arn), poll_seconds=0.1))

    assert [(step.type, step.state) for step in steps] == [
        ("entered", "Begin Run"),
        ("waits", "Begin Run"),
        ("exited", "Begin Run"),
        ("entered", "Done"),
        ("exited", "Done"),
    ]
    assert steps[1].reason.startswith("Not Found (Service: S3")
    assert steps[1].at > steps[0].at
