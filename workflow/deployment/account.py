"""The AWS account that a configuration names: clients, our identity, and error messages.

Clients retry where AWS needs time: a role that was created a moment ago cannot be assumed yet, and
two changes of one resource must not overlap. Half of a response is an error, and not an empty one,
as botocore reads it. Nothing here changes anything on AWS.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from botocore.config import Config as ClientConfig
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
)

from workflow.config import Config
from workflow.errors import DeployError

Clients = Callable[[str], Any]
"""A service's name → its boto3 client, for example `clients("s3")`; the same one every time."""

PATIENCE = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds before each further attempt: a new role is known everywhere in seconds, and an update of
a function or a deleted queue's name needs up to a minute.
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html"""

_NOT_YET = re.compile(
    r"cannot be assumed|authorized to assume|allow .* to assume|assume role permission"
    r"|not authorized to access the Log Destination|Invalid principal in policy|is not ready"
    # Lambda, of a role that may join a network since a moment, and of one in a key's new grant.
    r"|does not have permissions to call CreateNetworkInterface"
    r"|KMS key is invalid for CreateGrant|does not refer to a valid principal"
    # CloudWatch Logs, of a key that is new, or whose policy is.
    r"|KMS key does not exist or is not allowed to be used with",
    re.IGNORECASE,
)
_NOT_NOW = frozenset(
    {
        "ResourceConflictException",
        "ConcurrentModification",
        "ConcurrentModificationException",
        "ConflictException",
        "OperationAborted",
        "OperationAbortedException",
        "QueueDeletedRecently",
        "AWS.SimpleQueueService.QueueDeletedRecently",
    }
)
_TAKEN = re.compile(r"already exist", re.IGNORECASE)
_EXPIRED = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
)
_UNKNOWN = frozenset(
    {"InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId",
     "SignatureDoesNotMatch", "AuthFailure", "InvalidSignatureException"}
)  # fmt: skip
_DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation", "403",
     "Forbidden", "AuthorizationErrorException"}
)  # fmt: skip
_DENIED_TEXT = re.compile(
    r"User: (?P<who>\S+) is not authorized to perform: (?P<action>[\w-]+:\w+)"
    r"(?: on resource: (?P<resource>\S+))?"
)
_ACTIONS = {"HeadBucket": "ListBucket", "HeadObject": "GetObject"}


def clients_of(session: Any, region: str, *, patience: tuple[float, ...] = PATIENCE) -> Clients:
    """Return the clients of a session, made on first use.

    Args:
        session: A `boto3.Session`, or `boto3` itself for its default session.
        region: The configured region, whatever the session's is.
        patience: Seconds before each further attempt where AWS needs time.
    """

    @cache
    def client(service: str) -> Any:
        settings = ClientConfig(retries={"mode": "standard", "total_max_attempts": 6})
        new = session.client(service, region_name=region, config=settings)
        new.meta.events.register(f"needs-retry.{service}", _pause(patience))
        new.meta.events.register("before-parse", _raise_if_cut)
        return new

    return client


def _raise_if_cut(operation_model: Any, response_dict: dict[str, Any], **_: Any) -> None:
    """Compare a response's length with its Content-Length; a streaming body does it by itself."""
    body, length = response_dict["body"], response_dict["headers"].get("Content-Length")
    if isinstance(body, bytes) and length and operation_model.http.get("method") != "HEAD":
        expected = int(length)
        if len(body) < expected:
            raise IncompleteReadError(actual_bytes=len(body), expected_bytes=expected)


def _pause(patience: tuple[float, ...]) -> Callable[..., float | None]:
    """Return a handler for botocore: the seconds before another attempt, None for no attempt."""

    def pause(response: Any, attempts: int, **_: Any) -> float | None:
        error = response[1].get("Error", {}) if response else {}
        message = str(error.get("Message", ""))
        conflict = error.get("Code") in _NOT_NOW and not _TAKEN.search(message)
        if (conflict or _NOT_YET.search(message)) and attempts <= len(patience):
            return patience[attempts - 1] * random.uniform(0.8, 1.2)
        return None

    return pause


def check_identity(config: Config, clients: Clients) -> str:
    """Return the ARN of our identity, in the account that the configuration names.

    Raises:
        DeployError: If there are no credentials, expired ones, or those of another account.
    """
    try:
        identity = clients("sts").get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        raise DeployError(explain_error(error, "sts", config.aws.region)) from error
    if identity["Account"] != config.aws.account:
        raise DeployError(
            f"these credentials belong to account {identity['Account']} ({identity['Arn']}), but"
            f" [aws] account is {config.aws.account}: nothing was touched. Choose other"
            " credentials (AWS_PROFILE), or mend the configuration"
        )
    return str(identity["Arn"])


def explain_error(error: Exception, service: str, resource: str) -> str:
    """Return the meaning of an AWS error, and the remedy.

    Args:
        error: A `ClientError` or a `BotoCoreError`.
        service: IAM's prefix of the service that was called, for example `states`.
        resource: The ARN or name of the requested resource.
    """
    if isinstance(error, ClientError):
        return _client_error(error, service, resource)
    if isinstance(error, (NoCredentialsError, PartialCredentialsError, ProfileNotFound)):
        return f"no AWS credentials: {error}. Set AWS_PROFILE, or log in with 'aws sso login'"
    if isinstance(error, (SSOError, CredentialRetrievalError)):
        return f"the AWS credentials cannot be used: {error}. Log in again with 'aws sso login'"
    if isinstance(error, (EndpointConnectionError, ConnectionError, HTTPClientError)):
        return f"{error} Is there a network, and does [aws] region offer {service}?"
    return f"{resource}: {error}"


def _client_error(error: ClientError, service: str, resource: str) -> str:
    details: Mapping[str, Any] = error.response.get("Error", {})
    code, message = str(details.get("Code", "")), str(details.get("Message", "")).strip()
    if code in _EXPIRED:
        return (
            f"the session's token has expired ({code}). Log in again, for example with"
            " 'aws sso login', and run the same command: it goes on where it stopped"
        )
    if code in _UNKNOWN:
        return f"AWS does not know these credentials ({code}: {message}). Log in again"
    if code in _DENIED:
        match = _DENIED_TEXT.search(message)
        operation = _ACTIONS.get(error.operation_name, error.operation_name)
        action = match["action"] if match else f"{service}:{operation}".removeprefix(":")
        denied = (match["resource"] if match else None) or resource
        who = f" for {match['who']}" if match else ""
        return (
            f"no permission{who}: {action} on {denied} is denied. Ask for that action on that"
            f" resource ('retrain permissions' prints all that a deployment needs). {message}"
        ).rstrip()
    return f"{error.operation_name} on {resource}: {code}: {message}"
