"""The AWS of a notebook: the one that the environment names, or a local one as long as the kernel.

    aws = connect(load_config("retraining.toml"))
    aws.client("s3")

An endpoint or credentials in the environment are used as they are. Without either, `retrain local
serve` is started in a process of its own, with a sample database unless `DATABASE_URL` names
another; the workflow is deployed to it as to any AWS, and executed some times. The process ends
when this one does, killed or not, and leaves nothing behind.

Run as a program, this module executes the notebooks against such an AWS and saves them:

    python -m retrain.local.notebook                 # all of them
    python -m retrain.local.notebook notebooks/1*    # some
"""

from __future__ import annotations

import argparse
import atexit
import os
import shlex
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError

from localaws.errors import LocalAwsError
from retrain.local.database import check_engine, growing_sample
from retrain.local.sample_size import SampleSize
from workflow.config import Config, load_config
from workflow.deployment.account import check_identity, clients_of, explained
from workflow.errors import WorkflowError

DAYS_BETWEEN_RUNS = 7
"""By how much the sample grows before each further run."""

_PROJECT = Path(__file__).resolve().parents[2]
_SAMPLE = SampleSize(2_000, 400, 60_000)


class ServeError(LocalAwsError):
    """The local AWS of a notebook could not be started, or has ended."""


class Connection:
    """AWS as a notebook sees it.

    Attributes:
        description: where it is and who we are there, in a sentence.
    """

    def __init__(self, config: Config, description: str) -> None:
        self.description = description
        self._clients = clients_of(boto3.Session(), config.aws.region)

    def client(self, service: str) -> Any:
        """Return a boto3 client in the configured region; the same one every time."""
        return self._clients(service)

    def __repr__(self) -> str:
        return self.description


_started: list[LocalProcess] = []


def connect(
    config: Config,
    *,
    runs: int = 1,
    sample: SampleSize = _SAMPLE,
    say: Callable[[str], None] = print,
) -> Connection:
    """Return the AWS that the environment names, or start one for as long as this process lives.

    A started AWS's endpoint and credentials are put into the environment, so that every boto3
    client made from now on reaches it.

    Args:
        config: what is, or gets, deployed.
        runs: how many runs a started AWS performs; the sample grows by a week between them.
        sample: a started AWS's sample.
        say: called with what is being done; it takes a minute or so.

    Raises:
        ServeError: the credentials cannot be read, or no local AWS can be started.
        LocalAwsError: the workflow cannot be deployed to a started AWS.
        DeployError: the credentials are those of another account.
    """
    for local in _started:
        local.check()
        return Connection(config, local.description)
    if url := os.environ.get("AWS_ENDPOINT_URL"):
        return Connection(config, f"the endpoint {url}, from AWS_ENDPOINT_URL")
    try:
        session = boto3.Session()
        has_credentials = session.get_credentials() is not None
    except BotoCoreError as error:
        raise ServeError(explained(error, "sts", config.aws.region)) from None
    if has_credentials:
        who = check_identity(config, clients_of(session, config.aws.region))
        return Connection(config, f"AWS account {config.aws.account}, as {who}")
    say("No AWS endpoint and no credentials: starting a local AWS that ends with this kernel.")
    database_url = os.environ.get("DATABASE_URL")
    with ExitStack() as opened:
        local = opened.enter_context(
            local_aws(config, runs=runs, sample=sample, database_url=database_url, say=say)
        )
        atexit.register(opened.pop_all().close)
    _started.append(local)
    return Connection(config, local.description)


@contextmanager
def local_aws(
    config: Config,
    *,
    runs: int = 1,
    sample: SampleSize = _SAMPLE,
    database_url: str | None = None,
    say: Callable[[str], None] = print,
) -> Iterator[LocalProcess]:
    """Serve AWS in a process of its own, with the workflow deployed and run, for a `with` block.

    The environment of this process names it as long as the block lasts.

    Args:
        config: what to deploy.
        runs: how many runs to perform; after them a popularity baseline is trained.
        sample: the sample database's size.
        database_url: read this database instead of a sample.
        say: called with what is being done.

    Raises:
        LocalAwsError: it cannot be started, the workflow cannot be deployed, or a run failed.
    """
    check_engine(config, database_url)
    say("Starting the local AWS" + ("" if database_url else " and a PostgreSQL with the sample"))
    with (
        LocalProcess(config, None if database_url else sample, database_url) as local,
        _exported(local.environment),
    ):
        _run(config, runs, sample_url=local.sample_url, say=say)
        yield local


