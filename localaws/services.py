"""The services that run what is deployed: Lambda, Glue and Personalize, behind one endpoint."""

from __future__ import annotations

import os
from pathlib import Path

from localaws.functions.service import Functions
from localaws.glue.service import Glue
from localaws.http.endpoint import Endpoint
from localaws.persistence.documents import Documents
from localaws.personalize import Personalize, Quotas
from localaws.principals import credentials


class Services:
    """They are mounted at the endpoint, and call it with the role of whatever they run.

    Args:
        endpoint: Where they are found, and find the others.
        directory: For code, logs, data, models and temporary files.
        account: Account number of all ARNs.
        region: Region of all ARNs.
        database_url: What a Glue job reads that has the argument `--runtime`: it gets `local` for
            it, and this as DATABASE_URL. None leaves the arguments of all jobs as they are.
        documents: Where functions, jobs and Personalize's resources are kept; None forgets them.
        seed: Of every model that Personalize trains.
        quotas: Personalize's, where they are not AWS's own.
        auto_training: Whether Personalize trains solutions with performAutoTraining on schedule.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        directory: Path,
        account: str,
        region: str,
        database_url: str | None = None,
        documents: Documents | None = None,
        seed: int = 0,
        quotas: Quotas | None = None,
        auto_training: bool = False,
    ) -> None:
        self._endpoint = endpoint
        self._directory = directory
        self._database_url = database_url
        self.functions = Functions(
            account=account,
            region=region,
            directory=directory / "functions",
            environment=lambda role: {**endpoint.environment, **credentials(role)},
            # Lambda takes a package with the permissions of whoever deploys it.
            s3=lambda: endpoint.client("s3"),
            logs=lambda role: endpoint.client("logs", role),
            documents=documents,
        )
        self.glue = Glue(
            directory=directory / "glue",
            environment=self._job_environment,
            credentials=credentials,
            s3=lambda role: endpoint.client("s3", role),
            logs=lambda role: endpoint.client("logs", role),
            overrides={"--runtime": "local"} if database_url else {},
            documents=documents,
        )
        self.personalize = Personalize(
            account=account,
            region=region,
            s3=lambda role: endpoint.client("s3", role),
            cloudwatch=lambda role: endpoint.client("cloudwatch", role),
            directory=directory / "personalize",
            seed=seed,
            quotas=quotas,
            auto_training=auto_training,
            documents=documents,
        )
        endpoint.mount("lambda", self.functions)
        endpoint.mount("glue", self.glue)
        endpoint.mount("personalize", self.personalize)

    def close(self) -> None:
        """End all that runs, while the endpoint still answers its last calls."""
        self.functions.close()
        self.glue.close()
        self.personalize.close()

    def _job_environment(self) -> dict[str, str]:
        temporary = self._directory / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        return {
            **os.environ,
            **self._endpoint.environment,
            **({"DATABASE_URL": self._database_url} if self._database_url else {}),
            # What a job that is killed leaves goes with the directory.
            "TMPDIR": str(temporary),
        }
