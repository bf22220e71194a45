"""What a request asks of AWS, and who asks: read from the signature and botocore's models.

with endpoint.recorded() as calls:
    ...
Call(principal="labbase-retraining-glue", service="s3", operation="PutObject", …)
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from botocore.model import OperationModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request

from localaws.http.routes import find_operation, protocol_of
from localaws.http.service_names import services_signed_as
from localaws.http.wsgi import request_body

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

_CREDENTIAL = re.compile(r"Credential=([^/]*)/\d{8}/([^/]*)/([^/]+)/aws4_request")
_SMALL = 1 << 20  # bytes of a body that is looked into


@dataclass(frozen=True)
class Signature:
    """Who signed a request, for which region and service; all empty if nothing is signed.

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
            knows none.
        parameters: Its members by their names in the model; none if the body is malformed.
    """

    principal: str
    service: str
    operation: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


def signature_of(environ: WSGIEnvironment) -> Signature:
    """Return who signed a request, in a header or in a link."""
    signed = environ.get("HTTP_AUTHORIZATION") or unquote(environ.get("QUERY_STRING", ""))
    found = _CREDENTIAL.search(signed)
    return Signature(*found.groups()) if found else Signature()


def is_s3(environ: WSGIEnvironment) -> bool:
    """Return whether a request is S3's: signed for it, or not signed at all."""
    service = signature_of(environ).service
    return service == "s3" or not (service or environ.get("HTTP_X_AMZ_TARGET"))


def call_of(environ: WSGIEnvironment) -> Call:
    """Return what a request asks for; its body can still be read afterwards."""
    signature = signature_of(environ)
    body = request_body(environ, most=_SMALL)
    copied = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    request = Request(copied, populate_request=False)
    for service in services_signed_as(signature.service):
        protocol = protocol_of(service, request.content_type)
        if found := find_operation(service, protocol, request):
            operation, labels = found
            parameters = _parameters(operation, protocol, request, body, labels)
            return Call(signature.key, signature.service, operation.name, parameters)
    return Call(signature.key, signature.service, "")


def _parameters(
    operation: OperationModel,
    protocol: str,
    request: Request,
    body: bytes,
    labels: Mapping[str, Any],
) -> Mapping[str, Any]:
    is_form = protocol in {"query", "ec2"}
    parts = {
        "method": request.method,
        "values": request.values if is_form else request.args,
        "headers": request.headers,
        "body": body,
        "url_path": request.path,
        "url_params": labels,
    }
    try:
        parameters: Mapping[str, Any] = PROTOCOL_PARSERS[protocol](operation).parse(parts)
    except Exception:  # which one depends on the protocol and on the fault
        return {}
    return parameters
