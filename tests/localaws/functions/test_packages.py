"""Functions that were deployed: what runs is the zip, alone, as on Lambda."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.functions.service import Functions
from localaws.http.endpoint import Endpoint
from tests.zips import zipped
from workflow.config import load_config
from workflow.deployment.artefacts import build_artefacts
from workflow.settings import FUNCTIONS

ACCOUNT, REGION = "210987654321", "ap-northeast-1"
ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/functions"
CHECKOUT = Path(__file__).parents[3]

ECHO = """
import os, sys
LOADED = []

def handler(event, context):
    LOADED.append(event)
    return {"event": event, "name": context.function_name, "calls": len(LOADED), "pid": os.getpid()}
"""
ISOLATED = """
import importlib, os, sys

def handler(event, context):
    names = {}
    for name in event:
        try:
            names[name] = importlib.import_module(name).__name__
        except ImportError as error:
            names[name] = str(error)
    return {"names": names, "cwd": os.getcwd(), "first": sys.path[0]}
"""
ENVIRONMENT = """
import os, tempfile
import boto3

def handler(event, context):
    signed = boto3.client("s3")._request_signer._credentials.access_key
    return {
        "signed": signed,
        "reached": [b["Name"] for b in boto3.client("s3").list_buckets()["Buckets"]],
        "set": {name: os.environ.get(name) for name in event},
        "temporary": tempfile.gettempdir(),
    }
