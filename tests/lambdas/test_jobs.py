"""Names of jobs, and the response that the job handlers share."""

import re

import pytest

from lambdas.jobs import job_name, job_response


def test_a_job_s_name_is_readable_and_the_same_for_the_same_run() -> None:
    assert job_name("users", "20240601T040000Z") == "users-20240601T040000Z-c0ed2a1a07"
    assert job_name("users", "毎日") == "users-46f5dc37de"


@pytest.mark.parametrize(
    "run", ["x" * 80, "求人" * 40, "_-!'()*,.~ ", "a:b/c", "-", "", "run", "run "]
)
def test_every_execution_name_gives_a_name_that_personalize_takes(run: str) -> None:
    for purpose in ("users", "interactions", "version", "batch"):
        name = job_name(purpose, run)

        assert re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9\-_]{0,62}", name)
        assert name.startswith(purpose)


def test_runs_that_read_alike_get_different_names() -> None:
    runs = ["x" * 79 + "a", "x" * 79 + "b", "run 1", "run-1", "run_1", "東京", "大阪"]

    assert len({job_name("users", run) for run in runs}) == 7


def test_a_response_has_an_empty_reason_unless_the_job_failed() -> None:
    assert job_response("arn:x", "ACTIVE", 15) == {
        "arn": "arn:x",
        "status": "ACTIVE",
        "waitSeconds": 15,
        "expected": None,
        "failureReason": "",
    }
    assert job_response("arn:x", "CREATE FAILED", 15, "why")["failureReason"] == "why"
