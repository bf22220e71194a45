"""AWS's protocols as WSGI applications, driven by botocore's own service models.

A `Service` finds the operation that a request names, validates the request against the model, calls
the operation, and validates the response against the model too. Nothing about a service is written
down here: botocore ships the shapes, patterns, limits and legal errors. `JsonService` is for AWS
JSON 1.1; REST-JSON is in `localaws.http.rest_protocol`.
"""

from __future__ import annotations

import base64
import logging
import re
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import orjson
from botocore import xform_name
from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from localaws.http.errors import ServiceError, error_response, failure
from localaws.http.service_names import service_model
from localaws.http.wsgi import Response, json_response, request_body

Operation = Callable[[dict[str, Any]], Mapping[str, Any] | None]
"""Serves one operation: the validated request in, the response's members out."""

_log = logging.getLogger(__name__)
_SECRET = object()
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "character": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float, str),
    "blob": (str, bytes),  # bytes where the member is the whole body
    "list": (list,),
    "map": (dict,),
    "structure": (dict,),
}


class Service(ABC):
    """A WSGI application that serves one AWS service; its subclasses know the wire protocol.

    Args:
        service: botocore's name of the service, e.g. `personalize`.
        operations: Serve the operations, by the operations' names. An operation gets the request
            with timestamps as aware datetimes and blobs as bytes; members without a value (None)
            are left out of its response. It raises `ServiceError` with a code that the model
            allows for this operation.
        other_errors: The code of errors that the model does not allow for an operation, where it
            allows this one. They are bugs of the service otherwise, and InternalFailure.

    Raises:
        ValueError: If `operations` names one that the service does not have.
    """

    def __init__(
        self, service: str, operations: Mapping[str, Operation], *, other_errors: str = ""
    ) -> None:
        self._service = service
        self._other_errors = other_errors
        self._model = service_model(service)
        self._operations = dict(operations)
        if unknown := sorted(set(operations) - set(self._model.operation_names)):
            raise ValueError(f"service {service!r} has no operation {', '.join(unknown)}")

    @abstractmethod
    def _read(self, environ: WSGIEnvironment) -> tuple[OperationModel, dict[str, Any]]:
        """Read a request: its operation, and its members as JSON values, not validated.

        Raises:
            ServiceError: UnknownOperationException if the service has no such operation,
                SerializationException if the body is no JSON object.
        """

    @abstractmethod
    def _response(self, operation: OperationModel, members: Mapping[str, Any]) -> Response:
        """Return the response with an operation's members.

        Raises:
            TypeError: If they do not fit the model; that is a bug of the service.
        """

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        try:
            response = self._serve(environ)
            response.headers["x-amzn-RequestId"] = str(uuid.uuid4())
        except ServiceError as error:
            response = error_response(error, protocol=self._model.protocol, service=self._service)
        return response(environ, start_response)

    def _serve(self, environ: WSGIEnvironment) -> Response:
        """Serve a request; every exception but `ServiceError` is a bug of the service."""
        operation, members = self._read(environ)
        if operation.name not in self._operations:
            raise ServiceError(
                self._invalid_input,
                f"{operation.name} is not supported by the local {self._service}; it supports "
                + ", ".join(sorted(self._operations)),
            )
        request = self._validate(operation, members)
        try:
            return self._response(operation, self._operations[operation.name](request) or {})
        except ServiceError as error:
            allowed = _codes(operation.error_shapes)
            if error.code in allowed or error.code == self._invalid_input:
                raise
            if self._other_errors in allowed:
                raise ServiceError(self._other_errors, error.message) from error
            _log.exception("%s may not answer %s", operation.name, error.code)
            raise ServiceError("InternalFailure", f"{operation.name}: {error}") from error
        except Exception as error:
            _log.exception("%s.%s failed", self._service, operation.name)
            raise failure(error, f"this {operation.name}") from error

    def _validate(self, operation: OperationModel, members: dict[str, Any]) -> dict[str, Any]:
        """Return a request's members, decoded.

        Raises:
            ServiceError: The service's invalid-input error that lists every invalid member.
        """
        decoded, message = validated_request(operation, members)
        if message:
            raise ServiceError(self._invalid_input, message)
        return decoded

    @property
    def _invalid_input(self) -> str:
        """The code with which this service refuses an invalid request."""
        return invalid_input_code(self._service)