"""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with Endpoint(account=ACCOUNT, region=REGION) as endpoint:
        where = {"LocationConstraint": REGION}
        endpoint.client("s3").create_bucket(Bucket="artifacts", CreateBucketConfiguration=where)
        yield endpoint


@pytest.fixture(scope="module")
def functions(endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Functions]:
    def environment(role: str) -> dict[str, str]:
        return {**endpoint.environment, "AWS_ACCESS_KEY_ID": role.rpartition("/")[2]}

    functions = Functions(
        account=ACCOUNT,
        region=REGION,
        directory=tmp_path_factory.mktemp("functions"),
        environment=environment,
        s3=lambda: endpoint.client("s3"),
    )
    endpoint.mount("lambda", functions)
    yield functions
    functions.close()


@pytest.fixture(autouse=True)
def nothing_deployed(endpoint: Endpoint, functions: Functions) -> Iterator[None]:
    yield
    client = endpoint.client("lambda")
    for function in client.list_functions()["Functions"]:
        client.delete_function(FunctionName=function["FunctionName"])


def deploy(endpoint: Endpoint, name: str, source: str, **more: Any) -> dict[str, Any]:
    """Create a function whose handler is `app.handler` in a zip with this source."""
    settings = {
        "Runtime": "python3.13",
        "Role": ROLE,
        "Handler": "app.handler",
        "Code": {"ZipFile": zipped({"app.py": source})},
        **more,
    }
    created: dict[str, Any] = endpoint.client("lambda").create_function(
        FunctionName=name, **settings
    )
    return created


def invoke(endpoint: Endpoint, name: str, event: Any = None) -> Any:
    payload = json.dumps(event).encode()
    answer = endpoint.client("lambda").invoke(FunctionName=name, Payload=payload)
    return json.load(answer["Payload"])


def refusal(call: Any, **request: Any) -> tuple[str, str, int]:
    """Code, message and HTTP status with which a call is refused."""
    with pytest.raises(ClientError) as refused:
        call(**request)
    answer = refused.value.response
    return (
        answer["Error"]["Code"],
        answer["Error"]["Message"],
        answer["ResponseMetadata"]["HTTPStatusCode"],
    )


def test_a_function_is_described_as_on_aws(endpoint: Endpoint, functions: Functions) -> None:
    client, code = endpoint.client("lambda"), zipped({"app.py": ECHO})
    variables = {"Variables": {"TABLE": "users"}}

    deploy(
        endpoint,
        "echo",
        ECHO,
        Timeout=30,
        MemorySize=512,
        Architectures=["arm64"],
        Environment=variables,
        Tags={"a": "b"},
    )

    client.get_waiter("function_active_v2").wait(FunctionName="echo")
    description = client.get_function(FunctionName="echo")
    configuration = description["Configuration"]
    assert len(configuration.pop("RevisionId")) == 36
    assert time.strptime(configuration.pop("LastModified")[:19], "%Y-%m-%dT%H:%M:%S")
    assert configuration == {
        "FunctionName": "echo",
        "FunctionArn": f"{ARN}echo",
        "Runtime": "python3.13",
        "Role": ROLE,
        "Handler": "app.handler",
        "CodeSize": len(code),
        "CodeSha256": base64.b64encode(hashlib.sha256(code).digest()).decode(),
        "Description": "",
        "Timeout": 30,
        "MemorySize": 512,
        "Environment": variables,
        "PackageType": "Zip",
        "Architectures": ["arm64"],
        "EphemeralStorage": {"Size": 512},
        "TracingConfig": {"Mode": "PassThrough"},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/echo"},
        "Version": "$LATEST",
        "State": "Active",
        "LastUpdateStatus": "Successful",
    }
    assert description["Tags"] == {"a": "b"}
    stored = Path(description["Code"]["Location"].removeprefix("file://"))
    assert stored.read_bytes() == code


def test_the_deployed_code_sees_the_standard_library_itself_and_boto3_alone(
    endpoint: Endpoint, functions: Functions
) -> None:
    code = zipped({"pkg/__init__.py": "", "pkg/app.py": ISOLATED, "pkg/own.py": ""})
    deploy(endpoint, "isolated", "", Code={"ZipFile": code}, Handler="pkg.app.handler")
    seen = ["json", "sqlite3", "boto3", "botocore", "urllib3", "dateutil", "pkg.own"]
    hidden = ["pydantic", "numpy", "workflow", "lambdas", "localaws", "pytest", "setuptools"]

    answer = invoke(endpoint, "isolated", seen + hidden)

    assert answer["names"] == {
        **{name: name for name in seen},
        **{name: f"No module named '{name}'" for name in hidden},
    }
    assert answer["cwd"] == answer["first"]
    assert not Path(answer["cwd"]).is_relative_to(CHECKOUT)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_projects_own_package_loads_with_nothing_else_there(
    endpoint: Endpoint, functions: Functions, name: str
) -> None:
    """Its handler runs, and reports the members that the event lacks."""
    package = build_artefacts(load_config(CHECKOUT / "retraining.toml")).functions
    endpoint.client("s3").put_object(Bucket="artifacts", Key=package.key, Body=package.body)
    code = {"S3Bucket": "artifacts", "S3Key": package.key}
    deploy(endpoint, name, "", Code=code, Handler=f"lambdas.{name.replace('-', '_')}.handler")

    answer = invoke(endpoint, name, {})

    assert answer["errorType"] == "KeyError"
    assert f"lambdas/{name.replace('-', '_')}.py" in "".join(answer["stackTrace"])


def test_a_function_signs_as_its_role_and_has_its_own_variables(
    endpoint: Endpoint, functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "of this process")
    deploy(endpoint, "signs", ENVIRONMENT, Environment={"Variables": {"TABLE": "users"}})

    answer = invoke(
        endpoint, "signs", ["TABLE", "AWS_LAMBDA_FUNCTION_NAME", "DATABASE_PASSWORD", "TZ"]
    )

    assert answer["signed"] == "functions"
    assert answer["reached"] == ["artifacts"]
    assert answer["set"] == {
        "TABLE": "users",
        "AWS_LAMBDA_FUNCTION_NAME": "signs",
        "DATABASE_PASSWORD": None,
        "TZ": ":UTC",
    }
    assert Path(answer["temporary"]).parent.name == "tmp"
    assert Path(answer["temporary"]).is_dir()


def test_code_is_read_from_a_bucket_and_a_later_version_of_it_runs(
    endpoint: Endpoint, functions: Functions
) -> None:
    client, s3 = endpoint.client("lambda"), endpoint.client("s3")
    first, second = (zipped({"app.py": f"def handler(e, c): return {n}"}) for n in (1, 2))
    s3.put_object(Bucket="artifacts", Key="one.zip", Body=first)
    s3.put_object(Bucket="artifacts", Key="two.zip", Body=second)
    created = deploy(endpoint, "n", "", Code={"S3Bucket": "artifacts", "S3Key": "one.zip"})
    assert invoke(endpoint, "n") == 1
    update = {"FunctionName": "n", "S3Bucket": "artifacts", "S3Key": "two.zip"}

    dry = client.update_function_code(**update, DryRun=True)
    assert (
        client.get_function_configuration(FunctionName="n")["CodeSha256"] == (created["CodeSha256"])
    )
    assert invoke(endpoint, "n") == 1
    updated = client.update_function_code(**update, RevisionId=created["RevisionId"])

    expected = base64.b64encode(hashlib.sha256(second).digest()).decode()
    assert dry["CodeSha256"] == updated["CodeSha256"] == expected
    assert updated["LastUpdateStatus"] == "Successful"
    assert invoke(endpoint, "n") == 2
    assert refusal(client.update_function_code, **update, RevisionId=created["RevisionId"])[
        ::2
    ] == (
        "PreconditionFailedException",
        412,
    )


def test_a_changed_configuration_is_that_of_the_next_invocation(
    endpoint: Endpoint, functions: Functions
) -> None:
    client = endpoint.client("lambda")
    source = "import os\ndef handler(e, c): return [os.environ.get('ONE'), os.environ.get('TWO')]\n"
    created = deploy(endpoint, "env", source, Environment={"Variables": {"ONE": "1"}})
    assert invoke(endpoint, "env") == ["1", None]

    changed = client.update_function_configuration(
        FunctionName="env", Environment={"Variables": {"TWO": "2"}}, Timeout=7
    )

    assert (changed["Timeout"], changed["Environment"]) == (7, {"Variables": {"TWO": "2"}})
    assert changed["CodeSha256"] == created["CodeSha256"]
    assert changed["RevisionId"] != created["RevisionId"]
    assert invoke(endpoint, "env") == [None, "2"]
    client.update_function_configuration(FunctionName="env", Environment={"Variables": {}})
    assert "Environment" not in client.get_function_configuration(FunctionName="env")


def test_tags_are_set_and_removed(endpoint: Endpoint, functions: Functions) -> None:
    client = endpoint.client("lambda")
    arn = deploy(endpoint, "tagged", ECHO, Tags={"a": "1", "b": "2"})["FunctionArn"]

    client.tag_resource(Resource=arn, Tags={"b": "3", "c": "4"})
    client.untag_resource(Resource=arn, TagKeys=["a", "c"])

    assert client.list_tags(Resource=arn)["Tags"] == {"b": "3"}


def test_functions_are_listed_by_pages_and_deleted(
    endpoint: Endpoint, functions: Functions
) -> None:
    client = endpoint.client("lambda")
    for name in ("b", "c", "a"):
        deploy(endpoint, name, ECHO)

    pages = client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2})
    listed = [[f["FunctionName"] for f in page["Functions"]] for page in pages]
    client.delete_function(FunctionName="b")

    assert listed == [["a", "b"], ["c"]]
    assert refusal(client.get_function, FunctionName="b") == (
        "ResourceNotFoundException",
        f"Function not found: {ARN}b",
        404,
    )


@pytest.mark.parametrize(
    ("settings", "code", "message"),
    [
        ({"Code": {"ZipFile": b"no zip"}}, "InvalidParameterValueException", "Could not unzip"),
        (
            {"Code": {"S3Bucket": "artifacts", "S3Key": "none.zip"}},
            "InvalidParameterValueException",
            "Error occurred while GetObject. S3 Error Code: NoSuchKey.",
        ),
        (
            {"Environment": {"Variables": {"AWS_REGION": "x", "TABLE": "y"}}},
            "InvalidParameterValueException",
            "Reserved keys used in this request: AWS_REGION",
        ),
        ({"Timeout": 901}, "InvalidParameterValueException", "less than or equal to 900"),
        (
            {"Layers": [f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:pandas:1"]},
            "InvalidParameterValueException",
            "Layers: not supported",
        ),
        ({"Role": "functions"}, "ValidationException", "Value 'functions' at 'Role' failed to"),
        ({"Runtime": "nodejs22.x"}, "InvalidParameterValueException", "runs Python alone"),
    ],
)
def test_a_request_that_lambda_refuses_creates_nothing(
    endpoint: Endpoint, functions: Functions, settings: Any, code: str, message: str
) -> None:
    client = endpoint.client("lambda")
    request = {"Runtime": "python3.13", "Role": ROLE, "Handler": "app.handler"}
    request["Code"] = {"ZipFile": zipped({"app.py": ECHO})}

    refused = refusal(client.create_function, FunctionName="f", **{**request, **settings})

    assert refused[::2] == (code, 400)
    assert message in refused[1]
    assert client.list_functions()["Functions"] == []


def test_a_name_that_is_taken_is_refused(endpoint: Endpoint, functions: Functions) -> None:
    deploy(endpoint, "taken", ECHO)

    with pytest.raises(ClientError) as refused:
        deploy(endpoint, "taken", ECHO)

    assert refused.value.response["Error"]["Code"] == "ResourceConflictException"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 409


@pytest.mark.parametrize(
    ("source", "handler", "error_type", "message"),
    [
        (
            "import numpy\n",
            "app.handler",
            "Runtime.ImportModuleError",
            "Unable to import module 'app': No module named 'numpy'",
        ),
        (
            ECHO,
            "main.handler",
            "Runtime.ImportModuleError",
            "Unable to import module 'main': No module named 'main'",
        ),
        (ECHO, "app.run", "Runtime.HandlerNotFound", "Handler 'run' missing on module 'app'"),
        (
            ECHO,
            "handler",
            "Runtime.MalformedHandlerName",
            "Bad handler 'handler': not enough values to unpack (expected 2, got 1)",
        ),
        (
            "def handler(:\n",
            "app.handler",
            "Runtime.UserCodeSyntaxError",
            "Syntax error in module 'app': invalid syntax (app.py, line 1)",
        ),
        ("raise KeyError('TABLE')\n", "app.handler", "KeyError", "'TABLE'"),
        (
            "def handler(e, c): raise type('Busy', (Exception,), {})('先')\n",
            "app.handler",
            "Busy",
            "先",
        ),
        (
            "def handler(e, c): return {1, 2}\n",
            "app.handler",
            "Runtime.MarshalError",
            "Unable to marshal response: Object of type set is not JSON serializable",
        ),
    ],
)
def test_an_error_of_the_code_is_reported_as_by_the_python_runtime(
    endpoint: Endpoint,
    functions: Functions,
    source: str,
    handler: str,
    error_type: str,
    message: str,
) -> None:
    deploy(endpoint, "fails", source, Handler=handler)

    answer = invoke(endpoint, "fails")

    assert (answer["errorType"], answer["errorMessage"]) == (error_type, message)
    assert f"[ERROR] {error_type}: {message}\n" in functions.logs("fails")


def test_a_file_that_others_may_not_read_cannot_be_imported(
    endpoint: Endpoint, functions: Functions
) -> None:
    """Lambda runs as another user than the one who unpacks."""
    deploy(endpoint, "closed", "", Code={"ZipFile": zipped({"app.py": ECHO}, mode=0o600)})

    answer = invoke(endpoint, "closed")

    assert answer["errorType"] == "PermissionError"
    assert answer["errorMessage"].startswith("[Errno 13] Permission denied: '")
    assert answer["errorMessage"].endswith("/app.py'")


def test_a_function_longer_than_its_timeout_is_cut_off_with_its_children(
    endpoint: Endpoint, functions: Functions, tmp_path: Path
) -> None:
    source = f"""
