"""The local AWS without a server: boto3's clients are answered in this process.

    with local_aws() as aws:
        boto3.client("s3").create_bucket(Bucket="rows")
        aws.client("personalize").list_recipes()

Clients of boto3's default session, of `aws.session` and of the sessions that are passed send their
requests to the local AWS as long as the context lasts; nothing else is changed. A port is opened
only when something that runs outside of the test's calls needs one: an execution of a state
machine, a Lambda function's process, a Glue job.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import boto3

from localaws.aws import DEFAULT_ACCOUNT, DEFAULT_REGION, LocalAws
from localaws.http.wsgi import answer_in_process, answer_over_http
from localaws.personalize import Quotas
from localaws.principals import CALLER


@contextmanager
def local_aws(
    *sessions: boto3.Session,
    account: str = DEFAULT_ACCOUNT,
    region: str | None = None,
    time_scale: float = 0.0,
    directory: Path | None = None,
    quotas: Quotas | None = None,
    database_url: str | None = None,
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
        database_url: The database of Glue jobs, as `LocalAws` takes it.

    Raises:
        EndpointError: If an endpoint runs in this process already.
    """
    default = boto3.DEFAULT_SESSION
    region = region or (default or boto3.Session()).region_name or DEFAULT_REGION
    with ExitStack() as stack:
        if directory is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        aws = stack.enter_context(
            LocalAws(
                directory=directory,
                is_kept=False,
                account=account,
                region=region,
                port=None,
                time_scale=time_scale,
                quotas=quotas,
                database_url=database_url,
            )
        )
        if default is None:
            boto3.DEFAULT_SESSION = aws.session
            stack.callback(setattr, boto3, "DEFAULT_SESSION", None)
        for session in {*sessions, *([default] if default else [])}:
            stack.enter_context(_credentials(session))
            answer_in_process(session.events, aws.endpoint)
            stack.callback(answer_over_http, session.events, aws.endpoint)
        yield aws


@contextmanager
def _credentials(session: boto3.Session) -> Iterator[None]:
    """Let a session that has read no credentials yet sign without reading them."""
    core: Any = session._session
    before = core._credentials
    if before is None:
        core.set_credentials(CALLER, "local")
    try:
        yield
    finally:
        core._credentials = before
