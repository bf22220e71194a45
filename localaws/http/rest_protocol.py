"""AWS's REST-JSON protocol as a WSGI application, driven by botocore's own service model.

The operation is in the method and path; members are in the path, the query, headers and the body,
each where the model says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson
from botocore.model import OperationModel

from localaws.http.protocol import (
    Operation,
    Reply,
    Service,
    ServiceError,
    encoded_answer,
    json_object,
    request_body,
)
from localaws.http.routes import Routes

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

_LOCATED = "localaws.located"


class RestService(Service):
    """A WSGI application that serves one REST-JSON service; arguments as `Service`'s."""

    def __init__(self, service: str, operations: Mapping[str, Operation]) -> None:
        super().__init__(service, operations)
        self._routes = Routes(self._model)

    def _operation(self, environ: WSGIEnvironment) -> OperationModel:
        found = self._routes.find(environ)
        if found is None:
            request = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
            raise ServiceError(
                "UnknownOperationException", f"{request} is no operation of {self._service}"
            )
        environ[_LOCATED] = found.located
        return found.operation

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
        return {**self._checked(operation, {**members, **environ[_LOCATED]}), **blob}

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
