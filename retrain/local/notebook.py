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
import collections
import functools
import os
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError

from localaws.errors import LocalAwsError
from retrain.local.database import check_database, growing_sample
from retrain.local.sample_size import SampleSize
from workflow.config import Config, load_config
from workflow.deployment.account import check_identity, clients_of, explain_error
from workflow.errors import WorkflowError

DAYS_BETWEEN_RUNS = 7
"""Days of events that are added to the sample before each further run."""

_PROJECT = Path(__file__).resolve().parents[2]
_SAMPLE = SampleSize(2_000, 400, 60_000)


class ServeError(LocalAwsError):
    """The local AWS of a notebook could not be started, or has ended."""


class Connection:
    """AWS as a notebook reaches it.

    Args:
        config: Names the region.
        description: Which AWS it is, and who we are there, in a sentence.
    """

    def __init__(self, config: Config, description: str) -> None:
        self._description = description
        self._clients = clients_of(boto3.Session(), config.aws.region)

    def client(self, service: str) -> Any:
        """Return a boto3 client in the configured region; the same one every time."""
        return self._clients(service)

    def __repr__(self) -> str:
        return self._description


_started: list[subprocess.Popen[str]] = []


def find_config(name: str = "retraining.toml") -> Path:
    """Return the configuration of this name in the working directory, or the nearest above it.

    If there is none, the path is returned as it is, and `load_config` says what is missing.
    """
    directories = [Path.cwd(), *Path.cwd().parents]
    paths = (directory / name for directory in directories)
    return next((path for path in paths if path.is_file()), Path(name))


def connect(
    config: Config,
    *,
    runs: int = 1,
    sample: SampleSize = _SAMPLE,
    log: Callable[[str], None] = print,
) -> Connection:
    """Return the AWS that the environment names, or start one for as long as this process lives.

    The endpoint and the credentials of a started AWS are put into the environment, so that every
    boto3 client made from now on reaches it.

    Args:
        config: What is deployed, or is to be deployed.
        runs: Number of runs that a started AWS performs; the sample grows by a week between them.
        sample: Size of a started AWS's sample.
        log: Called with what is being done; it takes a minute or so.

    Raises:
        ServeError: If the credentials cannot be read, or no local AWS can be started.
        LocalAwsError: If the workflow cannot be deployed to a started AWS.
        DeployError: If the credentials are those of another account.
    """
    if not _started:
        if (connection := _connection_of_environment(config)) is not None:
            return connection
        log("No AWS endpoint and no credentials: starting a local AWS that ends with this kernel.")
        database_url = os.environ.get("DATABASE_URL")
        with ExitStack() as stack:
            server = local_aws(config, runs=runs, sample=sample, database_url=database_url, log=log)
            _started.append(stack.enter_context(server))
            atexit.register(stack.pop_all().close)
    if _started[0].poll() is not None:
        raise ServeError("the local AWS has ended; restart the kernel")
    url = os.environ["AWS_ENDPOINT_URL"]
    return Connection(config, f"a local AWS at {url}, until the end of this kernel")


def _connection_of_environment(config: Config) -> Connection | None:
    if url := os.environ.get("AWS_ENDPOINT_URL"):
        return Connection(config, f"the endpoint {url}, from AWS_ENDPOINT_URL")
    try:
        session = boto3.Session()
        if session.get_credentials() is None:
            return None
    except BotoCoreError as error:
        raise ServeError(explain_error(error, "sts", config.aws.region)) from None
    who = check_identity(config, clients_of(session, config.aws.region))
    return Connection(config, f"AWS account {config.aws.account}, as {who}")


@contextmanager
def local_aws(
    config: Config,
    *,
    runs: int,
    sample: SampleSize = _SAMPLE,
    database_url: str | None,
    log: Callable[[str], None],
) -> Iterator[subprocess.Popen[str]]:
    """Serve AWS in a process of its own, with the workflow deployed and run, for a `with` block.

    The environment of this process names it as long as the block lasts.

    Args:
        config: What to deploy.
        runs: Number of runs to perform; after them a popularity baseline is trained.
        sample: Size of the sample database.
        database_url: Read this database instead of a sample.
        log: Called with what is being done.

    Yields:
        The process.

    Raises:
        LocalAwsError: If it cannot be started, the workflow cannot be deployed, or a run fails.
    """
    check_database(config, database_url)
    log("Starting the local AWS" + ("" if database_url else " and a PostgreSQL with the sample"))
    with _serve(config, sample, database_url) as (process, environment):
        sample_url = environment.pop("DATABASE_URL", None)
        with _export(environment):
            _run(config, runs, sample_url=sample_url, log=log)
            yield process