def invalid_input_code(service: str) -> str:
    """Return the code with which a service refuses an invalid request, by boto3's name of it."""
    code = "InvalidInputException"
    return code if code in _codes(service_model(service).error_shapes) else "ValidationException"


def operations_of(service: str, *providers: object) -> dict[str, Operation]:
    """Return the operations of a service that objects have as methods.

    The methods are named as boto3's are, e.g. `create_solution`; of two the last counts.
    """
    operations: dict[str, Operation] = {}
    for name in service_model(service).operation_names:
        for provider in providers:
            if method := getattr(provider, xform_name(name), None):
                operations[name] = method
    return operations


def validated_request(
    operation: OperationModel, members: dict[str, Any]
) -> tuple[dict[str, Any], str]:
    """Return a request's members, decoded, and AWS's message of each that violates the model.

    The message is empty if none does.
    """
    shape = operation.input_shape
    if shape is None:
        return {}, ""
    errors: list[str] = []
    decoded: dict[str, Any] = _decode(members, shape, "", errors)
    heading = "error" if len(errors) == 1 else "errors"
    message = f"{len(errors)} validation {heading} detected: {'; '.join(errors)}" if errors else ""
    return decoded, message


class JsonService(Service):
    """AWS JSON: the operation is in the `X-Amz-Target` header, everything else in bodies."""

    def _read(self, environ: WSGIEnvironment) -> tuple[OperationModel, dict[str, Any]]:
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        prefix, _, name = target.rpartition(".")
        known = name in self._model.operation_names
        if not known or prefix != self._model.metadata["targetPrefix"]:
            raise ServiceError(
                "UnknownOperationException",
                f"X-Amz-Target {target!r} names no operation of {self._service}",
            )
        return self._model.operation_model(name), json_object(request_body(environ))

    def _response(self, operation: OperationModel, members: Mapping[str, Any]) -> Response:
        version = self._model.metadata["jsonVersion"]
        return json_response(encode_members(operation, members), version=version)


def json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body; an empty body is an empty object.

    Raises:
        ServiceError: SerializationException if it is anything else.
    """
    try:
        request = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise ServiceError("SerializationException", f"body is not JSON: {error}") from error
    if not isinstance(request, dict):
        raise ServiceError("SerializationException", "body must be a JSON object")
    return request


def _codes(error_shapes: Sequence[Shape]) -> dict[str, StructureShape]:
    """Return the error shapes by their codes on the wire."""
    return {s.error_code: s for s in error_shapes if isinstance(s, StructureShape) and s.error_code}


def _decode(value: Any, shape: Shape, path: str, errors: list[str]) -> Any:
    """Return a request value with datetimes and bytes, without null members.

    Each violation of the model is added to `errors`, in AWS's words.
    """
    if isinstance(shape, StructureShape) and shape.is_document_type:
        return value
    if not _has_type(value, shape.type_name):
        constraint = f"Member must be of type {shape.type_name}"
        errors.append(_error(value, path or "request", constraint))
        return value
    shown = _SECRET if shape.metadata.get("sensitive") else value
    errors += [_error(shown, path, constraint) for constraint in _violations(value, shape)]
    if isinstance(shape, StructureShape):
        return _decode_structure(value, shape, path, errors)
    if isinstance(shape, ListShape):
        return [
            _decode(element, shape.member, f"{path}.{position}.member", errors)
            for position, element in enumerate(value, start=1)
        ]
    if isinstance(shape, MapShape):
        decoded = {}
        for key, element in value.items():
            _decode(key, shape.key, f"{path}.key", errors)
            decoded[key] = _decode(element, shape.value, f"{path}.{key}.member", errors)
        return decoded
    try:
        return _decode_scalar(value, shape)
    except (ValueError, OverflowError, OSError):
        errors.append(_error(value, path, f"Member must be a valid {shape.type_name}"))
        return value


def _decode_structure(
    value: dict[str, Any], shape: StructureShape, path: str, errors: list[str]
) -> dict[str, Any]:
    prefix = f"{path}." if path else ""
    for name in shape.required_members:
        if value.get(name) is None:
            errors.append(_error(None, f"{prefix}{name}", "Member must not be null"))
    decoded = {}
    for name, member in value.items():
        if name not in shape.members:
            known = ", ".join(shape.members)
            constraint = f"Member is unknown; known are [{known}]"
            errors.append(_error(member, f"{prefix}{name}", constraint))
        elif member is not None:
            decoded[name] = _decode(member, shape.members[name], f"{prefix}{name}", errors)
    return decoded


def _decode_scalar(value: Any, shape: Shape) -> Any:
    if shape.type_name == "timestamp":
        if isinstance(value, str):
            return datetime.fromisoformat(value)
        return datetime.fromtimestamp(value, UTC)
    if shape.type_name == "blob" and isinstance(value, str):
        return base64.b64decode(value, validate=True)
    return value


def _has_type(value: object, type_name: str) -> bool:
    """Return whether a JSON value is of the model's type; to Python, True is an integer too."""
    is_boolean = type_name == "boolean"
    return isinstance(value, _PYTHON_TYPES[type_name]) and isinstance(value, bool) == is_boolean


