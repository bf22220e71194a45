"""Glue jobs as subprocesses: states, logs, errors, stops and timeouts over real HTTP."""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.glue.service import Glue, JobProgress
from localaws.http.endpoint import Endpoint
from tests.zips import zipped

ROLE = "arn:aws:iam::210987654321:role/glue"
CHECKOUT = str(Path(__file__).parents[3])
SLEEP = "import time\nwhile True: time.sleep(0.01)\n"
StartScript = Callable[..., tuple[str, str]]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with Endpoint(account="210987654321", region="ap-northeast-1") as endpoint:
        yield endpoint


@pytest.fixture
def glue(endpoint: Endpoint, tmp_path: Path) -> Iterator[Glue]:
    glue = Glue(
        directory=tmp_path / "logs",
        environment=lambda role: {
            "PATH": os.environ["PATH"],
            "JOB_COLOUR": "green",
            "NAME": role.rpartition("/")[2],
            "PYTHONPATH": CHECKOUT,
        },
        s3=lambda role: endpoint.client("s3"),
        overrides={"--runtime": "local"},
        grace=0.3,
        minute=0.2,
    )
    endpoint.mount("glue", glue)
    yield glue
    glue.close()


@pytest.fixture
def start(endpoint: Endpoint, glue: Glue, tmp_path: Path) -> StartScript:
    """Write a script, make it job 'etl', start a run of it; return job name and run id."""

    def start_script(script: str, arguments: dict[str, str] | None = None, **job: Any) -> Any:
        path = tmp_path / "job.py"
        path.write_text(script)
        client = endpoint.client("glue")
        command = {"Name": "glueetl", "ScriptLocation": str(path)}
        client.create_job(Name="etl", Role=ROLE, Command=command, **job)
        run = client.start_job_run(JobName="etl", Arguments=arguments or {})
        return "etl", run["JobRunId"]

    return start_script


def ended(endpoint: Endpoint, job: str, run: str) -> dict[str, Any]:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        job_run: dict[str, Any] = endpoint.client("glue").get_job_run(JobName=job, RunId=run)[
            "JobRun"
        ]
        if job_run["JobRunState"] in {"SUCCEEDED", "FAILED", "STOPPED", "TIMEOUT"}:
            return job_run
        time.sleep(0.01)
    raise AssertionError(f"run {run} is still {job_run['JobRunState']}")


def until_logged(glue: Glue, run: str, text: str) -> None:
    deadline = time.monotonic() + 10
    while text not in glue.log(run):
        assert time.monotonic() < deadline, glue.log(run)
        time.sleep(0.01)


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_run_gets_its_arguments_over_the_defaults_and_its_own_environment(
    endpoint: Endpoint, glue: Glue, start: StartScript, tmp_path: Path
) -> None:
    script = """
import os, sys
print(sys.argv[1:], os.environ["JOB_COLOUR"], os.environ["NAME"])
print(os.getcwd(), [p for p in sys.path if p in ("", os.getcwd(), os.path.dirname(__file__))])
"""
    defaults = {"--bucket": "default", "--format": "csv", "--runtime": "glue"}

    job, run = start(script, {"--bucket": "named"}, DefaultArguments=defaults)

    described = ended(endpoint, job, run)
    assert described["JobRunState"] == "SUCCEEDED"
    assert described["StartedOn"] <= described["CompletedOn"]
    assert "ErrorMessage" not in described
    assert glue.log(run) == (
        f"['--JOB_NAME', 'etl', '--JOB_RUN_ID', '{run}', "
        "'--bucket', 'named', '--format', 'csv', '--runtime', 'local'] green glue\n"
        f"{tmp_path / 'logs' / run} []\n"
    )


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("raise ValueError('no column JOB_TYPE')", "ValueError: no column JOB_TYPE"),
        (
            "import sys\nprint('ERROR table users is empty')\nsys.exit('ignored')",
            "table users is empty",
        ),
        (
            "import sys\nprint('ERROR: users: no rows')\nprint('ERROR Executor: task failed')\n"
            "print('java.lang.ArithmeticException: overflow')\nsys.exit('ERROR: users: 3 rows')",
            "users: 3 rows",
        ),
        (
            "import os\nos._exit(3)",
            "the job's process ended without an error message (exit code 3)",
        ),
        (
            "import os\nprint('progress 2/6 data set USERS', flush=True)\nos.kill(os.getpid(), 9)",
            "the job's process was killed by SIGKILL; mostly there was not enough memory left",
        ),
        (
            "from awsglue.context import GlueContext",
            "ModuleNotFoundError: No module named 'awsglue', which is on AWS alone. A job that"
            " takes '--runtime local' runs here if the local AWS was given a database (retrain"
            " local serve --database-url …)",
        ),
    ],
)
def test_the_error_of_a_failed_run_is_one_line(
    endpoint: Endpoint, start: StartScript, script: str, message: str
) -> None:
    described = ended(endpoint, *start(script))

    assert described["JobRunState"] == "FAILED"
    assert described["ErrorMessage"] == message


