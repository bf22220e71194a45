"""The local AWS for a notebook: what is in the environment, or a stack that ends with the kernel.

    aws = connect(load_config("retraining.toml"))
    aws.client("s3")

The stages: an endpoint or credentials in the environment are used as they are; without either a
program of its own starts the stack, with the sample database unless `DATABASE_URL` names another,
performs some runs, and keeps it for the kernel.

The program (this module, run) reads what to start from its standard input and ends when that is
closed: however the kernel ends, killed or not, nothing is left behind.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import boto3
from botocore.exceptions import BotoCoreError

from etl.database import Database
from etl.errors import EtlError
from localaws.errors import LocalAwsError
from workflow.config import Config
from workflow.deployment.account import check_identity, clients_of, explained

if TYPE_CHECKING:
    from retrain.local.stack import Stack

DAYS_BETWEEN_RUNS = 7
"""By how much the sample grows before each further run."""

_PROJECT = Path(__file__).resolve().parents[2]
_DAY = 86_400


class NotebookStackError(LocalAwsError):
    """The stack could not be started, or has ended."""


@dataclass(frozen=True)
class Sample:
    """How much sample data a started stack has."""

    students: int = 2_000
    postings: int = 400
    events: int = 60_000


class Connection:
    """AWS as a notebook sees it.

    Attributes:
        told: where it is and who we are there, in a sentence.
    """

    def __init__(self, config: Config, told: str) -> None:
        self.told = told
        self._clients = clients_of(boto3.Session(), config.aws.region)

    def client(self, service: str) -> Any:
        """Return a boto3 client in the configured region; the same one every time."""
        return self._clients(service)

    def __repr__(self) -> str:
        return self.told


_kept: dict[str, NotebookStack] = {}


def connect(
    config: Config,
    *,
    runs: int = 1,
    sample: Sample | None = None,
    say: Callable[[str], None] = print,
) -> Connection:
    """Return the AWS that the environment names, or start one for as long as this process lives.

    A started stack's endpoint and credentials are put into the environment, so that every boto3
    client made from now on reaches it.

    Args:
        config: what is, or gets, deployed.
        runs: how many runs a started stack performs; the sample grows by a week between them.
        sample: a started stack's sample.
        say: hears what is being done; it takes a minute or so.

    Raises:
        NotebookStackError: the credentials cannot be read, or the stack cannot be started.
        DeployError: the credentials are those of another account.
    """
    if kept := next(iter(_kept.values()), None):
        kept.check()
        return Connection(config, kept.told)
    if url := os.environ.get("AWS_ENDPOINT_URL"):
        return Connection(config, f"the endpoint {url}, from AWS_ENDPOINT_URL")
    try:
        session = boto3.Session()
        known = session.get_credentials() is not None
    except BotoCoreError as error:
        raise NotebookStackError(explained(error, "sts", config.aws.region)) from None
    if known:
        who = check_identity(config, clients_of(session, config.aws.region))
        return Connection(config, f"AWS account {config.aws.account}, as {who}")
    say("No AWS endpoint and no credentials: starting a local AWS that ends with this kernel.")
    stack = NotebookStack(
        config,
        runs=runs,
        sample=sample,
        database_url=os.environ.get("DATABASE_URL"),
        say=say,
    )
    environment = stack.start()
    for name in os.environ.keys() - _without_aws(os.environ).keys():
        del os.environ[name]  # a profile that holds no credentials, for example
    os.environ.update(environment)
    _kept["stack"] = stack
    atexit.register(stack.close)
    return Connection(config, stack.told)


def _without_aws(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without what could lead to another AWS."""
    return {name: value for name, value in environment.items() if not name.startswith("AWS_")}