def _violations(value: Any, shape: Shape) -> Iterator[str]:
    """Yield the constraints of pattern, enum, length and range that the value violates."""
    limits = shape.metadata
    has_length = isinstance(value, str | list | dict)
    size = len(value) if has_length else value
    quantity = "length" if has_length else "value"
    if shape.type_name not in {"boolean", "structure", "timestamp", "blob"}:
        if "min" in limits and size < limits["min"]:
            yield f"Member must have {quantity} greater than or equal to {limits['min']}"
        if "max" in limits and size > limits["max"]:
            yield f"Member must have {quantity} less than or equal to {limits['max']}"
    if shape.type_name == "string":
        if (enum := limits.get("enum")) and value not in enum:
            yield f"Member must satisfy enum value set: [{', '.join(enum)}]"
        pattern = limits.get("pattern")
        if pattern and (compiled := _compile(pattern)) and not compiled.fullmatch(value):
            yield f"Member must satisfy regular expression pattern: {pattern}"


def _error(value: Any, path: str, constraint: str) -> str:
    shown = "" if value is _SECRET else " null" if value is None else f" '{str(value)[:200]}'"
    return f"Value{shown} at '{path}' failed to satisfy constraint: {constraint}"


@cache
def _compile(pattern: str) -> re.Pattern[str] | None:
    """Return the model's pattern, or None where only Java can compile it (its Unicode classes)."""
    # Java writes the supplementary planes as a range of surrogate pairs, Python does not.
    astral = pattern.replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF")
    try:
        return re.compile(astral)
    except re.error:
        return None


def encode_members(operation: OperationModel, members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of an operation's response as JSON values.

    Raises:
        TypeError: If they do not fit the model; that is a bug of the service.
    """
    if operation.output_shape is None:
        if members:
            raise TypeError(f"{operation.name} has no answer, but got {sorted(members)}")
        return {}
    encoded: dict[str, Any] = _encode(members, operation.output_shape, operation.name)
    return encoded


def _encode(value: Any, shape: Shape, path: str) -> Any:
    if isinstance(shape, StructureShape) and not shape.is_document_type:
        if unknown := sorted(set(value) - set(shape.members)):
            raise TypeError(f"{path} has no member {', '.join(unknown)} in the service model")
        return {
            name: _encode(member, shape.members[name], f"{path}.{name}")
            for name, member in value.items()
            if member is not None
        }
    if isinstance(shape, ListShape):
        return [_encode(element, shape.member, f"{path}[]") for element in value]
    if isinstance(shape, MapShape):
        return {key: _encode(member, shape.value, f"{path}.{key}") for key, member in value.items()}
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if not _has_type(value, shape.type_name):
        raise TypeError(f"{path} must be of type {shape.type_name}, not {type(value).__name__}")
    return value