def start_uploaded(endpoint: Endpoint, script: str, files: dict[str, bytes]) -> tuple[str, str]:
    """Upload a script and libraries, make them job 'uploaded', start a run of it."""
    s3, client = endpoint.client("s3"), endpoint.client("glue")
    where = {"LocationConstraint": "ap-northeast-1"}
    if "artifacts" not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket="artifacts", CreateBucketConfiguration=where)
    for key, body in {"etl/job.py": script.encode(), **files}.items():
        s3.put_object(Bucket="artifacts", Key=key, Body=body)
    client.create_job(
        Name="uploaded",
        Role=ROLE,
        Command={"Name": "glueetl", "ScriptLocation": "s3://artifacts/etl/job.py"},
        DefaultArguments={"--extra-py-files": ",".join(f"s3://artifacts/{key}" for key in files)},
    )
    return "uploaded", client.start_job_run(JobName="uploaded")["JobRunId"]


def test_a_run_executes_what_was_uploaded_and_not_the_checkout(
    endpoint: Endpoint, glue: Glue
) -> None:
    """Without libraries of its own, the job could import the project's `etl`: it is installed."""
    script = """
import settings
from etl.marker import WORD
print(WORD, settings.COLOUR)
try:
    import etl.job
except ModuleNotFoundError as error:
    print(error)
"""
    library = zipped({"etl/__init__.py": "", "etl/marker.py": "WORD = 'deployed'"})
    files = {"libs/etl-1.zip": library, "libs/settings.py": b"COLOUR = 'blue'"}

    described = ended(endpoint, *(job_run := start_uploaded(endpoint, script, files)))

    assert described["JobRunState"] == "SUCCEEDED", glue.log(job_run[1])
    assert glue.log(job_run[1]) == "deployed blue\nNo module named 'etl.job'\n"


@pytest.mark.parametrize(
    ("script", "libraries", "message"),
    [
        ("s3://artifacts/none.py", "", "ScriptLocation 's3://artifacts/none.py': .*NoSuchKey"),
        ("/none.py", "", "ScriptLocation '/none.py' is no local file"),
        ("s3://artifacts/job.py", "s3://artifacts/a.egg", "'s3://artifacts/a.egg' is no .py, .zip"),
    ],
)
def test_a_file_that_cannot_be_used_fails_the_run_by_name(
    endpoint: Endpoint, glue: Glue, script: str, libraries: str, message: str
) -> None:
    s3, client = endpoint.client("s3"), endpoint.client("glue")
    where = {"LocationConstraint": "ap-northeast-1"}
    with suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket="artifacts", CreateBucketConfiguration=where)
    for key in ("job.py", "a.egg"):
        s3.put_object(Bucket="artifacts", Key=key, Body=b"print()")
    command = {"Name": "glueetl", "ScriptLocation": script}
    arguments = {"--extra-py-files": libraries}
    client.create_job(Name="remote", Role=ROLE, Command=command, DefaultArguments=arguments)

    run = client.start_job_run(JobName="remote")["JobRunId"]

    described = ended(endpoint, "remote", run)
    assert described["JobRunState"] == "FAILED"
    assert re.search(message, described["ErrorMessage"]), described["ErrorMessage"]


def test_a_log_contains_no_password(
    endpoint: Endpoint, glue: Glue, start: StartScript, tmp_path: Path
) -> None:
    script = """
print("reading postgresql://reader:s3cret@db:5432/app", "jdbc:postgresql://db/app?password=s3cret")
raise ValueError("no such database: postgresql://reader:s3cret@db:5432/app")
"""
    job, run = start(script)

    described = ended(endpoint, job, run)

    masked = "postgresql://reader:***@db:5432/app"
    assert described["ErrorMessage"] == f"ValueError: no such database: {masked}"
    first = f"reading {masked} jdbc:postgresql://db/app?password=***"
    assert glue.log(run).splitlines()[-1] == described["ErrorMessage"]
    assert first in glue.log(run).splitlines()
    assert "s3cret@" not in (tmp_path / "logs" / f"{run}.log").read_text()


def test_stopping_a_run_ends_its_whole_process_group(
    endpoint: Endpoint, glue: Glue, start: StartScript
) -> None:
    """Even if its first process ignores the request to end."""
    script = f"""
import os, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", {SLEEP!r}])
print("child", child.pid, flush=True)
{SLEEP}"""
    job, run = start(script)
    until_logged(glue, run, "child")
    child = int(glue.log(run).split()[1])
    assert alive(child)

    answer = endpoint.client("glue").batch_stop_job_run(JobName=job, JobRunIds=[run, "jr_none"])

    assert answer["SuccessfulSubmissions"] == [{"JobName": "etl", "JobRunId": run}]
    assert [error["ErrorDetail"]["ErrorCode"] for error in answer["Errors"]] == [
        "EntityNotFoundException"
    ]
    assert ended(endpoint, job, run)["JobRunState"] == "STOPPED"
    deadline = time.monotonic() + 5
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(child)