class NotebookStack:
    """A stack in a program of its own; use it as a context manager, or `start` and `close` it.

    Args:
        config: what to deploy.
        runs: how many runs to perform; after them a popularity baseline is trained.
        sample: the sample database's size.
        database_url: read this database instead of a sample.
        say: hears what is being done.
    """

    def __init__(
        self,
        config: Config,
        *,
        runs: int = 1,
        sample: Sample | None = None,
        database_url: str | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        self._request = {
            "config": config.model_dump_json(exclude_unset=True),
            "runs": runs,
            "sample": asdict(sample or Sample()),
            "database_url": database_url,
        }
        self._engine = config.source.engine
        self._say = say
        self._program: subprocess.Popen[bytes] | None = None
        self.environment: dict[str, str] = {}

    @property
    def told(self) -> str:
        """Where it is, in a sentence."""
        url = self.environment.get("AWS_ENDPOINT_URL", "no address yet")
        return f"a local AWS at {url}, until the end of this kernel"

    def start(self) -> dict[str, str]:
        """Start it and return the environment by which programs reach it.

        Raises:
            NotebookStackError: it cannot be started, or a run failed.
        """
        self._check_database()
        paths = [str(_PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
        with tempfile.TemporaryFile() as log:
            program = subprocess.Popen(
                [sys.executable, "-m", "retrain.local.notebook"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**_without_aws(os.environ), "PYTHONPATH": os.pathsep.join(paths)},
                start_new_session=True,  # interrupting a cell is not meant for it
            )
            self._program = program
            try:
                self.environment = self._started(program)
            except BaseException as error:
                self.close()
                if isinstance(error, NotebookStackError) and not str(error):
                    log.seek(0)
                    told = log.read().decode(errors="replace").strip()
                    raise NotebookStackError(
                        f"the local AWS ended while it started:\n{told[-2_000:]}"
                    ) from None
                raise
        return self.environment

    def check(self) -> None:
        """Do nothing as long as it runs.

        Raises:
            NotebookStackError: it has ended.
        """
        if self._program is None or self._program.poll() is not None:
            raise NotebookStackError("the local AWS has ended; restart the kernel")

    def close(self) -> None:
        """End it, and wait until nothing of it is left."""
        if self._program is not None and self._program.stdin is not None:
            self._program.stdin.close()
            self._program.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_database(self) -> None:
        url = self._request["database_url"]
        try:
            if isinstance(url, str):
                Database.from_url(url).require(self._engine)
            elif self._engine != "postgresql":
                raise NotebookStackError(
                    f'the configuration says engine = "{self._engine}", and only a PostgreSQL is'
                    " started here; set DATABASE_URL to a database of yours"
                )
        except EtlError as error:
            raise NotebookStackError(f"DATABASE_URL: {error}") from None

    def _started(self, program: subprocess.Popen[bytes]) -> dict[str, str]:
        if program.stdin is None or program.stdout is None:  # they are pipes
            raise NotebookStackError
        program.stdin.write(f"{json.dumps(self._request)}\n".encode())
        program.stdin.flush()
        for line in program.stdout:
            message = json.loads(line)
            if "say" in message:
                self._say(message["say"])
            elif "error" in message:
                raise NotebookStackError(message["error"])
            else:
                environment: dict[str, str] = message["environment"]
                return environment
        raise NotebookStackError


@contextmanager
def serve(request: dict[str, Any], *, tell: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    """Start what was asked for, tell its environment, and end it with the block.

    Args:
        request: `config`, `runs`, `sample` and `database_url`, as `NotebookStack` sends them.
        tell: takes `{"say": …}` while it starts, then `{"environment": …}`.

    Raises:
        LocalAwsError: it cannot be started, or a run failed.
    """
    # They cost seconds that a notebook need not pay.
    from retrain.local.baseline import train_baseline  # noqa: PLC0415
    from retrain.local.postgres import scratch_directory  # noqa: PLC0415
    from retrain.local.stack import Stack  # noqa: PLC0415

    config = Config.model_validate_json(request["config"])
    with ExitStack() as opened:
        directory = opened.enter_context(scratch_directory("retraining-notebook-"))
        url, grow = request["database_url"], None
        if url is None:
            tell({"say": "Starting PostgreSQL with the sample database"})
            url, grow = opened.enter_context(_sample(directory, request["sample"], request["runs"]))
        tell({"say": "Starting the local AWS and deploying the workflow"})
        stack = opened.enter_context(Stack(config, database_url=url, directory=directory))
        for number in range(1, request["runs"] + 1):
            tell({"say": f"Run {number} of {request['runs']}: database to recommendations"})
            _run(stack)
            if grow is not None:
                grow()
        if request["runs"]:
            tell({"say": "Training the popularity baseline"})
            train_baseline(stack)
        tell({"environment": stack.endpoint.environment})
        yield


@contextmanager
def _sample(
    directory: Path, size: dict[str, int], runs: int
) -> Iterator[tuple[str, Callable[[], None]]]:
    """A sample database whose newest weeks, one for each run, are not there yet."""
    import psycopg  # noqa: PLC0415

    from retrain.local.postgres import Postgres  # noqa: PLC0415
    from retrain.local.sample import NOW, load_sample  # noqa: PLC0415

    with Postgres(directory / "postgres") as server:
        load_sample(
            server.url,
            students=size["students"],
            postings=size["postings"],
            events=size["events"],
        )
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("CREATE TABLE to_come (LIKE events)")
            begin = NOW.timestamp() - runs * DAYS_BETWEEN_RUNS * _DAY
            moved = "WITH m AS (DELETE FROM {} WHERE {} RETURNING *) INSERT INTO {} SELECT * FROM m"
            connection.execute(
                moved.format("events", "created_at >= to_timestamp(%s)", "to_come"), [begin]
            )
            passed = 0

            def grow() -> None:
                nonlocal passed
                passed += 1
                until = begin + passed * DAYS_BETWEEN_RUNS * _DAY
                connection.execute(
                    moved.format("to_come", "created_at < to_timestamp(%s)", "events"), [until]
                )

            yield server.url, grow


def _run(stack: Stack) -> None:
    from workflow.runs.history import failure_of, follow, history  # noqa: PLC0415

    client = stack.client("stepfunctions")
    execution = stack.workflow.execute()
    for _ in follow(client, execution.execution_arn, poll_seconds=0.2):
        pass
    failure = failure_of(history(client, execution.execution_arn))
    if failure is not None:
        raise NotebookStackError(
            f"the run failed in state '{failure.state}': {failure.error}: {failure.cause}. Does the"
            " configuration describe this database? DATABASE_URL names another one"
        )


def main() -> None:
    """Serve one request from standard input until that is closed."""

    def tell(message: dict[str, Any]) -> None:
        sys.stdout.write(f"{json.dumps(message)}\n")
        sys.stdout.flush()

    def stop(number: int, _: object) -> None:
        for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)  # what was started ends undisturbed
        raise SystemExit(128 + number)

    def end_with_input() -> None:
        sys.stdin.read()
        os.kill(os.getpid(), signal.SIGTERM)

    request = json.loads(sys.stdin.readline())
    for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(each, stop)
    threading.Thread(target=end_with_input, daemon=True).start()
    try:
        with serve(request, tell=tell):
            while True:
                signal.pause()
    except LocalAwsError as error:
        tell({"error": str(error)})


if __name__ == "__main__":
    main()