import subprocess, sys, time
def handler(event, context):
    if event:
        return event
    child = "import time; time.sleep(1.5); open({str(tmp_path / "late")!r}, 'w')"
    subprocess.Popen([sys.executable, "-c", child])
    print("about to sleep")
    time.sleep(60)
"""
    deploy(endpoint, "slow", source, Timeout=1)
    started = time.monotonic()

    answer = invoke(endpoint, "slow")

    assert 1 <= time.monotonic() - started < 3
    assert answer["errorType"] == "Sandbox.Timedout"
    assert answer["errorMessage"] == (
        f"RequestId: {answer['requestId']} Error: Task timed out after 1.00 seconds"
    )
    assert "about to sleep\n" in functions.logs("slow")
    assert invoke(endpoint, "slow", "again") == "again"
    time.sleep(max(0, started + 2.2 - time.monotonic()))
    assert not (tmp_path / "late").exists()


@pytest.mark.parametrize(
    ("leave", "reason"),
    [
        ("sys.exit(3)", "Runtime exited with error: exit status 3"),
        ("os._exit(0)", "Runtime exited without providing a reason"),
        ("os.kill(os.getpid(), 9)", "Runtime exited with error: signal: killed"),
    ],
)
def test_a_process_that_ends_fails_its_invocation_only(
    endpoint: Endpoint, functions: Functions, leave: str, reason: str
) -> None:
    source = f"import os, sys\ndef handler(e, c):\n    return e or {leave}\n"
    deploy(endpoint, "leaves", source)

    answer = invoke(endpoint, "leaves")

    assert answer["errorType"] == "Runtime.ExitError"
    assert answer["errorMessage"] == f"RequestId: {answer['requestId']} Error: {reason}"
    assert invoke(endpoint, "leaves", "next") == "next"


def test_a_process_is_kept_and_concurrent_invocations_have_their_own(
    endpoint: Endpoint, functions: Functions, tmp_path: Path
) -> None:
    meet = f"""