def test_a_run_longer_than_its_timeout_ends_as_timeout(
    endpoint: Endpoint, start: StartScript
) -> None:
    described = ended(endpoint, *start(SLEEP, Timeout=1))

    assert described["JobRunState"] == "TIMEOUT"
    assert described["ErrorMessage"] == "the run took longer than its Timeout of 1 minutes"


def test_close_leaves_no_process(endpoint: Endpoint, glue: Glue, start: StartScript) -> None:
    job, run = start(f"import os\nprint(os.getpid(), flush=True)\n{SLEEP}")
    until_logged(glue, run, "\n")
    process = int(glue.log(run))

    glue.close()

    assert not alive(process)
    assert ended(endpoint, job, run)["JobRunState"] == "STOPPED"


def test_progress_is_the_last_progress_line_of_each_running_run(
    endpoint: Endpoint, glue: Glue, start: StartScript
) -> None:
    script = (
        f"print('progress 1/4 read users')\nprint('progress 3/4 write items', flush=True)\n{SLEEP}"
    )
    job, run = start(script)
    until_logged(glue, run, "items")

    assert glue.progress() == [JobProgress(run, "write items", 0.75)]

    endpoint.client("glue").batch_stop_job_run(JobName=job, JobRunIds=[run])
    ended(endpoint, job, run)
    assert glue.progress() == []


def test_one_run_too_many_is_refused(endpoint: Endpoint, glue: Glue, start: StartScript) -> None:
    job, _ = start(SLEEP)

    with pytest.raises(ClientError) as refused:
        endpoint.client("glue").start_job_run(JobName=job)

    assert refused.value.response["Error"] == {
        "Code": "ConcurrentRunsExceededException",
        "Message": "Concurrent runs exceeded for etl: its MaxConcurrentRuns is 1",
    }


def test_a_job_is_created_updated_listed_and_deleted(endpoint: Endpoint, glue: Glue) -> None:
    client = endpoint.client("glue")
    command = {"Name": "glueetl", "ScriptLocation": "one.py"}
    client.create_job(Name="etl", Role=ROLE, Command=command, Timeout=5, Tags={"a": "b"})
    client.update_job(
        JobName="etl",
        JobUpdate={"Role": ROLE, "Command": {"Name": "glueetl", "ScriptLocation": "two.py"}},
    )

    job = client.get_job(JobName="etl")["Job"]
    assert job["Command"]["ScriptLocation"] == "two.py"
    assert "Timeout" not in job
    assert [job["Name"] for job in client.get_jobs()["Jobs"]] == ["etl"]
    with pytest.raises(client.exceptions.AlreadyExistsException):
        client.create_job(Name="etl", Role=ROLE, Command=command)
    client.delete_job(JobName="etl")
    with pytest.raises(client.exceptions.EntityNotFoundException, match="no job 'etl'"):
        client.start_job_run(JobName="etl")


def test_runs_are_listed_latest_first(endpoint: Endpoint, start: StartScript) -> None:
    job, first = start("print()", ExecutionProperty={"MaxConcurrentRuns": 2})
    second = endpoint.client("glue").start_job_run(JobName=job)["JobRunId"]
    ended(endpoint, job, first)
    ended(endpoint, job, second)

    runs = endpoint.client("glue").get_job_runs(JobName=job)["JobRuns"]

    assert [(run["Id"], run["JobRunState"]) for run in runs] == [
        (second, "SUCCEEDED"),
        (first, "SUCCEEDED"),
    ]


def test_jobs_and_runs_are_listed_by_pages(endpoint: Endpoint, start: StartScript) -> None:
    job, first = start("print()", ExecutionProperty={"MaxConcurrentRuns": 2})
    client = endpoint.client("glue")
    second = client.start_job_run(JobName=job)["JobRunId"]
    client.create_job(Name="another", Role=ROLE, Command={"Name": "glueetl"})

    def pages(operation: str, member: str, name: str, **request: Any) -> list[list[str]]:
        config = {"PageSize": 1}
        pages = client.get_paginator(operation).paginate(PaginationConfig=config, **request)
        return [[entry[name] for entry in page[member]] for page in pages]

    assert pages("get_jobs", "Jobs", "Name") == [["another"], ["etl"]]
    assert pages("get_job_runs", "JobRuns", "Id", JobName=job) == [[second], [first]]
    with pytest.raises(client.exceptions.InvalidInputException, match="not one that this list"):
        client.get_jobs(NextToken="forged")
    ended(endpoint, job, first)
    ended(endpoint, job, second)
