"""The small shop on a local AWS: every state of the workflow, and a script for the Spark job."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import boto3

from retrain.local.deployment import deploy
from workflow import Config, parse_config

_SMALL_SHOP = Path(__file__).parent / "small_shop"
TEXT = (_SMALL_SHOP / "retraining.toml").read_text(encoding="utf-8")
SCRIPT = (_SMALL_SHOP / "job.py").read_text(encoding="utf-8")
SERVE = (sys.executable, "-m", "retrain", "local", "serve", "--port", "0", "--time-scale", "0")


def small_shop(settings: str = "") -> Config:
    """Return the configuration, with settings before its first table."""
    return parse_config(f"{settings}\n{TEXT}")


def deploy_small_shop(config: Config, client: Callable[[str], Any]) -> None:
    """Deploy the workflow, and put the script in the Spark job's place."""
    deploy(config, client)
    key, name = "artifacts/script.py", config.glue_job
    client("s3").put_object(Bucket=config.bucket, Key=key, Body=SCRIPT.encode())
    glue = client("glue")
    job = glue.get_job(JobName=name)["Job"]
    job["Command"]["ScriptLocation"] = f"s3://{config.bucket}/{key}"
    update = {member: job[member] for member in ("Role", "Command", "DefaultArguments")}
    glue.update_job(JobName=name, JobUpdate=update)


class Served:
    """A process that serves a local AWS, for the length of a `with` block: `retrain local serve`.

    Attributes:
        pid: The process's.
        client: Returns a client by boto3's name of a service.
    """

    pid: int

    def __init__(self, directory: Path, config: Config) -> None:
        self._directory, self._config = directory, config
        self._clients: dict[str, Any] = {}

    def __enter__(self) -> Self:
        aws = self._config.aws
        self._process = subprocess.Popen(
            [
                *(*SERVE, "--until-eof", "--data-dir", str(self._directory)),
                *("--account", aws.account, "--region", aws.region),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={k: v for k, v in os.environ.items() if not k.startswith("AWS_")},
        )
        self.pid, self._environment = self._process.pid, dict[str, str]()
        for line in self._process.stdout or ():
            name, _, value = line.removeprefix("export ").strip().partition("=")
            self._environment[name] = value
            if line.startswith("Serving"):
                return self
        raise SystemExit("the local AWS does not start")

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # which closes its standard input

    def client(self, service: str) -> Any:
        """Return a client."""
        if service not in self._clients:
            session: Any = boto3.Session()
            self._clients[service] = session.client(
                service,
                endpoint_url=self._environment["AWS_ENDPOINT_URL"],
                region_name=self._environment["AWS_REGION"],
                aws_access_key_id=self._environment["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=self._environment["AWS_SECRET_ACCESS_KEY"],
            )
        return self._clients[service]
