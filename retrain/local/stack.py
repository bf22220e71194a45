"""All of AWS on one machine, with one configuration's workflow deployed on it.

The only place that knows everybody: it starts the endpoint, mounts the local Personalize, Glue and
Lambda, and deploys as `retrain deploy` does on AWS: the same artefacts, the same plan, the same
calls. Functions and the Spark job run what was uploaded. What differs from AWS is the endpoint's
URL, and that the Spark job reads the database named by a URL (`--runtime local`) instead of through
a Glue connection.

    with Stack(config, database_url=url, directory=directory) as stack:
        execution = stack.workflow.execute()
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

from localaws.errors import LocalAwsError
from localaws.http.endpoint import Endpoint
from localaws.services import Services
from workflow.config import Config
from workflow.deployment.deploy import apply, plan
from workflow.errors import DeployError
from workflow.state_machine import RetrainingWorkflow, build_workflow


class StackError(LocalAwsError):
    """A resource that the workflow needs could not be made."""


@dataclass(frozen=True)
class Work:
    """Long work that is going on: what, and how much of it is done (0..1)."""

    label: str
    fraction: float


class Stack:
    """The local AWS of one configuration.

    Args:
        config: what to deploy.
        database_url: where the Spark job reads, `postgresql://user:password@host:port/database`.
        directory: for logs, models and temporary files; the caller removes it.
        time_scale: factor on Wait states and Retry intervals; 0 does not wait.
        seed: of every model that Personalize trains.
    """

    workflow: RetrainingWorkflow

    def __init__(
        self,
        config: Config,
        *,
        database_url: str,
        directory: Path,
        time_scale: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.config = config
        self._open = ExitStack()
        account, region = config.aws.account, config.aws.region
        self.endpoint = Endpoint(account=account, region=region, time_scale=time_scale)
        self._services = Services(
            self.endpoint,
            directory=directory,
            account=account,
            region=region,
            database_url=database_url,
            seed=seed,
        )
        self.functions = self._services.functions
        self.glue = self._services.glue
        self.personalize = self._services.personalize

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            # The jobs end before the endpoint: their last calls still find it.
            opening.enter_context(self.endpoint)
            opening.callback(self._services.close)
            try:
                self._deploy()
            except (BotoCoreError, ClientError, DeployError) as error:
                raise StackError(
                    f"the workflow cannot be deployed: {error}; correct the name or setting"
                    " that it speaks of in the configuration"
                ) from error
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def client(self, service: str) -> Any:
        """Return a boto3 client of this stack, for example `client("s3")`."""
        return self.endpoint.client(service)

    def work(self) -> Iterator[Work]:
        """Yield the jobs that are running now."""
        for run in self.glue.progress():
            yield Work(f"Spark: {run.label}" if run.label else "Spark", run.fraction)
        for job in self.personalize.progress():
            yield Work(job.kind, job.fraction)

    def _deploy(self) -> None:
        planned = plan(self.config, self.client)
        apply(
            planned,
            self.client,
            now=datetime.now(UTC),
            # What takes minutes on AWS takes milliseconds here.
            sleep=lambda seconds: time.sleep(seconds / 100),
        )
        self.workflow = build_workflow(self.config, client=self.client("stepfunctions"))
        self.workflow.state_machine_arn = self.config.state_machine_arn

    @staticmethod
    def wait_until_active(describe: Any, kind: str, *, poll_seconds: float = 0.02) -> Any:
        """Wait for a resource that Personalize makes.

        Args:
            describe: asks for it.
            kind: its key in the answer, for example `datasetGroup`.
            poll_seconds: pause between two looks.

        Returns:
            Its description once ACTIVE.

        Raises:
            StackError: it is CREATE FAILED.
        """
        while (found := describe()[kind])["status"] != "ACTIVE":
            if found["status"].endswith("FAILED"):
                name = found.get("name") or found.get("solutionVersionArn", kind)
                raise StackError(f"{kind} '{name}' is CREATE FAILED: {found.get('failureReason')}")
            time.sleep(poll_seconds)
        return found
