"""AWS's errors, in the form of each of its protocols."""

from __future__ import annotations

import base64
import re
import secrets
import uuid
from wsgiref.types import WSGIEnvironment
from xml.sax.saxutils import escape

import orjson
from botocore.model import Shape

from localaws.errors import is_disk_full
from localaws.http.calls import is_s3, protocol_of, signature_of
from localaws.http.service_names import service_model, services_signed_as
from localaws.http.wsgi import Response, json_response

_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_S3_FORM = (
    _XML + "<Error>{error}<Resource>{resource}</Resource><RequestId>{id}</RequestId>"
    "<HostId>{host}</HostId></Error>"
)
_EC2_FORM = (
    _XML + "<Response><Errors><Error>{error}</Error></Errors><RequestID>{id}</RequestID></Response>"
)
_XML_FORM = (
    '<ErrorResponse xmlns="{namespace}"><Error><Type>{fault}</Type>{error}</Error>'
    "<RequestId>{id}</RequestId></ErrorResponse>"
)
# Of errors that services do not model: those that all of them can have, and S3's.
_STATUSES = {
    "AccessDenied": 403,
    "InternalError": 500,
    "InternalFailure": 500,
    "InternalServerError": 500,
    "ServiceUnavailable": 503,
    "ServiceUnavailableException": 503,
    "SlowDown": 503,
}
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_THROTTLING_ERROR = re.compile(r"Throttl\w+|TooManyRequests\w*|RequestThrottled\w*")


class ServiceError(Exception):
    """An error of a service, as its client sees it.

    Args:
        code: The error's name in the service model, e.g. `ResourceNotFoundException`.
        message: What is wrong, where, and what to do.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


def throttling_error(service: str, operation: str) -> ServiceError:
    """Return the error of a throttled call: the operation's own, if its model has one.

    The service is boto3's name, the operation botocore's; either may be unknown, and is empty then.
    """
    model = service_model(service) if service else None
    if service == "s3":
        return ServiceError("SlowDown", "Please reduce your request rate.")
    if model and model.protocol == "ec2":
        return ServiceError("RequestLimitExceeded", "Request limit exceeded.")
    if model and model.protocol == "query":
        return ServiceError("Throttling", "Rate exceeded")
    shapes = model.operation_model(operation).error_shapes if model and operation else []
    own = [shape.name for shape in shapes if _THROTTLING_ERROR.fullmatch(shape.name)]
    return ServiceError(own[0] if own else "ThrottlingException", "Rate exceeded")


def failure(error: Exception, request: str) -> ServiceError:
    """Return the error of a request at which the local AWS itself fails, and why it does.

    The request is named as the client knows it, for example `this PutObject`.
    """
    if is_disk_full(error):
        reason = f"the disk of the local AWS is full: make room, and send {request} again ({error})"
    else:
        reason = f"the local AWS fails at {request}: {type(error).__name__}: {error}"
    return ServiceError("InternalFailure", reason)


def error_status(service: str, code: str) -> int:
    """Return the HTTP status of a service's error; 400 of one that nobody models."""
    shape = _error_shape(service, code)
    common = _STATUSES.get(
        code, 503 if service == "ec2" and code == "RequestLimitExceeded" else 400
    )
    return int(shape.metadata.get("error", {}).get("httpStatusCode", common)) if shape else common


def _error_shape(service: str, code: str) -> Shape | None:
    """Return the model of an error by its name there, or by its code where that is another one."""
    shapes = service_model(service).error_shapes if service else []
    named = [shape for shape in shapes if code in {shape.name, _code(shape)}]
    return named[0] if named else None


def _code(shape: Shape) -> str:
    """Return what an XML response calls an error: `NotFound` is SNS's NotFoundException."""
    return str(shape.metadata.get("error", {}).get("code", shape.name))


def error_response(
    error: ServiceError,
    *,
    protocol: str,
    service: str = "",
    status: int | None = None,
    resource: str = "",
) -> Response:
    """Return an error in a protocol, as `protocol_of` names it.

    The service is boto3's name, e.g. `s3`; empty if there is no such service. The status is the
    error's own if there is none, and the resource S3's path.
    """
    if service == "s3" and error.code == "InternalFailure":
        error = ServiceError("InternalError", error.message)
    status = status or error_status(service, error.code)
    shape = _error_shape(service, error.code)
    metadata = service_model(service).metadata if service else {}
    fault = "Receiver" if status >= 500 else "Sender"
    if service == "s3":
        return _s3_error(error, status, resource)
    request_id = str(uuid.uuid4())
    if protocol == "json":
        name = shape.name if shape else error.code
        body = {"__type": name, "message": error.message}
        response = json_response(body, version=metadata.get("jsonVersion", "1.0"), status=status)
        response.headers["x-amzn-errortype"] = name
        if "awsQueryCompatible" in metadata:
            code = _code(shape) if shape else error.code
            response.headers["x-amzn-query-error"] = f"{code};{fault}"
    elif protocol == "rest-json":
        # Services disagree on the letter's case; their clients read either.
        cause = "Service" if status >= 500 else "User"
        both = {"Type": cause, "message": error.message, "Message": error.message}
        response = Response(orjson.dumps(both), status, content_type="application/json")
        response.headers["x-amzn-errortype"] = error.code
    else:
        xml = (_EC2_FORM if protocol == "ec2" else _XML_FORM).format(
            error=_xml_detail(_code(shape) if shape else error.code, error.message),
            fault=fault,
            id=request_id,
            namespace=metadata.get("xmlNamespace", ""),
        )
        response = Response(xml, status, content_type="text/xml")
    response.headers["x-amzn-RequestId"] = request_id
    return response


def _s3_error(error: ServiceError, status: int, resource: str) -> Response:
    request_id, host_id = secrets.token_hex(8).upper(), base64.b64encode(secrets.token_bytes(56))
    xml = _S3_FORM.format(
        error=_xml_detail(error.code, error.message),
        resource=_xml_text(resource),
        id=request_id,
        host=host_id.decode("ascii"),
    )
    response = Response(xml, status, content_type="application/xml")
    response.headers["x-amz-request-id"] = request_id
    response.headers["x-amz-id-2"] = host_id.decode("ascii")
    return response


def _xml_detail(code: str, message: str) -> str:
    return f"<Code>{_xml_text(code)}</Code><Message>{_xml_text(message)}</Message>"


def _xml_text(text: str) -> str:
    """Return a text as XML 1.0 can hold it."""
    return escape(_NO_XML.sub("\N{REPLACEMENT CHARACTER}", text))


def error_to(
    environ: WSGIEnvironment,
    code: str,
    message: str,
    *,
    status: int | None = None,
    service: str = "",
) -> Response:
    """Return an error in the protocol of the service that a request is for.

    The service is boto3's name; empty for the first one of those that the request's signature has.
    """
    signed = services_signed_as("s3" if is_s3(environ) else signature_of(environ).service)
    service = service or (signed[0] if signed else "")
    return error_response(
        ServiceError(code, message),
        protocol=protocol_of(service, environ.get("CONTENT_TYPE")) if service else "json",
        service=service,
        status=status,
        resource=environ.get("PATH_INFO", "")
        .encode("latin-1", "replace")
        .decode("utf-8", "replace"),
    )
