"""Which operation of a REST service a request is, and its members outside of the body.

From botocore's own model: the method, the path, a constant query, and the members that the model
puts in the path, the query and the headers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from botocore.model import ListShape, OperationModel, ServiceModel, Shape

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

_LABEL = re.compile(r"\\\{(\w+)(\\\+)?\\\}")


@dataclass(frozen=True)
class Routed:
    """A request as the model sees it.

    Attributes:
        operation: What is asked for.
        located: Members in path, query and headers, as JSON values; a text that is none of its
            type stays text.
    """

    operation: OperationModel
    located: Mapping[str, Any]


@dataclass(frozen=True)
class _Route:
    operation: str
    method: str
    path: re.Pattern[str]
    query: Mapping[str, list[str]]
    demands: frozenset[str]
    """Required members outside of path and body: they tell UploadPart from PutObject."""


class Routes:
    """The operations of a REST service, found by method, path and query."""

    def __init__(self, model: ServiceModel) -> None:
        self._model = model
        operations = [model.operation_model(name) for name in model.operation_names]
        # An operation that is deprecated is another name of the one that took its place.
        routes = [_route(one) for one in sorted(operations, key=lambda one: one.deprecated)]
        # A route that demands more is a special case of one that demands less.
        self._routes = sorted(routes, key=lambda route: (-len(route.query), -len(route.demands)))

    def find(self, environ: WSGIEnvironment) -> Routed | None:
        """Return what a request is; None if it is no operation of the service."""
        # WSGI hands the path over as Latin-1, whatever it is.
        path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace").rstrip("/")
        query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        for route in self._routes:
            found = route.path.fullmatch(path)
            if not found or route.method != environ["REQUEST_METHOD"]:
                continue
            operation = self._model.operation_model(route.operation)
            located = dict(_located(operation, environ, query, found.groupdict()))
            if route.query.items() <= query.items() and route.demands <= located.keys():
                return Routed(operation, located)
        return None


def _route(model: OperationModel) -> _Route:
    path, _, query = model.http["requestUri"].partition("?")

    def label(found: re.Match[str]) -> str:
        return f"(?P<{found[1]}>.+)" if found[2] else f"(?P<{found[1]}>[^/]+)"

    pattern = re.compile(_LABEL.sub(label, re.escape(path.rstrip("/"))))
    constant = parse_qs(query, keep_blank_values=True)
    shape = model.input_shape
    demands = {
        name
        for name in (shape.required_members if shape else ())
        if shape and shape.members[name].serialization.get("location") in {"querystring", "header"}
    }
    return _Route(model.name, model.http["method"], pattern, constant, frozenset(demands))


def _located(
    operation: OperationModel,
    environ: WSGIEnvironment,
    query: Mapping[str, list[str]],
    labels: Mapping[str, str],
) -> Iterator[tuple[str, Any]]:
    """Yield the members that are outside of the body."""
    shape = operation.input_shape
    for name, member in (shape.members if shape else {}).items():
        key = member.serialization.get("name", name)
        match member.serialization.get("location"):
            case "uri":
                yield name, labels[key]
            case "querystring" if key in query and isinstance(member, ListShape):
                yield name, [_typed(text, member.member) for text in query[key]]
            case "querystring" if key in query:
                yield name, _typed(query[key][-1], member)
            case "header":
                text = environ.get(f"HTTP_{key.upper().replace('-', '_')}")
                if text is not None:
                    yield name, _typed(text, member)


def _typed(text: str, shape: Shape) -> Any:
    """A text as the model's JSON type."""
    if shape.type_name in {"integer", "long"}:
        return int(text) if re.fullmatch(r"-?\d+", text) else text
    if shape.type_name == "boolean":
        return {"true": True, "false": False}.get(text, text)
    return text
