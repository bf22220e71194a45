"""Histories → steps and failures, in the form in which AWS tells them."""

from datetime import UTC, datetime, timedelta

from workflow.runs.history import Failure, Step, failure_of, readable_cause, steps_of

BEGIN = datetime(2024, 6, 1, tzinfo=UTC)


def events(*told):
    """Number events and link each to the one before, one second apart."""
    return [
        {"id": n, "previousEventId": n - 1, "timestamp": BEGIN + timedelta(seconds=n), **event}
        for n, event in enumerate(told, start=1)
    ]


def entered(name, kind="Task", data="{}"):
    details = {"name": name, "input": data}
    return {"type": f"{kind}StateEntered", "stateEnteredEventDetails": details}


def exited(name, kind="Task"):
    return {"type": f"{kind}StateExited", "stateExitedEventDetails": {"name": name}}


def ended_badly(error, cause):
    details = {"error": error, "cause": cause}
    return {"type": "ExecutionFailed", "executionFailedEventDetails": details}


def test_steps_carry_durations_and_the_item_of_a_map():
    told = events(
        entered("Reimport All Datasets", "Map"),
        {"type": "MapIterationStarted", "mapIterationStartedEventDetails": {"index": 2}},
        entered("Import Dataset", data='{"datasetType": "ITEMS"}'),
        exited("Import Dataset"),
        {"type": "MapIterationSucceeded", "mapIterationSucceededEventDetails": {"index": 2}},
        {"type": "MapStateSucceeded"},
        exited("Reimport All Datasets", "Map"),
        entered("Create Solution Version"),
    )

    assert list(steps_of(told)) == [
        Step("entered", "Reimport All Datasets", "Map", None, "", told[0]["timestamp"], None),
        Step("entered", "Import Dataset", "Task", 2, "ITEMS", told[2]["timestamp"], None),
        Step("exited", "Import Dataset", "Task", 2, "ITEMS", told[3]["timestamp"], 1.0),
        Step("exited", "Reimport All Datasets", "Map", None, "", told[6]["timestamp"], 6.0),
        Step("entered", "Create Solution Version", "Task", None, "", told[7]["timestamp"], None),
    ]


def test_a_failure_is_laid_on_the_state_in_which_it_began():
    cause = '{"errorMessage": "no such bucket", "errorType": "NoSuchBucket"}'
    told = events(
        entered("List Datasets"),
        {"type": "TaskFailed", "taskFailedEventDetails": {"error": "E", "cause": cause}},
        exited("List Datasets"),
        entered("Report Failure"),
        exited("Report Failure"),
        entered("Retraining Failed", "Fail"),
        ended_badly("NoSuchBucket", cause),
    )

    assert failure_of(told) == Failure("List Datasets", "NoSuchBucket", "no such bucket")


def test_a_job_that_failed_is_laid_on_the_state_that_looked_at_it():
    told = events(
        entered("Get Solution Version Status"),
        exited("Get Solution Version Status"),
        entered("Solution Version Active?", "Choice"),
        exited("Solution Version Active?", "Choice"),
        entered("Report Failure"),
        exited("Report Failure"),
        entered("Retraining Failed", "Fail"),
        ended_badly("SolutionVersionFailed", "too few users"),
    )

    assert failure_of(told) == Failure(
        "Get Solution Version Status", "SolutionVersionFailed", "too few users"
    )


def test_a_stopped_execution_failed_too():
    told = events(
        entered("ETL"),
        {"type": "ExecutionAborted", "executionAbortedEventDetails": {"cause": "by hand"}},
    )

    failure = failure_of(told)

    assert failure is not None
    assert (failure.error, failure.cause) == ("ExecutionAborted", "by hand")


def test_what_succeeded_or_still_runs_has_no_failure():
    assert failure_of(events(entered("ETL"))) is None
    assert failure_of(events(entered("ETL"), {"type": "ExecutionSucceeded"})) is None
    assert failure_of([]) is None


def test_the_sentence_is_taken_out_of_what_lambda_and_glue_wrap_it_in():
    assert readable_cause('{"errorMessage": "a", "errorType": "b"}') == "a"
    assert readable_cause('{"JobRunState": "FAILED", "ErrorMessage": "table gone"}') == "table gone"
    assert readable_cause("plain words") == "plain words"
    assert readable_cause("[1, 2]") == "[1, 2]"
