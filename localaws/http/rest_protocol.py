"""AWS's REST-JSON protocol as a WSGI application, driven by botocore's own service model.

The operation is in the method and path; members are in the path, the query, headers and the body,
each where the model says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
from botocore.model import ListShape, OperationModel, Shape
from moto.core.request import Request

from localaws.http.errors import ServiceError
from localaws.http.protocol import Service, encoded_answer, json_object
from localaws.http.routes import find_operation
from localaws.http.wsgi import Response, request_body

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment


class RestService(Service):
    """A WSGI application that serves one REST-JSON service; arguments as `Service`'s."""

    def _read(self, environ: WSGIEnvironment) -> tuple[OperationModel, dict[str, Any]]:
        request = Request(environ, populate_request=False)
        found = find_operation(self._service, self._model.protocol, request)
        if found is None:
            asked = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
            raise ServiceError(
                "UnknownOperationException", f"{asked} is no operation of {self._service}"
            )
        operation, labels = found
        shape = operation.input_shape
        if shape is None:
            return operation, {}
        body, payload = request_body(environ), shape.serialization.get("payload")
        if payload is None:
            members = json_object(body)
        elif shape.members[payload].type_name == "blob":
            members = {payload: body}
        else:
            members = {payload: json_object(body)}
        return operation, {**members, **dict(_located(shape, request, labels))}

    def _response(self, operation: OperationModel, answer: Mapping[str, Any]) -> Response:
        shape = operation.output_shape
        response = Response(status=int(operation.http.get("responseCode", HTTPStatus.OK)))
        if shape is None:
            encoded_answer(operation, answer)
            return response
        rest = {name: value for name, value in answer.items() if value is not None}
        for name, member in shape.members.items():
            match member.serialization.get("location"):
                case "statusCode" if name in rest:
                    response.status_code = int(rest.pop(name))
                case "header" if name in rest:
                    response.headers[member.serialization["name"]] = str(rest.pop(name))
        payload = shape.serialization.get("payload")
        body = rest.pop(payload, b"") if payload else None
        encoded = encoded_answer(operation, rest)
        if response.status_code != HTTPStatus.NO_CONTENT:
            response.content_type = "application/json"
            response.set_data(orjson.dumps(encoded) if body is None else body)
        return response


def _located(shape: Any, request: Request, labels: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """Yield the members in path, query and headers; a text that is none of its type stays text."""
    for name, member in shape.members.items():
        key = member.serialization.get("name", name)
        match member.serialization.get("location"):
            case "uri":
                yield name, labels[key]
            case "querystring" if key in request.args and isinstance(member, ListShape):
                yield name, [_typed(text, member.member) for text in request.args.getlist(key)]
            case "querystring" if key in request.args:
                yield name, _typed(request.args[key], member)
            case "header" if key in request.headers:
                yield name, _typed(request.headers[key], member)


def _typed(text: str, shape: Shape) -> Any:
    """A text as the model's JSON type."""
    if shape.type_name in {"integer", "long"}:
        return int(text) if re.fullmatch(r"-?\d+", text) else text
    if shape.type_name == "boolean":
        return {"true": True, "false": False}.get(text, text)
    return text
