"""The operation that a request calls, and who calls it: by the signature and botocore's models.

Call(principal="labbase-retraining-glue", service="s3", operation="PutObject", …)
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import unquote
from wsgiref.types import WSGIEnvironment

from botocore.model import OperationModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_router_class
from werkzeug.exceptions import NotFound

from localaws.http.service_names import service_model, services_signed_as
from localaws.http.wsgi import request_body

_CREDENTIAL = re.compile(r"Credential=([^/]*)/\d{8}/([^/]*)/([^/]+)/aws4_request")
_PARSED_BODY_LIMIT = 1 << 20  # bytes


@dataclass(frozen=True)
class Signature:
    """A request's signature; all is empty if the request is not signed.

    Attributes:
        key: The access key's id.
        region: E.g. 'ap-northeast-1'.
        service: The name under which it is signed, e.g. 'states'.
    """

    key: str = ""
    region: str = ""
    service: str = ""


@dataclass(frozen=True)
class Call:
    """One call of AWS's API.

    Attributes:
        principal: The id of the access key that signed it: a role's name, or `CALLER`.
        service: The name under which it is signed, e.g. 's3', 'states', 'monitoring'.
        operation: The operation's name in botocore's model, e.g. 'PutObject'; empty if the model
            has none.
        parameters: Its members by their names in the model; none if the body is malformed.
        client: boto3's name of the service, e.g. 'personalize-runtime'; empty as the operation is.
    """

    principal: str = ""
    service: str = ""
    operation: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    client: str = ""


def signature_of(environ: WSGIEnvironment) -> Signature:
    """Return a request's signature, which is in a header or in a presigned URL."""
    signed = environ.get("HTTP_AUTHORIZATION") or unquote(environ.get("QUERY_STRING", ""))
    match = _CREDENTIAL.search(signed)
    return Signature(*match.groups()) if match else Signature()


def is_s3(environ: WSGIEnvironment) -> bool:
    """Return whether a request is S3's: signed for it, or not signed at all."""
    service = signature_of(environ).service
    return service == "s3" or not (service or environ.get("HTTP_X_AMZ_TARGET"))


def call_of(environ: WSGIEnvironment) -> Call:
    """Return the call that a request makes; its body can still be read afterwards."""
    signature = signature_of(environ)
    body = request_body(environ, limit=_PARSED_BODY_LIMIT)
    copied = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    request = Request(copied, populate_request=False)
    for service in services_signed_as(signature.service):
        protocol = protocol_of(service, request.content_type)
        if match := find_operation(service, protocol, request):
            operation, path_members = match
            is_form = protocol in {"query", "ec2"}
            sources = {
                "method": request.method,
                "values": request.values if is_form else request.args,
                "headers": request.headers,
                "body": body,
                "url_path": request.path,
                "url_params": path_members,
            }
            try:
                parameters = PROTOCOL_PARSERS[protocol](operation).parse(sources)
            except Exception:  # which one depends on the protocol and on the fault
                parameters = {}
            return Call(signature.key, signature.service, operation.name, parameters, service)
    return Call(signature.key, signature.service)


def protocol_of(service: str, content_type: str | None) -> str:
    """Return the protocol of a request to a service, by boto3's name: its own, if it has one alone.

    It is `json`, `rest-json`, `query`, `rest-xml` or `ec2`; the content type decides among several.
    """
    model = service_model(service)
    try:
        return str(determine_request_protocol(model, content_type))
    except NotImplementedError:
        return model.protocol


def find_operation(
    service: str, protocol: str, request: Request
) -> tuple[OperationModel, dict[str, Any]] | None:
    """Return the operation of a service that a request is for, and the members in its path.

    None if the service has no such operation. The request's form may be read.
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
