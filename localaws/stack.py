"""All of AWS on one machine, with one configuration's workflow deployed on it.

The only place that knows everybody: it starts the endpoint, mounts the local Personalize, Glue and
Lambda, makes the resources that the workflow needs through boto3 as on AWS, and creates the state
machine. What differs from AWS is the endpoint's URL, and that the Spark job reads the database
named by a URL (`--runtime local`) instead of through a Glue connection.

    with Stack(config, database_url=url, directory=directory) as stack:
        execution = stack.workflow.execute()
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import etl.job
from localaws.endpoint import Endpoint
from localaws.functions import Functions
from localaws.glue import Glue
from localaws.personalize import Personalize
from workflow.config import FUNCTIONS, Config
from workflow.state_machine import RetrainingWorkflow, build_workflow


class StackError(RuntimeError):
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
        self._database_url = database_url
        self._open = ExitStack()
        account, region = config.aws.account, config.aws.region
        self.endpoint = Endpoint(account=account, region=region, time_scale=time_scale)
        self.functions = Functions(account=account, region=region)
        self.glue = Glue(directory=directory / "glue", environment=self._job_environment)
        self.personalize = Personalize(
            account=account,
            region=region,
            s3=lambda: self.client("s3"),
            directory=directory / "personalize",
            seed=seed,
        )

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            # The jobs end before the endpoint: their last calls still find it.
            opening.enter_context(self.endpoint)
            opening.callback(self.personalize.close)
            opening.callback(self.glue.close)
            self.endpoint.mount("personalize", self.personalize)
            self.endpoint.mount("glue", self.glue)
            self.endpoint.mount("lambda", self.functions)
            self._deploy()
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

    def _job_environment(self) -> dict[str, str]:
        package_parent = str(Path(etl.job.__file__).parents[1])
        return {
            **os.environ,
            **self.endpoint.environment,
            "DATABASE_URL": self._database_url,
            "PYTHONPATH": package_parent,
        }

    def _deploy(self) -> None:
        config = self.config
        s3 = self.client("s3")
        where = {"LocationConstraint": config.aws.region}
        s3.create_bucket(
            Bucket=config.bucket,
            **({} if config.aws.region == "us-east-1" else {"CreateBucketConfiguration": where}),
        )
        spec = config.job_spec().to_json().encode()
        s3.put_object(Bucket=config.bucket, Key=config.spec_key, Body=spec)
        self.client("sns").create_topic(Name=config.topic_arn.rpartition(":")[2])
        self.client("glue").create_job(
            Name=config.glue_job,
            Role=config.role_arn("glue"),
            GlueVersion="5.1",
            Timeout=config.etl.timeout_minutes,
            Command={"Name": "glueetl", "ScriptLocation": str(Path(etl.job.__file__))},
            DefaultArguments={"--runtime": "local"},
        )
        for name in FUNCTIONS:
            module = importlib.import_module(f"lambdas.{name.replace('-', '_')}")
            self.functions.register(config.function(name), module.handler)
        self._deploy_personalize()
        self.workflow = build_workflow(config, client=self.client("stepfunctions"))
        self.workflow.create()

    def _deploy_personalize(self) -> None:
        personalize = self.client("personalize")
        group = personalize.create_dataset_group(name=self.config.dataset_group)
        self.wait_until_active(
            lambda: personalize.describe_dataset_group(datasetGroupArn=group["datasetGroupArn"]),
            "datasetGroup",
        )
        for data_set in self.config.data_sets:
            name = f"{self.config.dataset_group}-{data_set.type.lower()}"
            schema = personalize.create_schema(name=name, schema=data_set.avro_json())
            created = personalize.create_dataset(
                name=name,
                schemaArn=schema["schemaArn"],
                datasetGroupArn=group["datasetGroupArn"],
                datasetType=data_set.type.capitalize(),
            )
            self.wait_until_active(
                lambda arn=created["datasetArn"]: personalize.describe_dataset(datasetArn=arn),
                "dataset",
            )

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