import pathlib, time
def wait(event):
    directory = pathlib.Path({str(tmp_path)!r})
    (directory / str(event)).touch()
    while len(list(directory.iterdir())) < 3:
        time.sleep(0.01)
"""
    source = meet + ECHO.replace("    LOADED.", "    wait(event)\n    LOADED.")
    deploy(endpoint, "kept", source, Timeout=10)
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda n: invoke(endpoint, "kept", n), range(3)))
    later = invoke(endpoint, "kept", 3)

    assert [answer["event"] for answer in results] == [0, 1, 2]
    assert len({answer["pid"] for answer in results}) == 3
    assert later["pid"] in {answer["pid"] for answer in results}
    assert later["calls"] == 2


def test_functions_of_one_package_and_role_share_a_process(
    endpoint: Endpoint, functions: Functions
) -> None:
    deploy(endpoint, "one", ECHO)
    deploy(endpoint, "two", ECHO)

    first, second = invoke(endpoint, "one"), invoke(endpoint, "two")

    assert (first["name"], second["name"]) == ("one", "two")
    assert first["pid"] == second["pid"]


def test_the_output_of_a_function_is_in_its_own_log(
    endpoint: Endpoint, functions: Functions
) -> None:
    source = """
import logging, os, subprocess, sys
def handler(event, context):
    print("データ", event)
    logging.warning("few rows: %d", 3)
    sys.stderr.write("to stderr\\n")
    subprocess.run(["echo", "of a child"], check=True)
