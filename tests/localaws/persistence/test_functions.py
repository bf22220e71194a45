"""Functions outlive a restart of the served AWS, with the policies that let others invoke them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from localaws.aws import LocalAws
from tests.zips import zipped


def test_a_function_s_policy_outlives_a_restart(tmp_path: Path) -> None:
    served: dict[str, Any] = {"directory": tmp_path / "aws", "account": "210987654321"}
    statement = {
        "FunctionName": "echo",
        "StatementId": "rule",
        "Action": "lambda:InvokeFunction",
        "Principal": "events.amazonaws.com",
    }
    with LocalAws(**served) as aws:
        functions = aws.client("lambda")
        functions.create_function(
            FunctionName="echo",
            Runtime="python3.13",
            Role="arn:aws:iam::210987654321:role/functions",
            Handler="app.handler",
            Code={
                "ZipFile": zipped({"app.py": "def handler(event, context):\n    return event\n"})
            },
        )
        functions.add_permission(**statement)
        before = functions.get_policy(FunctionName="echo")["Policy"]

    with LocalAws(**served) as aws:
        after = aws.client("lambda").get_policy(FunctionName="echo")["Policy"]

    assert after == before
    assert json.loads(after)["Statement"][0]["Sid"] == "rule"


PROCESS = """
import os
import boto3

def handler(event, context):
    return os.getpid()
"""


def with_process(aws: LocalAws) -> None:
    aws.client("lambda").create_function(
        FunctionName="process",
        Runtime="python3.13",
        Role="arn:aws:iam::123456789012:role/functions",
        Handler="app.handler",
        Code={"ZipFile": zipped({"app.py": PROCESS})},
    )


def process_of(aws: LocalAws) -> int:
    response = aws.client("lambda").invoke(FunctionName="process", Payload=b"{}")
    process = json.load(response["Payload"])
    assert isinstance(process, int), process
    return process


def test_a_function_s_process_is_kept_for_the_next_call_after_a_restart_too(
    tmp_path: Path,
) -> None:
    with LocalAws(directory=tmp_path, port=None) as aws:
        with_process(aws)
        assert process_of(aws) == process_of(aws)

    with LocalAws(directory=tmp_path, port=None) as aws:
        assert process_of(aws) == process_of(aws)


@pytest.mark.parametrize("keeps_links", [True, False])
def test_functions_run_in_a_copied_directory(tmp_path: Path, *, keeps_links: bool) -> None:
    """With links followed, the copy has packages where the links were."""
    with LocalAws(directory=tmp_path / "first", port=None) as aws:
        with_process(aws)
        process_of(aws)
    shutil.copytree(tmp_path / "first", tmp_path / "second", symlinks=keeps_links)
    shutil.move(tmp_path / "first", tmp_path / "moved")

    for name in ("second", "moved"):
        for _ in range(2):
            with LocalAws(directory=tmp_path / name, port=None) as aws:
                process_of(aws)
        assert (tmp_path / name / "functions/runtime/boto3").is_symlink()
