"""The local AWS without a server: boto3's clients are answered in this process.

    with local_aws() as aws:
        boto3.client("s3").create_bucket(Bucket="rows")
        aws.client("personalize").list_recipes()

Clients of boto3's default session, of `aws.session` and of the sessions that are named send their
requests to the local AWS as long as the context lasts; nothing else is changed. A port is opened
only when something that runs outside of the test's calls needs one: an execution of a state
machine, a Lambda function's process, a Glue job.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from localaws.http.endpoint import Endpoint
from localaws.http.faults import Faults
from localaws.http.wsgi import answer_in_process, answer_over_http
from localaws.personalize import Quotas
from localaws.principals import CALLER
from localaws.services import Services


@dataclass(frozen=True)
class LocalAws:
    """A local AWS that answers in this process.

    Attributes:
        session: A boto3 session whose clients it answers.
        endpoint: What answers; its `url` opens a port.
        services: Lambda, Glue and Personalize.
        faults: Orders faults: `aws.faults.order("throttle", operation="PutObject")`.
    """

    session: boto3.Session
    endpoint: Endpoint
    services: Services
    faults: Faults

    def client(self, service: str) -> Any:
        """A client, for example `client("s3")`; it does not wait and retry as boto3's do."""
        return self.endpoint.client(service)


@contextmanager
def local_aws(
    *sessions: boto3.Session,
    account: str = "123456789012",
    region: str | None = None,
    time_scale: float = 0.0,
    directory: Path | None = None,
    quotas: Quotas | None = None,
) -> Iterator[LocalAws]:
    """Answer boto3 in this process.

    Args:
        sessions: Further sessions whose clients are answered, also those made before.
        account: Account number in every ARN.
        region: Region in every ARN, and of the default session if there is none yet; None takes
            that of the default session, the environment or the profile, or us-east-1.
        time_scale: Factor on Wait states and Retry intervals; 0 does not wait.
        directory: For code, logs and models; a temporary one if left out.
        quotas: Personalize's, where they are not AWS's own: `Quotas(campaigns=20)`.

    Raises:
        EndpointError: An endpoint runs in this process already.
    """
    default = boto3.DEFAULT_SESSION
    region = region or (default or boto3.Session()).region_name or "us-east-1"
    with ExitStack() as stack:
        if directory is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        endpoint = Endpoint(
            account=account,
            region=region,
            time_scale=time_scale,
            is_lazy=True,
            knows_aws_policies=True,
        )
        faults = endpoint.wrap_all(Faults)
        stack.enter_context(endpoint)
        services = Services(
            endpoint, directory=directory, account=account, region=region, quotas=quotas
        )
        stack.callback(services.close)
        stack.callback(endpoint.abort_executions)
        own = _session(region)
        if default is None:
            boto3.DEFAULT_SESSION = own
            stack.callback(_no_default_session)
        for session in {own, *sessions, *([default] if default else [])}:
            stack.enter_context(_credentials(session))
            answer_in_process(session.events, endpoint)
            stack.callback(answer_over_http, session.events, endpoint)
        yield LocalAws(own, endpoint, services, faults)


def _session(region: str) -> boto3.Session:
    return boto3.Session(
        aws_access_key_id=CALLER,
        aws_secret_access_key="local",  # noqa: S106  nothing checks it
        region_name=region,
    )


@contextmanager
def _credentials(session: boto3.Session) -> Iterator[None]:
    """Let a session that has looked for no credentials yet sign without looking for them."""
    core: Any = session._session
    before = core._credentials
    if before is None:
        core.set_credentials(CALLER, "local")
    try:
        yield
    finally:
        core._credentials = before


def _no_default_session() -> None:
    boto3.DEFAULT_SESSION = None
