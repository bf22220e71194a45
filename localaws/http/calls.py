"""What a request asks of AWS, and who asks: read from the signature and botocore's models.

with endpoint.recorded() as calls:
    ...
Call(principal="labbase-retraining-glue", service="s3", operation="PutObject", …)
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree

import botocore.session
from botocore.model import ListShape, OperationModel, ServiceModel, Shape, StructureShape
from botocore.parsers import RpcV2CBORParser

from localaws.http.routes import Routes

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

_SIGNATURE = re.compile(r"Credential=([^/]*)/\d{8}/([^/]*)/([^/]+)/aws4_request")
_CBOR_PATH = re.compile(r"/service/\w+/operation/(\w+)")
_MODELS = {"states": "stepfunctions", "monitoring": "cloudwatch"}  # signing name → botocore's
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
        operation: The operation's name in botocore's model, e.g. 'PutObject'.
        parameters: Its members as JSON values, as far as they are in the path, the query, headers
            or a JSON, CBOR, XML or form body; a form's nested members keep their flat names.
    """

    principal: str
    service: str
    operation: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


def signature_of(environ: WSGIEnvironment) -> Signature:
    """Return who signed a request."""
    found = _SIGNATURE.search(environ.get("HTTP_AUTHORIZATION", ""))
    return Signature(*found.groups()) if found else Signature()


def call_of(environ: WSGIEnvironment) -> Call:
    """Return what a request asks for; its body can still be read afterwards.

    A request that no model knows is a call of the operation ''.
    """
    signature = signature_of(environ)
    try:
        model = _model(_MODELS.get(signature.service, signature.service))
    except botocore.session.UnknownServiceError:
        return Call(signature.key, signature.service, "")
    operation, parameters = _decoded(model, environ)
    return Call(signature.key, signature.service, operation, parameters)


def _decoded(model: ServiceModel, environ: WSGIEnvironment) -> tuple[str, Mapping[str, Any]]:
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return target.rpartition(".")[2], _object(json.loads, _body(environ) or b"{}")
    if found := _CBOR_PATH.fullmatch(environ["PATH_INFO"]):
        return found[1], _object(_cbor, _body(environ))
    if model.protocol in {"query", "ec2"}:
        form = dict(parse_qsl(_body(environ).decode()))
        return form.pop("Action", ""), form
    routed = _routes(model.service_name).find(environ)
    if routed is None:
        return "", {}
    if model.protocol == "rest-json":
        body = _object(json.loads, _body(environ) or b"{}")
    else:
        body = _xml_payload(routed.operation, environ)
    return routed.operation.name, {**body, **routed.located}


def _xml_payload(operation: OperationModel, environ: WSGIEnvironment) -> dict[str, Any]:
    """The member that an XML body is, where it is not bytes."""
    shape = operation.input_shape
    payload = shape.serialization.get("payload") if shape else None
    if shape is None or payload is None or shape.members[payload].type_name != "structure":
        return {}
    try:
        return {payload: _from_xml(_element(_body(environ)), shape.members[payload])}
    except ElementTree.ParseError:
        return {}


def _element(body: bytes) -> ElementTree.Element:
    return ElementTree.fromstring(body)  # noqa: S314  it comes from this machine's own clients


def _from_xml(element: ElementTree.Element, shape: Shape) -> Any:
    if not isinstance(shape, StructureShape):
        return element.text
    found: dict[str, Any] = {}
    for name, member in shape.members.items():
        tag = member.serialization.get("name", name)
        below = [one for one in element if one.tag.rpartition("}")[2] == tag]
        if isinstance(member, ListShape):
            inner = (
                below if member.serialization.get("flattened") else [e for b in below for e in b]
            )
            found[name] = [_from_xml(one, member.member) for one in inner]
        elif below:
            found[name] = _from_xml(below[0], member)
    return found


def _body(environ: WSGIEnvironment) -> bytes:
    """A body that is small; it is put back, as if nobody had read it."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if not 0 < length <= _SMALL:
        return b""
    body: bytes = environ["wsgi.input"].read(length)
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _object(parse: Callable[[bytes], Any], body: bytes) -> dict[str, Any]:
    try:
        value = parse(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _cbor(body: bytes) -> Any:
    return RpcV2CBORParser().parse_data_item(io.BufferedReader(io.BytesIO(body)))


@cache
def _model(service: str) -> ServiceModel:
    return botocore.session.Session().get_service_model(service)


@cache
def _routes(service: str) -> Routes:
    return Routes(_model(service))
