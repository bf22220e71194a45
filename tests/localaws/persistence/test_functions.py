"""Functions outlive a restart of the served AWS, with the policies that let others invoke them."""

import json
from pathlib import Path
from typing import Any

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
