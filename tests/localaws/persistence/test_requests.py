"""The journal of requests is repeated at the start, and does not grow with what is replaced."""

import json
import logging
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from localaws.aws import LocalAws
from localaws.persistence.documents import Documents

ROLE = "arn:aws:iam::123456789012:role/steps"
STATEMENT = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::rows/NUMBER"}
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [STATEMENT]})
CHANGING = """
import sys
from pathlib import Path
from localaws.aws import LocalAws

with LocalAws(directory=Path(sys.argv[1]), port=None) as aws:
    iam = aws.client("iam")
    iam.create_role(RoleName="role", AssumeRolePolicyDocument="{}")
    for number in range(100_000):
        policy = sys.argv[2].replace("NUMBER", str(number))
        iam.put_role_policy(RoleName="role", PolicyName="policy", PolicyDocument=policy)
        print(number, flush=True)
"""


@pytest.fixture(autouse=True)
def _everything_is_repeated(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.WARNING, "localaws")
    yield
    assert [record.getMessage() for record in caplog.records] == []


def entries(directory: Path) -> list[tuple[str, dict[str, Any]]]:
    with closing(Documents(directory / "aws.sqlite")) as documents:
        return list(documents.all("request"))


def put_policy(iam: Any, number: int, role: str = "role") -> None:
    document = POLICY.replace("NUMBER", str(number))
    iam.put_role_policy(RoleName=role, PolicyName="policy", PolicyDocument=document)


def policy_of(iam: Any, role: str = "role") -> int:
    policy = iam.get_role_policy(RoleName=role, PolicyName="policy")["PolicyDocument"]
    return int(policy["Statement"][0]["Resource"].rpartition("/")[2])


def passing(result: str) -> str:
    state = {"Type": "Pass", "Result": result, "End": True}
    return json.dumps({"StartAt": "Only", "States": {"Only": state}})


def test_what_is_replaced_leaves_no_entry(tmp_path: Path) -> None:
    with LocalAws(directory=tmp_path, port=None) as aws:
        iam, states = aws.client("iam"), aws.client("stepfunctions")
        for role in ("role", "other"):
            iam.create_role(RoleName=role, AssumeRolePolicyDocument="{}")
        machine = states.create_state_machine(
            name="machine", roleArn=ROLE, definition=passing("first")
        )["stateMachineArn"]
        for number in range(10):
            put_policy(iam, number)
            put_policy(iam, number, "other")
            states.update_state_machine(stateMachineArn=machine, definition=passing(str(number)))

    assert len(entries(tmp_path)) == 3 + 3
    with LocalAws(directory=tmp_path, port=None) as aws:
        iam, states = aws.client("iam"), aws.client("stepfunctions")
        assert (policy_of(iam), policy_of(iam, "other")) == (9, 9)
        described = states.describe_state_machine(stateMachineArn=machine)
        assert described["definition"] == passing("9")
        put_policy(iam, 10)

    assert len(entries(tmp_path)) == 3 + 3


def test_what_a_request_in_between_needs_is_kept(tmp_path: Path) -> None:
    with LocalAws(directory=tmp_path, port=None) as aws:
        iam, states = aws.client("iam"), aws.client("stepfunctions")
        iam.create_role(RoleName="role", AssumeRolePolicyDocument="{}")
        put_policy(iam, 1)
        iam.delete_role_policy(RoleName="role", PolicyName="policy")
        put_policy(iam, 2)
        machine = states.create_state_machine(
            name="machine", roleArn=ROLE, definition=passing("first")
        )["stateMachineArn"]
        versions = []
        for result in ("second", "third"):
            states.update_state_machine(stateMachineArn=machine, definition=passing(result))
            versions.append(states.publish_state_machine_version(stateMachineArn=machine))
        versions.append(
            states.update_state_machine(
                stateMachineArn=machine, definition=passing("fourth"), publish=True
            )
        )
        states.update_state_machine(stateMachineArn=machine, roleArn=f"{ROLE}-2")
        states.update_state_machine(stateMachineArn=machine, definition=passing("fifth"))

    with LocalAws(directory=tmp_path, port=None) as aws:
        states = aws.client("stepfunctions")
        assert policy_of(aws.client("iam")) == 2
        described = [
            states.describe_state_machine(stateMachineArn=version["stateMachineVersionArn"])
            for version in versions
        ]
        assert [each["definition"] for each in described] == [
            passing("second"), passing("third"), passing("fourth"),
        ]  # fmt: skip
        now = states.describe_state_machine(stateMachineArn=machine)
        assert (now["definition"], now["roleArn"]) == (passing("fifth"), f"{ROLE}-2")


def test_a_request_that_is_refused_replaces_nothing(tmp_path: Path) -> None:
    with LocalAws(directory=tmp_path, port=None) as aws:
        iam = aws.client("iam")
        iam.create_role(RoleName="role", AssumeRolePolicyDocument="{}")
        put_policy(iam, 1)
        with pytest.raises(iam.exceptions.MalformedPolicyDocumentException):
            iam.put_role_policy(RoleName="role", PolicyName="policy", PolicyDocument="no JSON")

    with LocalAws(directory=tmp_path, port=None) as aws:
        assert policy_of(aws.client("iam")) == 1


def test_the_start_drops_what_an_earlier_version_has_kept(tmp_path: Path) -> None:
    with LocalAws(directory=tmp_path, port=None) as aws:
        iam = aws.client("iam")
        iam.create_role(RoleName="role", AssumeRolePolicyDocument="{}")
        put_policy(iam, 1)
    (_, role), (_, policy) = entries(tmp_path)
    assert "CreateRole" in role["body"].decode()
    with closing(Documents(tmp_path / "aws.sqlite")) as documents:
        for number in range(50):
            body = policy["body"].replace(b"rows%2F1%22", f"rows%2F{number}%22".encode())
            documents.put("request", f"again {number}", policy | {"body": body, "seed": number})

    with LocalAws(directory=tmp_path, port=None) as aws:
        assert policy_of(aws.client("iam")) == 49

    assert [key for key, _ in entries(tmp_path)][1:] == ["again 49"]


def test_a_kill_at_any_time_leaves_what_was_answered_last(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CHANGING, str(tmp_path), POLICY], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        for line in process.stdout:
            if int(line) == 30:
                process.kill()
                break
        answered = max([30, *map(int, process.stdout.read().split())])

    assert len(entries(tmp_path)) <= 3
    with LocalAws(directory=tmp_path, port=None) as aws:
        assert policy_of(aws.client("iam")) in {answered, answered + 1}
