"""The operation that a request is for, by moto's routers, which read botocore's models."""

from __future__ import annotations

from functools import cache
from typing import Any

from botocore.model import OperationModel
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_router_class
from werkzeug.exceptions import NotFound

from localaws.http.service_names import service_model


def protocol_of(service: str, content_type: str | None) -> str:
    """Return a request's protocol: the service's own, unless the content type names another.

    Args:
        service: boto3's name.
        content_type: The request's.

    Returns:
        `json`, `rest-json`, `query`, `rest-xml` or `ec2`.
    """
    model = service_model(service)
    try:
        return str(determine_request_protocol(model, content_type))
    except NotImplementedError:
        return model.protocol


def find_operation(
    service: str, protocol: str, request: Request
) -> tuple[OperationModel, dict[str, Any]] | None:
    """Return the operation that a request is for, with the members in the request's path.

    Args:
        service: boto3's name.
        protocol: The request's.
        request: Its form may be read.

    Returns:
        None if the service has no such operation.
    """
    router = _router(service, protocol)
    try:
        match: tuple[OperationModel, dict[str, Any]] | None = router and router.match(request)
    except NotFound:
        return None
    return match


@cache
def _router(service: str, protocol: str) -> Any:
    router = get_router_class(service, protocol)
    return router and router(service_model(service))
