"""AWS's REST-JSON protocol as a WSGI application, driven by botocore's own service model.

The operation is in the method and path; members are in the path, the query, headers and the body,
each where the model says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import orjson
from botocore.model import ListShape, OperationModel, Shape

from localaws.protocol import (
    Operation,
    Reply,
    Service,
    ServiceError,
    encoded_answer,
    json_object,
    request_body,
)

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

_LABEL = re.compile(r"\\\{(\w+)(\\\+)?\\\}")
_ROUTE = "localaws.labels"


@dataclass(frozen=True)
class _Route:
    """Where an operation is found: its method, its path, and what its query must hold."""

    operation: str
    method: str
    path: re.Pattern[str]
    query: Mapping[str, list[str]]


class RestService(Service):
    """A WSGI application that serves one REST-JSON service; arguments as `Service`'s."""

    def __init__(self, service: str, operations: Mapping[str, Operation]) -> None:
        super().__init__(service, operations)
        models = map(self._model.operation_model, self._model.operation_names)
        # A path with a constant query is a special case of the same path without one.
        self._routes = sorted(map(_route, models), key=lambda route: not route.query)

    def _operation(self, environ: WSGIEnvironment) -> OperationModel:
        method = environ["REQUEST_METHOD"]
        # WSGI hands the path over as Latin-1, whatever it is.
        path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
        query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        for route in self._routes:
            found = route.path.fullmatch(path.rstrip("/"))
            if found and route.method == method and route.query.items() <= query.items():
                environ[_ROUTE] = found.groupdict()
                return self._model.operation_model(route.operation)
        raise ServiceError(
            "UnknownOperationException", f"{method} {path} is no operation of {self._service}"
        )

    def _request(self, operation: OperationModel, environ: WSGIEnvironment) -> dict[str, Any]:
        shape = operation.input_shape
        if shape is None:
            return {}
        body, payload = request_body(environ), shape.serialization.get("payload")
        members: dict[str, Any] = {}
        blob: dict[str, bytes] = {}
        if payload is None:
            members = json_object(body)
        elif shape.members[payload].type_name == "blob":
            blob = {payload: body}
        else:
            members = {payload: json_object(body)}
        query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        for name, member in shape.members.items():
            located = _located(name, member, environ, query)
            if located is not None:
                members[name] = located
        return {**self._checked(operation, members), **blob}

    def _reply(self, operation: OperationModel, answer: Mapping[str, Any]) -> Reply:
        shape = operation.output_shape
        status = int(operation.http.get("responseCode", 200))
        if shape is None:
            encoded_answer(operation, answer)
            return Reply(status, b"")
        headers: dict[str, str] = {}
        rest = {name: value for name, value in answer.items() if value is not None}
        for name, member in shape.members.items():
            match member.serialization.get("location"):
                case "statusCode" if name in rest:
                    status = int(rest.pop(name))
                case "header" if name in rest:
                    headers[member.serialization["name"]] = str(rest.pop(name))
        payload = shape.serialization.get("payload")
        body = rest.pop(payload, b"") if payload else None
        encoded = encoded_answer(operation, rest)
        return Reply(status, orjson.dumps(encoded) if body is None else body, headers)

    def _error_body(self, error: ServiceError) -> dict[str, str]:
        # Services disagree on the letter's case; their clients read either.
        return {"Type": "User", "message": error.message, "Message": error.message}


def _route(model: OperationModel) -> _Route:
    path, _, query = model.http["requestUri"].partition("?")

    def label(found: re.Match[str]) -> str:
        return f"(?P<{found[1]}>.+)" if found[2] else f"(?P<{found[1]}>[^/]+)"

    pattern = re.compile(_LABEL.sub(label, re.escape(path.rstrip("/"))))
    constant = parse_qs(query, keep_blank_values=True)
    return _Route(model.name, model.http["method"], pattern, constant)


def _located(
    name: str, member: Shape, environ: WSGIEnvironment, query: Mapping[str, list[str]]
) -> Any:
    """A member that is outside of the body, or None."""
    key = member.serialization.get("name", name)
    match member.serialization.get("location"):
        case "uri":
            return environ[_ROUTE][key]
        case "querystring" if key in query and isinstance(member, ListShape):
            return [_typed(text, member.member) for text in query[key]]
        case "querystring" if key in query:
            return _typed(query[key][-1], member)
        case "header":
            text = environ.get(f"HTTP_{key.upper().replace('-', '_')}")
            return None if text is None else _typed(text, member)
    return None


def _typed(text: str, shape: Shape) -> Any:
    """A text as the model's JSON type; one that is none stays text, and is at fault."""
    if shape.type_name in {"integer", "long"}:
        return int(text) if re.fullmatch(r"-?\d+", text) else text
    if shape.type_name == "boolean":
        return {"true": True, "false": False}.get(text, text)
    return text
