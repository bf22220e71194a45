"""AWS's errors, in the form of each of its protocols."""

from __future__ import annotations

import uuid
from wsgiref.types import WSGIEnvironment
from xml.sax.saxutils import escape

import orjson

from localaws.http.calls import is_s3, protocol_of, signature_of
from localaws.http.service_names import service_model, services_signed_as
from localaws.http.wsgi import Response, json_response

_XML_FORMS = {
    "ec2": (
        "<Response><Errors><Error>{error}</Error></Errors><RequestID>{id}</RequestID></Response>"
    ),
    "s3": "<Error>{error}<RequestId>{id}</RequestId></Error>",
    "query": (
        "<ErrorResponse><Error><Type>{fault}</Type>{error}</Error>"
        "<RequestId>{id}</RequestId></ErrorResponse>"
    ),
}


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


def error_response(
    error: ServiceError, *, protocol: str, service: str = "", status: int = 400
) -> Response:
    """Return an error in a protocol, as `protocol_of` names it.

    The service is boto3's name, e.g. `s3`; empty if there is no such service.
    """
    request_id = str(uuid.uuid4())
    fault = "Receiver" if status >= 500 else "Sender"
    if protocol == "json":
        metadata = service_model(service).metadata if service else {}
        body = {"__type": error.code, "message": error.message}
        response = json_response(body, version=metadata.get("jsonVersion", "1.0"), status=status)
        response.headers["x-amzn-errortype"] = error.code
        if "awsQueryCompatible" in metadata:
            response.headers["x-amzn-query-error"] = f"{error.code};{fault}"
    elif protocol == "rest-json":
        # Services disagree on the letter's case; their clients read either.
        both = {"Type": "User", "message": error.message, "Message": error.message}
        response = Response(orjson.dumps(both), status, content_type="application/json")
        response.headers["x-amzn-errortype"] = error.code
    else:
        form = _XML_FORMS.get("s3" if service == "s3" else protocol, _XML_FORMS["query"])
        detail = f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
        xml = form.format(error=detail, fault=fault, id=request_id)
        response = Response(xml, status, content_type="text/xml")
    response.headers["x-amz-request-id" if service == "s3" else "x-amzn-RequestId"] = request_id
    return response


def error_to(environ: WSGIEnvironment, code: str, message: str, *, status: int = 400) -> Response:
    """Return an error in the protocol of the service that a request is signed for."""
    services = services_signed_as("s3" if is_s3(environ) else signature_of(environ).service)
    service = services[0] if services else ""
    protocol = protocol_of(service, environ.get("CONTENT_TYPE")) if service else "json"
    error = ServiceError(code, message)
    return error_response(error, protocol=protocol, service=service, status=status)