class LocalProcess:
    """`retrain local serve` in a process that ends with this one; a context manager.

    Args:
        config: its account and region.
        sample: of the PostgreSQL that it starts; None starts none.
        database_url: what its Glue jobs read, where there is no sample.

    Attributes:
        environment: by which programs reach it.
        sample_url: of the database with the sample.
    """

    def __init__(self, config: Config, sample: SampleSize | None, database_url: str | None) -> None:
        self._command = [
            *(sys.executable, "-m", "retrain", "local", "serve", "--until-eof"),
            *("--port", "0", "--time-scale", "0"),
            *("--account", config.aws.account, "--region", config.aws.region),
        ]
        if sample is not None:
            self._command += [
                *("--sample", "--students", str(sample.students)),
                *("--postings", str(sample.postings), "--events", str(sample.events)),
            ]
        self._database = {"DATABASE_URL": database_url} if database_url else {}
        self._process: subprocess.Popen[str] | None = None
        self.environment: dict[str, str] = {}
        self.sample_url: str | None = None

    def __enter__(self) -> LocalProcess:
        paths = [str(_PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={
                    **_without_aws(os.environ),
                    **self._database,
                    "PYTHONPATH": os.pathsep.join(paths),
                    "PYTHONUNBUFFERED": "1",
                },
                start_new_session=True,  # interrupting a cell is not meant for it
            )
            try:
                self._read_environment(self._process)
            except BaseException:
                self.__exit__()
                raise
            if not self.environment:
                self.__exit__()
                log.seek(0)
                raise ServeError(f"no local AWS was started: {log.read().strip()[-2_000:]}")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait()

    @property
    def description(self) -> str:
        """Where it is, in a sentence."""
        return (
            f"a local AWS at {self.environment['AWS_ENDPOINT_URL']}, until the end of this kernel"
        )

    def check(self) -> None:
        """Do nothing as long as it runs.

        Raises:
            ServeError: it has ended.
        """
        if self._process is None or self._process.poll() is not None:
            raise ServeError("the local AWS has ended; restart the kernel")

    def _read_environment(self, process: subprocess.Popen[str]) -> None:
        """Read what the process prints for a shell, and throw away what it prints from then on."""
        lines = iter(process.stdout or ())
        exported = {}
        for line in lines:
            if line.startswith("export "):
                name, _, value = shlex.split(line)[1].partition("=")
                exported[name] = value
            elif line.startswith("Serving "):
                self.sample_url = exported.pop("DATABASE_URL", None)
                self.environment = exported
                threading.Thread(target=lambda: [None for _ in lines], daemon=True).start()
                return


def _run(config: Config, runs: int, *, sample_url: str | None, say: Callable[[str], None]) -> None:
    """Deploy the workflow, execute it `runs` times, and train the baseline."""
    # They cost seconds that a notebook with an AWS need not pay.
    from retrain.local.deployment import deployed, train_baseline  # noqa: PLC0415
    from workflow.runs.history import failure_of, follow, history  # noqa: PLC0415

    clients = clients_of(boto3.Session(), config.aws.region)
    say("Deploying the workflow")
    workflow, client = deployed(config, clients), clients("stepfunctions")
    growing = (
        growing_sample(sample_url, steps=runs, days=DAYS_BETWEEN_RUNS)
        if sample_url
        else nullcontext(lambda: None)
    )
    with growing as grow:
        for number in range(1, runs + 1):
            say(f"Run {number} of {runs}: database to recommendations")
            execution = workflow.execute()
            for _ in follow(client, execution.execution_arn, poll_seconds=0.2):
                pass
            failure = failure_of(history(client, execution.execution_arn))
            if failure is not None:
                raise ServeError(
                    f"the run failed in state '{failure.state}': {failure.error}: {failure.cause}."
                    " Does the configuration describe this database? DATABASE_URL names another one"
                )
            grow()
    if runs:
        say("Training the popularity baseline")
        train_baseline(config, clients)


@contextmanager
def _exported(environment: Mapping[str, str]) -> Iterator[None]:
    """Let boto3 reach one AWS, and no other, for the time of a block."""
    before = dict(os.environ)
    for name in os.environ.keys() - _without_aws(os.environ).keys():
        del os.environ[name]  # a profile that holds no credentials, for example
    os.environ.update(environment)
    try:
        yield
    finally:
        for name in environment:
            os.environ.pop(name, None)
        os.environ.update({k: v for k, v in before.items() if k.startswith("AWS_")})


def _without_aws(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without what could lead to another AWS."""
    return {name: value for name, value in environment.items() if not name.startswith("AWS_")}


def main(argv: Sequence[str]) -> None:
    """Execute the named notebooks, or all of them, and save them.

    Raises:
        SystemExit: with `ERROR: …`, if one cannot be executed; it and those after it are left.
    """
    from analysis.notebooks import CONFIG, DIRECTORY, NotebookError, execute_and_save  # noqa: PLC0415

    def say(text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    parser = argparse.ArgumentParser(description="Execute notebooks and save their outputs.")
    parser.add_argument(
        "notebooks", nargs="*", type=Path, default=sorted(DIRECTORY.glob("*.ipynb"))
    )
    parser.add_argument("--config", type=Path, default=CONFIG, help="what is deployed and run")
    options = parser.parse_args(argv)
    # A notebook that runs the workflow comes last: the others compare what was there before.
    paths = sorted(options.notebooks, key=lambda path: ("run" in path.stem, path))
    url = os.environ.get("DATABASE_URL")  # the sample's otherwise
    try:
        with local_aws(load_config(options.config), runs=2, database_url=url, say=say):
            for path in paths:
                say(f"Executing {path.name}")
                execute_and_save(path, environment=os.environ)
    except (NotebookError, LocalAwsError, WorkflowError) as error:
        raise SystemExit(f"ERROR: {error}\nWhat was not executed keeps its outputs.") from None


if __name__ == "__main__":
    main(sys.argv[1:])