"""
    deploy(endpoint, "writes", source, MemorySize=256)
    deploy(endpoint, "quiet", ECHO)

    invoke(endpoint, "writes", "users")
    invoke(endpoint, "quiet")

    lines = functions.logs("writes").splitlines()
    request = lines[0].split()[2]
    assert lines[0] == f"START RequestId: {request} Version: $LATEST"
    assert lines[1] == "データ users"
    level, _, logged, message = lines[2].split("\t")
    assert (level, logged, message) == ("[WARNING]", request, "few rows: 3")
    assert lines[3:6] == ["to stderr", "of a child", f"END RequestId: {request}"]
    assert lines[6].startswith(f"REPORT RequestId: {request}\tDuration: ")
    assert lines[6].endswith("\tMemory Size: 256 MB")
    assert len(functions.logs("quiet").splitlines()) == 3
    assert functions.logs("never-deployed") == ""


def test_json_logs_name_the_request_and_reach_cloudwatch(
    endpoint: Endpoint, tmp_path: Path, functions: Functions
) -> None:
    source = """
import logging

def handler(event, context):
    logging.error("few rows: %d", 3)
    raise ValueError("no rows")
"""
    writing = Functions(
        account=ACCOUNT,
        region=REGION,
        directory=tmp_path,
        logs=lambda role: endpoint.client("logs"),
    )
    logs = endpoint.client("logs")
    logs.create_log_group(logGroupName="/aws/lambda/with-group")
    endpoint.mount("lambda", writing)
    for name in ("with-group", "without-group"):
        deploy(endpoint, name, source, LoggingConfig={"LogFormat": "JSON"})
        assert invoke(endpoint, name)["errorType"] == "ValueError"
    writing.close()
    endpoint.mount("lambda", functions)

    lines = [json.loads(line) for line in writing.logs("with-group").splitlines()]
    kept = logs.filter_log_events(logGroupName="/aws/lambda/with-group")["events"]
    request = lines[0]["record"]["requestId"]
    assert [line.get("type") or line["level"] for line in lines] == [
        "platform.start",
        "ERROR",
        "ERROR",
        "platform.report",
    ]
    assert (lines[1]["message"], lines[1]["requestId"]) == ("few rows: 3", request)
    assert (lines[2]["errorType"], lines[2]["message"]) == ("ValueError", "no rows")
    assert lines[2]["requestId"] == request
    assert 'raise ValueError("no rows")' in lines[2]["stackTrace"][-1]
    assert [event["message"] for event in kept] == writing.logs("with-group").splitlines()
    assert "no rows" in writing.logs("without-group")


def test_payloads_of_megabytes_go_through(endpoint: Endpoint, functions: Functions) -> None:
    deploy(endpoint, "big", "def handler(event, context): return event\n")
    event = "é" * 900_000

    assert invoke(endpoint, "big", event) == event


def test_a_registered_handler_replaces_the_code_until_the_next_update(
    endpoint: Endpoint, functions: Functions
) -> None:
    created = deploy(endpoint, "replaced", ECHO)
    functions.register("replaced", lambda event, context: "in process")
    assert invoke(endpoint, "replaced") == "in process"
    described = endpoint.client("lambda").get_function_configuration(FunctionName="replaced")
    assert described["CodeSha256"] == created["CodeSha256"]

    code = zipped({"app.py": "def handler(event, context): return 'deployed'\n"})
    endpoint.client("lambda").update_function_code(FunctionName="replaced", ZipFile=code)

    assert invoke(endpoint, "replaced") == "deployed"


def test_close_ends_what_runs(endpoint: Endpoint, functions: Functions, tmp_path: Path) -> None:
    other = Functions(account=ACCOUNT, region=REGION, directory=tmp_path)
    endpoint.mount("lambda", other)
    source = "import time\ndef handler(e, c):\n    print('running')\n    time.sleep(60)\n"
    deploy(endpoint, "runs", source, Timeout=60)
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(invoke(endpoint, "runs")))
    thread.start()
    deadline = time.monotonic() + 5
    while "running" not in other.logs("runs") and time.monotonic() < deadline:
        time.sleep(0.01)

    other.close()

    thread.join(5)
    endpoint.mount("lambda", functions)
    assert results[0]["errorType"] == "Runtime.ExitError"
    assert results[0]["errorMessage"].endswith("signal: killed")
    assert list((tmp_path / "tmp").iterdir()) == []
