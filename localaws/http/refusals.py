"""What moto raises on a request that is none → the error of AWS that its client expects.

moto checks little: it fails in the middle of its work, by whatever Python raises there. Whether the
request is at fault is asked of botocore's model of the service, and not of moto.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs
from wsgiref.types import WSGIEnvironment
from xml.parsers.expat import ExpatError

from botocore.model import OperationNotFoundError

from localaws.http.calls import Call, call_of, is_s3, protocol_of, signature_of
from localaws.http.errors import ServiceError
from localaws.http.protocol import invalid_input_code, json_object, validated_request
from localaws.http.service_names import service_model, services_signed_as
from localaws.http.wsgi import request_body

_BY_INPUT = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
_MALFORMED_XML = (
    "The XML you provided was not well-formed or did not validate against our published schema"
)


def refusal(environ: WSGIEnvironment, error: Exception) -> ServiceError | None:
    """Return AWS's error of a malformed request at which moto has failed.

    Args:
        environ: The request; its body can be read.
        error: What moto has raised.

    Returns:
        None if the request is as the service's model wants it, or no one knows: it is moto's fault.
    """
    if is_s3(environ):
        return _refusal_of_s3(environ, error)
    services = services_signed_as(signature_of(environ).service)
    if not services:
        return None
    call = call_of(environ)
    service = call.client or services[0]
    protocol = protocol_of(service, environ.get("CONTENT_TYPE"))
    if protocol in {"json", "rest-json"}:
        return _refusal_of_json(environ, call, service, is_rest=protocol == "rest-json")
    if isinstance(error, OperationNotFoundError):
        return ServiceError("InvalidAction", f"Could not find operation {error}")
    if isinstance(error, _BY_INPUT):
        return ServiceError("ValidationError", f"{call.operation or 'the request'}: {error!r}")
    return None


def _refusal_of_json(
    environ: WSGIEnvironment, call: Call, service: str, *, is_rest: bool
) -> ServiceError | None:
    if not (is_rest or environ.get("HTTP_X_AMZ_TARGET")):
        return ServiceError("MissingAction", "the request has no X-Amz-Target")
    body = request_body(environ)
    try:
        members = json_object(body)
    except ServiceError as malformed:
        return malformed
    if not call.operation:
        return ServiceError("UnknownOperationException", f"{service} has no such operation")
    operation = service_model(service).operation_model(call.operation)
    # The members of a path or a query are in the call; of the body, what it has.
    _, message = validated_request(
        operation, {**call.parameters, **members} if is_rest else members
    )
    if message:
        return ServiceError(invalid_input_code(service), message)
    return None if body else ServiceError("SerializationException", "the request has no body")


def _refusal_of_s3(environ: WSGIEnvironment, error: Exception) -> ServiceError | None:
    query: Mapping[str, list[str]] = parse_qs(environ.get("QUERY_STRING", ""))
    if isinstance(error, ExpatError):
        return ServiceError("MalformedXML", _MALFORMED_XML)
    if isinstance(error, KeyError) and error.args[:1] == tuple(query.get("uploadId", [])):
        return ServiceError("NoSuchUpload", "The specified multipart upload does not exist.")
    if isinstance(error, KeyError | TypeError | AttributeError) and _has_body(environ):
        return ServiceError("MalformedXML", _MALFORMED_XML)
    if isinstance(error, _BY_INPUT):
        return ServiceError("InvalidArgument", f"{error}")
    return None


def _has_body(environ: WSGIEnvironment) -> bool:
    return environ["REQUEST_METHOD"] in {"PUT", "POST"} and bool(request_body(environ))
