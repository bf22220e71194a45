"""AWS's REST-JSON protocol as a WSGI application, driven by botocore's own service model.

The operation is in the method and path; members are in the path, the query, headers and the body,
each where the model has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any
from wsgiref.types import WSGIEnvironment

import orjson
from botocore.model import ListShape, OperationModel, Shape
from moto.core.request import Request

from localaws.http.calls import find_operation
from localaws.http.errors import ServiceError
from localaws.http.protocol import Service, encode_members, json_object
from localaws.http.wsgi import Response, request_body


class RestService(Service):
    """A WSGI application that serves one REST-JSON service; arguments as `Service`'s."""

    def _read(self, environ: WSGIEnvironment) -> tuple[OperationModel, dict[str, Any]]:
        request = Request(environ, populate_request=False)
        match = find_operation(self._service, self._model.protocol, request)
        if match is None:
            raise ServiceError(
                "UnknownOperationException",
                f"{request.method} {environ['PATH_INFO']} is no operation of {self._service}",
            )
        operation, path_members = match
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
        return operation, {**members, **dict(_members_outside_body(shape, request, path_members))}

    def _response(self, operation: OperationModel, members: Mapping[str, Any]) -> Response:
        shape = operation.output_shape
        response = Response(status=int(operation.http.get("responseCode", HTTPStatus.OK)))
        if shape is None:
            encode_members(operation, members)
            return response
        rest = {name: value for name, value in members.items() if value is not None}
        for name, member in shape.members.items():
            match member.serialization.get("location"):
                case "statusCode" if name in rest:
                    response.status_code = int(rest.pop(name))
                case "header" if name in rest:
                    response.headers[member.serialization["name"]] = str(rest.pop(name))
        payload = shape.serialization.get("payload")
        body = rest.pop(payload, b"") if payload else None
        encoded = encode_members(operation, rest)
        if response.status_code != HTTPStatus.NO_CONTENT:
            response.content_type = "application/json"
            response.set_data(orjson.dumps(encoded) if body is None else body)
        return response


def _members_outside_body(
    shape: Any, request: Request, path_members: Mapping[str, str]
) -> Iterator[tuple[str, Any]]:
    """Yield the members in path, query and headers; a text that is none of its type stays text."""
    for name, member in shape.members.items():
        key = member.serialization.get("name", name)
        match member.serialization.get("location"):
            case "uri":
                yield name, path_members[key]
            case "querystring" if key in request.args and isinstance(member, ListShape):
                yield name, [_parse(text, member.member) for text in request.args.getlist(key)]
            case "querystring" if key in request.args:
                yield name, _parse(request.args[key], member)
            case "header" if key in request.headers:
                yield name, _parse(request.headers[key], member)


def _parse(text: str, shape: Shape) -> Any:
    if shape.type_name in {"integer", "long"}:
        return int(text) if re.fullmatch(r"-?\d+", text) else text
    if shape.type_name == "boolean":
        return {"true": True, "false": False}.get(text, text)
    return text