@contextmanager
def _serve(
    config: Config, sample: SampleSize, database_url: str | None
) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """Run `retrain local serve` in a process that ends with the block, and with this process.

    Yields:
        The process, and the environment by which programs reach it; of a sample its `DATABASE_URL`
        too.

    Raises:
        ServeError: If it does not start.
    """
    command = [
        *(sys.executable, "-P", "-m", "retrain", "local", "serve", "--until-eof"),
        *("--port", "0", "--time-scale", "0"),
        *("--account", config.aws.account, "--region", config.aws.region),
    ]
    paths = [str(_PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONUNBUFFERED": "1",
    }
    if database_url:
        environment["DATABASE_URL"] = database_url
    else:
        command += [
            *("--sample", "--students", str(sample.students)),
            *("--postings", str(sample.postings), "--events", str(sample.events)),
        ]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
            start_new_session=True,  # interrupting a cell is not meant for it
        )
        lines = iter(process.stdout or ())
        try:
            exported = _exports(lines)
            if not exported:
                process.wait()
                errors.seek(0)
                raise ServeError(f"no local AWS was started: {errors.read().strip()[-2_000:]}")
            # What it prints from now on is thrown away, or it would wait for a reader.
            threading.Thread(target=collections.deque, args=(lines, 0), daemon=True).start()
            yield process, exported
        finally:
            if process.stdin is not None:
                process.stdin.close()
            process.wait()


def _exports(lines: Iterator[str]) -> dict[str, str]:
    """Return the variables that `retrain local serve` prints; empty if it ends before it serves."""
    exported: dict[str, str] = {}
    for line in lines:
        if line.startswith("export "):
            name, _, value = shlex.split(line)[1].partition("=")
            exported[name] = value
        elif line.startswith("Serving "):
            return exported
    return {}


def _run(config: Config, runs: int, *, sample_url: str | None, log: Callable[[str], None]) -> None:
    """Deploy the workflow, execute it `runs` times, and train the baseline."""
    # They cost seconds that a notebook with an AWS need not pay.
    from retrain.local.deployment import deploy, train_baseline  # noqa: PLC0415
    from workflow.runs.executions import describe_run, failure, wait_for_end  # noqa: PLC0415

    clients = clients_of(boto3.Session(), config.aws.region)
    log("Deploying the workflow")
    workflow, client = deploy(config, clients), clients("stepfunctions")
    growing = (
        growing_sample(sample_url, steps=runs, days=DAYS_BETWEEN_RUNS)
        if sample_url
        else nullcontext(lambda: None)
    )
    with growing as grow:
        for number in range(1, runs + 1):
            log(f"Run {number} of {runs}: database to recommendations")
            run = describe_run(client, workflow.execute().execution_arn)
            why = failure(client, wait_for_end(client, run, poll_seconds=0.2, sleep=time.sleep))
            if why is not None:
                raise ServeError(
                    f"the run failed: {why.reason}."
                    " Does the configuration describe this database? DATABASE_URL names another one"
                )
            grow()
    if runs and config.has_personalize:  # which trains it
        log("Training the popularity baseline")
        train_baseline(config, clients)


@contextmanager
def _export(environment: Mapping[str, str]) -> Iterator[None]:
    """Let boto3 reach one AWS, and no other, for the length of a block."""
    # A profile that holds no credentials, for example, would lead elsewhere.
    others = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    for name in others:
        del os.environ[name]
    os.environ.update(environment)
    try:
        yield
    finally:
        for name in environment:
            os.environ.pop(name, None)
        os.environ.update(others)


def main(argv: Sequence[str]) -> None:
    """Execute the named notebooks, or all of them, and save them.

    Raises:
        SystemExit: With `ERROR: …`, if one cannot be executed; it and those after it are left.
    """
    import nbformat  # noqa: PLC0415

    from analysis.notebooks import CONFIG, DIRECTORY, NotebookError, execute  # noqa: PLC0415

    parser = argparse.ArgumentParser(description="Execute notebooks and save their outputs.")
    parser.add_argument(
        "notebooks", nargs="*", type=Path, default=sorted(DIRECTORY.glob("*.ipynb"))
    )
    parser.add_argument("--config", type=Path, default=CONFIG, help="what is deployed and run")
    options = parser.parse_args(argv)
    # A notebook that runs the workflow comes last: the others compare what was there before.
    paths = sorted(options.notebooks, key=lambda path: ("run" in path.stem, path))
    database_url = os.environ.get("DATABASE_URL")  # the sample otherwise
    log = functools.partial(print, flush=True)
    try:
        with local_aws(load_config(options.config), runs=3, database_url=database_url, log=log):
            for path in paths:
                log(f"Executing {path.name}")
                executed = execute(path, environment=os.environ)
                nbformat.write(executed, path)  # type: ignore[no-untyped-call]
    except (NotebookError, LocalAwsError, WorkflowError) as error:
        raise SystemExit(f"ERROR: {error}\nWhat was not executed keeps its outputs.") from None


if __name__ == "__main__":
    main(sys.argv[1:])
